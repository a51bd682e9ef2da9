"""What the fake answers, and how an answer goes on the wire."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from attrs import Factory, evolve, frozen

from gong_async.testing.faults import Fault, Then, Wire

JSON_TYPE = "application/json;charset=UTF-8"
"""The content type of every response of Gong."""


@frozen(kw_only=True)
class FakeAnswer:
    """A status, headers and a body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = Factory(dict[str, str])

    def as_bytes(self) -> bytes:
        """Return the answer as HTTP/1.1, to be sent without the server's own writer."""
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
    """Return an answer like Gong's: JSON, and the request's id in the trace header."""
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


_LINGER_ZERO = struct.pack("ii", 1, 0)
_BLOCK = 64 * 1024


async def deliver(
    request: web.BaseRequest, answer: FakeAnswer, fault: Fault | None, closed: asyncio.Event
) -> tuple[web.StreamResponse, int | None]:
    """Send the response and return the status that the caller received, None for none.

    `closed` is set when the connection is gone.
    """
    if fault is None:
        return _response(answer), answer.status
    if fault.size is not None:
        return await _stream_padded(request, answer, fault.size), answer.status
    if fault.wire is not None:
        return await _send_raw(request, answer, fault.wire, closed)
    if fault.afterwards:
        response = await _send_twice(request, answer, fault)
        return response, answer.status
    return _response(answer), answer.status


def _response(answer: FakeAnswer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


async def _stream_padded(
    request: web.BaseRequest, answer: FakeAnswer, size: int
) -> web.StreamResponse:
    headers = {**answer.headers, "Content-Length": str(max(size, len(answer.body)))}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    # Blanks after the value leave the JSON valid, so that only the size can be objected to.
    await response.write(answer.body)
    async for block in _blanks(size - len(answer.body)):
        await response.write(block)
    await response.write_eof()
    return response


async def _blanks(missing: int) -> AsyncIterator[bytes]:
    block = b" " * _BLOCK
    while missing > 0:
        yield block[:missing]
        missing -= _BLOCK


async def _send_twice(request: web.BaseRequest, answer: FakeAnswer, fault: Fault) -> web.Response:
    response = _response(answer)
    await response.prepare(request)
    await response.write_eof()
    await asyncio.sleep(fault.pause)
    if (transport := request.transport) is not None:
        transport.write(fault.afterwards)
    return response


async def _send_raw(
    request: web.BaseRequest, answer: FakeAnswer, wire: Wire, closed: asyncio.Event
) -> tuple[web.StreamResponse, int | None]:
    reported = None
    if wire.data is None:
        reported = answer.status
        answer = evolve(answer, headers={**answer.headers, "Connection": "close"})
        data = answer.head() + answer.body[: wire.body_bytes]
    else:
        data = wire.data
    await _write(request.transport, data, wire)
    if wire.then == "keep":
        await closed.wait()
    else:
        _hang_up(request.transport, wire.then)
    # Never sent: the server finds the connection closed and lets it be.
    return web.Response(), reported


async def _write(transport: asyncio.Transport | None, data: bytes, wire: Wire) -> None:
    step = wire.chunk or max(1, len(data))
    for start in range(0, len(data), step):
        if transport is None or transport.is_closing():
            return
        transport.write(data[start : start + step])
        if wire.chunk:
            await asyncio.sleep(wire.interval)


def _hang_up(transport: asyncio.Transport | None, then: Then) -> None:
    if transport is None:
        return
    if then == "close":
        transport.close()
        return
    # With a linger time of zero the kernel sends RST in place of FIN.
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
