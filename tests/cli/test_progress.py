"""How a job is shown while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gong_async.bulk.records import BulkStatus
from gong_async.cli.bulk.bar import Bar
from gong_async.cli.bulk.progress import Lines
from gong_async.cli.bulk.wording import JobSnapshot, RateMeter, duration
from gong_async.cli.diagnostics import Diagnostics
from gong_async.testing import FakeGong, Fault

Meetings = Callable[..., Path]
OnTerminal = Callable[..., tuple[int, str]]
FIRST = 7782342274025000001
COUNTS = {"pending": 0, "in_flight": 0, "succeeded": 0, "failed": 0, "in_doubt": 0, "skipped": 0}
SKIPPED = {"superseded": 0, "unchanged": 0, "organizer": 0, "cancelled": 0}


def status(counts: dict[str, int], **more: Any) -> BulkStatus:
    """Return the status of a job that runs."""
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "id": "20261122-0",
        "path": Path("/x/20261122-0.sqlite3"),
        "state": "running",
        "reason": None,
        "resume_at": None,
        "origin": "https://api.gong.io",
        "planned_at": now,
        "total": sum(counts.values()),
        "counts": {**COUNTS, **counts},
        "skipped": SKIPPED,
        "runs": 1,
        "pid": 1,
        "began_at": now,
        "ended_in_run": 0,
        "seconds": 0.0,
        "finishes_at": None,
    }
    return BulkStatus(**{**known, **more})


def later(**delta: float) -> datetime:
    """Return a time from now, and half a second more to read it."""
    return datetime.now(UTC) + timedelta(**delta) + timedelta(seconds=0.5)


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> OnTerminal:
    """Run the command with stderr on a terminal of 80 columns; return exit code and text."""

    def run(*words: object, term: str = "xterm", stdout_too: bool = False) -> tuple[int, str]:
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "gong_async", *map(str, words)],
            env={**os.environ, **environment, "TERM": term},
            stdout=terminal if stdout_too else subprocess.DEVNULL,
            stderr=terminal,
        )
        os.close(terminal)
        text = b""
        while chunk := read(master):
            text += chunk
        os.close(master)
        return process.wait(timeout=60), text.decode()

    return run


def read(master: int) -> bytes:
    """Read from a terminal; nothing when it is gone."""
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""


def unstyled(text: str) -> str:
    """Return what a terminal shows, without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.fixture
def drawn() -> Callable[..., list[str]]:
    """Draw a bar of 80 columns; return its lines."""

    def drawn(snapshot: JobSnapshot) -> list[str]:
        file = io.StringIO()
        bar = Bar(Console(file=file, force_terminal=True, width=80, markup=False))
        bar.show(snapshot)
        bar.close()
        return [line.rstrip() for line in unstyled(file.getvalue()).splitlines()][:3]

    return drawn


def test_the_bar(on_terminal: OnTerminal, fake: FakeGong, meetings: Meetings) -> None:
    """A terminal gets a bar with counts, rate and end, and the report below it."""
    fake.missing_meetings.add(str(FIRST))

    code, text = on_terminal("bulk", "run", meetings(200), "--per-second", "100")

    text = unstyled(text)
    assert code == 1
    assert re.search(r"━+\S* +[1-9]\d?/200 \d+%", text)
    assert re.search("━+ 200/200 100%", text)
    assert re.search(r"\d+ succeeded  1 failed", text)
    assert re.search(r"[0-9.]+/s  ends \d\d:\d\dZ, in \d s  9,[89]\d\d calls left today", text)
    assert text.rindex("200/200") < text.rindex("199 succeeded, 1 failed")


def test_lines_do_not_run_through_the_bar(
    on_terminal: OnTerminal, fake: FakeGong, meetings: Meetings
) -> None:
    """Warnings are written above the bar, each from the beginning of its line."""
    fake.script(Fault.rate_limited("0"), on="updateMeeting")

    _, text = on_terminal("bulk", "run", meetings(50), "--per-second", "100", stdout_too=True)

    lines = re.split(r"[\r\n]+", unstyled(text))
    assert sum(bool(re.fullmatch(r"\d{8}-[0-9a-f]{8}", line)) for line in lines) == 1
    assert sum(line.startswith("Gong throttled a call") for line in lines) == 1


