"""`gong-async bulk report`, `undo` and `purge`."""

from __future__ import annotations

import csv
import json
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Start = Callable[..., subprocess.Popen[str]]
Reported = Callable[[str], list[dict[str, Any]]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


@pytest.fixture
def job(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> str:
    """Run a job of 5 rows, of which one fails; return its id."""
    fake.missing_meetings.add(str(FIRST + 2))
    return invoke("bulk", "run", meetings(5), *QUICK).stdout.strip()


def test_a_summary(invoke: Invoke, job: str) -> None:
    """Counts, reasons with what to do about them, and what is next."""
    done = invoke("bulk", "report", job)

    assert done.exit_code == 0
    assert f"Job {job} completed: 4 succeeded, 1 failed" in done.stdout
    assert "line 4: NotFoundError: Gong answered 404 Not Found" in done.stdout
    assert "Check the meeting id" in done.stdout
    assert f"gong-async bulk report {job} --failed failed.jsonl" in done.stdout


def test_a_summary_for_programs(invoke: Invoke, job: str) -> None:
    """With the global `--json`, the summary is an object."""
    reported = json.loads(invoke("--json", "bulk", "report", job).stdout)

    assert (reported["id"], reported["state"], reported["exit"]) == (job, "completed", 1)
    assert list(reported["errors"].values()) == [1]
    assert reported["next"][0] == f"gong-async bulk report {job} --failed failed.jsonl"


def test_each_item(invoke: Invoke, job: str, reported: Reported) -> None:
    """As JSONL, each item has a line with how its requests went."""
    items = reported(invoke("bulk", "report", job, "--format", "jsonl").stdout)

    assert [(item["line"], item["state"]) for item in items] == [
        (2, "succeeded"),
        (3, "succeeded"),
        (4, "failed"),
        (5, "succeeded"),
        (6, "succeeded"),
    ]
    assert (items[2]["status"], items[2]["attempts"]) == (404, 1)
    assert items[2]["errors"] == ["The given meeting ID was not found."]


def test_items_in_a_state(invoke: Invoke, job: str) -> None:
    """As CSV there is a header, and only the states that were asked for."""
    done = invoke("bulk", "report", job, "--format", "csv", "--state", "failed")

    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["meeting_id"], row["state"]) == (str(FIRST + 2), "failed")


@pytest.mark.parametrize("form", ["text", "html", "md"])
def test_states_of_a_summary(invoke: Invoke, job: str, form: str) -> None:
    """A summary is of all states."""
    done = invoke("bulk", "report", job, "--state", "failed", "--format", form)

    assert done.exit_code == 2
    assert "--state needs --format jsonl or csv" in done.stderr


def test_a_page(invoke: Invoke, job: str, tmp_path: Path) -> None:
    """As HTML it is one page for a browser, without personal data unless that is asked for."""
    path = tmp_path / "report.html"

    done = invoke("bulk", "report", job, "--format", "html", "--output", path)
    personal = invoke("bulk", "report", job, "--format", "html", "--with-personal-data")

    page = path.read_text()
    assert (done.exit_code, done.stdout) == (0, "")
    assert page.startswith("<!doctype html>\n") and page.endswith("</html>\n")
    assert "4 of 5 changes succeeded; 1 failed." in page
    assert "dana@example.com" not in page and "Meeting 2" not in page
    assert "dana@example.com" in personal.stdout and "Meeting 2" in personal.stdout


def test_a_ticket(invoke: Invoke, job: str) -> None:
    """As Markdown it is a summary for a ticket; items are identified by their lines."""
    done = invoke("bulk", "report", job, "--format", "md")

    assert done.stdout.startswith(f"## Bulk job `{job}`: completed\n")
    assert f"First: line 4, meeting `{FIRST + 2}`" in done.stdout


@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_personal_data_of_other_formats(invoke: Invoke, job: str, form: str) -> None:
    """Only pages and tickets can include it."""
    done = invoke("bulk", "report", job, "--format", form, "--with-personal-data")

    assert done.exit_code == 2
    assert "--with-personal-data needs --format html or md" in done.stderr


def test_files(invoke: Invoke, job: str, tmp_path: Path) -> None:
    """A report may go to a file, which is for its owner only, and is replaced as a whole."""
    path = tmp_path / "report.csv"
    path.write_text("old")

    done = invoke("bulk", "report", job, "--format", "csv", "--output", path)

    assert (done.exit_code, done.stdout) == (0, "")
    assert len(path.read_text().splitlines()) == 6
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_made(invoke: Invoke, job: str, tmp_path: Path) -> None:
    """A missing folder is reported."""
    done = invoke("bulk", "report", job, "--output", tmp_path / "none" / "report.txt")

    assert done.exit_code == 2
    assert "No such file or directory" in done.stderr


def test_what_failed_is_input(invoke: Invoke, fake: FakeGong, job: str, tmp_path: Path) -> None:
    """What did not get through is the input of another job."""
    path = tmp_path / "failed.jsonl"
    written = invoke("bulk", "report", job, "--failed", path)
    fake.missing_meetings.clear()

    done = invoke("bulk", "run", path, *QUICK)

    assert "1 row in" in written.stderr
    assert done.exit_code == 0
    assert fake.applied[-1].meeting_id == str(FIRST + 2)
    assert fake.applied[-1].body["title"] == "Meeting 2"


@pytest.mark.parametrize("words", [("report", "--failed"), ("undo", "--output")])
def test_input_files_are_named_as_such(
    invoke: Invoke, job: str, tmp_path: Path, words: tuple[str, str]
) -> None:
    """A name that could not be read again, perhaps that of the input itself, is refused."""
    path = tmp_path / "meetings.csv"
    before = path.read_text()

    done = invoke("bulk", words[0], job, words[1], path)

    assert done.exit_code == 2
    assert "must end in .jsonl" in done.stderr
    assert path.read_text() == before


def test_a_bundle(invoke: Invoke, job: str, tmp_path: Path) -> None:
    """What a supporter gets has nothing personal in it."""
    path = tmp_path / "bundle.json"

    invoke("bulk", "report", job, "--bundle", path)

    text = path.read_text()
    assert json.loads(text)["items"][0]["meeting_id"] == str(FIRST + 2)
    assert "@" not in text
    assert "Meeting 2" not in text


def test_undo(invoke: Invoke, fake: FakeGong, meetings: Meetings, tmp_path: Path) -> None:
    """The file takes the meetings back to what an earlier job had written."""
    path = tmp_path / "undo.jsonl"
    invoke("bulk", "run", meetings([("1", "old 1"), ("2", "old 2")]), *QUICK)
    new = invoke("bulk", "run", meetings([("1", "new 1"), ("2", "old 2")]), *QUICK)

    written = invoke("bulk", "undo", new.stdout.strip(), "--output", path)
    done = invoke("bulk", "run", path, *QUICK)

    assert (written.exit_code, done.exit_code) == (0, 0)
    assert f"1 row in {path}" in written.stderr
    assert [(c.meeting_id, c.body["title"]) for c in fake.applied[-1:]] == [("1", "old 1")]


def test_undo_of_the_unknown(invoke: Invoke, meetings: Meetings, tmp_path: Path) -> None:
    """Meetings of which nothing is known are named, and the command does not end with 0."""
    first = invoke("bulk", "run", meetings(30), *QUICK)

    done = invoke("bulk", "undo", first.stdout.strip(), "--output", tmp_path / "undo.jsonl")

    assert done.exit_code == 1
    assert "No earlier update of 30 meetings" in done.stderr
    assert str(FIRST) in done.stderr
    assert ", and 10 more" in done.stderr


def test_undo_of_a_job_that_runs(
    invoke: Invoke, start: Start, fake: FakeGong, meetings: Meetings, tmp_path: Path
) -> None:
    """What still changes cannot be undone yet."""
    process = start("bulk", "run", meetings(100), "--per-second", "5")
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    until = time.monotonic() + 60
    while not fake.applied_count:
        assert time.monotonic() < until
        time.sleep(0.02)

    done = invoke("bulk", "undo", name, "--output", tmp_path / "undo.jsonl")
    process.kill()

    assert done.exit_code == 2
    assert f"pause it first: gong-async bulk pause {name}" in done.stderr


def test_purge(invoke: Invoke, job: str, tmp_path: Path) -> None:
    """Contents go, counts stay, and the advice on what to do next needs no contents."""
    done = invoke("bulk", "purge", job)
    report = invoke("bulk", "report", job)
    failed = invoke("bulk", "report", job, "--failed", tmp_path / "failed.jsonl")

    state = tmp_path / "state"
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert done.exit_code == 0
    assert f"contents from job {job}" in done.stderr
    assert b"dana@example.com" not in kept
    assert "4 succeeded, 1 failed" in report.stdout
    assert "Contents were purged" in report.stdout
    assert (failed.exit_code, (tmp_path / "failed.jsonl").exists()) == (2, False)


def test_purge_of_a_job_that_has_not_ended(invoke: Invoke, meetings: Meetings) -> None:
    """Without its contents it could not go on; with `--force` it is cancelled by it."""
    name = invoke("bulk", "run", meetings(5), "--canary", "2", *QUICK).stdout.strip()

    refused = invoke("bulk", "purge", name)
    forced = invoke("bulk", "purge", name, "--force")

    assert (refused.exit_code, forced.exit_code) == (2, 0)
    assert "resume or cancel it first" in refused.stderr
    assert "3 cancelled" in invoke("bulk", "report", name).stdout
