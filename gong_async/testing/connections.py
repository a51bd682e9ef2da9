"""The TCP connections of the fake, numbered and counted, and a thread for its server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from aiohttp import web
from attrs import Factory, define


@define(kw_only=True, eq=False)
class Connection:
    """One TCP connection; `closed` is set once it is gone."""

    number: int
    closed: asyncio.Event = Factory(asyncio.Event)


@define(kw_only=True)
class Connections:
    """How many connections there are, were at most, and have been."""

    total: int = 0
    peak: int = 0
    _open: dict[web.RequestHandler, Connection] = Factory(dict[web.RequestHandler, Connection])

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._open)

    def made(self, protocol: web.RequestHandler) -> None:
        """Number a new connection."""
        self.total += 1
        self._open[protocol] = Connection(number=self.total)
        self.peak = max(self.peak, len(self._open))

    def lost(self, protocol: web.RequestHandler) -> None:
        """Let go of a connection."""
        connection = self._open.pop(protocol, None)
        if connection is not None:
            connection.closed.set()

    def of(self, request: web.BaseRequest) -> Connection:
        """Find the connection that a request came in on; number 0 if it is gone already."""
        connection = self._open.get(request.protocol)
        if connection is None:
            connection = Connection(number=0)
            connection.closed.set()
        return connection


class CountingServer(web.Server):
    """An aiohttp server that records its connections."""

    connections_seen: Connections

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection."""
        self.connections_seen.made(handler)
        super().connection_made(handler, transport)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Count it out."""
        self.connections_seen.lost(handler)
        super().connection_lost(handler, exc)


Server = TypeVar("Server", bound=AbstractAsyncContextManager[object])


@contextmanager
def serve_in_thread(server: Server) -> Iterator[Server]:
    """Enter the server in a new thread, and leave it there at the end."""
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with server:
            running.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if running.done():
                raise
            running.set_exception(error)

    thread = threading.Thread(target=run, name="fake-gong", daemon=True)
    thread.start()
    loop, stop = running.result()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
