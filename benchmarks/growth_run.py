"""One measurement of `growth.py`, in a process of its own: updates in one way, so many of them."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field
from journal import Nowhere
from meetings import changes
from memory import MEGABYTE, resident

from gong_async import BasicAuth, BulkJob, BulkOptions, GongClient, Limits, MeetingChange
from gong_async.bulk.engine import Engine
from gong_async.models.converter import make_converter, to_json

IN_FLIGHT = 100
WARM_UP = 1_000
EVERY = 500
JOURNALS = "/dev/shm" if Path("/dev/shm").is_dir() else None
OPTIONS = BulkOptions(check_organizers=False, max_in_flight=IN_FLIGHT)


@define
class Marks:
    """Processor time and memory while outcomes come in."""

    cpu: list[float] = field(factory=lambda: [time.process_time()])
    """At the beginning, and after each `EVERY` outcomes."""
    at_start: int = field(factory=resident)
    highest: int = 0
    done: int = 0

    def note(self) -> None:
        """Count an outcome."""
        self.done += 1
        if self.done % EVERY == 0:
            self.cpu.append(time.process_time())
            self.highest = max(self.highest, resident())

    def figures(self) -> dict[str, float]:
        """Return what an item costs: of all, of the first tenth, of the last."""
        all_of_it = time.process_time() - self.cpu[0]
        gc.collect()
        tenth = max(1, self.done // EVERY // 10)
        items = tenth * EVERY
        growth = max(self.highest, resident()) - self.at_start
        return {
            "cpu_us": all_of_it / self.done * 1e6,
            "first_us": (self.cpu[tenth] - self.cpu[0]) / items * 1e6,
            "last_us": (self.cpu[-1] - self.cpu[-1 - tenth]) / items * 1e6,
            "growth_mb": growth / MEGABYTE,
        }


async def read(outcomes: AsyncGenerator[Any, None], count: int, marks: Marks) -> None:
    """Read outcomes to their end; all have to be good."""
    async with aclosing(outcomes):
        async for outcome in outcomes:
            assert outcome.ok
            marks.note()
    assert marks.done == count


@asynccontextmanager
async def client(url: str) -> AsyncIterator[GongClient]:
    """Make a client without limits of time."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=IN_FLIGHT)
    async with GongClient(BasicAuth("key", "secret"), base_url=url, limits=limits) as gong:
        yield gong


async def measure_engine(count: int) -> dict[str, float]:
    """Let the engine of `update_many` work on changes whose update is answered at once."""
    nowhere = Nowhere(seconds=0.0)

    def outcomes(count: int) -> AsyncGenerator[Any, None]:
        engine: Engine[MeetingChange, Any] = Engine(
            source=changes(count),
            operation=lambda change: nowhere.update(change.meeting_id),
            key=lambda change: change.meeting_id,
            attempts=lambda result: result.meta.attempts,
            max_in_flight=IN_FLIGHT,
            settle_seconds=30.0,
        )
        return engine.outcomes()

    return await warmed_up(outcomes, count)


async def measure_update_many(count: int, url: str) -> dict[str, float]:
    """Let `update_many` send changes to the server."""
    async with client(url) as gong:
        return await warmed_up(lambda count: gong.update_many(changes(count)), count)


async def warmed_up(
    outcomes: Callable[[int], AsyncGenerator[Any, None]], count: int
) -> dict[str, float]:
    """Measure, once connections are open and everything is imported."""
    await read(outcomes(WARM_UP), WARM_UP, Marks())
    gc.collect()
    marks = Marks()
    await read(outcomes(count), count, marks)
    return marks.figures()


async def measure_job(count: int, url: str | None) -> dict[str, float]:
    """Plan and run a job; its requests go to the server, or nowhere."""
    with tempfile.TemporaryDirectory(dir=JOURNALS) as name:
        # Each with a ledger of its own: what the first has sent would be left out by the second.
        warm_up, folder = Path(name, "warm-up"), Path(name, "job")
        if url is None:
            await run_job(_nowhere_job(warm_up, WARM_UP), WARM_UP)
            return await run_job(_nowhere_job(folder, count), count)
        async with client(url) as gong:
            first = gong.bulk(changes(WARM_UP), options=OPTIONS, state_dir=warm_up)
            await run_job(first, WARM_UP)
            job = gong.bulk(changes(count), options=OPTIONS, state_dir=folder)
            return await run_job(job, count)


async def run_job(job: BulkJob, count: int) -> dict[str, float]:
    """Plan a job, run it, and return the figures of both."""
    gc.collect()
    marks, at_start = Marks(), time.process_time()
    await job.plan()
    planned = (time.process_time() - at_start) / count * 1e6
    before, marks.cpu = marks.at_start, [time.process_time()]
    await read(job.run(), count, marks)
    marks.at_start = before
    return {"plan_us": planned, **marks.figures()}


def _nowhere_job(folder: Path, count: int) -> BulkJob:
    nowhere: Any = Nowhere(seconds=0.0)
    return BulkJob(
        path=folder / "job.sqlite3",
        id=f"benchmark-{count}",
        ledger=folder / "ledger.sqlite3",
        options=OPTIONS,
        changes=changes(count),
        company="company",
        origin="https://api.gong.io",
        call=nowhere,
        limiter=nowhere,
        limits=nowhere.limits,
        encode=partial(to_json, make_converter()),
    )


def main() -> None:
    """Measure what is asked for, and print it as a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("way", choices=["engine", "update_many", "job", "job_nowhere"])
    parser.add_argument("count", type=int)
    parser.add_argument("--url")
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.way == "engine":
        measuring = measure_engine(options.count)
    elif options.way == "update_many":
        measuring = measure_update_many(options.count, options.url)
    else:
        url = options.url if options.way == "job" else None
        measuring = measure_job(options.count, url)
    figures = asyncio.run(measuring)
    print(json.dumps({"way": options.way, "count": options.count, **figures}), flush=True)
    sys.stdin.read()  # until the parent process has read it


if __name__ == "__main__":
    main()
