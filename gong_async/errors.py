"""Everything that can go wrong, as one tree.

    GongError
    ├── ConfigurationError         a setting cannot work (also a ValueError)
    ├── ValidationError            the data of a call cannot be right (also a ValueError)
    ├── UsageError                 used in a way that cannot work (also a RuntimeError)
    ├── DailyQuotaExceededError    our own count of the day is used up
    ├── JournalError               a bulk job's journal cannot be used, or not for this
    ├── APIConnectionError         no answer: refused, unresolvable, reset, cut
    │   └── TLSError               no trust: certificate, protocol, or no TLS at all
    ├── APITimeoutError            no answer in time; `phase` says where (also a TimeoutError)
    ├── ProtocolError              an answer that cannot be believed; `flaw` says why
    │   └── DecodeError            JSON, but not the shape that we rely on; `paths` say where
    └── APIStatusError             Gong answered, and not with a success
        ├── RedirectError          3xx, never followed
        ├── RequestRejectedError   4xx
        │   ├── BadRequestError        400
        │   ├── AuthenticationError    401
        │   │   └── LoginRequiredError     the OAuth login is gone; log in again
        │   ├── PermissionDeniedError  403, and the 401 that names a missing scope
        │   ├── NotFoundError          404
        │   ├── ConflictError          409
        │   └── RateLimitError         429
        └── ServerError            5xx

The first five are raised before anything is sent. Errors hold plain data only: no request, no
response, no body, no secret. They survive `pickle`, `copy.copy` and `copy.deepcopy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal

Phase = Literal["queue", "pool", "connect", "tls", "send", "headers", "body", "total"]
"""Where an attempt was when its time ran out."""

Flaw = Literal["cut", "content", "mismatch", "not_http", "unexpected", "shape"]
"""What is wrong with an answer: cut short, not JSON, another meeting's, not HTTP, out of protocol,
or not the shape that we rely on."""

LONGEST_WAIT = 86_400.0
"""The longest wait that is obeyed, in seconds. None of Gong's limits lasts longer than a day; what
asks for more is an instant in place of a duration, or comes from a wrong clock."""


class Delivery(StrEnum):
    """How far a request is known to have come."""

    NOT_SENT = "not_sent"
    """No byte of it reached Gong."""
    MAYBE = "maybe"
    """Some of it may have reached Gong; the answer is missing or unusable."""
    ANSWERED = "answered"
    """Gong answered it."""


class GongError(Exception):
    """Anything that this library raises on purpose."""

    hint: str = ""
    """What to do next, as a sentence for people. That of the class fits any operation; an
    endpoint may have better advice."""

    def __init__(
        self,
        message: str = "",
        *,
        method: str | None = None,
        route: str | None = None,
        meeting_id: str | None = None,
        attempts: int = 0,
        status: int | None = None,
        request_id: str | None = None,
        errors: Sequence[str] = (),
        delivery: Delivery | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, without the context that `str()` adds."""
        self.method = method
        """HTTP method of the call, `PUT` for example."""
        self.route = route
        """Route template of the call, `/v2/meetings/{meetingId}` for example."""
        self.meeting_id = meeting_id
        """The meeting that the call was about, if it was about one."""
        self.attempts = attempts
        """Requests of this call that went out, or were about to."""
        self.status = status
        """HTTP status of the last answer, if there was one."""
        self.request_id = request_id
        """Gong's id of the request, to quote to Gong's support."""
        self.errors: tuple[str, ...] = tuple(errors)
        """Gong's own words, cleaned and capped."""
        self.delivery = delivery
        """How far the last attempt came."""
        self.outcome_unknown = outcome_unknown
        """True when Gong may have applied the change although this error was raised."""

    def __str__(self) -> str:
        subject = f"{self.method} {self.route}" if self.route else ""
        context = [
            subject,
            f"meeting {self.meeting_id}" if self.meeting_id else "",
            f"request id {self.request_id}" if self.request_id else "",
            f"{self.attempts} attempts" if self.attempts > 1 else "",
        ]
        where = ", ".join(part for part in context if part)
        sentences = [f"{self.message.rstrip('.')} [{where}]" if where else self.message]
        if self.outcome_unknown:
            sentences.append("The outcome is unknown: Gong may have applied the change")
        if self.hint:
            sentences.append(self.hint)
        return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls `cls(*args)` and so loses every keyword.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[GongError], args: tuple[Any, ...], state: dict[str, Any]) -> GongError:
    error = cls.__new__(cls, *args)
    error.args = args  # `TimeoutError.__new__` does not keep them
    error.__dict__.update(state)
    return error


