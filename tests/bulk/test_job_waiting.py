"""A job that waits for its quota, or for Gong: when it does, and what ends its wait.

Days are short here, in real time: the journal's thread knows nothing of a loop's virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gong_async import (
    BulkJob,
    BulkOptions,
    BulkStatus,
    GongClient,
    Limits,
    MeetingChange,
    RetryPolicy,
)
from gong_async.bulk import runner
from gong_async.limits import day
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]

UNCHECKED = BulkOptions(check_organizers=False)
NO_WAIT = RetryPolicy(max_wait=0.5)
A_DAY = 0.8
PER_DAY = 20


async def drain(outcomes: Any) -> list[Any]:
    """Read outcomes to their end."""
    return [item async for item in outcomes]


async def until_waiting(job: BulkJob) -> BulkStatus:
    """Wait until the job waits; return its status."""
    async with asyncio.timeout(60):
        while (status := await job.status()).state != "waiting":  # noqa: ASYNC110 - it is a file
            await asyncio.sleep(0.005)
    return status


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Return limits of short days, and let a job think that waiting for one is long."""
    monkeypatch.setattr(day, "DAY", A_DAY)
    monkeypatch.setattr(day, "MINUTE", 0.02)
    monkeypatch.setattr(runner, "_SHORT_WAIT", 0.1)
    monkeypatch.setattr(runner, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(runner, "_STOPPED_LOOK_SECONDS", 0.02)
    return Limits(per_second=None, per_day=PER_DAY)


async def test_with_wait_a_job_goes_on_day_after_day(
    fake: FakeGong, client: Client, change: Change, state: Path, limits: Limits
) -> None:
    """In one run, never more than the day allows, and nothing is lost or doubled."""
    began = time.monotonic()
    async with client(fake, limits=limits) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        items = await drain(job.run(wait=True))
        status = await job.status()
    took = time.monotonic() - began

    at = [request.at for request in fake.received]
    assert Counter(item.state for item in items) == {"succeeded": 50}
    assert (status.state, status.runs) == ("completed", 1)
    assert fake.applied_count == fake.received_count == 50
    # The moments of arrival vary by what the machine is busy with; a day's wait is far longer.
    assert all(later - now >= A_DAY / 2 for now, later in zip(at, at[PER_DAY:], strict=False))
    assert took >= 2 * A_DAY


async def test_without_wait_it_ends_waiting(
    fake: FakeGong, client: Client, change: Change, state: Path, limits: Limits
) -> None:
    """The status has the time at which it can continue; a resume then continues."""
    async with client(fake, limits=limits) as gong:
        job = gong.bulk([change(n) for n in range(30)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        waiting = await job.status()
        await asyncio.sleep(A_DAY + 0.1)
        await drain(job.resume())
        status = await job.status()

    assert (waiting.state, waiting.pid) == ("waiting", None)
    assert waiting.resume_at is not None
    assert (status.state, status.counts["succeeded"]) == ("completed", 30)


async def test_the_state_while_it_waits(
    fake: FakeGong, client: Client, change: Change, state: Path, limits: Limits
) -> None:
    """Others see that it waits, until when, and that it is alive; then that it runs again."""
    seen: list[str] = []
    async with client(fake, limits=limits) as gong:
        job = gong.bulk([change(n) for n in range(30)], state_dir=state, options=UNCHECKED)
        looking = gong.bulk(journal=job.path, state_dir=state)
        await job.plan()
        running = asyncio.create_task(drain(job.run(wait=True)))
        waiting = await until_waiting(looking)
        async with asyncio.timeout(60):
            while not running.done():
                seen.append((await looking.status()).state)
        await running

    assert waiting.pid is not None
    assert waiting.resume_at is not None
    assert "the daily quota of" in (waiting.reason or "")
    assert seen[-1] in {"running", "completed"}


@pytest.mark.parametrize("who", ["runner", "other"])
async def test_a_pause_ends_the_wait(
    *,
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    """A job can be stopped before the next day."""
    monkeypatch.setattr(day, "DAY", 3600.0)
    async with client(fake, limits=limits) as gong:
        job = gong.bulk([change(n) for n in range(30)], state_dir=state, options=UNCHECKED)
        await job.plan()
        running = asyncio.create_task(drain(job.run(wait=True)))
        await until_waiting(job)
        asks = job if who == "runner" else gong.bulk(journal=job.path, state_dir=state)
        await asks.pause()
        await running
        status = await job.status()

    assert (status.state, status.reason, status.resume_at) == ("paused", "requested", None)
    assert status.counts["in_doubt"] == 0


async def test_a_long_retry_after_is_waited_for_on_request(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent before Gong's own time."""
    monkeypatch.setattr(runner, "_SHORT_WAIT", 0.1)
    fake.script(Fault.rate_limited("2"), nth=6)
    async with client(fake) as gong:
        patient = gong.with_options(retry=NO_WAIT)
        job = patient.bulk([change(n) for n in range(20)], state_dir=state, options=UNCHECKED)
        await drain(job.run(wait=True))
        status = await job.status()

    refused = next(r.at for r in fake.received if r.status == 429)
    later = [request.at for request in fake.received if request.at > refused + 0.5]
    assert (status.state, status.counts["succeeded"]) == ("completed", 20)
    assert min(later) - refused >= 2.0


async def test_nothing_is_sent_before_gong_said_that_it_may(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Also not by a process that knows nothing of the refusal but what the journal says."""
    changes = [change(n) for n in range(5)]
    fake.script(Fault.rate_limited("3600"))
    one_by_one = BulkOptions(check_organizers=False, max_in_flight=1)
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state, options=one_by_one)
        await drain(job.run())
    sent = fake.received_count

    async with client(fake, limit_store=MemoryLimitStore()) as gong:
        again = gong.bulk(journal=job.path, state_dir=state)
        ended = await drain(again.resume())
        status = await again.status()

    assert (ended, sent, fake.received_count, status.state) == ([], 1, 1, "waiting")
    assert status.resume_at is not None
    assert 3500 < (status.resume_at - datetime.now(UTC)).total_seconds() <= 3602


async def test_a_stop_uses_no_call_of_the_day(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Turns that were granted to updates which the stop has held back are given back."""
    limits = Limits(per_second=None, per_day=1000)
    fake.latency = 0.01
    async with client(fake, limits=limits) as gong:
        job = gong.bulk([change(n) for n in range(200)], state_dir=state, options=UNCHECKED)
        async for _ in job.run():
            await job.pause()
        used = (await gong.quota()).used_today

    assert used == fake.received_count < 200
