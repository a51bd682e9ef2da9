"""Input files: what is read, what is refused, and that every fault is named with its line."""

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import re
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from attrs import frozen

from gong_async import ConfigurationError, Invitee, MeetingChange, MeetingUpdate, ValidationError
from gong_async.inputs.ids import chance_of
from gong_async.inputs.reader import Finding, InputError, Note, read_changes

ID = "7782342274025937895"
HEADER = "meeting_id,start_time,end_time,organizer_email,invitees,title"
TIMES = "2026-11-24T15:00:00+01:00,2026-11-24T15:45:00+01:00"
ROW = f"{ID},{TIMES},dana@example.com,lee@customer.example,Renewal"
OBJECT: dict[str, object] = {
    "meetingId": ID,
    "startTime": "2026-11-24T15:00:00+01:00",
    "endTime": "2026-11-24T15:45:00+01:00",
    "organizerEmail": "dana@example.com",
    "invitees": ["lee@customer.example"],
    "title": "Renewal",
}
CHANGE = MeetingChange(
    meeting_id=ID,
    update=MeetingUpdate(
        start_time=datetime.fromisoformat("2026-11-24T15:00:00+01:00"),
        end_time=datetime.fromisoformat("2026-11-24T15:45:00+01:00"),
        organizer_email="dana@example.com",
        invitees=[Invitee(email="lee@customer.example")],
        title="Renewal",
    ),
)

Write = Callable[[str, str | bytes], Path]
Sheet = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """Write a spreadsheet."""

    def sheet(*rows: list[object]) -> Path:
        book = openpyxl.Workbook()
        assert book.active is not None
        for row in rows:
            book.active.append(row)
        path = tmp_path / "meetings.xlsx"
        book.save(path)
        return path

    return sheet


def csv(*rows: str) -> str:
    """Return a CSV file with the usual header."""
    return "\n".join((HEADER, *rows, ""))


def jsonl(*objects: dict[str, object]) -> str:
    """Return a JSONL file."""
    return "".join(json.dumps(found) + "\n" for found in objects)


@frozen
class Read:
    """What came of a good file."""

    changes: list[MeetingChange]
    lines: list[int]
    notes: tuple[Finding, ...]


def changes_of(path: Path, **options: Any) -> Read:
    """Read a file that is good."""
    inputs = read_changes(path, **options)
    return Read(list(inputs), list(inputs.lines), inputs.notes)


def faults(path: Path) -> list[tuple[int, str | None, str]]:
    """Return what is wrong with a file."""
    with pytest.raises(InputError) as caught:
        list(read_changes(path))
    return [(found.line, found.field, found.problem) for found in caught.value.findings]


def row_with(**values: str) -> str:
    """Return the usual row with other cells."""
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | values
    return ",".join(cells.values())


SHEET_HEADER: list[object] = [*HEADER.split(",")]
SHEET_ROW: list[object] = [*ROW.split(",")]


def test_csv(write: Write) -> None:
    """A row of a CSV file is a change."""
    inputs = changes_of(write("m.csv", csv(ROW)))

    assert inputs.changes == [CHANGE]
    assert inputs.lines == [2]


def test_jsonl(write: Write) -> None:
    """A line of a JSONL file is a change."""
    inputs = changes_of(write("m.jsonl", jsonl(OBJECT)))

    assert inputs.changes == [CHANGE]
    assert inputs.lines == [1]


def test_xlsx(sheet: Sheet) -> None:
    """A row of a spreadsheet is a change."""
    inputs = changes_of(sheet(SHEET_HEADER, SHEET_ROW))

    assert inputs.changes == [CHANGE]
    assert inputs.lines == [2]


def test_gongs_names(write: Write) -> None:
    """Columns may have the names of Gong's API."""
    header = "meetingId,startTime,endTime,organizerEmail,invitees,title,externalId"
    inputs = changes_of(write("m.csv", f"{header}\n{ROW},abc\n"))

    assert inputs.changes[0].update.external_id == "abc"


def test_names_of_ours_in_jsonl(write: Write) -> None:
    """Keys may have Python names."""
    found: dict[str, object] = dict(
        zip(
            ("meeting_id", "start_time", "end_time", "organizer_email", "invitees", "title"),
            OBJECT.values(),
            strict=True,
        )
    )

    assert list(read_changes(write("m.jsonl", jsonl(found)))) == [CHANGE]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(csv(ROW).encode("utf-8-sig"), id="byte order mark"),
        pytest.param(csv(ROW).encode("utf-16"), id="UTF-16"),
        pytest.param("\ufeff".encode("utf-16-be") + csv(ROW).encode("utf-16-be"), id="UTF-16 BE"),
        pytest.param(csv(ROW).replace(",", ";").encode(), id="semicolons"),
        pytest.param(csv(ROW).replace(",", "\t").encode(), id="tabs"),
        pytest.param(csv(ROW).replace("\n", "\r").encode(), id="CR only"),
        pytest.param(csv(ROW).replace("\n", "\r\n").encode(), id="CR LF"),
        pytest.param(csv(ROW).rstrip("\n").encode(), id="no line end at the end"),
        pytest.param(csv(ROW, "", ",,,,,", "  ", "").encode(), id="blank rows"),
        pytest.param(csv(row_with(meeting_id=f" {ID} ")).encode(), id="blanks around the id"),
        pytest.param(csv(row_with(meeting_id=f'"{ID}"')).encode(), id="quotes"),
    ],
)
def test_spellings_of_csv(write: Write, content: bytes) -> None:
    """What spreadsheets and editors make of a CSV file is read all the same (F148)."""
    assert list(read_changes(write("m.csv", content))) == [CHANGE]


def test_line_of_a_row_is_where_it_begins(write: Write) -> None:
    """Cells over several lines and blank lines do not shift the numbers of lines."""
    path = write("m.csv", csv(row_with(title='"Re\nne\nwal"'), "", ROW))

    assert changes_of(path).lines == [2, 6]


def test_fault_after_a_cell_of_several_lines(write: Write) -> None:
    """A fault is named with the line in which its row begins."""
    path = write("m.csv", csv(row_with(title='"a\nb"'), row_with(meeting_id="x", title='"a\nb"')))

    assert [line for line, _, _ in faults(path)] == [4]


def test_optional_cells_may_be_empty(write: Write) -> None:
    """An empty title is none; an empty list of invitees is one."""
    inputs = changes_of(write("m.csv", csv(f"{ID},{TIMES},dana@example.com,,")))

    assert inputs.changes[0].update.title is None
    assert inputs.changes[0].update.invitees == ()


