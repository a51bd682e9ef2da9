"""A journal that cannot be used, or not for what was asked: refused with the reason."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gong_async import (
    BasicAuth,
    BulkJob,
    BulkOptions,
    GongClient,
    JournalError,
    Limits,
    MeetingChange,
)
from gong_async._storage import private_file
from gong_async._storage.database import Database
from gong_async.bulk.store.schema import JOURNAL
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]

PAGE = 4096
UNCHECKED = BulkOptions(check_organizers=False)
posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")


async def drain(outcomes: Any) -> list[Any]:
    """Read outcomes to their end."""
    return [item async for item in outcomes]


def execute(path: Path, *statements: str) -> None:
    """Change a file by a connection of our own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def contents(path: Path) -> bytes:
    """Return what is in a file."""
    return path.read_bytes()


def damage(path: Path, whole: bytes, page: int) -> None:
    """Overwrite one page of a file that was whole."""
    begin, end = page * PAGE, (page + 1) * PAGE
    path.write_bytes(whole[:begin] + b"\xa5" * PAGE + whole[end:])
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)


async def refused(job: BulkJob, *, resume: bool = True) -> JournalError:
    """Return how the job refuses to run."""
    with pytest.raises(JournalError) as caught:
        await drain(job.resume() if resume else job.run())
    return caught.value


@pytest.fixture
async def begun(fake: FakeGong, client: Client, change: Change, state: Path) -> Path:
    """Return the journal of a job of 200 changes, of which 5 were sent."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(200)], state_dir=state, options=UNCHECKED)
        await drain(job.run(canary=5))
    return job.path


async def test_other_changes_are_refused(
    fake: FakeGong, client: Client, change: Change, state: Path, begun: Path
) -> None:
    """Resumed with another file: nothing of either is sent."""
    others = [change(n, "Other" if n == 150 else "Renewal") for n in range(200)]
    async with client(fake) as gong:
        error = await refused(gong.bulk(others, journal=begun, state_dir=state))

    assert error.reason == "input"
    assert "other changes" in str(error)
    assert fake.received_count == 5


@pytest.mark.parametrize("way", ["plan", "run"])
async def test_other_changes_are_refused_before_the_first_run_as_well(
    fake: FakeGong, client: Client, change: Change, state: Path, way: str
) -> None:
    """Planned from one file, run with another: the journal's changes are not sent unasked."""
    async with client(fake) as gong:
        planned = gong.bulk([change(1), change(2)], state_dir=state)
        await planned.plan()
        job = gong.bulk([change(3)], journal=planned.path, state_dir=state)
        with pytest.raises(JournalError) as caught:
            await (job.plan() if way == "plan" else drain(job.run()))

    assert caught.value.reason == "input"
    assert fake.received_count == 0


async def test_the_same_changes_in_another_order_are_other_changes(
    fake: FakeGong, client: Client, change: Change, state: Path, begun: Path
) -> None:
    """Places name items: in another order they would name others."""
    swapped = [change(n) for n in reversed(range(200))]
    async with client(fake) as gong:
        error = await refused(gong.bulk(swapped, journal=begun, state_dir=state))

    assert error.reason == "input"


async def test_other_options_are_refused(
    fake: FakeGong, client: Client, state: Path, begun: Path
) -> None:
    """They were part of the plan."""
    async with client(fake) as gong:
        options = BulkOptions(keep_order=True)
        error = await refused(gong.bulk(journal=begun, state_dir=state, options=options))

    assert error.reason == "input"
    assert "options" in str(error)
    assert fake.received_count == 5


async def test_another_base_url_is_refused(
    client: Client, state: Path, begun: Path, fake: FakeGong
) -> None:
    """The ids of one company's meetings mean nothing to another's."""
    async with FakeGong() as other, client(other) as gong:
        error = await refused(gong.bulk(journal=begun, state_dir=state))

        assert error.reason == "company"
        assert fake.url in str(error)
        assert other.received_count == 0


async def test_another_key_is_refused(fake: FakeGong, state: Path, begun: Path) -> None:
    """Another key may be another company's; the error names no key."""
    auth = BasicAuth("ANOTHERKEY", "ANOTHERSECRET")
    limits = Limits(per_second=None, per_day=None)
    async with GongClient(auth, base_url=fake.url, limits=limits) as gong:
        error = await refused(gong.bulk(journal=begun, state_dir=state))

    assert error.reason == "company"
    assert "ANOTHER" not in str(error)
    assert fake.received_count == 5


