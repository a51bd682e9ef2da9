"""`gong-async bulk run`: rows in, outcomes out, and when it stops by itself."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Told = Callable[[str], list[dict[str, Any]]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


def states(outcomes: list[dict[str, Any]]) -> Counter[str]:
    """Count the states."""
    return Counter(outcome["state"] for outcome in outcomes)


def test_all_done(invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told) -> None:
    """Each row is applied once and has one outcome, and the command ends with 0."""
    done = invoke("bulk", "run", meetings(30), *QUICK)

    outcomes = told(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert states(outcomes) == {"done": 30}
    assert sorted(outcome["row"] for outcome in outcomes) == list(range(2, 32))
    assert {c.meeting_id for c in fake.applied} == {str(FIRST + n) for n in range(30)}
    assert fake.applied_count == 30


def test_an_outcome(invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told) -> None:
    """An outcome tells what a program and a supporter need."""
    done = invoke("bulk", "run", meetings(1))

    (outcome,) = told(done.stdout)
    assert len(outcome.pop("digest")) == 64
    assert len(outcome.pop("request_id")) == 20
    assert outcome == {
        "row": 2,
        "meeting_id": str(FIRST),
        "state": "done",
        "status": 200,
        "attempts": 1,
        "error": None,
        "message": None,
        "errors": [],
        "retry_at": None,
    }


def test_some_failed(invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told) -> None:
    """What Gong refuses stops nothing else; the command ends with 1 and says why."""
    fake.missing_meetings.add(str(FIRST + 2))

    done = invoke("bulk", "run", meetings(5), *QUICK)

    failed = [outcome for outcome in told(done.stdout) if outcome["state"] == "failed"]
    assert done.exit_code == 1
    assert fake.applied_count == 4
    assert [(o["row"], o["status"], o["error"]) for o in failed] == [(4, 404, "NotFoundError")]
    assert failed[0]["errors"] == ["The given meeting ID was not found."]
    assert "line 4: NotFoundError: Gong answered 404 Not Found" in done.stderr
    assert "4 done, 1 failed" in done.stderr


def test_in_doubt(invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told) -> None:
    """A row whose answers were lost is neither done nor failed."""
    fake.script(Fault.truncate(), on=str(FIRST), times=None)

    done = invoke("bulk", "run", meetings(2))

    assert done.exit_code == 1
    assert states(told(done.stdout)) == {"in_doubt": 1, "done": 1}
    assert "Sending them again is safe" in done.stderr


def test_invalid_rows(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """All faults are listed with their lines, and nothing is sent."""
    rows = [(str(FIRST), "a"), ("7.78E+18", "b"), (str(FIRST), "c"), ("", "d")]

    done = invoke("bulk", "run", meetings(rows))

    lines = done.stderr.splitlines()
    assert done.exit_code == 2
    assert lines[0].startswith("error: meetings.csv, line 3, meeting_id: 7.78E+18 is what")
    assert lines[1].startswith("error: meetings.csv, line 5, meeting_id: missing")
    assert lines[2] == "error: meetings.csv: 2 faults; nothing was sent"
    assert (done.stdout, fake.received) == ("", [])


def test_invalid_rows_for_programs(invoke: Invoke, meetings: Meetings, told: Told) -> None:
    """With `--json`, each fault is an object with its line and field."""
    done = invoke("--json", "bulk", "run", meetings([("x", "a"), ("y", "b")]))

    faults = told(done.stderr)
    assert [(f["kind"], f.get("line"), f.get("field")) for f in faults] == [
        ("input", 2, "meeting_id"),
        ("input", 3, "meeting_id"),
        ("input", None, None),
    ]


def test_report_for_programs(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """With `--json`, the report is an object with every count."""
    fake.missing_meetings.add(str(FIRST))

    done = invoke("--json", "bulk", "run", meetings(3), *QUICK)

    report = told(done.stderr)[-1]
    assert report["kind"] == "report"
    assert (report["total"], report["done"], report["failed"]) == (3, 2, 1)
    assert list(report["errors"].values()) == [1]
    assert report["exit"] == done.exit_code == 1


def test_no_rows(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """A file without rows is done at once (F142)."""
    done = invoke("bulk", "run", meetings(0))

    assert (done.exit_code, done.stdout, fake.received) == (0, "", [])
    assert "0 rows" in done.stderr


def test_rows_of_one_meeting(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Several rows of a meeting are noted, and applied in the order of the file (F136)."""
    done = invoke("bulk", "run", meetings([("1", f"title {n}") for n in range(9)]), *QUICK)

    assert done.exit_code == 0
    assert [change.body["title"] for change in fake.applied] == [f"title {n}" for n in range(9)]
    assert "meetings.csv, line 3, meeting_id: meeting 1 stands in line 2 already" in done.stderr