@pytest.mark.parametrize(
    ("cell", "people"),
    [
        ("lee@x.example", [Invitee(email="lee@x.example")]),
        (
            "lee@x.example; Ana <ana@x.example> ;",
            [
                Invitee(email="lee@x.example"),
                Invitee(email="ana@x.example", display_name="Ana"),
            ],
        ),
        (
            '""Doe; Jane"" <jane@x.example>;<bo@x.example>',
            [
                Invitee(email="jane@x.example", display_name="Doe; Jane"),
                Invitee(email="bo@x.example"),
            ],
        ),
        (
            '[{""email"": ""a@x.example"", ""firstName"": ""A""}, ""b@x.example""]',
            [Invitee(email="a@x.example", first_name="A"), Invitee(email="b@x.example")],
        ),
        ("a@x.example, b@x.example,", [Invitee(email=f"{name}@x.example") for name in "ab"]),
        (
            'Ana <a@x.example>,""Doe, Bo"" <b@x.example>',
            [
                Invitee(email="a@x.example", display_name="Ana"),
                Invitee(email="b@x.example", display_name="Doe, Bo"),
            ],
        ),
        ("Doe, Ana <a@x.example>", [Invitee(email="a@x.example", display_name="Doe, Ana")]),
        (
            "Doe, Ana <a@x.example>; Roe, Bo <b@x.example>",
            [
                Invitee(email="a@x.example", display_name="Doe, Ana"),
                Invitee(email="b@x.example", display_name="Roe, Bo"),
            ],
        ),
        ('[{""display_name"": ""Ana""}]', [Invitee(display_name="Ana")]),
        ("[]", []),
    ],
)
def test_invitees_in_a_cell(write: Write, cell: str, people: list[Invitee]) -> None:
    """Invitees are separated by semicolons or commas, with names if wanted, or a JSON list."""
    inputs = changes_of(write("m.csv", csv(row_with(invitees=f'"{cell}"'))))

    assert inputs.changes[0].update.invitees == tuple(people)


@pytest.mark.parametrize(
    ("invitees", "fault"),
    [
        ("lee", ("invitees[0]", "expected exactly one @")),
        ("a@x.example; @", ("invitees[1]", "nothing stands before or after the @")),
        ('"Ana <a@x.example>, b"', ("invitees[0]", "blank or control character")),
        ('"Doe, Ana <a@x.example>, Lee <l@x.example>"', ("invitees[0]", "with semicolons")),
        ('"a@x.example, b@x.example; c@x.example"', ("invitees[0]", "with semicolons")),
        ('"Ana <a@x.example>, B <b@x.example>; c@x.example"', ("invitees[0]", "with semicolons")),
        ("Ana ana@x.example>", ("invitees[0]", "a > without a <")),
        ('"[{""mail"": ""a@x.example""}]"', ("invitees[0]", "did you mean email?")),
        ('"[1.5]"', ("invitees[0]", "a decimal point or exponent")),
        ('"[{}]"', ("invitees[0]", "needs an email or a name")),
        ("[1", ("invitees", "neither a JSON list nor")),
    ],
)
def test_faulty_invitees(write: Write, invitees: str, fault: tuple[str, str]) -> None:
    """A faulty invitee is named by place."""
    ((line, field, problem),) = faults(write("m.csv", csv(row_with(invitees=invitees))))

    assert (line, field) == (2, fault[0])
    assert fault[1] in problem


@pytest.mark.parametrize(
    "id_",
    ["7.78E+18", "7,78E+18", "7.78e18", "7782342274025937895.0", "778.", "7782342274025937895,0"],
)
def test_what_a_spreadsheet_made_of_an_id(write: Write, id_: str) -> None:
    """Ids that have become numbers are refused, with what to do about it."""
    ((_, field, problem),) = faults(write("m.csv", csv(row_with(meeting_id=f'"{id_}"'))))

    assert field == "meeting_id"
    assert problem.startswith(f"{id_} is what a spreadsheet made of an id")
    assert "format the column as text" in problem


@pytest.mark.parametrize(
    "id_", ["", "1/../2", "..", "1?x", "%2e", "-1", "0x1", "٣", "'77", "1" * 21, "1 2", "+1"]
)
def test_ids_that_are_none(write: Write, id_: str) -> None:
    """What is not 1 to 20 ASCII digits is refused before any request (F133)."""
    ((line, field, _),) = faults(write("m.csv", csv(row_with(meeting_id=id_))))

    assert (line, field) == (2, "meeting_id")


def test_ids_of_20_digits(write: Write) -> None:
    """The longest ids keep every digit (F134)."""
    path = write("m.csv", csv(row_with(meeting_id="9" * 20)))

    assert changes_of(path).changes[0].meeting_id == "9" * 20


def test_several_rounded_ids(write: Write) -> None:
    """Several long ids that end in zeros are what a spreadsheet leaves: each is refused."""
    path = write(
        "m.csv", csv(*(row_with(meeting_id=f"77823422740259{n}0000") for n in range(1, 4)))
    )

    found = faults(path)

    assert [line for line, _, _ in found] == [2, 3, 4]
    assert all("ends in zeros" in problem for _, _, problem in found)


def rounded(ids: list[int], kind: str) -> list[str]:
    """Return what a program leaves of ids."""
    if kind == "javascript":
        return [f"{Decimal(repr(float(id_))):.0f}" for id_ in ids]
    return [str(int(float(id_)) if kind == "double" else id_) for id_ in ids]


def ids_of(digits: int, count: int) -> list[int]:
    """Return ids without a pattern."""
    random = Random(digits)
    return [random.randrange(10 ** (digits - 1), 10**digits) for _ in range(count)]


@pytest.mark.parametrize("kind", ["double", "javascript"])
@pytest.mark.parametrize(("digits", "count"), [(17, 12), (18, 5), (19, 3), (19, 50), (20, 2)])
def test_ids_that_went_through_a_double(write: Write, kind: str, digits: int, count: int) -> None:
    """Ids that were numbers somewhere are refused, all of them by name (C1)."""
    ids = rounded(ids_of(digits, count), kind)
    path = write("m.csv", csv(*(row_with(meeting_id=id_) for id_ in ids)))

    found = faults(path)

    assert [line for line, _, _ in found] == list(range(2, count + 2))
    assert all(problem.startswith(id_) for id_, (_, _, problem) in zip(ids, found, strict=True))
    assert [c.meeting_id for c in changes_of(path, ids_exact=True).changes] == ids


@pytest.mark.parametrize("digits", [16, 17, 18, 19, 20])
def test_ids_that_are_as_they_were(write: Write, digits: int) -> None:
    """Of many ids some are doubles by chance, which is noted (C1)."""
    ids = ids_of(digits, 2_000)

    found = changes_of(write("m.csv", csv(*(row_with(meeting_id=str(id_)) for id_ in ids))))

    assert len(found.changes) == 2_000
    assert len(found.notes) <= 3
    if digits in {17, 18}:
        assert "a program keeps which reads ids as doubles (" in str(found.notes)


def test_some_ids_that_went_through_a_double(write: Write) -> None:
    """Rounded ids are found among others that are not, and those alone are named (C1)."""
    ids = [str(id_) for id_ in ids_of(19, 500)]
    for place in range(0, 500, 50):
        ids[place] = str(int(float(ids[place])))

    found = faults(write("m.csv", csv(*(row_with(meeting_id=id_) for id_ in ids))))

    lines = [line for line, _, _ in found]
    assert set(lines) >= set(range(2, 502, 50))
    assert len(lines) < 20  # some others are doubles by chance


def test_a_double_in_several_rows(write: Write) -> None:
    """An id counts once, in however many rows it is (C1)."""
    found = changes_of(write("m.csv", csv(*[row_with(meeting_id="7782342274025937920")] * 5)))

    assert len(found.changes) == 5


