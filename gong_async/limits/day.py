"""How many calls went out in the last 24 hours."""

from __future__ import annotations

from collections import deque

from attrs import define, field

DAY = 86_400.0
_GRAIN = 60.0


@define
class DayCount:
    """A rolling count over 24 hours, in seconds of any steady clock.

    Gong documents neither when its day begins nor whether it rolls; a rolling count is right for
    both. It is kept by the minute, each minute until its last second is a day old, so that a
    million calls take 1,441 numbers and the count errs on the careful side only.
    """

    limit: int | None
    _minutes: deque[list[float]] = field(factory=deque, init=False)
    _used: int = field(default=0, init=False)

    def used(self, now: float) -> int:
        """Return the calls of the last 24 hours."""
        while self._minutes and self._minutes[0][0] + _GRAIN + DAY <= now:
            self._used -= int(self._minutes.popleft()[1])
        return self._used

    def add(self, now: float) -> None:
        """Count one call."""
        if self._minutes and now < self._minutes[-1][0] + _GRAIN:
            self._minutes[-1][1] += 1
        else:
            self._minutes.append([now, 1])
        self._used += 1

    def wait(self, now: float) -> float:
        """Return the seconds until another call is free, 0 if one is."""
        if self.limit is None or self.used(now) < self.limit:
            return 0.0
        return self._minutes[0][0] + _GRAIN + DAY - now
