"""Going on with a job: what is sent again, with which bytes, in which order, and what is not."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, GongClient, MeetingChange, RetryPolicy
from gong_async.bulk import job as job_module
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2, backoff_base=0.0, backoff_floor=0.0)
UNCHECKED = BulkOptions(check_organizers=False)
IN_ORDER = BulkOptions(check_organizers=False, keep_order=True)


async def drain(outcomes: Any) -> list[Any]:
    """Read outcomes to their end."""
    return [item async for item in outcomes]


def execute(path: Path, statement: str, *values: object) -> None:
    """Change a file by a connection of our own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture
def quick_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a meeting settle in a moment instead of 30 s."""
    monkeypatch.setattr(job_module, "SETTLE_SECONDS", 0.05)


async def test_lost_answers_leave_doubt_and_resume_sends_the_same_bytes(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """After the repetitions an item is in doubt; resume sends what was planned, byte for byte."""
    fake.script(Fault.drop_after(), on="3", times=2)
    async with client(fake, retry=TWICE) as gong:
        job = gong.bulk([change(n, f"T {n}") for n in range(10)], state_dir=state)
        items = {item.meeting_id: item async for item in job.run()}
        doubtful = await job.status()
        again = await drain(job.resume())
        status = await job.status()

    bodies = [request.body for request in fake.received if request.meeting_id == "3"]
    assert (items["3"].state, items["3"].attempts) == ("in_doubt", 2)
    assert items["3"].error == "APIConnectionError"
    assert (doubtful.state, doubtful.counts["in_doubt"]) == ("completed", 1)
    assert [(item.meeting_id, item.state, item.attempts) for item in again] == [
        ("3", "succeeded", 3)
    ]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert status.counts["succeeded"] == 10


async def test_acknowledged_items_are_not_sent_again(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """However often a job is stopped and resumed, each meeting is updated once."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(40)], state_dir=state, options=UNCHECKED)
        await drain(job.run(canary=7))
        for canary in (9, 1, 13):
            await drain(job.resume(canary=canary))
        await drain(job.resume())
        status = await job.status()

    assert Counter(r.meeting_id for r in fake.received) == Counter(str(n) for n in range(40))
    assert (status.state, status.runs) == ("completed", 5)