def test_one_id_that_is_a_double(write: Write) -> None:
    """One such id among few is noted, with its line (C1)."""
    ids = ["7782342274025937895", "7782342274025937920", "7782342274025937899"]

    found = changes_of(write("m.csv", csv(*(row_with(meeting_id=id_) for id_ in ids))))

    assert [(note.line, note.field) for note in found.notes] == [(3, "meeting_id")]


def test_ids_in_sequence(write: Write) -> None:
    """Ids that follow each other are not taken for rounded ones."""
    rows = [row_with(meeting_id=str(7 * 10**18 + n)) for n in range(2_000)]

    assert len(changes_of(write("m.csv", csv(*rows))).changes) == 2_000


@pytest.mark.parametrize(
    ("count", "among", "probability", "chance"),
    [
        (0, 50, 0.5, 1.0),
        (2, 2, 2.0**-10, 2.0**-20),
        (3, 3, 0.5, 0.125),
        (1, 2, 0.5, 1.0),  # no more than is to be expected
        (2, 2, 0.5, 0.25),
        (3, 50, 2.0**-10, 1.7674e-5),
        (1_000_000, 1_000_000, 2.0**-10, 0.0),
    ],
)
def test_chance(count: int, among: int, probability: float, chance: float) -> None:
    """The chance is that of at least so many; of no more than are expected, it is not computed."""
    assert chance_of(count, among, probability) == pytest.approx(chance, rel=1e-2)


def test_one_id_that_ends_in_zeros(write: Write) -> None:
    """One such id may be true, and is noted only."""
    inputs = changes_of(write("m.csv", csv(row_with(meeting_id="7782342274025930000"))))

    assert len(inputs.changes) == 1
    assert "ends in zeros" in inputs.notes[0].problem


@pytest.mark.parametrize("id_", [int(ID), ID])
def test_ids_in_json(write: Write, id_: object) -> None:
    """In JSON, an id may be a string or an integer: Python keeps every digit (F135)."""
    inputs = changes_of(write("m.jsonl", jsonl({**OBJECT, "meetingId": id_})))

    assert inputs.changes[0].meeting_id == ID


@pytest.mark.parametrize("written", ["7782342274025937895.0", "7.78e18", "true", "[]", "{}"])
def test_ids_in_json_that_are_refused(write: Write, written: str) -> None:
    """Floats have lost digits, and the rest is no id (F135)."""
    text = jsonl(OBJECT).replace(f'"{ID}"', written)

    ((line, field, _),) = faults(write("m.jsonl", text))

    assert (line, field) == (1, "meeting_id")


@pytest.mark.parametrize(
    ("time_", "problem"),
    [
        ("2026-11-24T15:00:00", "no UTC offset"),
        ("2026-11-24", "no UTC offset"),
        ("24 November 2026", "not an ISO-8601 time"),
        ("2026-13-24T15:00:00Z", "not an ISO-8601 time"),
        ("2026-11-24T15:00:60Z", "not an ISO-8601 time"),
        ("2026-11-24T15:00:00+01:00:30", "not a whole number of minutes"),
    ],
)
def test_times_that_are_refused(write: Write, time_: str, problem: str) -> None:
    """Times need an offset; none is guessed (F137, F138)."""
    ((line, field, reported),) = faults(write("m.csv", csv(row_with(start_time=time_))))

    assert (line, field) == (2, "start_time")
    assert problem in reported


def test_times_with_z_and_fractions(write: Write) -> None:
    """`Z` and fractions of seconds are fine."""
    row = row_with(start_time="2026-11-24T14:00:00.5Z", end_time="2026-11-24 15:00:00+00:00")
    update = changes_of(write("m.csv", csv(row))).changes[0].update

    assert update.start_time == datetime(2026, 11, 24, 14, 0, 0, 500_000, tzinfo=UTC)
    assert update.end_time - update.start_time < timedelta(hours=1)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_times_of_bigquery(write: Write, name: str) -> None:
    """BigQuery exports times with the word UTC behind them."""
    times = {"start_time": "2026-11-24 14:00:00 UTC", "end_time": "2026-11-24 14:45:00.5 UTC"}
    object_ = OBJECT | {"startTime": times["start_time"], "endTime": times["end_time"]}
    content = csv(row_with(**times)) if name == "m.csv" else jsonl(object_)

    (change,) = changes_of(write(name, content)).changes

    assert change.update.start_time == CHANGE.update.start_time
    assert change.update.end_time.replace(microsecond=0) == CHANGE.update.end_time
    for wrong in ("2026-11-24 UTC", "2026-11-24 14:00:00+01:00 UTC", "14:00:00 UTC"):
        assert faults(write("m.csv", csv(row_with(start_time=wrong))))


def test_end_before_start(write: Write) -> None:
    """A meeting ends after it starts (F138)."""
    row = row_with(end_time="2026-11-24T15:00:00+01:00")

    assert faults(write("m.csv", csv(row))) == [
        (2, "end_time", "the meeting must end after it starts")
    ]


def test_every_fault_of_a_row(write: Write) -> None:
    """All that is wrong with a row is reported at once."""
    row = "x,yesterday,2026-11-24T15:00:00,dana,lee,Renewal"

    assert [field for _, field, _ in faults(write("m.csv", csv(row)))] == [
        "meeting_id",
        "start_time",
        "end_time",
        "organizer_email",
        "invitees[0]",
    ]


def test_every_fault_of_a_row_whatever_the_kind(write: Write) -> None:
    """No check of a row waits until another one has passed (D9)."""
    people = '"[{""mail"": 1, ""email"": ""x"", ""firstName"": 1.5, ""first_name"": ""A""}]"'
    row = f"{ID},2026-11-24T16:00Z,2026-11-24T15:00Z,dana,{people},Re\0newal"
    found = faults(write("m.csv", csv(row) + "7,,,,\n"))

    assert [(line, field) for line, field, _ in found] == [
        (2, "organizer_email"),
        (2, "invitees[0]"),
        (2, "invitees[0].email"),
        (2, "invitees[0].first_name"),
        (2, "title"),
        (2, "end_time"),
        (3, None),
    ]


def test_every_fault_of_a_line_of_json(write: Write) -> None:
    """Unknown keys and doubles do not hide what is wrong with the others (D9)."""
    values = {key: value for key, value in OBJECT.items() if key != "title"}
    later = {"titel": 1, "startTime": "2027-01-01T00:00Z", "organizerEmail": "dana"}
    found = jsonl({**values, **later})

    assert [field for _, field, _ in faults(write("m.jsonl", found))] == [
        None,
        "organizer_email",
        "end_time",
    ]


def test_findings_are_counted(write: Write) -> None:
    """The first 1,000 findings are kept, and all are counted."""
    path = write("m.csv", csv(*[row_with(meeting_id="x")] * 1_500))

    with pytest.raises(InputError, match="1,500 faults") as caught:
        read_changes(path).check()

    assert caught.value.total == 1_500
    assert [found.line for found in caught.value.findings] == list(range(2, 1_002))


