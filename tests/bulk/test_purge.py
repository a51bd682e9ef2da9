"""What a job need not keep is gone, wherever it stood."""

from __future__ import annotations

from contextlib import aclosing, closing
from pathlib import Path

import pytest

from gong_async import BulkOptions, GongClient, Invitee, JournalError, MeetingChange
from gong_async._storage.database import Database
from gong_async.bulk.reports.export import export, make_undo_plan
from gong_async.bulk.reports.groups import error_groups
from gong_async.bulk.reports.purge import purge
from gong_async.bulk.reports.support_bundle import support_bundle
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.schema import JOURNAL, LEDGER
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")

PERSONAL = ("Secret plan", "Ana Moreau", "ana@", "dana@example.com", "lee@example.com", "2026-11-2")
"""The personal texts of the changes that are purged here."""

ONE_BY_ONE = BulkOptions(max_in_flight=1, max_failure_ratio=None)


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


def personal(number: int, title: str = "Secret plan") -> MeetingChange:
    """Make a change with a person in it."""
    guest = Invitee(email="ana@x.example", display_name="Ana Moreau")
    return change(number, title=title, invitees=[guest])


def found(folder: Path) -> set[str]:
    """Return the personal texts that any file in a folder contains."""
    contents = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    return {text for text in PERSONAL if text.encode() in contents}


async def test_nothing_personal_stays(fake: FakeGong, jobs: Jobs) -> None:
    """No title, name, address or time is left, neither in free pages nor in a log."""
    fake.add_user(
        "lee@example.com",
        valid=False,
        user_facing_error="lee@example.com has no calendar",
        fix_url="https://app.gong.io/fix?user=lee%40example.com",
    )
    await jobs.run([personal(number, title=f"Secret plan {number}") for number in range(300)])
    fake.script(
        Fault.status(400, errors=('"Secret plan" of dana@example.com and Ana Moreau is taken',)),
        on="updateMeeting",
    )
    changes = [personal(number) for number in range(400)]
    job = await jobs.run([*changes, change(500, organizer_email="lee@example.com")])
    earlier = next(file for file in job.path.parent.glob("*.sqlite3") if file != job.path)
    before = found(jobs.state)

    purge(JobFile(earlier), jobs.ledger)
    purge(job, jobs.ledger)

    assert before == set(PERSONAL)
    assert found(jobs.state) == set()


async def test_nothing_stays_of_what_was_replaced_earlier(jobs: Jobs) -> None:
    """Contents that later jobs have replaced in the ledger are in no free space of it."""
    first = await jobs.run([personal(number) for number in range(50)])
    second = await jobs.run([change(number) for number in range(50)])

    purge(first, jobs.ledger)
    purge(second, jobs.ledger)

    assert found(jobs.state) == set()


async def test_nothing_stays_while_others_look(jobs: Jobs) -> None:
    """The log is emptied although another process has the files open."""
    job = await jobs.run([personal(0)])
    with (
        closing(Database(job.path, JOURNAL)) as journal,
        closing(Database(jobs.ledger, LEDGER)) as ledger,
    ):
        for file in (journal, ledger):
            with file.snapshot() as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

        purge(job, jobs.ledger)

        assert found(jobs.state) == set()


async def test_how_many_contents_went(jobs: Jobs) -> None:
    """Counted are those of the journal, those from before the job, and those of the ledger."""
    await jobs.run([change(0, title="a")])
    job = await jobs.run([change(0, title="b"), change(1)])

    assert purge(job, jobs.ledger) == 2 + 1 + 2
    assert purge(job, jobs.ledger) == 0


async def test_what_became_of_each_item_stays(fake: FakeGong, jobs: Jobs) -> None:
    """Status, report, groups and bundle remain available."""
    fake.missing_meetings.add(change(1).meeting_id)
    job = await jobs.run([change(0), change(1), change(1, title="again")], options=ONE_BY_ONE)
    status, report = job.status(), list(export(job, "jsonl"))
    groups, bundle = error_groups(job), support_bundle(job)

    purge(job, jobs.ledger)

    assert job.status() == status
    assert list(export(job, "jsonl")) == report
    assert error_groups(job) == groups
    assert support_bundle(job)["items"] == bundle["items"]


