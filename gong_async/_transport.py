"""The only door to the network: aiohttp's sessions, timeouts, and the body under a cap."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp import BaseConnector, ClientSession, http_parser
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
    Flaw,
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
_SWITCHING_PROTOCOLS = 101
_MISDIRECTED_REQUEST = 421
_ZLIB = 8  # what the first byte of zlib's own format ends with
_UNSENT_PHASES = frozenset({"queue", "pool", "connect", "tls"})


@define(eq=False)
class _Attempt:
    """What the parts that aiohttp calls back need to know of the attempt that they serve."""

    progress: Progress
    connections: WeakSet[ResponseHandler]
    """Every connection of the loop that was used and may still be open."""
    connection: ResponseHandler | None = None
    """The one that this attempt uses."""

    def distrust(self) -> None:
        """Let nobody use this connection again, even if it was given back already."""
        if self.connection is not None:
            self.connection.force_close()


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
            attempt.connection = protocol
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
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        # The headers wait in a buffer for the first bytes of the body: nothing left before this.
        self._progress.phase = "send"
        await writer.write(self._value)
        self.sent = True
        if self._progress.phase == "send":  # an answer may have come early
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
    guard: AsyncGenerator[None, None] | None = None


async def _until_the_end(sessions: dict[bool, ClientSession]) -> AsyncGenerator[None, None]:
    """Close the sessions when this generator is closed: by us, or by the loop at its own end.

    `asyncio.run` closes the async generators that are still open as the last thing in its loop.
    Later is too late, because without their loop the connections cannot be closed.
    """
    try:
        yield
    finally:
        for session in sessions.values():
            await session.close()


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
    _left_to_parent: list[object] = field(factory=list, init=False, repr=False)
    _pid: int = field(factory=os.getpid, init=False)
    _tls: ssl.SSLContext | None = field(default=None, init=False, repr=False)

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: Progress
    ) -> Response:
        """Send `request` once and return the whole answer, whatever its status."""
        here = self._here()
        if here.guard is None:
            here.guard = _until_the_end(here.sessions)
            await anext(here.guard)
        session = self._session_for(request, here)
        attempt = _Attempt(progress, here.connections)
        token = _current.set(attempt)
        failure: GongError
        try:
            while True:
                progress.phase = "connect"
                try:
                    return await _exchange(session, request, authorization, timeout, attempt)
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
        """Close the sessions of this loop. Those of other loops are closed when their loops end."""
        own = self._loops.pop(asyncio.get_running_loop(), None)
        if own is not None and own.guard is not None:
            await own.guard.aclose()

    def _here(self) -> _Loop:
        if self._pid != os.getpid():
            # After a fork the parent's sockets are the parent's. They are kept, because on its way
            # out each of them would take the parent's out of the selector that both share.
            self._left_to_parent.append(self._loops)
            self._loops = WeakKeyDictionary()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        own = self._loops.get(loop)
        if own is None:
            for gone in [known for known in self._loops if known.is_closed()]:
                del self._loops[gone]
            own = self._loops[loop] = _Loop()
        return own

    def _session_for(self, request: Request, here: _Loop) -> ClientSession:
        if self.session is not None:
            _check_own("session", self.session)
            return self.session
        if self.connector is not None:
            _check_own("connector", self.connector)
        # A creation must not be repeated when its answer is lost, and its answer names nothing
        # that we could check: it gets a connection that nobody used before.
        fresh = request.effect == "create"
        session = here.sessions.get(fresh)
        if session is None or session.closed:
            session = self._open(fresh=fresh, https=request.url.startswith("https:"))
            here.sessions[fresh] = session
        return session

    def _open(self, *, fresh: bool, https: bool) -> ClientSession:
        _check_parser()
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


@cache
def _check_parser() -> None:
    """Tell once if aiohttp runs without its compiled parser."""
    if http_parser.HttpResponseParser is http_parser.HttpResponseParserPy:
        logging.getLogger("gong_async").warning(
            "aiohttp runs with its pure-Python parser, which is slower and takes malformed answers "
            "less strictly; install a wheel of aiohttp that was compiled for this platform"
        )


def _check_own(kind: str, own: ClientSession | BaseConnector) -> None:
    if own.closed:
        raise UsageError(f"the aiohttp {kind} that was passed in is closed; pass an open one")
    # The public `session.loop` warns of its own end at every look.
    here = asyncio.get_running_loop()
    if getattr(own, "_loop", here) is not here:
        raise UsageError(
            f"the aiohttp {kind} that was passed in belongs to another event loop; "
            "pass one that was made in this loop, or none"
        )


async def _exchange(
    session: ClientSession,
    request: Request,
    authorization: Secret,
    timeout: float,
    attempt: _Attempt,
) -> Response:
    content = None if request.body is None else _Body(request.body, attempt.progress)
    response = await session.request(
        request.method,
        URL(request.url, encoded=True),
        data=content,
        headers={**request.headers, "Authorization": MaskedHeader(authorization.reveal())},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS), ceil_threshold=timeout + 1
        ),
        middlewares=(_no_resend,),
        raise_for_status=False,
        auto_decompress=False,
    )
    attempt.progress.phase = "body"
    try:
        _check_head(response, content)
        if response.status == _MISDIRECTED_REQUEST:
            attempt.distrust()  # it says "not on this connection"
        body = await _read(response)
    except BaseException:
        response.close()
        attempt.distrust()
        raise
    finally:
        response.release()
    return Response(response.status, response.headers, body)


def _check_head(response: aiohttp.ClientResponse, content: _Body | None) -> None:
    """Refuse an answer that cannot be the one to our request."""
    if response.status == _SWITCHING_PROTOCOLS:
        msg = "Gong's answer switches to a protocol that nobody asked for"
        raise _unusable(msg, "unexpected", response)
    if content is not None and not content.sent and _is_success(response):
        msg = "Gong's success came before the request had left, and cannot be meant for it"
        raise _unusable(msg, "unexpected", response)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read a body up to its cap. `read()` would take whatever a server cares to send.

    A success needs the whole of its body. Of any other answer the status counts, and what there
    is of a body is enough to show.
    """
    success = _is_success(response)
    limit = BODY_LIMIT if success else ERROR_BODY_LIMIT
    unpacker = _Unpacker(", ".join(response.headers.getall("Content-Encoding", ())))
    body, arrived, problem = bytearray(), 0, ""
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            arrived += len(chunk)
            for piece in unpacker.unpack(chunk):
                body += piece
                if max(arrived, len(body)) > limit:
                    break
            if max(arrived, len(body)) > limit:
                problem = f"is larger than {limit:,} bytes"
                break
        else:
            problem = "" if unpacker.complete else "was cut short"
    except zlib.error:
        problem = "cannot be decompressed"
    except (aiohttp.ClientError, OSError):
        if success:
            raise
        problem = "broke off"
    if problem and success:
        body.clear()  # an error keeps the frames that it came through
        raise _unusable(f"Gong's answer {problem}", "cut", response)
    if problem:
        response.close()
    return bytes(body)