def test_every_faulty_row(write: Write) -> None:
    """One fault does not hide the next, and good rows do not hide faults (F148)."""
    rows = [row_with(meeting_id=str(n)) for n in range(2_000)]
    rows[1234] = row_with(organizer_email="unknown")
    rows[1876] = row_with(meeting_id="")

    found = faults(write("m.csv", csv(*rows)))

    assert [(line, field) for line, field, _ in found] == [
        (1236, "organizer_email"),
        (1878, "meeting_id"),
    ]


@pytest.mark.parametrize("secret", ["dana.private", "Secret title"])
def test_values_are_not_repeated(write: Write, secret: str) -> None:
    """Neither addresses nor titles are reported, wherever the fault is."""
    row = row_with(organizer_email="dana.private", title='"Secret title\0"')

    with pytest.raises(InputError) as caught:
        list(read_changes(write("m.csv", csv(row, row_with(invitees="dana.private")))))

    assert secret not in str(caught.value) + repr(caught.value.findings)


def test_names_that_are_written_in_another_way(write: Write) -> None:
    """Case, blanks, dashes and underscores of a name do not count."""
    header = "Meeting ID,START TIME,end-time,Organizer\u00a0e\u2011mail,Invitees,title"
    spelled = {name.upper(): value for name, value in OBJECT.items()}

    assert changes_of(write("m.csv", f"{header}\n{ROW}\n")).changes == [CHANGE]
    assert changes_of(write("m.jsonl", jsonl(spelled))).changes == [CHANGE]


def test_unknown_columns(write: Write, sheet: Sheet) -> None:
    """Columns that are not known are ignored, whatever is in them, with one note."""
    path = write("m.csv", f"{HEADER},zzz,Account owner\n{ROW},#N/A,x\n{ROW},,\n")
    note = Note(1, None, "the columns 'zzz', 'Account owner' are not known, and ignored")

    assert changes_of(path).notes[0] == note
    rows = [*SHEET_HEADER, "zzz", "Account owner"], [*SHEET_ROW, 1.5, "x"]
    assert changes_of(sheet(*rows)).notes == (note,)
    assert changes_of(sheet(*rows)).changes == [CHANGE]


def test_unknown_keys(write: Write) -> None:
    """The same for keys of JSON objects, each of which is noted once."""
    path = write("m.jsonl", jsonl({**OBJECT, "x": 1}, {**OBJECT, "x": None, "start": {}}))

    notes = [(note.line, note.problem) for note in changes_of(path).notes if note.field is None]
    assert notes == [
        (1, "the key 'x' is not known, and ignored"),
        (2, "the key 'start' is not known, and ignored"),
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Titel", "title"),
        ("Titre", "title"),
        ("titles", "title"),
        ("Subject", "title"),
        ("Meeting title", "title"),
        ("external", "external_id"),
        ("Providers", "provider"),
    ],
)
def test_names_that_are_nearly_those_of_fields(write: Write, name: str, meant: str) -> None:
    """To ignore such a column would erase what the meetings have in the field."""
    header = HEADER.replace("title", name)
    problem = (
        f"the {{}} {name!r} is not known; did you mean {meant}? Rename it, or map it (--map, "
        f"columns=): '{name}={meant}', or '{name}=' to ignore it"
    )
    without = {key: value for key, value in OBJECT.items() if key != "title"}

    assert faults(write("m.csv", f"{header}\n{ROW}\n")) == [(1, None, problem.format("column"))]
    assert faults(write("m.jsonl", jsonl({**without, name: "x"}))) == [
        (1, None, problem.format("key"))
    ]
    mapped = changes_of(write("m.csv", f"{header}\n{ROW}\n"), columns={name: meant}).changes[0]
    assert getattr(mapped.update, meant) == "Renewal"
    ignored = changes_of(write("m.csv", f"{header}\n{ROW}\n"), columns={name: ""})
    assert ignored.changes[0].update.title is None
    assert ignored.notes == ()


def test_near_names_of_fields_that_the_file_has(write: Write) -> None:
    """Beside the field itself such a column may be ignored: nothing is erased."""
    path = write("m.csv", f"{HEADER},Titel,organizer_name\n{ROW},x,Dana\n")

    (note,) = changes_of(path).notes

    assert note.problem == "the columns 'Titel', 'organizer_name' are not known, and ignored"


def test_what_is_probably_not_meant(write: Write) -> None:
    """Long meetings, and organizers among the invitees, are noted."""
    rows = (
        row_with(end_time="2026-11-25T15:00:00+01:00"),
        row_with(end_time="2026-11-26T16:30:00+01:00", meeting_id="2"),
        row_with(invitees="lee@x.example; DANA@example.com", meeting_id="3"),
    )

    found = changes_of(write("m.csv", csv(*rows)))

    assert len(found.changes) == 3
    assert [str(note) for note in found.notes] == [
        "line 3, end_time: the meeting lasts 49.5 hours; check the dates",
        "line 4, invitees: the organizer is among the invitees; leave them out",
    ]


def test_no_unknown_columns(write: Write) -> None:
    """Strictly read, a file has no other columns than those of meetings."""
    path = write("m.csv", f"{HEADER},Titel,zzz\n{ROW},,\n")

    with pytest.raises(InputError) as caught:
        list(read_changes(path, strict=True))

    problems = [finding.problem for finding in caught.value.findings]
    assert problems[0].startswith("the column 'Titel' is not known; did you mean title?")
    assert problems[1].startswith("the column 'zzz' is not known; known are meeting_id, ")
    assert problems[1].endswith("; map it (--map, columns=): 'zzz=' to ignore it")
    options: dict[str, Any] = {"strict": True, "columns": {"titel": "", "ZZZ": ""}}
    assert changes_of(path, **options).changes == [CHANGE]


NAMES = {
    "Call": "meeting_id",
    "Meeting start": "startTime",
    "Meeting end": "end_time",
    "Owner e-mail": "organizer email",
    "Who": "invitees",
}


def test_columns_that_are_mapped(write: Write, sheet: Sheet) -> None:
    """A file may have names of its own, and findings show them."""
    header = [*NAMES, "title"]
    bad = [ID, "tomorrow", *ROW.split(",")[2:4], "lee", "x"]

    assert changes_of(sheet(header, SHEET_ROW), columns=NAMES).changes == [CHANGE]
    with pytest.raises(InputError) as caught:
        list(read_changes(sheet(header, bad), columns=NAMES))

    start, invitee = map(str, caught.value.findings)
    assert start.startswith("line 2, start_time (column 'Meeting start'): not an ISO-8601 time")
    assert invitee.startswith("line 2, invitees[0] (column 'Who'): ")
    objects = dict(zip(header, OBJECT.values(), strict=True))
    assert changes_of(write("m.jsonl", jsonl(objects)), columns=NAMES).changes == [CHANGE]


def test_the_separator_of_columns_that_are_mapped(write: Write) -> None:
    """The separator is found by the names that are mapped, too."""
    text = ";".join([*NAMES, "title"]) + "\n" + ROW.replace(",", ";") + "\n"

    assert changes_of(write("m.csv", text), columns=NAMES).changes == [CHANGE]


