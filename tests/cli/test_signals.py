"""Ctrl-C and SIGTERM: once drains, twice stops at once. Real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gong_async.testing import FakeGong, Fault

Start = Callable[..., subprocess.Popen[str]]
Meetings = Callable[..., Path]
Told = Callable[[str], list[dict[str, Any]]]
FIRST = 7782342274025000001


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened, at most ten seconds."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read lines of stderr until one holds a text."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


def states(outcomes: list[dict[str, Any]]) -> Counter[str]:
    """Count the states."""
    return Counter(outcome["state"] for outcome in outcomes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains(
    start: Start, fake: FakeGong, meetings: Meetings, told: Told, number: signal.Signals
) -> None:
    """What is under way comes to its end, the rest is not begun, and every row has an outcome."""
    fake.latency = 0.3
    process = start("bulk", "run", meetings(200), "--per-second", "50", "--max-in-flight", "4")
    wait_for(lambda: fake.applied_count >= 4)
    process.send_signal(number)

    stdout, stderr = process.communicate(timeout=20)

    outcomes = told(stdout)
    counts = states(outcomes)
    assert process.returncode == 75
    assert set(counts) == {"done", "not_sent"}
    assert counts["done"] == fake.applied_count == fake.received_count < 30
    assert sorted(outcome["row"] for outcome in outcomes) == list(range(2, 202))
    assert "once more stops at once" in stderr
    assert "Traceback" not in stderr


def test_two_signals_stop_at_once(
    start: Start, fake: FakeGong, meetings: Meetings, told: Told, tmp_path: Path
) -> None:
    """Rows under way are in doubt, the others are not sent, and nobody waits for an answer."""
    output = tmp_path / "outcomes.jsonl"
    fake.script(Fault.stall(), on="updateMeeting", times=None)
    words = ("--per-second", "1000", "--max-in-flight", "3", "--output", output)
    process = start("bulk", "run", meetings(50), *words)
    wait_for(lambda: fake.received_count == 3)
    process.send_signal(signal.SIGINT)
    read_until(process, "once more")
    process.send_signal(signal.SIGINT)

    _, stderr = process.communicate(timeout=10)

    outcomes = told(output.read_text())
    in_doubt = {outcome["meeting_id"] for outcome in outcomes if outcome["state"] == "in_doubt"}
    assert process.returncode == 75
    assert in_doubt == {request.meeting_id for request in fake.received}
    assert states(outcomes) == {"in_doubt": 3, "not_sent": 47}
    assert "Traceback" not in stderr


def test_what_was_refused_is_not_in_doubt(
    start: Start, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """A row that Gong's limit refused and that waits for its next turn was not applied."""
    fake.script(Fault.rate_limited("50"), on="updateMeeting")
    process = start("bulk", "run", meetings(1))
    wait_for(lambda: fake.counts[429] == 1)
    read_until(process, "all calls wait")
    process.send_signal(signal.SIGINT)
    read_until(process, "once more")
    process.send_signal(signal.SIGINT)

    stdout, _ = process.communicate(timeout=10)

    assert process.returncode == 75
    assert [(o["state"], o["attempts"]) for o in told(stdout)] == [("not_sent", 1)]


def test_rows_of_one_meeting_in_doubt(
    start: Start, fake: FakeGong, meetings: Meetings, told: Told
) -> None:
    """Of several rows of one meeting, only the one that was under way is in doubt."""
    fake.script(Fault.stall(), on=str(FIRST), nth=2)
    rows = [(str(FIRST), title) for title in "abcd"]
    process = start("bulk", "run", meetings(rows), "--per-second", "1000")
    wait_for(lambda: fake.received_count == 2)
    process.send_signal(signal.SIGINT)
    read_until(process, "once more")
    process.send_signal(signal.SIGINT)

    stdout, _ = process.communicate(timeout=10)

    assert {o["row"]: o["state"] for o in told(stdout)} == {
        2: "done",
        3: "in_doubt",
        4: "not_sent",
        5: "not_sent",
    }


def test_a_killed_run_keeps_its_outcomes(
    start: Start, fake: FakeGong, meetings: Meetings, told: Told, tmp_path: Path
) -> None:
    """What was done before a kill is on disk, and the next run sends the rest only."""
    output = tmp_path / "outcomes.jsonl"
    file = meetings(60)
    words = ("bulk", "run", file, "--per-second", "100", "--output", output)
    process = start(*words)
    wait_for(lambda: fake.applied_count >= 20)
    process.kill()
    process.communicate()
    recorded = len(told(output.read_text()))

    again = start(*words, "--resume-from", output)
    again.communicate(timeout=20)

    assert again.returncode == 0
    assert recorded >= 15
    assert {change.meeting_id for change in fake.applied} == {str(FIRST + n) for n in range(60)}
    assert len(told(output.read_text())) == 60


def test_a_single_call(start: Start, fake: FakeGong) -> None:
    """Ctrl-C ends a single call with 75 and without a traceback."""
    fake.script(Fault.stall())
    process = start("meetings", "status", "dana@example.com")
    wait_for(lambda: fake.received_count == 1)
    process.send_signal(signal.SIGINT)

    _, stderr = process.communicate(timeout=10)

    assert process.returncode == 75
    assert stderr.strip() == "error: stopped by a signal"


def test_a_reader_that_goes_away(start: Start, fake: FakeGong, meetings: Meetings) -> None:
    """When nobody reads the outcomes any more, no further rows are begun."""
    process = start("bulk", "run", meetings(1000), "--per-second", "200")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr is not None
    stderr = process.stderr.read()
    process.wait(timeout=20)

    assert process.returncode == 75
    assert "the outcomes cannot be written: Broken pipe" in stderr
    assert "Traceback" not in stderr
    assert fake.applied_count < 100
