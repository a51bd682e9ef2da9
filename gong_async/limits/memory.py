"""Limits in the memory of this process, for all clients, threads and event loops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from attrs import Factory, define, evolve, field, frozen

from gong_async.limits.limiter import LimitBackend, QueuedLimiter, QueuedPermit
from gong_async.limits.load import NO_LOAD, Load
from gong_async.limits.queue import Queue
from gong_async.limits.state import LimiterState
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

_RESOLUTION = 0.001
"""Seconds: event loops round timers up to these."""
_MOST_YIELDS = 200
"""Loop iterations to wait at most where no timer is precise enough."""


def _state(limiter: MemoryLimiter) -> LimiterState:
    return LimiterState(limiter.limits)


@define(eq=False)
class MemoryLimiter(QueuedLimiter):
    """Enforces `Limits` in one process, over any number of clients, threads and event loops.

    Each loop counts its calls in flight with a semaphore; all loops share one `LimiterState` for
    rate, day and pause. Nothing is reserved ahead: the slot is taken when the permit is granted, so
    a cancelled call wastes none. A 429 pauses all calls; then one call probes, and once it is
    accepted the others follow at the rate.
    """

    state: LimiterState = field(init=False, default=Factory(_state, takes_self=True), repr=False)
    mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    wall_offset: float = field(factory=lambda: time.time() - time.monotonic(), init=False)
    """Added to monotonic time it is the wall time. Fixed at the start, so that later steps of the
    wall clock do not change the daily count."""

    def make_backend(self, queue: Queue) -> LimitBackend:
        """Return a backend for the running loop."""
        # A loop's clock may start anywhere (virtual time does); all share one scale.
        loop = asyncio.get_running_loop()
        return MemoryBackend(self, queue, loop, loop.time() - time.monotonic())

    def keep_to(self, limits: Limits) -> None:
        """Apply other limits; what was counted and learned stays."""
        if limits == self.limits:
            return
        with self.mutex:
            self.limits = limits
            self.state.keep_to(limits)
        self._for_each_queue(lambda queue: queue.resize(limits.max_in_flight))

    def is_idle(self) -> bool:
        """Whether no call waits or is in flight, and there is no state to keep."""
        now = time.monotonic()
        with self.mutex:
            counted = self.state.day.used(now + self.wall_offset)
            paused = self.state.paused_until is not None and self.state.paused_until > now
            return self.load == NO_LOAD and not counted and not paused

    @property
    def load(self) -> Load:
        """Calls that wait and calls in flight, in all loops of this process."""
        return sum((queue.load for loop, queue in self.queues() if not loop.is_closed()), NO_LOAD)

    def after_fork(self) -> None:
        """Drop the parent's queues and probe after a fork: its calls are not ours."""
        super().after_fork()
        self.mutex = threading.Lock()  # another thread of the parent may own the old one
        self.state.probe_until = None

    def wake(self) -> None:
        """Wake the queues of all loops, whatever threads they run in."""
        self._for_each_queue(Queue.wake)

    def _for_each_queue(self, action: Callable[[Queue], None]) -> None:
        """Call `action` with every queue, in the thread of the queue's loop."""
        for loop, queue in self.queues():
            try:
                loop.call_soon_threadsafe(action, queue)
            except RuntimeError:
                continue  # the loop is closed, so no call waits in it


