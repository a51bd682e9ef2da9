"""One request and its answer, on a connection of aiohttp's pool.

A session of aiohttp does more for every request: cookies, redirects, proxies, traces, a repetition
of its own. None of it is wanted here, and it costs more than a quarter of a call; so the request is
written to the connection itself, and aiohttp's parser reads the answer.
"""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader

from gong_async._secret import Secret
from gong_async._transport.origin import Origin
from gong_async._transport.reading import (
    MISDIRECTED_REQUEST,
    PARSER_FIELD_LIMIT,
    PARSER_HEADER_COUNT,
    PARSER_LINE_LIMIT,
    check_head,
    read,
)
from gong_async._wire import Progress, Request, Response

_INFORMATIONAL = frozenset({*range(100, 200)} - {101})


class Exchange:
    """A connection while it serves one request."""

    __slots__ = ("connection", "content", "progress", "protocol", "transport")

    def __init__(self, connection: Connection, progress: Progress) -> None:
        assert connection.protocol is not None  # noqa: S101 - it was just found connected
        assert connection.protocol.transport is not None  # noqa: S101
        self.connection = connection
        self.protocol: ResponseHandler = connection.protocol
        self.transport: asyncio.Transport = connection.protocol.transport
        self.progress = progress
        self.content: StreamReader | None = None

    async def run(self, origin: Origin, request: Request, authorization: Secret) -> Response:
        """Send `request`, return the whole answer, and give the connection back.

        Raises:
            TimeoutError: it has expired before there was an answer.
            ProtocolError: this cannot be the answer to our request, or a success lacks its body.
        """
        reusable = False
        try:
            self._write(origin, request, authorization)
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
                self.connection.close()

    def _write(self, origin: Origin, request: Request, authorization: Secret) -> None:
        """Hand the request over. What the connection cannot take at once leaves by itself."""
        self.protocol.set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=PARSER_LINE_LIMIT,
            max_field_size=PARSER_FIELD_LIMIT,
            max_headers=PARSER_HEADER_COUNT,
        )
        # No name for the head, which shows the credential: tracebacks hold the locals of frames.
        self.transport.write(origin.head(request, authorization) + (request.body or b""))
        self.progress.phase = "send"

    def expire(self) -> None:
        """End the wait, and leave what is known of the answer: its status may be there."""
        self.protocol.set_exception(TimeoutError())
        if self.content is not None:
            self.content.set_exception(TimeoutError())

    def _has_left(self) -> bool:
        """Return whether the whole request has left, and note it."""
        if self.progress.phase == "send" and not self.transport.get_write_buffer_size():
            self.progress.phase = "headers"
        return self.progress.phase != "send"
