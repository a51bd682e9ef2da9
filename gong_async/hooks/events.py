"""The events that hooks receive: frozen records without secrets or personal data.

`path` has the value of each variable of `route`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import field, frozen

from gong_async.errors import GongError


@frozen(kw_only=True)
class CallStarted:
    """A call has started; nothing was sent yet."""

    method: str
    route: str
    path: Mapping[str, str] = field(hash=False)


@frozen(kw_only=True)
class PermitAcquired:
    """A call has waited for a permit and now sends its request."""

    method: str
    route: str
    path: Mapping[str, str] = field(hash=False)
    priority: str
    seconds: float


@frozen(kw_only=True)
class AttemptFinished:
    """One attempt has ended, with or without a response."""

    method: str
    route: str
    path: Mapping[str, str] = field(hash=False)
    attempt: int
    status: int | None
    """HTTP status; None without a response."""
    request_id: str | None
    seconds_waited: float
    """Seconds spent waiting for this attempt's permit."""
    seconds_on_wire: float
    error: GongError | None


@frozen(kw_only=True)
class RetryPlanned:
    """An attempt failed and the call will be retried."""

    method: str
    route: str
    path: Mapping[str, str] = field(hash=False)
    attempt: int
    wait: float
    """Seconds until the retry."""
    error: GongError


@frozen(kw_only=True)
class LimiterPaused:
    """A request was throttled (429): all calls pause, then one probes."""

    pause: float
    """Seconds during which nothing is sent."""
    request_id: str | None


@frozen(kw_only=True)
class CallFinished:
    """A call has ended, with a result, with `error`, or cancelled."""

    method: str
    route: str
    path: Mapping[str, str] = field(hash=False)
    attempts: int
    seconds_waited: float
    seconds_on_wire: float
    error: GongError | None
    cancelled: bool
    """The caller cancelled the call; there is neither a result nor an error."""


Event = CallStarted | PermitAcquired | AttemptFinished | RetryPlanned | LimiterPaused | CallFinished


class Hook(Protocol):
    """A callable that receives events: a plain function, not an async one.

    It is called in the event loop and must not block. Its exceptions are logged and do not affect
    the call.
    """

    def __call__(self, event: Event, /) -> None:
        """Handle `event`."""
        ...
