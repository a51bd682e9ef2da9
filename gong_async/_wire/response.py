"""Turns a response into a payload or an error; parses `Retry-After`. Pure functions, no I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from multidict import MultiMapping

from gong_async._json import FASTEST
from gong_async._redact import Redactor
from gong_async._wire.types import Request, Response
from gong_async.errors import (
    LONGEST_WAIT,
    APIStatusError,
    ConflictError,
    Delivery,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    ServerError,
    reason_phrase,
    status_error_class,
)

_MOST_ERRORS = 20
_SNIPPET = 200
_NO_ERRORS: tuple[object, ...] = (None, [])
_OK = frozenset({200, 201, 202, 204})
_REQUEST_ID = ("requestId",)
_NOT_ANSWERS = frozenset({304})
_MISSING_SCOPE = re.compile(r"don't have permission to use '([a-z:._-]{1,100})'", re.IGNORECASE)


def retry_after(response: Response, now: datetime) -> float | None:
    """Return the wait in seconds that the response asks for; None if it asks for none."""
    if values := response.headers.getall("Retry-After", []):
        return parse_retry_after(values, date=response.headers.get("Date"), now=now)
    return None


def request_id(response: Response, redact: Redactor, payload: object = None) -> str | None:
    """Return Gong's request id, redacted: from the body, else from the `x-traceid` header."""
    given = payload.get("requestId") if isinstance(payload, dict) else None
    if isinstance(given, str) and given:
        return redact(given)
    return _clean(response.headers.get("x-traceid"), redact)


def read_success(
    request: Request, response: Response, redact: Redactor
) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object of a success and Gong's request id.

    For an allowed empty body it is what the request says.

    A 2xx is a success only if its JSON has the fields that the request requires, repeats the path
    variable of its `echo`, and has no `errors`; the response to a deletion may be empty, or have
    only `organizerEmail`. Of duplicate keys the last one counts, here and in the result.

    Raises:
        ProtocolError: the response is not a valid success.
    """
    if response.status not in _OK:
        raise _invalid(f"unexpected status {response.status}", response, redact, flaw="unexpected")
    body = response.body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not body:
        unproven = not request.requires and request.echo is None
        if request.effect == "delete" or (request.effect == "replace" and unproven):
            echoed = {} if request.echo is None else {request.echo: request.path[request.echo]}
            return echoed, request_id(response, redact)
        raise _invalid("a response without a body", response, redact)
    payload: Any
    broken: ProtocolError
    try:
        payload = FASTEST.loads(response.body)
    except ValueError as error:
        # A body that starts as JSON and does not parse was truncated on its way.
        cut = body[:1] in {b"{", b"["} and not str(error).endswith("is not JSON")
        problem = "truncated JSON" if cut else "something other than JSON"
        broken = _invalid(problem, response, redact, flaw="cut" if cut else "content")
    else:
        echo = request.echo
        given: object = None
        if type(payload) is dict and request.requires == _REQUEST_ID and "errors" not in payload:
            given = payload.get("requestId")
            echoes = echo is None or payload.get(echo) == request.path[echo]
            if echoes and type(given) is str and given.isalnum():
                return payload, redact(given)  # the usual success, without further calls
        invalid = _validate(payload, request, response, redact)
        if invalid is None and echo is not None:
            invalid = _check_echo(echo, payload, request, response, redact)
        if invalid is None:
            return payload, request_id(response, redact, payload)
        broken = invalid
        del payload, given
    # A traceback may be shown with the locals of its frames, and a body may echo our secrets.
    del body
    raise broken


def _validate(
    payload: object, request: Request, response: Response, redact: Redactor
) -> ProtocolError | None:
    """Return the error if `payload` is not a valid success, else None."""
    if not isinstance(payload, dict):
        problem, flaw = "JSON that is not an object", "shape"
    elif payload.get("errors") not in _NO_ERRORS:
        said = "; ".join(_error_texts(payload, redact)[0])
        problem, flaw = redact(f"a success that reports errors: {said}"), "content"
    else:
        missing = [name for name in request.requires if not _is_given(name, payload.get(name))]
        if not missing or (request.effect == "delete" and _is_bare_deletion(payload)):
            return None
        problem, flaw = f"JSON without {' and '.join(missing)}", "shape"
    return _invalid(problem, response, redact, flaw=flaw)


def _check_echo(
    echo: str, payload: dict[str, Any], request: Request, response: Response, redact: Redactor
) -> ProtocolError | None:
    """Return the error if the response does not repeat a path variable, else None.

    A deletion may lack it; an integer is compared by its digits.
    """
    value, wanted = payload.get(echo), request.path[echo]
    if value is None and request.effect == "delete":
        payload[echo] = wanted
        return None
    # Gong's ids are strings in some responses and integers in others, which Python keeps exact.
    if value == wanted or (type(value) is int and str(value) == wanted):
        return None
    other = f"about {echo} {redact(str(value), 40)}, not the requested one"
    return ProtocolError(
        f"Gong's answer is {other if value is not None else f'JSON without {echo}'}",
        flaw="shape" if value is None else "mismatch",
        status=response.status,
        request_id=request_id(response, redact, payload),
    )


def _is_given(name: str, value: object) -> bool:
    if name == "requestId":
        return isinstance(value, str) and bool(value.strip())
    return value is not None


def _is_bare_deletion(payload: Mapping[str, Any]) -> bool:
    """Return whether this is Gong's response to a deletion, the only one without a request id."""
    match payload:
        case {"organizerEmail": str(email)}:
            return len(payload) == 1 and bool(email.strip())
        case _:
            return not payload


