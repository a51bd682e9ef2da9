"""One piece of work at a time, for everybody who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from attrs import define, field

T = TypeVar("T")


@define(eq=False)
class SingleFlight(Generic[T]):
    """Does the work once for all that ask while it is under way, in each event loop.

    It belongs to none of them: whoever is cancelled leaves the others, and the work, alone.
    """

    _under_way: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[T]] = field(
        factory=WeakKeyDictionary, init=False, repr=False
    )

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Join the work under way, or begin it."""
        loop = asyncio.get_running_loop()
        task = self._under_way.get(loop)
        if task is None or task.done():
            task = self._under_way[loop] = loop.create_task(_do(work))
            task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def landed(self) -> None:
        """Wait for what is under way in this loop, however it ends."""
        task = self._under_way.get(asyncio.get_running_loop())
        if task is not None and not task.done():
            await asyncio.wait([task])

    def _landed(self, task: asyncio.Task[T]) -> None:
        loop = task.get_loop()
        if self._under_way.get(loop) is task:
            del self._under_way[loop]
        if not task.cancelled():
            task.exception()  # if nobody is left to be told of it, nobody misses it


async def _do(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