def test_a_column_that_is_mapped_and_missing(write: Write) -> None:
    """A name that is mistyped in the map is not passed over."""
    with pytest.raises(InputError) as caught:
        list(read_changes(write("m.csv", csv(ROW)), columns={"Meeting stat": "start_time"}))

    (finding,) = caught.value.findings
    assert finding.problem == "the column 'Meeting stat' is missing, which is mapped to start_time"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"Start": "start_tme"}, "'start_tme' is not known; did you mean start_time?"),
        ({"Start": "start_time", "START": "end_time"}, "is mapped to nothing or twice"),
        ({" ": "title"}, "is mapped to nothing or twice"),
    ],
)
def test_maps_that_cannot_be_right(write: Write, columns: dict[str, str], problem: str) -> None:
    """A wrong map is an error of the call, not of the file."""
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        read_changes(write("m.csv", csv(ROW)), columns=columns)


@pytest.mark.parametrize("missing", ["meeting_id", "start_time", "organizer_email", "invitees"])
def test_missing_column(write: Write, missing: str) -> None:
    """A required column that is missing is named once, not for every row."""
    path = write("m.csv", csv(ROW, ROW).replace(missing, "title2").replace("title2", "provider"))

    assert faults(path) == [(1, missing, "the column is missing")]


def test_missing_key(write: Write) -> None:
    """In JSONL, what is missing is reported for its line; null is as good as missing."""
    path = write("m.jsonl", jsonl(OBJECT, {**OBJECT, "invitees": None}))

    assert faults(path) == [(2, "invitees", "missing; for no invitees, pass an empty list")]


def test_header_with_blanks_before_quotes(write: Write) -> None:
    """The cells of a header have no names yet, and are counted."""
    found = faults(write("m.csv", csv(ROW).replace(",organizer_email", ', "organizer_email"')))

    assert found[0] == (1, None, "cell 4: a blank before the opening quote; remove it")


def test_column_twice(write: Write) -> None:
    """Two columns for one field are refused, also in two spellings."""
    path = write("m.csv", f"{HEADER},meetingId\n{ROW},{ID}\n")

    assert faults(path) == [(1, "meeting_id", "the column stands twice")]


@pytest.mark.parametrize(
    "row", [ROW + ",more", ROW.rpartition(",")[0], ROW.replace("Renewal", "a,b")]
)
def test_row_of_another_length(write: Write, row: str) -> None:
    """Rows with more or fewer cells than the header are not guessed at."""
    ((line, field, problem),) = faults(write("m.csv", csv(ROW, row)))

    assert (line, field) == (3, None)
    assert "but the header has 6" in problem
    assert ("never empty" if row.count(",") < 5 else "needs quotes") in problem


def test_value_without_a_column_name(write: Write) -> None:
    """A nameless column may be there, but not hold anything."""
    path = write("m.csv", f"{HEADER},\n{ROW},\n{ROW},x\n")
    problem = "a value in a column without a usable name (column {}); name it, or delete it"

    assert faults(path) == [(3, None, problem.format(7))]
    indexed = f",{HEADER}\n" + "".join(f"{number},{ROW}\n" for number in range(3))
    assert faults(write("m.csv", indexed)) == [(2, None, problem.format(1))]


@pytest.mark.parametrize(
    ("content", "line", "cell"),
    [
        (csv(ROW, '"open'), 3, "cell 1 has a quote that is never closed"),
        (csv(ROW, '"a"b,c'), 3, "cell 1 has text behind a closing quote"),
        (csv(row_with(title='"say \\"hi\\""')), 2, "cell 6 has text behind a closing quote"),
    ],
)
def test_broken_quotes(write: Write, content: str, line: int, cell: str) -> None:
    """A quote that does not close swallows no rows: reading ends there, and says so."""
    ((at, _, problem),) = faults(write("m.csv", content))

    assert at == line
    assert problem.startswith(cell)
    assert "written twice" in problem
    assert "nothing below was read" in problem


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        (' "Renewal"', "a blank before the opening quote; remove it"),
        ('\t"Renewal"', "a blank before the opening quote; remove it"),
        ('"Renewal" ', "a blank behind the closing quote; remove it"),
        ('Dell 24" monitor', "a quote in a cell without quotes around it; quote it, and double it"),
        ('Renewal"', "a quote in a cell without quotes around it; quote it, and double it"),
        ('"Re""newal"\t', "a blank behind the closing quote; remove it"),
        ('"\\N"', "\\N in quotes; leave the cell empty if it has no value"),
        ("#N/A", "the error #N/A of a spreadsheet"),
        ('"#WERT!"', "the error #WERT! of a spreadsheet"),
        ("Err:510", "the error Err:510 of a spreadsheet"),
        ("#ERROR!", "the error #ERROR! of a spreadsheet"),
        ("Loading...", "the error Loading... of a spreadsheet"),
    ],
)
def test_cells_that_are_not_guessed_at(write: Write, title: str, problem: str) -> None:
    """What other programs read in another way is named, and the rows below are read (D6)."""
    path = write("m.csv", csv(row_with(title=title), row_with(meeting_id="x")))

    assert [found for found in faults(path) if found[0] == 2] == [(2, "title", problem)]
    assert [line for line, _, _ in faults(path)] == [2, 3]


def test_quotes(write: Write) -> None:
    """Quotes are doubled inside of quotes, and cells may go on over lines of any kind."""
    rows = (
        row_with(title='"a ""b"", ""c"""'),
        row_with(title='"\r\n""\n"""'),
        row_with(title='""'),
        row_with(title='""""'),
    )
    path = write("m.csv", csv(*rows, row_with(title="'x'")))

    found = changes_of(path)

    titles = [change.update.title for change in found.changes]
    assert titles == ['a "b", "c"', '\r\n"\n"', None, '"', "'x'"]
    assert found.lines == [2, 3, 6, 7, 8]


@pytest.mark.parametrize("quote", ['"', ""])
def test_large_cells(write: Write, quote: str) -> None:
    """5,000 invitees fit into a cell (D7)."""
    people = ";".join(f"Person {n} <p{n}@customer{n}.example>" for n in range(5_000))

    (change,) = changes_of(write("m.csv", csv(row_with(invitees=quote + people + quote)))).changes

    assert len(people) > 131_072
    assert len(change.update.invitees) == 5_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", csv(ROW) + "x" * 4_000_001),
        ("m.csv", csv(ROW) + '"' + ("x" * 99 + "\n") * 40_001),
        ("m.jsonl", jsonl(OBJECT) + "\n" + "[" * 4_000_001),
    ],
)
def test_lines_that_were_not_meant_to_be_one(write: Write, name: str, content: str) -> None:
    """What is read at a time is bounded."""
    ((line, _, problem),) = faults(write(name, content))

    assert line == 3
    assert "more than 4,000,000 characters" in problem
    assert "nothing below was read" in problem


@pytest.mark.parametrize(
    "first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;", "sep=;;;;;;", '"sep=;";;;;;']
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_names_the_separator(write: Write, first: str, end: str) -> None:
    """Excel's `sep=` is understood, and counted as a line (D8)."""
    found = changes_of(write("m.csv", f"{first}\n{csv(ROW).replace(',', ';')}".replace("\n", end)))

    assert found.changes == [CHANGE]
    assert found.lines == [3]


