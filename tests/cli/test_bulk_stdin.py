"""Files from standard input: `-`."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest
from click.testing import Result

from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
ROW = {
    "meeting_id": "7782342274025937895",
    "start_time": "2026-11-24T15:00:00+01:00",
    "end_time": "2026-11-24T15:45:00+01:00",
    "organizer_email": "dana@example.com",
    "invitees": "",
}


def csv() -> str:
    """Return a CSV file."""
    return f"{','.join(ROW)}\n{','.join(ROW.values())}\n"


def xlsx() -> bytes:
    """Return a spreadsheet."""
    book, target = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(list(ROW))
    book.active.append(list(ROW.values()))
    book.save(target)
    return target.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(csv().encode(), id="csv"),
        pytest.param(csv().encode("utf-16"), id="csv in UTF-16"),
        pytest.param(gzip.compress(csv().encode()), id="csv.gz"),
        pytest.param(json.dumps(ROW).encode(), id="jsonl"),
        pytest.param(b"\n " + json.dumps(ROW).encode(), id="jsonl after blanks"),
        pytest.param(json.dumps(ROW).encode("utf-16"), id="jsonl in UTF-16"),
        pytest.param(gzip.compress(json.dumps(ROW).encode()), id="jsonl.gz"),
        pytest.param(xlsx(), id="xlsx"),
    ],
)
def test_what_comes_in_is_read_as_a_file_would_be(invoke: Invoke, content: bytes) -> None:
    """The first bytes say what it is."""
    done = invoke("bulk", "plan", "-", input=content)

    assert done.exit_code == 0, done.stderr
    assert "to send     1\n" in done.stdout


def test_a_run(
    invoke: Invoke, fake: FakeGong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job needs its file only once, and leaves no copy of it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    done = invoke("bulk", "run", "-", input=csv(), catch_exceptions=False)

    assert done.exit_code == 0, done.stderr
    assert "from stdin.csv to http" in done.stderr
    assert fake.received_count == 2
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"meeting_id\n1\n"])
def test_faults(invoke: Invoke, content: bytes) -> None:
    """They are reported as those of a file of that name."""
    done = invoke("bulk", "plan", "-", input=content)

    assert done.exit_code == 2
    assert done.stderr.startswith("error: stdin.csv")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX shell")
def test_closed_standard_input(environment: dict[str, str]) -> None:
    """As in a shell with `<&-`."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m gong_async bulk plan - <&-', sys.executable],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "error: Invalid value for FILE: standard input is closed\n" in done.stderr
