"""One attempt, and the parts that aiohttp calls back while it is under way."""

from __future__ import annotations

import ssl
from contextvars import ContextVar, Token
from typing import Any, Self
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from attrs import define, field

from gong_async._transport.failures import Lost
from gong_async._wire import Progress


@define(eq=False)
class Attempt:
    """What the parts that aiohttp calls back need to know of the attempt that they serve.

    Within `with` they find it.
    """

    progress: Progress
    connections: WeakSet[ResponseHandler]
    """Every connection of the loop that was used and may still be open."""
    connection: ResponseHandler | None = field(default=None, init=False)
    """The one that this attempt uses."""
    _token: Token[Attempt | None] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._token is not None:
            _current.reset(self._token)

    def use(self, connection: ResponseHandler) -> None:
        """Note the connection that the request goes out on."""
        self.connections.add(connection)
        self.connection = connection

    def distrust(self) -> None:
        """Let nobody use this connection again, even if it was given back already."""
        if self.connection is not None:
            self.connection.force_close()


_current: ContextVar[Attempt | None] = ContextVar("gong_async_attempt", default=None)


class Stale(aiohttp.ClientError):
    """The connection cannot be trusted. Nothing was sent on it, and aiohttp closes it."""


class CheckedRequest(aiohttp.ClientRequest):
    """Refuses a pooled connection on which something waits that nobody asked for.

    aiohttp would take it for the answer to this request, whatever it answers.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send on `conn`, unless it is stale."""
        attempt, protocol = _current.get(), conn.protocol
        if attempt is not None and protocol is not None:
            if protocol.should_close:
                raise Stale
            attempt.use(protocol)
        return await super().send(conn)


async def no_resend(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Give every connection error that aiohttp would answer with a repetition another name."""
    lost: Lost | None = None
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        lost = Lost(error)
    raise lost


class Body(aiohttp.Payload):
    """The bytes to send, which note when they start to leave and when they have left."""

    _value: bytes

    def __init__(self, value: bytes, progress: Progress) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._progress = progress
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the bytes."""
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


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts what the machine trusts."""
    context = _TLSContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context
