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
from typing import Generic, TypeVar

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
        run = _Run(self)
        workers = [asyncio.create_task(run.work()) for _ in range(self.max_in_flight)]
        for worker in workers:
            worker.add_done_callback(run.tell)
        try:
            working = len(workers)
            while working:
                told = run.told.popleft() if run.told else await run.next_told()
                if isinstance(told, Outcome):
                    run.give_room()
                    yield told
                else:
                    working -= 1
                    told.result()  # an error that is not Gong's is a bug: it ends the run
            if run.source_error is not None:
                raise run.source_error
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
            await run.close()


class _Run(Generic[ItemT, ResultT]):
    """What belongs to one run of an engine, in one event loop."""

    def __init__(self, engine: Engine[ItemT, ResultT]) -> None:
        self.engine = engine
        self.told: deque[Outcome[ItemT, ResultT] | asyncio.Task[None]] = deque()
        self.source_error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        # Every item takes room from being pulled until its outcome is taken: this bounds memory,
        # and it makes a slow consumer slow the source.
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

    async def work(self) -> None:
        """Take items until there are none; stay with a key while more of its items wait."""
        while (taken := await self._take()) is not None:
            key, index, item = taken
            while True:
                if self._doubts:
                    await self._settle(key)
                try:
                    result = await self.engine.operation(item)
                except GongError as error:
                    self._tell_failure(key, index, item, error)
                else:
                    self._tell_result(key, index, item, result)
                waiting = self._busy[key]
                if not waiting:
                    del self._busy[key]
                    break
                index, item = waiting.popleft()

    def tell(self, told: Outcome[ItemT, ResultT] | asyncio.Task[None]) -> None:
        """Tell whoever reads the outcomes of one, or of a worker that has come to its end."""
        self.told.append(told)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def next_told(self) -> Outcome[ItemT, ResultT] | asyncio.Task[None]:
        """Wait until there is something to tell."""
        self._reader = self._loop.create_future()
        await self._reader
        return self.told.popleft()

    def give_room(self) -> None:
        """Let one more item be pulled."""
        self._room += 1
        self._wake(1)

    async def close(self) -> None:
        """Let go of the source."""
        if isinstance(self.engine.source, AsyncGenerator):
            await self.engine.source.aclose()

    async def _take(self) -> tuple[Hashable, int, ItemT] | None:
        """Pull until an item's key is free; the others wait behind the one that is at work."""
        while True:
            if self._pulling or not self._room:
                await self._stand_in_line()
            if self._exhausted:
                return None
            self._room -= 1
            try:
                item = next(self._items) if self._items is not None else await self._anext()
            except (StopIteration, StopAsyncIteration):
                break
            except Exception as error:  # noqa: BLE001 - the source is the caller's, and so is this
                self.source_error = error
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

    async def _stand_in_line(self) -> None:
        """Wait until something may be pulled, or nothing is left."""
        while (self._pulling or not self._room) and not self._exhausted:
            turn = self._loop.create_future()
            self._idle.append(turn)
            await turn

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
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_result(None)

    def _tell_result(self, key: Hashable, index: int, item: ItemT, result: ResultT) -> None:
        attempts = self.engine.attempts(result)
        if attempts > 1:
            self._doubt(key)  # an attempt before the last may still be on its way
        self.tell(Outcome(index=index, change=item, result=result, attempts=attempts))

    def _tell_failure(self, key: Hashable, index: int, item: ItemT, error: GongError) -> None:
        if error.outcome_unknown:
            self._doubt(key)
        self.tell(Outcome(index=index, change=item, error=error, attempts=error.attempts))

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