def test_unusual_separators(write: Write) -> None:
    """A separator that is named may be any; a bar is found without."""
    assert changes_of(write("m.csv", "sep=^\n" + csv(ROW).replace(",", "^"))).changes == [CHANGE]
    assert changes_of(write("m.csv", csv(ROW).replace(",", "|"))).changes == [CHANGE]


def test_null_of_databases(write: Write) -> None:
    r"""`\N` is no value, as an empty cell is (D8)."""
    path = write("m.csv", csv(row_with(title="\\N", invitees="\\N")))
    (change,) = changes_of(path).changes

    assert (change.update.title, change.update.invitees) == (None, ())
    assert faults(write("m.csv", csv(row_with(organizer_email="\\N")))) == [
        (2, "organizer_email", "missing")
    ]


@pytest.mark.parametrize("word", ["NULL", "null", "None", "NaN", "(null)", "<NA>", "NaT"])
def test_words_for_null(write: Write, word: str) -> None:
    """A title that is a word for no value may be meant, and is noted."""
    found = changes_of(write("m.csv", csv(row_with(title=word))))

    assert found.changes[0].update.title == word
    assert [(note.line, note.field) for note in found.notes] == [(2, "title")]
    assert faults(write("m.csv", csv(row_with(invitees=word)))) == [
        (2, "invitees", "a word for no value; leave it empty if there are no invitees")
    ]


@pytest.mark.parametrize("title", ["C:\\\\temp", "a\\tb", "a\\nb", "it\\'s"])
def test_perhaps_escapes_of_databases(write: Write, title: str) -> None:
    """What MySQL and PostgreSQL escape is not taken back, and noted (D8)."""
    found = changes_of(write("m.csv", csv(row_with(title=title))))

    assert found.changes[0].update.title == title
    assert [(note.line, note.field) for note in found.notes] == [(2, "title")]
    assert "a backslash is read as it stands" in found.notes[0].problem


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16-le", "utf-16-be", "utf-16"])
def test_encodings_that_are_named(write: Write, encoding: str) -> None:
    """An encoding is taken if it is named; it is never guessed (D8)."""
    text = csv(row_with(title="Caf\u00e9 \u20ac")).encode(encoding)

    found = changes_of(write("m.csv", text), encoding=encoding)

    assert found.changes[0].update.title == "Caf\u00e9 \u20ac"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso8859-15", "koi8-r", "cp437"])
def test_utf_8_in_another_encoding(write: Write, encoding: str) -> None:
    """Each title would be garbled, and no byte would be wrong."""
    text = csv(row_with(title="Gespr\u00e4ch")).encode()

    for path in (write("m.csv", text), write("m.csv.gz", gzip.compress(text))):
        with pytest.raises(InputError, match=f"UTF-8, not {encoding}"):
            read_changes(path, encoding=encoding).check()


def test_ascii_in_any_encoding(write: Write) -> None:
    """It is the same in all of them."""
    found = changes_of(write("m.csv", csv(ROW).encode()), encoding="cp1252")

    assert len(found.changes) == 1


def test_bytes_that_an_encoding_does_not_have(write: Write) -> None:
    """Each cell with such bytes is named, in JSONL each line."""
    row = row_with(title="\u0081").encode("latin-1")
    path = write("m.csv", b"\n".join((HEADER.encode(), row, ROW.encode(), row)))

    with pytest.raises(InputError) as caught:
        list(read_changes(path, encoding="cp1252"))

    assert [(found.line, found.field) for found in caught.value.findings] == [
        (2, "title"),
        (4, "title"),
    ]
    assert [line for line, _, _ in faults(write("m.jsonl", b'{"title": "\xe9"}\n' * 2))] == [1, 2]


@pytest.mark.parametrize("encoding", ["nope", "base64", "a\0b", ""])
def test_encodings_that_there_are_not(write: Write, encoding: str) -> None:
    """An encoding that Python does not know is an error of the call, not of the file."""
    with pytest.raises(ConfigurationError, match="no text encoding"):
        read_changes(write("m.csv", csv(ROW)), encoding=encoding).check()


def test_an_encoding_for_marked_or_other_files(write: Write, sheet: Sheet) -> None:
    """A file that says what it is in is not read in another encoding."""
    with pytest.raises(InputError, match="marked as UTF-8"):
        read_changes(write("m.csv", csv(ROW).encode("utf-8-sig")), encoding="cp1252").check()
    with pytest.raises(InputError, match="marked as UTF-16"):
        read_changes(write("m.csv", csv(ROW).encode("utf-16")), encoding="cp1252").check()
    with pytest.raises(ConfigurationError, match="for text files"):
        read_changes(sheet(SHEET_HEADER), encoding="cp1252").check()


@pytest.mark.parametrize("encoding", ["utf-16", "idna", "punycode", "undefined"])
@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_encodings_that_fail_as_they_read(write: Write, name: str, encoding: str) -> None:
    """A codec that finds no mark, or cannot read a stream, is a finding of the file (D8)."""
    with pytest.raises(InputError, match="not what its encoding"):
        read_changes(write(name, csv(ROW)), encoding=encoding).check()


def test_nul_bytes(write: Write) -> None:
    """A NUL is damage, and named with its line."""
    path = write("m.csv", csv(ROW, row_with(title="Re\0newal")))

    assert faults(path) == [(3, "title", "holds a NUL byte")]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (csv(ROW).encode("utf-16-le"), 0, "UTF-16 without a byte order mark"),
        (csv(ROW).encode("utf-32"), 0, "UTF-32"),
        (csv(ROW).encode("utf-16")[:-1], 0, "broken or cut off"),
        (csv(ROW, row_with(title="Caf\u00e9")).encode("latin-1"), 3, "not UTF-8"),
        (b"PK\x03\x04rest", 0, "a spreadsheet, not text"),
        (b"\x1f\x8b\x08\x08rest", 0, "compressed; unpack it first"),
        (b"", 0, "no header"),
    ],
)
def test_other_encodings(write: Write, content: bytes, line: int, problem: str) -> None:
    """What cannot be read for certain is refused, with what to do about it (F148)."""
    ((at, _, reported),) = faults(write("m.csv", content))

    assert at == line
    assert problem in reported


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON: "),
        ("[]", "not an object; each line is one object, as `jq -c` writes them"),
        ('{"title": NaN}', "NaN is not JSON"),
        ('{"title": "a", "title": "b"}', "the key 'title' stands twice"),
        ('{"title": "a", "meetingId": "1", "meeting_id": "2"}', "given twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"title": ' + "1" * 5000 + "}", "more than 40 digits"),
        ('{"title": 1e9999999999999999999}', "a decimal point or exponent"),
        ('{"title": -0.0}', "a decimal point or exponent"),
        ('{"meetingId": 1E400}', "a decimal point or exponent"),
        ('{"invitees": [1e-9999999999999999999]}', "a decimal point or exponent"),
        ('{"invitees": "[1e9999999999999999999]"}', "a decimal point or exponent"),
        ('{"invitees": [{"email": "a@x.example", "email": "b@x.example"}]}', "stands twice"),
        ('{"title": Infinity}', "Infinity is not JSON"),
        ('{"title": "a"} {"title": "b"}', "not JSON: Extra data"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_lines_that_are_no_json(write: Write, line: str, problem: str) -> None:
    """Broken lines are named, and those around them are read (F141)."""
    found = faults(write("m.jsonl", jsonl(OBJECT) + "\n" + line + "\n" + jsonl(OBJECT)))

    assert {at for at, _, _ in found} == {3}
    assert any(problem in reported for _, _, reported in found)


def test_a_constant_that_json_lacks_is_reported_with_its_field(write: Write) -> None:
    """Python's parser accepts NaN, and a title cannot be one."""
    assert faults(write("m.jsonl", jsonl({**OBJECT, "title": float("nan")}))) == [
        (1, "title", "NaN is not JSON")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv.gz", csv(ROW).encode()),
        ("M.CSV.GZ", csv(ROW).encode("utf-16")),
        ("m.tsv.gz", csv(ROW).replace(",", "\t").encode()),
        ("m.jsonl.gz", jsonl(OBJECT).encode()),
    ],
)
def test_compressed_files(write: Write, name: str, content: bytes) -> None:
    """Text may be compressed, and is read as it is without."""
    assert changes_of(write(name, gzip.compress(content))).changes == [CHANGE]


