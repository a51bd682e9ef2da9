"""The program that is killed: the command line, with a place at which it dies, or a breakage.

What is asked of it comes in environment variables, so that its arguments are those of the command:

* CRASH_LIFE: its number, which it sends to the server in its User-Agent.
* CRASH_POINT: where to die, see `points`.
* CRASH_BREAK: a deliberate breakage, see `breaks`.
* CRASH_BEGUN: a pipe that gets a line when the work begins; CRASH_REPORTED: a file that gets a line
  for each item whose outcome was reported to the caller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from crash.points import set_points
from gong_async import GongClient
from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkItem
from gong_async.bulk.store.journal import Journal
from gong_async.limits.types import Limits


def report_progress(begun: int, reported: int) -> None:
    """Report when the work begins, and each item that the caller gets."""
    begin_run, send = Journal.begin_run, BulkJob._send

    async def watched_begin(self: Journal, since: float, limits: Limits) -> str | None:
        asked = await begin_run(self, since, limits)
        os.write(begun, b"b")
        return asked

    async def watched_send(self: BulkJob, **options: Any) -> AsyncGenerator[BulkItem, None]:
        async with aclosing(send(self, **options)) as items:
            async for item in items:
                os.write(reported, f"{item.index} {item.state}\n".encode())
                yield item

    Journal.begin_run = watched_begin  # type: ignore[method-assign]
    BulkJob._send = watched_send  # type: ignore[method-assign]


def set_name(life: str) -> None:
    """Make the command's clients name their process to the server."""
    from_env = GongClient.from_env.__func__  # type: ignore[attr-defined]

    def named(cls: type[GongClient], environ: Any = None, /, **options: Any) -> GongClient:
        client: GongClient = from_env(cls, environ, user_agent=f"victim/{life}", **options)
        return client

    GongClient.from_env = classmethod(named)  # type: ignore[assignment, method-assign]


def main() -> int:
    """Prepare, and be the program."""
    environ = os.environ
    set_name(environ["CRASH_LIFE"])
    report_progress(int(environ["CRASH_BEGUN"]), int(environ["CRASH_REPORTED"]))
    if name := environ.get("CRASH_BREAK"):
        from crash.breaks import BREAKS  # noqa: PLC0415 - an honest victim does without

        BREAKS[name]()
    if point := environ.get("CRASH_POINT"):
        set_points(point)
    from gong_async.cli.app import app  # noqa: PLC0415 - after all preparations

    return int(app.main(prog_name="gong-async", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
