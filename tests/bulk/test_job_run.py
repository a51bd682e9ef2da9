"""A bulk job while it runs: what is durable before what, and who may look on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gong_async import (
    BulkOptions,
    ConfigurationError,
    GongClient,
    JournalError,
    MeetingChange,
    RetryPolicy,
)
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

AT_ONCE = RetryPolicy(backoff_base=0.0, backoff_floor=0.0)


def leave_running(path: Path) -> None:
    """Let a job look as if its process had died."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE job SET value = 'running' WHERE name = 'state'")


async def test_every_change_is_applied_once(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Each item is yielded once with what became of it, and the counts agree."""
    async with client(fake) as gong:
        job = gong.bulk([change(n, f"T {n}") for n in range(1, 301)], state_dir=state)
        items = [item async for item in job.run()]
        status = await job.status()

    applied = Counter(applied.meeting_id for applied in fake.applied)
    assert applied == Counter(str(n) for n in range(1, 301))
    assert sorted(item.index for item in items) == list(range(300))
    assert all(item.ok and item.status == 200 and item.request_id for item in items)
    assert (status.state, status.counts["succeeded"], status.runs) == ("completed", 300, 1)


async def test_an_intent_is_in_the_journal_before_its_request_arrives(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """At the moment of its arrival every request has its row, and so has its repetition."""
    async with client(fake, retry=AT_ONCE) as gong:
        job = gong.bulk([change(number) for number in range(1, 41)], state_dir=state)
        announced: list[bool] = []

        def look() -> float:
            rows = query(
                job.path,
                "SELECT meeting_id, count(*) FROM attempt JOIN item USING (item_index) GROUP BY 1",
            )
            arrived = Counter(r.meeting_id for r in fake.received if r.meeting_id is not None)
            intents: dict[str, int] = dict(rows)
            announced.append(all(intents.get(id_, 0) >= n for id_, n in arrived.items()))
            states = query(job.path, "SELECT state FROM item WHERE attempts > 0")
            announced.append({state for (state,) in states} <= {"in_flight", "succeeded"})
            return 0.0

        fake.latency = look
        fake.script(Fault.status(503), every=5, times=6)
        items = [item async for item in job.run()]

    assert len(announced) == 2 * (40 + 6 + 1)
    assert all(announced)
    assert sum(item.attempts for item in items) == 46


async def test_a_result_is_durable_before_it_is_yielded(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """An item is in the journal before it is yielded, with the same values."""
    fake.missing_meetings.update({"3", "7"})
    found: list[tuple[Any, ...]] = []
    reported: list[tuple[Any, ...]] = []
    async with client(fake) as gong:
        job = gong.bulk([change(number) for number in range(1, 31)], state_dir=state)
        async for item in job.run():
            reported.append((item.index, item.state, item.status, item.request_id))
            found += query(
                job.path,
                "SELECT item_index, state, status, request_id FROM item "
                "WHERE item_index = ? AND ended_at IS NOT NULL",
                item.index,
            )

    assert len(reported) == 30
    assert found == reported


async def test_one_failed_item_stops_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """404 and 400 are their item's own: Gong's words and the request's id are kept."""
    fake.missing_meetings.add("3")
    fake.script(Fault.status(400, errors=("Title too long",)), on="5")
    async with client(fake) as gong:
        job = gong.bulk([change(number) for number in range(1, 31)], state_dir=state)
        items = {item.meeting_id: item async for item in job.run()}
        status = await job.status()
        kept = {item.meeting_id: item async for item in job.items("failed")}

    missing, bad = kept["3"], kept["5"]
    assert (status.state, status.counts["failed"], status.counts["succeeded"]) == (
        "completed",
        2,
        28,
    )
    assert (missing.error, missing.status, missing.attempts) == ("NotFoundError", 404, 1)
    assert (bad.error, bad.status, bad.errors) == ("BadRequestError", 400, ("Title too long",))
    assert items["3"].cause is not None
    assert {"3": items["3"], "5": items["5"]} == kept


async def test_items_are_yielded_as_the_journal_has_them(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What is yielded and what is read later are the same, also the time that it took."""
    fake.latency = 0.01
    async with client(fake) as gong:
        job = gong.bulk([change(number) for number in range(1, 11)], state_dir=state)
        reported = sorted([item async for item in job.run()], key=lambda item: item.index)
        kept = [item async for item in job.items()]

    assert kept == reported
    assert all(item.seconds_on_wire >= 0.01 for item in kept)


async def test_a_slow_reader_slows_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """No more is sent ahead of the reader than fits twice into what may be in flight."""
    options = BulkOptions(max_in_flight=4, check_organizers=False)
    ahead: list[int] = []
    async with client(fake) as gong:
        job = gong.bulk((change(n) for n in range(1, 61)), state_dir=state, options=options)
        read = 0
        async for _ in job.run():
            read += 1
            await asyncio.sleep(0.02)
            ahead.append(fake.received_count - read)

    assert read == 60
    assert 1 <= max(ahead) <= 2 * 4


async def test_no_more_than_max_in_flight_are_in_flight(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The option bounds what is in doubt if the process dies."""
    fake.latency = 0.02
    options = BulkOptions(max_in_flight=3, check_organizers=False)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(1, 31)], state_dir=state, options=options)
        async for _ in job.run():
            pass

    assert fake.connections_peak == 3


