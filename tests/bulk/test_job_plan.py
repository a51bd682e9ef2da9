"""The plan of a bulk job: what it contains, skips and reports, before anything is sent."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, GongClient, Limits, MeetingChange, ValidationError
from gong_async.inputs.reader import InputError, read_changes
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

posix = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")


def modes_in(folder: Path) -> dict[str, int]:
    """Return the permission bits of a folder and of all that is in it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def write(path: Path, *lines: str) -> None:
    """Write a file."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def texts_in(folder: Path) -> list[str]:
    """Return the contents of all files."""
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


async def one_by_one(changes: list[MeetingChange]) -> AsyncIterator[MeetingChange]:
    """Yield changes as an async source does."""
    for each in changes:
        yield each


def from_database(change: Change, count: int) -> Iterator[MeetingChange]:
    """Yield changes out of a database's cursor."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE meeting (id INTEGER, title TEXT)")
        rows = [(number, f"T {number}") for number in range(1, count + 1)]
        database.executemany("INSERT INTO meeting VALUES (?, ?)", rows)
        cursor = database.execute("SELECT id, title FROM meeting ORDER BY id")
        yield from (change(number, title) for number, title in cursor)


@pytest.mark.may_block("the source is a database in this thread")
@pytest.mark.parametrize("kind", ["list", "generator", "async generator", "cursor", "pairs"])
async def test_any_source_is_taken_in(
    *, fake: FakeGong, client: Client, change: Change, query: Query, state: Path, kind: str
) -> None:
    """List, generator, async generator, cursor, pairs: all are in the journal, in order."""
    changes = [change(number, f"T {number}") for number in range(1, 1201)]
    sources: dict[str, Any] = {
        "list": changes,
        "generator": (each for each in changes),
        "async generator": one_by_one(changes),
        "cursor": from_database(change, 1200),
        "pairs": [(int(each.meeting_id), each.update) for each in changes],
    }
    async with client(fake) as gong:
        job = gong.bulk(sources[kind], state_dir=state)
        plan = await job.plan()

    rows = query(job.path, "SELECT item_index, meeting_id, state FROM item ORDER BY item_index")
    assert rows == [(n, str(n + 1), "pending") for n in range(1200)]
    assert (plan.items, plan.to_send) == (1200, 1200)
    assert fake.received_count == 0


@pytest.mark.may_block("reads the file in this thread")
async def test_lines_of_a_file_are_kept(
    fake: FakeGong, client: Client, state: Path, tmp_path: Path
) -> None:
    """Who reads the report finds the row that an item came from."""
    file = tmp_path / "meetings.csv"
    write(
        file,
        "meeting_id,start_time,end_time,organizer_email,invitees,title",
        '7,2026-11-24T15:00Z,2026-11-24T16:00Z,dana@example.com,,"two\nlines"',
        "8,2026-11-24T15:00Z,2026-11-24T16:00Z,dana@example.com,,Renewal",
    )
    async with client(fake) as gong:
        job = gong.bulk(read_changes(file), state_dir=state)
        items = [item async for item in job.run()]

    assert sorted((item.meeting_id, item.line) for item in items) == [("7", 2), ("8", 4)]


async def test_a_file_with_faults_leaves_no_journal(
    fake: FakeGong, client: Client, state: Path, tmp_path: Path
) -> None:
    """Rows go into the journal as they are read; faults discard it, and all are counted (D10)."""
    row = "2026-11-24T15:00Z,2026-11-24T16:00Z,dana@example.com,"
    file = tmp_path / "meetings.csv"
    rows = [f"{number},{row}" for number in range(1_200)]
    head = "meeting_id,start_time,end_time,organizer_email,invitees"
    file.write_text("\n".join((head, *rows, *[f"x,{row}"] * 1_200)))
    async with client(fake) as gong:
        job = gong.bulk(read_changes(file), state_dir=state)
        with pytest.raises(InputError) as caught:
            await job.plan()

    assert (caught.value.total, len(caught.value.findings)) == (1_200, 1_000)
    assert list(job.path.parent.glob("*.sqlite3*")) == []
    assert fake.received_count == 0


async def test_a_file_of_many_rows(
    fake: FakeGong, client: Client, state: Path, tmp_path: Path
) -> None:
    """A file is read once, in pages: every row has its place and its line; resuming knows it."""
    row = "2026-11-24T15:00Z,2026-11-24T16:00Z,dana@example.com,"
    file = tmp_path / "meetings.csv"
    rows = [f"{number},{row}" for number in range(1_200)]
    head = "meeting_id,start_time,end_time,organizer_email,invitees"
    file.write_text("\n".join((head, *rows)))
    async with client(fake) as gong:
        inputs = read_changes(file)
        job = gong.bulk(inputs, state_dir=state)
        plan = await job.plan()
        items = [item async for item in job.items()]
        again = await gong.bulk(read_changes(file), journal=job.path, state_dir=state).plan()

    assert (plan.items, again.items) == (1_200, 1_200)
    assert [(item.index, item.line, item.meeting_id) for item in items] == [
        (number, number + 2, str(number)) for number in range(1_200)
    ]
    assert list(inputs.lines) == list(range(2, 1_202))


