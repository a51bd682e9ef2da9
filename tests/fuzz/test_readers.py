"""Every reader of input files, fed with damaged ones: rows, or findings that say what is wrong."""

from __future__ import annotations

import io
import random
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.cases import damage
from gong_async.inputs.columns import OPTIONAL, REQUIRED
from gong_async.inputs.findings import Finding
from gong_async.inputs.reader import InputError, Inputs, read_changes
from gong_async.inputs.rows import read_change
from gong_async.inputs.times import TimeReader
from gong_async.models.meetings import MeetingChange, meeting_id

ROW = {
    "meeting_id": "7782342274025937895",
    "start_time": "2026-11-24T15:00:00+01:00",
    "end_time": "2026-11-24T15:45:00+01:00",
    "organizer_email": "dana@example.com",
    "invitees": "Lee Łé <lee@customer.example>; ana@x.example",
    "title": 'Renewal, "part 2"',
}


def csv_file() -> bytes:
    """Return a valid CSV file."""
    head = ",".join(ROW)
    row = ",".join('"' + value.replace('"', '""') + '"' for value in ROW.values())
    return "\n".join([head, row, row.replace("895", "896"), ""]).encode()


def jsonl_file() -> bytes:
    """Return a valid JSONL file."""
    fields = ",".join(f'"{name}":{_quoted(value)}' for name, value in ROW.items())
    return f"{{{fields}}}\n{{{fields}}}\n".encode()


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '\\"') + '"'


def xlsx_file() -> bytes:
    """Return a valid spreadsheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(ROW))
    sheet.append(list(ROW.values()))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    ".csv": csv_file,
    ".tsv": csv_file,
    ".jsonl": jsonl_file,
    ".ndjson": jsonl_file,
    ".xlsx": xlsx_file,
}


def check(data: bytes, suffix: str, folder: Path) -> bool:
    """Read bytes as a file; check the outcome; return whether all rows were valid."""
    path = folder / f"meetings{suffix}"
    path.write_bytes(data)
    try:
        inputs = read_changes(path)
        changes = list(inputs)
    except InputError as error:
        assert error.findings
        assert all(is_one_line(str(finding)) for finding in error.findings)
        assert [finding.line for finding in error.findings] == sorted(
            finding.line for finding in error.findings
        )
        return False
    assert isinstance(inputs, Inputs)
    assert len(inputs.lines) == len(changes)
    for change in changes:
        assert meeting_id(change.meeting_id) == change.meeting_id
    assert all(is_one_line(str(note)) for note in inputs.notes)
    return True


def is_one_line(text: str) -> bool:
    """Whether a text can be shown on a terminal as one line."""
    return not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(each) for each in text}


@pytest.mark.parametrize("suffix", FILES)
def test_valid_files(suffix: str, tmp_path: Path) -> None:
    """What the damage starts from is read without a finding."""
    assert check(FILES[suffix](), suffix, tmp_path)


@pytest.mark.parametrize("suffix", FILES)
@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"\xef\xbb\xbf")
@example(data=b"\xff\xfe")
@example(data=b"PK\x03\x04")
@example(data=b"meeting_id\0\n1\n")
def test_any_bytes(suffix: str, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any bytes are rows or findings, whatever their name says."""
    check(data, suffix, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("count", [500, pytest.param(5_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("suffix", FILES)
def test_damaged_files(suffix: str, tmp_path: Path, count: int) -> None:
    """A file that was cut, flipped, doubled or shuffled is rows or findings."""
    rng = random.Random(7)
    good = 0
    for _ in range(count):
        data = FILES[suffix]() if suffix != ".xlsx" else _XLSX
        for _ in range(rng.choice((1, 1, 2, 3))):
            _, data = damage(rng, data)
        good += check(data, suffix, tmp_path)

    assert good < count


_XLSX = xlsx_file()


def _marked(place: bytes, offset: int, value: int) -> bytes:
    """Return the spreadsheet with one byte changed in every header of that kind."""
    data = bytearray(_XLSX)
    found = data.find(place)
    while found >= 0:
        data[found + offset] = value
        found = data.find(place, found + 1)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _marked(b"PK\x01\x02", 6, 208),
        _marked(b"PK\x01\x02", 8, 1),
        _marked(b"PK\x01\x02", 10, 99),
        _marked(b"PK\x01\x02", 10, 12),
    ],
    ids=["of_a_newer_kind", "encrypted", "packed_in_another_way", "packed_as_bzip2"],
)
def test_odd_archives(data: bytes, tmp_path: Path) -> None:
    """What Python's zipfile does not open is a finding."""
    assert not check(data, ".xlsx", tmp_path)


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=pytest.mark.full)])
def test_damaged_sheets(tmp_path: Path, count: int) -> None:
    """A spreadsheet whose parts are damaged, in an archive that is whole, is rows or findings."""
    rng = random.Random(11)
    good = 0
    for _ in range(count):
        good += check(_repacked(rng), ".xlsx", tmp_path)

    assert good < count


def _repacked(rng: random.Random) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_XLSX)) as source, zipfile.ZipFile(target, "w") as copy:
        names = source.namelist()
        hit = rng.choice([name for name in names if name.endswith((".xml", ".rels"))])
        for name in names:
            data = source.read(name)
            if name == hit:
                _, data = damage(rng, data)
            copy.writestr(name, data)
    return target.getvalue()


names = st.sampled_from([*REQUIRED, *OPTIONAL])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.datetimes() | st.dates() | st.sampled_from(list(ROW.values())) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["email", "displayName", "x"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(st.dictionaries(names, values))
def test_rows(raw: dict[str, object]) -> None:
    """Any values are a change or findings that name the row's line."""
    found = read_change({**ROW, **raw}, line=7, times=TimeReader("Europe/Berlin"))

    if isinstance(found, MeetingChange):
        assert meeting_id(found.meeting_id)
    else:
        assert found
        assert all(isinstance(each, Finding) and each.line == 7 for each in found)
        assert all(is_one_line(str(each)) for each in found)
