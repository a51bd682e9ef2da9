"""The demo does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo"


def story(name: str, change: str = "") -> subprocess.CompletedProcess[str]:
    """Run the demo with fewer updates, and with a state directory of the test's own."""
    return python(
        "import sys, demo\n"
        "demo.ALLOWED, demo.USED = 500, 300\n"
        f"demo.STATE = demo.STATE.with_name({name!r})\n"
        "demo.JOURNAL = demo.STATE / demo.JOURNAL.name\n"
        "demo.PAGE = demo.STATE / demo.PAGE.name\n"
        f"{change}\n"
        "sys.exit(demo.main())"
    )


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program beside the demo."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=DEMO,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_story() -> None:
    """All that is announced happens and is proven by the fake's own counts."""
    done = story("the-story")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ kill -9" in done.stdout
    assert "state       interrupted" in done.stdout
    assert "398 succeeded, 1 failed, 1 skipped" in done.stderr
    assert "2 not updated: the deleted one" in done.stdout
    assert "GONG_BASE_URL=https://" in done.stdout
    page = DEMO.parents[1] / "build" / "the-story" / "report.html"
    assert "build/the-story/report.html is a report on it" in done.stdout
    assert "398 of 400 changes succeeded; 1 failed, 1 skipped." in page.read_text()


@pytest.mark.full
def test_another_story() -> None:
    """An unexpected outcome is printed, and the demo fails."""
    done = story("another-story", "demo.Story.refused = property(lambda story: set())")

    assert done.returncode == 1
    assert "Not as expected:\n  line 59 was applied 0 times" in done.stdout


def test_the_file_is_the_scripts() -> None:
    """The committed file is what the committed script makes."""
    done = python(
        "import csv, make_meetings as m\n"
        "rows = list(csv.DictReader(m.FILE.open(encoding='utf-8', newline='')))\n"
        "print(len(rows), rows == m.make_meetings())"
    )

    assert done.stdout == "400 True\n", done.stderr