@pytest.mark.parametrize("option", ["--no-progress", "--progress"])
def test_no_bar(on_terminal: OnTerminal, meetings: Meetings, option: str) -> None:
    """There is no bar when it is not wanted, or the terminal cannot draw."""
    term = "dumb" if option == "--progress" else "xterm"

    code, text = on_terminal("bulk", "run", meetings(3), option, term=term)

    assert code == 0
    assert "━" not in text
    assert "\x1b" not in text


def test_a_follower_gets_a_bar(on_terminal: OnTerminal, meetings: Meetings) -> None:
    """From a second terminal, the same is seen."""
    on_terminal("bulk", "run", meetings(5), "--per-second", "100", "--canary", "3")

    code, text = on_terminal("bulk", "status", "2", "--follow")

    assert code == 75
    assert "3/5 60%" in unstyled(text)


def test_what_a_bar_shows(drawn: Callable[..., list[str]]) -> None:
    """Counts, and the end as the job itself foretells it, with as much of the day as needed."""
    counts = {"succeeded": 20_990, "failed": 41, "in_doubt": 3, "pending": 28_966}
    finishes = later(days=2, hours=3)
    snapshot = JobSnapshot(status=status(counts, finishes_at=finishes), rate=2.94, left_today=4_210)

    bar, reported, pace = drawn(snapshot)

    assert bar.endswith("21,034/50,000 42%")
    assert reported == "20,990 succeeded  41 failed  3 in doubt"
    assert pace == f"2.9/s  ends {finishes:%a %H:%M}Z, in 2 d 3 h  4,210 calls left today"


def test_a_bar_that_waits(drawn: Callable[..., list[str]]) -> None:
    """A job that waits says until when, and why; nothing in the reason steers the terminal."""
    resumes = later(hours=3)
    waiting = status({"pending": 5}, state="waiting", resume_at=resumes, reason="\x1b[2Jno calls")

    *_, pace = drawn(JobSnapshot(status=waiting, rate=0.0))

    assert pace == f"waits until {resumes:%H:%M}Z: \\u001b[2Jno calls"


def test_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere, a line now and then says how it goes."""
    now = 0.0
    rate_meter, lines = RateMeter(), Lines(Diagnostics(as_json=False), clock=lambda: now)
    for second in range(200):
        now = float(second)
        counts = {"succeeded": 3 * second, "pending": 600 - 3 * second}
        lines.show(rate_meter.read(status(counts), now, left_today=70))

    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        f"{done} of 600: {done} succeeded, 0 failed, {600 - done} pending, 3.0 per second, "
        "70 calls left today"
        for done in (180, 360, 540)
    ]


def test_a_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, a line has every count."""
    clock: Iterator[float] = iter([0.0, 60.0, 60.0])
    lines = Lines(Diagnostics(as_json=True), clock=lambda: next(clock))

    lines.show(JobSnapshot(status=status({"succeeded": 2, "pending": 3}), rate=1.5))

    reported = json.loads(capsys.readouterr().err)
    assert (reported["kind"], reported["job"], reported["state"]) == (
        "progress",
        "20261122-0",
        "running",
    )
    assert (reported["total"], reported["rate"]) == (5, 1.5)
    assert (reported["counts"]["succeeded"], reported["counts"]["pending"]) == (2, 3)


def test_the_rate_is_that_of_the_last_minute() -> None:
    """What was fast or slow an hour ago does not count now."""
    rate_meter = RateMeter()
    rate_meter.read(status({"succeeded": 0}), 0.0)
    for second in range(3600, 3631, 10):
        snapshot = rate_meter.read(status({"succeeded": 9_000 + second}), float(second))

    assert snapshot.rate == 1.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.1, "1 s"),
        (59.5, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.5, "1 h 0 min"),
        (17_006, "4 h 43 min"),
        (86_400, "1 d 0 h"),
        (433_000, "5 d 0 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Durations are written as people say them."""
    assert duration(seconds) == text
