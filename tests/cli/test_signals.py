"""Ctrl-C and SIGTERM: once drains, twice stops at once; SIGHUP drains. In real processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong, Fault

Start = Callable[..., subprocess.Popen[str]]
Jobs = Callable[[], list[JobFile]]
Meetings = Callable[..., Path]
JobSnapshot = Callable[[], BulkStatus]
UNCHECKED = "--no-check-organizers"
FIRST = 7782342274025000001


@pytest.fixture(autouse=True)
def _hangups_are_not_ignored() -> Iterator[None]:
    """The commands inherit what the tests were started with, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened, at most twenty seconds."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read lines of stderr until one holds a text."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains(
    start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot, number: signal.Signals
) -> None:
    """What is under way comes to its end, and the rest is not begun."""
    fake.latency = 0.3
    process = start("bulk", "run", meetings(200), "--per-second", "50", "--max-in-flight", "4")
    wait_for(lambda: fake.applied_count >= 4)
    process.send_signal(number)

    stdout, stderr = process.communicate(timeout=60)

    counts = snapshot().counts
    assert process.returncode == 75
    assert stdout == f"{snapshot().id}\n"
    assert snapshot().state == "paused"
    assert (counts["failed"], counts["in_doubt"], counts["in_flight"]) == (0, 0, 0)
    assert counts["succeeded"] == fake.applied_count < 200
    assert counts["pending"] == 200 - counts["succeeded"]
    assert "the same signal again stops at once" in stderr
    assert f"Next: gong-async bulk resume {snapshot().id}" in stderr
    assert "Traceback" not in stderr


def test_two_signals_stop_at_once(
    start: Start, fake: FakeGong, meetings: Meetings, jobs: Jobs, snapshot: JobSnapshot
) -> None:
    """What is under way is in doubt, the rest is pending, and no response is awaited."""
    fake.script(Fault.stall(), on="updateMeeting", times=None)
    words = ("--per-second", "1000", "--max-in-flight", "3", UNCHECKED)
    process = start("bulk", "run", meetings(50), *words)
    wait_for(lambda: fake.received_count == 3)
    process.send_signal(signal.SIGINT)
    read_until(process, "the same signal again")
    process.send_signal(signal.SIGINT)

    _, stderr = process.communicate(timeout=60)

    in_doubt = {item.meeting_id for item in jobs()[0].items(["in_doubt"])}
    assert process.returncode == 75
    assert in_doubt == {request.meeting_id for request in fake.received}
    assert snapshot().counts["pending"] == 47
    assert snapshot().state == "paused"
    assert "Traceback" not in stderr


def test_what_was_refused_is_not_in_doubt(
    start: Start, fake: FakeGong, meetings: Meetings, jobs: Jobs
) -> None:
    """A row that Gong's limit refused and that waits for its next turn was not applied."""
    fake.script(Fault.rate_limited("50"), on="updateMeeting")
    process = start("bulk", "run", meetings(1), UNCHECKED)
    wait_for(lambda: fake.counts[429] == 1)
    read_until(process, "all calls pause")
    process.send_signal(signal.SIGTERM)

    _, stderr = process.communicate(timeout=60)

    (item,) = jobs()[0].items()
    assert process.returncode == 75
    assert (item.state, item.attempts) == ("pending", 1)
    assert "0 succeeded, 0 failed, 1 pending" in stderr


