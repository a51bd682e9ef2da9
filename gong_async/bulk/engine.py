"""Runs one async operation over many items.

Knows items, keys and outcomes; knows nothing of Gong but that its errors say whether the outcome
is known.
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
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from gong_async.errors import GongError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item: a result, or an error."""

    index: int
    """Place in the source, from 0."""
    change: ItemT = field(hash=False)
    """The item as the source gave it."""
    result: ResultT | None = None
    error: GongError | None = None
    attempts: int = 0
    """Requests that went out for it."""

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None


@define(eq=False)
class Engine(Generic[ItemT, ResultT]):
    """Pulls items, works on at most `max_in_flight` of them, and tells each outcome.

    Items with the same key are worked on one after the other, in the order of the source. When
    one of them ends with an unknown outcome, or took more than one attempt, the next waits until
    `settle_seconds` have passed: what Gong still has of the first must not land after the second.
    """

    source: Iterable[ItemT] | AsyncIterable[ItemT]
    operation: Callable[[ItemT], Awaitable[ResultT]]
    key: Callable[[ItemT], Hashable]
    attempts: Callable[[ResultT], int]
    max_in_flight: int
    settle_seconds: float

    async def outcomes(self) -> AsyncGenerator[Outcome[ItemT, ResultT], None]:
        """Yield an outcome for each item, in the order in which they finish.

        What the source raises is raised at the end, after everything pulled before has finished.
        """
        run = self.begin()
        try:
            while (outcome := await run.next()) is not None:
                yield outcome
                run.give_room()
        finally:
            await run.close()

    def begin(self) -> EngineRun[ItemT, ResultT]:
        """Start the workers in the running loop; whoever calls this closes the run."""
        return EngineRun(self)


async def wait_until_done(*tasks: asyncio.Future[Any]) -> None:
    """Wait for tasks that end soon, also if the waiting task is cancelled meanwhile, even often.

    The cancellation is passed on once they are done.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their end; nothing is left to wait for once the loop is closed."""
    if tasks[0].get_loop().is_closed():
        return
    for task in tasks:
        task.cancel()
    await wait_until_done(*tasks)


async def _close_source(source: AsyncGenerator[Any, Any]) -> None:
    """Close the source, unless the loop does: at its end it closes all generators."""
    try:
        await asyncio.sleep(0)
    finally:
        if not getattr(source, "ag_running", False):
            await source.aclose()


class EngineRun(Generic[ItemT, ResultT]):
    """One run of an engine, in one event loop."""

    def __init__(self, engine: Engine[ItemT, ResultT]) -> None:
        self.engine = engine
        self._describe: deque[Outcome[ItemT, ResultT] | asyncio.Task[None]] = deque()
        self._source_error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        # Every item takes room from being pulled until its outcome was dealt with: this bounds
        # memory, and it makes a slow consumer slow the source.
        self._room = 2 * engine.max_in_flight
        self._items: Iterator[ItemT] | None = None
        self._async_items: AsyncIterator[ItemT] | None = None
        if isinstance(engine.source, AsyncIterable):
            self._async_items = aiter(engine.source)
        else:
            self._items = iter(engine.source)
        self._pulling = False
        """Whether an asynchronous source is being asked for an item."""
        self._exhausted = False
        self._idle: deque[asyncio.Future[None]] = deque()
        """Workers that wait until something may be pulled."""
        self._pulled = 0
        self._busy: dict[Hashable, deque[tuple[int, ItemT]] | None] = {}
        """The keys at work, with what waits behind them."""
        self._doubts: dict[Hashable, float] = {}
        self._workers = [self._loop.create_task(self._work()) for _ in range(engine.max_in_flight)]
        self._working = engine.max_in_flight
        for worker in self._workers:
            worker.add_done_callback(self._emit)

    async def next(self) -> Outcome[ItemT, ResultT] | None:
        """Return the next outcome; None when there are no more.

        Raises:
            Exception: what the source raised, after everything pulled before has finished.
        """
        while self._working:
            delivered = self._describe.popleft() if self._describe else await self._next_told()
            if isinstance(delivered, Outcome):
                return delivered
            self._working -= 1
            delivered.result()  # an error that is not Gong's is a bug: it ends the run
        if self._source_error is not None:
            raise self._source_error
        return None

    def give_room(self) -> None:
        """Let one more item be pulled: an outcome was dealt with."""
        self._room += 1
        self._wake(1)

    async def close(self) -> None:
        """Cancel the workers, wait for them, and let go of the source."""
        try:
            await cancel_and_wait(*self._workers)
        finally:
            if isinstance(self.engine.source, AsyncGenerator):
                await _close_source(self.engine.source)

    async def _work(self) -> None:
        """Take items until there are none; stay with a key while more of its items wait."""
        while (taken := await self._take()) is not None:
            key, index, item = taken
            while True:
                if self._doubts:
                    await self._settle(key)
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
        """Tell whoever reads the outcomes of one, or of a worker that has come to its end."""
        self._describe.append(delivered)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _next_told(self) -> Outcome[ItemT, ResultT] | asyncio.Task[None]:
        """Wait until there is something to tell."""
        self._reader = self._loop.create_future()
        await self._reader
        return self._describe.popleft()

    async def _take(self) -> tuple[Hashable, int, ItemT] | None:
        """Pull until an item's key is free; the others wait behind the one that is at work."""
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
            except Exception as error:  # noqa: BLE001 - the source is the caller's, and so is this
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
        """Wait until something may be pulled, or nothing is left."""
        while (self._pulling or not self._room) and not self._exhausted:
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter

    async def _anext(self) -> ItemT:
        """Pull from an asynchronous source, which gives one item at a time."""
        assert self._async_items is not None  # noqa: S101 - there is one or the other
        self._pulling = True
        try:
            return await anext(self._async_items)
        finally:
            self._pulling = False
            # Two for one: if the source has more at hand, all are at work a few turns later.
            self._wake(2)

    def _wake(self, workers: int) -> None:
        """Call workers out of the line."""
        for _ in range(min(workers, len(self._idle))):
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _report_result(self, key: Hashable, index: int, item: ItemT, result: ResultT) -> None:
        attempts = self.engine.attempts(result)
        if attempts > 1:
            self._doubt(key)  # an attempt before the last may still be on its way
        self._emit(Outcome(index=index, change=item, result=result, attempts=attempts))

    def _report_failure(self, key: Hashable, index: int, item: ItemT, error: GongError) -> None:
        if error.outcome_unknown:
            self._doubt(key)
        self._emit(Outcome(index=index, change=item, error=error, attempts=error.attempts))

    async def _settle(self, key: Hashable) -> None:
        until = self._doubts.pop(key, None)
        if until is not None:
            await asyncio.sleep(until - self._loop.time())

    def _doubt(self, key: Hashable) -> None:
        now = self._loop.time()
        self._doubts[key] = now + self.engine.settle_seconds
        # Oldest first: forget those that have settled, so that a long outage takes no memory.
        while self._doubts and next(iter(self._doubts.values())) <= now:
            del self._doubts[next(iter(self._doubts))]
