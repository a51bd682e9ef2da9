"""The exceptions of this package, as one tree.

    GongError
    ├── ConfigurationError         a setting is invalid (also a ValueError)
    ├── ValidationError            an argument of a call is invalid (also a ValueError)
    ├── UsageError                 the client was used incorrectly (also a RuntimeError)
    ├── DailyQuotaExceededError    the daily limit is used up, by our own count
    ├── JournalError               a bulk job's journal cannot be used
    ├── APIConnectionError         no response: refused, unresolvable, reset or lost connection
    │   └── TLSError               certificate not trusted, or no TLS
    ├── APITimeoutError            no response in time; `phase` says where (also a TimeoutError)
    ├── ProtocolError              an invalid response; `flaw` says why
    │   └── DecodeError            JSON of an unexpected shape; `paths` say where
    └── APIStatusError             a response with an error status
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

The first five are raised before anything is sent. Errors contain plain data only: no request, no
response, no body, no secret. They support `pickle`, `copy.copy` and `copy.deepcopy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal

Phase = Literal["queue", "pool", "connect", "tls", "send", "headers", "body", "total"]
"""The phase in which an attempt timed out."""

Flaw = Literal["cut", "content", "mismatch", "not_http", "unexpected", "shape"]
"""What is wrong with a response: truncated, not JSON, about another object, not HTTP, an unexpected
status, or of an unexpected shape."""

LONGEST_WAIT = 86_400.0
"""The longest wait that is accepted, in seconds. None of Gong's limits lasts longer than a day: a
longer wait is an instant in place of a duration, or comes from a wrong clock."""


class Delivery(StrEnum):
    """Whether a request reached Gong, as far as known."""

    NOT_SENT = "not_sent"
    """Nothing of it reached Gong."""
    MAYBE = "maybe"
    """It may have reached Gong; the response is missing or unusable."""
    ANSWERED = "answered"
    """Gong responded."""


class GongError(Exception):
    """Base class of all exceptions of this package."""

    hint: str = ""
    """What to do next, in one sentence. An endpoint may replace the one of the class."""

    def __init__(
        self,
        message: str = "",
        *,
        method: str | None = None,
        route: str | None = None,
        path: Mapping[str, str] | None = None,
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
        """Route template of the call, `/v2/calls/{id}` for example."""
        self.path: Mapping[str, str] = dict(path or {})
        """The value of each variable of the route."""
        self.attempts = attempts
        """Attempts of this call."""
        self.status = status
        """HTTP status of the last response, if there was one."""
        self.request_id = request_id
        """Gong's request id, for Gong's support."""
        self.errors: tuple[str, ...] = tuple(errors)
        """Gong's error messages, redacted and truncated."""
        self.delivery = delivery
        """Whether the last attempt reached Gong."""
        self.outcome_unknown = outcome_unknown
        """Whether Gong may have applied the change although this error was raised."""

    @property
    def meeting_id(self) -> str | None:
        """The meeting id of the call, if it has one."""
        return self.path.get("meetingId")

    def __str__(self) -> str:
        subject = f"{self.method} {self.route}" if self.route else ""
        context = [
            subject,
            *(f"{name} {value}" for name, value in self.path.items()),
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
        # `Exception.__reduce__` calls `cls(*args)` and so loses the keyword arguments.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[GongError], args: tuple[Any, ...], state: dict[str, Any]) -> GongError:
    error = cls.__new__(cls, *args)
    error.args = args  # `TimeoutError.__new__` does not keep them
    error.__dict__.update(state)
    return error


class ConfigurationError(GongError, ValueError):
    """A setting is invalid. Raised before any I/O."""


class ValidationError(GongError, ValueError):
    """An argument of a call is invalid. Raised before any I/O.

    `field` is the Python name of the field, `problem` what is wrong with it.
    """

    def __init__(self, field: str = "", problem: str = "", **context: Any) -> None:
        super().__init__(f"{field}: {problem}", **context)
        self.field = field
        self.problem = problem


class UsageError(GongError, RuntimeError):
    """The client was used incorrectly: after `close()`, or in another event loop."""


class DailyQuotaExceededError(GongError):
    """The daily limit is used up, by our own count. Nothing was sent.

    `reset_at` is when the next call is possible (aware, UTC), `retry_after` the same in seconds,
    `per_day` the limit.
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
"""Why a journal cannot be used: it does not exist, another process runs the job, the job's state
does not allow the operation, the input or the company differs, another version or program wrote the
file, or the file cannot be read or written."""


class JournalError(GongError):
    """A bulk job's journal cannot be used for this operation. Nothing more was sent.

    `reason` says why: see `JournalFlaw`.
    """

    def __init__(self, message: str = "", *, reason: JournalFlaw = "file", **context: Any) -> None:
        super().__init__(message, **{"delivery": Delivery.NOT_SENT, **context})
        self.reason: JournalFlaw = reason


class APIConnectionError(GongError):
    """No response: the connection was refused, reset or lost, or the host does not resolve.

    `reason` is "dns" if the host name does not resolve, "connect" if no connection was made, and
    "lost" if one broke.
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
    """No response in time. `phase` says where the time ran out."""

    hint = ""

    def __init__(self, message: str = "", *, phase: Phase = "total", **context: Any) -> None:
        super().__init__(message, **context)
        self.phase: Phase = phase


class ProtocolError(GongError):
    """The response is invalid. `flaw` says what is wrong with it."""

    hint = "If it happens again, look for a proxy or a login page between you and Gong"

    def __init__(self, message: str = "", *, flaw: Flaw = "content", **context: Any) -> None:
        super().__init__(message, **{"delivery": Delivery.MAYBE, **context})
        self.flaw: Flaw = flaw


class DecodeError(ProtocolError):
    """The response is JSON of an unexpected shape.

    `paths` lists every mismatch, for example `$.users[0].id: expected a string`.
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
    """A response with an error status, in `status`.

    `errors_omitted` counts Gong's messages beyond those kept in `errors`.
    """

    def __init__(self, message: str = "", *, errors_omitted: int = 0, **context: Any) -> None:
        context.setdefault("delivery", Delivery.ANSWERED)
        super().__init__(message, **context)
        self.errors_omitted = errors_omitted


class RedirectError(APIStatusError):
    """3xx. Redirects are never followed, so that a change is never sent to another host.

    `location` is the origin of the redirect's target, without path and query.
    """

    hint = "Check the base URL; Gong's API does not redirect"

    def __init__(self, message: str = "", *, location: str | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.location = location


class RequestRejectedError(APIStatusError):
    """4xx: Gong rejected the request. Sending it again unchanged does not help."""


class BadRequestError(RequestRejectedError):
    """400: the data of the call is invalid."""

    hint = "Correct the data of the call and send it again"


class AuthenticationError(RequestRejectedError):
    """401: the credential is invalid, or belongs to another base URL."""

    hint = (
        "Check the access key and its secret, and that the base URL is the one "
        "that Gong's API settings page shows for your company"
    )


class LoginRequiredError(AuthenticationError):
    """There is no OAuth login, or none that can be renewed. Never retried.

    `status` is that of Gong's response, None if no request was made.
    """

    hint = (
        "Log in again: run `gong-async login`, or let an administrator of Gong approve the "
        "application anew"
    )


class PermissionDeniedError(RequestRejectedError):
    """403, or a 401 that names a missing scope: the credential does not permit this call.

    `missing_scope` is the scope that Gong named, `api:calls:read:basic` for example.
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
    """404: the object does not exist, or is not visible to this credential.

    Gong also returns it for a list or search without results.
    """

    hint = (
        "Check what the call names; a list or search without a result is answered like this, "
        "and so is what this credential may not see"
    )


class ConflictError(RequestRejectedError):
    """409: the state at Gong prevents the call.

    `user_facing_error`, `fix_url` and `help_url` are Gong's message and links, None if absent.
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
    """429: the call was throttled.

    `retry_after` is Gong's wait in seconds (None without one), `retry_at` the same as an aware UTC
    time. Raised with `attempts=0` while a pause after an earlier 429 lasts.
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
    """5xx: Gong or a gateway failed. `retry_after` in seconds, None without one."""

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
    """Return the exception class for `status`, or for its family such as 4xx."""
    return _BY_STATUS.get(status) or _BY_FAMILY.get(status // 100, APIStatusError)


def reason_phrase(status: int) -> str:
    """Return the standard reason phrase of `status`, or an empty string."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
