"""Runs one async operation over many items, with bounded concurrency and ordering per key.

Independent of the API, except that a `GongError` says whether its outcome is known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
)
from contextlib import suppress
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from gong_async.errors import GongError

SETTLE_SECONDS = 30.0
"""Seconds for which a request may still be applied after its attempt has ended."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """The outcome of one item: a result or an error."""

    index: int
    """Index in the source, from 0."""
    change: ItemT = field(hash=False)
    """The item as the source gave it."""
    result: ResultT | None = None
    error: GongError | None = None
    attempts: int = 0
    """Requests sent for it."""

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None


@define(eq=False)
class Engine(Generic[ItemT, ResultT]):
    """Pulls items from a source, with at most `max_in_flight` at a time, and yields outcomes.

    Items with the same key run one after the other, in source order. After an item with an unknown
    outcome or more than one attempt, the next one of its key waits for `settle_seconds`: a delayed
    request of the first must not be applied after the second. The runs of an engine share this.
    """

    source: Iterable[ItemT] | AsyncIterable[ItemT]
    operation: Callable[[ItemT], Awaitable[ResultT]]
    key: Callable[[ItemT], Hashable]
    attempts: Callable[[ResultT], int]
    max_in_flight: int
    settle_seconds: float
    is_unsettled: Callable[[ResultT], bool] | None = None
    """Whether a request of an item may still be applied; by default, after several attempts."""
    settles_in: Callable[[ItemT], float] | None = None
    """Seconds for which a request from elsewhere may still be applied to an item's key."""
    unsettled: dict[Hashable, float] = field(factory=dict, init=False)
    """When the next item of a key may begin, in the loop's time."""

    async def outcomes(self) -> AsyncGenerator[Outcome[ItemT, ResultT], None]:
        """Yield an outcome for each item, in the order in which they finish.

        An exception of the source is raised after all items pulled before it have finished.
        """
        run = self.begin()
        try:
            while (outcome := await run.next()) is not None:
                yield outcome
                run.give_room()
        finally:
            await run.close()

    def begin(self) -> EngineRun[ItemT, ResultT]:
        """Start the workers in the running loop; the caller must close the run."""
        return EngineRun(self)


async def wait_until_done(*tasks: asyncio.Future[Any]) -> None:
    """Wait for tasks that end soon, even if the waiting task is cancelled repeatedly.

    The cancellation is re-raised once they are done.
    """
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


