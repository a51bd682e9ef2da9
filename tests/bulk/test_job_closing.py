"""Jobs whose client is closed, as at the end of a web process: nothing is lost."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from gong_async import (
    BulkItem,
    BulkJob,
    BulkOptions,
    BulkStatus,
    GongClient,
    JournalError,
    MeetingChange,
    RetryPolicy,
    UsageError,
)
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

UNCHECKED = BulkOptions(check_organizers=False, max_in_flight=4)
COUNT = 24


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)


async def read(job: BulkJob) -> list[BulkItem]:
    """Run a job to its end."""
    return [item async for item in job.run()]


async def finish(client: Client, fake: FakeGong, state: Path, path: Path) -> BulkStatus:
    """Resume the job with a new client; return its status afterwards."""
    fake.clear_script()
    fake.latency = 0.0
    async with client(fake) as gong:
        job = gong.bulk(journal=path, state_dir=state)
        async for _ in job.resume():
            pass
        return await job.status()


def times(fake: FakeGong) -> Counter[str]:
    """Return how often each meeting was updated."""
    return Counter(str(applied.meeting_id) for applied in fake.applied)


async def test_what_is_on_the_wire_ends_and_the_rest_is_kept(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """The generator ends with every item that was acknowledged; resume sends the rest, once."""
    fake.latency = 0.03
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    running = asyncio.create_task(read(job))
    await until(lambda: fake.received_count >= 6)
    await gong.close()
    items = await running
    status = await job.status()
    intents = query(job.path, "SELECT count(*) FROM attempt")
    sent = fake.received_count
    end = await finish(client, fake, state, job.path)

    assert (status.state, status.reason) == ("interrupted", "client closed")
    assert (status.counts["failed"], status.counts["in_doubt"], status.counts["in_flight"]) == (
        0,
        0,
        0,
    )
    assert {item.state for item in items} == {"succeeded"}
    assert len(items) == status.counts["succeeded"] == fake.applied_count - (COUNT - sent) == sent
    assert intents == [(sent,)]
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)
    assert set(times(fake).values()) == {1}


@pytest.mark.parametrize("ahead", [0, 8])
async def test_a_reader_that_never_comes_back_does_not_hold_it_up(
    *, fake: FakeGong, client: Client, change: Change, state: Path, ahead: int
) -> None:
    """The lock is released, also when the job waits for the reader, who can still have the rest."""
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    items = job.run()
    first = await anext(items)
    await until(lambda: fake.applied_count >= 1 + ahead)
    await asyncio.sleep(0.02)
    await gong.close()
    status = await job.status()
    end = await finish(client, fake, state, job.path)
    rest = [item async for item in items]

    assert (status.state, status.reason) == ("interrupted", "client closed")
    assert 1 + len(rest) == status.counts["succeeded"]
    assert first.index not in {item.index for item in rest}
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)


async def test_it_may_be_closed_by_the_reader_itself(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """In the loop over the items, which then comes to its end."""
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    items = []
    async for item in job.run():
        items.append(item)
        await gong.close()
    status = await job.status()

    assert (status.state, len(items)) == ("interrupted", status.counts["succeeded"])


async def test_an_answer_that_does_not_come_is_given_up_after_the_drain(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """It is in doubt, and sent again by resume."""
    fake.script(Fault.stall(None), on="3")
    gong = client(fake)
    options = BulkOptions(check_organizers=False, max_in_flight=2, drain_seconds=0.05)
    job = gong.bulk([change(n) for n in range(6)], state_dir=state, options=options)
    running = asyncio.create_task(read(job))
    await until(lambda: fake.applied_count == 5)
    await gong.close()
    items = await running
    end = await finish(client, fake, state, job.path)

    assert {item.meeting_id: item.state for item in items}["3"] == "in_doubt"
    assert (end.state, end.counts["succeeded"]) == ("completed", 6)


async def test_a_close_that_is_cancelled_ends_jobs_at_once(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """No response is awaited, everything is released, and the reader's loop ends."""
    fake.latency = 30.0
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    running = asyncio.create_task(read(job))
    await until(lambda: fake.received_count == 4)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await gong.close()
    items = await running
    status = await job.status()
    end = await finish(client, fake, state, job.path)

    assert items == []
    assert (status.state, status.reason) == ("interrupted", "client closed")
    assert (status.counts["in_doubt"], status.counts["pending"]) == (4, COUNT - 4)
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)


