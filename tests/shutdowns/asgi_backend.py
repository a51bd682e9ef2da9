"""A plain ASGI application, for uvicorn: no framework, a lifespan, `POST /{meetingId}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from shutdowns.work import Work

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_work: Work


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer an event of the server."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    done = await _work.update(scope["path"].strip("/"))
    await send({"type": "http.response.start", "status": 200 if done else 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    global _work  # noqa: PLW0603 - as applications without a framework do
    await receive()
    _work = Work()
    await _work.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _work.stop()
    await send({"type": "lifespan.shutdown.complete"})
