"""The fake company's limits: calls per second and per day."""

from __future__ import annotations

import math
from collections import deque

from attrs import define, field

from gong_async.testing.algorithms import (
    TOLERANCE,
    Algorithm,
    AlgorithmName,
    make_algorithm,
)

DAY = 86_400.0
"""Seconds in a day."""


@define(kw_only=True)
class DayCounter:
    """Calls of one day: the last 24 hours, or counted from a fixed instant.

    `resets_after` is in seconds from the first call to the first reset; None makes the day roll.
    """

    resets_after: float | None = None
    length: float = DAY
    _taken: deque[float] = field(factory=deque, init=False)
    _start: float | None = field(default=None, init=False)

    def wait(self, now: float, limit: int) -> float:
        """Say how many seconds from `now` a call would fit into the day."""
        self._forget(now)
        if len(self._taken) < limit:
            return 0.0
        if self._start is not None:
            return self._start + self.length - now
        oldest = self._taken[-limit] if limit > 0 else now
        return oldest + self.length - now

    def take(self, now: float, limit: int) -> None:
        """Count one call; no more than `limit` are remembered."""
        self._forget(now)
        self._taken.append(now)
        while len(self._taken) > max(1, limit):
            self._taken.popleft()

    def used(self, now: float) -> int:
        """Count the calls of the present day."""
        self._forget(now)
        return len(self._taken)

    def _forget(self, now: float) -> None:
        taken = self._taken
        if self.resets_after is None:
            while taken and now - taken[0] >= self.length - TOLERANCE:
                taken.popleft()
            return
        if self._start is None:
            self._start = now + self.resets_after - self.length
        days = math.floor((now - self._start + TOLERANCE) / self.length)
        if days > 0:
            self._start += days * self.length
            taken.clear()


class FakeQuota:
    """Both limits together; may be changed while the server runs.

    Attributes:
        per_second: Calls per second, also a fraction; None switches the limit off.
        per_day: Calls per day; None switches the limit off.
        count_refused: Whether a refused call uses up the day, too. Gong does not say.
        refusals: Calls refused so far, by either limit.
    """

    def __init__(
        self,
        *,
        per_second: float | None = 3,
        per_day: int | None = 10_000,
        algorithm: AlgorithmName = "sliding_window",
        day_reset: float | None = None,
        count_refused: bool = False,
    ) -> None:
        self._pace: Algorithm = make_algorithm(algorithm, 1.0)
        self._algorithm: AlgorithmName = algorithm
        self._day = DayCounter(resets_after=day_reset)
        self.per_second = per_second
        self.per_day = per_day
        self.count_refused = count_refused
        self.refusals: int = 0

    @property
    def algorithm(self) -> AlgorithmName:
        """The name of the way in which seconds are counted."""
        return self._algorithm

    @property
    def per_second(self) -> float | None:
        """Calls per second; None when unlimited."""
        return self._per_second

    @per_second.setter
    def per_second(self, rate: float | None) -> None:
        if rate is not None:
            if not rate > 0:
                raise ValueError(f"per_second must be more than 0, or None for no limit: {rate!r}")
            self._pace.rate = float(rate)
        self._per_second: float | None = rate

    def admit(self, now: float) -> float:
        """Let a call in (0.0), or say in how many seconds it would be let in."""
        day = 0.0 if self.per_day is None else self._day.wait(now, self.per_day)
        pace = 0.0 if self.per_second is None else self._pace.wait(now)
        wait = max(day, pace)
        if not wait and self.per_second is not None:
            self._pace.take(now)
        if wait:
            self.refusals += 1
        if self.per_day is not None and (not wait or self.count_refused):
            self._day.take(now, self.per_day)
        return wait

    def used_today(self, now: float) -> int:
        """Count the calls of the present day; `now` is a time of the server's loop."""
        return self._day.used(now)


def retry_after(wait: float) -> str:
    """Write a wait of seconds as Gong's `Retry-After`: whole seconds, rounded up, at least 1."""
    return str(max(1, math.ceil(wait - TOLERANCE)))