async def test_it_may_be_closed_from_another_thread(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """In a loop of its own; the job drains in the loop that it runs in."""
    fake.latency = 0.03
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    running = asyncio.create_task(read(job))
    await until(lambda: fake.received_count >= 6)
    await asyncio.to_thread(asyncio.run, gong.close())
    status = await job.status()
    items = await running
    await gong.close()
    end = await finish(client, fake, state, job.path)

    assert (status.state, status.reason) == ("interrupted", "client closed")
    assert status.counts["in_doubt"] == status.counts["failed"] == 0
    assert len(items) == status.counts["succeeded"]
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)
    assert set(times(fake).values()) == {1}


async def test_a_job_that_is_planned_meanwhile_begins_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Its planning comes to its end, and it can be resumed."""
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[MeetingChange]:
        for number in range(COUNT):
            yield change(number)
        await go_on.wait()

    gong = client(fake)
    job = gong.bulk(source(), state_dir=state, options=UNCHECKED)
    running = asyncio.create_task(read(job))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(gong.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    items = await running
    status = await job.status()
    end = await finish(client, fake, state, job.path)

    assert items == []
    assert (status.state, status.reason) == ("interrupted", "client closed")
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)


@pytest.mark.parametrize("hurry", [True, False])
@pytest.mark.parametrize("way", ["run", "plan"])
async def test_planning_that_does_not_end_is_given_up(
    *, fake: FakeGong, client: Client, change: Change, state: Path, way: str, hurry: bool
) -> None:
    """The caller gets an error; nothing was sent, and no journal is left."""
    pulled = asyncio.Event()

    async def source() -> AsyncIterator[MeetingChange]:
        yield change(1)
        pulled.set()
        await asyncio.sleep(3600)

    gong = client(fake)
    options = BulkOptions(drain_seconds=0.02)
    job = gong.bulk(source(), state_dir=state, options=options)
    running: Any = asyncio.ensure_future(read(job) if way == "run" else job.plan())
    await pulled.wait()
    with anyio.CancelScope() as scope:
        if hurry:
            scope.cancel()
        await gong.close()

    with pytest.raises(UsageError, match=r"closed while the job was planned; nothing was sent"):
        await running
    assert not job.path.exists()
    assert fake.received_count == 0


@pytest.mark.parametrize("who", ["the source", "a task of it", "its end"])
@pytest.mark.parametrize("way", ["run", "plan"])
async def test_the_source_of_changes_may_close_the_client(
    *, fake: FakeGong, client: Client, change: Change, state: Path, who: str, way: str
) -> None:
    """The job waits for its source, and so closing does not wait for the job."""
    gong = client(fake)

    async def source() -> AsyncIterator[MeetingChange]:
        try:
            for number in range(5):
                yield change(number)
                if who == "the source" and number == 2:
                    await gong.close()
                if who == "a task of it" and number == 2:
                    await asyncio.create_task(gong.close())
        finally:
            await gong.close()

    job = gong.bulk(source(), state_dir=state, options=UNCHECKED)
    if way == "run":
        async with asyncio.timeout(20):
            await read(job)
    else:
        async with asyncio.timeout(20):
            await job.plan()
    await gong.close()

    assert fake.received_count == 0
    assert (await finish(client, fake, state, job.path)).counts["succeeded"] == 5


async def test_a_source_that_closes_the_client_at_its_end_may_be_cut_off(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Closing cancels the source after the drain, which closes the client as well."""
    gong = client(fake)
    begun = asyncio.Event()

    async def source() -> AsyncIterator[MeetingChange]:
        try:
            yield change(1)
            begun.set()
            await asyncio.Event().wait()
        finally:
            await gong.close()

    options = BulkOptions(check_organizers=False, drain_seconds=0.01)
    job = gong.bulk(source(), state_dir=state, options=options)
    planning = asyncio.ensure_future(job.plan())
    await begun.wait()
    async with asyncio.timeout(20):
        await gong.close()
        with pytest.raises(UsageError, match="closed while the job was planned"):
            await planning

    assert not job.path.exists()


async def test_a_closed_client_begins_no_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The status of a job can still be read."""
    gong = client(fake)
    job = gong.bulk([change(1)], state_dir=state, options=UNCHECKED)
    await job.plan()
    await gong.close()

    with pytest.raises(UsageError, match="closed"):
        await read(job)
    assert (await job.status()).state == "planned"


async def test_a_session_that_is_closed_under_a_job_fails_no_item(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The caller's own session: only an answer of Gong makes an item failed."""
    session = aiohttp.ClientSession()
    gong = client(fake, session=session, retry=RetryPolicy(max_attempts=1))
    job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
    with pytest.raises(UsageError):  # noqa: PT012
        async for _ in job.run():
            await session.close()
    status = await job.status()
    await gong.close()
    end = await finish(client, fake, state, job.path)

    assert status.counts["failed"] == 0
    assert status.state == "interrupted"
    assert (end.state, end.counts["succeeded"]) == ("completed", COUNT)


