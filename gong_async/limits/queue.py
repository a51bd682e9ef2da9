"""The queue of one company's calls in one event loop, interactive calls first."""

from __future__ import annotations

import asyncio
from typing import Protocol

from attrs import Factory, define, field

from gong_async.limits.load import Load
from gong_async.limits.types import Priority

_TICK = 1e-6


class SlotSource(Protocol):
    """What a queue asks for the next permit."""

    def now(self) -> float:
        """Return the backend's monotonic time, in seconds."""
        ...

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        ...

    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose call was cancelled before it sent anything."""
        ...


def _new_semaphore(queue: Queue) -> asyncio.Semaphore:
    return asyncio.Semaphore(queue.max_in_flight)


@define(eq=False)
class Queue:
    """Grants permits one by one, in order of arrival.

    The call at the head waits for the next slot. When the slot comes, a waiting interactive call
    gets it before any bulk call, even the one at the head: an interactive call waits for the next
    slot only, however long the bulk queue is.
    """

    max_in_flight: int
    semaphore: asyncio.Semaphore = field(
        init=False, default=Factory(_new_semaphore, takes_self=True)
    )
    waiting: dict[Priority, int] = field(factory=lambda: {"interactive": 0, "bulk": 0}, init=False)
    since: dict[Priority, float] = field(
        factory=lambda: {"interactive": 0.0, "bulk": 0.0}, init=False
    )
    """While calls of a priority wait: since when only the rate has delayed them."""
    in_flight: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)
    _surplus: int = field(default=0, init=False)
    """Semaphore slots above the limit: removed as they become free."""
    _head: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _queued: int = field(default=0, init=False)
    _interactive: list[tuple[asyncio.Future[bool | None], float]] = field(factory=list, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)

    @property
    def load(self) -> Load:
        """Calls that wait and calls in flight."""
        return Load(self.waiting["interactive"], self.waiting["bulk"], self.in_flight)

    @property
    def is_free(self) -> bool:
        """Whether no call waits and one more may be in flight."""
        left = self._taken < self.max_in_flight
        return left and not (self._queued or self._interactive or self._surplus)

    async def acquire_nowait(self) -> None:
        """Enter without waiting; only while `is_free`."""
        self._taken += 1
        await self.semaphore.acquire()
        self.in_flight += 1

    async def enter(self, backend: SlotSource, priority: Priority, max_wait: float) -> bool:
        """Wait for a permit; return whether it is a probe. Call `release` afterwards."""
        if not self.waiting[priority]:
            self.since[priority] = backend.now()
        self.waiting[priority] += 1
        try:
            probes = None
            if priority == "interactive" and self._queued:
                probes = await self._wait_ahead(backend, max_wait)
                if probes is None:
                    self._queued -= 1  # counted when it was promoted, to keep its position
            if probes is None:
                probes = await self._wait_in_order(backend, priority, max_wait)
        finally:
            self.waiting[priority] -= 1
        self.in_flight += 1
        return probes

    def release(self) -> None:
        """End a call in flight."""
        self.in_flight -= 1
        self._taken -= 1
        if self._surplus:
            self._surplus -= 1
        else:
            self.semaphore.release()

    def resize(self, max_in_flight: int) -> None:
        """Change the number of calls that may be in flight; running calls are not affected."""
        more = max_in_flight - self.max_in_flight
        self.max_in_flight = max_in_flight
        self._surplus += max(0, -more)
        for _ in range(more):
            self._return_slot()

    async def _acquire_slot(self, backend: SlotSource) -> None:
        while self._surplus and not self.semaphore.locked():
            self._surplus -= 1
            await self.semaphore.acquire()
        if self.semaphore.locked():
            self.since["interactive"] = self.since["bulk"] = float("inf")
            try:
                await self.semaphore.acquire()
            finally:
                self.since["interactive"] = self.since["bulk"] = backend.now()
        else:
            await self.semaphore.acquire()
        self._taken += 1

    def _release_slot(self) -> None:
        self._taken -= 1
        self._return_slot()

    def _return_slot(self) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self.semaphore.release()

    def wake(self) -> None:
        """Let the call at the head ask again: the state has changed."""
        self._changed.set()

    async def _wait_ahead(self, backend: SlotSource, max_wait: float) -> bool | None:
        """Wait for a slot ahead of queued calls; None means that the queue has emptied."""
        waiter: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._interactive.append((waiter, max_wait))
        self._changed.set()  # its slot may come sooner than that of the bulk call at the head
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(backend, waiter.result())
            raise

    def _give_back(self, backend: SlotSource, granted: bool | None) -> None:  # noqa: FBT001
        """Return what a waiter got at the moment it was cancelled: a permit or a promotion."""
        if granted is None:
            self._queued -= 1
            self._promote_next()
            return
        self._release_slot()
        backend.undo(probes=granted)

    async def _wait_in_order(
        self, backend: SlotSource, priority: Priority, max_wait: float
    ) -> bool:
        self._queued += 1
        try:
            async with self._head:
                return await self._serve_from_head(backend, priority, max_wait)
        finally:
            self._queued -= 1
            self._promote_next()

    def _promote_next(self) -> None:
        """Queue an interactive call if no call is left at the head to hand it a slot."""
        while self._interactive and not self._queued:
            waiter, _ = self._interactive.pop(0)
            if not waiter.done():
                self._queued += 1
                waiter.set_result(None)

    async def _serve_from_head(
        self, backend: SlotSource, priority: Priority, max_wait: float
    ) -> bool:
        """As the head, hand slots to interactive calls until one is left for this call."""
        while True:
            await self._acquire_slot(backend)
            try:
                probes, waiter = await self._slot(backend, priority, max_wait)
            except BaseException:
                self._release_slot()
                raise
            if waiter is None:
                return probes
            waiter.set_result(probes)

    async def _slot(
        self, backend: SlotSource, priority: Priority, max_wait: float
    ) -> tuple[bool, asyncio.Future[bool | None] | None]:
        """Wait for the next slot; return it with the interactive call that gets it, if any."""
        while True:
            self._changed.clear()
            urgent = self._next_interactive() if priority == "bulk" else None
            if urgent is None:
                wait, probes = await backend.ask(priority, max_wait)
                if not wait:
                    return probes, None
            else:
                try:
                    wait, probes = await backend.ask("interactive", urgent[1])
                except Exception as error:  # noqa: BLE001 - raised in that call
                    self._drop(urgent[0], error)
                    continue
                if not wait:
                    return self._granted(urgent[0], probes=probes)
            await self._sleep(wait)

    def _granted(
        self, waiter: asyncio.Future[bool | None], *, probes: bool
    ) -> tuple[bool, asyncio.Future[bool | None] | None]:
        # The call may have been cancelled while the backend was asked; the slot is then ours.
        if waiter.done():
            return probes, None
        self._interactive.pop(0)
        return probes, waiter

    def _drop(self, waiter: asyncio.Future[bool | None], error: Exception) -> None:
        if not waiter.done():
            self._interactive.pop(0)
            waiter.set_exception(error)

    def _next_interactive(self) -> tuple[asyncio.Future[bool | None], float] | None:
        while self._interactive and self._interactive[0][0].done():
            self._interactive.pop(0)
        return self._interactive[0] if self._interactive else None

    async def _sleep(self, seconds: float) -> None:
        """Sleep, at most until the state changes."""
        # Below its resolution a timer fires at once, and the next look would be too early.
        delay = max(seconds, _TICK)
        timer = asyncio.get_running_loop().call_later(delay, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
