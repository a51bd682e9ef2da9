"""When a bulk run stops: trouble that would befall every further row as well."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define, field

from gong_async.bulk.engine import Outcome
from gong_async.errors import (
    APIConnectionError,
    APITimeoutError,
    DailyQuotaExceededError,
    GongError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
    UsageError,
)

Kind = Literal["at once", "denied", "limited", "elsewhere", "silent"]

_UNAUTHORIZED = 401
_IN_A_ROW: dict[Kind, int] = {
    "at once": 1,
    "denied": 3,
    "limited": 3,
    "elsewhere": 3,
    "silent": 20,
}


@define
class Trouble:
    """Looks at outcomes as they come and says when to stop.

    A refused credential, a used-up day and a long wait stop a run at once. What may be one
    meeting's own trouble has to befall several meetings one after the other.
    """

    patience: float
    """Seconds: a longer wait asked for by Gong is not waited for."""
    _kind: Kind | None = field(default=None, init=False)
    _meetings: set[str] = field(factory=set, init=False)

    def look(self, outcome: Outcome[Any, Any], meeting_id: str) -> GongError | None:
        """Return the error to stop for; None to go on."""
        error = outcome.error
        kind = None if error is None else self._kind_of(error)
        if kind != self._kind:
            self._kind = kind
            self._meetings.clear()
        if kind is None:
            return None
        self._meetings.add(meeting_id)
        return error if len(self._meetings) >= _IN_A_ROW[kind] else None

    def _kind_of(self, error: GongError) -> Kind | None:
        if error.status == _UNAUTHORIZED or isinstance(error, DailyQuotaExceededError | UsageError):
            return "at once"
        match error:
            case RateLimitError():
                # Without an attempt: an earlier refusal holds every call for too long.
                long = error.attempts == 0 or (error.retry_after or 0.0) > self.patience
                return "at once" if long else "limited"
            case PermissionDeniedError():
                return "denied"
            case TLSError() | RedirectError():
                return "elsewhere"
            case APIConnectionError() | APITimeoutError() | ProtocolError() | ServerError():
                return "silent"
            case _:
                return None
