"""Limiters and their permits, and the base of all limit stores."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self
from weakref import WeakSet

from attrs import Factory, define, field, frozen

from gong_async.limits.load import NO_LOAD, Load
from gong_async.limits.queue import Queue
from gong_async.limits.state import LimiterState
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota, strictest

_FIRST_SWEEP = 256


@define(eq=False)
class Permit:
    """The right to send one request now; released when its `async with` block ends."""

    _queue: Queue
    _priority: Priority
    _max_wait: float
    _sent_at: float = field(default=0.0, init=False)
    _probes: bool = field(default=False, init=False)
    _accepted: bool = field(default=False, init=False)
    _unused: bool = field(default=False, init=False)
    _pause: float | None = field(default=None, init=False)
    waited: float = field(default=0.0, init=False)
    """Seconds from `acquire` until the permit was granted."""

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
        queue = self._queue
        asked = self._sent_at = queue.now()
        probes = queue.acquire_nowait(asked, self._priority, self._max_wait)
        if probes is None:
            probes = await queue.acquire(self._priority, self._max_wait)
            self._sent_at = queue.now()
            self.waited = self._sent_at - asked
        else:
            queue.in_flight += 1
        self._probes = probes
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        queue = self._queue
        queue.in_flight -= 1
        if queue.waiting:
            queue.wake()
        if self._unused:
            queue.undo(probes=self._probes)
            return
        await queue.settle(PermitOutcome(self._sent_at, self._probes, self._accepted, self._pause))


@frozen(eq=False)
class Limiter:
    """Grants one client permits within its company's limits."""

    limits: Limits
    """The limits of this client; the strictest of all open clients apply."""
    company: CompanyLimits = field(repr=False)

    def acquire(self, *, max_wait: float, priority: Priority = "interactive") -> Permit:
        """Wait for a permit: `async with limiter.acquire(max_wait=60) as permit`.

        Interactive calls go first, then calls go in order of arrival.

        Args:
            max_wait: seconds that a pause after a 429 may delay this call; a longer pause raises.
            priority: the call's priority.

        Raises:
            DailyQuotaExceededError: no daily call is left for this priority.
            RateLimitError: a 429 of another call pauses all calls for longer than `max_wait`.
        """
        queue = self.company.queues.get(asyncio.get_running_loop())
        if queue is None or queue.pid != os.getpid():
            queue = self.company.open_queue()
        return Permit(queue, priority, max_wait)

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        return await self.company.open_queue().quota()

    def detach(self) -> None:
        """Note that the client is closed: its limits no longer apply."""
        self.company.detach(self)


def _state(company: CompanyLimits) -> LimiterState:
    return LimiterState(company.limits)


@define(eq=False)
class CompanyLimits:
    """What all limiters of a company share in this process: limits, state, a queue per loop."""

    name: str
    """An API origin and a key's fingerprint."""
    limits: Limits
    """The strictest limits of all open clients."""
    _make_queue: Callable[[CompanyLimits], Queue] = field(repr=False)
    state: LimiterState = field(init=False, default=Factory(_state, takes_self=True), repr=False)
    """The state in memory. A store that keeps it elsewhere may hold its last known state here."""
    mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    """Protects the state against other threads."""
    wall_offset: float = field(factory=lambda: time.time() - time.monotonic(), init=False)
    """Added to monotonic time it is the wall time. Fixed at the start, so that later steps of the
    wall clock do not change the daily count."""
    limiters: WeakSet[Limiter] = field(factory=WeakSet, init=False, repr=False)
    _agreeing: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    """Held while `limiters` change and the limits that follow from them."""
    queues: dict[asyncio.AbstractEventLoop, Queue] = field(factory=dict, init=False, repr=False)

    def open_queue(self) -> Queue:
        """Return the queue of the running loop."""
        loop = asyncio.get_running_loop()
        queue = self.queues.get(loop)
        if queue is not None and queue.pid != os.getpid():
            self._after_fork()
            queue = None
        if queue is None:
            for closed in [known for known in list(self.queues) if known.is_closed()]:
                self.queues.pop(closed, None)
            queue = self.queues[loop] = self._make_queue(self)
        return queue

    def attach(self, limiter: Limiter) -> None:
        """Note that a client was opened: its limits apply, too."""
        with self._agreeing:
            self.limiters.add(limiter)
            self._agree()

    def detach(self, limiter: Limiter) -> None:
        """Note that a client was closed: its limits no longer apply."""
        with self._agreeing:
            self.limiters.discard(limiter)
            self._agree()

    def _agree(self) -> None:
        """Apply the strictest limits of all open clients; what was counted and learned stays."""
        wanted = [limiter.limits for limiter in self.limiters]
        if not wanted:
            return
        agreed = wanted[0]
        for limits in wanted[1:]:
            agreed = strictest(agreed, limits)
        if agreed == self.limits:
            return
        with self.mutex:
            self.limits = agreed
            self.state.keep_to(agreed)
        for queue in list(self.queues.values()):
            queue.limits = agreed
        self.wake()

    def wake(self) -> None:
        """Wake the queues of all loops, whatever threads they run in."""
        for loop, queue in list(self.queues.items()):
            try:
                loop.call_soon_threadsafe(queue.wake)
            except RuntimeError:
                continue  # the loop is closed, so no call waits in it

    @property
    def load(self) -> Load:
        """Calls that wait and calls in flight, in all loops of this process."""
        queues = list(self.queues.items())
        return sum((queue.load for loop, queue in queues if not loop.is_closed()), NO_LOAD)

    def is_idle(self) -> bool:
        """Whether no client is open, no call waits or is in flight, and no state is to be kept."""
        now = time.monotonic()
        with self.mutex:
            counted = self.state.day.used(now + self.wall_offset)
            paused = self.state.paused_until is not None and self.state.paused_until > now
        return not (self.limiters or counted or paused) and self.load == NO_LOAD

    def _after_fork(self) -> None:
        """Drop the parent's queues and probe: its calls are not ours."""
        self.queues = {}
        self.mutex = threading.Lock()  # another thread of the parent may own the old one
        self.state.probe_until = None


@define(eq=False)
class LimitStore(ABC):
    """Keeps the state of limits, and returns the limiters of companies."""

    _companies: dict[str, CompanyLimits] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _sweep_at: int = field(default=_FIRST_SWEEP, init=False, repr=False)

    def limiter(self, company: str, limits: Limits) -> Limiter:
        """Return a limiter of `company`, which is an API origin and a key's fingerprint.

        If open clients of a company have different limits, the strictest values apply to all. A
        company without clients or state is dropped.
        """
        with self._mutex:
            known = self._companies.get(company)
            if known is None:
                self._sweep()
                known = self._companies[company] = CompanyLimits(company, limits, self.make_queue)
            limiter = Limiter(limits, known)
            known.attach(limiter)
            return limiter

    @abstractmethod
    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue of `company` for the running loop."""

    def _sweep(self) -> None:
        """Drop idle companies, each time their number has doubled."""
        if len(self._companies) < self._sweep_at:
            return
        kept = {name: known for name, known in self._companies.items() if not known.is_idle()}
        self._companies = kept
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(kept))
