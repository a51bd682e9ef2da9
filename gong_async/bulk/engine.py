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
    Awaitable,
    Callable,
    Hashable,
    Iterable,
)
from typing import Generic, TypeVar

from attrs import define, frozen

from gong_async.errors import GongError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item: a result, or an error."""

    index: int
    """Place in the source, from 0."""
    change: ItemT
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
            worker.add_done_callback(run.told.put_nowait)
        try:
            working = len(workers)
            while working:
                told = await run.told.get()
                if isinstance(told, Outcome):
                    run.room.release()
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
        self.told: asyncio.Queue[Outcome[ItemT, ResultT] | asyncio.Task[None]] = asyncio.Queue()
        # Every item takes room from being pulled until its outcome is taken: this bounds memory,
        # and it makes a slow consumer slow the source.
        self.room = asyncio.Semaphore(2 * engine.max_in_flight)
        self.source_error: Exception | None = None
        self._turnstile = asyncio.Lock()
        self._items = pulling(engine.source)
        self._exhausted = False
        self._pulled = 0
        self._busy: dict[Hashable, deque[tuple[int, ItemT]]] = {}
        self._doubts: dict[Hashable, float] = {}

    async def work(self) -> None:
        """Take items until there are none; stay with a key while more of its items wait."""
        while True:
            async with self._turnstile:
                taken = await self._take()
            if taken is None:
                return
            key, (index, item) = taken
            while True:
                self.told.put_nowait(await self._do(key, index, item))
                waiting = self._busy[key]
                if not waiting:
                    del self._busy[key]
                    break
                index, item = waiting.popleft()

    async def close(self) -> None:
        """Let go of the source."""
        await self._items.aclose()

    async def _take(self) -> tuple[Hashable, tuple[int, ItemT]] | None:
        """Pull until an item's key is free; the others wait behind the one that is at work."""
        while not self._exhausted:
            await self.room.acquire()
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001 - the source is the caller's, and so is this
                self.source_error = error
                break
            place = (self._pulled, item)
            self._pulled += 1
            key = self.engine.key(item)
            if key not in self._busy:
                self._busy[key] = deque()
                return key, place
            self._busy[key].append(place)
        self._exhausted = True
        return None

    async def _do(self, key: Hashable, index: int, item: ItemT) -> Outcome[ItemT, ResultT]:
        await self._settle(key)
        try:
            result = await self.engine.operation(item)
        except GongError as error:
            if error.outcome_unknown:
                self._doubt(key)
            return Outcome(index=index, change=item, error=error, attempts=error.attempts)
        attempts = self.engine.attempts(result)
        if attempts > 1:
            self._doubt(key)  # an attempt before the last may still be on its way
        return Outcome(index=index, change=item, result=result, attempts=attempts)

    async def _settle(self, key: Hashable) -> None:
        until = self._doubts.pop(key, None)
        if until is not None:
            await asyncio.sleep(until - asyncio.get_running_loop().time())

    def _doubt(self, key: Hashable) -> None:
        now = asyncio.get_running_loop().time()
        self._doubts[key] = now + self.engine.settle_seconds
        # Oldest first: forget those that have settled, so that a long outage takes no memory.
        while self._doubts and next(iter(self._doubts.values())) <= now:
            del self._doubts[next(iter(self._doubts))]


async def pulling(source: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    """Pull from either kind of source, and close an async generator when it is left early."""
    if isinstance(source, AsyncIterable):
        try:
            async for item in source:
                yield item
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
    else:
        for item in source:
            yield item