async def test_update_many_of_a_file(fake: FakeGong, client: Client, tmp_path: Path) -> None:
    """A file is a source, checked to its end before the first of its changes is sent."""
    file = tmp_path / "meetings.csv"
    row = "2026-11-24T15:00Z,2026-11-24T16:00Z,dana@example.com,"
    head = "meeting_id,start_time,end_time,organizer_email,invitees"
    file.write_text("\n".join((head, f"7,{row}", "", f"8,{row}")))
    faulty = file.with_name("faulty.csv")
    faulty.write_text("\n".join((head, *(f"{number},{row}" for number in range(600)), f"x,{row}")))
    rows = read_changes(file)
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many(rows)]
        with pytest.raises(InputError):
            await anext(gong.update_many(read_changes(faulty)))

    lines = {rows.lines[outcome.index]: outcome.change.meeting_id for outcome in outcomes}  # type: ignore[union-attr]
    assert lines == {2: "7", 4: "8"}
    assert fake.received_count == 2


async def test_bodies_stand_in_the_journal_as_they_will_be_sent(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """The bytes that Gong gets are those of the plan, and the digest is theirs."""
    async with client(fake) as gong:
        job = gong.bulk([change(7, "Łé")], state_dir=state)
        await job.plan()
        planned = query(job.path, "SELECT body, digest FROM content JOIN item USING (item_index)")
        async for _ in job.run():
            pass

    (body, digest), *more = planned
    assert not more
    assert [request.body for request in fake.received if request.meeting_id] == [body]
    assert hashlib.sha256(body).digest() == digest


async def test_the_journal_says_what_it_is_for(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """Format, operation, origin, company, digest of the input and options are in its header."""
    async with client(fake) as gong:
        job = gong.bulk([change(7)], state_dir=state, options=BulkOptions(keep_order=True))
        await job.plan()

    rows = query(job.path, "SELECT name, value FROM job")
    header = {name: value for name, value in rows}  # noqa: C416 - typed so
    assert query(job.path, "PRAGMA user_version") == [(2,)]
    assert header["operation"] == "PUT /v2/meetings/{meetingId}"
    assert header["origin"] == fake.url
    assert header["company"].startswith(f"{fake.url} ")
    assert len(header["input_digest"]) == 64
    assert '"keep_order": true' in header["options"]
    assert job.path == state / "jobs" / f"{header['id']}.sqlite3"


@posix
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022])
async def test_files_and_folders_are_for_their_user_alone(
    fake: FakeGong, client: Client, change: Change, state: Path, mask: int
) -> None:
    """Journal, its WAL, lock and ledger are 0600, their folders 0700, whatever the umask."""
    modes: dict[str, int] = {}
    before = os.umask(mask)
    try:
        async with client(fake) as gong:
            job = gong.bulk([change(number) for number in (1, 2)], state_dir=state)
            async for _ in job.run():
                modes = modes_in(state)
    finally:
        os.umask(before)

    folders = {"state": 0o700, "jobs": 0o700}
    files = {name: found for name, found in modes.items() if name not in folders}
    assert {name: modes[name] for name in folders} == folders
    assert set(files.values()) == {0o600}
    assert {f"{job.path.name}{end}" for end in ("", "-wal", ".lock")} < files.keys()
    assert {"ledger.sqlite3", "ledger.sqlite3-wal"} < files.keys()


@pytest.mark.parametrize("kind", ["generator", "async generator", "bad change"])
async def test_a_source_that_fails_leaves_nothing_behind(
    fake: FakeGong, client: Client, change: Change, state: Path, kind: str
) -> None:
    """What it raises comes through; no journal stays that could be resumed by mistake."""

    def broken() -> Iterator[Any]:
        yield from (change(number) for number in range(1, 1001))
        if kind == "bad change":
            yield ("not an id", change(1).update)
        raise LookupError("row 1001")

    async def broken_slowly() -> AsyncIterator[Any]:
        for each in broken():
            yield each

    async with client(fake) as gong:
        job = gong.bulk(broken_slowly() if kind.startswith("async") else broken(), state_dir=state)
        with pytest.raises(ValidationError if kind == "bad change" else LookupError):
            await job.plan()

    assert list((state / "jobs").iterdir()) == []
    assert fake.received_count == 0