async def test_a_rotated_secret_is_the_same_company(
    fake: FakeGong, client: Client, state: Path, begun: Path
) -> None:
    """A job of five days outlives a secret."""
    fake.access_key_secret = "ROTATED"
    async with client(fake) as gong:
        await drain(gong.bulk(journal=begun, state_dir=state).resume())

    assert fake.applied_count == 200


async def test_a_newer_format_is_refused(
    fake: FakeGong, client: Client, state: Path, begun: Path
) -> None:
    """This version cannot know what the newer one means; it changes nothing."""
    execute(begun, "PRAGMA user_version = 3")
    before = contents(begun)
    async with client(fake) as gong:
        job = gong.bulk(journal=begun, state_dir=state)
        error = await refused(job)
        with pytest.raises(JournalError):
            await job.status()

    assert error.reason == "format"
    assert "newer version" in str(error)
    assert contents(begun) == before
    assert fake.received_count == 5


async def test_another_programs_database_is_refused(
    fake: FakeGong, client: Client, change: Change, state: Path, tmp_path: Path
) -> None:
    """A mistyped path must not destroy another program's data."""
    path = tmp_path / "photos.sqlite3"
    execute(path, "CREATE TABLE photo (name)", "INSERT INTO photo VALUES ('cat')")
    before = path.read_bytes()
    async with client(fake) as gong:
        error = await refused(gong.bulk([change(1)], journal=path, state_dir=state), resume=False)

    assert error.reason == "format"
    assert "another program" in str(error)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(
    fake: FakeGong, client: Client, change: Change, state: Path, tmp_path: Path
) -> None:
    """The changes' own file given as the journal, for example."""
    path = tmp_path / "meetings.csv"
    path.write_text("meeting_id,title\n" + "1,Renewal\n" * 1000)
    before = path.read_bytes()
    async with client(fake) as gong:
        error = await refused(gong.bulk([change(1)], journal=path, state_dir=state), resume=False)

    assert error.reason == "file"
    assert path.read_bytes() == before


