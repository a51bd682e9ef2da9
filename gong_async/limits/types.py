"""The limits as values, and what a client needs of anything that enforces them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from attrs import field, frozen

from gong_async._settings import a_flag, a_number
from gong_async.errors import ConfigurationError
from gong_async.models._times import time_problem

Priority = Literal["interactive", "bulk"]
"""Who asks: somebody who waits for one answer, or a job that has time."""


def _aware(instance: object, attribute: Any, value: datetime | None) -> None:
    if value is not None and (problem := time_problem(value)):
        raise ConfigurationError(f"Limits.{attribute.name}: {problem}")


@frozen(kw_only=True)
class Limits:
    """What Gong allows a company: all its programs together, 3 calls a second and 10,000 a day.

    Gong's page: https://help.gong.io/docs/what-the-gong-api-provides

    Raises:
        ConfigurationError: a number cannot be meant.
    """

    per_second: float | None = field(default=3.0, validator=a_number(above=0, optional=True))
    """Calls a second, the ceiling of the pace; None for no pace."""
    per_day: int | None = field(
        default=10_000, validator=a_number(whole=True, above=0, optional=True)
    )
    """Calls a day; None for no count."""
    max_in_flight: int = field(default=16, validator=a_number(whole=True, above=0))
    """Calls that may wait for their answer at the same time."""
    headroom: float = field(default=0.02, validator=a_number(least=0, below=1))
    """Share of the pace that is left unused at first: room for late and early arrivals."""
    learns: bool = field(default=True, validator=a_flag)
    """Whether the pace goes closer to the ceiling while nothing is refused, and slower when
    something is. False keeps it where `headroom` puts it."""
    reserve: int = field(default=0, validator=a_number(whole=True, least=0))
    """Calls of the day that bulk calls leave to interactive ones."""
    reserved_share: float = field(default=0.0, validator=a_number(least=0, below=1))
    """Share of each second that bulk calls leave to interactive ones."""
    day_resets: datetime | None = field(default=None, validator=_aware)
    """An instant at which Gong's day began, if you know it: the count then starts anew every 24
    hours of that zone's wall clock. None counts the last 24 hours, which is right for any day."""

    @property
    def interval(self) -> float:
        """Seconds between two calls, as long as nothing was learned."""
        return 0.0 if self.per_second is None else 1.0 / (self.per_second * (1.0 - self.headroom))


@frozen(kw_only=True)
class Quota:
    """How much of a company's limits is used, as far as this limiter knows."""

    used_today: int
    """Requests that went out in the present day, refusals and repetitions included."""
    left_today: int | None
    """Requests left of the day; None without a limit."""
    resets_at: datetime | None
    """When the day's count falls next; None if nothing was counted."""
    per_second: float | None
    """The pace at present, in calls per second; None without one."""
    ceiling: float | None
    """The pace's ceiling, in calls per second."""
    paused_until: datetime | None
    """Until when a refusal by Gong holds every call; None if none does."""
    waiting: Mapping[Priority, int] = field(factory=dict, hash=False)
    """Calls that wait for a permit, by priority, of all that share these limits.

    Limits kept in the process count all its event loops. A `SQLiteLimitStore` or `RedisLimitStore`
    also counts other processes, as they were a second or two ago. One that has died is forgotten:
    in the file at once, in Redis after ten seconds. While Redis is unreachable, only this loop
    counts.
    """
    in_flight: int = 0
    """Calls that are under way, of the same callers."""


@frozen
class PermitOutcome:
    """How a turn ended. Times are on the limiter's steady clock."""

    sent_at: float
    probed: bool
    accepted: bool
    pause: float | None
    """Seconds to hold everybody, if Gong's limit refused the request."""


class Permit(Protocol):
    """The right to send one request now. Given back when its block is left."""

    @property
    def waited(self) -> float:
        """Seconds from asking until the turn was granted."""
        ...

    def accepted(self) -> None:
        """Tell that the request was not refused by Gong's limit."""
        ...

    def refused(self, pause: float) -> None:
        """Tell that Gong's limit refused the request: hold everybody for `pause` seconds."""
        ...

    def unused(self) -> None:
        """Tell that no request went out after all."""
        ...


class Limiter(Protocol):
    """Whatever enforces the limits: in this process, on this host, or between hosts."""

    def acquire(
        self, *, max_wait: float, priority: Priority = "interactive"
    ) -> AbstractAsyncContextManager[Permit]:
        """Wait for the right to send one request: interactive calls first, then first come.

        Args:
            max_wait: seconds that a pause after a 429 may delay this call; a longer pause raises.
            priority: who asks.

        Raises:
            DailyQuotaExceededError: the day's calls are used up, or what this priority may use.
            RateLimitError: a 429 of another call pauses all calls for longer than `max_wait`.
        """
        ...

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        ...

    def detach(self) -> None:
        """Tell that the client is closed: its limits bind nobody any more."""
        ...


class LimitStore(Protocol):
    """Where limits are kept: hands out the one limiter of a company."""

    def limiter(self, company: str, limits: Limits) -> Limiter:
        """Return the limiter of `company`, which is an API origin and a key's fingerprint."""
        ...
