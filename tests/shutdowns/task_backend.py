"""A program without a web server, which closes its client in a task: `... SECONDS FIRST_ID`.

Without SECONDS it goes on until all jobs are through.
"""

from __future__ import annotations

import asyncio
import sys

from shutdowns.work import Work


async def _click(work: Work, first: int) -> None:
    """Update one meeting after the other, as interactive users do."""
    number = first
    while not work.stopping:
        work.note("asked", number, 200 if await work.update(str(number)) else 503)
        number += 1


async def _main(seconds: float | None, first: int) -> None:
    work = Work()
    await work.start()
    if seconds is None:
        await work.task
        await work.stop()
        return
    clicks = [asyncio.create_task(_click(work, first + 100_000 * n)) for n in range(2)]
    await asyncio.sleep(seconds)
    closing = asyncio.create_task(work.stop())
    await asyncio.wait([closing, *clicks])
    closing.result()
    for click in clicks:
        click.result()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(_main(float(given[0]) if given else None, int(given[1]) if given else 0))
