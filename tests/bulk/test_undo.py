"""The way back of a bulk job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gong_async import BulkOptions
from gong_async.bulk.reports.export import make_undo_plan, write_atomically
from gong_async.bulk.reports.purge import purge
from gong_async.bulk.store.job_file import JobFile
from gong_async.inputs.reader import Inputs, read_changes
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")

Undo = Callable[[JobFile], Inputs]


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


@pytest.fixture
def undo(tmp_path: Path) -> Undo:
    """Read the reverse file of a job."""

    def undo(job: JobFile) -> Inputs:
        file = tmp_path / "reverse.jsonl"
        write_atomically(file, make_undo_plan(job).known)
        return read_changes(file)

    return undo


async def test_back_to_what_was_acknowledged_before(jobs: Jobs, undo: Undo) -> None:
    """The reverse file holds, in the job's order, what the jobs before it had left."""
    before = [change(0, title="a"), change(1, title="b"), change(2, title="c")]
    await jobs.run(before)
    job = await jobs.run([change(1, title="B"), change(0, title="A")])

    assert list(undo(job)) == [before[1], before[0]]
    assert make_undo_plan(job).unknown == ()


async def test_nothing_is_known_of_new_meetings(jobs: Jobs) -> None:
    """Meetings that no job had updated before are named, once each."""
    await jobs.run([change(0)])
    options = BulkOptions(keep_order=True)
    changes = [change(2), change(0, title="A"), change(1), change(2, title="C")]
    job = await jobs.run(changes, options=options)

    found = make_undo_plan(job)

    assert found.unknown == (change(2).meeting_id, change(1).meeting_id)
    assert len(list(found.known)) == 1


async def test_a_meeting_that_was_changed_twice(jobs: Jobs, undo: Undo) -> None:
    """A job that changed a meeting twice leads back to before the first time."""
    await jobs.run([change(0, title="first")])
    changes = [change(0, title="second"), change(0, title="third")]
    job = await jobs.run(changes, options=BulkOptions(keep_order=True))

    assert list(undo(job)) == [change(0, title="first")]


async def test_what_was_not_changed_is_left_alone(fake: FakeGong, jobs: Jobs) -> None:
    """Refused, unchanged and unsent changes need no way back."""
    await jobs.run([change(number) for number in range(4)])
    fake.script(Fault.status(400), on="updateMeeting")
    changes = [
        change(0),
        change(1, title="refused"),
        change(2, title="in_flight"),
        change(3, title="x"),
    ]
    options = BulkOptions(max_in_flight=1, max_failure_ratio=None)
    job = await jobs.run(changes, options=options, canary=2)

    found = make_undo_plan(job)

    assert [item.state for item in job.items()] == ["skipped", "failed", "succeeded", "pending"]
    assert ([change(2).meeting_id in line for line in found.known], found.unknown) == ([True], ())


async def test_what_is_in_doubt_has_a_way_back(fake: FakeGong, jobs: Jobs, undo: Undo) -> None:
    """An update whose answer was lost may have changed the meeting."""
    await jobs.run([change(0, title="before")])
    fake.script(Fault.drop_after(), on="updateMeeting")
    job = await jobs.run([change(0, title="after")])

    assert [item.state for item in job.items()] == ["in_doubt"]
    assert list(undo(job)) == [change(0, title="before")]


async def test_there_and_back(fake: FakeGong, jobs: Jobs, undo: Undo) -> None:
    """The reverse file, run as a job, restores the meetings byte by byte; and so does its own."""
    await jobs.run([change(0, title="a")])
    job = await jobs.run([change(0, title="b")])

    back = await jobs.run(undo(job))
    again = await jobs.run(undo(back))

    a, b, back_to_a, back_to_b = (applied.raw for applied in fake.applied)
    assert (back_to_a, back_to_b) == (a, b)
    assert again.status().counts["succeeded"] == 1


async def test_after_a_purge_nothing_is_known(jobs: Jobs) -> None:
    """A purged job names all of its meetings as unknown, instead of giving a shorter file."""
    await jobs.run([change(0, title="a")])
    job = await jobs.run([change(0, title="b")])
    purge(job, jobs.ledger)

    found = make_undo_plan(job)

    assert (list(found.known), found.unknown) == ([], (change(0).meeting_id,))
