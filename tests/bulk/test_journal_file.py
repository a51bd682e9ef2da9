"""A journal from outside: found by its name, read without disturbing anybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, GongClient, JournalError, MeetingChange
from gong_async.bulk.store.job_file import JobFile, find_job, jobs_directory, list_jobs, new_job_id
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]

UNCHECKED = BulkOptions(check_organizers=False)


@pytest.fixture
async def jobs(fake: FakeGong, client: Client, change: Change, state: Path) -> list[JobFile]:
    """Return three finished jobs, the first of them with a failed item."""
    fake.missing_meetings.add("3")
    async with client(fake) as gong:
        for title in ("a", "b", "c"):
            changes = [change(n, title) for n in range(5)]
            async for _ in gong.bulk(changes, state_dir=state, options=UNCHECKED).run():
                pass
            fake.missing_meetings.clear()
    return list_jobs(state)


def test_an_id_has_its_date_and_is_unique() -> None:
    """It can be typed, and sorts by day."""
    ids = {new_job_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"\d{8}-[0-9a-f]{8}", id_) for id_ in ids)
    assert new_job_id().startswith(f"{datetime.now(UTC):%Y%m%d}")


def test_jobs_are_kept_in_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`GONG_STATE_DIR` says where that is."""
    monkeypatch.setenv("GONG_STATE_DIR", str(tmp_path))

    assert jobs_directory() == tmp_path / "jobs"
    assert list_jobs() == []


@pytest.mark.may_block("reads files")
async def test_a_job_is_found_by_its_id_its_beginning_or_its_path(
    jobs: list[JobFile], state: Path
) -> None:
    """As much of the id as is enough."""
    path = jobs[1].path
    name = path.stem

    assert len(jobs) == 3
    assert {find_job(given, state).path for given in (name, name[:-2], str(path))} == {path}


@pytest.mark.may_block("reads files")
@pytest.mark.parametrize(
    ("name", "problem"),
    [("2", "several jobs begin with 2"), ("nothing", "no job nothing"), ("", "no job"),
     ("../jobs/2", "no job"), ("*", "no job")],
)  # fmt: skip
async def test_a_name_that_names_no_job_is_refused(
    jobs: list[JobFile], state: Path, name: str, problem: str
) -> None:
    """None, several, or a name that leads elsewhere."""
    with pytest.raises(JournalError, match=re.escape(problem)) as caught:
        find_job(name, state)

    assert caught.value.reason == "missing"


@pytest.mark.may_block("reads files")
async def test_items_are_read_by_state(jobs: list[JobFile]) -> None:
    """All, or those of some states; in the order of the source."""
    first = min(jobs, key=lambda job: job.status().planned_at)
    failed = list(first.items(["failed"]))
    everything = list(first.items())

    assert [item.index for item in everything] == [0, 1, 2, 3, 4]
    assert [(item.meeting_id, item.error, item.status) for item in failed] == [
        ("3", "NotFoundError", 404)
    ]


@pytest.mark.may_block("reads files")
async def test_reading_does_not_disturb_the_run(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A reader in the middle of all items holds neither the job nor its lock."""
    async with client(fake) as gong:
        changes = [change(n) for n in range(1000)]
        job = gong.bulk(changes, state_dir=state, options=UNCHECKED)
        await job.plan()
        reading: Any = JobFile(job.path).items()
        first = next(reading)
        async for _ in job.run():
            pass
        rest = list(reading)
        status = await job.status()

    assert {item.state for item in (first, *rest)} == {"pending"}
    assert len(rest) == 999
    assert status.counts["succeeded"] == 1000


@pytest.mark.may_block("reads files")
async def test_counts_are_those_of_the_items(jobs: list[JobFile]) -> None:
    """The tally that is kept and the items that are there agree."""
    for job in jobs:
        status = job.status()
        states = [item.state for item in job.items()]

        assert {state: states.count(state) for state in status.counts} == dict(status.counts)