@pytest.mark.parametrize("name", ["m.csv.gz", "m.jsonl.gz"])
@pytest.mark.parametrize("cut", [1, 5, 20, 2_000])
def test_compressed_files_that_are_cut_off(write: Write, name: str, cut: int) -> None:
    """Nothing of a file is used of which the end is missing."""
    rows = [row_with(title=str(n)) for n in range(2_000)]
    content = csv(*rows) if name == "m.csv.gz" else jsonl(*({**OBJECT, "x": n} for n in range(999)))

    found = faults(write(name, gzip.compress(content.encode())[:-cut]))

    assert next(problem for line, _, problem in found if not line).startswith("broken or cut off")


def test_what_is_compressed_otherwise(write: Write) -> None:
    """A name that promises gzip, twice compressed text, and spreadsheets are named as such."""
    ((_, _, plain),) = faults(write("m.csv.gz", csv(ROW)))
    ((_, _, twice),) = faults(write("m.csv.gz", gzip.compress(gzip.compress(b"x"))))
    ((_, _, other),) = faults(write("m.xlsx.gz", gzip.compress(b"x")))
    ((_, _, none),) = faults(write("m.gz", gzip.compress(b"x")))

    assert plain.startswith("broken or cut off, not gzip")
    assert twice.startswith("compressed; unpack it first")
    assert "('.xlsx.gz') is not read" in other
    assert "('.gz') is not read" in none


def test_compressed_files_do_not_grow_without_bound(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file can inflate to any size; it is read up to a bound."""
    monkeypatch.setattr("gong_async.inputs.text._MOST_INFLATED", 1_000_000)
    rows = csv(ROW) + "\n" * 5_000_000

    (*_, (line, _, problem)) = faults(write("m.csv.gz", gzip.compress(rows.encode())))

    assert (line, problem.partition(",")[0]) == (0, "broken or cut off")


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_in_jsonl(write: Write, end: str) -> None:
    """Every kind of line end is one, and U+2028 in a title is none."""
    found = {**OBJECT, "title": "a\u2028b"}
    text = (json.dumps(found, ensure_ascii=False) + "\n" + jsonl(OBJECT)).replace("\n", end)

    inputs = changes_of(write("m.jsonl", text))

    assert inputs.lines == [1, 2]
    assert inputs.changes[0].update.title == "a\u2028b"


def test_lone_surrogates(write: Write) -> None:
    """Text that cannot be sent is refused before any request (F140)."""
    text = jsonl(OBJECT).replace("Renewal", "\\ud83d")

    ((line, field, problem),) = faults(write("m.jsonl", text))

    assert (line, field) == (1, "title")
    assert "lone surrogate" in problem


def test_text_is_kept_as_it_is(write: Write) -> None:
    """Control characters and directions in titles are the user's (F140)."""
    title = "\u202eRenewal\t\u0007" + "x" * 100_000
    inputs = changes_of(write("m.jsonl", jsonl({**OBJECT, "title": title})))

    assert inputs.changes[0].update.title == title


def test_ten_thousand_invitees(write: Write) -> None:
    """A huge list takes no more than its share of time (F147)."""
    people = [f"Person {n} <p{n}@x.example>" for n in range(10_000)]
    text = jsonl({**OBJECT, "invitees": people}, {**OBJECT, "invitees": ";".join(people)})

    inputs = changes_of(write("m.jsonl", text))

    assert [len(change.update.invitees) for change in inputs.changes] == [10_000, 10_000]


def test_ten_times_the_rows_are_ten_times_the_work(write: Write) -> None:
    """The work per row does not grow with the file."""
    work: list[int] = []
    for count in (300, 3_000):
        path = write("m.csv", csv(*(row_with(meeting_id=str(10**18 + n)) for n in range(count))))
        calls = 0

        def count_call(frame: FrameType, event: str, arg: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count_call)
        try:
            inputs = changes_of(path)
        finally:
            sys.setprofile(None)
        assert len(inputs.changes) == count
        work.append(calls)

    assert work[1] < 11 * work[0]


def test_several_rows_for_a_meeting(write: Write) -> None:
    """A meeting may stand in several rows; that is noted with both lines (F136)."""
    inputs = changes_of(write("m.csv", csv(ROW, row_with(meeting_id="1"), ROW)))

    assert len(inputs.changes) == 3
    assert [note.line for note in inputs.notes] == [4]
    assert "stands in line 2 already" in inputs.notes[0].problem
    assert "sends its last row only" in inputs.notes[0].problem


def test_iterating_twice(write: Write) -> None:
    """A file can be read again."""
    inputs = read_changes(write("m.csv", csv(ROW, ROW)))

    assert list(inputs) == list(inputs) == [CHANGE, CHANGE]
    assert len(inputs.notes) == inputs.note_count == 1
    assert list(inputs.lines) == [2, 3]


def test_a_file_that_changes_meanwhile(write: Write) -> None:
    """What was not checked is not used."""
    path = write("m.csv", csv(ROW))
    inputs = read_changes(path)
    inputs.check()
    write("m.csv", csv(ROW, ROW))

    with pytest.raises(InputError, match="changed meanwhile"):
        next(inputs.pages_again())


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write(f"{ROW}\n")


def _replace(path: Path) -> None:
    path.with_suffix(".new").write_text(csv(ROW))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [_append, _replace, Path.unlink])
def test_a_file_that_changes_while_it_is_read(
    write: Write, change: Callable[[Path], object]
) -> None:
    """A file that another program still writes may lack rows: nothing of it is used."""
    path = write("m.csv", csv(*[ROW] * 1_200))
    pages = read_changes(path).numbered_pages()
    next(pages)
    change(path)

    with pytest.raises(InputError, match="changed while it was read; try again"):
        list(pages)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
def test_a_pipe(tmp_path: Path) -> None:
    """A pipe could block for ever, and cannot be read twice."""
    os.mkfifo(tmp_path / "m.csv")

    assert faults(tmp_path / "m.csv") == [
        (0, None, "a pipe or a device, and no file; write what comes out of it to a file first")
    ]