def status_error(
    response: Response, redact: Redactor, now: datetime
) -> APIStatusError | ProtocolError:
    """Return the error for a response that is not a success."""
    status = response.status
    if status in _NOT_ANSWERS or status < 200 or status >= 600:  # noqa: PLR2004
        return _invalid(f"unexpected status {status}", response, redact, flaw="unexpected")
    payload = _error_payload(response)
    errors, omitted = _error_texts(payload, redact)
    facts: dict[str, Any] = {
        "status": status,
        "errors": errors,
        "errors_omitted": omitted,
        "request_id": request_id(response, redact, payload),
    }
    said = "; ".join(errors) or _snippet(response, payload, redact)
    message = f"Gong answered {status} {reason_phrase(status)}".rstrip()
    message = redact(f"{message}: {said}", 2 * _SNIPPET + 100) if said else message
    cls = status_error_class(status)
    if status == 401 and (scope := _MISSING_SCOPE.search("\n".join(errors))):  # noqa: PLR2004
        return PermissionDeniedError(message, missing_scope=scope[1], **facts)
    if issubclass(cls, ConflictError):
        return ConflictError(message, **_conflict_facts(payload, redact), **facts)
    if issubclass(cls, RedirectError):
        return RedirectError(message, location=_origin(response.headers, redact), **facts)
    if issubclass(cls, RateLimitError | ServerError):
        message += _ignored_wait(response, redact, now)
    if issubclass(cls, RateLimitError):
        wait = retry_after(response, now)
        at = None if wait is None else now + timedelta(seconds=wait)
        return RateLimitError(message, retry_after=wait, retry_at=at, **facts)
    if issubclass(cls, ServerError):
        return ServerError(message, retry_after=retry_after(response, now), **facts)
    return cls(message, **facts)


def _ignored_wait(response: Response, redact: Redactor, now: datetime) -> str:
    """Return a note on an implausible `Retry-After`; an empty string if there is none."""
    values = response.headers.getall("Retry-After", [])
    if not values or not is_implausible(values, date=response.headers.get("Date"), now=now):
        return ""
    asked = redact(", ".join(values), 80)
    return f" (ignoring Retry-After {asked}, more than a day; waiting {PROBE_WAIT:g} s instead)"


