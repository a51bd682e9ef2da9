"""Maps error responses of the token endpoint to exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gong_async._json import from_json
from gong_async._redact import Redactor
from gong_async._response import request_id, status_error
from gong_async._wire import Response
from gong_async.errors import (
    APIStatusError,
    AuthenticationError,
    GongError,
    LoginRequiredError,
    RequestRejectedError,
)
from gong_async.models._shared import utc_now

_SPENT = re.compile(
    r"invalid_grant|\b(refresh token|authorization|grant) code is (invalid|expired)", re.IGNORECASE
)
_STRANGER = re.compile(r"invalid_client|unauthorized_client", re.IGNORECASE)
_UNAUTHORIZED = 401
_SNIPPET = 200


def refusal(response: Response, redact: Redactor) -> GongError:
    """Return the exception for an error response."""
    error = status_error(response, redact, utc_now())
    if not isinstance(error, RequestRejectedError):
        return error
    said = "; ".join(dict.fromkeys((*error.errors, *_words(response, redact))))
    if _SPENT.search(said):
        message = f"Gong rejected the code or the refresh token: {said}"
        return _as(LoginRequiredError, message, error, response, redact)
    if _STRANGER.search(said) or response.status == _UNAUTHORIZED:
        message = (
            f"Gong rejected the OAuth client id and its secret: {said or 'no reason given'}; "
            "check both against the application's page at Gong"
        )
        return _as(AuthenticationError, message, error, response, redact)
    if said and said not in error.message:
        error.message = f"{error.message}: {said}"
    return error


def _as(
    cls: type[APIStatusError],
    message: str,
    error: APIStatusError,
    response: Response,
    redact: Redactor,
) -> APIStatusError:
    given = request_id(response, redact)
    return cls(message, status=error.status, errors=error.errors, request_id=given)


def _words(response: Response, redact: Redactor) -> Iterator[str]:
    """Yield the error fields of RFC 6749, or the text of an error in plain text."""
    try:
        payload = from_json(response.body)
    except ValueError:
        payload = None
        if response.body:
            yield redact.excerpt(response.body, _SNIPPET)
    if isinstance(payload, Mapping):
        for name in ("error", "error_description", "message"):
            if isinstance(said := payload.get(name), str):
                yield redact(said, _SNIPPET)
