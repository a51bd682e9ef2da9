"""Why items did not succeed, by reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from gong_async import BulkOptions, ConflictError, NotFoundError
from gong_async.bulk.reports.groups import ErrorGroup, error_groups, grouped, normalised
from gong_async.bulk.store.job_file import JobFile
from gong_async.resources.meetings import UPDATE
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")

ONE_BY_ONE = BulkOptions(max_failure_ratio=None, check_organizers=False, max_in_flight=1)


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


def refuse(fake: FakeGong, *texts: str) -> None:
    """Refuse an update with each of the texts."""
    for text in texts:
        fake.script(Fault.status(404, errors=(text,)), on="updateMeeting")


async def test_the_most_frequent_first(fake: FakeGong, jobs: Jobs) -> None:
    """Errors that differ in ids, addresses and times are one group, with its first item."""
    refuse(
        fake,
        "Trace 4ab1-0f9c7d2e44 is lost",
        "No meeting 7782342274025937895 of dana@example.com until 2026-11-24 15:00:00Z",
        "No meeting 7782342274025937896 of lee@example.com until 2026-11-25 16:00:01Z",
    )
    job = await jobs.run([change(number) for number in range(5)], options=ONE_BY_ONE)

    groups = error_groups(job)

    said = "NotFoundError: Gong answered 404 Not Found"
    assert groups == [
        ErrorGroup(
            text=f"{said}: No meeting <id> of <email> until <time>",
            items=2,
            first=1,
            hint=UPDATE.hints[NotFoundError],
        ),
        ErrorGroup(
            text=f"{said}: Trace <id> is lost", items=1, first=0, hint=UPDATE.hints[NotFoundError]
        ),
    ]


async def test_skipped_items_are_a_group(fake: FakeGong, jobs: Jobs) -> None:
    """Items skipped for their organizer are grouped under Gong's message on that organizer."""
    fake.add_user("lee@example.com", valid=False, user_facing_error="The calendar is gone")
    changes = [change(0), *(change(n, organizer_email="lee@example.com") for n in (1, 2))]

    groups = error_groups(await jobs.run(changes))

    text = "Skipped: The calendar is gone"
    assert groups == [ErrorGroup(text=text, items=2, first=1, hint=UPDATE.hints[ConflictError])]


async def test_items_in_doubt_are_a_group(fake: FakeGong, jobs: Jobs) -> None:
    """An update whose answer was lost is grouped under its error."""
    fake.script(Fault.drop_after(), on="updateMeeting")

    (group,) = error_groups(await jobs.run([change(0)]))

    assert group.text.startswith("APIConnectionError: ")
    assert (group.items, group.first) == (1, 0)


async def test_an_interrupted_item_is_to_be_resumed(fake: FakeGong, jobs: Jobs) -> None:
    """For updates in doubt after a crash, the hint is to resume the job."""
    job = await jobs.run([change(0)])
    with job.writing() as connection:
        connection.execute("UPDATE item SET state = 'in_doubt', error = 'Interrupted'")

    (group,) = error_groups(job)

    assert group.hint.startswith("Resume the job")


async def test_success_is_no_group(jobs: Jobs) -> None:
    """A job without trouble has no groups, whatever it left out as unchanged."""
    await jobs.run([change(0), change(1)])
    job = await jobs.run([change(0), change(0), change(1, title="New")])

    assert error_groups(job) == []


@pytest.mark.parametrize("distinct", [60, 2_500])
async def test_groups_do_not_grow_without_end(jobs: Jobs, distinct: int) -> None:
    """A server that words every refusal anew makes one group of what is beyond fifty."""
    job = await jobs.run([change(number) for number in range(distinct + 1)])
    word_each_anew(job)

    groups = error_groups(job)

    assert len(groups) == 51
    assert groups[0].items == 2
    assert (groups[50].text, groups[50].hint) == ("other errors", "")
    assert sum(group.items for group in groups) == distinct + 1


def test_what_is_counted_is_bounded() -> None:
    """Texts beyond the first two thousand are one group, so that memory does not grow."""
    words = (f"{number:04d}".translate(WORDS) for number in range(2_000))
    rows = [("X", word, 1, place) for place, word in enumerate(words)]

    groups = grouped([*rows, ("X", "late", 7, 2_000)])

    assert (len(groups), groups[-1].text, groups[-1].items) == (51, "other errors", 1_957)


def word_each_anew(job: JobFile) -> None:
    """Give each item an error in words of its own; the first two share theirs."""
    with job.writing() as connection:
        connection.create_function("word", 1, lambda place: f"{max(place, 1):03d}".translate(WORDS))
        connection.execute(
            "UPDATE item SET state = 'failed', error = 'X', message = word(item_index)"
        )


WORDS = str.maketrans("0123456789", "ghijklmnop")


def test_plain_words_are_kept() -> None:
    """Status codes, small numbers and words stay readable."""
    text = "Gong answered 404 Not Found: deadbeef after 4 attempts in 30.5 s"

    assert normalised(text) == text
