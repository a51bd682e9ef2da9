"""Sends requests through a session, by aiohttp's documented API.

The session is the caller's, with its cookies, proxies and traces. It is the client's own if
aiohttp lacks what `http1` relies on.
"""

from __future__ import annotations

import aiohttp
from aiohttp import ClientSession
from yarl import URL

from gong_async._redact import RedactedHeader, Secret
from gong_async._transport.body import (
    MISDIRECTED_REQUEST,
    PARSER_HEADER_COUNT,
    PARSER_LINE_LIMIT,
    check_head,
    read,
)
from gong_async._transport.connector import CONNECT_SECONDS, connecting
from gong_async._transport.errors import ConnectionLost
from gong_async._transport.http1 import close_connection
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
    length = {} if request.body is None else {"Content-Length": str(len(request.body))}
    token = connecting.set(progress)
    try:
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            data=content,
            headers={
                **request.headers,
                **length,
                "Authorization": RedactedHeader(authorization.reveal()),
            },
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=timeout,
                sock_connect=min(timeout, CONNECT_SECONDS),
                ceil_threshold=timeout + 1,
            ),
            middlewares=(_no_resend,),
            raise_for_status=False,
            auto_decompress=False,
            max_line_size=PARSER_LINE_LIMIT,
            max_field_size=PARSER_LINE_LIMIT,
            max_headers=PARSER_HEADER_COUNT,
        )
    finally:
        connecting.reset(token)
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
            close_connection(response)
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


class _Body:
    """The bytes of a body, as an asynchronous iterator that records when sending starts and ends.

    aiohttp asks for the next bytes after it has written the last ones.
    """

    def __init__(self, value: bytes, progress: AttemptProgress) -> None:
        self._value = value
        self._progress = progress
        self._started = False
        self.sent = False

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._started:
            # The headers are buffered until the first bytes of the body: nothing was sent before.
            self._started = True
            self._progress.phase = "send"
            return self._value
        self.sent = True
        if self._progress.phase == "send":  # the response may have come early
            self._progress.phase = "headers"
        raise StopAsyncIteration