async def cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their end; do nothing if their loop is closed."""
    if tasks[0].get_loop().is_closed():
        return
    for task in tasks:
        task.cancel()
    await wait_until_done(*tasks)


async def _close_source(source: AsyncGenerator[Any, Any]) -> None:
    """Close the source, unless the loop is closing all generators."""
    try:
        await asyncio.sleep(0)
    finally:
        if not getattr(source, "ag_running", False):
            await source.aclose()


class EngineRun(Generic[ItemT, ResultT]):
    """One run of an engine, in one event loop."""

    def __init__(self, engine: Engine[ItemT, ResultT]) -> None:
        self.engine = engine
        self._delivered: deque[Outcome[ItemT, ResultT] | asyncio.Task[None]] = deque()
        self._source_error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        # An item takes room from being pulled until its outcome is consumed: this bounds memory
        # and applies backpressure to the source.
        self._room = 2 * engine.max_in_flight
        self._items: Iterator[ItemT] | None = None
        self._async_items: AsyncIterator[ItemT] | None = None
        if isinstance(engine.source, AsyncIterable):
            self._async_items = aiter(engine.source)
        else:
            self._items = iter(engine.source)
        self._pulling = False
        """Whether a pull from an asynchronous source is in progress."""
        self._exhausted = False
        self._idle: deque[asyncio.Future[None]] = deque()
        """Workers waiting to pull."""
        self._pulled = 0
        self._busy: dict[Hashable, deque[tuple[int, ItemT]] | None] = {}
        """Keys in progress, with the items queued behind them."""
        self._unsettled = engine.unsettled
        self._settles_in = engine.settles_in
        self._stopping = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._working = engine.max_in_flight
        for _ in range(engine.max_in_flight):
            worker = self._loop.create_task(self._work())
            worker.add_done_callback(self._emit)
            self._workers.append(worker)

    async def next(self) -> Outcome[ItemT, ResultT] | None:
        """Return the next outcome; None when there are no more.

        Raises:
            Exception: raised by the source, after all items pulled before have finished.
        """
        while self._working:
            delivered = (
                self._delivered.popleft() if self._delivered else await self._next_delivered()
            )
            if isinstance(delivered, Outcome):
                return delivered
            self._working -= 1
            delivered.result()  # any other error is a bug and ends the run
        if self._source_error is not None:
            raise self._source_error
        return None

    def give_room(self) -> None:
        """Allow one more pull: an outcome was consumed."""
        self._room += 1
        self._wake(1)

    def stop_waiting(self) -> None:
        """Begin all items that were pulled, and pull again; the operation decides what to do."""
        self._stopping.set()
        self.give_room()

    async def close(self) -> None:
        """Cancel the workers, wait for them, and close the source."""
        try:
            await cancel_and_wait(*self._workers)
        finally:
            if isinstance(self.engine.source, AsyncGenerator):
                await _close_source(self.engine.source)

    async def _work(self) -> None:
        """Process items until none are left; stay with a key while its items are queued."""
        while (taken := await self._take()) is not None:
            key, index, item = taken
            while True:
                if self._unsettled or self._settles_in is not None:
                    await self._settle(key, item)
                try:
                    result = await self.engine.operation(item)
                except GongError as error:
                    self._report_failure(key, index, item, error)
                else:
                    self._report_result(key, index, item, result)
                waiting = self._busy[key]
                if not waiting:
                    del self._busy[key]
                    break
                index, item = waiting.popleft()

    def _emit(self, delivered: Outcome[ItemT, ResultT] | asyncio.Task[None]) -> None:
        """Deliver an outcome, or a finished worker, to the reader."""
        self._delivered.append(delivered)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _next_delivered(self) -> Outcome[ItemT, ResultT] | asyncio.Task[None]:
        """Wait for the next delivery."""
        self._reader = self._loop.create_future()
        await self._reader
        return self._delivered.popleft()

    async def _take(self) -> tuple[Hashable, int, ItemT] | None:
        """Pull until an item's key is free; queue the others behind their key."""
        while True:
            if self._pulling or not self._room:
                await self._wait_for_room()
            if self._exhausted:
                return None
            self._room -= 1
            try:
                item = next(self._items) if self._items is not None else await self._anext()
            except (StopIteration, StopAsyncIteration):
                break
            except Exception as error:  # noqa: BLE001 - raised by the caller's source; re-raised at the end
                self._source_error = error
                break
            index = self._pulled
            self._pulled += 1
            key = self.engine.key(item)
            if key not in self._busy:
                self._busy[key] = None
                return key, index, item
            if (waiting := self._busy[key]) is None:
                waiting = self._busy[key] = deque()
            waiting.append((index, item))
        self._exhausted = True
        self._wake(len(self._idle))
        return None

    async def _wait_for_room(self) -> None:
        """Wait until there is room to pull, or the source is exhausted."""
        while (self._pulling or not self._room) and not self._exhausted:
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter

    async def _anext(self) -> ItemT:
        """Pull from an asynchronous source; one pull at a time."""
        assert self._async_items is not None  # noqa: S101 - one of both is set
        self._pulling = True
        try:
            return await anext(self._async_items)
        finally:
            self._pulling = False
            # Wake two: if the source is fast, all workers are busy after a few iterations.
            self._wake(2)

    def _wake(self, workers: int) -> None:
        """Wake idle workers."""
        for _ in range(min(workers, len(self._idle))):
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _report_result(self, key: Hashable, index: int, item: ItemT, result: ResultT) -> None:
        attempts = self.engine.attempts(result)
        is_unsettled = self.engine.is_unsettled
        if attempts > 1 if is_unsettled is None else is_unsettled(result):
            self._note_unsettled(key)  # an attempt may still be in flight
        self._emit(Outcome(index=index, change=item, result=result, attempts=attempts))

    def _report_failure(self, key: Hashable, index: int, item: ItemT, error: GongError) -> None:
        if error.outcome_unknown:
            self._note_unsettled(key)
        self._emit(Outcome(index=index, change=item, error=error, attempts=error.attempts))

    async def _settle(self, key: Hashable, item: ItemT) -> None:
        """Wait while an earlier request for the key may still be applied, unless stopping."""
        wait = self._unsettled.pop(key, 0.0) - self._loop.time()
        if self._settles_in is not None:
            wait = max(wait, self._settles_in(item))
        if wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    def _note_unsettled(self, key: Hashable) -> None:
        now, unsettled = self._loop.time(), self._unsettled
        unsettled[key] = now + self.engine.settle_seconds
        # Oldest first: drop settled keys, to bound memory in a long outage.
        while unsettled and next(iter(unsettled.values())) <= now:
            del unsettled[next(iter(unsettled))]