async def test_only_gong_makes_an_item_failed(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What a 404 refuses is failed; what never got an answer is still to be sent."""
    fake.missing_meetings.add("1")
    fake.script(Fault.drop_before(), on="2", times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        job = gong.bulk([change(n) for n in range(4)], state_dir=state, options=UNCHECKED)
        await read(job)
        states = {item.meeting_id: (item.state, item.status) async for item in job.items()}

    assert states["1"] == ("failed", 404)
    assert states["2"][0] in {"pending", "in_doubt"}
    assert states["0"] == states["3"] == ("succeeded", 200)


async def test_an_intent_that_was_held_back_is_no_attempt(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """Whatever stops a job, every row of an attempt is that of a request that arrived."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
        async for item in job.run():
            if item.index >= 4:
                await job.pause()
        rows = query(job.path, "SELECT count(*) FROM attempt")
        kept = query(job.path, "SELECT sum(attempts) FROM item")

    assert rows == kept == [(fake.received_count,)]
    assert query(job.path, "SELECT count(*) FROM item WHERE state = 'pending' AND attempts") == [
        (0,)
    ]


@pytest.mark.parametrize("word", ["pause", "cancel"])
@pytest.mark.parametrize("who", ["same object", "another object"])
@pytest.mark.parametrize("way", ["run", "plan"])
async def test_a_request_during_planning_is_obeyed(
    *, fake: FakeGong, client: Client, change: Change, state: Path, word: str, who: str, way: str
) -> None:
    """It is planned to its end, and nothing is sent before it is resumed."""
    first, go_on = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[MeetingChange]:
        for number in range(40):
            yield change(number)
        first.set()
        await go_on.wait()

    async with client(fake) as gong:
        job = gong.bulk(source(), state_dir=state, options=UNCHECKED)
        running: Any = asyncio.ensure_future(read(job) if way == "run" else job.plan())
        await first.wait()
        asking = job if who == "same object" else gong.bulk(journal=job.path, state_dir=state)
        await (asking.pause() if word == "pause" else asking.cancel())
        go_on.set()
        await running
        sent_first = fake.received_count
        if way == "plan" and word == "pause":
            await read(job)
        status = await job.status()
        again = [item async for item in job.resume()] if word == "pause" else []
        if word == "cancel":
            with pytest.raises(JournalError, match="was cancelled"):
                await read(job)

    assert sent_first == 0
    assert (status.state, status.reason) == (
        f"{word}{'d' if word == 'pause' else 'led'}",
        "requested",
    )
    assert status.counts["succeeded"] == 0
    assert len(again) == fake.received_count == (40 if word == "pause" else 0)


def replace(path: Path) -> None:
    """Put another file in its place, as a restored backup would be."""
    content = path.read_bytes()
    path.rename(path.with_suffix(".old"))
    path.write_bytes(content)


LOSSES: dict[str, Callable[[Path, Path], object]] = {
    "the journal is removed": lambda path, _: path.unlink(),
    "the log is removed": lambda path, _: path.with_name(path.name + "-wal").unlink(),
    "the lock is removed": lambda path, _: path.with_name(path.name + ".lock").unlink(),
    "the ledger is removed": lambda _, ledger: ledger.unlink(),
    "the journal is replaced": lambda path, _: replace(path),
    "the journal is cut off": lambda path, _: os.truncate(path, 0),
    "the folder is moved": lambda path, _: path.parent.rename(path.parent.with_name("moved")),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_file_stops_the_job(
    *, fake: FakeGong, client: Client, change: Change, state: Path, loss: str
) -> None:
    """Nothing more is sent than what was announced before, and the error says what was sent."""
    fake.latency = 0.002
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(200)], state_dir=state, options=UNCHECKED)
        read = 0
        with pytest.raises(JournalError, match=r"cut off while.* Sent in this run: ") as lost:  # noqa: PT012
            async for _ in job.run():
                read += 1
                if read == 10:
                    LOSSES[loss](job.path, state / "ledger.sqlite3")
                    sent = fake.received_count
        end = fake.received_count
        await asyncio.sleep(0.02)

    whole = loss in {"the lock is removed", "the ledger is removed"}
    assert lost.value.reason == ("file" if whole else "missing")
    assert end == fake.received_count <= sent + 8
    assert f"{read:,} done" in str(lost.value) or end > read
