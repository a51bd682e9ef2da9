"""`gong-async bulk plan`: what would be sent and what it costs, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from click.testing import Result

from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Jobs = Callable[[], list[JobFile]]
Reported = Callable[[str], list[dict[str, Any]]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


def row(done: Result, name: str) -> str:
    """Return what stands behind a name in the printed plan."""
    (found,) = [line for line in done.stdout.splitlines() if line.startswith(name)]
    return found.removeprefix(name).strip()


def test_nothing_is_sent_and_nothing_is_kept(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, jobs: Jobs, tmp_path: Path
) -> None:
    """A plan asks nothing of Gong, and leaves neither a journal nor a ledger."""
    done = invoke("bulk", "plan", meetings(10))

    assert done.exit_code == 0, done.stderr
    assert (fake.received_count, jobs()) == (0, [])
    assert sorted(path.name for path in (tmp_path / "state").glob("*.sqlite3")) == [
        "limits.sqlite3"
    ]


def test_what_it_costs(invoke: Invoke, meetings: Meetings) -> None:
    """Requests, days and the finishing time follow from the quota, the check included."""
    done = invoke("bulk", "plan", meetings(250), "--per-day", "100")

    finishes = datetime.fromisoformat(row(done, "finishes").partition(",")[0])
    assert row(done, "to send") == "250"
    assert row(done, "organizers") == "1, 1 request to check them"
    assert row(done, "requests").startswith("251,")
    assert row(done, "quota") == "2.94 per second, 100 per day, 100 left today"
    assert row(done, "takes") == "2 d 0 h (2.0 days)"
    assert (finishes - datetime.now(UTC)).days in {1, 2}


def test_what_is_left_out(invoke: Invoke, meetings: Meetings) -> None:
    """Earlier rows of a meeting, and what an earlier job has done, need no request."""
    invoke("bulk", "run", meetings([("1", "a"), ("2", "b")]), *QUICK)
    file = meetings([("1", "a"), ("2", "c"), ("3", "d"), ("3", "e")])

    done = invoke("bulk", "plan", file)

    assert row(done, "changes") == "4 in meetings.csv"
    assert row(done, "superseded").startswith("1 skipped")
    assert row(done, "unchanged").startswith("1 skipped")
    assert row(done, "to send") == "2"


def test_what_is_left_out_can_be_kept(invoke: Invoke, meetings: Meetings) -> None:
    """Each of the savings can be switched off."""
    rows = [("1", "a"), ("1", "b"), ("2", "b")]
    invoke("bulk", "run", meetings(rows), *QUICK)
    options = ("--keep-order", "--no-skip-unchanged", "--no-check-organizers")

    done = invoke("bulk", "plan", meetings(rows), *options)

    assert row(done, "to send") == "3"
    assert row(done, "requests").startswith("3,")
    assert "superseded" not in done.stdout
    assert "unchanged" not in done.stdout


def test_differences(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Field by field, what is known of a meeting is compared with what would be sent."""
    invoke("bulk", "run", meetings([("1", "old"), ("2", "same")]), *QUICK)
    sent = fake.received_count

    done = invoke("bulk", "plan", meetings([("1", "new"), ("2", "same"), ("3", "x")]), "--diff")

    assert done.stdout.splitlines()[-2:] == [
        'line 2, meeting 1, title: "old" -> "new"',
        "line 4, meeting 3: unknown to earlier jobs",
    ]
    assert "1 field will change, compared with earlier jobs; 1 meeting unknown" in done.stderr
    assert fake.received_count == sent


def test_differences_steer_no_terminal(invoke: Invoke, meetings: Meetings, tmp_path: Path) -> None:
    """What stands in a title is shown, not obeyed."""
    invoke("bulk", "run", meetings([("1", "old")]), *QUICK)

    done = invoke("bulk", "plan", meetings([("1", "\x1b[2J\u202enew")]), "--diff")

    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "u001b[2J\\u202enew" in done.stdout


def test_plan_for_programs(invoke: Invoke, meetings: Meetings, reported: Reported) -> None:
    """With the global `--json`, the plan and each difference are an object a line."""
    done = invoke("--json", "bulk", "plan", meetings(2), "--diff")

    plan, *differences = reported(done.stdout)
    assert (plan["items"], plan["to_send"], plan["check_requests"]) == (2, 2, 1)
    assert plan["forecast"]["requests"] == 3
    assert [(d["meeting_id"], d["line"], d["field"]) for d in differences] == [
        (str(FIRST), 2, "*"),
        (str(FIRST + 1), 3, "*"),
    ]
    assert json.loads(done.stderr)["kind"] == "diff"


def test_invalid_rows(invoke: Invoke, meetings: Meetings) -> None:
    """A file that cannot be used is refused by the plan already."""
    done = invoke("bulk", "plan", meetings([("x", "a")]))

    assert done.exit_code == 2
    assert done.stdout == ""
    assert "line 2, meeting_id" in done.stderr


@pytest.mark.parametrize("rows", [0, 1])
def test_small_files(invoke: Invoke, meetings: Meetings, rows: int) -> None:
    """A file with one row, or none, has a plan as well."""
    done = invoke("bulk", "plan", meetings(rows))

    assert done.exit_code == 0
    assert row(done, "requests").startswith(f"{2 * rows},")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_notes_of_a_file_that_is_refused(invoke: Invoke, tmp_path: Path, command: str) -> None:
    """A note may say why there is a fault: here that the sheet with the meetings is not read."""
    book = openpyxl.Workbook()
    book.create_sheet("Meetings")
    book.save(tmp_path / "m.xlsx")

    done = invoke("bulk", command, tmp_path / "m.xlsx")

    assert done.exit_code == 2
    assert "only the sheet 'Sheet' is read; 1 other sheet is not" in done.stderr
    assert "m.xlsx: 1 problem; nothing was sent" in done.stderr
