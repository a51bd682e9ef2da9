"""The values of the limiter: limits, quota, priority, and how a permit was used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

from attrs import evolve, field, frozen

from gong_async._settings.values import a_flag, a_number
from gong_async.errors import ConfigurationError
from gong_async.models._times import time_problem

NumberT = TypeVar("NumberT", int, float)

Priority = Literal["interactive", "bulk"]
"""`interactive` calls get the next free slot before `bulk` calls."""


def _aware(instance: object, attribute: Any, value: datetime | None) -> None:
    if value is not None and (problem := time_problem(value)):
        raise ConfigurationError(f"Limits.{attribute.name}: {problem}")


@frozen(kw_only=True)
class Limits:
    """A company's API limits: 3 calls per second and 10,000 per day, for all programs together.

    Source: https://help.gong.io/docs/what-the-gong-api-provides

    Raises:
        ConfigurationError: a value is out of range.
    """

    per_second: float | None = field(default=3.0, validator=a_number(above=0, optional=True))
    """Ceiling of the rate, in calls per second; None for no rate limit."""
    per_day: int | None = field(
        default=10_000, validator=a_number(whole=True, above=0, optional=True)
    )
    """Calls per day; None for no daily limit."""
    max_in_flight: int = field(default=16, validator=a_number(whole=True, above=0))
    """Concurrent calls at most."""
    headroom: float = field(default=0.02, validator=a_number(least=0, below=1))
    """Fraction of the rate that is left unused at first, to absorb network jitter."""
    learns: bool = field(default=True, validator=a_flag)
    """Whether the rate adapts: closer to the ceiling while no call is throttled, slower when one
    is. False keeps the rate that `headroom` sets."""
    reserve: int = field(default=0, validator=a_number(whole=True, least=0))
    """Calls per day that only interactive calls may use."""
    reserved_share: float = field(default=0.0, validator=a_number(least=0, below=1))
    """Fraction of the rate that only interactive calls may use."""
    day_resets: datetime | None = field(default=None, validator=_aware)
    """An instant at which Gong's day began, if you know it: the count then restarts at that time
    of day in its time zone. None counts the last 24 hours, which is always safe."""

    @property
    def interval(self) -> float:
        """Seconds between two calls, before the rate adapts."""
        return 0.0 if self.per_second is None else 1.0 / (self.per_second * (1.0 - self.headroom))


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


@frozen(kw_only=True)
class Quota:
    """Usage of a company's limits, as counted by the limiter."""

    used_today: int
    """Requests sent in the current day, throttled requests and retries included."""
    left_today: int | None
    """Requests left in the current day; None without a daily limit."""
    resets_at: datetime | None
    """When the daily count next decreases; None if nothing was counted."""
    per_second: float | None
    """The current rate, in calls per second; None without a rate limit."""
    ceiling: float | None
    """The rate's ceiling, in calls per second."""
    paused_until: datetime | None
    """End of the pause after a 429; None without a pause."""
    waiting: Mapping[Priority, int] = field(factory=dict, hash=False)
    """Calls that wait for a permit, by priority, of all callers that share these limits.

    A `MemoryLimitStore` counts all event loops of the process. A `SQLiteLimitStore` or
    `RedisLimitStore` also counts other processes, with a delay of up to two seconds. A process
    that died is dropped: from the file at once, from Redis after ten seconds. While Redis is
    unreachable, only this event loop counts.
    """
    in_flight: int = 0
    """Calls in flight, of the same callers."""


@frozen
class PermitOutcome:
    """How a permit was used. Times are on the limiter's monotonic clock."""

    sent_at: float
    probed: bool
    accepted: bool
    pause: float | None
    """Seconds to pause all calls, if the request was throttled."""