async def test_a_damaged_page_is_found_before_anything_is_sent(
    fake: FakeGong, client: Client, state: Path, begun: Path
) -> None:
    """Overwritten bytes in the middle of the file: an error that says so, whatever page it is."""
    whole = contents(begun)
    kept = 0
    async with client(fake) as gong:
        for page in range(1, len(whole) // PAGE):
            damage(begun, whole, page)
            error = await refused(gong.bulk(journal=begun, state_dir=state))
            kept += error.reason == "file" and "damaged" in str(error)

    assert kept == len(whole) // PAGE - 1 > 10
    assert fake.received_count == 5


async def test_a_body_that_is_not_what_was_planned_is_not_sent(
    fake: FakeGong, client: Client, state: Path, begun: Path
) -> None:
    """A flipped bit that SQLite cannot detect is found by the digest of the plan."""
    execute(
        begun,
        "UPDATE content SET body = CAST(replace(body, 'Renewal', 'renewal') AS BLOB) "
        "WHERE item_index = 9",
    )
    async with client(fake) as gong:
        error = await refused(gong.bulk(journal=begun, state_dir=state))

    assert error.reason == "file"
    assert "meeting 9" in str(error)
    assert fake.received_count == 5


@pytest.mark.parametrize("moment", ["before the header", "in the middle"])
async def test_a_job_that_was_not_planned_to_its_end_is_refused(
    fake: FakeGong, client: Client, change: Change, state: Path, moment: str
) -> None:
    """Killed while planning: nothing was sent, and half of a file is not sent either."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(20)], state_dir=state)
        await job.plan()
        if moment == "in the middle":
            execute(job.path, "UPDATE job SET value = 'planning' WHERE name = 'state'",
                    "DELETE FROM item WHERE item_index > 10")  # fmt: skip
        else:
            execute(job.path, *(f"DELETE FROM {table}" for table in ("job", "item", "content")))
        status = await job.status()
        again = await refused(gong.bulk(journal=job.path, state_dir=state))
        first = await refused(gong.bulk(journal=job.path, state_dir=state), resume=False)
        kept = job.path.exists()

    assert status.state == "interrupted"
    assert (again.reason, first.reason) == ("state", "state")
    assert "not planned completely" in str(again)
    assert kept
    assert fake.received_count == 0


async def test_with_its_changes_a_torn_plan_is_made_anew(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Nothing of it was sent, and so nothing is lost."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(20)], state_dir=state, options=UNCHECKED)
        await job.plan()
        execute(job.path, "UPDATE job SET value = 'planning' WHERE name = 'state'",
                "DELETE FROM item WHERE item_index > 10")  # fmt: skip
        changes = [change(n) for n in range(20)]
        again = gong.bulk(changes, journal=job.path, state_dir=state, options=UNCHECKED)
        await drain(again.run())

    assert fake.applied_count == 20


@pytest.mark.parametrize("method", ["status", "resume", "run", "plan", "items", "pause", "cancel"])
async def test_without_a_journal_there_is_nothing_to_go_on_with(
    fake: FakeGong, client: Client, state: Path, method: str
) -> None:
    """No changes and no journal: every method says so, and none makes an empty one."""
    path = state / "missing.sqlite3"
    async with client(fake) as gong:
        job = gong.bulk(journal=path, state_dir=state)
        found = getattr(job, method)()
        with pytest.raises(JournalError, match="no journal") as caught:
            await (drain(found) if hasattr(found, "__aiter__") else found)

    assert caught.value.reason == "missing"
    assert not path.exists()


@posix
@pytest.mark.parametrize("which", ["journal", "lock"])
async def test_a_symbolic_link_is_not_followed(
    fake: FakeGong, client: Client, change: Change, tmp_path: Path, which: str
) -> None:
    """What it points to is neither read nor made."""
    path, target = tmp_path / "state" / "job.sqlite3", tmp_path / "target"
    path.parent.mkdir(mode=0o700)
    link = path if which == "journal" else path.with_name(path.name + ".lock")
    link.symlink_to(target)
    async with client(fake) as gong:
        job = gong.bulk([change(1)], journal=path, state_dir=path.parent)
        error = await refused(job, resume=False)

    assert "symbolic link" in str(error)
    assert (link.is_symlink(), target.exists()) == (True, False)
    assert fake.received_count == 0


@posix
async def test_a_folder_that_others_may_write_to_is_refused(
    fake: FakeGong, client: Client, change: Change, tmp_path: Path
) -> None:
    """They could put another journal in the place of this one."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    async with client(fake) as gong:
        job = gong.bulk([change(1)], journal=folder / "job.sqlite3", state_dir=tmp_path / "state")
        error = await refused(job, resume=False)

    assert "other users may write" in str(error)
    assert list(folder.iterdir()) == []


async def test_a_network_file_system_is_refused(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQLite's locks do not hold there: two machines could run one job."""
    monkeypatch.setattr(private_file, "file_system", lambda folder, mounts: "nfs4")
    async with client(fake) as gong:
        error = await refused(gong.bulk([change(1)], state_dir=state), resume=False)

    assert "network file system (nfs4)" in str(error)
    assert "GONG_STATE_DIR" in str(error)
    assert fake.received_count == 0


def test_a_journals_file_system_is_looked_up_in_the_mounts(tmp_path: Path) -> None:
    """The same without a patch: by the table of mounts."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path.resolve()} rw - cifs //server/home rw\n")
    database = Database(tmp_path / "jobs" / "job.sqlite3", JOURNAL, mounts=table)

    with pytest.raises(JournalError, match=r"\(cifs\)"), database.transaction():
        pass
    assert not database.path.exists()


@pytest.mark.parametrize("place", ["journal", "ledger"])
async def test_a_directory_that_cannot_be_written_is_explained(
    *,
    fake: FakeGong,
    client: Client,
    change: Change,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """The error names the file, the reason and the way out; nothing is sent."""
    locked = tmp_path / "locked"
    opened = os.open

    def refuse(path: Any, *args: Any, **options: Any) -> int:
        # The tests may run as root, for whom no directory is read-only.
        if str(path).startswith(str(locked)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    free = tmp_path / "free"
    journal = (locked if place == "journal" else free) / "job.sqlite3"
    async with client(fake) as gong:
        job = gong.bulk(
            [change(1)], journal=journal, state_dir=locked if place == "ledger" else free
        )
        error = await refused(job, resume=False)

    assert "Read-only file system" in str(error)
    assert "GONG_STATE_DIR" in str(error)
    assert fake.received_count == 0
