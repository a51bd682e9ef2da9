"""One request and its answer."""

from __future__ import annotations

from contextlib import suppress

import aiohttp
from aiohttp import ClientSession
from yarl import URL

from gong_async._secret import MaskedHeader, Secret
from gong_async._transport.attempt import Attempt, Body, Stale, no_resend
from gong_async._transport.failures import explain
from gong_async._transport.reading import read
from gong_async._wire import Request, Response
from gong_async.errors import GongError, UsageError

_CONNECT_SECONDS = 10.0
_MISDIRECTED_REQUEST = 421


async def exchange(
    session: ClientSession,
    request: Request,
    authorization: Secret,
    *,
    timeout: float,
    attempt: Attempt,
) -> Response:
    """Send `request` once, on a connection that can be trusted, and return the whole answer.

    Raises:
        GongError: there is none, or none that can be believed.
    """
    failure: GongError
    try:
        while True:
            attempt.progress.phase = "connect"
            with suppress(Stale):
                return await _send(
                    session, request, authorization, timeout=timeout, attempt=attempt
                )
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = explain(error, request, timeout=timeout, progress=attempt.progress)
    except RuntimeError:
        if not session.closed:
            raise
        failure = UsageError("the connections were closed while the call was under way")
    # Raised outside the handler: aiohttp's exceptions hold our headers.
    raise failure


async def _send(
    session: ClientSession,
    request: Request,
    authorization: Secret,
    *,
    timeout: float,
    attempt: Attempt,
) -> Response:
    content = None if request.body is None else Body(request.body, attempt.progress)
    response = await session.request(
        request.method,
        URL(request.url, encoded=True),
        data=content,
        headers={**request.headers, "Authorization": MaskedHeader(authorization.reveal())},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS), ceil_threshold=timeout + 1
        ),
        middlewares=(no_resend,),
        raise_for_status=False,
        auto_decompress=False,
    )
    attempt.progress.phase = "body"
    try:
        if response.status == _MISDIRECTED_REQUEST:
            attempt.distrust()  # it says "not on this connection"
        body = await read(response, request_left=content is None or content.sent)
    except BaseException:
        response.close()
        attempt.distrust()
        raise
    finally:
        response.release()
    return Response(response.status, response.headers, body)
