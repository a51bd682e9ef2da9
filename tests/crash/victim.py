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
from typing import Any

from crash.points import set_points
from gong_async import GongClient
from gong_async.bulk.outbox import Outbox
from gong_async.bulk.records import BulkItem
from gong_async.bulk.store.journal import Journal


def report_progress(begun: int, reported: int) -> None:
    """Report when the work begins, and each item that the caller gets."""
    begin_run, get = Journal.begin_run, Outbox.get

    async def watched_begin(self: Journal, since: float = 0.0) -> str | None:
        asked = await begin_run(self, since)
        os.write(begun, b"b")
        return asked

    async def watched_get(self: Outbox) -> BulkItem | None:
        item = await get(self)
        if item is not None:
            os.write(reported, f"{item.index} {item.state}\n".encode())
        return item

    Journal.begin_run = watched_begin  # type: ignore[method-assign]
    Outbox.get = watched_get  # type: ignore[method-assign]


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
