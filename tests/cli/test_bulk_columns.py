"""Files with columns of their own names: `--map` and `--strict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
HEADER = "Call,Meeting start,end_time,Owner,Who = guests,Notes"
ROW = "7782342274025937895,2026-11-24 15:00,2026-11-24 15:45,dana@example.com,,x"
MAPS = (
    ("--map", "Call=meeting_id"),
    ("--map", "Meeting start=start_time"),
    ("--map", "Owner=organizer_email"),
    ("--map", "Who = guests=invitees"),
)
OPTIONS = ("--timezone", "Europe/Berlin")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file with names of its own."""
    path = tmp_path / "calls.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    return path


def test_columns_are_mapped(invoke: Invoke, file: Path) -> None:
    """Each name has its option; what is left over is ignored with a note, or by an option."""
    maps = [word for pair in MAPS for word in pair]

    done = invoke("bulk", "plan", file, *maps, *OPTIONS)
    silent = invoke("bulk", "plan", file, *maps, *OPTIONS, "--map", "Notes=", "--strict")
    strict = invoke("bulk", "plan", file, *maps, *OPTIONS, "--strict")

    assert (done.exit_code, silent.exit_code, strict.exit_code) == (0, 0, 2)
    assert "to send     1\n" in done.stdout
    assert "line 1: the column 'Notes' is not known, and ignored" in done.stderr
    assert "Notes" not in silent.stderr
    assert "line 1: the column 'Notes' is not known; known are meeting_id" in strict.stderr


@pytest.mark.parametrize("table", ["", "[columns]\n"])
def test_columns_are_mapped_by_a_file(
    invoke: Invoke, file: Path, tmp_path: Path, table: str
) -> None:
    """Maps that are used again are in a TOML file, as the whole of it or as a table."""
    path = tmp_path / "calls.toml"
    pairs = (text.rpartition("=") for _, text in MAPS[1:])
    lines = "".join(f'"{name}" = "{field}"\n' for name, _, field in pairs)
    path.write_text(table + lines)

    done = invoke("bulk", "plan", file, "--map", path, "--map", "Call=meeting_id", *OPTIONS)

    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("columns.txt", "'columns.txt' is not COLUMN=FIELD, nor a .toml file"),
        ("Call=meeting", "the column 'Call' is mapped, but 'meeting' is not known"),
        ("missing.toml", "No such file or directory"),
    ],
)
def test_maps_that_cannot_be_right(invoke: Invoke, file: Path, text: str, problem: str) -> None:
    """A wrong map is wrong usage."""
    done = invoke("bulk", "plan", file, "--map", text)

    assert done.exit_code == 2
    assert problem in done.stderr


@pytest.mark.parametrize("content", ["Call", 'Call = 1\nWho = "x"', "columns = 1", "[x]", "\xff"])
def test_files_that_are_no_maps(invoke: Invoke, file: Path, tmp_path: Path, content: str) -> None:
    """The file is named, and nothing is read."""
    path = tmp_path / "calls.toml"
    path.write_text(content, encoding="latin-1")

    done = invoke("bulk", "plan", file, "--map", path)

    assert done.exit_code == 2
    assert "Invalid value for --map: calls.toml " in done.stderr


def test_a_column_is_mapped_twice(invoke: Invoke, file: Path) -> None:
    """Two options for one column contradict each other."""
    done = invoke("bulk", "plan", file, "--map", "Call=meeting_id", "--map", "Call=title")

    assert done.exit_code == 2
    assert "the column 'Call' is mapped twice" in done.stderr
