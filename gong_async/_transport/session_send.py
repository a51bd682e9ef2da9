"""Sends requests through the caller's session, with its cookies, proxies and traces."""

from __future__ import annotations

import aiohttp
from aiohttp import ClientSession
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from gong_async._redact import MaskedHeader, Secret
from gong_async._transport.body import (
    MISDIRECTED_REQUEST,
    PARSER_HEADER_COUNT,
    PARSER_LINE_LIMIT,
    check_head,
    read,
)
from gong_async._transport.errors import ConnectionLost
from gong_async._transport.http1 import CONNECT_SECONDS
from gong_async._wire import AttemptProgress, Request, Response


async def session_send(
    session: ClientSession,
    request: Request,
    authorization: Secret,
    *,
    timeout: float,
    progress: AttemptProgress,
) -> Response:
    """Send `request` once and return the whole response."""
    # Without a body there is no signal that the request is being sent.
    progress.phase = "headers" if request.body is None else "connect"
    content = None if request.body is None else _Body(request.body, progress)
    response = await session.request(
        request.method,
        URL(request.url, encoded=True),
        data=content,
        headers={**request.headers, "Authorization": MaskedHeader(authorization.reveal())},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            total=timeout, sock_connect=min(timeout, CONNECT_SECONDS), ceil_threshold=timeout + 1
        ),
        middlewares=(_no_resend,),
        raise_for_status=False,
        auto_decompress=False,
        max_line_size=PARSER_LINE_LIMIT,
        max_field_size=PARSER_LINE_LIMIT,
        max_headers=PARSER_HEADER_COUNT,
    )
    progress.phase = "body"
    complete = False
    try:
        check_head(response.version, response.raw_headers)
        body, complete = await read(
            response.status,
            response.headers,
            response.content,
            request_left=content is None or content.sent,
        )
    finally:
        if not complete or response.status == MISDIRECTED_REQUEST:
            response.close()
            # aiohttp puts a connection back before we see the answer if that has no body: after a
            # 101 the server speaks something else on it.
            protocol = getattr(response, "_protocol", None)
            if protocol is not None:
                protocol.close()
        response.release()
    return Response(response.status, response.headers, body)


async def _no_resend(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Rename every connection error for which aiohttp would retry the request."""
    lost: ConnectionLost | None = None
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        lost = ConnectionLost(error)
    raise lost


class _Body(aiohttp.Payload):
    """The bytes of a body, which record when sending starts and ends."""

    _value: bytes

    def __init__(self, value: bytes, progress: AttemptProgress) -> None:
        super().__init__(value)
        self._size = len(value)
        self._progress = progress
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the bytes."""
        # The headers are buffered until the first bytes of the body: nothing was sent before.
        self._progress.phase = "send"
        await writer.write(self._value)
        self.sent = True
        if self._progress.phase == "send":  # the response may have come early
            self._progress.phase = "headers"