async def test_old_items_in_doubt_are_not_sent_again(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The meeting may have been changed since: the item stays in doubt, and is named."""
    options = BulkOptions(check_organizers=False, resend_in_doubt_within=3600.0)
    fake.script(Fault.drop_after(), on="3")
    fake.script(Fault.drop_after(), on="4")
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state, options=options)
        await drain(job.run())
        for path, table in ((job.path, "item"), (state / "ledger.sqlite3", "meeting")):
            execute(path, f"UPDATE {table} SET sent_at = sent_at - 3700 WHERE meeting_id = '3'")
        again = await drain(job.resume())
        left = [item async for item in job.items("in_doubt")]

    assert [item.meeting_id for item in again] == ["4"]
    assert [item.meeting_id for item in left] == ["3"]


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_later_refusal_does_not_end_a_doubt(
    fake: FakeGong, client: Client, change: Change, state: Path, status: int
) -> None:
    """The lost answer may have been a success: an item in doubt never becomes failed."""
    fake.script(Fault.drop_after(), on="3")
    fake.script(Fault.status(status), on="3")
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        (item,) = await drain(job.resume())
        counts = (await job.status()).counts

    assert (item.state, item.status, item.attempts) == ("in_doubt", status, 2)
    assert (counts["failed"], counts["in_doubt"], counts["succeeded"]) == (0, 1, 4)


async def test_a_refusal_after_a_lost_attempt_leaves_doubt(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Within one call it is the same: lost first, refused then."""
    fake.script(Fault.drop_after(), on="3")
    fake.script(Fault.status(404), on="3")
    async with client(fake, retry=TWICE) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        items = {item.meeting_id: item async for item in job.run()}

    assert (items["3"].state, items["3"].status, items["3"].attempts) == ("in_doubt", 404, 2)


async def test_a_refusal_without_any_doubt_is_a_failure(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The control: refused by the limit first, not found then; nothing was ever in doubt."""
    fake.script(Fault.rate_limited("0"), on="3")
    fake.script(Fault.status(404), on="3")
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(5)], state_dir=state, options=UNCHECKED)
        items = {item.meeting_id: item async for item in job.run()}

    assert (items["3"].state, items["3"].attempts) == ("failed", 2)


async def test_what_a_dead_process_left_open_is_in_doubt_and_sent_again(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """A journal that ends with an intent: the item is sent again, the finished ones are not."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state, options=UNCHECKED)
        await drain(job.run(canary=3))
        execute(job.path, "UPDATE item SET state = 'in_flight' WHERE meeting_id = '1'")
        execute(job.path, "UPDATE job SET value = 'running' WHERE name = 'state'")
        execute(job.path, "UPDATE run SET ended_at = NULL")
        found = await job.status()
        await drain(job.resume())
        status = await job.status()

    sent = Counter(request.meeting_id for request in fake.received)
    assert (found.state, found.pid) == ("interrupted", None)
    assert sent == Counter([*(str(n) for n in range(10)), "1"])
    assert (status.state, status.counts["succeeded"]) == ("completed", 10)
    assert query(job.path, "SELECT attempts FROM item WHERE meeting_id = '1'") == [(2,)]


@pytest.mark.usefixtures("quick_to_settle")
async def test_keep_order_lands_each_change_in_order(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Never two of one meeting at a time, and the order holds across stops."""
    fake.latency = 0.005
    under_way: Counter[str] = Counter()
    changes = [change(n % 7, str(n)) for n in range(84)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state, options=IN_ORDER)
        await drain(job.run(canary=10))
        for canary in (1, 20, 5):
            await drain(job.resume(canary=canary))
        await drain(job.resume())

    landed: dict[str, list[int]] = {}
    for applied in fake.applied:
        landed.setdefault(applied.meeting_id, []).append(int(applied.body["title"]))
    under_way.update(landed.keys())
    at: dict[str, list[float]] = {}
    for request in fake.received:
        at.setdefault(str(request.meeting_id), []).append(request.at)
    assert landed == {str(m): list(range(m, 84, 7)) for m in range(7)}
    assert all(b - a >= 0.005 for times in at.values() for a, b in pairwise(times))


@pytest.mark.usefixtures("quick_to_settle")
@pytest.mark.parametrize("fault", [Fault.status(501), Fault.status(401)], ids=["501", "401"])
async def test_with_keep_order_no_change_overtakes_one_that_was_not_sent(
    fake: FakeGong, client: Client, change: Change, state: Path, fault: Fault
) -> None:
    """The first change of a meeting stays planned: so do its later ones, until resume."""
    fake.script(fault, on="1")
    changes = [change(1, "a"), change(1, "b"), change(2, "c"), change(1, "d")]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state, options=IN_ORDER)
        await drain(job.run())
        planned = [item.index async for item in job.items("pending")]
        await drain(job.resume())
        status = await job.status()

    titles = [applied.body["title"] for applied in fake.applied if applied.meeting_id == "1"]
    assert {0, 1, 3} <= set(planned)
    assert titles == ["a", "b", "d"]
    assert (status.state, status.counts["succeeded"]) == ("completed", 4)


@pytest.mark.usefixtures("quick_to_settle")
async def test_a_doubt_is_not_sent_again_over_a_later_change(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """In order, the first change lost its answer, the second was acknowledged: it stays."""
    fake.script(Fault.drop_after(), on="1")
    changes = [change(1, "old"), change(1, "new")]
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk(changes, state_dir=state, options=IN_ORDER)
        await drain(job.run())
        again = await drain(job.resume())
        states = [item.state async for item in job.items()]

    assert [applied.body["title"] for applied in fake.applied] == ["old", "new"]
    assert (again, states) == ([], ["in_doubt", "succeeded"])


@pytest.mark.usefixtures("quick_to_settle")
async def test_a_doubt_is_not_sent_again_over_a_later_jobs_change(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What another job has sent meanwhile is newer than what is in doubt here."""
    fake.script(Fault.drop_after(), on="1")
    async with client(fake, retry=ONCE) as gong:
        old = gong.bulk([change(1, "old"), change(2)], state_dir=state, options=UNCHECKED)
        await drain(old.run())
        new = gong.bulk([change(1, "new")], state_dir=state, options=UNCHECKED)
        await drain(new.run())
        again = await drain(old.resume())
        left = [item.meeting_id async for item in old.items("in_doubt")]

    titles = [applied.body["title"] for applied in fake.applied if applied.meeting_id == "1"]
    assert titles == ["old", "new"]
    assert (again, left) == ([], ["1"])


async def test_a_change_waits_until_another_jobs_request_has_settled(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Job 1 lost an answer a moment ago: job 2 gives that meeting time before it sends."""
    monkeypatch.setattr(job_module, "SETTLE_SECONDS", 0.9)  # more than a busy machine takes
    fake.script(Fault.drop_after(), on="1")
    async with client(fake, retry=ONCE) as gong:
        await drain(gong.bulk([change(1, "old")], state_dir=state, options=UNCHECKED).run())
        changes = [change(1, "new"), change(2, "free")]
        await drain(gong.bulk(changes, state_dir=state, options=UNCHECKED).run())

    at = {(r.meeting_id, r.json["title"]): r.at for r in fake.received}
    assert list(at) == [("1", "old"), ("2", "free"), ("1", "new")]


async def test_the_clock_may_step_back_between_runs(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour earlier than before: nothing is lost, doubled, or waited for."""
    fake.script(Fault.drop_after(), on="3")
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state, options=UNCHECKED)
        await drain(job.run(canary=5))
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() - 3600.0)
        await drain(job.resume())
        status = await job.status()

    sent = Counter(request.meeting_id for request in fake.received)
    assert sent == Counter([*(str(n) for n in range(10)), "3"])
    assert (status.state, status.counts["succeeded"]) == ("completed", 10)
    assert status.seconds >= 0


async def test_a_job_goes_on_under_another_object(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The journal's path is all that is needed; the same changes may be given, too."""
    changes = [change(n) for n in range(20)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state)
        async with aclosing(job.run(canary=4)) as items:
            async for _ in items:
                pass
        await drain(gong.bulk(journal=job.path, state_dir=state).resume(canary=4))
        await drain(gong.bulk(iter(changes), journal=job.path, state_dir=state).resume())
        status = await gong.bulk(journal=job.path, state_dir=state).status()

    assert (status.state, status.counts["succeeded"], status.runs) == ("completed", 20, 3)


async def test_a_generator_that_is_used_up_does_not_hinder_resume(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The same object goes on although its source cannot be read again."""
    async with client(fake) as gong:
        job = gong.bulk((change(n) for n in range(20)), state_dir=state)
        await drain(job.run(canary=4))
        await drain(job.resume())
        status = await job.status()

    assert (status.state, status.counts["succeeded"]) == ("completed", 20)
