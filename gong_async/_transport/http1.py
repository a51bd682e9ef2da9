"""HTTP/1.1 requests on the connections of aiohttp's pool, past its session.

The only file that uses undocumented parts of aiohttp. `RELIED_ON` names them, `differences` checks
them, and where they differ the pool sends through `ClientSession.request` instead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache, cached_property
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
from aiohttp import BaseConnector, StreamReader
from attrs import define, field, frozen
from yarl import URL

from gong_async._redact import Secret
from gong_async._transport.body import (
    MISDIRECTED_REQUEST,
    PARSER_HEADER_COUNT,
    PARSER_LINE_LIMIT,
    check_head,
    read,
)
from gong_async._transport.connector import CONNECT_SECONDS, connecting
from gong_async._transport.errors import InvalidResponseError
from gong_async._wire import AttemptProgress, Request, Response

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection

DOCUMENTED_ONLY = "GONG_DOCUMENTED_AIOHTTP"
"""The environment variable that keeps requests to aiohttp's documented API."""

RELIED_ON: Mapping[str, tuple[str, ...]] = {
    "aiohttp.client_reqrep.ClientRequest": ("connection_key",),
    "aiohttp.connector.BaseConnector": ("connect", "force_close"),
    "aiohttp.connector.Connection": ("protocol", "release", "close"),
    "aiohttp.client_proto.ResponseHandler": (
        "transport",
        "is_connected",
        "should_close",
        "force_close",
        "set_response_params",
        "set_exception",
        "read",
    ),
    "aiohttp.http_exceptions.HttpProcessingError": ("with_traceback",),
    "aiohttp.http_parser.RawResponseMessage": ("version", "code", "headers", "raw_headers"),
    "aiohttp.streams.StreamReader": ("set_exception",),
}
"""The undocumented classes and attributes of aiohttp that this file uses."""

_PARSER: Mapping[str, Any] = {
    "read_until_eof": True,
    "auto_decompress": False,
    "max_line_size": PARSER_LINE_LIMIT,
    "max_field_size": PARSER_LINE_LIMIT,
    "max_headers": PARSER_HEADER_COUNT,
}


def _find(path: str) -> Any:
    """Return a class of aiohttp, None if there is none of this name."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


_PARSER_ERROR: type[Exception] = _find("aiohttp.http_exceptions.HttpProcessingError") or Exception


@frozen(kw_only=True)
class AiohttpInfo:
    """Which aiohttp sends the requests."""

    version: str
    compiled: bool
    """Whether responses are parsed by the compiled parser."""
    differences: tuple[str, ...]
    """What differs from the undocumented parts that `http1` relies on."""


def aiohttp_info() -> AiohttpInfo:
    """Return what is installed."""
    parser = _find("aiohttp.http_parser.HttpResponseParser")
    python = _find("aiohttp.http_parser.HttpResponseParserPy")
    return AiohttpInfo(
        version=aiohttp.__version__,
        compiled=parser is None or parser is not python,
        differences=differences(),
    )


@cache
def differences() -> tuple[str, ...]:
    """Return what is missing of `RELIED_ON`, or how it behaves differently."""
    missing = []
    for path, names in RELIED_ON.items():
        found = _find(path)
        if found is None:
            missing.append(f"{path} is missing")
        missing += [f"{path}.{name} is missing" for name in names if not hasattr(found, name)]
    if missing:
        return tuple(dict.fromkeys(missing))
    try:
        signature(BaseConnector.connect).bind(None, None, [], None)
        problem = _replay(_find("aiohttp.client_proto.ResponseHandler"))
    except Exception as error:  # noqa: BLE001 - whatever a changed aiohttp raises
        problem = f"{type(error).__name__}: {error}"
    return (problem,) if problem else ()


def _replay(handler: Callable[..., ResponseHandler]) -> str:
    """Pass a response to aiohttp's protocol in memory; return what differs, or an empty string."""
    no_loop: Any = object()  # nothing here waits
    protocol = handler(loop=no_loop)
    protocol.connection_made(asyncio.Transport())
    protocol.set_response_params(skip_payload=False, **_PARSER)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
    unfinished = protocol.should_close
    protocol.data_received(b"}")
    message, content = _result(protocol.read())
    whole = (message.code, message.raw_headers, content.is_eof(), content.read_nowait()) == (
        200,
        ((b"Content-Length", b"2"),),
        True,
        b"{}",
    )
    clean = not protocol.should_close
    protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    unread = protocol.should_close
    protocol.set_exception(TimeoutError())
    with suppress(TimeoutError):
        _result(protocol.read())  # the one that was unread
        _result(protocol.read())
        return "ResponseHandler.set_exception does not end a read"
    if not whole:
        return "ResponseHandler.read returns another response"
    if not (unfinished and clean and unread):
        return "ResponseHandler.should_close is not true exactly while there is unread data"
    return ""


