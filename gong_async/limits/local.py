"""The limits of one process, kept in its memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from attrs import Factory, define, field

from gong_async.limits.crowd import NOBODY, Crowd
from gong_async.limits.gate import Gate
from gong_async.limits.gates import Lane, Limits, Quota, Settlement
from gong_async.limits.limiter import Keeper, QueuedLimiter
from gong_async.limits.queue import Queue


def _gate(limiter: LocalLimiter) -> Gate:
    return Gate(limiter.limits)


@define(eq=False)
class LocalLimiter(QueuedLimiter):
    """Enforces `Limits` in one process, over any number of clients, threads and loops.

    Calls in flight are counted by a semaphore for each loop; pace, day and hold are one gate for
    all of them. Nothing is booked ahead: the slot is taken at the moment of the grant, so that a
    cancelled call takes nothing with it. After a refusal by Gong everybody is held; then one call
    probes, and when it is accepted, the others follow at the pace.
    """

    gate: Gate = field(init=False, default=Factory(_gate, takes_self=True), repr=False)
    mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    wall_offset: float = field(factory=lambda: time.time() - time.monotonic(), init=False)
    """Added to steady time it is the time of day, as of the start: later steps of the wall clock
    neither free calls of the day nor take them."""

    def make_keeper(self, queue: Queue) -> Keeper:
        """Return a keeper for the running loop."""
        # Clocks of loops may start anywhere (virtual time does); one scale serves them all.
        loop = asyncio.get_running_loop()
        return LocalKeeper(self, loop, loop.time() - time.monotonic())

    def keep_to(self, limits: Limits) -> None:
        """Go on with other limits; what was counted and learned stays."""
        if limits == self.limits:
            return
        with self.mutex:
            self.limits = limits
            self.gate.keep_to(limits)
        self._tell_queues(lambda queue: queue.resize(limits.max_in_flight))

    def is_idle(self) -> bool:
        """Whether nobody waits, nothing is under way, and nothing is left to remember."""
        now = time.monotonic()
        with self.mutex:
            counted = self.gate.day.used(now + self.wall_offset)
            held = self.gate.held_until is not None and self.gate.held_until > now
            return self.crowd == NOBODY and not counted and not held

    @property
    def crowd(self) -> Crowd:
        """How many calls this process has, in all its loops."""
        return sum((queue.crowd for loop, queue in self.queues() if not loop.is_closed()), NOBODY)

    def take(self, now: float, wall: float, lane: Lane) -> bool:
        """Take a turn, which may be late; return whether it probes. The mutex is ours."""
        gate, since = self.gate, None
        if gate.pace is not None and gate.next_slot < now:
            queues = [queue for loop, queue in self.queues() if not loop.is_closed()]
            since = min((one.since[lane] for one in queues if one.waiting[lane]), default=None)
        return gate.take(now, wall, lane, since)

    def leave_parent(self) -> None:
        """After a fork: what the parent has under way is the parent's, the probe too."""
        super().leave_parent()
        self.mutex = threading.Lock()  # another thread of the parent may have held the old one
        self.gate.probe_until = None

    def look_again(self) -> None:
        """Let the head of every queue ask again, in whatever thread it waits."""
        self._tell_queues(Queue.look_again)

    def _tell_queues(self, tell: Callable[[Queue], None]) -> None:
        """Tell every queue in the thread of its own loop."""
        for loop, queue in self.queues():
            try:
                loop.call_soon_threadsafe(tell, queue)
            except RuntimeError:
                continue  # that loop is closed, and so nobody waits in it


@define(eq=False)
class LocalKeeper:
    """Asks the gate of a `LocalLimiter` by the clock of one loop."""

    limiter: LocalLimiter
    loop: asyncio.AbstractEventLoop
    offset: float

    def now(self) -> float:
        """Return the loop's time on the scale that all loops share."""
        return self.loop.time() - self.offset

    def begin(self, now: float, lane: Lane, patience: float, *, free: bool) -> bool | None:
        """Raise at once what the queue could only lead to; take a turn if one is there."""
        limiter = self.limiter
        wall = now + limiter.wall_offset
        with limiter.mutex:
            if limiter.gate.wait(now, wall, lane, patience) or not free:
                return None
            return limiter.take(now, wall, lane)

    async def ask(self, lane: Lane, patience: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        now, limiter = self.now(), self.limiter
        wall = now + limiter.wall_offset
        with limiter.mutex:
            if wait := limiter.gate.wait(now, wall, lane, patience):
                return wait, False
            return 0.0, limiter.take(now, wall, lane)

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled; its slot stays unused."""
        limiter = self.limiter
        with limiter.mutex:
            limiter.gate.undo(self.now() + limiter.wall_offset, probes=probes)
        limiter.look_again()

    async def settle(self, settlement: Settlement) -> None:
        """Take note of how a turn ended; let everybody look again if it matters to them."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            limiter.gate.settle(now, settlement)
        if settlement.probed or settlement.hold is not None:
            limiter.look_again()

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        now, limiter = self.now(), self.limiter
        with limiter.mutex:
            return limiter.gate.quota(now, now + limiter.wall_offset, limiter.crowd)
