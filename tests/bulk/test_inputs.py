"""Input files: what is read, what is refused, and that every fault is named with its line."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import openpyxl  # type: ignore[import-untyped]
import pytest

from gong_async import ConfigurationError, Invitee, MeetingChange, MeetingUpdate, ValidationError
from gong_async._install import install_command
from gong_async.bulk.inputs import Finding, InputError, read_changes

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


def faults(path: Path) -> list[tuple[int, str | None, str]]:
    """Return what is wrong with a file."""
    with pytest.raises(InputError) as caught:
        read_changes(path)
    return [(found.line, found.field, found.problem) for found in caught.value.findings]


def row_with(**values: str) -> str:
    """Return the usual row with other cells."""
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | values
    return ",".join(cells.values())


SHEET_HEADER: list[object] = [*HEADER.split(",")]
SHEET_ROW: list[object] = [*ROW.split(",")]


def test_csv(write: Write) -> None:
    """A row of a CSV file is a change."""
    inputs = read_changes(write("m.csv", csv(ROW)))

    assert list(inputs) == [CHANGE]
    assert inputs.lines == (2,)


def test_jsonl(write: Write) -> None:
    """A line of a JSONL file is a change."""
    inputs = read_changes(write("m.jsonl", jsonl(OBJECT)))

    assert list(inputs) == [CHANGE]
    assert inputs.lines == (1,)


def test_xlsx(sheet: Sheet) -> None:
    """A row of a spreadsheet is a change."""
    inputs = read_changes(sheet(SHEET_HEADER, SHEET_ROW))

    assert list(inputs) == [CHANGE]
    assert inputs.lines == (2,)


def test_gongs_names(write: Write) -> None:
    """Columns may have the names of Gong's API."""
    header = "meetingId,startTime,endTime,organizerEmail,invitees,title,externalId"
    inputs = read_changes(write("m.csv", f"{header}\n{ROW},abc\n"))

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

    assert read_changes(path).lines == (2, 6)


def test_fault_after_a_cell_of_several_lines(write: Write) -> None:
    """A fault is named with the line in which its row begins."""
    path = write("m.csv", csv(row_with(title='"a\nb"'), row_with(meeting_id="x", title='"a\nb"')))

    assert [line for line, _, _ in faults(path)] == [4]


def test_optional_cells_may_be_empty(write: Write) -> None:
    """An empty title is none; an empty list of invitees is one."""
    inputs = read_changes(write("m.csv", csv(f"{ID},{TIMES},dana@example.com,,")))

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
        ('[{""display_name"": ""Ana""}]', [Invitee(display_name="Ana")]),
        ("[]", []),
    ],
)
def test_invitees_in_a_cell(write: Write, cell: str, people: list[Invitee]) -> None:
    """Invitees are separated by semicolons, with names if wanted, or a JSON list."""
    inputs = read_changes(write("m.csv", csv(row_with(invitees=f'"{cell}"'))))

    assert inputs.changes[0].update.invitees == tuple(people)


