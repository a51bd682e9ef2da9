"""The base of all limiters: a queue for each event loop, and permits that report their outcome."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from attrs import define, field

from gong_async.limits.queue import Queue
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota


class LimitBackend(Protocol):
    """The state of one company's limits, as the queue of one event loop uses it."""

    def now(self) -> float:
        """Return the backend's monotonic time, in seconds."""
        ...

    def begin(self, now: float, priority: Priority, max_wait: float, *, free: bool) -> bool | None:
        """Raise at once the errors that waiting in the queue could only delay.

        If the queue is `free`, a permit that needs no wait may be granted at once: returns whether
        it is a probe. None means that the caller has to queue.
        """
        ...

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        ...

    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose call was cancelled before it sent anything."""
        ...

    async def settle(self, settlement: PermitOutcome) -> None:
        """Record how a permit was used."""
        ...

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        ...


@define(eq=False)
class QueuedLimiter(ABC):
    """Enforces one company's limits over any number of clients, threads and event loops."""

    limits: Limits = field(factory=Limits)
    _by_loop: dict[asyncio.AbstractEventLoop, tuple[Queue, LimitBackend]] = field(
        factory=dict, init=False, repr=False
    )
    _pid: int = field(factory=os.getpid, init=False, repr=False)

    def acquire(self, *, max_wait: float, priority: Priority = "interactive") -> QueuedPermit:
        """Wait for a permit: see `Limiter.acquire`."""
        return QueuedPermit(*self.queue_here(), priority, max_wait)

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        _, backend = self.queue_here()
        return await backend.quota()

    def detach(self) -> None:  # noqa: B027 - not abstract: a shared limiter has nothing to do
        """Note that a client is closed. Does nothing: the limiter belongs to no single client."""

    @abstractmethod
    def make_backend(self, queue: Queue) -> LimitBackend:
        """Return a backend for the running loop; it wakes `queue` when the state changes."""

    def after_fork(self) -> None:
        """Drop the parent's queues after a fork: its calls are not ours."""
        self._by_loop = {}

    def queues(self) -> list[tuple[asyncio.AbstractEventLoop, Queue]]:
        """Return the queue of every loop."""
        return [(loop, queue) for loop, (queue, _) in list(self._by_loop.items())]

    def queue_here(self) -> tuple[Queue, LimitBackend]:
        """Return what belongs to the running loop."""
        if self._pid != os.getpid():
            self.after_fork()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        known_queue = self._by_loop.get(loop)
        if known_queue is None:
            for closed in [known for known in list(self._by_loop) if known.is_closed()]:
                self._by_loop.pop(closed, None)
            queue = Queue(self.limits.max_in_flight)
            known_queue = self._by_loop[loop] = (queue, self.make_backend(queue))
        return known_queue


class QueuedPermit:
    """One permit: `async with limiter.acquire(max_wait=60) as permit`."""

    __slots__ = (
        "_accepted",
        "_backend",
        "_max_wait",
        "_pause",
        "_priority",
        "_probes",
        "_queue",
        "_sent_at",
        "_unused",
        "waited",
    )

    def __init__(
        self, queue: Queue, backend: LimitBackend, priority: Priority, max_wait: float
    ) -> None:
        self._queue = queue
        self._backend = backend
        self._priority: Priority = priority
        self._max_wait = max_wait
        self._probes = False
        self._accepted = False
        self._unused = False
        self._pause: float | None = None
        self._sent_at = 0.0
        self.waited: float = 0.0

    def accepted(self) -> None:
        """Report that the request was not throttled."""
        self._accepted = True

    def throttled(self, pause: float) -> None:
        """Report a 429: pause all calls for `pause` seconds."""
        self._pause = pause

    def unused(self) -> None:
        """Report that no request was sent."""
        self._unused = True

    async def __aenter__(self) -> Self:
        backend, queue, priority = self._backend, self._queue, self._priority
        asked = self._sent_at = backend.now()
        probes = backend.begin(asked, priority, self._max_wait, free=queue.is_free)
        if probes is None:
            probes = await queue.enter(backend, priority, self._max_wait)
            self._sent_at = backend.now()
            self.waited = self._sent_at - asked
        else:
            await queue.acquire_nowait()
        self._probes = probes
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._queue.release()
        if self._unused:
            self._backend.undo(probes=self._probes)
            return
        await self._backend.settle(
            PermitOutcome(self._sent_at, self._probes, self._accepted, self._pause)
        )