async def test_errors_are_reported_without_people(fake: FakeGong, jobs: Jobs) -> None:
    """What Gong said stays, but for the people and the titles in it."""
    words = '"SECRET PLAN" of dana@example.com clashes with Ana Moreau at 15:00'
    fake.script(Fault.status(400, errors=(words,)), on="updateMeeting")
    job = await jobs.run([personal(0)])

    purge(job, jobs.ledger)

    (item,) = job.items()
    masked = '"<title>" of <email> clashes with <name> at 15:00'
    assert (item.errors, item.message) == (
        (masked,),
        f"Gong answered 400 Bad Request: {masked}",
    )


async def test_the_digests_stay(fake: FakeGong, jobs: Jobs) -> None:
    """The same changes are still known as such, and not sent again."""
    changes = [change(0), change(1)]
    purge(await jobs.run(changes), jobs.ledger)
    sent = fake.applied_count

    again = await jobs.run(changes)

    assert fake.applied_count == sent
    assert again.status().skipped["unchanged"] == 2


async def test_the_contents_of_other_jobs_stay(jobs: Jobs) -> None:
    """What another job has put in place of this one's is not this one's to remove."""
    first = await jobs.run([change(0, title="a"), change(1, title="b")])
    second = await jobs.run([change(0, title="A")])
    purge(first, jobs.ledger)
    third = await jobs.run([change(0, title="x"), change(1, title="y")])

    back = make_undo_plan(third)

    assert len(list(make_undo_plan(second).known)) == 1
    assert ['"title":"A"' in line for line in back.known] == [True]
    assert back.unknown == (change(1).meeting_id,)


async def test_without_a_ledger(jobs: Jobs) -> None:
    """A ledger that is not named, or is not there, is left alone."""
    job = await jobs.run([change(0)])
    missing = jobs.state / "other.sqlite3"

    assert purge(job, None) == 1
    assert purge(job, missing) == 0
    assert not missing.exists()


@pytest.mark.parametrize("canary", [0, 1])
async def test_a_job_that_can_go_on_is_refused(jobs: Jobs, canary: int) -> None:
    """A job that has not come to its end keeps what it is going to send."""
    changes = [personal(0), personal(1)]
    job = await (jobs.run(changes, canary=1) if canary else jobs.plan(changes))

    with pytest.raises(JournalError, match=f"is {'paused' if canary else 'planned'}") as refused:
        purge(job, jobs.ledger)

    assert refused.value.reason == "state"
    assert "Secret plan" in found(jobs.state)


async def test_by_force_the_job_is_cancelled(fake: FakeGong, jobs: Jobs) -> None:
    """Who purges a job that could go on ends it, and its counts say so."""
    job = await jobs.run([personal(0), personal(1)], canary=1)

    purge(job, jobs.ledger, force=True)

    status = job.status()
    assert (status.state, status.reason) == ("cancelled", "purged")
    assert (status.counts["succeeded"], status.counts["pending"]) == (1, 0)
    assert status.skipped["cancelled"] == 1
    assert found(jobs.state) == set()


async def test_by_force_what_was_interrupted_is_in_doubt(jobs: Jobs) -> None:
    """An update in flight when its process died is reported as in doubt."""
    job = await jobs.run([personal(0)])
    with job.writing() as connection:
        connection.execute("UPDATE item SET state = 'in_flight'")
        connection.execute("UPDATE job SET value = 'running' WHERE name = 'state'")
        connection.execute("UPDATE run SET ended_at = NULL")

    purge(job, jobs.ledger, force=True)

    (item,) = job.items()
    assert (item.state, item.error) == ("in_doubt", "Interrupted")
    assert (job.status().state, job.status().counts["in_doubt"]) == ("cancelled", 1)


@pytest.mark.parametrize("force", [False, True])
async def test_a_running_job_is_refused(jobs: Jobs, gong: GongClient, force: bool) -> None:  # noqa: FBT001
    """Nothing is taken from under a process that sends, by force or not."""
    job = gong.bulk([personal(0), personal(1), personal(2)], state_dir=jobs.state)
    async with aclosing(job.run()) as outcomes:
        await anext(outcomes)

        with pytest.raises(JournalError, match="another process") as refused:
            purge(JobFile(job.path), jobs.ledger, force=force)

    assert refused.value.reason == "in_use"
    assert "Secret plan" in found(jobs.state)


def test_a_missing_journal_is_an_error(tmp_path: Path) -> None:
    """No journal is made by looking for one."""
    job = JobFile(tmp_path / "none.sqlite3")

    with pytest.raises(JournalError, match="there is no journal"):
        purge(job, None)

    assert list(tmp_path.iterdir()) == []
