"""Limits kept in the memory of this process, for all clients, threads and event loops."""

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
"""Turns of the loop that are waited at most where no timer is fine enough."""


def _state(limiter: MemoryLimiter) -> LimiterState:
    return LimiterState(limiter.limits)


@define(eq=False)
class MemoryLimiter(QueuedLimiter):
    """Enforces `Limits` in one process, over any number of clients, threads and loops.

    Calls in flight are counted by a semaphore for each loop; pace, day and hold are one gate for
    all of them. Nothing is booked ahead: the slot is taken at the moment of the grant, so that a
    cancelled call takes nothing with it. After a refusal by Gong everybody is held; then one call
    probes, and when it is accepted, the others follow at the pace.
    """

    state: LimiterState = field(init=False, default=Factory(_state, takes_self=True), repr=False)
    mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    wall_offset: float = field(factory=lambda: time.time() - time.monotonic(), init=False)
    """Added to steady time it is the time of day, as of the start: later steps of the wall clock
    neither free calls of the day nor take them."""

    def make_backend(self, queue: Queue) -> LimitBackend:
        """Return a keeper for the running loop."""
        # Clocks of loops may start anywhere (virtual time does); one scale serves them all.
        loop = asyncio.get_running_loop()
        return MemoryBackend(self, queue, loop, loop.time() - time.monotonic())

    def keep_to(self, limits: Limits) -> None:
        """Go on with other limits; what was counted and learned stays."""
        if limits == self.limits:
            return
        with self.mutex:
            self.limits = limits
            self.state.keep_to(limits)
        self._for_each_queue(lambda queue: queue.resize(limits.max_in_flight))

    def is_idle(self) -> bool:
        """Whether nobody waits, nothing is under way, and nothing is left to remember."""
        now = time.monotonic()
        with self.mutex:
            counted = self.state.day.used(now + self.wall_offset)
            held = self.state.paused_until is not None and self.state.paused_until > now
            return self.load == NO_LOAD and not counted and not held

    @property
    def load(self) -> Load:
        """How many calls this process has, in all its loops."""
        return sum((queue.load for loop, queue in self.queues() if not loop.is_closed()), NO_LOAD)

    def after_fork(self) -> None:
        """After a fork: what the parent has under way is the parent's, the probe too."""
        super().after_fork()
        self.mutex = threading.Lock()  # another thread of the parent may have held the old one
        self.state.probe_until = None

    def wake(self) -> None:
        """Let the head of every queue ask again, in whatever thread it waits."""
        self._for_each_queue(Queue.wake)

    def _for_each_queue(self, publish: Callable[[Queue], None]) -> None:
        """Tell every queue in the thread of its own loop."""
        for loop, queue in self.queues():
            try:
                loop.call_soon_threadsafe(publish, queue)
            except RuntimeError:
                continue  # that loop is closed, and so nobody waits in it


@define(eq=False)
class MemoryBackend:
    """Asks the gate of a `MemoryLimiter` by the clock of one loop."""

    limiter: MemoryLimiter
    queue: Queue
    loop: asyncio.AbstractEventLoop
    offset: float

    def now(self) -> float:
        """Return the loop's time on the scale that all loops share."""
        return self.loop.time() - self.offset

    def begin(self, now: float, priority: Priority, max_wait: float, *, free: bool) -> bool | None:
        """Raise at once what the queue could only lead to; take a turn if one is there."""
        limiter = self.limiter
        wall = now + limiter.wall_offset
        with limiter.mutex:
            if limiter.state.wait(now, wall, priority, max_wait) or not free:
                return None
            return limiter.state.take(now, wall, priority, now)

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        limiter, state = self.limiter, self.limiter.state
        for _ in range(_MOST_YIELDS):
            now = self.now()
            wall = now + limiter.wall_offset
            with limiter.mutex:
                if not (wait := state.wait(now, wall, priority, max_wait)):
                    since = self.queue.since[priority] if self.queue.waiting[priority] else now
                    return 0.0, state.take(now, wall, priority, since)
                makes_up = wait == state.earliest - now
            # While a call makes up for a late one, a timer that is late again loses the rate.
            # Beyond 500 calls a second that would take much of the processor.
            if not makes_up or wait >= 2 * _RESOLUTION or state.interval < 2 * _RESOLUTION:
                break
            if wait > _RESOLUTION:
                return _RESOLUTION, False
            await asyncio.sleep(0)
        return wait, False

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled; its slot stays unused."""
        limiter = self.limiter
        with limiter.mutex:
            limiter.state.undo(self.now() + limiter.wall_offset, probes=probes)
        limiter.wake()

    async def settle(self, settlement: PermitOutcome) -> None:
        """Take note of how a turn ended; let everybody look again if it matters to them."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            limiter.state.settle(now, settlement)
        if settlement.probed or settlement.pause is not None:
            limiter.wake()

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            return limiter.state.quota(now, now + limiter.wall_offset, limiter.load)


NumberT = TypeVar("NumberT", int, float)

_FIRST_SWEEP = 256


@define(eq=False)
class _CompanyLimits:
    """A company's limiter, and the clients that use it now."""

    limiter: MemoryLimiter
    clients: WeakSet[ClientLimiter] = field(factory=WeakSet)

    def agree(self) -> None:
        """Keep to limits that break those of no client."""
        wanted = [client.limits for client in self.clients]
        if not wanted:
            return
        agreed = wanted[0]
        for limits in wanted[1:]:
            agreed = strictest(agreed, limits)
        self.limiter.keep_to(agreed)


@frozen(eq=False)
class ClientLimiter:
    """One client's part in its company's limiter."""

    limits: Limits
    _company: _CompanyLimits

    def acquire(self, *, max_wait: float, priority: Priority = "interactive") -> QueuedPermit:
        """Wait for the right to send one request: see `Limiter.permit`."""
        queue, backend = self._company.limiter.queue_here()
        return QueuedPermit(queue, backend, priority, max_wait)

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        return await self._company.limiter.quota()

    def detach(self) -> None:
        """The client is closed: its limits bind nobody any more."""
        self._company.clients.discard(self)
        self._company.agree()


@define(eq=False)
class MemoryLimitStore:
    """Keeps the limits in the memory of this process.

    All clients of a company share one limiter, whatever object they are. Where the clients that
    are open name different limits, the more careful ones hold for all. A company that has nothing
    left to remember is forgotten.
    """

    _companies: dict[str, _CompanyLimits] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _sweep_at: int = field(default=_FIRST_SWEEP, init=False)

    def limiter(self, company: str, limits: Limits) -> ClientLimiter:
        """Return a seat at the limiter of `company`."""
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
        """Forget the companies that nobody would miss, each time their number has doubled."""
        if len(self._companies) < self._sweep_at:
            return
        self._companies = {
            name: company
            for name, company in self._companies.items()
            if company.clients or not company.limiter.is_idle()
        }
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._companies))


PROCESS_LIMITS = MemoryLimitStore()
"""What clients use that name no other share. The one state of this package that belongs to no
object: Gong's limits are the company's, and two clients that know nothing of each other share
them all the same."""


def strictest(one: Limits, other: Limits) -> Limits:
    """Return limits that break neither `one` nor `other`."""
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
