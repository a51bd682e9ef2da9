"""One process runs a job; others look on, ask it to stop, are refused, or find it dead."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkJob, BulkStatus, GongClient, JournalError, MeetingChange
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

WORKER = Path(__file__).with_name("worker.py")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@asynccontextmanager
async def worker(fake: FakeGong, state: Path, **options: Any) -> AsyncIterator[Any]:
    """Run a job in a process of its own."""
    options = {
        "url": fake.url,
        "state": str(state),
        "journal": str(state / "job.sqlite3"),
        **options,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), json.dumps(options), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def heard(process: Any) -> list[dict[str, Any]]:
    """Return what the process prints until it ends."""
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return [json.loads(line) for line in out.splitlines()]


async def until(job: BulkJob, condition: Callable[[BulkStatus], bool]) -> BulkStatus:
    """Wait for a condition on the status of the job; return the status."""
    async with asyncio.timeout(60):
        while True:
            with suppress(JournalError):  # the worker may not have come that far yet
                status = await job.status()
                if condition(status):
                    return status
            await asyncio.sleep(0.01)


@pytest.fixture
def paced(fake: FakeGong) -> FakeGong:
    """Return a fake that takes its time, so that a job of many updates takes seconds."""
    fake.latency = 0.02
    return fake


async def test_another_process_reads_the_status(
    paced: FakeGong, client: Client, state: Path
) -> None:
    """State, counts that grow, the process that runs it; at the end it is finished."""
    async with client(paced) as gong, worker(paced, state, count=300) as process:
        job = gong.bulk(journal=state / "job.sqlite3", state_dir=state)
        early = await until(job, lambda status: status.counts["succeeded"] > 5)
        late = await until(
            job, lambda status: status.counts["succeeded"] > early.counts["succeeded"]
        )
        reported = await heard(process)
        end = await job.status()

    assert (early.state, early.pid, early.total) == ("running", process.pid, 300)
    assert late.seconds > early.seconds
    assert reported[-1] == {"job": "completed", "why": None}
    assert (end.state, end.pid, end.counts["succeeded"]) == ("completed", None, 300)


@pytest.mark.parametrize("word", ["pause", "cancel"])
async def test_another_process_may_stop_the_job(
    paced: FakeGong, client: Client, state: Path, word: str
) -> None:
    """It ends in good order: nothing in doubt, and the state is the one that was asked for."""
    async with client(paced) as gong, worker(paced, state, count=2000) as process:
        job = gong.bulk(journal=state / "job.sqlite3", state_dir=state)
        await until(job, lambda status: status.counts["succeeded"] > 5)
        await (job.pause() if word == "pause" else job.cancel())
        reported = await heard(process)
        status = await job.status()

    state_then = "paused" if word == "pause" else "cancelled"
    assert reported[-1] == {"job": state_then, "why": "requested"}
    assert status.counts["in_doubt"] == status.counts["in_flight"] == 0
    assert status.counts["succeeded"] == paced.applied_count < 2000
    assert status.total == 2000


async def test_a_second_process_is_refused(paced: FakeGong, client: Client, state: Path) -> None:
    """While one process runs the job, another one raises an error and sends nothing."""
    async with client(paced) as gong, worker(paced, state, count=1000) as first:
        job = gong.bulk(journal=state / "job.sqlite3", state_dir=state)
        await until(job, lambda status: status.counts["succeeded"] > 5)
        async with worker(paced, state, resume=True) as second:
            reported = await heard(second)
        with pytest.raises(JournalError, match="another process") as caught:
            async for _ in job.resume():
                pass
        await job.pause()
        await heard(first)

    assert [each["reason"] for each in reported] == ["in_use"]
    assert caught.value.reason == "in_use"
    assert max(Counter(r.meeting_id for r in paced.received).values()) == 1


async def test_two_runners_in_one_process_are_refused_as_well(
    paced: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The lock is not the process's, but the runner's."""
    async with client(paced) as gong:
        job = gong.bulk([change(n) for n in range(300)], state_dir=state)
        running = job.run()
        await anext(running)
        with pytest.raises(JournalError) as caught:
            await anext(gong.bulk(journal=job.path, state_dir=state).resume())
        await running.aclose()

    assert caught.value.reason == "in_use"


async def test_a_killed_runner_leaves_no_lock(
    paced: FakeGong, client: Client, query: Query, state: Path
) -> None:
    """It is interrupted; resume completes the job, and resends only items that were in flight."""
    async with client(paced) as gong, worker(paced, state, count=200) as process:
        job = gong.bulk(journal=state / "job.sqlite3", state_dir=state)
        await until(job, lambda status: status.counts["succeeded"] > 20)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        dead = await job.status()
        acknowledged = query(job.path, "SELECT meeting_id FROM item WHERE state = 'succeeded'")
        again = [item async for item in job.resume()]
        status = await job.status()

    times = Counter(applied.meeting_id for applied in paced.applied)
    assert (dead.state, dead.pid) == ("interrupted", None)
    assert dead.counts["in_flight"] <= 8  # none, where the answers in flight were just written
    assert (status.state, status.counts["succeeded"]) == ("completed", 200)
    assert len(again) == 200 - len(acknowledged)
    assert set(times) == {str(n) for n in range(200)}
    assert {times[id_] for (id_,) in acknowledged} == {1}
    assert sum(times.values()) - 200 <= dead.counts["in_flight"]


async def test_a_file_that_may_not_grow_stops_the_job(
    paced: FakeGong, client: Client, query: Query, state: Path
) -> None:
    """As on a full disk: the error has the reason and the counts, and resume completes the job."""
    paced.latency = 0.0
    path = state / "job.sqlite3"
    async with client(paced) as gong:
        async with worker(paced, state, count=400, largest_file=400_000) as process:
            reported = await heard(process)
        sent = Counter(str(r.meeting_id) for r in paced.received)
        intents: Counter[str] = Counter(
            dict(query(path, "SELECT meeting_id, attempts FROM item WHERE attempts"))
        )
        job = gong.bulk(journal=path, state_dir=state)
        async for _ in job.resume():
            pass
        status = await job.status()

    assert reported[-1]["reason"] == "file"
    assert "cannot be used now" in reported[-1]["error"]
    assert 0 < len(sent) < 400
    assert sent - intents == Counter()
    assert (status.state, status.counts["succeeded"]) == ("completed", 400)
