"""What a journal costs: processor time an item, memory of a million, the time to go on.

The requests go nowhere, so that what is measured is the journal, and the engine around it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field
from meetings import changes

from gong_async import BulkJob, Endpoint, IntegrationStatus, Limits, MeetingChange, Quota
from gong_async.bulk.engine import Engine
from gong_async.models.converter import make_converter, to_json
from gong_async.models.meetings import UpdatedMeeting

ANSWER_SECONDS = 0.001


@define
class Nowhere:
    """Takes calls and limits for a client, sends nothing, and acknowledges each update."""

    seconds: float = ANSWER_SECONDS
    """How long an answer takes; 0 for one that is there at the next turn of the loop."""
    limits: Limits = field(factory=lambda: Limits(per_second=None, per_day=None))

    async def __call__(
        self,
        endpoint: Endpoint[Any],
        *,
        path: Mapping[str, str] | None = None,
        query: object = None,
        body: object = None,
        before_send: Any = None,
        after_attempt: Any = None,
    ) -> Any:
        """Acknowledge an update as the pipeline does; know no organizer, and so stop none."""
        if path is None:
            return IntegrationStatus()
        if before_send is not None:
            await before_send()
        result = await self.update(path["meetingId"])
        if after_attempt is not None:
            after_attempt(200, None)
        return result

    async def update(self, meeting_id: str) -> UpdatedMeeting:
        """Wait as long as an answer takes, acknowledge."""
        await asyncio.sleep(self.seconds)
        return UpdatedMeeting(meeting_id=meeting_id, request_id="4al018gzaztcr8nbukw")

    async def quota(self) -> Quota:
        """Have no limit."""
        return Quota(
            used_today=0,
            left_today=None,
            resets_at=None,
            per_second=None,
            ceiling=None,
            paused_until=None,
        )


def make_job(path: Path, count: int | None) -> BulkJob:
    """Return a job of so many changes; None for one that has its journal."""
    nowhere: Any = Nowhere()
    return BulkJob(
        path=path / "job.sqlite3",
        id="benchmark",
        ledger=path / "ledger.sqlite3",
        options=None,
        changes=None if count is None else changes(count),
        company="company",
        origin="https://api.gong.io",
        call=nowhere,
        limiter=nowhere,
        limits=nowhere.limits,
        encode=partial(to_json, make_converter()),
    )


def resident() -> float:
    """Return the resident memory in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def without_journal(count: int) -> float:
    """Return the microseconds of processor time that the engine alone takes for an item."""
    nowhere = Nowhere()
    engine: Engine[MeetingChange, Any] = Engine(
        source=changes(count),
        operation=lambda change: nowhere.update(change.meeting_id),
        key=lambda change: change.meeting_id,
        attempts=lambda _: 1,
        max_in_flight=8,
        settle_seconds=0.0,
    )
    began = time.process_time()
    async with aclosing(engine.outcomes()) as outcomes:
        async for _ in outcomes:
            pass
    return (time.process_time() - began) / count * 1e6


async def measure(count: int, folder: Path) -> None:
    """Plan, run half, go on with the other half, and print the figures."""
    alone = await without_journal(min(count, 20_000))
    before = resident()
    job = make_job(folder, count)
    began = time.perf_counter()
    await job.plan()
    print(f"planned         {count:,} in {time.perf_counter() - began:.1f} s")
    most, cpu = resident(), time.process_time()
    done = 0
    async with aclosing(job.run(canary=count // 2)) as items:
        async for _ in items:
            done += 1
            if done % 1000 == 0:
                most = max(most, resident())
    each = (time.process_time() - cpu) / done * 1e6
    print(f"processor time  {each:.0f} us an item, of which {alone:.0f} us without a journal")
    began = time.perf_counter()
    async with aclosing(make_job(folder, None).resume()) as items:
        await anext(items)
        first = time.perf_counter() - began
        async for _ in items:
            done += 1
            if done % 1000 == 0:
                most = max(most, resident())
    print(f"resumed         first item after {first:.2f} s, {count // 2:,} were done")
    print(f"memory          {most - before:+.1f} MB at the most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(arguments.count, Path(name)))
