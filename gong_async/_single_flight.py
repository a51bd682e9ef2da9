"""Runs one task for all callers that wait for the same result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from attrs import define, field

T = TypeVar("T")


@define(eq=False)
class SingleFlight(Generic[T]):
    """Runs one task per event loop at a time; callers that arrive meanwhile join it.

    Cancelling a caller cancels neither the task nor the other callers.
    """

    _under_way: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[T]] = field(
        factory=WeakKeyDictionary, init=False, repr=False
    )

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Join the running task, or start it."""
        loop = asyncio.get_running_loop()
        task = self._under_way.get(loop)
        if task is None or task.done():
            task = self._under_way[loop] = loop.create_task(_do(work))
            task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def landed(self) -> None:
        """Wait for the running task of this loop, whatever its outcome."""
        task = self._under_way.get(asyncio.get_running_loop())
        if task is not None and not task.done():
            await asyncio.wait([task])

    def _landed(self, task: asyncio.Task[T]) -> None:
        loop = task.get_loop()
        if self._under_way.get(loop) is task:
            del self._under_way[loop]
        if not task.cancelled():
            task.exception()  # retrieved: without callers, asyncio would log it


async def _do(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
