"""What the fake answers, before it goes on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import Factory, frozen

JSON_TYPE = "application/json;charset=UTF-8"
"""The content type of every answer of Gong's, letter for letter."""


@frozen(kw_only=True)
class FakeAnswer:
    """A status, headers and a body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = Factory(dict[str, str])

    def as_bytes(self) -> bytes:
        """Write the answer out as HTTP/1.1, to be sent past the server's own writer."""
        return self.head() + self.body

    def head(self) -> bytes:
        """Write out the status line and the headers."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = ""
        headers = {**self.headers, "Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def make_answer(
    status: int,
    payload: Mapping[str, Any],
    *,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> FakeAnswer:
    """Make an answer of Gong's kind: JSON, and the request's id in the trace header."""
    return FakeAnswer(
        status=status,
        body=json.dumps(payload, ensure_ascii=False).encode(),
        headers={"Content-Type": JSON_TYPE, "x-traceid": request_id, **(headers or {})},
    )


def make_refusal(
    status: int,
    *errors: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> FakeAnswer:
    """Make an error answer: the envelope with the id and the texts, and any extra keys."""
    payload = {"requestId": request_id, "errors": list(errors), **(extra or {})}
    return make_answer(status, payload, request_id=request_id, headers=headers)
