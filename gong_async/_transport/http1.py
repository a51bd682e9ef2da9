"""HTTP/1.1 requests on the connections of aiohttp's pool, past its session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property

import aiohttp
from aiohttp import BaseConnector, http_parser
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
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
from gong_async._transport.tls import connecting
from gong_async._wire import AttemptProgress, Request, Response


@frozen(kw_only=True)
class AiohttpInfo:
    """Which aiohttp sends the requests."""

    version: str
    compiled: bool
    """Whether responses are parsed by the compiled parser."""


def facts() -> AiohttpInfo:
    """Return what is installed."""
    compiled = http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy
    return AiohttpInfo(version=aiohttp.__version__, compiled=compiled)


CONNECT_SECONDS = 10.0
_BODILESS = frozenset({"GET", "HEAD"})


class _Place(aiohttp.ClientRequest):
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
    _place: _Place = field(init=False, repr=False)
    _headers: Mapping[str, str] | None = field(default=None, init=False, repr=False)
    _lines: str = field(default="", init=False, repr=False)
    """Those headers as they are sent."""
    _timeout: aiohttp.ClientTimeout | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._place = _Place("GET", URL(self.url, encoded=True))

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
                connection = await self.connector.connect(self._place, [], self._timeout)
            finally:
                connecting.reset(token)
            protocol = connection.protocol
            if protocol is None or not protocol.is_connected():
                connection.close()
                raise aiohttp.ClientConnectionResetError
            if not protocol.should_close:
                return connection
            connection.close()
            progress.phase = "connect"

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
        headers = {"Host": self._place.headers["Host"], **request.headers}
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
            self.protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=PARSER_LINE_LIMIT,
                max_field_size=PARSER_LINE_LIMIT,
                max_headers=PARSER_HEADER_COUNT,
            )
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
