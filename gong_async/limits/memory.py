"""Limits in the memory of this process, for all clients, threads and event loops."""

from __future__ import annotations

import asyncio
import time

from attrs import Factory, define, field

from gong_async.limits.limiter import CompanyLimits, LimitStore
from gong_async.limits.queue import Queue
from gong_async.limits.types import PermitOutcome, Priority, Quota

_RESOLUTION = 0.001
"""Seconds: event loops round timers up to these."""
_MOST_YIELDS = 200
"""Loop iterations to wait at most where no timer is precise enough."""


@define(eq=False)
class MemoryLimitStore(LimitStore):
    """Keeps the limits in the memory of this process.

    All clients of a company share its state. If open clients have different limits, the strictest
    values apply to all. A company without clients or state is dropped.
    """

    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue of `company` for the running loop."""
        return MemoryQueue(company.limits, company)

    def __len__(self) -> int:
        return len(self._companies)


PROCESS_LIMITS = MemoryLimitStore()
"""The default limit store, and the only global state of this package: Gong's limits apply to the
company, so all clients of a process must share them."""


def _offset(queue: MemoryQueue) -> float:
    return queue.loop.time() - time.monotonic()


@define(eq=False)
class MemoryQueue(Queue):
    """Takes permits from the state that all event loops of the process share.

    Nothing is reserved ahead: the slot is taken when the permit is granted, so a cancelled call
    wastes none. A 429 pauses all calls; then one call probes, and once it is accepted the others
    follow at the rate.
    """

    company: CompanyLimits
    in_flight: int = field(default=0, init=False)  # again: its type is part of this class, too
    _offset: float = field(init=False, default=Factory(_offset, takes_self=True))
    """A loop's clock may start anywhere (virtual time does); all loops share one scale."""

    def now(self) -> float:
        """Return the loop's time on the scale that all loops share."""
        return self.loop.time() - self._offset

    def acquire_nowait(self, now: float, priority: Priority, max_wait: float) -> bool | None:
        """Raise at once the errors that waiting cannot avoid; take a permit if one is free."""
        company = self.company
        wall = now + company.wall_offset
        with company.mutex:
            wait = company.state.wait(now, wall, priority, max_wait)
            if wait or self.waiting or self.in_flight >= self.limits.max_in_flight:
                return None
            return company.state.take(now, wall, priority, now)

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        company, state = self.company, self.company.state
        wait = 0.0
        for _ in range(_MOST_YIELDS):
            now = self.now()
            wall = now + company.wall_offset
            with company.mutex:
                if not (wait := state.wait(now, wall, priority, max_wait)):
                    return 0.0, state.take(now, wall, priority, self.since[priority])
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
        """Take back a permit whose request was not sent; its slot stays unused."""
        company = self.company
        with company.mutex:
            company.state.undo(self.now() + company.wall_offset, probes=probes)
        company.wake()

    async def settle(self, outcome: PermitOutcome) -> None:
        """Record how a permit was used; wake the queues if it changes when they may go."""
        company, changes = self.company, outcome.probed or outcome.pause is not None
        if company.state.rate is None and not changes:
            return  # nothing to learn
        now = self.now()
        with company.mutex:
            company.state.settle(now, outcome)
        if changes:
            company.wake()

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""
        now, company = self.now(), self.company
        with company.mutex:
            return company.state.quota(now, now + company.wall_offset, company.load)