def test_a_directory(tmp_path: Path) -> None:
    """A directory is the system's error, as a missing file is."""
    (tmp_path / "m.csv").mkdir()

    with pytest.raises(IsADirectoryError):
        read_changes(tmp_path / "m.csv").check()


@pytest.mark.full
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xlsx"])
def test_memory_does_not_depend_on_the_rows(write: Write, sheet: Sheet, suffix: str) -> None:
    """6,000 rows take no more memory than 1,000, apart from the lines (D10)."""

    def highest(rows: int) -> int:
        ids = [str(7 * 10**18 + n) for n in range(rows)]
        if suffix == ".csv":
            path = write("m.csv", csv(*(row_with(meeting_id=id_) for id_ in ids)))
        elif suffix == ".jsonl":
            path = write("m.jsonl", jsonl(*({**OBJECT, "meetingId": id_} for id_ in ids)))
        else:
            path = sheet(SHEET_HEADER, *([id_, *SHEET_ROW[1:-1], f"Title {id_}"] for id_ in ids))
        inputs = read_changes(path)
        tracemalloc.start()
        inputs.check()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    highest(10)
    assert highest(6_000) - highest(1_000) < 1_000_000


async def test_reading_in_an_event_loop(write: Write) -> None:
    """Read by `async for`, the file is read in threads, and checked before the first change."""
    good = read_changes(write("m.csv", csv(*[row_with(meeting_id=str(n)) for n in range(1_200)])))
    bad = read_changes(write("n.csv", csv(*[ROW] * 1_200, row_with(meeting_id="x"))))

    assert [change.meeting_id async for change in good] == [str(n) for n in range(1_200)]
    with pytest.raises(InputError):
        await anext(aiter(bad))


@pytest.mark.parametrize(("name", "content"), [("m.csv", csv()), ("m.jsonl", "")])
def test_no_rows(write: Write, name: str, content: str) -> None:
    """A file without rows is fine (F142)."""
    assert changes_of(write(name, content)).changes == []


def test_unknown_kind_of_file(write: Write) -> None:
    """Other kinds of files are refused by their ending."""
    ((_, _, problem),) = faults(write("m.xls", b"\xd0\xcf\x11\xe0"))

    assert "use .csv, .jsonl or .xlsx" in problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is the system's error, as everywhere in Python."""
    with pytest.raises(FileNotFoundError):
        list(read_changes(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (int(ID), "keeps only 15 digits; format the column as text"),
        (1.5, "keeps only 15 digits"),
        (True, "got true or false"),
        (datetime(2026, 11, 24), "got a date cell"),  # noqa: DTZ001 - as a spreadsheet has it
    ],
)
def test_ids_in_a_sheet_that_are_refused(sheet: Sheet, cell: object, problem: str) -> None:
    """A number cell with more digits than a spreadsheet keeps cannot be trusted."""
    ((line, field, reported),) = faults(sheet(SHEET_HEADER, [cell, *SHEET_ROW[1:]]))

    assert (line, field) == (2, "meeting_id")
    assert problem in reported


def test_short_ids_in_a_sheet(sheet: Sheet) -> None:
    """A number cell that has all its digits is an id."""
    inputs = changes_of(sheet(SHEET_HEADER, [123456789012345, *SHEET_ROW[1:]]))

    assert inputs.changes[0].meeting_id == "123456789012345"


def test_date_cells(sheet: Sheet) -> None:
    """Date cells know no offset; the finding says how to name a zone."""
    row = [*SHEET_ROW]
    row[1] = datetime(2026, 11, 24, 15)  # noqa: DTZ001 - as a spreadsheet has it

    ((line, field, problem),) = faults(sheet(SHEET_HEADER, row))

    assert (line, field) == (2, "start_time")
    assert problem.startswith("2026-11-24 15:00:00 has no UTC offset; name the file's time zone")


def test_lines_of_a_sheet(sheet: Sheet) -> None:
    """Rows have the numbers that the spreadsheet shows, blank rows included."""
    blank: list[object] = [None] * 6
    path = sheet(blank, SHEET_HEADER, blank, SHEET_ROW, blank, ["x", *SHEET_ROW[1:]])

    assert [line for line, _, _ in faults(path)] == [6]


def test_formulas(sheet: Sheet, tmp_path: Path) -> None:
    """A formula is its value, as the spreadsheet program saved it."""
    path = sheet(SHEET_HEADER, [*SHEET_ROW[:-1], "=1+1"])
    calculated = tmp_path / "calculated.xlsx"
    rewrite(path, calculated, b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")

    assert changes_of(calculated).changes[0].update.title == "2"


def test_formulas_without_a_value(sheet: Sheet) -> None:
    """A formula that was never calculated is not read as an empty cell."""
    path = sheet(SHEET_HEADER, [*SHEET_ROW[:-1], "=1+1"])

    assert faults(path) == [(2, "title", "cell F2 holds a formula without a saved value")]


def test_error_cells(sheet: Sheet) -> None:
    """An error in a cell is not read as an empty cell, which would erase the title in Gong."""
    path = sheet(SHEET_HEADER, [*SHEET_ROW[:-1], "#REF!"])

    assert faults(path) == [(2, "title", "cell F2 holds the error #REF!")]


def test_a_broken_sheet(write: Write) -> None:
    """A file that is no spreadsheet is refused, whatever its name says."""
    ((_, _, problem),) = faults(write("m.xlsx", "meeting_id\n"))

    assert problem.startswith("not a readable .xlsx file")


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_the_error_survives(again: Callable[[InputError], InputError]) -> None:
    """InputError survives pickle and copy with all findings."""
    error = InputError("m.csv", [Finding(n, "title", "x") for n in range(5)])

    derived = again(error)

    assert isinstance(derived, ValidationError)
    assert str(derived) == str(error)
    assert derived.findings == error.findings


def test_the_error_in_words() -> None:
    """The error names the first faults and counts the rest."""
    error = InputError("m.csv", [Finding(n, None, "x") for n in range(2, 7)])

    assert str(error) == (
        "m.csv: 5 faults: line 2: x; line 3: x; line 4: x; and 2 more. "
        "Correct the file; nothing was sent"
    )


def rewrite(path: Path, to: Path, before: bytes, after: bytes) -> None:
    """Copy a spreadsheet with something replaced in its sheet."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert before in content
                content = content.replace(before, after)
            target.writestr(name, content)


def test_a_mapped_key_that_no_object_has(write: Write) -> None:
    """A misspelt key would clear the field of every meeting; some objects may be without it."""
    untitled = {key: value for key, value in OBJECT.items() if key != "title"}
    objects = [untitled | {"Betreff": "Renewal"}, untitled]
    path = write("m.jsonl", "\n".join(map(json.dumps, objects)))

    with pytest.raises(InputError) as caught:
        read_changes(path, columns={"Betref": "title", "Betreff": ""}).check()
    found = list(read_changes(path, columns={"Betreff": "title"}))

    problems = [str(finding) for finding in caught.value.findings]
    assert problems == ["file: the key 'Betref' is missing, which is mapped to title"]
    assert [change.update.title for change in found] == ["Renewal", None]
