"""How far an error reaches: one item, one organizer, or everything that is still to be sent."""

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

_SILENCES = 20
"""Updates in a row that got no usable answer, before a job waits."""

_FIRST_SILENT_WAIT = 60.0
_LONGEST_SILENT_WAIT = 900.0
_LEAST_ENDED = 20
_WINDOW = 100


class Scope(Enum):
    """What an error says of the items that are still to come."""

    ITEM = "item"
    ORGANIZER = "organizer"
    QUOTA = "quota"
    """No calls are left for now: the job waits for a time that is known."""
    COMPANY = "company"
    """Every further call would end the same way, until somebody acts."""
    OUTAGE = "silence"
    """No usable answer: of no account alone, but of some in a row."""


@frozen
class Stop:
    """Why no further items are begun."""

    state: JobState
    why: str
    wait: float | None = None
    """Seconds after which the job can go on by itself; None if somebody has to act."""
    firm: bool = False
    """Whether nothing may be sent before, whoever wishes it."""


def as_asked(what: str) -> Stop:
    """Return what a request to pause or to cancel makes of a job."""
    return Stop("cancelled" if what == "cancel" else "paused", "as asked")


def scope_of(error: GongError) -> Scope:
    """Return how far an error reaches."""
    match error:
        case ConflictError():
            return Scope.ORGANIZER
        case DailyQuotaExceededError() | RateLimitError():
            return Scope.QUOTA
        case AuthenticationError() | PermissionDeniedError() | TLSError() | RedirectError():
            return Scope.COMPANY
        case ConfigurationError():
            # A login that cannot be stored, limits that cannot be counted: no fault of the item.
            return Scope.COMPANY
        case APIConnectionError() | APITimeoutError() | ProtocolError() | ServerError():
            return Scope.OUTAGE
        case _:
            return Scope.ITEM


def was_refused(error: GongError, status: int | None) -> bool:
    """Whether the error is Gong's last word on this very update.

    `status` is that of the answer that the error reports; None if it reports no answer. Without an
    answer nothing was refused, whatever else went wrong.
    """
    if status is None or error.outcome_unknown:
        return False
    return scope_of(error) in {Scope.ITEM, Scope.ORGANIZER}


def stop_for(error: GongError) -> Stop | None:
    """Return what an error alone makes of the job; None if it goes on."""
    match scope_of(error):
        case Scope.QUOTA:
            wait = float(getattr(error, "retry_after", 0) or 0)
            return Stop("parked", error.message, wait, firm=True)
        case Scope.COMPANY:
            return Stop("paused", f"{error.message.rstrip('.')}. {error.hint}")
        case _:
            return None


@define
class CircuitBreaker:
    """How the last updates went: says when to stop although each error is its item's own."""

    max_failure_ratio: float | None
    _silences: int = field(default=0, init=False)
    _waits: int = field(default=0, init=False)
    _failures: list[bool] = field(factory=list, init=False)

    def note(self, error: GongError | None) -> None:
        """Take note of how an update ended."""
        if error is not None and scope_of(error) is Scope.OUTAGE:
            self._silences += 1
            return
        self._silences = self._waits = 0
        if error is None or scope_of(error) is Scope.ITEM:
            self._failures.append(error is not None)
            del self._failures[:-_WINDOW]

    @property
    def fails(self) -> bool:
        """Whether too large a share of the last updates failed."""
        ended = len(self._failures)
        if self.max_failure_ratio is None or ended < _LEAST_ENDED:
            return False
        return sum(self._failures) > self.max_failure_ratio * ended

    def silence(self) -> float | None:
        """Return the seconds to wait for Gong to be there again; None if it is."""
        if self._silences < _SILENCES:
            return None
        # After the wait, the next silence is enough.
        self._silences = _SILENCES - 1
        return self.next_wait()

    def next_wait(self) -> float:
        """Return the seconds to wait when Gong is not there; longer each time, until it is."""
        wait: float = min(_LONGEST_SILENT_WAIT, _FIRST_SILENT_WAIT * 2**self._waits)
        self._waits += 1
        return wait