@pytest.mark.parametrize(
    ("invitees", "fault"),
    [
        ("lee", ("invitees[0]", "expected exactly one @")),
        ("a@x.example; @", ("invitees[1]", "nothing stands before or after the @")),
        ('"a@x.example, b@x.example"', ("invitees[0]", "separate them with semicolons")),
        ("Ana ana@x.example>", ("invitees[0]", "a > without a <")),
        ('"[{""mail"": ""a@x.example""}]"', ("invitees[0]", "did you mean email?")),
        ('"[1.5]"', ("invitees[0]", "expected text or an object")),
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

    assert read_changes(path).changes[0].meeting_id == "9" * 20


def test_several_rounded_ids(write: Write) -> None:
    """Several long ids that end in zeros are what a spreadsheet leaves: each is refused."""
    path = write(
        "m.csv", csv(*(row_with(meeting_id=f"77823422740259{n}0000") for n in range(1, 4)))
    )

    found = faults(path)

    assert [line for line, _, _ in found] == [2, 3, 4]
    assert all("ends in zeros" in problem for _, _, problem in found)


def test_one_id_that_ends_in_zeros(write: Write) -> None:
    """One such id may be true, and is noted only."""
    inputs = read_changes(write("m.csv", csv(row_with(meeting_id="7782342274025930000"))))

    assert len(inputs) == 1
    assert "ends in zeros" in inputs.notes[0].problem


@pytest.mark.parametrize("id_", [int(ID), ID])
def test_ids_in_json(write: Write, id_: object) -> None:
    """In JSON, an id may be a string or an integer: Python keeps every digit (F135)."""
    inputs = read_changes(write("m.jsonl", jsonl({**OBJECT, "meetingId": id_})))

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
        ("24.11.2026 15:00", "not an ISO-8601 time"),
        ("2026-13-24T15:00:00Z", "not an ISO-8601 time"),
        ("2026-11-24T15:00:60Z", "not an ISO-8601 time"),
        ("2026-11-24T15:00:00+01:00:30", "not a whole number of minutes"),
    ],
)
def test_times_that_are_refused(write: Write, time_: str, problem: str) -> None:
    """Times need an offset; none is guessed (F137, F138)."""
    ((line, field, told),) = faults(write("m.csv", csv(row_with(start_time=time_))))

    assert (line, field) == (2, "start_time")
    assert problem in told


def test_times_with_z_and_fractions(write: Write) -> None:
    """`Z` and fractions of seconds are fine."""
    row = row_with(start_time="2026-11-24T14:00:00.5Z", end_time="2026-11-24 15:00:00+00:00")
    update = read_changes(write("m.csv", csv(row))).changes[0].update

    assert update.start_time == datetime(2026, 11, 24, 14, 0, 0, 500_000, tzinfo=UTC)
    assert update.end_time - update.start_time < timedelta(hours=1)


def test_end_before_start(write: Write) -> None:
    """A meeting ends after it starts (F138)."""
    row = row_with(end_time="2026-11-24T15:00:00+01:00")

    assert faults(write("m.csv", csv(row))) == [
        (2, "end_time", "the meeting must end after it starts")
    ]


def test_every_fault_of_a_row(write: Write) -> None:
    """All that is wrong with a row is told at once."""
    row = "x,yesterday,2026-11-24T15:00:00,dana,lee,Renewal"

    assert [field for _, field, _ in faults(write("m.csv", csv(row)))] == [
        "meeting_id",
        "start_time",
        "end_time",
        "organizer_email",
        "invitees[0]",
    ]


def test_every_faulty_row(write: Write) -> None:
    """One fault does not hide the next, and good rows do not hide faults (F148)."""
    rows = [row_with(meeting_id=str(n)) for n in range(10_000)]
    rows[1234] = row_with(organizer_email="nobody")
    rows[9876] = row_with(meeting_id="")

    found = faults(write("m.csv", csv(*rows)))

    assert [(line, field) for line, field, _ in found] == [
        (1236, "organizer_email"),
        (9878, "meeting_id"),
    ]


@pytest.mark.parametrize("secret", ["dana.private", "Secret title"])
def test_values_are_not_repeated(write: Write, secret: str) -> None:
    """Neither addresses nor titles are told, wherever the fault is."""
    row = row_with(organizer_email="dana.private", title='"Secret title\0"')

    with pytest.raises(InputError) as caught:
        read_changes(write("m.csv", csv(row, row_with(invitees="dana.private"))))

    assert secret not in str(caught.value) + repr(caught.value.findings)


def test_unknown_column(write: Write) -> None:
    """A column that is not known is named, with the one that was probably meant."""
    path = write("m.csv", f"{HEADER},organiser_mail,zzz\n{ROW},,\n")

    problems = [problem for _, _, problem in faults(path)]

    assert problems[0] == "the column 'organiser_mail' is not known; did you mean organizer_email?"
    assert problems[1].startswith("the column 'zzz' is not known; known are meeting_id, ")


def test_unknown_key(write: Write) -> None:
    """The same for a key of a JSON object."""
    path = write("m.jsonl", jsonl({**OBJECT, "start": "x"}))

    assert faults(path) == [(1, None, "the key 'start' is not known; did you mean start_time?")]


