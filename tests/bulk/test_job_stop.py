"""Stopping a job, asked or not: what was sent is known, what was not sent stays planned."""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkJob, BulkOptions, GongClient, JournalError, MeetingChange, RetryPolicy
from gong_async.bulk import job as job_module
from gong_async.bulk import runner
from gong_async.bulk.store.journal import Journal
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

UNCHECKED = BulkOptions(check_organizers=False)
ONCE = RetryPolicy(max_attempts=1)


async def drain(outcomes: Any, *, at_20: Callable[[], object] = int) -> list[Any]:
    """Read outcomes to their end; after the 20th something happens."""
    items = []
    async for item in outcomes:
        items.append(item)
        if len(items) == 20:
            at_20()
    return items


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.005)


async def finish(job: BulkJob, fake: FakeGong, count: int) -> dict[str, int]:
    """Resume the job; return its counts, once each meeting was applied."""
    fake.clear_script()
    fake.latency = 0.0
    await drain(job.resume())
    status = await job.status()
    assert {applied.meeting_id for applied in fake.applied} == {str(n) for n in range(count)}
    return {str(state): items for state, items in status.counts.items() if items}


def unknown_to_the_journal(fake: FakeGong, query: Query, path: Path) -> set[str]:
    """Return the meetings whose requests arrived and of which the journal has no intent."""
    intents: Counter[str] = Counter(
        dict(query(path, "SELECT meeting_id, count(*) FROM attempt JOIN item USING (item_index) "
                         "GROUP BY meeting_id"))
    )  # fmt: skip
    return set(Counter(str(r.meeting_id) for r in fake.received if r.meeting_id) - intents)


async def test_pause_lets_requests_in_flight_end(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """No new intents; what is in flight is acknowledged; nothing is in doubt."""
    fake.latency = lambda: 0.02 if fake.received_count % 2 else 0.2
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(200)], state_dir=state, options=UNCHECKED)
        async for _ in job.run():
            await job.pause()
        status = await job.status()
        counts = await finish(job, fake, 200)

    assert (status.state, status.reason) == ("paused", "requested")
    assert status.counts["in_doubt"] == status.counts["failed"] == status.counts["in_flight"] == 0
    assert 1 <= status.counts["succeeded"] <= 24
    assert counts == {"succeeded": 200}
    assert fake.applied_count == 200


async def test_pause_during_backoff_does_not_wait_for_its_end(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Items that wait for their repetition are let go; those whose answer was lost are in doubt."""
    fake.script(Fault.drop_before(), on="1", times=None)
    fake.script(Fault.rate_limited("20"), on="2", times=None)
    retry = RetryPolicy(backoff_base=600.0, backoff_floor=600.0, backoff_cap=600.0)
    async with client(fake, retry=retry) as gong:
        changes = [change(1), change(2)]
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.received_count >= 2 and fake.counts[429] == 1)
        await asyncio.sleep(0.05)
        await job.pause()
        await running
        received = fake.received_count
        states = {item.meeting_id: item.state async for item in job.items()}

    assert received == 2
    assert states == {"1": "in_doubt", "2": "pending"}


async def test_pause_during_a_wait_for_the_limiter_does_not_wait_for_its_end(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Gong pauses all calls for 30 s: the job does not wait for it, and nothing is in doubt."""
    fake.script(Fault.rate_limited("30"), nth=5)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.counts[429] == 1)
        await asyncio.sleep(0.05)
        await job.pause()
        await running
        paused_until = (await gong.quota()).paused_until
        status = await job.status()

    assert paused_until is not None
    assert status.counts["in_doubt"] == status.counts["in_flight"] == 0
    assert status.counts["succeeded"] + status.counts["pending"] == 50
    assert status.counts["succeeded"] == fake.applied_count


