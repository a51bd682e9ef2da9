"""Jobs and a ledger that the library wrote in format 1 are read, resumed and reported.

`version_1` holds dumps of files written by the last revision with that format. All are of one
state directory and one company, whose API was at an address that the tests put for `_ORIGIN`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkJob, GongClient, Invitee, JournalError, MeetingUpdate
from gong_async.bulk.reports.export import failed_rows, make_undo_plan
from gong_async.bulk.reports.groups import error_groups
from gong_async.bulk.reports.purge import purge
from gong_async.bulk.reports.support_bundle import support_bundle
from gong_async.bulk.store.job_file import JobFile, ledger_path
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Query = Callable[..., list[tuple[Any, ...]]]
Restore = Callable[[str], Path]

DUMPS = Path(__file__).with_name("version_1")
_ORIGIN = "http://fake-gong.invalid"
ITEMS = [
    (0, "100", "skipped", "unchanged"),
    (1, "101", "succeeded", None),
    (2, "102", "skipped", "superseded"),
    (3, "102", "failed", None),
    (4, "104", "skipped", "organizer"),
    (5, "105", "in_doubt", None),
    (6, "106", "in_flight", None),
    (7, "107", "pending", None),
    (8, "108", "pending", None),
]


@pytest.fixture
def restore(fake: FakeGong, state: Path) -> Restore:
    """Restore a file of format 1, as if it had been planned for the fake."""

    def restore(name: str) -> Path:
        state.mkdir(mode=0o700, exist_ok=True)
        path = ledger_path(state) if name == "ledger" else state / f"{name}.sqlite3"
        script = DUMPS.joinpath(f"{name}.sql").read_text(encoding="utf-8")
        path.touch(mode=0o600)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script.replace(_ORIGIN, fake.url))
            connection.execute("PRAGMA journal_mode = WAL")
        return path

    return restore


async def resumed(job: BulkJob) -> list[tuple[int, str]]:
    """Resume a job; return what became of its items."""
    return sorted([(item.index, item.state) async for item in job.resume()])


@pytest.mark.parametrize(
    ("name", "job_state", "counts"),
    [
        ("finished", "completed", {"succeeded": 2, "failed": 1, "organizer": 1}),
        ("paused", "paused", {"succeeded": 1, "pending": 2}),
        ("parked", "waiting", {"succeeded": 1, "pending": 2}),
        ("cancelled", "cancelled", {"succeeded": 1, "cancelled": 2}),
        ("interrupted", "interrupted", {"succeeded": 1, "failed": 1, "in_doubt": 1, "in_flight": 1,
         "pending": 2, "superseded": 1, "unchanged": 1, "organizer": 1}),
    ],
)  # fmt: skip
@pytest.mark.may_block("reads files")
async def test_the_status_of_a_job(
    restore: Restore, name: str, job_state: str, counts: dict[str, int]
) -> None:
    """States have their present names, and the tally agrees with them."""
    status = JobFile(restore(name)).status()
    found: dict[str, int] = {**status.counts, **status.skipped}  # type: ignore[dict-item]
    del found["skipped"]

    assert status.state == job_state
    assert {state: items for state, items in found.items() if items} == counts


@pytest.mark.may_block("reads files")
async def test_the_items_of_an_interrupted_job(restore: Restore) -> None:
    """Each state of format 1 has one in the present format; nothing else is changed."""
    items = list(JobFile(restore("interrupted")).items())

    assert [(item.index, item.meeting_id, item.state, item.reason) for item in items] == ITEMS
    assert items[3].errors == ("no such meeting",)
    assert items[4].message == "The calendar of this user is disconnected"
    assert items[4].fix_url == "https://app.gong.io/fix"


async def test_an_interrupted_job_is_resumed(
    restore: Restore, fake: FakeGong, client: Client, state: Path, query: Query
) -> None:
    """What was in doubt, in flight or pending is sent, and nothing else; the ledger has all."""
    ledger, path = restore("ledger"), restore("interrupted")
    async with client(fake) as gong:
        ended = await resumed(gong.bulk(journal=path, state_dir=state))
        status = await gong.bulk(journal=path, state_dir=state).status()

    assert ended == [(5, "succeeded"), (6, "succeeded"), (7, "succeeded"), (8, "succeeded")]
    assert sorted(str(request.meeting_id) for request in fake.received) == [
        "105",
        "106",
        "107",
        "108",
    ]
    assert (status.state, status.counts["in_doubt"], status.runs) == ("completed", 0, 2)
    assert query(path, "SELECT item_index, count(*) FROM attempt GROUP BY item_index") == [
        (1, 1), (3, 1), (5, 2), (6, 2), (7, 1), (8, 1)
    ]  # fmt: skip
    unsettled = "SELECT count(*) FROM meeting WHERE unsettled IS NOT NULL"
    assert query(ledger, unsettled) == [(0,)]


async def test_a_waiting_job_of_format_1_waits(
    restore: Restore, fake: FakeGong, client: Client, state: Path
) -> None:
    """Nothing is sent before the time that Gong set."""
    path = restore("parked")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE job SET value = strftime('%s', 'now') + 7200 "
            "WHERE name IN ('not_before', 'resume_at')"
        )
    async with client(fake) as gong:
        job = gong.bulk(journal=path, state_dir=state)
        ended = await resumed(job)
        status = await job.status()

    assert (ended, len(fake.received)) == ([], 0)
    assert (status.state, status.counts["pending"]) == ("waiting", 2)


async def test_what_the_journal_knows_reaches_the_migrated_ledger(
    restore: Restore, fake: FakeGong, client: Client, state: Path, query: Query
) -> None:
    """The process died between the commits of the two files; both were migrated since."""
    ledger, path = restore("ledger"), restore("interrupted")
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute(
            "UPDATE acknowledged SET digest = NULL, body = NULL, job = NULL, "
            "unsettled = (SELECT substr(unsettled, 1, instr(unsettled, ':')) FROM acknowledged "
            "WHERE meeting_id = '105') || '1' WHERE meeting_id = '101'"
        )
    async with client(fake) as gong:
        await resumed(gong.bulk(journal=path, state_dir=state))
    (digest,) = query(path, "SELECT digest FROM item WHERE meeting_id = '101'")

    known = query(ledger, "SELECT digest, unsettled FROM meeting WHERE meeting_id = '101'")
    assert known == [(*digest, None)]


async def test_a_new_job_skips_what_the_ledger_of_format_1_has(
    restore: Restore, fake: FakeGong, client: Client, state: Path
) -> None:
    """An acknowledged update is not sent again; one in doubt is."""
    restore("ledger")
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    update = MeetingUpdate(
        start_time=noon,
        end_time=noon + timedelta(hours=1),
        organizer_email="dana@example.com",
        invitees=[Invitee(email="lee@example.com")],
        title="Second renewal",
    )
    async with client(fake) as gong:
        plan = await gong.bulk([("101", update), ("105", update)], state_dir=state).plan()

    assert (plan.to_send, plan.skipped["unchanged"]) == (1, 1)


@pytest.mark.may_block("reads files")
async def test_reports_of_an_interrupted_job(restore: Restore) -> None:
    """They read what the present format has."""
    job = JobFile(restore("interrupted"))
    groups = error_groups(job)
    bundle: Any = support_bundle(job)

    assert [group.first for group in groups] == [3, 4, 5]
    assert bundle["versions"]["planned_by"] == "0.1.0"
    assert bundle["job"]["organizer_checks"] == 1
    assert [item["index"] for item in bundle["items"]] == [3, 5]
    assert len(list(make_undo_plan(job).known)) == 1
    assert len(list(failed_rows(job))) == 2


@pytest.mark.may_block("reads files")
async def test_a_finished_job_of_format_1_is_purged(restore: Restore, query: Query) -> None:
    """The contents go from both migrated files."""
    ledger, path = restore("ledger"), restore("finished")
    removed = purge(JobFile(path), ledger)

    assert removed == 5
    assert query(path, "SELECT count(*) FROM content") == [(0,)]


@pytest.mark.may_block("reads files")
async def test_a_job_that_an_older_process_runs_is_not_migrated(
    restore: Restore, query: Query
) -> None:
    """Its journal stays as that process knows it."""
    path = restore("interrupted")
    runner = JobFile(path)
    runner.acquire_lock("")
    with pytest.raises(JournalError, match="in use by an older version"):
        JobFile(path).status()
    runner.lock.release()

    assert query(path, "PRAGMA user_version") == [(1,)]
    assert JobFile(path).status().state == "interrupted"
