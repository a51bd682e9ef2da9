"""A server on a socket of this machine that answers every case with the bytes of the case."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from typing import Self

from attrs import define, field

from fuzz.cases import Case, Ending
from fuzz.reading import UnreadableError, read

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_CASE = re.compile(rb"case-(\d+)@")
_LINGER_ZERO = struct.pack("ii", 1, 0)


@define(eq=False)
class Server:
    """Answers; use it as an async context manager."""

    case: Callable[[int], Case]
    url: str = field(default="", init=False)
    open: int = field(default=0, init=False)
    opened: int = field(default=0, init=False)
    answered: int = field(default=0, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self._server = await loop.create_server(lambda: _Line(self), sock=listener, backlog=512)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open += 1
        self._server.opened += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._server.open -= 1

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head + b"\r\n")
        if length is None or len(body) < int(length[1]):
            return
        self._buffer = b""
        number = _CASE.search(body)
        assert number is not None
        self._answer(self._server.case(int(number[1])))

    def _answer(self, case: Case) -> None:
        self._server.answered += 1
        transport = self._transport
        assert transport is not None
        transport.write(case.answer)
        match self._ending(case):
            case "close":
                transport.close()
            case "reset":
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                transport.abort()
            case _:
                pass

    def _ending(self, case: Case) -> Ending:
        """Return what becomes of the connection; only "hold" lets a client wait in vain."""
        if case.ending != "keep":
            return case.ending
        try:
            return "close" if read(case.answer).ends else "keep"
        except UnreadableError:
            return "close"