def test_limits(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """The pace is the one that was asked for."""
    done = invoke("bulk", "run", meetings(4), "--per-second", "10")

    arrivals = [request.at for request in fake.received]
    assert done.exit_code == 0
    assert arrivals[-1] - arrivals[0] > 0.29
    assert "10 calls a second, about 1 s" in done.stderr


@pytest.mark.parametrize(
    "options", [("--per-second", "0"), ("--per-day", "-1"), ("--max-in-flight", "0")]
)
def test_limits_that_cannot_be_meant(
    invoke: Invoke, meetings: Meetings, options: tuple[str, str]
) -> None:
    """A limit that cannot be meant is wrong usage."""
    done = invoke("bulk", "run", meetings(1), *options)

    assert done.exit_code == 2
    assert "must be above 0" in done.stderr


def test_output(invoke: Invoke, meetings: Meetings, told: Told, tmp_path: Path) -> None:
    """Outcomes may go to a file, which is for its owner only."""
    path = tmp_path / "outcomes.jsonl"

    done = invoke("bulk", "run", meetings(3), "--output", path, *QUICK)

    assert (done.exit_code, done.stdout) == (0, "")
    assert states(told(path.read_text())) == {"done": 3}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_output_is_not_overwritten(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """The outcomes of an earlier run are not lost to the next."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text("{}\n")

    done = invoke("bulk", "run", meetings(3), "--output", path)

    assert done.exit_code == 2
    assert f"--resume-from {path}" in done.stderr
    assert (path.read_text(), fake.received) == ("{}\n", [])


def test_output_without_credentials(invoke: Invoke, meetings: Meetings, tmp_path: Path) -> None:
    """A run that cannot begin leaves no file behind."""
    path = tmp_path / "outcomes.jsonl"

    done = invoke("bulk", "run", meetings(3), "--output", path, env={})

    assert done.exit_code == 2
    assert not path.exists()


def test_output_that_cannot_be_made(invoke: Invoke, meetings: Meetings, tmp_path: Path) -> None:
    """A folder that is not there is told before anything is sent."""
    done = invoke("bulk", "run", meetings(3), "--output", tmp_path / "none" / "outcomes.jsonl")

    assert done.exit_code == 2
    assert "No such file or directory" in done.stderr


def test_output_that_fills_up(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """When outcomes can no longer be written, no further rows are begun."""
    done = invoke("bulk", "run", meetings(500), "--output", "/dev/full", *QUICK)

    assert done.exit_code == 75
    assert "the outcomes cannot be written" in done.stderr
    assert 0 < fake.applied_count < 100


def test_no_progress(invoke: Invoke, meetings: Meetings) -> None:
    """The beginning and the end are told in any case."""
    done = invoke("bulk", "run", meetings(1), "--no-progress")

    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["1", "1", "Nothing"]


def test_a_refused_credential(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """A 401 stops the run: the rest is not sent, and recorded as such."""
    fake.access_key = "another"

    done = invoke("bulk", "run", meetings(200), *QUICK)

    counts = states(told(done.stdout))
    assert done.exit_code == 75
    assert counts["not_sent"] + counts["failed"] == 200
    assert fake.received_count == counts["failed"] <= 32
    assert "Stopped: Gong answered 401 Unauthorized" in done.stderr
    assert "Check the access key and its secret" in done.stderr


def test_a_missing_permission(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """Three meetings in a row that are forbidden are no coincidence."""
    fake.limited_release = True

    done = invoke("bulk", "run", meetings(200), "--max-in-flight", "1", *QUICK)

    assert done.exit_code == 75
    assert fake.received_count <= 5
    assert states(told(done.stdout))["not_sent"] >= 195


def test_one_forbidden_meeting(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """One meeting that is forbidden is its own trouble."""
    fake.script(Fault.status(403), on=str(FIRST + 3), times=None)

    done = invoke("bulk", "run", meetings(20), *QUICK)

    assert done.exit_code == 1
    assert states(told(done.stdout)) == {"done": 19, "failed": 1}


def test_the_days_calls_are_used_up(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """Beyond the day's calls nothing is sent; the time to go on is told."""
    done = invoke("bulk", "run", meetings(30), "--per-day", "10", *QUICK)

    outcomes = told(done.stdout)
    assert done.exit_code == 75
    assert states(outcomes) == {"done": 10, "not_sent": 20}
    assert fake.received_count == 10
    assert all(o["retry_at"] for o in outcomes if o["state"] == "not_sent")
    assert "more than the 10 calls of a day" in done.stderr
    assert "Next: run from 2" in done.stderr


def test_a_long_wait(invoke: Invoke, fake: FakeGong, meetings: Meetings, told: Told) -> None:
    """A wait of an hour is not waited for: the run stops and can be resumed."""
    fake.script(Fault.rate_limited("3600"), on="updateMeeting", nth=5)

    done = invoke("bulk", "run", meetings(100), "--max-in-flight", "2", *QUICK)

    outcomes = told(done.stdout)
    assert done.exit_code == 75
    assert states(outcomes)["not_sent"] >= 90
    assert fake.received_count <= 10  # what its places began before its answer was read
    assert len({o["retry_at"] for o in outcomes if o["state"] == "not_sent"}) <= 2


def test_nobody_answers(invoke: Invoke, meetings: Meetings, environment: dict[str, str]) -> None:
    """When nothing answers at all, the file is not run to its end."""
    environment["GONG_BASE_URL"] = "http://127.0.0.1:1"

    done = invoke("--json", "bulk", "run", meetings(300), *QUICK)

    report = json.loads(done.stderr.splitlines()[-1])
    assert done.exit_code == 75
    assert report["failed"] <= 60
    assert report["not_sent"] >= 240


def test_titles_and_addresses_are_not_told(
    invoke: Invoke, fake: FakeGong, meetings: Meetings
) -> None:
    """Neither stdout nor stderr repeats what is in the file, but for ids."""
    fake.missing_meetings.add(str(FIRST))

    done = invoke("bulk", "run", meetings(3), *QUICK)

    assert "Meeting 1" not in done.output
    assert "dana@" not in done.output
    assert "lee@" not in done.output


def test_no_secret_is_told(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """A server that repeats the credential does not get it shown."""
    fake.script(Fault.status(400, errors=(f"bad {fake.authorization}",)), times=None)

    done = invoke("bulk", "run", meetings(1))

    assert done.exit_code == 1
    assert fake.authorization.removeprefix("Basic ") not in done.output
