"""`gong-async bulk template`: files to fill in, which are read back as they are."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest
from click.testing import Result

from gong_async.inputs.columns import OPTIONAL, REQUIRED
from gong_async.inputs.reader import read_changes

Invoke = Callable[..., Result]
WEEK = timedelta(days=7)


@pytest.mark.parametrize("name", ["meetings.csv", "MEETINGS.XLSX"])
def test_a_template_is_read_back(invoke: Invoke, tmp_path: Path, name: str) -> None:
    """The example is a meeting of next week, without a fault or a note."""
    path = tmp_path / name

    done = invoke("bulk", "template", path)
    inputs = read_changes(path, timezone="UTC", strict=True)
    (change,) = inputs

    assert done.exit_code == 0, done.stderr
    assert inputs.notes == ()
    assert change.meeting_id == "1234567890123456789"
    assert timedelta() < change.update.start_time - datetime.now(UTC) < WEEK + timedelta(hours=16)
    assert change.update.end_time - change.update.start_time == timedelta(minutes=45)
    assert [invitee.email for invitee in change.update.invitees] == [
        "lee@customer.example",
        "ana@customer.example",
    ]
    assert change.update.provider == "zoom"


def test_the_spreadsheet_opens_in_other_programs(invoke: Invoke, tmp_path: Path) -> None:
    """Ids are text and times are dates, also in the rows to come."""
    path = tmp_path / "meetings.xlsx"

    invoke("bulk", "template", path)
    sheet = openpyxl.load_workbook(path).active
    assert sheet is not None
    (header,) = (row for row in sheet.iter_rows() if row[0].value == "meeting_id")
    (example,) = sheet.iter_rows(min_row=header[0].row + 1)

    assert tuple(cell.value for cell in header) == (*REQUIRED, *OPTIONAL)
    assert (example[0].value, example[0].number_format) == ("1234567890123456789", "@")
    assert isinstance(example[1].value, datetime)
    assert example[1].value.minute == example[1].value.second == 0
    assert "yyyy" in example[1].number_format
    assert sheet.column_dimensions["A"].width == 22
    # Saved by another program, it is read as before.
    book = openpyxl.load_workbook(path)
    book.save(tmp_path / "saved.xlsx")
    assert list(read_changes(tmp_path / "saved.xlsx", timezone="UTC")) == list(
        read_changes(path, timezone="UTC")
    )


@pytest.mark.parametrize("name", ["meetings.csv", "my meetings.xlsx"])
def test_the_command_that_is_named_works(invoke: Invoke, tmp_path: Path, name: str) -> None:
    """It has the path as a shell needs it, and the zone that date cells need."""
    done = invoke("bulk", "template", tmp_path / name)

    _, _, command = done.stderr.strip().partition("check it: gong-async ")
    planned = invoke(*shlex.split(command))

    assert planned.exit_code == 0, planned.stderr
    assert "to send     1\n" in planned.stdout


def test_a_template_on_standard_output(invoke: Invoke) -> None:
    """The output of one command is the input of another."""
    done = invoke("bulk", "template", "-")

    planned = invoke("bulk", "plan", "-", input=done.stdout.encode())

    assert planned.exit_code == 0, planned.stderr
    assert "changes     1 in stdin.csv" in planned.stdout


@pytest.mark.parametrize("name", ["meetings.xls", "meetings"])
def test_other_kinds_of_files(invoke: Invoke, tmp_path: Path, name: str) -> None:
    """A file that could not be read is not written."""
    done = invoke("bulk", "template", tmp_path / name)

    assert done.exit_code == 2
    assert "is neither .csv nor .xlsx" in done.stderr
    assert not (tmp_path / name).exists()


def test_a_file_is_not_overwritten(invoke: Invoke, tmp_path: Path) -> None:
    """A file that is filled in is safe."""
    path = tmp_path / "meetings.csv"
    path.write_text("precious")

    done = invoke("bulk", "template", path)

    assert done.exit_code == 2
    assert path.read_text() == "precious"
    assert "File exists" in done.stderr
