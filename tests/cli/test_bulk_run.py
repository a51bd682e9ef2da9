"""`gong-async bulk run`: a file in, a job out."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Jobs = Callable[[], list[JobFile]]
Meetings = Callable[..., Path]
JobSnapshot = Callable[[], BulkStatus]
Reported = Callable[[str], list[dict[str, Any]]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


def test_all_done(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """Each row is applied once, the job is finished, and the command ends with 0."""
    done = invoke("bulk", "run", meetings(30), *QUICK)

    assert done.exit_code == 0, done.stderr
    assert snapshot().state == "completed"
    assert snapshot().counts["succeeded"] == 30
    assert sorted(c.meeting_id for c in fake.applied) == [str(FIRST + n) for n in range(30)]
    assert " completed: 30 succeeded, 0 failed" in done.stderr
    assert done.stderr.splitlines()[-1] == "Nothing left to do"


def test_the_id_is_all_of_stdout(invoke: Invoke, meetings: Meetings, snapshot: JobSnapshot) -> None:
    """A script can catch the job's id."""
    done = invoke("bulk", "run", meetings(3), *QUICK)

    assert done.stdout == f"{snapshot().id}\n"


def test_a_second_run_sends_nothing(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """What Gong has acknowledged is not sent by another job, and counts as done."""
    invoke("bulk", "run", meetings(20), *QUICK)
    sent = fake.received_count

    done = invoke("bulk", "run", meetings(20), *QUICK)

    assert done.exit_code == 0
    assert fake.received_count == sent
    assert "0 succeeded, 0 failed, 20 unchanged" in done.stderr


def test_some_failed(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """What Gong refuses stops nothing else; the command ends with 1 and says why and what next."""
    fake.missing_meetings.add(str(FIRST + 2))

    done = invoke("bulk", "run", meetings(5), *QUICK)

    name = done.stdout.strip()
    assert done.exit_code == 1
    assert fake.applied_count == 4
    assert "line 4: NotFoundError: Gong answered 404 Not Found" in done.stderr
    assert "4 succeeded, 1 failed" in done.stderr
    assert f"gong-async bulk report {name} --failed failed.jsonl" in done.stderr


def test_errors_are_grouped(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Rows that fail for the same reason are reported together."""
    fake.missing_meetings.update({str(FIRST + 1), str(FIRST + 3)})

    done = invoke("bulk", "run", meetings(5), *QUICK)

    assert done.stderr.count("NotFoundError") == 1
    assert "2 items, first line 3: NotFoundError" in done.stderr


def test_in_doubt(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A row whose answers were lost is neither done nor failed; resuming sends it again."""
    fake.script(Fault.truncate(), on=str(FIRST), times=None)

    done = invoke("bulk", "run", meetings(2), *QUICK)

    assert done.exit_code == 1
    assert "1 succeeded, 0 failed, 1 in doubt" in done.stderr
    assert f"gong-async bulk resume {snapshot().id} --per-second 2000" in done.stderr


def test_organizers_that_cannot_be_updated(
    invoke: Invoke, fake: FakeGong, meetings: Meetings
) -> None:
    """Their meetings are set aside before anything is sent, with the place to set it right."""
    fake.add_user(
        "dana@example.com",
        valid=False,
        user_facing_error="No calendar",
        fix_url="https://fix.example/",
    )

    done = invoke("bulk", "run", meetings(5), *QUICK)

    assert done.exit_code == 1
    assert (fake.received_count, fake.applied_count) == (1, 0)
    assert "5 skipped" in done.stderr
    assert "Skipped: No calendar" in done.stderr
    assert "fix it at: https://fix.example/" in done.stderr


def test_the_check_can_be_left_out(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Without the check, no call but the updates is made."""
    done = invoke("bulk", "run", meetings(5), "--no-check-organizers", *QUICK)

    assert done.exit_code == 0
    assert fake.received_count == fake.applied_count == 5


def test_invalid_rows(invoke: Invoke, fake: FakeGong, meetings: Meetings, jobs: Jobs) -> None:
    """All faults are listed with their lines, nothing is sent, and no job is left behind."""
    rows = [(str(FIRST), "a"), ("7.78E+18", "b"), (str(FIRST), "c"), ("", "d")]

    done = invoke("bulk", "run", meetings(rows))

    lines = done.stderr.splitlines()
    assert done.exit_code == 2
    assert lines[0].startswith("error: meetings.csv, line 3, meeting_id: 7.78E+18 is what")
    assert lines[1].startswith("error: meetings.csv, line 5, meeting_id: missing")
    assert lines[2] == "error: meetings.csv: 2 problems; nothing was sent"
    assert (done.stdout, fake.received, jobs()) == ("", [], [])


def test_more_faults_than_are_shown(invoke: Invoke, meetings: Meetings, jobs: Jobs) -> None:
    """The first 1,000 faults are shown, and all are counted."""
    done = invoke("bulk", "run", meetings([("x", "a")] * 1_001))

    lines = done.stderr.splitlines()
    assert len(lines) == 1_001
    assert lines[-1] == (
        "error: meetings.csv: 1,001 problems (first 1,000 shown); nothing was sent"
    )
    assert jobs() == []


def test_ids_that_look_rounded(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Ids that went through a double are refused, unless they are known to be right."""
    file = meetings([("7782342274025937920", "a"), ("7782342274025938944", "b")])

    refused = invoke("bulk", "run", file)
    planned = invoke("bulk", "plan", file, "--ids-exact")
    done = invoke("bulk", "run", file, "--ids-exact", *QUICK)

    assert (refused.exit_code, planned.exit_code, done.exit_code) == (2, 0, 0)
    assert "7782342274025938944" in refused.stderr
    assert fake.applied_count == 2


@pytest.mark.parametrize("command", ["plan", "run"])
def test_the_encoding_of_a_file(invoke: Invoke, meetings: Meetings, command: str) -> None:
    """Another encoding than UTF-8 is named, and one that there is not is wrong usage."""
    file = meetings([(str(FIRST), "Caf\u00e9")])
    file.write_bytes(file.read_bytes().decode().encode("cp1252"))

    guessed = invoke("bulk", command, file)
    unknown = invoke("bulk", command, file, "--encoding", "nope")
    named = invoke("bulk", command, file, "--encoding", "cp1252")

    assert (guessed.exit_code, unknown.exit_code, named.exit_code) == (2, 2, 0)
    assert "cp1252" in guessed.stderr
    assert "nope" in unknown.stderr


def test_notes_on_a_file(invoke: Invoke, meetings: Meetings) -> None:
    """What may be a mistake is printed once the file was read."""
    done = invoke("bulk", "plan", meetings([(str(FIRST), "a")] * 8))

    notes = [line for line in done.stderr.splitlines() if line.startswith("meetings.csv")]
    assert len(notes) == 6
    assert "stands in line 2 already" in notes[0]
    assert notes[5] == "meetings.csv: 2 more notes; `gong-async --json` shows the first 1,000"


def test_invalid_rows_for_programs(invoke: Invoke, meetings: Meetings, reported: Reported) -> None:
    """With `--json`, each fault is an object with its line and field."""
    done = invoke("--json", "bulk", "run", meetings([("x", "a"), ("y", "b")]))

    faults = reported(done.stderr)
    assert [(f["kind"], f.get("line"), f.get("field")) for f in faults] == [
        ("input", 2, "meeting_id"),
        ("input", 3, "meeting_id"),
        ("input", None, None),
    ]


def test_report_for_programs(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, reported: Reported
) -> None:
    """With `--json`, beginning and report are objects with every count."""
    fake.missing_meetings.add(str(FIRST))

    done = invoke("--json", "bulk", "run", meetings(3), *QUICK)

    begin, report = reported(done.stderr)
    assert (begin["kind"], begin["job"], begin["requests"]) == ("begin", done.stdout.strip(), 4)
    assert (report["kind"], report["state"], report["total"]) == ("report", "completed", 3)
    assert (report["counts"]["succeeded"], report["counts"]["failed"]) == (2, 1)
    assert list(report["errors"].values()) == [1]
    assert report["exit"] == done.exit_code == 1


def test_no_rows(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """A file without rows is done at once (F142)."""
    done = invoke("bulk", "run", meetings(0))

    assert (done.exit_code, fake.received) == (0, [])
    assert " completed: 0 succeeded, 0 failed\n" in done.stderr


def test_rows_of_one_meeting(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Of several rows of a meeting the last is sent, and the others are counted (F136)."""
    done = invoke("bulk", "run", meetings([("1", f"title {n}") for n in range(9)]), *QUICK)

    assert done.exit_code == 0
    assert [change.body["title"] for change in fake.applied] == ["title 8"]
    assert "1 succeeded, 0 failed, 8 superseded" in done.stderr
    assert "meetings.csv, line 3, meeting_id: meeting 1 stands in line 2 already" in done.stderr
    assert "meetings.csv: 3 more notes" in done.stderr


def test_rows_of_one_meeting_in_order(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """Each is sent in the order of the file, if that is asked for."""
    rows = [("1", f"title {n}") for n in range(9)]

    done = invoke("bulk", "run", meetings(rows), "--keep-order", *QUICK)

    assert done.exit_code == 0
    assert [change.body["title"] for change in fake.applied] == [f"title {n}" for n in range(9)]


def test_limits(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """No more is sent than was asked for."""
    began = time.monotonic()
    done = invoke("bulk", "run", meetings(9), "--per-second", "10", "--no-check-organizers")

    arrivals = [request.at for request in fake.received]
    assert done.exit_code == 0
    assert arrivals[-1] - began >= 8 / 10


@pytest.mark.parametrize(
    "options",
    [("--per-second", "0"), ("--per-day", "-1"), ("--max-in-flight", "0"), ("--reserve", "-1")],
)
def test_limits_that_cannot_be_meant(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, jobs: Jobs, options: tuple[str, str]
) -> None:
    """A limit that cannot be meant is wrong usage."""
    done = invoke("bulk", "run", meetings(1), *options)

    assert done.exit_code == 2
    assert "must " in done.stderr
    assert (fake.received, jobs()) == ([], [])


def test_calls_can_be_left_to_others(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A reserve of the day is not touched: the job stops before it."""
    options = ("--per-day", "20", "--reserve", "10", "--no-check-organizers")

    done = invoke("bulk", "run", meetings(15), *options, *QUICK)

    assert done.exit_code == 75
    assert 0 < fake.received_count <= 10
    assert snapshot().state == "waiting"


def test_a_journal_of_ones_own(
    invoke: Invoke, meetings: Meetings, jobs: Jobs, tmp_path: Path
) -> None:
    """The journal may lie elsewhere; it is for its owner only, and named by its path then."""
    path = tmp_path / "work" / "job.sqlite3"

    done = invoke("bulk", "run", meetings(3), "--journal", path, "--canary", "1", *QUICK)

    assert done.exit_code == 75
    assert f"gong-async bulk resume {path}" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert jobs() == []


def test_a_journal_is_not_overwritten(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """A journal that is there already belongs to another job."""
    path = tmp_path / "work" / "job.sqlite3"
    invoke("bulk", "run", meetings(3), "--journal", path, *QUICK)
    sent = fake.received_count

    done = invoke("bulk", "run", meetings(5), "--journal", path, *QUICK)

    assert done.exit_code == 2
    assert f"exists already; resume it: gong-async bulk resume {path}" in done.stderr
    assert fake.received_count == sent


def test_a_job_of_the_same_file_has_not_ended(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, jobs: Jobs
) -> None:
    """The error names the command that resumes that job, and no other job is made."""
    first = invoke("bulk", "run", meetings(5), "--canary", "2", *QUICK)
    sent, files = fake.received_count, [job.path for job in jobs()]

    done = invoke("bulk", "run", meetings(5), *QUICK)

    assert done.exit_code == 2
    assert f"resume it: gong-async bulk resume {first.stdout.strip()}" in done.stderr
    assert (done.stdout, fake.received_count) == ("", sent)
    assert [job.path for job in jobs()] == files
    assert list(files[0].parent.glob("*.lock")) == [Path(f"{files[0]}.lock")]


def test_a_job_of_the_same_file_can_be_made_anew(
    invoke: Invoke, meetings: Meetings, jobs: Jobs
) -> None:
    """With `--new` there may be two of them; another file needs no such word."""
    invoke("bulk", "run", meetings(5), "--canary", "2", *QUICK)

    new = invoke("bulk", "run", meetings(5), "--new", *QUICK)
    other = invoke("bulk", "run", meetings(6, name="other.csv"), *QUICK)

    assert (new.exit_code, other.exit_code) == (0, 0)
    assert [job.status().state for job in jobs()].count("completed") == 2


def test_a_job_of_the_same_file_for_another_company(
    invoke: Invoke, environment: dict[str, str], meetings: Meetings
) -> None:
    """The same file may go to a second company while it is under way to the first."""
    invoke("bulk", "run", meetings(5), "--canary", "2", *QUICK)

    with FakeGong.serve_in_thread(per_second=None, per_day=None) as second:
        environment["GONG_BASE_URL"] = second.url
        done = invoke("bulk", "run", meetings(5), *QUICK)

    assert done.exit_code == 0
    assert second.applied_count == 5


def test_a_canary(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """The job stops after the first few, for a look."""
    done = invoke("bulk", "run", meetings(50), "--canary", "3", *QUICK)

    assert done.exit_code == 75
    assert {c.meeting_id for c in fake.applied} == {str(FIRST + n) for n in range(3)}
    assert snapshot().state == "paused"
    assert "Stopped: canary of 3" in done.stderr
    assert f"Next: gong-async bulk resume {snapshot().id}" in done.stderr


def test_without_credentials(invoke: Invoke, meetings: Meetings, jobs: Jobs) -> None:
    """A run that cannot begin leaves no job behind."""
    done = invoke("bulk", "run", meetings(3), env={})

    assert done.exit_code == 2
    assert "GONG_ACCESS_KEY is not set" in done.stderr
    assert jobs() == []


def test_no_progress(invoke: Invoke, meetings: Meetings) -> None:
    """The beginning and the end are reported in any case."""
    done = invoke("bulk", "run", meetings(1), "--no-progress")

    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == [
        "1",
        "Job",
        "Run",
        "Nothing",
    ]


def test_titles_and_addresses_are_not_reported(
    invoke: Invoke, fake: FakeGong, meetings: Meetings
) -> None:
    """Neither stdout nor stderr repeats what is in the file, but for ids."""
    fake.missing_meetings.add(str(FIRST))

    done = invoke("bulk", "run", meetings(3), *QUICK)

    assert "Meeting 1" not in done.output
    assert "dana@" not in done.output
    assert "lee@" not in done.output


def test_no_secret_is_reported(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """A server that repeats the credential does not get it shown, nor written down."""
    fake.script(Fault.status(400, errors=(f"bad {fake.authorization}",)), times=None)

    done = invoke("bulk", "run", meetings(1), "--no-check-organizers")
    report = invoke("bulk", "report", done.stdout.strip(), "--format", "jsonl")

    secret = fake.authorization.removeprefix("Basic ")
    assert done.exit_code == 1
    assert json.loads(report.stdout)["errors"] != []
    assert secret not in done.output + report.output


def test_a_state_directory_that_cannot_be_used(
    invoke: Invoke, fake: FakeGong, environment: dict[str, str], meetings: Meetings, tmp_path: Path
) -> None:
    """Without a place for the journal nothing is sent, and the place is named (F158)."""
    (tmp_path / "file").write_text("")
    environment["GONG_STATE_DIR"] = str(tmp_path / "file" / "state")

    done = invoke("bulk", "run", meetings(3), *QUICK)

    assert done.exit_code == 2
    assert str(tmp_path / "file") in done.stderr
    assert fake.received == []
