"""How far an error reaches: one item, one organizer, the company, or everybody for a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from oauth.logins import MemoryStore, application, approved

from gong_async import (
    BulkOptions,
    ConfigurationError,
    GongClient,
    Limits,
    MeetingChange,
    RetryPolicy,
)
from gong_async.bulk import error_scope as scope
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

AT_ONCE = RetryPolicy(backoff_base=0.0, backoff_floor=0.0)
FREE = Limits(per_second=None, per_day=None)
UNCHECKED = BulkOptions(check_organizers=False)


def updates(fake: FakeGong) -> Counter[str]:
    """Count the updates that arrived, by meeting."""
    return Counter(r.meeting_id for r in fake.received if r.meeting_id is not None)


async def drain(outcomes: Any) -> list[Any]:
    """Read outcomes to their end."""
    return [item async for item in outcomes]


async def test_a_conflict_stops_its_organizer_alone(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """409: items of that organizer in flight fail, its others are skipped, and the rest is sent."""
    fake.add_user("ann@example.com", valid=False, user_facing_error="Off", fix_url="https://fix")
    organizers = ("ann@example.com", "bob@example.com", "cid@example.com")
    changes = [change(n, organizer=organizers[n % 3]) for n in range(90)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()
        items = {item.index: item async for item in job.items()}

    ann = [items[n] for n in range(0, 90, 3)]
    refused = [item for item in ann if item.state == "failed"]
    aside = [item for item in ann if item.state == "skipped"]
    assert {items[n].state for n in range(90) if n % 3} == {"succeeded"}
    assert 1 <= len(refused) <= 8
    assert len(refused) + len(aside) == 30
    assert {item.reason for item in aside} == {"organizer"}
    assert {item.fix_url for item in ann} == {"https://fix"}
    assert {item.attempts for item in aside} == {0}
    assert sum(updates(fake).values()) == 60 + len(refused)
    assert (status.state, status.counts["pending"], status.skipped["organizer"]) == (
        "completed",
        0,
        len(aside),
    )


async def test_what_a_conflict_has_set_aside_stays_aside(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Items that were waiting for their turn when it came are not sent by a resume either."""
    fake.add_user("ann@example.com", valid=False, user_facing_error="Off")
    fake.latency = 0.02
    limits = Limits(per_second=200, per_day=None, learns=False)
    changes = [change(n, organizer="ann@example.com") for n in range(40)]
    async with client(fake, limits=limits) as gong:
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        await drain(job.run())
        sent = fake.received_count
        states = Counter([item.state async for item in job.items()])
        status = await job.status()
        await drain(job.resume())

    assert states == Counter(failed=status.counts["failed"], skipped=status.counts["skipped"])
    assert sum(states.values()) == 40
    assert fake.received_count == sent < 10


