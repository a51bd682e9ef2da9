"""One timer for all deadlines of an event loop."""

from __future__ import annotations

import asyncio
from typing import Protocol

from attrs import define, field


class Expiring(Protocol):
    """Anything with a deadline."""

    def expire(self) -> None:
        """End: the deadline has passed."""
        ...


@define(eq=False)
class Deadlines:
    """The deadlines of one loop, on its clock.

    A timer for each would cost more than all that is done here for those that end in time, which
    nearly all of them do.
    """

    _until: dict[Expiring, float] = field(factory=dict, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def add(self, one: Expiring, until: float) -> None:
        """Expire `one` at `until`, unless it is removed before."""
        self._until[one] = until
        if self._timer is None or until < self._timer.when():
            self._wake_at(until)

    def remove(self, one: Expiring) -> None:
        """Forget `one`: it has ended.

        The timer stays: the next call needs one, and one that finds nothing to do costs less than
        a timer for each call.
        """
        self._until.pop(one, None)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._look, when)

    def _look(self, now: float) -> None:
        # Timers may come a hair early by the loop's clock: the time that was waited for counts.
        self._timer = None
        for one in [one for one, until in self._until.items() if until <= now]:
            del self._until[one]
            one.expire()
        if self._until:
            self._wake_at(min(self._until.values()))
