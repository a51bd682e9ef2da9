"""The pool of aiohttp sessions, one for each event loop."""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import cache

import aiohttp
from aiohttp import BaseConnector, ClientSession
from aiohttp.http import HttpProcessingError
from attrs import define, field

from gong_async._redact import Secret
from gong_async._transport.errors import explain
from gong_async._transport.http1 import Http1Exchange, Origin, facts
from gong_async._transport.loops import Loop, Loops
from gong_async._transport.session_send import session_send
from gong_async._transport.tls import tls_context
from gong_async._wire import AttemptProgress, Request, Response
from gong_async.errors import GongError, UsageError

_KEEPALIVE_SECONDS = 15.0  # below the idle time of the usual load balancers (60 s and more)


@define(eq=False)
class SessionPool:
    """One aiohttp session for each event loop, made when a loop first needs it.

    A session or connector that was passed in belongs to the caller: it is used as it is, in its
    own loop only, and never closed here. With a session of the caller's own, its cookies, its
    proxies and its TLS are the caller's too.
    """

    max_connections: int
    session: ClientSession | None = None
    connector: BaseConnector | None = None
    _loops: Loops = field(factory=Loops, init=False, repr=False)
    _tls: ssl.SSLContext | None = field(default=None, init=False, repr=False)

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: AttemptProgress
    ) -> Response:
        """Send `request` once and return the whole response, whatever its status.

        Raises:
            GongError: there is none, or none that can be believed.
        """
        if self.session is not None:
            _check_own("session", self.session)
        failure: GongError
        try:
            if self.session is not None:
                return await session_send(
                    self.session, request, authorization, timeout=timeout, progress=progress
                )
            here = self._loops.here()
            if here.guard is None:
                await here.close_at_its_end()
            origin = self._origin(request, here)
            until = asyncio.get_running_loop().time() + timeout
            progress.phase = "connect"
            connection = await origin.connect(timeout, progress)
            if connection.protocol is not None and connection.protocol not in here.connections:
                here.connections.add(connection.protocol)
            exchange = Http1Exchange(connection, progress)
            here.deadlines.add(exchange, until)
            try:
                return await exchange.run(origin, request, authorization)
            finally:
                here.deadlines.remove(exchange)
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            failure = explain(error, request, timeout=timeout, progress=progress)
        except RuntimeError:
            if self.session is None or not self.session.closed:
                raise
            failure = UsageError("the connections were closed during the call")
        # Raised outside the handler: aiohttp's exceptions hold our headers.
        raise failure

    def discard_connections(self) -> None:
        """Ensure that no later request uses a connection that is open now.

        An answer that belongs to another request may leave its own behind on the connection.
        """
        for connection in self._loops.here().connections:
            connection.force_close()

    async def close(self) -> None:
        """Close the sessions of this loop. Those of other loops are closed when their loops end."""
        await self._loops.close_here()

    def _origin(self, request: Request, here: Loop) -> Origin:
        if self.connector is not None:
            _check_own("connector", self.connector)
        # A creation must not be repeated when its answer is lost, and its answer names nothing
        # that we could check: it gets a new connection.
        fresh = request.effect == "create"
        session = here.sessions.get(fresh)
        if session is None or session.closed:
            session = self._open(fresh=fresh, https=request.url.startswith("https:"))
            here.sessions[fresh] = session
            here.origins.clear()
        end = request.url.find("/", request.url.index("//") + 2)
        url = request.url if end < 0 else request.url[:end]
        origin = here.origins.get((fresh, url))
        if origin is None:
            assert session.connector is not None  # noqa: S101 - it is open
            origin = here.origins[fresh, url] = Origin(url, session.connector)
        return origin

    def _open(self, *, fresh: bool, https: bool) -> ClientSession:
        _check_parser()
        connector = self.connector
        if connector is None:
            connector = self._connector_of_our_own(fresh=fresh, https=https)
        return ClientSession(
            connector=connector,
            connector_owner=self.connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def _connector_of_our_own(self, *, fresh: bool, https: bool) -> BaseConnector:
        if self._tls is None and https:
            self._tls = tls_context()
        return aiohttp.TCPConnector(
            limit=self.max_connections,
            ssl=self._tls or True,
            resolver=aiohttp.ThreadedResolver(),
            force_close=fresh,
            keepalive_timeout=None if fresh else _KEEPALIVE_SECONDS,
        )


@cache
def _check_parser() -> None:
    """Log once if aiohttp runs without its compiled parser."""
    if not facts().compiled:
        logging.getLogger("gong_async").warning(
            "aiohttp runs with its pure-Python parser, which is slower and takes malformed answers "
            "less strictly; install a wheel of aiohttp that was compiled for this platform"
        )


def _check_own(kind: str, own: ClientSession | BaseConnector) -> None:
    if own.closed:
        raise UsageError(f"the aiohttp {kind} that was passed in is closed; pass an open one")
    # The public `session.loop` is deprecated and warns.
    here = asyncio.get_running_loop()
    if getattr(own, "_loop", here) is not here:
        raise UsageError(
            f"the aiohttp {kind} that was passed in belongs to another event loop; "
            "pass one that was made in this loop, or none"
        )