class _Unpacker:
    """Undoes a Content-Encoding piece by piece, so that no more is unpacked than is wanted."""

    def __init__(self, encoding: str) -> None:
        self._format = encoding.strip().lower()
        self._stream: Any = None
        self.complete = True

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` holds, in pieces of a bounded size.

        Raises:
            zlib.error: this is not what the header says, or something that we never offered.
        """
        if self._format in {"", "identity"}:
            yield data
            return
        while True:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._window(data))
            piece = self._stream.decompress(data, _CHUNK)
            yield piece
            self.complete = self._stream.eof
            data = self._stream.unused_data if self.complete else self._stream.unconsumed_tail
            if self.complete:
                self._stream = None  # gzip may consist of several parts
            if not data and (self.complete or len(piece) < _CHUNK):
                return

    def _window(self, data: bytes) -> int:
        match self._format:
            case "gzip" | "x-gzip":
                return 16 + zlib.MAX_WBITS
            case "deflate":
                # Said to be zlib, and sent without its header by some.
                return zlib.MAX_WBITS if data[:1] and data[0] & 0x0F == _ZLIB else -zlib.MAX_WBITS
            case _:
                msg = "unknown encoding"
                raise zlib.error(msg)


def _is_success(response: aiohttp.ClientResponse) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004


def _unusable(message: str, flaw: Flaw, response: aiohttp.ClientResponse) -> ProtocolError:
    return ProtocolError(message, flaw=flaw, status=response.status, delivery=Delivery.MAYBE)


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
