"""One request while it is being answered."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import define

from gong_async.testing.answers import FakeAnswer, make_refusal
from gong_async.testing.connections import Connection
from gong_async.testing.faults import Fault, Substitute
from gong_async.testing.operations import LOGIN, route
from gong_async.testing.recording import ReceivedRequest, Recording

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})
_SECRET_PARAMETERS = frozenset({"code", "refresh_token", "state"})


@define(kw_only=True, eq=False)
class FakeExchange:
    """A request, what is known of it by now, and the id that its answer will carry."""

    request: web.BaseRequest
    connection: Connection
    recording: Recording
    received: ReceivedRequest
    request_id: str
    fault: Fault | None = None
    status: int | None = None

    async def read_body(self) -> FakeAnswer | None:
        """Read and record the request's body; reject one that is too large."""
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            return self.refusal(413, "Request entity too large")
        self.received = self.recording.learned(self.received, body=body, json=_parse(body))
        return None

    def struck(self, fault: Fault | None) -> None:
        """Take the fault into the record."""
        if fault is not None:
            self.fault = fault
            self.received = self.recording.learned(self.received, fault=fault.name)

    def refusal(self, status: int, *errors: str, **headers: str) -> FakeAnswer:
        """Return an error response to this request."""
        return make_refusal(status, *errors, request_id=self.request_id, headers=headers)

    def substitute(self, substitute: Substitute) -> FakeAnswer:
        """Return the scripted response to this request."""
        envelope = make_refusal(
            substitute.status,
            *substitute.errors,
            request_id=self.request_id,
            headers=substitute.headers,
            extra=substitute.extra,
        )
        if substitute.body is None:
            return envelope
        return FakeAnswer(
            status=substitute.status, body=substitute.body, headers=substitute.headers
        )


def receive(
    request: web.BaseRequest, *, index: int, at: float, prefix: str, connection: int
) -> ReceivedRequest:
    """Write down a request whose headers have arrived; secrets are left out."""
    # As sent: aiohttp's own `path` is decoded, and would hide a slash inside of an id.
    path, _, query = request.raw_path.partition("?")
    operation, meeting_id = route(request.method, below(path, prefix))
    headers: dict[str, str] = {}
    for sent_name, sent in request.headers.items():
        name = sent_name.lower()
        value = sent.partition(" ")[0] if name in _SECRET_HEADERS else sent
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    parameters = parse_qsl(query, keep_blank_values=True) if query else []
    if operation in LOGIN:
        parameters = [
            (name, "***" if name in _SECRET_PARAMETERS else value) for name, value in parameters
        ]
    return ReceivedRequest(
        index=index,
        at=at,
        method=request.method,
        path=path,
        query=dict(parameters),
        parameters=tuple(parameters),
        headers=headers,
        operation=operation,
        meeting_id=meeting_id,
        connection=connection,
    )


def below(path: str, prefix: str) -> str:
    """Return the path without the prefix; an empty string if it has another one."""
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else ""


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