class ConfigurationError(GongError, ValueError):
    """A setting cannot work. Raised before any I/O."""


class ValidationError(GongError, ValueError):
    """A field of a call's data cannot be right. Raised before any I/O.

    `field` is the Python name of the field, `problem` what is wrong with it.
    """

    def __init__(self, field: str = "", problem: str = "", **context: Any) -> None:
        super().__init__(f"{field}: {problem}", **context)
        self.field = field
        self.problem = problem


class UsageError(GongError, RuntimeError):
    """The client was used in a way that cannot work: after `close()`, in a foreign loop."""


class DailyQuotaExceededError(GongError):
    """Our own count says that the day's calls are used up. Nothing was sent.

    `reset_at` is when the next call is free (aware, UTC), `retry_after` the same in seconds,
    `per_day` the limit that was counted against.
    """

    hint = "Go on after the reset time, or raise `Limits.per_day` if Gong granted you more"

    def __init__(
        self,
        message: str = "",
        *,
        per_day: int = 0,
        reset_at: datetime | None = None,
        retry_after: float = 0.0,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.per_day = per_day
        self.reset_at = reset_at
        self.retry_after = retry_after


JournalFlaw = Literal["missing", "in_use", "state", "input", "company", "format", "file"]
"""Why a journal cannot be used: it is not there, another process runs it, the job is not in a state
for this, other input or another company was given, another version or program wrote the file, or
the file itself fails."""


class JournalError(GongError):
    """A bulk job's journal cannot be used, or not for what was asked. Nothing more was sent.

    `reason` says why: see `JournalFlaw`.
    """

    def __init__(self, message: str = "", *, reason: JournalFlaw = "file", **context: Any) -> None:
        super().__init__(message, **{"delivery": Delivery.NOT_SENT, **context})
        self.reason: JournalFlaw = reason


class APIConnectionError(GongError):
    """No answer came: the connection was refused, reset or cut, or the host has no address.

    `reason` is "dns" when the host name does not resolve, "connect" when no connection was made,
    "lost" when one broke.
    """

    hint = "Check the network and the base URL"

    def __init__(
        self,
        message: str = "",
        *,
        reason: Literal["dns", "connect", "lost"] = "lost",
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.reason = reason


class TLSError(APIConnectionError):
    """The server's identity could not be verified, or it does not speak TLS. Never retried."""

    hint = (
        "Check the base URL and the machine's CA certificates; "
        "a private CA is given with `connector=aiohttp.TCPConnector(ssl=context)`"
    )


class APITimeoutError(GongError, TimeoutError):
    """No answer came in time. `phase` says what was under way."""

    hint = ""

    def __init__(self, message: str = "", *, phase: Phase = "total", **context: Any) -> None:
        super().__init__(message, **context)
        self.phase: Phase = phase


class ProtocolError(GongError):
    """An answer came that cannot be believed. `flaw` says what is wrong with it."""

    hint = "If it happens again, look for a proxy or a login page between you and Gong"

    def __init__(self, message: str = "", *, flaw: Flaw = "content", **context: Any) -> None:
        super().__init__(message, **{"delivery": Delivery.MAYBE, **context})
        self.flaw: Flaw = flaw


class DecodeError(ProtocolError):
    """The answer is JSON, but not of the shape that we rely on.

    `paths` names every place, `$.meetingId: expected a string` for example.
    """

    hint = (
        "Compare the class that the endpoint returns with Gong's answer; "
        "Gong's API may have changed"
    )

    def __init__(self, message: str = "", *, paths: Sequence[str] = (), **context: Any) -> None:
        context.setdefault("flaw", "shape")
        super().__init__(message, **context)
        self.paths: tuple[str, ...] = tuple(paths)


class APIStatusError(GongError):
    """Gong answered with something other than a success. `status` says what.

    `errors_omitted` counts Gong's messages beyond those kept in `errors`.
    """

    def __init__(self, message: str = "", *, errors_omitted: int = 0, **context: Any) -> None:
        context.setdefault("delivery", Delivery.ANSWERED)
        super().__init__(message, **context)
        self.errors_omitted = errors_omitted


class RedirectError(APIStatusError):
    """3xx. Redirects are never followed: a change must not wander to another host.

    `location` is the origin that the answer pointed to, without path and query.
    """

    hint = "Check the base URL; Gong's API does not redirect"

    def __init__(self, message: str = "", *, location: str | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.location = location


class RequestRejectedError(APIStatusError):
    """4xx: Gong refused this request. Repeating it unchanged does not help."""


class BadRequestError(RequestRejectedError):
    """400: Gong finds the data of the call wrong."""

    hint = "Correct the data of the call and send it again"


class AuthenticationError(RequestRejectedError):
    """401: the credential is not valid, or not valid at this base URL."""

    hint = (
        "Check the access key and its secret, and that the base URL is the one "
        "that Gong's API settings page shows for your company"
    )


class LoginRequiredError(AuthenticationError):
    """There is no OAuth login, or none that can be renewed. Never retried.

    `status` is that of Gong's refusal, None if there was nothing to ask Gong with.
    """

    hint = (
        "Log in again: run `gong-async login`, or let an administrator of Gong approve the "
        "application anew"
    )


class PermissionDeniedError(RequestRejectedError):
    """403, or a 401 that names a missing scope: valid credential, not allowed to do this.

    `missing_scope` is the scope that Gong named, `api:meetings:user:update` for example.
    """

    hint = (
        "Check the credential's scopes and trusted addresses, that Gong enabled this API for your "
        "company, and that the base URL is your company's"
    )

    def __init__(
        self, message: str = "", *, missing_scope: str | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.missing_scope = missing_scope


class NotFoundError(RequestRejectedError):
    """404: Gong does not know what the call names, or not to this credential.

    Gong also answers so to a list or search without any result.
    """

    hint = (
        "Check what the call names; a list or search without a result is answered like this, "
        "and so is what this credential may not see"
    )


class ConflictError(RequestRejectedError):
    """409: the state at Gong prevents this. For meetings, an administrator has to act.

    `user_facing_error`, `fix_url` and `help_url` are Gong's own words and links, None if absent.
    """

    hint = "Look up the present state at Gong; what prevents the call has to be changed there"

    def __init__(
        self,
        message: str = "",
        *,
        user_facing_error: str | None = None,
        fix_url: str | None = None,
        help_url: str | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.user_facing_error = user_facing_error
        self.fix_url = fix_url
        self.help_url = help_url


class RateLimitError(RequestRejectedError):
    """429: the company's calls are used up for now.

    `retry_after` is Gong's wait in seconds (None if it named none), `retry_at` the same as an
    aware UTC time. Raised with `attempts=0` when an earlier refusal still holds every call.
    """

    hint = "Wait until `retry_at`; other programs of the company share the same limit"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        retry_at: datetime | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after
        self.retry_at = retry_at


class ServerError(APIStatusError):
    """5xx: Gong, or something in front of it, failed. `retry_after` in seconds, if it named one."""

    hint = "Try again later; if it lasts, quote the request id to Gong's support"

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
}

_BY_FAMILY: dict[int, type[APIStatusError]] = {
    3: RedirectError,
    4: RequestRejectedError,
    5: ServerError,
}


def status_error_class(status: int) -> type[APIStatusError]:
    """Return the class for `status`: its own, or that of its family."""
    return _BY_STATUS.get(status) or _BY_FAMILY.get(status // 100, APIStatusError)


def reason_phrase(status: int) -> str:
    """Return the standard words for `status`, or nothing."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
