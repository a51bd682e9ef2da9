"""The page for reviewers is true: every test that it names is there, and no fault is left out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "what-is-tested.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = {
    int(number): cell
    for number, cell in re.findall(r"^\| F(\d+) \| [^|]+ \| ([^|]*) \|$", TEXT, re.MULTILINE)
}
TESTS = frozenset(
    name
    for file in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))
)


def test_no_fault_is_left_out() -> None:
    """The table has a row with a test for each of the 164 faults."""
    assert sorted(ROWS) == list(range(1, 165))
    assert [number for number, cell in ROWS.items() if "`" not in cell] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", TEXT))))
def test_every_test_that_is_named_is_there(name: str) -> None:
    """A test that was renamed is renamed on the page, too."""
    assert name in TESTS


def test_every_place_that_is_named_is_there() -> None:
    """So are files and folders."""
    named = set(re.findall(r"`((?:tests|benchmarks)/[\w./]+|tests/\w+)`", TEXT))

    assert [place for place in named if not (ROOT / place).exists()] == []


def test_the_table_is_complete() -> None:
    """Every test named after a fault is in its row: the script has nothing to add."""
    script = ROOT / ".ci" / "what_is_tested.py"
    if not script.exists():
        pytest.skip("the script is not part of this distribution")
    run = subprocess.run(
        [sys.executable, str(script), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stdout