def _result(call: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    finally:
        call.close()
    raise RuntimeError("ResponseHandler.read waits although there is a response")


@cache
def documented_only() -> bool:
    """Return whether requests must be sent through aiohttp's documented API."""
    return os.environ.get(DOCUMENTED_ONLY, "") not in {"", "0"} or bool(differences())


def close_connection(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a response, even if it is back in the pool.

    aiohttp puts it there as soon as the response is complete, before we see the status.
    """
    response.close()
    # Without this attribute, a connection that speaks another protocol after a 101 stays open.
    protocol = None if documented_only() else getattr(response, "_protocol", None)
    if protocol is not None:
        protocol.close()


def is_of_another_loop(own: aiohttp.ClientSession | BaseConnector) -> bool:
    """Return whether a session or connector of the caller's own belongs to another loop.

    Without this attribute, aiohttp raises an error of its own, before it sends anything.
    """
    here = asyncio.get_running_loop()
    return getattr(own, "_loop", here) is not here  # the public `loop` is deprecated and warns


_BODILESS = frozenset({"GET", "HEAD"})


class _ConnectionRequest(aiohttp.ClientRequest):
    """The request that aiohttp's pool needs to open a connection; it is never sent."""

    @cached_property
    def connection_key(  # pyright: ignore[reportIncompatibleMethodOverride] - kept, as a value
        self,
    ) -> ConnectionKey:
        """The key of the connections to this server; the same for every request."""
        return super().connection_key


@define(eq=False)
class Origin:
    """Opens connections to one server, and sends requests on them."""

    url: str
    connector: BaseConnector
    _connections: WeakSet[ResponseHandler] = field(factory=WeakSet, init=False, repr=False)
    """All used connections that may still be open."""
    _request: _ConnectionRequest = field(init=False, repr=False)
    _headers: Mapping[str, str] | None = field(default=None, init=False, repr=False)
    _lines: str = field(default="", init=False, repr=False)
    """Those headers as they are sent."""
    _timeout: aiohttp.ClientTimeout | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._request = _ConnectionRequest("GET", URL(self.url, encoded=True))

    async def connect(self, timeout: float, progress: AttemptProgress) -> Connection:
        """Return a connection without unread data.

        aiohttp would take it for the answer to the next request, whatever that asks.

        Raises:
            aiohttp.ClientError: there is no connection.
            TimeoutError: there was none in time.
        """
        if self._timeout is None or self._timeout.connect != timeout:
            self._timeout = aiohttp.ClientTimeout(
                connect=timeout,
                sock_connect=min(timeout, CONNECT_SECONDS),
                ceil_threshold=timeout + 1,
            )
        while True:
            token = connecting.set(progress)
            try:
                connection = await self.connector.connect(self._request, [], self._timeout)
            finally:
                connecting.reset(token)
            protocol = connection.protocol
            if protocol is None or not protocol.is_connected():
                connection.close()
                raise aiohttp.ClientConnectionResetError
            if not protocol.should_close:
                if protocol not in self._connections:
                    self._connections.add(protocol)
                return connection
            connection.close()
            progress.phase = "connect"

    def discard_connections(self) -> None:
        """Ensure that no later request uses a connection that is open now."""
        for connection in self._connections:
            connection.force_close()

    def head(self, request: Request, authorization: Secret) -> bytes:
        """Return the head of the request.

        Raises:
            ValueError: something in it would end a line, or is not ASCII.
        """
        if request.headers is not self._headers:
            self._lines = self._fixed_lines(request)
            self._headers = request.headers
        target = request.url[len(self.url) :] or "/"
        # No local variable for the credential: a traceback may show the locals of every frame.
        if not (target.isprintable() and authorization.reveal().isprintable()):
            raise ValueError("a value would end its header line")
        length = ""
        if request.body is not None or request.method not in _BODILESS:
            length = f"Content-Length: {len(request.body or b'')}\r\n"
        return (
            f"{request.method} {target} HTTP/1.1\r\n{self._lines}{length}"
            f"Authorization: {authorization.reveal()}\r\n\r\n"
        ).encode("ascii")

    def _fixed_lines(self, request: Request) -> str:
        headers = {"Host": self._request.headers["Host"], **request.headers}
        if self.connector.force_close:
            headers["Connection"] = "close"
        if not all(f"{name}{value}".isprintable() for name, value in headers.items()):
            raise ValueError("a header would end its line")
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


_INFORMATIONAL = frozenset({*range(100, 200)} - {101})


class Http1Exchange:
    """A connection while it serves one request."""

    __slots__ = ("connection", "content", "progress", "protocol", "transport")

    def __init__(self, connection: Connection, progress: AttemptProgress) -> None:
        assert connection.protocol is not None  # noqa: S101 - it was just found connected
        assert connection.protocol.transport is not None  # noqa: S101
        self.connection = connection
        self.protocol: ResponseHandler = connection.protocol
        self.transport: asyncio.Transport = connection.protocol.transport
        self.progress = progress
        self.content: StreamReader | None = None

    async def run(self, origin: Origin, request: Request, authorization: Secret) -> Response:
        """Send `request`, return the whole response, and release the connection.

        Raises:
            TimeoutError: it has expired before there was an answer.
            ProtocolError: this cannot be the answer to our request, or a success lacks its body.
        """
        reusable = False
        try:
            # What the connection cannot take at once leaves by itself.
            self.protocol.set_response_params(skip_payload=request.method == "HEAD", **_PARSER)
            # No name for the head, which shows the credential: tracebacks hold locals of frames.
            self.transport.write(origin.head(request, authorization) + (request.body or b""))
            self.progress.phase = "send"
            message, self.content = await self.protocol.read()
            while message.code in _INFORMATIONAL:
                message, self.content = await self.protocol.read()
            left = self._has_left()
            self.progress.phase = "body"
            check_head(message.version, message.raw_headers)
            body, complete = await read(
                message.code, message.headers, self.content, request_left=left
            )
            reusable = complete and left and message.code != MISDIRECTED_REQUEST
            return Response(message.code, message.headers, body)
        except _PARSER_ERROR as error:
            raise InvalidResponseError from error
        finally:
            if reusable:
                self.connection.release()
            else:
                self._has_left()
                with suppress(RuntimeError):  # the loop is closed, and its sockets with it
                    self.connection.close()

    def expire(self) -> None:
        """End the wait, but keep what is known of the response: its status may be there."""
        self.protocol.set_exception(TimeoutError())
        if self.content is not None:
            self.content.set_exception(TimeoutError())

    def _has_left(self) -> bool:
        """Return whether the whole request was sent, and record it."""
        if self.progress.phase == "send" and not self.transport.get_write_buffer_size():
            self.progress.phase = "headers"
        return self.progress.phase != "send"