@pytest.mark.parametrize("trouble", ["403", "401", "missing scope"])
async def test_what_is_the_companys_stops_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path, trouble: str
) -> None:
    """At most what is in flight is sent; the rest stays planned, and goes out once it is mended."""
    secret, gong = fake.access_key_secret, client(fake)
    if trouble == "403":
        fake.limited_release = True
    elif trouble == "401":
        fake.access_key_secret = "changed"
    else:
        fake.granted_scopes = {"api:meetings:integration:status"}
    fake.latency = 0.01
    async with gong:
        job = gong.bulk([change(n) for n in range(100)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        refused = fake.received_count
        status = await job.status()
        fake.limited_release, fake.granted_scopes = False, None
        fake.access_key_secret = secret
        await drain(job.resume())
        mended = await job.status()

    assert 1 <= refused <= 8
    assert (status.state, status.counts["pending"]) == ("paused", 100)
    assert status.reason
    assert status.resume_at is None
    assert (mended.state, mended.counts["succeeded"]) == ("completed", 100)
    assert set(updates(fake)) == {str(n) for n in range(100)}


async def test_a_spent_day_parks_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The day's calls are sent, the rest is planned, and the job says when it can go on.

    Calls that had their turn when the job stopped give it up: the day may lose a few of its own.
    """
    async with client(fake, limits=Limits(per_second=None, per_day=20)) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    day = timedelta(hours=24, minutes=1)
    done = status.counts["succeeded"]
    assert 20 - 8 < done <= 20
    assert (status.state, status.counts["pending"]) == ("waiting", 50 - done)
    assert status.resume_at is not None
    assert abs(status.resume_at - datetime.now(UTC) - day) < timedelta(minutes=1)
    assert fake.received_count == done


async def test_a_long_retry_after_parks_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Gong said when: until then nothing is sent, and nothing is in doubt."""
    fake.script(Fault.rate_limited("3600"), nth=11)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert status.state == "waiting"
    assert status.resume_at is not None
    assert 3590 <= (status.resume_at - datetime.now(UTC)).total_seconds() <= 3602
    assert status.counts["in_doubt"] == status.counts["failed"] == 0
    assert fake.received_count <= 11 + 8


async def test_a_short_retry_after_is_waited_for(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A second is no reason to stop."""
    fake.script(Fault.rate_limited("1"), nth=5)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(20)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["succeeded"]) == ("completed", 20)


async def test_too_many_failures_pause_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """With the wrong file, most meetings are unknown."""
    fake.missing_meetings.update(str(n) for n in range(0, 200, 2))
    fake.missing_meetings.update(str(n) for n in range(0, 200, 3))
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(200)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert status.state == "paused"
    assert "too many" in (status.reason or "")
    assert status.ended <= 20 + 2 * 8
    assert status.counts["pending"] == 200 - status.ended


async def test_the_failure_limit_can_be_switched_off(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """With a ratio of 1, no number of failures pauses the job."""
    fake.missing_meetings.update(str(n) for n in range(100))
    options = BulkOptions(check_organizers=False, max_failure_ratio=None)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(100)], state_dir=state, options=options)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["failed"]) == ("completed", 100)


async def test_silences_in_a_row_make_the_job_wait(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After 20 updates without an answer the job waits, and goes on when Gong is there again."""
    waits: list[float | None] = []
    measured = scope.CircuitBreaker.outage

    def outage(self: scope.CircuitBreaker) -> float | None:
        wait = measured(self)
        if wait is None:
            return None
        waits.append(wait)
        fake.clear_script()
        return 0.05

    monkeypatch.setattr(scope.CircuitBreaker, "outage", outage)
    fake.script(Fault.drop_before(), times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        job = gong.bulk([change(n) for n in range(100)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert waits == [60.0]
    assert status.state == "completed"
    assert 20 <= status.counts["in_doubt"] <= 28
    assert status.counts["succeeded"] == 100 - status.counts["in_doubt"]


async def test_a_long_silence_parks_the_job(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each wait is longer; a job that would wait for more than five minutes ends."""
    monkeypatch.setattr(scope, "_FIRST_OUTAGE_WAIT", 301.0)
    fake.script(Fault.drop_before(), times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        job = gong.bulk([change(n) for n in range(100)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert status.state == "waiting"
    assert "no usable answer" in (status.reason or "")
    assert status.resume_at is not None
    assert 290 <= (status.resume_at - datetime.now(UTC)).total_seconds() <= 301
    assert status.counts["in_doubt"] <= 28
    assert status.counts["pending"] == 100 - status.counts["in_doubt"]


async def test_an_answer_ends_the_row_of_silences(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Every other update without an answer: no reason to wait."""
    fake.script(Fault.drop_before(), every=2, times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        job = gong.bulk([change(n) for n in range(100)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["succeeded"], status.counts["in_doubt"]) == (
        "completed",
        50,
        50,
    )


async def test_without_a_network_everything_stays_planned(
    *,
    fake: FakeGong,
    client: Client,
    change: Change,
    query: Query,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What provably was not sent is not in doubt; resume sends it once."""
    monkeypatch.setattr(scope, "_FIRST_OUTAGE_WAIT", 301.0)
    gong = client(fake, retry=AT_ONCE)
    job = gong.bulk([change(n) for n in range(60)], state_dir=state, options=UNCHECKED)
    port = int(fake.url.rpartition(":")[2])
    await fake.close()
    await drain(job.run())
    down = await job.status()
    async with FakeGong(per_second=None, per_day=None, port=port) as again, gong:
        await drain(job.resume())
        up = await job.status()

        assert (down.state, down.counts["pending"]) == ("waiting", 60)
        assert (up.state, up.counts["succeeded"]) == ("completed", 60)
        assert updates(again) == Counter(str(n) for n in range(60))


async def test_a_few_items_that_could_not_be_sent_pause_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A job with planned items is not finished; it says what to do."""
    fake.script(Fault.status(501), on="3")
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state, options=UNCHECKED)
        await drain(job.run())
        status = await job.status()
        await drain(job.resume())
        resumed = await job.status()

    assert (status.state, status.counts["pending"]) == ("paused", 1)
    assert "resume" in (status.reason or "")
    assert (resumed.state, resumed.counts["succeeded"]) == ("completed", 10)


async def test_a_login_that_is_gone_pauses_the_job(
    fake: FakeGong, change: Change, state: Path
) -> None:
    """It is no fault of any meeting's: none fails, and after a new login the job goes on."""
    store = MemoryStore(approved(fake))
    fake.oauth.revoke()
    changes = [change(n) for n in range(40)]
    async with GongClient(application(fake, store), limits=FREE) as gong:
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        await drain(job.run())
        paused = await job.status()
        store.tokens = approved(fake)
        await drain(job.resume())
        finished = await job.status()

    assert (paused.state, paused.counts["failed"]) == ("paused", 0)
    assert (finished.state, finished.counts["succeeded"]) == ("completed", 40)
    assert fake.applied_count == 40


async def test_a_login_that_cannot_be_stored_fails_no_item(
    fake: FakeGong, change: Change, state: Path
) -> None:
    """A full disk ends the run with its own error; once there is room, the job goes on."""
    store = MemoryStore(approved(fake))
    fake.oauth.expire()
    store.failing_saves = 1_000
    changes = [change(n) for n in range(40)]
    async with GongClient(application(fake, store), limits=FREE) as gong:
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        with pytest.raises(ConfigurationError, match="no space left"):
            await drain(job.run())
        stopped = await job.status()
        store.failing_saves = 0
        await drain(job.resume())
        finished = await job.status()

    assert stopped.counts["failed"] == 0
    assert (finished.state, finished.counts["succeeded"]) == ("completed", 40)
    assert (fake.applied_count, fake.oauth.refreshes, fake.oauth.spent_sent) == (40, 1, 0)