async def test_pause_while_a_meeting_settles_does_not_wait_for_its_end(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second change of a meeting whose first lost its answer waits; pause does not."""
    monkeypatch.setattr(job_module, "SETTLE_SECONDS", 600.0)
    fake.script(Fault.drop_after(), on="1")
    options = BulkOptions(check_organizers=False, keep_order=True)
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk([change(1, "a"), change(1, "b")], state_dir=state, options=options)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.received_count == 1)
        await asyncio.sleep(0.1)
        await job.pause()
        await running
        states = [item.state async for item in job.items()]

    assert states == ["in_doubt", "pending"]


async def test_pause_while_organizers_are_asked_about_does_not_wait_for_the_answer(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The check only reads: the job does not wait for its answer."""
    fake.script(Fault.stall(None), on="integrationStatus", times=None)
    async with client(fake, timeout=600.0) as gong:
        job = gong.bulk([change(1)], state_dir=state)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.received_count == 1)
        await job.pause()
        await running
        status = await job.status()

    assert (status.state, status.counts["pending"]) == ("paused", 1)


async def test_a_stalled_answer_is_given_up_after_the_drain(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Stopping waits for `drain_seconds`, not for the answer; what is still out is in doubt."""
    options = BulkOptions(check_organizers=False, drain_seconds=0.2)
    fake.script(Fault.stall(None), on="3")
    async with client(fake, timeout=600.0) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state, options=options)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.applied_count == 9)
        began = time.monotonic()
        await job.pause()
        items = await running
        took = time.monotonic() - began
        states = {item.meeting_id: item.state async for item in job.items()}
        counts = await finish(job, fake, 10)

    assert took >= 0.2
    assert states.pop("3") == "in_doubt"
    assert set(states.values()) == {"succeeded"}
    assert len(items) == 10
    assert counts == {"succeeded": 10}


@pytest.mark.parametrize("way", ["leave the loop", "cancel"])
async def test_leaving_at_once_keeps_the_journal_right(
    *, fake: FakeGong, client: Client, change: Change, query: Query, state: Path, way: str
) -> None:
    """What is on the wire is in doubt, nothing is lost, and resume completes the job."""
    fake.latency = lambda: 30.0 if fake.received_count > 20 else 0.0
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(60)], state_dir=state, options=UNCHECKED)

        async def work() -> None:
            read = 0
            async with aclosing(job.run()) as items:
                async for _ in items:
                    read += 1
                    if read == 20 and way == "leave the loop":
                        await until(lambda: fake.received_count == 28)
                        break

        working = asyncio.create_task(work())
        await until(lambda: fake.received_count == 28)
        if way == "cancel":
            working.cancel()
        await asyncio.wait([working])
        status = await job.status()
        unknown = unknown_to_the_journal(fake, query, job.path)
        counts = await finish(job, fake, 60)

    assert working.cancelled() is (way == "cancel")
    why = "stopped at once" if way == "cancel" else "its caller left the loop"
    assert (status.state, status.reason) == ("interrupted", why)
    assert (status.counts["succeeded"], status.counts["in_doubt"]) == (20, 8)
    assert (status.counts["in_flight"], status.counts["pending"]) == (0, 32)
    assert unknown == set()
    assert counts == {"succeeded": 60}


async def test_cancelled_jobs_send_nothing_more(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What is planned is skipped for good; resume refuses."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        async for _ in job.run():
            await job.cancel()
        status = await job.status()
        sent = fake.received_count
        with pytest.raises(JournalError, match="was cancelled") as caught:
            await drain(job.resume())

    assert status.state == "cancelled"
    assert status.counts["pending"] == 0
    assert status.skipped["cancelled"] == 50 - status.counts["succeeded"]
    assert caught.value.reason == "state"
    assert fake.received_count == sent == status.counts["succeeded"]


async def test_cancel_after_pause_cancels(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The stronger word counts, also while the job is on its way to the pause."""
    fake.latency = 0.05
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        async for _ in job.run():
            await job.pause()
            await job.cancel()
        status = await job.status()

    assert status.state == "cancelled"


async def test_a_job_that_is_not_running_can_be_cancelled(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Planned or paused: what is planned is skipped."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        await drain(job.run(canary=5))
        await gong.bulk(journal=job.path, state_dir=state).cancel()
        status = await job.status()

    assert (status.state, status.counts["succeeded"]) == ("cancelled", 5)
    assert status.skipped["cancelled"] == 45


async def test_another_object_may_ask_to_pause(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run polls the journal."""
    monkeypatch.setattr(runner, "_LOOK_SECONDS", 0.02)
    fake.latency = 0.02
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(500)], state_dir=state, options=UNCHECKED)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.received_count > 10)
        await gong.bulk(journal=job.path, state_dir=state).pause()
        await running
        status = await job.status()

    assert (status.state, status.reason) == ("paused", "requested")
    assert status.counts["in_doubt"] == 0
    assert status.counts["pending"] > 0


async def test_a_word_that_was_left_does_not_stop_the_next_run(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A pause requested while the job was not running does not stop a later resume."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        await job.plan()
        await job.pause()
        await drain(job.resume())
        status = await job.status()

    assert status.state == "completed"


@pytest.mark.parametrize("who", ["same object", "another object"])
async def test_a_pause_between_plan_and_run_is_honoured(
    *, fake: FakeGong, client: Client, change: Change, state: Path, who: str
) -> None:
    """The first run ends before its first request; resuming goes on."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        await job.plan()
        asking = job if who == "same object" else gong.bulk(journal=job.path, state_dir=state)
        await asking.pause()
        await drain(job.run())
        paused, sent = await job.status(), fake.received_count
        await drain(job.resume())

    assert (paused.state, paused.reason, sent) == ("paused", "requested", 0)
    assert fake.applied_count == 5


@pytest.mark.parametrize("word", ["pause", "cancel"])
async def test_a_word_while_a_plan_is_counted_is_honoured(
    *, fake: FakeGong, client: Client, change: Change, state: Path, word: str
) -> None:
    """The changes are taken in already, and `plan` has not returned."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        planning = asyncio.ensure_future(job.plan())
        while getattr(job._task, "is_decided", None) is not True:  # noqa: ASYNC110 - for a moment
            await asyncio.sleep(0)
        assert not planning.done()
        await (job.pause() if word == "pause" else job.cancel())
        await planning
        if word == "pause":
            await drain(job.run())
        status = await job.status()

    assert status.state == ("paused" if word == "pause" else "cancelled")
    assert fake.received_count == 0


async def test_cancel_while_a_pause_is_written_down_cancels(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The run has ended as paused, and its journal is about to be closed."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(40)], state_dir=state, options=UNCHECKED)
        running = asyncio.create_task(drain(job.run()))
        await until(lambda: fake.received_count > 0)
        await job.pause()
        while getattr(job._task, "is_decided", None) is not True:  # noqa: ASYNC110 - for a moment
            await asyncio.sleep(0)
        await job.cancel()
        await running
        status = await job.status()

    assert status.state == "cancelled"
    assert status.skipped["cancelled"] == 40 - fake.applied_count


async def test_cancel_that_cannot_be_written_raises(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """It does not return as if the job were cancelled."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        await job.plan()
        with closing(sqlite3.connect(job.path)) as connection, connection:
            connection.execute("PRAGMA user_version = 1000")
        with pytest.raises(JournalError, match="newer version"):
            await job.cancel()


def fill(job: BulkJob) -> None:
    """Let the journal's file have no room any more."""
    task: Any = job._task
    connection: sqlite3.Connection = task.journal.writer.database._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_full_disk_stops_the_job(
    *,
    fake: FakeGong,
    client: Client,
    change: Change,
    query: Query,
    state: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing more is sent, outcomes are in the journal, and resume completes the job."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(300)], state_dir=state, options=UNCHECKED)
        with pytest.raises(JournalError, match=r"cannot be used now.*room") as caught:
            await drain(job.run(), at_20=lambda: fill(job))
        sent = fake.received_count
        await asyncio.sleep(0.05)
        later = fake.received_count
        status = await job.status()
        unknown = unknown_to_the_journal(fake, query, job.path)
        counts = await finish(job, fake, 300)

    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert caught.value.reason == "file"
    assert 20 < sent == later < 300
    assert (status.state, status.pid) == ("interrupted", None)
    assert unknown == set()
    assert counts == {"succeeded": 300}
    assert errors == []


async def test_a_job_that_cannot_look_for_orders_ends(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job that cannot read requests to pause does not continue."""
    monkeypatch.setattr(runner, "_LOOK_SECONDS", 0.01)
    fake.latency = 0.02

    async def broken(self: Any, finishes_at: Any) -> None:
        raise JournalError("it cannot be read")

    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(300)], state_dir=state, options=UNCHECKED)
        break_it = functools.partial(monkeypatch.setattr, Journal, "note_progress", broken)
        with pytest.raises(JournalError, match="it cannot be read"):
            await drain(job.run(), at_20=break_it)

    assert fake.received_count < 300
