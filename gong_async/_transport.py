"""The only door to the network: aiohttp's sessions, timeouts, and the body under a cap."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextvars import ContextVar
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp import BaseConnector, ClientSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from attrs import define, field
from yarl import URL

from gong_async._secret import MaskedHeader, Secret
from gong_async._wire import Progress, Request, Response
from gong_async.errors import (
    APIConnectionError,
    APITimeoutError,
    Delivery,
    GongError,
    ProtocolError,
    TLSError,
    UsageError,
)

__all__ = ["BaseConnector", "ClientSession", "SessionPool", "Transport"]

BODY_LIMIT = 8 * 1024 * 1024
"""Bytes of a success's body, decompressed."""
ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of any other answer's body, decompressed."""

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15.0  # below the idle time of the usual load balancers (60 s and more)
_CHUNK = 64 * 1024
_UNSENT_PHASES = frozenset({"queue", "pool", "connect", "tls"})

@define(eq=False)
class _Attempt:
    """What the parts that aiohttp calls back need to know of the attempt that they serve."""

    progress: Progress
    connections: WeakSet[ResponseHandler]


_current: ContextVar[_Attempt | None] = ContextVar("gong_async_attempt", default=None)


class Transport(Protocol):
    """Sends one request once."""

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: Progress
    ) -> Response:
        """Send `request` once and return the whole answer, whatever its status."""
        ...

    def distrust(self) -> None:
        """Let no later request use a connection that is open now."""
        ...


class _Lost(aiohttp.ClientError):
    """A connection error under a name that aiohttp does not know.

    aiohttp repeats PUT, DELETE and GET once by itself when it sees its own connection errors:
    past our limits, our count of attempts and our journal. This one it lets pass.
    """

    def __init__(self, original: Exception) -> None:
        super().__init__()
        self.original = original


class _Stale(aiohttp.ClientError):
    """The connection cannot be trusted. Nothing was sent on it, and aiohttp closes it."""


class _Request(aiohttp.ClientRequest):
    """Refuses a pooled connection on which something waits that nobody asked for.

    aiohttp would take it for the answer to this request, whatever it answers.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        attempt, protocol = _current.get(), conn.protocol
        if attempt is not None and protocol is not None:
            if protocol.should_close:
                raise _Stale
            attempt.connections.add(protocol)
        return await super().send(conn)


async def _no_resend(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    lost: _Lost | None = None
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        lost = _Lost(error)
    raise lost


class _Body(aiohttp.Payload):
    """The bytes to send, which note when they start to leave and when they have left."""

    _value: bytes

    def __init__(self, value: bytes, progress: Progress) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._progress = progress

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        # The headers wait in a buffer for the first bytes of the body: nothing left before this.
        self._progress.phase = "send"
        await writer.write(self._value)
        self._progress.phase = "headers"


class _TLSContext(ssl.SSLContext):
    """Tells a handshake from a connect, which aiohttp does not."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        attempt = _current.get()
        if attempt is not None and attempt.progress.phase == "connect":
            attempt.progress.phase = "tls"
        return super().wrap_bio(*args, **kwargs)


def _tls_context() -> ssl.SSLContext:
    context = _TLSContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


@define(eq=False)
class _Loop:
    """What belongs to one event loop."""

    sessions: dict[bool, ClientSession] = field(factory=dict)
    connections: WeakSet[ResponseHandler] = field(factory=WeakSet)


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
    _loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = field(
        factory=WeakKeyDictionary, init=False, repr=False
    )
    _pid: int = field(factory=os.getpid, init=False)
    _tls: ssl.SSLContext | None = field(default=None, init=False, repr=False)

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: Progress
    ) -> Response:
        """Send `request` once and return the whole answer, whatever its status."""
        here = self._here()
        session = self._session_for(request, here)
        token = _current.set(_Attempt(progress, here.connections))
        failure: GongError
        try:
            while True:
                progress.phase = "connect"
                try:
                    return await _exchange(session, request, authorization, timeout, progress)
                except _Stale:
                    continue
        except GongError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = _explain(error, request, timeout, progress)
        except RuntimeError:
            if not session.closed:
                raise
            failure = UsageError("the connections were closed while the call was under way")
        finally:
            _current.reset(token)
        # Raised outside the handler: aiohttp's exceptions hold our headers.
        raise failure

    def distrust(self) -> None:
        """Let no later request use a connection that is open now.

        An answer that belongs to another request may leave its own behind on the connection.
        """
        for connection in self._here().connections:
            connection.force_close()

    async def close(self) -> None:
        """Close the sessions of this loop, and drop those of loops that are closed."""
        here = asyncio.get_running_loop()
        for loop, own in list(self._loops.items()):
            if loop is here or loop.is_closed():
                del self._loops[loop]
                for session in own.sessions.values():
                    await session.close()

    def _here(self) -> _Loop:
        if self._pid != os.getpid():
            # After a fork the parent's sockets are the parent's: forget them without a goodbye.
            self._loops = WeakKeyDictionary()
            self._pid = os.getpid()
        return self._loops.setdefault(asyncio.get_running_loop(), _Loop())

    def _session_for(self, request: Request, here: _Loop) -> ClientSession:
        if self.session is not None:
            _check_own(self.session, asyncio.get_running_loop())
            return self.session
        # A creation must not be repeated when its answer is lost, and its answer names nothing
        # that we could check: it gets a connection that nobody used before.
        fresh = request.effect == "create"
        session = here.sessions.get(fresh)
        if session is None or session.closed:
            session = self._open(fresh=fresh, https=request.url.startswith("https:"))
            here.sessions[fresh] = session
        return session

    def _open(self, *, fresh: bool, https: bool) -> ClientSession:
        connector = self.connector
        if connector is None:
            if self._tls is None and https:
                self._tls = _tls_context()
            keepalive: dict[str, Any] = {} if fresh else {"keepalive_timeout": _KEEPALIVE_SECONDS}
            connector = aiohttp.TCPConnector(
                limit=self.max_connections,
                ssl=self._tls or True,
                resolver=aiohttp.ThreadedResolver(),
                force_close=fresh,
                **keepalive,
            )
        return ClientSession(
            connector=connector,
            connector_owner=self.connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            request_class=_Request,
        )