async def test_a_canary_pauses_and_resume_continues(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Exactly the first N are sent; `resume` sends the rest."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(1, 51)], state_dir=state)
        first = [item async for item in job.run(canary=5)]
        looked = await job.status()
        async for _ in job.resume():
            pass
        status = await job.status()

    ids = [request.meeting_id for request in fake.received if request.meeting_id]
    assert sorted(item.index for item in first) == [0, 1, 2, 3, 4]
    assert (looked.state, looked.counts["pending"]) == ("paused", 45)
    assert looked.reason == "canary of 5"
    assert (status.state, status.counts["succeeded"], status.runs) == ("completed", 50, 2)
    assert sorted(ids) == sorted(str(n) for n in range(1, 51))


@pytest.mark.parametrize("canary", [0, -1])
async def test_a_canary_must_be_above_0(
    fake: FakeGong, client: Client, change: Change, state: Path, canary: int
) -> None:
    """A slip of the pen must not send everything."""
    async with client(fake) as gong:
        job = gong.bulk([change(1)], state_dir=state)
        with pytest.raises(ConfigurationError, match="canary"):
            async for _ in job.run(canary=canary):
                pass

    assert fake.received_count == 0


async def test_a_canary_as_large_as_the_job_finishes_it(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """There is nothing left to look for."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(1, 6)], state_dir=state)
        async for _ in job.run(canary=5):
            pass
        status = await job.status()

    assert status.state == "completed"


async def test_a_job_is_run_once_and_then_resumed(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """`run` refuses what was begun; nothing is sent."""
    async with client(fake) as gong:
        job = gong.bulk([change(1)], state_dir=state)
        async for _ in job.run():
            pass
        sent = fake.received_count
        with pytest.raises(JournalError, match="resume it") as caught:
            async for _ in job.run():
                pass

    assert caught.value.reason == "state"
    assert fake.received_count == sent


async def test_resuming_a_finished_job_sends_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What Gong acknowledged is not sent again, nor is it checked again."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(1, 11)], state_dir=state)
        async for _ in job.run():
            pass
        sent = fake.received_count
        items = [item async for item in job.resume()]
        status = await job.status()

    assert items == []
    assert fake.received_count == sent == 11
    assert status.state == "completed"


async def test_the_status_is_read_while_the_job_runs(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """From outside the counts grow, the run is named, and its end is forecast."""
    fake.latency = 0.01
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(1, 41)], state_dir=state)
        looking = gong.bulk(journal=job.path, state_dir=state)
        seen = [await looking.status() async for _ in job.run()]

    done = [status.counts["succeeded"] for status in seen]
    # The job may end while its last items are still to be read.
    assert {status.state for status in seen} <= {"running", "completed"}
    assert seen[0].state == "running"
    assert done == sorted(done)
    assert done[-1] == 40
    assert all(status.total == 40 and sum(status.counts.values()) == 40 for status in seen)
    running = [status for status in seen[5:] if status.state == "running"]
    assert all(status.pid is not None and status.finishes_at is not None for status in running)


async def test_many_may_look_at_the_same_time(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Those who look do not take each other for the runner of a job that has none."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state)
        await job.plan()
        leave_running(job.path)
        seen = [
            status.state
            for _ in range(20)
            for status in await asyncio.gather(*(job.status() for _ in range(8)))
        ]

    assert set(seen) == {"interrupted"}


async def test_two_jobs_at_a_time_share_the_ledger(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """Each has a journal of its own; what both have sent is known afterwards."""

    async def run(gong: GongClient, first: int) -> str:
        changes = [change(n) for n in range(first, first + 100)]
        job = gong.bulk(changes, state_dir=state)
        async for _ in job.run():
            pass
        return (await job.status()).state

    async with client(fake) as gong:
        states = await asyncio.gather(run(gong, 0), run(gong, 1000))

    known = query(state / "ledger.sqlite3", "SELECT count(*), count(digest) FROM meeting")
    assert set(states) == {"completed"}
    assert known == [(200, 200)]