@pytest.mark.parametrize("missing", ["meeting_id", "start_time", "organizer_email", "invitees"])
def test_missing_column(write: Write, missing: str) -> None:
    """A required column that is missing is named once, not for every row."""
    path = write("m.csv", csv(ROW, ROW).replace(missing, "title2").replace("title2", "provider"))

    assert faults(path) == [(1, missing, "the column is missing")]


def test_missing_key(write: Write) -> None:
    """In JSONL, what is missing is told for its line; null is as good as missing."""
    path = write("m.jsonl", jsonl(OBJECT, {**OBJECT, "invitees": None}))

    assert faults(path) == [(2, "invitees", "missing")]


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


def test_value_without_a_column_name(write: Write) -> None:
    """A nameless column may be there, but not hold anything."""
    path = write("m.csv", f"{HEADER},\n{ROW},\n{ROW},x\n")

    assert faults(path) == [(3, None, "a value in a column without a usable name")]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (csv(ROW, '"open'), 3),
        (csv(ROW, '"a"b,c'), 3),
        (csv(ROW, f'{ID},"{"x" * 200_000}"'), 3),
    ],
)
def test_broken_quotes(write: Write, content: str, line: int) -> None:
    """A quote that does not close swallows no rows: reading ends there, and says so."""
    ((at, _, problem),) = faults(write("m.csv", content))

    assert at == line
    assert "nothing below was read" in problem


def test_nul_bytes(write: Write) -> None:
    """A NUL is damage, and named with its line."""
    path = write("m.csv", csv(ROW, row_with(title="Re\0newal")))

    assert faults(path) == [(3, "title", "holds a NUL byte")]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (csv(ROW).encode("utf-16-le"), 0, "UTF-16 without a byte order mark"),
        (csv(ROW).encode("utf-32"), 0, "UTF-32"),
        (csv(ROW).encode("utf-16")[:-1], 0, "broken further on"),
        (csv(ROW, row_with(title="Caf\u00e9")).encode("latin-1"), 3, "not UTF-8"),
        (b"PK\x03\x04rest", 0, "a spreadsheet, not text"),
        (b"", 0, "no header"),
    ],
)
def test_other_encodings(write: Write, content: bytes, line: int, problem: str) -> None:
    """What cannot be read for certain is refused, with what to do about it (F148)."""
    ((at, _, told),) = faults(write("m.csv", content))

    assert at == line
    assert problem in told


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON: "),
        ("[]", "not an object"),
        ('{"title": NaN}', "NaN is not JSON"),
        ('{"title": "a", "title": "b"}', "the key 'title' stands twice"),
        ('{"title": "a", "meetingId": "1", "meeting_id": "2"}', "given twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "limit"),
    ],
)
def test_lines_that_are_no_json(write: Write, line: str, problem: str) -> None:
    """Broken lines are named, and those around them are read (F141)."""
    ((at, _, told),) = faults(write("m.jsonl", jsonl(OBJECT) + "\n" + line + "\n" + jsonl(OBJECT)))

    assert at == 3
    assert problem in told


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_in_jsonl(write: Write, end: str) -> None:
    """Every kind of line end is one, and U+2028 in a title is none."""
    found = {**OBJECT, "title": "a\u2028b"}
    text = (json.dumps(found, ensure_ascii=False) + "\n" + jsonl(OBJECT)).replace("\n", end)

    inputs = read_changes(write("m.jsonl", text))

    assert inputs.lines == (1, 2)
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
    inputs = read_changes(write("m.jsonl", jsonl({**OBJECT, "title": title})))

    assert inputs.changes[0].update.title == title


def test_ten_thousand_invitees(write: Write) -> None:
    """A huge list takes no more than its share of time (F147)."""
    people = [f"Person {n} <p{n}@x.example>" for n in range(10_000)]
    text = jsonl({**OBJECT, "invitees": people}, {**OBJECT, "invitees": ";".join(people)})

    inputs = read_changes(write("m.jsonl", text))

    assert [len(change.update.invitees) for change in inputs] == [10_000, 10_000]


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
            inputs = read_changes(path)
        finally:
            sys.setprofile(None)
        assert len(inputs) == count
        work.append(calls)

    assert work[1] < 11 * work[0]


