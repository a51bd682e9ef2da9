"""Going on where an earlier run stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async.bulk.inputs import read_changes
from gong_async.cli.outcomes import Earlier, make_rows, record
from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Told = Callable[[str], list[dict[str, Any]]]
Entries = list[tuple[str, str, str]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


def test_the_rest_is_sent(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """A run that stopped at the day's limit is finished by the next, and no row is sent twice."""
    file, outcomes = meetings(30), tmp_path / "outcomes.jsonl"

    first = invoke("bulk", "run", file, "--per-day", "12", "--output", outcomes, *QUICK)
    again = ("--resume-from", outcomes, "--output", outcomes)
    second = invoke("bulk", "run", file, *again, *QUICK)
    third = invoke("bulk", "run", file, *again, *QUICK)

    assert [first.exit_code, second.exit_code, third.exit_code] == [75, 0, 0]
    assert sorted(change.meeting_id for change in fake.applied) == [
        str(FIRST + number) for number in range(30)
    ]
    assert "18 rows" in second.stderr
    assert "12 more were done in an earlier run" in second.stderr


def test_a_new_file_is_complete(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told, tmp_path: Path
) -> None:
    """Outcomes that go elsewhere begin with what was done before, so that one file is enough."""
    file, outcomes, more = meetings(5), tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    invoke("bulk", "run", file, "--per-day", "2", "--output", outcomes, *QUICK)

    invoke("bulk", "run", file, "--resume-from", outcomes, "--output", more, *QUICK)

    lines = told(more.read_text())
    assert [line["state"] for line in lines] == ["done"] * 5
    assert [line.get("carried_over", False) for line in lines] == [True, True, False, False, False]


def test_changed_rows_are_sent_again(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """What counts is the content: a row that was corrected is not done."""
    outcomes = tmp_path / "outcomes.jsonl"
    invoke("bulk", "run", meetings([("1", "a"), ("2", "b")]), "--output", outcomes, *QUICK)

    file = meetings([("1", "a"), ("2", "changed")])
    done = invoke("bulk", "run", file, "--resume-from", outcomes, *QUICK)

    assert done.exit_code == 0
    assert [(c.meeting_id, c.body["title"]) for c in fake.applied[2:]] == [("2", "changed")]


def test_failed_rows_are_sent_again(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """What failed is tried again, after something was done about it."""
    file, outcomes = meetings(3), tmp_path / "outcomes.jsonl"
    fake.missing_meetings.add(str(FIRST + 1))
    first = invoke("bulk", "run", file, "--output", outcomes, *QUICK)
    fake.missing_meetings.clear()

    second = invoke("bulk", "run", file, "--resume-from", outcomes, *QUICK)

    assert [first.exit_code, second.exit_code] == [1, 0]
    assert fake.applied_count == 3
    assert fake.applied[-1].meeting_id == str(FIRST + 1)


def test_a_run_that_was_killed(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told, tmp_path: Path
) -> None:
    """A last line that was cut off is sent again, and the file stays readable."""
    file, outcomes = meetings(3), tmp_path / "outcomes.jsonl"
    invoke("bulk", "run", file, "--output", outcomes, *QUICK)
    outcomes.write_text(outcomes.read_text()[:-30])

    done = invoke("bulk", "run", file, "--resume-from", outcomes, "--output", outcomes, *QUICK)

    assert done.exit_code == 0
    assert fake.applied_count == 4
    assert "1 lines are no outcomes" in done.stderr
    assert json.loads(outcomes.read_text().splitlines()[-1])["state"] == "done"


@pytest.mark.parametrize("text", ["meeting_id,start\n1,2\n", "[]\n", '{"meeting_id": "1"}\n'])
def test_a_file_that_is_something_else(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path, text: str
) -> None:
    """A file without a single outcome is a mistake, and nothing is sent."""
    path = tmp_path / "other.jsonl"
    path.write_text(text)

    done = invoke("bulk", "run", meetings(1), "--resume-from", path)

    assert done.exit_code == 2
    assert "holds no outcomes of a bulk run" in done.stderr
    assert fake.received == []


@pytest.mark.parametrize(
    ("history", "rows", "sent"),
    [
        pytest.param([], "ab", [0, 1], id="nothing was done"),
        pytest.param([("a", "done")], "a", [], id="done"),
        pytest.param([("a", "done")], "ab", [1], id="the first was done"),
        pytest.param([("a", "done"), ("b", "done")], "ab", [], id="both were done"),
        pytest.param([("a", "failed"), ("b", "done")], "ab", [0, 1], id="the first failed"),
        pytest.param([("a", "done"), ("b", "not_sent")], "ab", [1], id="the second was not sent"),
        pytest.param([("a", "done"), ("b", "done")], "aba", [2], id="back to the first"),
        pytest.param([("a", "done"), ("b", "done")], "a", [0], id="replaced since"),
        pytest.param([("a", "done"), ("b", "in_doubt")], "a", [0], id="perhaps replaced since"),
        pytest.param([("a", "in_doubt"), ("a", "done")], "a", [], id="doubt and then certainty"),
        pytest.param([("a", "done"), ("b", "failed"), ("c", "done")], "abc", [0, 1, 2], id="a gap"),
        pytest.param([("b", "done"), ("a", "done"), ("b", "done")], "ab", [], id="sent again"),
        pytest.param([("a", "done"), ("a", "done")], "aa", [], id="equal rows"),
        pytest.param([("a", "done")], "aa", [1], id="one of equal rows"),
    ],
)
def test_what_stands_last_in_the_file_wins(
    meetings: Meetings,
    tmp_path: Path,
    history: list[tuple[str, Any]],
    rows: str,
    sent: list[int],
) -> None:
    """With several rows for a meeting, those are skipped that were the last to be applied."""
    made = make_rows(read_changes(meetings([("1", title) for title in rows])))
    known = make_rows(read_changes(meetings([("1", title) for title, _ in history], "then.csv")))
    path = tmp_path / "outcomes.jsonl"
    lines = [record(row, state) for row, (_, state) in zip(known, history, strict=True)]
    path.write_text("".join(line + "\n" for line in lines))

    skipped = Earlier.read(path).done(made)

    assert sorted(set(range(len(made))) - skipped) == sent
