"""The same backend for `aiohttp.web`: `python -m shutdowns.aiohttp_backend PORT`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import web

from shutdowns.work import Work

_WORK = web.AppKey("work", Work)


async def _live(app: web.Application) -> AsyncIterator[None]:
    work = app[_WORK] = Work()
    await work.start()
    yield
    await work.stop()


async def _update(request: web.Request) -> web.Response:
    done = await request.app[_WORK].update(request.match_info["id"])
    return web.Response(status=200 if done else 503)


def main() -> None:
    """Serve until a signal comes."""
    app = web.Application()
    app.cleanup_ctx.append(_live)
    app.router.add_post("/{id}", _update)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