def test_several_rows_for_a_meeting(write: Write) -> None:
    """A meeting may stand in several rows; that is noted with both lines (F136)."""
    inputs = read_changes(write("m.csv", csv(ROW, row_with(meeting_id="1"), ROW)))

    assert len(inputs) == 3
    assert [note.line for note in inputs.notes] == [4]
    assert "stands in line 2 already" in inputs.notes[0].problem
    assert "sends its last row only" in inputs.notes[0].problem


@pytest.mark.parametrize(("name", "content"), [("m.csv", csv()), ("m.jsonl", "")])
def test_no_rows(write: Write, name: str, content: str) -> None:
    """A file without rows is fine (F142)."""
    assert len(read_changes(write(name, content))) == 0


def test_unknown_kind_of_file(write: Write) -> None:
    """Other kinds of files are refused by their ending."""
    ((_, _, problem),) = faults(write("m.xls", b"\xd0\xcf\x11\xe0"))

    assert "use .csv, .jsonl or .xlsx" in problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is the system's error, as everywhere in Python."""
    with pytest.raises(FileNotFoundError):
        read_changes(tmp_path / "none.csv")


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
    ((line, field, told),) = faults(sheet(SHEET_HEADER, [cell, *SHEET_ROW[1:]]))

    assert (line, field) == (2, "meeting_id")
    assert problem in told


def test_short_ids_in_a_sheet(sheet: Sheet) -> None:
    """A number cell that has all its digits is an id."""
    inputs = read_changes(sheet(SHEET_HEADER, [123456789012345, *SHEET_ROW[1:]]))

    assert inputs.changes[0].meeting_id == "123456789012345"


def test_date_cells(sheet: Sheet) -> None:
    """Date cells know no offset."""
    row = [*SHEET_ROW]
    row[1] = datetime(2026, 11, 24, 15)  # noqa: DTZ001 - as a spreadsheet has it

    ((line, field, problem),) = faults(sheet(SHEET_HEADER, row))

    assert (line, field) == (2, "start_time")
    assert "make it text such as 2026-11-24T15:00:00+01:00" in problem


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

    assert read_changes(calculated).changes[0].update.title == "2"


def test_formulas_without_a_value(sheet: Sheet) -> None:
    """A formula that was never calculated is not read as an empty cell."""
    path = sheet(SHEET_HEADER, [*SHEET_ROW[:-1], "=1+1"])

    assert faults(path) == [(2, None, "cell F2 holds a formula without a saved value")]


def test_error_cells(sheet: Sheet) -> None:
    """An error in a cell is not read as an empty cell, which would erase the title in Gong."""
    path = sheet(SHEET_HEADER, [*SHEET_ROW[:-1], "#REF!"])

    assert faults(path) == [(2, None, "cell F2 holds an error such as #REF!")]


def test_a_broken_sheet(write: Write) -> None:
    """A file that is no spreadsheet is refused, whatever its name says."""
    ((_, _, problem),) = faults(write("m.xlsx", "meeting_id\n"))

    assert problem.startswith("not a readable .xlsx file")


def test_missing_extra(write: Write) -> None:
    """Without the extra, it is said which one is missing."""
    program = (
        "import sys; sys.modules['python_calamine'] = None\n"
        "from gong_async.bulk.inputs import read_changes\n"
        "read_changes(sys.argv[1])\n"
    )
    path = write("m.xlsx", b"")

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stderr.splitlines()[-1] == (
        f"{ConfigurationError.__module__}.ConfigurationError: reading .xlsx files needs the extra "
        f"xlsx; install it with: {install_command('xlsx')}"
    )


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_the_error_survives(again: Callable[[InputError], InputError]) -> None:
    """InputError survives pickle and copy with all findings."""
    error = InputError("m.csv", [Finding(n, "title", "x") for n in range(5)])

    twin = again(error)

    assert isinstance(twin, ValidationError)
    assert str(twin) == str(error)
    assert twin.findings == error.findings


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
