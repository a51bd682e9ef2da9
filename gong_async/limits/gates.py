"""The limits as values, and what a client needs of anything that enforces them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from attrs import field, frozen

from gong_async.errors import ConfigurationError


def _above_zero(instance: object, attribute: Any, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"Limits.{attribute.name} must be above 0, got {value}")


def _share(instance: object, attribute: Any, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigurationError(f"Limits.{attribute.name} must be from 0 to below 1, got {value}")


@frozen(kw_only=True)
class Limits:
    """What Gong allows a company: all its programs together, 3 calls a second and 10,000 a day.

    Gong's page: https://help.gong.io/docs/what-the-gong-api-provides

    Raises:
        ConfigurationError: a number cannot be meant.
    """

    per_second: float | None = field(default=3.0, validator=_above_zero)
    """Calls a second; None for no pace."""
    per_day: int | None = field(default=10_000, validator=_above_zero)
    """Calls in any 24 hours; None for no count."""
    max_in_flight: int = field(default=16, validator=_above_zero)
    """Calls that may wait for their answer at the same time."""
    headroom: float = field(default=0.02, validator=_share)
    """Share of the pace that is left unused, so that late and early arrivals do no harm."""

    @property
    def interval(self) -> float:
        """Seconds between two calls."""
        return 0.0 if self.per_second is None else 1.0 / (self.per_second * (1.0 - self.headroom))


class Turn(Protocol):
    """The right to send one request now. Given back when its block is left."""

    @property
    def waited(self) -> float:
        """Seconds from asking until the turn was granted."""
        ...

    def accepted(self) -> None:
        """Tell that the request was not refused by Gong's limit."""
        ...

    def refused(self, hold: float) -> None:
        """Tell that Gong's limit refused the request: hold everybody for `hold` seconds."""
        ...


class Limiter(Protocol):
    """Whatever enforces the limits: in this process, on this host, or between hosts."""

    def turn(self, *, patience: float) -> AbstractAsyncContextManager[Turn]:
        """Wait for the right to send one request, first come, first served.

        Args:
            patience: seconds that a refusal by Gong may hold this caller; a longer hold raises.

        Raises:
            DailyQuotaExceededError: the day's calls are used up.
            RateLimitError: Gong's refusal of another call holds everybody beyond `patience`.
        """
        ...
