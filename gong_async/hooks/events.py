"""What a client tells its hooks: frozen records, without secrets and without personal data."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from gong_async.errors import GongError


@frozen(kw_only=True)
class CallStarted:
    """A call was made; nothing was sent yet."""

    method: str
    route: str
    meeting_id: str | None


@frozen(kw_only=True)
class PermitAcquired:
    """A call has waited for its turn; its request goes out now."""

    method: str
    route: str
    meeting_id: str | None
    priority: str
    seconds: float


@frozen(kw_only=True)
class AttemptFinished:
    """One request came to its end: with an answer, or without."""

    method: str
    route: str
    meeting_id: str | None
    attempt: int
    status: int | None
    """HTTP status; None if there was no answer."""
    request_id: str | None
    seconds_waited: float
    """Seconds spent waiting for this attempt's turn."""
    seconds_on_wire: float
    error: GongError | None


@frozen(kw_only=True)
class RetryPlanned:
    """An attempt failed and will be repeated."""

    method: str
    route: str
    meeting_id: str | None
    attempt: int
    wait: float
    """Seconds until the repetition."""
    error: GongError


@frozen(kw_only=True)
class LimiterPaused:
    """Gong's limit refused a request: every call waits, then one probes."""

    pause: float
    """Seconds that nothing is sent."""
    request_id: str | None


@frozen(kw_only=True)
class CallFinished:
    """A call came to its end: with a result, or with `error`."""

    method: str
    route: str
    meeting_id: str | None
    attempts: int
    seconds_waited: float
    seconds_on_wire: float
    error: GongError | None
    cancelled: bool
    """The caller gave up; neither a result nor an error."""


Event = CallStarted | PermitAcquired | AttemptFinished | RetryPlanned | LimiterPaused | CallFinished


class Hook(Protocol):
    """Anything that takes events: a plain function, not an async one, or an object with `__call__`.

    It is called in the event loop and must not block. What it raises is logged and changes nothing.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of `event`."""
        ...
