"""What a bad server does with a request, and with a connection."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable

from attrs import frozen

from faults.line import Line, Then
from faults.peer import Exchange, Greeting, Peer, serve_as


def http(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    headers: Iterable[str] = (),
    content_type: str | None = "application/json",
    length: int | str | None = -1,
) -> bytes:
    """Return an answer as bytes; a `length` of None leaves the Content-Length out."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def json_errors(*errors: str) -> bytes:
    """Return an error's body as Gong writes it."""
    return json.dumps({"requestId": "4al018gzaztcr8nbukw", "errors": errors}).encode()


@frozen
class Raw:
    """Sends any bytes for an answer."""

    data: bytes = b""
    then: Then = "close"
    applies: bool = True
    after: float = 0.0
    """Seconds before the bytes are sent."""
    piece: int | None = None
    """Bytes at a time."""
    interval: float = 0.0
    """Seconds between the pieces."""
    early: bool = False
    """Do not read the request's body first."""

    async def __call__(self, exchange: Exchange) -> None:
        """Do it."""
        if not self.early:
            await exchange.read()
        if self.after:
            await asyncio.sleep(self.after)
        if self.applies and not self.early:
            await exchange.apply()
        await self._send(exchange.line, self.data)
        await exchange.line.end(self.then)

    async def _send(self, line: Line, data: bytes) -> None:
        if self.piece is None:
            await line.send(data)
            return
        for start in range(0, len(data), self.piece):
            await line.send(data[start : start + self.piece])
            await asyncio.sleep(self.interval)


@frozen
class Truth:
    """Carries the request out and answers the truth, in a frame of one's own."""

    status: str = "200 OK"
    headers: tuple[str, ...] = ()
    content_type: str | None = "application/json"
    length: int | str | None = -1
    lead: bytes = b""
    """Bytes before the answer."""
    trail: bytes = b""
    """Bytes after it."""
    keep: int | None = None
    """The bytes of the body that are sent."""
    then: Then = "keep"
    piece: int | None = None
    interval: float = 0.0

    async def __call__(self, exchange: Exchange) -> None:
        """Do it."""
        body = await exchange.truth()
        length = len(body) if self.length == -1 else self.length
        data = http(
            body[: self.keep],
            status=self.status,
            headers=self.headers,
            content_type=self.content_type,
            length=length,
        )
        data = self.lead + data + self.trail
        await Raw(data, then=self.then, piece=self.piece, interval=self.interval)(exchange)


def greet_with(data: bytes, then: Then = "close", *, after_hello: bool = False) -> Greeting:
    """Return a greeting that sends bytes without TLS, perhaps after the client's first."""

    async def greet(peer: Peer, line: Line) -> None:
        await line.open()
        if after_hello:
            await line.reader.read(64 * 1024)
        await line.send(data)
        await line.end(then)

    return greet


def speak_tls(context: ssl.SSLContext) -> Greeting:
    """Return a greeting that serves with a certificate of its own."""

    async def greet(peer: Peer, line: Line) -> None:
        await serve_as(peer, line, context)

    return greet


async def reset_at_once(peer: Peer, line: Line) -> None:
    """Accept and reset."""
    line.reset()


async def close_at_once(peer: Peer, line: Line) -> None:
    """Accept and close."""
    line.sock.close()


async def stay_silent(peer: Peer, line: Line) -> None:
    """Accept, and say nothing until the client leaves."""
    await line.open()
    await line.gone()
