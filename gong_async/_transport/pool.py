"""The pool of aiohttp sessions, one for each event loop."""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import cache

import aiohttp
from aiohttp import BaseConnector, ClientSession
from attrs import define, field

from gong_async._redact import Secret
from gong_async._transport.connector import make_connector, tls_context
from gong_async._transport.errors import explain
from gong_async._transport.http1 import (
    Http1Exchange,
    Origin,
    aiohttp_info,
    documented_only,
    is_of_another_loop,
)
from gong_async._transport.loops import Loop, Loops
from gong_async._transport.session_send import session_send
from gong_async._wire import AttemptProgress, Request, Response
from gong_async.errors import GongError, UsageError


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
        session = self.session
        failure: GongError
        if session is not None:
            _check_own("session", session)
        try:
            if session is None:
                here = self._loops.here()
                if here.guard is None:
                    await here.close_at_its_end()
                session = self._session(request, here)
                if not documented_only():
                    origin = self._origin(request, session, here)
                    until = asyncio.get_running_loop().time() + timeout
                    progress.phase = "connect"
                    connection = await origin.connect(timeout, progress)
                    exchange = Http1Exchange(connection, progress)
                    here.deadlines.add(exchange, until)
                    try:
                        return await exchange.run(origin, request, authorization)
                    finally:
                        here.deadlines.pop(exchange, None)
            return await session_send(
                session, request, authorization, timeout=timeout, progress=progress
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = explain(error, request, timeout=timeout, progress=progress)
        except RuntimeError:
            if session is None or not session.closed:
                raise
            failure = UsageError("the connections were closed during the call")
        # Raised outside the handler: aiohttp's exceptions hold our headers.
        raise failure

    def discard_connections(self) -> None:
        """Ensure that no later request uses a connection that is open now.

        An answer that belongs to another request may leave its own behind on the connection.
        """
        for origin in self._loops.here().origins.values():
            origin.discard_connections()

    async def close(self) -> None:
        """Close the sessions of this loop. Those of other loops are closed when their loops end."""
        await self._loops.close_here()

    def _session(self, request: Request, here: Loop) -> ClientSession:
        if self.connector is not None:
            _check_own("connector", self.connector)
        # A creation must not be repeated when its answer is lost, and its answer names nothing
        # that we could check: it gets a new connection. aiohttp's documented API does not say
        # whether there is unread data on a connection, so that all connections are new with it.
        fresh = request.effect == "create" or documented_only()
        session = here.sessions.get(fresh)
        if session is None or session.closed:
            session = self._open(fresh=fresh, https=request.url.startswith("https:"))
            here.sessions[fresh] = session
            for of_closed in [origin for origin in here.origins if origin[0] == fresh]:
                del here.origins[of_closed]
        return session

    def _origin(self, request: Request, session: ClientSession, here: Loop) -> Origin:
        end = request.url.find("/", request.url.index("//") + 2)
        url = request.url if end < 0 else request.url[:end]
        fresh = request.effect == "create"
        origin = here.origins.get((fresh, url))
        if origin is None:
            assert session.connector is not None  # noqa: S101 - it is open
            origin = here.origins[fresh, url] = Origin(url, session.connector)
        return origin

    def _open(self, *, fresh: bool, https: bool) -> ClientSession:
        _warn_of_aiohttp()
        if self._tls is None and https and self.connector is None:
            self._tls = tls_context()
        connector = self.connector or make_connector(self.max_connections, self._tls, fresh=fresh)
        return ClientSession(
            connector=connector,
            connector_owner=self.connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


@cache
def _warn_of_aiohttp() -> None:
    """Log once if aiohttp is slower or less safe than it could be."""
    aiohttp_is, log = aiohttp_info(), logging.getLogger("gong_async")
    if not aiohttp_is.compiled:
        log.warning(
            "aiohttp runs with its pure-Python parser, which is slower and takes malformed answers "
            "less strictly; install a wheel of aiohttp that was compiled for this platform"
        )
    if aiohttp_is.differences:
        log.warning(
            "aiohttp %s differs from the versions that this version of gong_async supports (%s); "
            "requests go through ClientSession.request, which is slower and opens a new connection "
            "for each; install another version of gong_async or of aiohttp",
            aiohttp_is.version,
            "; ".join(aiohttp_is.differences),
        )


def _check_own(kind: str, own: ClientSession | BaseConnector) -> None:
    if own.closed:
        raise UsageError(f"the aiohttp {kind} that was passed in is closed; pass an open one")
    if is_of_another_loop(own):
        raise UsageError(
            f"the aiohttp {kind} that was passed in belongs to another event loop; "
            "pass one that was made in this loop, or none"
        )
