"""The least that answers an update: a server for measuring clients, in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_ID = re.compile(rb"PUT /v2/meetings/([0-9]+) ")
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\nx-traceid: 4al018gzaztcr8nbukw\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
_BODY = b'{"requestId":"4al018gzaztcr8nbukw","meetingId":"%s"}'


class Answering(asyncio.Protocol):
    """Acknowledges every PUT, and reads no more of it than its length and its meeting."""

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = _LENGTH.search(head)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._unread) < end:
                return
            self._unread = self._unread[end:]
            found = _ID.match(head)
            body = _BODY % (found[1] if found else b"0")
            self._transport.write(_ANSWER % (len(body), body))


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.poll, None)

    asyncio.run(run())


@contextmanager
def answering() -> Iterator[str]:
    """Let the server run; yield its address."""
    pipe, other = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(other,), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{pipe.recv()}"
    finally:
        pipe.send(None)
        process.join()