@define(eq=False)
class MemoryBackend:
    """The state of a `MemoryLimiter` on the clock of one event loop."""

    limiter: MemoryLimiter
    queue: Queue
    loop: asyncio.AbstractEventLoop
    offset: float

    def now(self) -> float:
        """Return the loop's time on the scale that all loops share."""
        return self.loop.time() - self.offset

    def begin(self, now: float, priority: Priority, max_wait: float, *, free: bool) -> bool | None:
        """Raise at once the errors that waiting cannot avoid; take a permit if one is free."""
        limiter = self.limiter
        wall = now + limiter.wall_offset
        with limiter.mutex:
            if limiter.state.wait(now, wall, priority, max_wait) or not free:
                return None
            return limiter.state.take(now, wall, priority, now)

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        limiter, state = self.limiter, self.limiter.state
        wait = 0.0
        for _ in range(_MOST_YIELDS):
            now = self.now()
            wall = now + limiter.wall_offset
            with limiter.mutex:
                if not (wait := state.wait(now, wall, priority, max_wait)):
                    since = self.queue.since[priority] if self.queue.waiting[priority] else now
                    return 0.0, state.take(now, wall, priority, since)
                makes_up = wait == state.earliest - now
            # While a call makes up for a late one, another late timer would lower the rate.
            # Beyond 500 calls per second this would take too much CPU.
            if not makes_up or wait >= 2 * _RESOLUTION or state.interval < 2 * _RESOLUTION:
                break
            if wait > _RESOLUTION:
                return _RESOLUTION, False
            await asyncio.sleep(0)
        return wait, False

    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose call was cancelled; its slot stays unused."""
        limiter = self.limiter
        with limiter.mutex:
            limiter.state.undo(self.now() + limiter.wall_offset, probes=probes)
        limiter.wake()

    async def settle(self, settlement: PermitOutcome) -> None:
        """Record how a permit was used; wake the queues if it changes when they may go."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            limiter.state.settle(now, settlement)
        if settlement.probed or settlement.pause is not None:
            limiter.wake()

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            return limiter.state.quota(now, now + limiter.wall_offset, limiter.load)


NumberT = TypeVar("NumberT", int, float)

_FIRST_SWEEP = 256


@define(eq=False)
class _CompanyLimits:
    """A company's limiter, and the clients that use it."""

    limiter: MemoryLimiter
    clients: WeakSet[ClientLimiter] = field(factory=WeakSet)

    def agree(self) -> None:
        """Apply the strictest of all clients' limits."""
        wanted = [client.limits for client in self.clients]
        if not wanted:
            return
        agreed = wanted[0]
        for limits in wanted[1:]:
            agreed = strictest(agreed, limits)
        self.limiter.keep_to(agreed)


@frozen(eq=False)
class ClientLimiter:
    """One client's view of its company's limiter."""

    limits: Limits
    _company: _CompanyLimits

    def acquire(self, *, max_wait: float, priority: Priority = "interactive") -> QueuedPermit:
        """Wait for a permit: see `Limiter.acquire`."""
        queue, backend = self._company.limiter.queue_here()
        return QueuedPermit(queue, backend, priority, max_wait)

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        return await self._company.limiter.quota()

    def detach(self) -> None:
        """Note that the client is closed: its limits no longer apply."""
        self._company.clients.discard(self)
        self._company.agree()


@define(eq=False)
class MemoryLimitStore:
    """Keeps the limits in the memory of this process.

    All clients of a company share one limiter. If open clients have different limits, the
    strictest values apply to all. A company without clients or state is dropped.
    """

    _companies: dict[str, _CompanyLimits] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _sweep_at: int = field(default=_FIRST_SWEEP, init=False)

    def limiter(self, company: str, limits: Limits) -> ClientLimiter:
        """Return a client's view of the limiter of `company`."""
        with self._mutex:
            known = self._companies.get(company)
            if known is None:
                self._sweep()
                known = self._companies[company] = _CompanyLimits(MemoryLimiter(limits))
            client = ClientLimiter(limits, known)
            known.clients.add(client)
            known.agree()
            return client

    def __len__(self) -> int:
        return len(self._companies)

    def _sweep(self) -> None:
        """Drop the companies without clients or state, each time their number has doubled."""
        if len(self._companies) < self._sweep_at:
            return
        self._companies = {
            name: company
            for name, company in self._companies.items()
            if company.clients or not company.limiter.is_idle()
        }
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._companies))


PROCESS_LIMITS = MemoryLimitStore()
"""The default limit store, and the only global state of this package: Gong's limits apply to the
company, so all clients of a process must share them."""


def strictest(one: Limits, other: Limits) -> Limits:
    """Return limits that satisfy both `one` and `other`."""
    if one == other:
        return one
    return evolve(
        one,
        per_second=_least(one.per_second, other.per_second),
        per_day=_least(one.per_day, other.per_day),
        max_in_flight=min(one.max_in_flight, other.max_in_flight),
        headroom=max(one.headroom, other.headroom),
        reserve=max(one.reserve, other.reserve),
        reserved_share=max(one.reserved_share, other.reserved_share),
    )


def _least(one: NumberT | None, other: NumberT | None) -> NumberT | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