def _check_own(session: ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    if session.closed:
        msg = "the aiohttp session that was passed in is closed; pass an open one"
        raise UsageError(msg)
    if session.loop is not loop:
        msg = (
            "the aiohttp session that was passed in belongs to another event loop; "
            "pass one that was made in this loop, or none"
        )
        raise UsageError(msg)


async def _exchange(
    session: ClientSession,
    request: Request,
    authorization: Secret,
    timeout: float,
    progress: Progress,
) -> Response:
    response = await session.request(
        request.method,
        URL(request.url, encoded=True),
        data=None if request.body is None else _Body(request.body, progress),
        headers={**request.headers, "Authorization": MaskedHeader(authorization.reveal())},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS), ceil_threshold=timeout + 1
        ),
        middlewares=(_no_resend,),
        raise_for_status=False,
    )
    progress.phase = "body"
    try:
        body = await _read(response)
    except BaseException:
        response.close()
        raise
    finally:
        response.release()
    return Response(response.status, response.headers, body)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read a body up to its cap. `read()` would take whatever a server cares to send."""
    success = 200 <= response.status < 300  # noqa: PLR2004
    limit = BODY_LIMIT if success else ERROR_BODY_LIMIT
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > limit:
            if not success:
                response.close()
                break  # what is there is enough to show; the status counts
            msg = f"Gong's answer is larger than {limit:,} bytes"
            raise ProtocolError(msg, flaw="cut", status=response.status, delivery=Delivery.MAYBE)
        chunks.append(chunk)
    return b"".join(chunks)


def _explain(error: Exception, request: Request, timeout: float, progress: Progress) -> GongError:
    """Say in our words what aiohttp's exception means, and whether the request got away."""
    if isinstance(error, _Lost):
        error = error.original
    phase = progress.phase
    unsent = phase in _UNSENT_PHASES and (
        request.body is not None
        or isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    )
    delivery = Delivery.NOT_SENT if unsent else Delivery.MAYBE
    if request.body is None and not unsent and phase in _UNSENT_PHASES:
        phase = "headers"  # without a body nothing tells us when the headers left
    host = URL(request.url, encoded=True).authority
    match error:
        case ssl.SSLError() | aiohttp.ClientSSLError() if phase in _UNSENT_PHASES:
            return TLSError(
                f"no trusted connection to {host}: {_reason(error)}",
                reason="connect",
                delivery=Delivery.NOT_SENT,
            )
        case TimeoutError():
            return APITimeoutError(
                f"{_TIMEOUTS[phase]} {host} within {timeout:g} s",
                phase=phase,
                delivery=delivery,
            )
        case aiohttp.ClientConnectorDNSError():
            return APIConnectionError(
                f"the host name of {host} does not resolve: {_reason(error)}",
                reason="dns" if _is_unknown_name(error.os_error) else "connect",
                delivery=Delivery.NOT_SENT,
            )
        case aiohttp.ClientResponseError():
            # aiohttp gives these status 400, although nobody answered 400.
            return ProtocolError(
                f"the answer of {host} is not HTTP as Gong speaks it",
                flaw="not_http",
                delivery=Delivery.MAYBE,
            )
        case aiohttp.ClientPayloadError():
            return ProtocolError(
                f"the answer of {host} was cut short", flaw="cut", delivery=Delivery.MAYBE
            )
        case aiohttp.InvalidURL() | ValueError():
            return ProtocolError(
                f"the request to {host} could not be written", flaw="unexpected", delivery=delivery
            )
        case _:
            lost = "was lost" if not unsent else "could not be made"
            return APIConnectionError(
                f"the connection to {host} {lost}: {_reason(error)}",
                reason="connect" if unsent else "lost",
                delivery=delivery,
            )


_TIMEOUTS: dict[str, str] = {
    "queue": "no turn for",
    "pool": "no free connection to",
    "connect": "no connection to",
    "tls": "no TLS handshake with",
    "send": "the request was not taken by",
    "headers": "no answer from",
    "body": "no complete answer from",
    "total": "no answer from",
}


def _is_unknown_name(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME


def _reason(error: Exception) -> str:
    """Return the words of the operating system or of OpenSSL, which name no secret."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner: BaseException = error.certificate_error
            return str(getattr(inner, "verify_message", "")) or "the certificate is not trusted"
        case aiohttp.ClientConnectorError():
            inner = error.os_error
        case _:
            inner = error
    words = getattr(inner, "reason", None) or getattr(inner, "strerror", None)
    if isinstance(inner, aiohttp.ServerDisconnectedError):
        return "the server closed it without an answer"
    return str(words) if words else type(inner).__name__
