"""A web service that moves meetings: one client for the whole life of the application.

GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=... python examples/web_backend.py --port 8080
curl -X PUT localhost:8080/meetings/7782342274025937895 -d '{"start": "2026-11-24T15:00:00+01:00",
    "minutes": 45, "organizer": "dana@example.com", "guests": ["lee@customer.example"]}'
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from aiohttp import web

from gong_async import (
    DailyQuotaExceededError,
    GongClient,
    GongError,
    Invitee,
    MeetingUpdate,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ValidationError,
)

GONG = web.AppKey("gong", GongClient)


async def gong_client(app: web.Application) -> AsyncIterator[None]:
    """Open one client when the application starts, and close it when it ends."""
    # A browser waits for the answer: better an error after ten seconds than a result after sixty.
    async with GongClient.from_env(retry=RetryPolicy(deadline=10, max_wait=5)) as gong:
        app[GONG] = gong
        yield


async def move(request: web.Request) -> web.Response:
    """Replace a meeting by what the request's body says."""
    try:
        wish = json.loads(await request.text())
        start = datetime.fromisoformat(wish["start"])
        new_state = MeetingUpdate(
            start_time=start,
            end_time=start + timedelta(minutes=wish["minutes"]),
            organizer_email=wish["organizer"],
            invitees=[Invitee(email=guest) for guest in wish["guests"]],
        )
    except (KeyError, TypeError, ValueError) as error:
        # A ValidationError is a ValueError, and says which field is wrong.
        return web.json_response({"error": str(error)}, status=400)
    try:
        updated = await request.app[GONG].meetings.update(request.match_info["id"], new_state)
    except GongError as error:
        return refusal(error)
    return web.json_response({"meeting": updated.meeting_id, "request_id": updated.request_id})


def refusal(error: GongError) -> web.Response:
    """Say to the caller what became of the change, and whether trying again makes sense."""
    body = {"error": error.message, "request_id": error.request_id}
    if error.outcome_unknown:
        return web.json_response({**body, "applied": "unknown"}, status=504)
    match error:
        case ValidationError():
            return web.json_response(body, status=400)
        case NotFoundError():
            return web.json_response(body, status=404)
        case RateLimitError() | DailyQuotaExceededError():
            headers = {"Retry-After": str(int(error.retry_after or 1) + 1)}
            return web.json_response(body, status=503, headers=headers)
        case _:
            return web.json_response(body, status=502)


def make_app() -> web.Application:
    """Put the application together."""
    app = web.Application()
    app.cleanup_ctx.append(gong_client)
    app.router.add_put("/meetings/{id}", move)
    return app


def main() -> None:
    """Serve on this machine until interrupted."""
    parser = argparse.ArgumentParser(description="A web service that moves meetings.")
    parser.add_argument("--port", type=int, default=8080)
    web.run_app(make_app(), host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
