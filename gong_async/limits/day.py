"""The daily count of calls, by the minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import define, field, frozen

DAY = 86_400.0
MINUTE = 60.0
_ROUNDING = 1e-6  # covers the rounding errors of sums of floats


@frozen
class DayRule:
    """When a day begins and ends. Times are seconds since the epoch.

    Gong documents neither when its day begins nor whether it is a rolling window. Without `resets`
    the last 24 hours count, which is safe in either case; with it, the day begins at that time of
    day in its time zone.
    """

    resets: datetime | None = None

    def gone(self, now: float) -> float:
        """Return the start of the latest minute that no longer counts."""
        # A minute counts until its last second is a day old: the count is never too low.
        gone = now - DAY - MINUTE if self.resets is None else self._begin(now) - 2 * _ROUNDING
        return gone + _ROUNDING

    def falls_at(self, now: float, oldest: float | None) -> float:
        """Return when the count next decreases: at the reset, or when the oldest minute expires."""
        if self.resets is not None:
            return self._begin(now, days=1)
        return (now if oldest is None else oldest) + MINUTE + DAY

    def _begin(self, now: float, *, days: int = 0) -> float:
        """Return the start of the day that contains `now`, or of the one `days` later."""
        resets = self.resets or datetime.fromtimestamp(now, UTC)
        moment = datetime.fromtimestamp(now, UTC).astimezone(resets.tzinfo)
        begin = datetime.combine(moment.date(), resets.time(), resets.tzinfo)
        if begin > moment:
            begin -= timedelta(days=1)
        return (begin + timedelta(days=days)).timestamp()


@define
class DayCount:
    """Calls of the current day, counted per minute: at most 1,441 numbers."""

    rule: DayRule = field(factory=DayRule)
    _minutes: list[list[float]] = field(factory=list, init=False)
    _used: int = field(default=0, init=False)

    def used(self, now: float) -> int:
        """Return the calls of the current day."""
        gone = self.rule.gone(now) if self._minutes else 0.0
        while self._minutes and self._minutes[0][0] <= gone:
            self._used -= int(self._minutes.pop(0)[1])
        return self._used

    def add(self, now: float) -> None:
        """Count a call. After the clock was set back it counts into the latest minute."""
        last = self._minutes[-1] if self._minutes else None
        if (
            last is not None
            and now < last[0] + MINUTE
            # Without a reset, a minute that has not ended is of the present day.
            and (self.rule.resets is None or last[0] > self.rule.gone(now))
        ):
            last[1] += 1
        else:
            self._minutes.append([now, 1])
        self._used += 1

    def take_back(self, now: float) -> None:
        """Uncount one call."""
        if self.used(now) and self._minutes[-1][1] > 0:
            self._minutes[-1][1] -= 1
            self._used -= 1

    def falls_at(self, now: float) -> float:
        """Return when the count next decreases."""
        return self.rule.falls_at(now, self._minutes[0][0] if self._minutes else None)