def test_rows_of_one_meeting_in_doubt(
    start: Start, fake: FakeGong, meetings: Meetings, jobs: Jobs
) -> None:
    """Of several rows of one meeting, only the one that was under way is in doubt."""
    fake.script(Fault.stall(), on=str(FIRST), nth=2)
    rows = [(str(FIRST), title) for title in "abcd"]
    words = ("--per-second", "1000", "--keep-order", UNCHECKED)
    process = start("bulk", "run", meetings(rows), *words)
    wait_for(lambda: fake.received_count == 2)
    process.send_signal(signal.SIGINT)
    read_until(process, "the same signal again")
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=60)

    assert {item.line: item.state for item in jobs()[0].items()} == {
        2: "succeeded",
        3: "in_doubt",
        4: "pending",
        5: "pending",
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(signal.SIGHUP, signal.SIGTERM, id="hangup_then_terminate"),
        pytest.param(signal.SIGTERM, signal.SIGHUP, id="terminate_then_hangup"),
        pytest.param(signal.SIGINT, signal.SIGTERM, id="interrupt_then_terminate"),
    ],
)
def test_two_signals_of_different_kinds_drain(
    *,
    start: Start,
    fake: FakeGong,
    meetings: Meetings,
    snapshot: JobSnapshot,
    first: signal.Signals,
    second: signal.Signals,
) -> None:
    """Only a repeat of the same signal stops at once: updates in flight finish."""
    fake.latency = 1.0
    words = ("--per-second", "1000", "--max-in-flight", "3", UNCHECKED)
    process = start("bulk", "run", meetings(50), *words)
    wait_for(lambda: fake.received_count == 3)
    process.send_signal(first)
    read_until(process, "the same signal again")
    process.send_signal(second)

    _, stderr = process.communicate(timeout=60)

    counts = snapshot().counts
    assert process.returncode == 75
    assert counts["succeeded"] == fake.applied_count < 50
    assert (counts["failed"], counts["in_doubt"]) == (0, 0)
    assert "Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_request(
    start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot, number: signal.Signals
) -> None:
    """A job that is about to begin does not overhear it."""
    fake.script(Fault.stall(), on="integrationStatus", times=None)
    process = start("bulk", "run", meetings(200))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    read_until(process, "the same signal again")
    process.send_signal(number)

    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 75
    assert fake.applied_count == 0
    assert snapshot().counts["pending"] == 200
    assert "Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_until_the_process_has_ended(
    start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot, number: signal.Signals
) -> None:
    """A signal that arrives while the command already ends does not change its exit code."""
    fake.script(Fault.stall(), on="integrationStatus", times=None)
    process = start("bulk", "run", meetings(200))
    wait_for(lambda: fake.received_count == 1)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.005)

    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 75
    assert snapshot().counts["pending"] == 200
    assert "Traceback" not in stderr


def test_a_single_call(start: Start, fake: FakeGong) -> None:
    """Ctrl-C ends a single call with 75 and without a traceback."""
    fake.script(Fault.stall())
    process = start("meetings", "status", "dana@example.com")
    wait_for(lambda: fake.received_count == 1)
    process.send_signal(signal.SIGINT)

    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 75
    assert stderr.strip() == "error: stopped by a signal"


def test_a_reader_that_goes_away(
    start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A job does not depend on anybody who reads what it prints."""
    process = start("bulk", "run", meetings(50), "--per-second", "200")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None

    process.communicate(timeout=60)

    assert process.returncode == 0
    assert fake.applied_count == 50


@pytest.mark.full
@pytest.mark.parametrize("how", ["2>&-", ">&-", "<&- >&- 2>&-", ">/dev/full", "| true"])
def test_output_that_goes_nowhere(
    *,
    fake: FakeGong,
    environment: dict[str, str],
    meetings: Meetings,
    tmp_path: Path,
    how: str,
) -> None:
    """A daemon closes its standard files, and a disk or a pipe takes no more: the job runs."""
    report = tmp_path / "code"
    script = f'{{ "$0" "$@"; echo $? > "$REPORT"; }} {how}'
    words = ("-m", "gong_async", "bulk", "run", str(meetings(5)), UNCHECKED)

    subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, *words],
        env={**os.environ, **environment, "REPORT": str(report)},
        check=False,
        timeout=60,
    )

    assert report.read_text() == "0\n"
    assert fake.applied_count == 5


def test_a_terminal_that_is_closed_drains(
    *,
    fake: FakeGong,
    environment: dict[str, str],
    meetings: Meetings,
    snapshot: JobSnapshot,
) -> None:
    """It sends SIGHUP more than once, and what is written to it from then on fails."""
    fake.latency = 0.3
    ours, theirs = pty.openpty()
    words = (
        *("bulk", "run", str(meetings(200)), "--yes"),
        *("--per-second", "50", "--max-in-flight", "4"),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gong_async", *words],
        env={**os.environ, **environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        wait_for(lambda: fake.applied_count >= 4)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        returned = process.wait(timeout=20)
    finally:
        process.kill()

    counts = snapshot().counts
    assert returned == 75
    assert (snapshot().state, snapshot().reason) == ("paused", "requested")
    assert (counts["failed"], counts["in_doubt"], counts["in_flight"]) == (0, 0, 0)
    assert counts["succeeded"] == fake.applied_count < 30


def test_nohup_is_obeyed(
    *,
    start: Start,
    fake: FakeGong,
    meetings: Meetings,
    snapshot: JobSnapshot,
) -> None:
    """A SIGHUP that was ignored when the command began does not stop it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("bulk", "run", meetings(30), "--per-second", "100")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(lambda: fake.applied_count >= 1)
    process.send_signal(signal.SIGHUP)

    process.communicate(timeout=20)

    assert process.returncode == 0
    assert snapshot().counts["succeeded"] == 30
