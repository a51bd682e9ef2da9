"""How a run is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gong_async.bulk.report import Report
from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.progress import Lines, duration, standing
from gong_async.testing import FakeGong, Fault

Meetings = Callable[..., Path]
FIRST = 7782342274025000001


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Run the command with stderr on a terminal of 100 columns; return exit code and text."""

    def run(*words: object, term: str = "xterm", stdout_too: bool = False) -> tuple[int, str]:
        master, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gong_async", *map(str, words)],
            env={**os.environ, **environment, "TERM": term, "COLUMNS": "100"},
            stdout=terminal if stdout_too else subprocess.DEVNULL,
            stderr=terminal,
        )
        os.close(terminal)
        text = b""
        while chunk := read(master):
            text += chunk
        os.close(master)
        return process.wait(timeout=20), text.decode()

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


def test_the_bar(
    on_terminal: Callable[..., tuple[int, str]], fake: FakeGong, meetings: Meetings
) -> None:
    """A terminal gets a bar with counts, rate and time left, and the report below it."""
    fake.missing_meetings.add(str(FIRST))

    code, text = on_terminal("bulk", "run", meetings(100), "--per-second", "200")

    text = unstyled(text)
    assert code == 1
    assert re.search("━+.* 100/100 99 done 1 failed [0-9.]+/s 0 s left", text)
    assert re.search(r" [1-9]\d?/100 ", text)
    assert text.index("100/100") < text.rindex("99 done, 1 failed")


def test_lines_do_not_run_through_the_bar(
    on_terminal: Callable[..., tuple[int, str]], fake: FakeGong, meetings: Meetings
) -> None:
    """Warnings and outcomes are written above the bar, each from the beginning of its line."""
    fake.script(Fault.rate_limited("0"))

    _, text = on_terminal("bulk", "run", meetings(5), "--per-second", "200", stdout_too=True)

    lines = re.split(r"[\r\n]+", unstyled(text))
    assert sum(line.startswith('{"row": ') for line in lines) == 5
    assert sum(line.startswith("Gong's limit refused a call") for line in lines) == 1


@pytest.mark.parametrize("option", ["--no-progress", "--progress"])
def test_no_bar(
    on_terminal: Callable[..., tuple[int, str]], meetings: Meetings, option: str
) -> None:
    """There is no bar when it is not wanted, or the terminal cannot draw."""
    term = "dumb" if option == "--progress" else "xterm"

    code, text = on_terminal("bulk", "run", meetings(3), option, term=term)

    assert code == 0
    assert "━" not in text
    assert "\x1b" not in text


def test_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere, a line now and then says how it goes."""
    lines = Lines(Diagnostics(as_json=False))
    for second in range(200):
        lines.show(Report(total=600, done=3 * second, seconds=float(second)))

    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        "180 of 600 rows: 180 done, 0 failed, 3.0 a second, 2 min 20 s left",
        "360 of 600 rows: 360 done, 0 failed, 3.0 a second, 1 min 20 s left",
        "540 of 600 rows: 540 done, 0 failed, 3.0 a second, 20 s left",
    ]


def test_standing_before_the_first_outcome() -> None:
    """Before anything is known, nothing is promised."""
    assert standing(Report(total=5)) == "0 of 5 rows: 0 done, 0 failed, 0.0 a second"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.1, "1 s"),
        (59.5, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.5, "1 h 0 min"),
        (17_006, "4 h 43 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Durations are written as people say them."""
    assert duration(seconds) == text