def _invalid(
    problem: str, response: Response, redact: Redactor, *, flaw: Any = "content"
) -> ProtocolError:
    kind = redact(response.headers.get("Content-Type", "no content type"), 80)
    snippet = redact.excerpt(response.body, _SNIPPET)
    return ProtocolError(
        f"Gong's answer is {problem} ({kind}): {snippet}" if snippet else f"Gong sent {problem}",
        flaw=flaw,
        status=response.status,
        request_id=request_id(response, redact),
        delivery=Delivery.MAYBE,
    )


def _error_payload(response: Response) -> Mapping[str, Any]:
    try:
        payload = response.json()
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _error_texts(payload: Mapping[str, Any], redact: Redactor) -> tuple[tuple[str, ...], int]:
    errors = payload.get("errors")
    texts = errors if isinstance(errors, list) else [errors] if isinstance(errors, str) else []
    kept = tuple(redact(str(text)) for text in texts[:_MOST_ERRORS])
    return kept, max(0, len(texts) - _MOST_ERRORS)


def _snippet(response: Response, payload: Mapping[str, Any], redact: Redactor) -> str:
    if payload or not response.body:
        return ""
    return redact.excerpt(response.body, _SNIPPET)


def _conflict_facts(payload: Mapping[str, Any], redact: Redactor) -> dict[str, str | None]:
    return {
        "user_facing_error": _clean(payload.get("userFacingError"), redact),
        "fix_url": _clean(payload.get("fixUrl"), redact),
        "help_url": _clean(payload.get("helpUrl"), redact),
    }


def _clean(value: object, redact: Redactor) -> str | None:
    return redact(value) if isinstance(value, str) and value else None


def _origin(headers: MultiMapping[str], redact: Redactor) -> str | None:
    """Return the origin of a redirect's target; its path and query may contain tokens."""
    try:
        parts = urlsplit(headers.get("Location", ""))
        host = parts.hostname
    except ValueError:
        return None
    return redact(f"{parts.scheme}://{host}") if host else None


PROBE_WAIT = 300.0
"""Seconds to wait instead when Gong asks for a wait beyond `LONGEST_WAIT`."""

# ASCII only: `int()` would also take Arabic digits, underscores, signs and blanks.
_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_MOST_DIGITS = 12


def parse_retry_after(values: Iterable[str], *, date: str | None, now: datetime) -> float | None:
    """Return the longest valid wait in seconds, None if no value is valid.

    `values` are all `Retry-After` headers of one response, `date` its `Date` header. A date is
    relative to `date`, so that a wrong local clock does not matter; `now` is used without one.
    A wait beyond `LONGEST_WAIT` becomes `PROBE_WAIT`.
    """
    waits = (_one(value.strip(), date, now) for value in values)
    return max((_obeyed(wait) for wait in waits if wait is not None), default=None)


def is_implausible(values: Iterable[str], *, date: str | None, now: datetime) -> bool:
    """Return whether one of the values asks for more than `LONGEST_WAIT`."""
    waits = (_one(value.strip(), date, now) for value in values)
    return any(wait is not None and wait > LONGEST_WAIT for wait in waits)


def _obeyed(wait: float) -> float:
    return wait if wait <= LONGEST_WAIT else PROBE_WAIT


def _one(value: str, date: str | None, now: datetime) -> float | None:
    if match := _SECONDS.fullmatch(value):
        if len(match[1]) > _MOST_DIGITS:
            return math.inf
        return float(value)
    until = http_date(value)
    if until is None:
        return None
    start = (http_date(date) if date else None) or now
    return max((until - start).total_seconds(), 0.0)


def http_date(value: str) -> datetime | None:
    """Return the time of a `Date` or `Retry-After` header; None if it is none."""
    if not value.isascii() or not value[:1].isalpha():
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
