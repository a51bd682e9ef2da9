"""What a planned job will change."""

from __future__ import annotations

from pathlib import Path

import pytest

from gong_async import BulkOptions, Invitee
from gong_async.bulk.reports.differences import Difference, differences
from gong_async.bulk.reports.purge import purge
from gong_async.inputs.reader import read_changes
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


async def test_field_by_field(jobs: Jobs) -> None:
    """Each field that will change is listed by its Python name, with both values."""
    await jobs.run([change(0, external_id="x"), change(1)])
    later = change(0, title="Kick-off", invitees=[Invitee(email="lee@example.com")])
    job = await jobs.plan([later, change(1)])

    found = list(differences(job, jobs.ledger))

    id_ = change(0).meeting_id
    assert found == [
        Difference(id_, None, "invitees", [], [{"email": "lee@example.com"}]),
        Difference(id_, None, "title", "Renewal", "Kick-off"),
        Difference(id_, None, "external_id", "x", None),
    ]


async def test_the_line_of_the_file(jobs: Jobs, tmp_path: Path) -> None:
    """A difference names the line that it comes from."""
    await jobs.run([change(0)])
    file = tmp_path / "changes.csv"
    file.write_text(
        "meeting_id,start_time,end_time,organizer_email,invitees,title\n\n"
        f"{change(0).meeting_id},2026-11-24T15:00:00Z,2026-11-24T16:00:00Z,dana@example.com,,New\n"
    )
    job = await jobs.plan(read_changes(file))

    (found,) = differences(job, jobs.ledger)

    assert (found.line, found.field) == (3, "title")


async def test_nothing_is_known_of_a_new_meeting(jobs: Jobs) -> None:
    """A meeting that no job has updated is one difference."""
    await jobs.run([change(0)])
    job = await jobs.plan([change(1, title=None)])

    (found,) = differences(job, jobs.ledger)

    assert (found.meeting_id, found.field, found.before) == (change(1).meeting_id, "*", None)
    assert found.after == {
        "start_time": "2026-11-24T15:00:00Z",
        "end_time": "2026-11-24T16:00:00Z",
        "organizer_email": "dana@example.com",
        "invitees": [],
    }


@pytest.mark.parametrize("name", [None, "elsewhere.sqlite3"])
async def test_without_a_ledger_nothing_is_known(
    jobs: Jobs, tmp_path: Path, name: str | None
) -> None:
    """Without a ledger each meeting is one difference, and no ledger is created."""
    job = await jobs.plan([change(0)])
    missing = None if name is None else tmp_path / name

    found = list(differences(job, missing))

    assert [difference.field for difference in found] == ["*"]
    assert missing is None or not missing.exists()


async def test_nothing_is_known_while_in_doubt(fake: FakeGong, jobs: Jobs) -> None:
    """A meeting whose last update is in doubt is one difference."""
    await jobs.run([change(0, title="a")])
    fake.script(Fault.drop_before(), on="updateMeeting")
    await jobs.run([change(0, title="b")])
    job = await jobs.plan([change(0, title="a")])

    assert [difference.field for difference in differences(job, jobs.ledger)] == ["*"]


async def test_nothing_is_known_after_a_purge(jobs: Jobs) -> None:
    """What an earlier job has purged is not compared with."""
    purge(await jobs.run([change(0, title="a")]), jobs.ledger)
    job = await jobs.plan([change(0, title="b")])

    assert [difference.field for difference in differences(job, jobs.ledger)] == ["*"]


async def test_several_changes_of_one_meeting(jobs: Jobs) -> None:
    """Each change of a meeting is compared with the one before it."""
    await jobs.run([change(0, title="a")])
    titles = ("b", "c", "d")
    changes = [change(1), *(change(0, title=title) for title in titles)]
    job = await jobs.plan(changes, options=BulkOptions(keep_order=True))

    found = [(d.field, d.before, d.after) for d in differences(job, jobs.ledger) if d.field != "*"]

    assert found == [("title", "a", "b"), ("title", "b", "c"), ("title", "c", "d")]


async def test_what_was_refused_makes_no_difference(fake: FakeGong, jobs: Jobs) -> None:
    """A change is not compared with one before it that Gong has refused."""
    await jobs.run([change(0, title="a")])
    fake.script(Fault.status(400), on="updateMeeting")
    changes = [change(0, title="b"), change(0, title="c")]
    job = await jobs.run(changes, options=BulkOptions(keep_order=True), canary=1)

    (found,) = differences(job, jobs.ledger)

    assert (found.before, found.after) == ("a", "c")


async def test_only_what_is_still_to_be_sent(jobs: Jobs) -> None:
    """What was sent already makes no difference any more."""
    job = await jobs.run([change(0), change(1)], canary=1)

    (found,) = differences(job, jobs.ledger)

    assert found.meeting_id == change(1).meeting_id


async def test_the_same_again_makes_no_difference(jobs: Jobs) -> None:
    """A change that is sent although Gong has it makes no difference."""
    await jobs.run([change(0)])
    job = await jobs.plan([change(0)], options=BulkOptions(skip_unchanged=False))

    assert job.status().counts["pending"] == 1
    assert list(differences(job, jobs.ledger)) == []


def test_a_difference_shows_no_content() -> None:
    """Titles and addresses are in no log that shows a difference."""
    difference = Difference("1", 2, "title", "Secret plan", "Other plan")

    assert "plan" not in repr(difference)
