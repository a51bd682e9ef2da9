"""Scope of an error: one item, one organizer, or every remaining item."""

from __future__ import annotations

from enum import Enum

from attrs import define, field, frozen

from gong_async.bulk.records import JobState
from gong_async.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    DailyQuotaExceededError,
    GongError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
)

_OUTAGES = 20
"""Consecutive updates without a usable response before a job waits."""

_FIRST_OUTAGE_WAIT = 60.0
_LONGEST_OUTAGE_WAIT = 900.0
_LEAST_ENDED = 20
_WINDOW = 100


class Scope(Enum):
    """Which of the remaining items an error affects."""

    ITEM = "item"
    ORGANIZER = "organizer"
    QUOTA = "quota"
    """No quota is left: the job waits until a known time."""
    COMPANY = "company"
    """Every further call would fail until a person acts."""
    OUTAGE = "silence"
    """No usable response; stops the job only after several in a row."""


@frozen
class Stop:
    """Why a job starts no further items."""

    state: JobState
    reason: str
    wait: float | None = None
    """Seconds until the job can resume by itself; None if a person must act."""
    mandatory: bool = False
    """Whether nothing may be sent before, even if a user resumes the job."""


REQUESTED = "requested"
"""The reason of a stop that a user requested."""


def requested_stop(request: str) -> Stop:
    """Return the stop for a request to pause or cancel."""
    return Stop("cancelled" if request == "cancel" else "paused", REQUESTED)


def scope_of(error: GongError) -> Scope:
    """Return the scope of an error."""
    match error:
        case ConflictError():
            return Scope.ORGANIZER
        case DailyQuotaExceededError() | RateLimitError():
            return Scope.QUOTA
        case AuthenticationError() | PermissionDeniedError() | TLSError() | RedirectError():
            return Scope.COMPANY
        case ConfigurationError():
            # An unusable login store or limit store is not the fault of the item.
            return Scope.COMPANY
        case APIConnectionError() | APITimeoutError() | ProtocolError() | ServerError():
            return Scope.OUTAGE
        case _:
            return Scope.ITEM


def was_refused(error: GongError, status: int | None) -> bool:
    """Whether Gong definitively rejected this update.

    `status` is the status of the response that the error reports, None without one. Without a
    response, nothing was rejected.
    """
    if status is None or error.outcome_unknown:
        return False
    return scope_of(error) in {Scope.ITEM, Scope.ORGANIZER}


def stop_for(error: GongError) -> Stop | None:
    """Return the stop that an error alone causes; None if the job continues."""
    match scope_of(error):
        case Scope.QUOTA:
            wait = float(getattr(error, "retry_after", 0) or 0)
            return Stop("waiting", error.message, wait, mandatory=True)
        case Scope.COMPANY:
            return Stop("paused", f"{error.message.rstrip('.')}. {error.hint}")
        case _:
            return None


@define
class CircuitBreaker:
    """Circuit breaker: stops a job when too many recent updates failed."""

    max_failure_ratio: float | None
    _outages: int = field(default=0, init=False)
    _waits: int = field(default=0, init=False)
    _failures: list[bool] = field(factory=list, init=False)

    def note(self, error: GongError | None) -> None:
        """Record the outcome of an update."""
        if error is not None and scope_of(error) is Scope.OUTAGE:
            self._outages += 1
            return
        self._outages = self._waits = 0
        if error is None or scope_of(error) is Scope.ITEM:
            self._failures.append(error is not None)
            del self._failures[:-_WINDOW]

    @property
    def fails(self) -> bool:
        """Whether too many of the last updates failed."""
        ended = len(self._failures)
        if self.max_failure_ratio is None or ended < _LEAST_ENDED:
            return False
        return sum(self._failures) > self.max_failure_ratio * ended

    def outage(self) -> float | None:
        """Return the seconds to wait in an outage; None if there is none."""
        if self._outages < _OUTAGES:
            return None
        # After the wait, one more failure is enough.
        self._outages = _OUTAGES - 1
        return self.next_wait()

    def next_wait(self) -> float:
        """Return the next wait in an outage; doubles each time, up to a maximum."""
        wait: float = min(_LONGEST_OUTAGE_WAIT, _FIRST_OUTAGE_WAIT * 2**self._waits)
        self._waits += 1
        return wait