async def test_a_bad_change_is_named_by_its_place(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The caller can find its own source again."""
    changes: Any = [change(1), change(2), {"title": "no change"}]
    async with client(fake) as gong:
        with pytest.raises(ValidationError, match=r"changes\[2\].*got dict"):
            await gong.bulk(changes, state_dir=state).plan()


@pytest.mark.parametrize("problem", ["7.78E+18", "", True, 1.5])
async def test_a_bad_id_is_named_by_its_place(
    fake: FakeGong, client: Client, change: Change, state: Path, problem: Any
) -> None:
    """An id that a spreadsheet has broken is found before anything is sent."""
    changes: Any = [(1, change(1).update), (problem, change(1).update)]
    async with client(fake) as gong:
        with pytest.raises(ValidationError, match=r"changes\[1\]"):
            await gong.bulk(changes, state_dir=state).plan()


async def test_an_empty_source_is_finished_without_a_request(
    fake: FakeGong, client: Client, state: Path
) -> None:
    """Nothing to do is no error."""
    async with client(fake) as gong:
        job = gong.bulk([], state_dir=state)
        items = [item async for item in job.run()]
        status = await job.status()

    assert (items, status.state, status.total) == ([], "completed", 0)
    assert fake.received_count == 0


async def test_only_the_last_change_of_a_meeting_is_planned(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """30 % duplicates cost 30 % fewer requests, and the last state is the one that lands."""
    changes = [change(1 + number % 70, f"T {number}") for number in range(100)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state, options=BulkOptions(check_organizers=False))
        plan = await job.plan()
        async for _ in job.run():
            pass

    titles = {applied.meeting_id: applied.body["title"] for applied in fake.applied}
    assert (plan.to_send, plan.skipped["superseded"]) == (70, 30)
    assert fake.received_count == 70
    assert titles == {str(1 + n % 70): f"T {n}" for n in range(100)}


async def test_with_keep_order_each_change_is_planned(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """With `keep_order`, every change is planned."""
    changes = [change(1 + number % 70, f"T {number}") for number in range(100)]
    async with client(fake) as gong:
        plan = await gong.bulk(
            changes, state_dir=state, options=BulkOptions(keep_order=True)
        ).plan()

    assert (plan.to_send, plan.skipped["superseded"]) == (100, 0)


async def test_the_plan_counts_organizers_and_what_asking_for_them_costs(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """100 organizers a call."""
    changes = [change(n, organizer=f"user{n % 201}@example.com") for n in range(1, 403)]
    async with client(fake) as gong:
        asking = await gong.bulk(changes, state_dir=state).plan()
        silent = await gong.bulk(
            changes, state_dir=state, options=BulkOptions(check_organizers=False)
        ).plan()

    assert (asking.organizers, asking.check_requests) == (201, 3)
    assert asking.forecast.requests == 402 + 3
    assert (silent.organizers, silent.check_requests) == (201, 0)
    assert silent.forecast.requests == 402


async def test_the_plan_knows_the_quota_of_the_day(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """50 updates at 20 a day are through on the third day."""
    options = BulkOptions(check_organizers=False)
    async with client(fake, limits=Limits(per_second=None, per_day=20)) as gong:
        job = gong.bulk([change(n) for n in range(1, 51)], state_dir=state, options=options)
        plan = await job.plan()

    assert plan.forecast.left_today == 20
    assert plan.forecast.days == pytest.approx(2.0)


async def test_planning_again_returns_the_same(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A plan is made once; a generator that is used up is not asked again."""
    async with client(fake) as gong:
        job = gong.bulk((change(n) for n in range(1, 11)), state_dir=state)
        first = await job.plan()
        second = await job.plan()
        other = await gong.bulk(journal=job.path, state_dir=state).plan()

    assert first.items == second.items == other.items == 10


async def test_a_job_takes_its_options_from_its_journal(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Resuming a job does not require the options of its plan."""
    changes = [change(1, "a"), change(1, "b")]
    async with client(fake) as gong:
        planned = gong.bulk(
            changes,
            state_dir=state,
            options=BulkOptions(keep_order=True, check_organizers=False),
        )
        await planned.plan()
        async for _ in gong.bulk(journal=planned.path, state_dir=state).resume():
            pass

    assert [applied.body["title"] for applied in fake.applied] == ["a", "b"]


async def test_no_credential_is_in_any_file(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    leaks_of: Callable[[dict[str, str]], Callable[..., list[str]]],
) -> None:
    """Neither while the job runs nor afterwards, in whatever spelling."""
    search = leaks_of({"key": fake.access_key, "secret": fake.access_key_secret})
    seen: list[str] = []
    async with client(fake) as gong:
        job = gong.bulk([change(number) for number in range(1, 20)], state_dir=state)
        async for _ in job.run():
            seen += texts_in(state)
    seen += texts_in(state)

    assert any("PUT /v2/meetings" in text for text in seen)
    assert search(*seen) == []
