"""Times of input files: local times of a zone, other formats, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest

from gong_async import ConfigurationError
from gong_async.inputs.reader import InputError, read_changes

HEADER = ["meeting_id", "start_time", "end_time", "organizer_email", "invitees"]
LATER = "2030-01-01T00:00:00Z"
WINTER, SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))
THREE = datetime(2026, 11, 24, 15, tzinfo=WINTER)


def start_of(folder: Path, cell: object, **options: Any) -> datetime:
    """Read one row that starts at a time."""
    row = ["7782342274025937895", cell, LATER, "dana@example.com", ""]
    if isinstance(cell, str):
        path = folder / "meetings.csv"
        path.write_text(";".join(HEADER) + "\n" + ";".join(map(str, row)) + "\n")
    else:
        path = folder / "meetings.xlsx"
        book = openpyxl.Workbook()
        assert book.active is not None
        book.active.append(HEADER)
        book.active.append(row)
        book.save(path)
    (change,) = read_changes(path, **options)
    return change.update.start_time


def problem_of(folder: Path, cell: object, **options: Any) -> str:
    """Read one row whose start cannot be right."""
    with pytest.raises(InputError) as caught:
        start_of(folder, cell, **options)
    (finding,) = caught.value.findings
    assert (finding.line, finding.field) == (2, "start_time")
    return finding.problem


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24 15:00:00",  # Google Sheets, pandas, MySQL
        "2026-11-24T15:00",
        "2026-11-24 15:00:00.0000000",  # SQL Server
        "2026-11-24 15:00:00,000",
        "2026/11/24 15:00",
        "2026.11.24 15:00:00",
        "2026-11-24 3:00 PM",
        "2026-11-24 3:00:00 pm",
        "20261124T150000",
        "2026-W48-2T15:00",
    ],
)
def test_local_times(tmp_path: Path, text: str) -> None:
    """Year, month and day in this order have one meaning, which the zone completes."""
    found = start_of(tmp_path, text, timezone="Europe/Berlin")

    assert (found, found.utcoffset()) == (THREE, timedelta(hours=1))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T14:00:00Z",
        "2026-11-24 14:00:00 UTC",
        "2026-11-24 15:00:00 +01:00",
        "2026-11-24 15:00:00.0000000 +01:00",
        "2026-11-24 15:00:00+01",
        "2026-11-24 9:00:00 -0500",
    ],
)
def test_an_offset_counts_more_than_the_zone(tmp_path: Path, text: str) -> None:
    """A time with an offset is read as it is written."""
    assert start_of(tmp_path, text, timezone="Asia/Tokyo") == THREE
    assert start_of(tmp_path, text) == THREE


@pytest.mark.parametrize(("hour", "text"), [(0, "12:05 AM"), (12, "12:05 PM"), (9, "9:05")])
def test_hours(tmp_path: Path, hour: int, text: str) -> None:
    """Midnight and noon are 12 AM and 12 PM; an hour may have one digit."""
    found = start_of(tmp_path, f"2026-11-24 {text}", timezone="Europe/Berlin")

    assert found == THREE.replace(hour=hour, minute=5)


def test_each_day_has_its_offset(tmp_path: Path) -> None:
    """The offset is that of the date, not of today."""
    found = start_of(tmp_path, "2026-07-01 15:00", timezone="Europe/Berlin")

    assert found.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("minute", range(60))
def test_date_cells(tmp_path: Path, minute: int) -> None:
    """A date cell is exact to the second, although most minutes of a day have no exact number."""
    wall = datetime(2026, 11, 24, 15, minute, 7)  # noqa: DTZ001 - as a spreadsheet has it

    assert start_of(tmp_path, wall, timezone="Europe/Berlin") == wall.replace(tzinfo=WINTER)


def test_midnight_in_a_date_cell(tmp_path: Path) -> None:
    """A cell that shows a clock may show midnight."""
    wall = datetime(2026, 11, 24)  # noqa: DTZ001 - as a spreadsheet has it

    assert start_of(tmp_path, wall, timezone="Europe/Berlin") == wall.replace(tzinfo=WINTER)


@pytest.mark.parametrize(
    "code", ['yyyy-mm-dd"T"hh:mm:ss"Z"', "yyyy-mm-dd hh:mm\\Z", 'd.m.yy h:mm "UTC"']
)
def test_date_cells_that_show_a_zone(tmp_path: Path, code: str) -> None:
    """The zone is a text of the format: the cell shows UTC, and would be read as a local time."""
    path = tmp_path / "meetings.xlsx"
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(HEADER)
    wall = datetime(2026, 11, 24, 15)  # noqa: DTZ001 - as a spreadsheet has it
    book.active.append(["1", wall, LATER, "dana@example.com", ""])
    book.active["B2"].number_format = code
    book.save(path)

    with pytest.raises(InputError, match="a date cell whose format shows UTC"):
        read_changes(path, timezone="Europe/Berlin").check()


def test_days_since_1904(tmp_path: Path) -> None:
    """A workbook says from when it counts days."""
    path = tmp_path / "meetings.xlsx"
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    assert book.active is not None
    book.active.append(HEADER)
    wall = datetime(2026, 11, 24, 15)  # noqa: DTZ001 - as a spreadsheet has it
    book.active.append(["1", wall, wall + timedelta(hours=1), "dana@example.com", ""])
    book.save(path)

    (change,) = read_changes(path, timezone="Europe/Berlin")

    assert change.update.start_time == THREE


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (date(2026, 11, 24), "a date without a time of day; format the cell as date and time"),
        (time(15), "a time of day without a date; format the cell as date and time"),
        (46350.625, "a number; format the cell as date and time"),
    ],
)
def test_cells_that_are_half_a_time(tmp_path: Path, cell: object, problem: str) -> None:
    """Neither midnight nor today is guessed."""
    assert problem_of(tmp_path, cell, timezone="Europe/Berlin") == problem


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        (
            "01/02/2026 15:00",
            (
                "may be 1 February 2026 or 2 January 2026; name the format (--date-format, "
                "date_format=): '%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'"
            ),
        ),
        (
            "1/2/26 3:00 PM",
            (
                "may be 1 February 2026 or 2 January 2026; name the format (--date-format, "
                "date_format=): '%d/%m/%y %I:%M %p' or '%m/%d/%y %I:%M %p'"
            ),
        ),
        (
            "24.11.2026 15:00:00",
            (
                "is 24 November 2026; name the format (--date-format, date_format=): "
                "'%d.%m.%Y %H:%M:%S'"
            ),
        ),
        (
            "26-11-24 15:00",
            (
                "may be 26 November 2024 or 24 November 2026; name the format (--date-format, "
                "date_format=): '%d-%m-%y %H:%M' or '%y-%m-%d %H:%M'"
            ),
        ),
    ],
)
def test_dates_of_which_the_format_is_not_named(tmp_path: Path, text: str, reading: str) -> None:
    """The finding has both readings, and the format for each."""
    assert problem_of(tmp_path, text, timezone="Europe/Berlin") == f"{text} {reading}"


@pytest.mark.parametrize(
    ("text", "date_format"),
    [
        ("24.11.2026 15:00", "%d.%m.%Y %H:%M"),
        ("11/24/26 3:00 PM", "%m/%d/%y %I:%M %p"),
        ("24-NOV-26 03.00.00 PM", "%d-%b-%y %I.%M.%S %p"),  # Oracle
        ("24.11.2026 16:00 +0200", "%d.%m.%Y %H:%M %z"),
        ("2026-24-11 15:00", "%Y-%d-%m %H:%M"),
        ("2026-11-24T14:00:00Z", "%d.%m.%Y %H:%M"),
    ],
)
def test_a_format_that_is_named(tmp_path: Path, text: str, date_format: str) -> None:
    """A format has one reading; ISO-8601 with an offset is read besides."""
    options = {"timezone": "Europe/Berlin", "date_format": date_format}

    assert start_of(tmp_path, text, **options) == THREE


@pytest.mark.parametrize(
    ("text", "date_format"),
    [("2026-11-24 15:00", "%d.%m.%Y %H:%M"), ("2026-11-24 15:00", "%Y-%d-%m %H:%M")],
)
def test_other_times_than_the_format(tmp_path: Path, text: str, date_format: str) -> None:
    """One column is not read in two ways."""
    options = {"timezone": "Europe/Berlin", "date_format": date_format}

    assert problem_of(tmp_path, text, **options) == f"{text} is not of the format {date_format}"


@pytest.mark.parametrize(
    ("text", "zone", "problem"),
    [
        (
            "2026-03-29 02:30",
            "Europe/Berlin",
            (
                "2026-03-29 02:30:00 does not exist in Europe/Berlin: the clocks are set "
                "forward from 02:00 to 03:00 on 2026-03-29; correct it"
            ),
        ),
        (
            "2026-10-25 02:30",
            "Europe/Berlin",
            (
                "2026-10-25 02:30:00 comes twice in Europe/Berlin: the clocks are set "
                "back from 03:00 to 02:00 on 2026-10-25; write 2026-10-25T02:30:00+02:00 or "
                "2026-10-25T02:30:00+01:00"
            ),
        ),
        (
            "2026-04-05 01:45",
            "Australia/Lord_Howe",
            (
                "2026-04-05 01:45:00 comes twice in Australia/Lord_Howe: the clocks are set "
                "back from 02:00 to 01:30 on 2026-04-05; write 2026-04-05T01:45:00+11:00 or "
                "2026-04-05T01:45:00+10:30"
            ),
        ),
        (
            "2011-12-30 12:00",
            "Pacific/Apia",
            (
                "2011-12-30 12:00:00 does not exist in Pacific/Apia: the clocks are set "
                "forward from 00:00 to 2011-12-31 00:00 on 2011-12-30; correct it"
            ),
        ),
        (
            "1850-01-01 00:00",
            "Europe/Berlin",
            "1850-01-01 00:00:00 is from before there was standard time in Europe/Berlin",
        ),
    ],
)
def test_times_that_a_zone_lacks_or_has_twice(
    tmp_path: Path, text: str, zone: str, problem: str
) -> None:
    """The finding names the change of the clocks, and both instants."""
    assert problem_of(tmp_path, text, timezone=zone) == problem


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-03-29 01:59:59", datetime(2026, 3, 29, 1, 59, 59, tzinfo=WINTER)),
        ("2026-03-29 03:00", datetime(2026, 3, 29, 3, tzinfo=SUMMER)),
        ("2026-10-25 01:59:59", datetime(2026, 10, 25, 1, 59, 59, tzinfo=SUMMER)),
        ("2026-10-25 03:00", datetime(2026, 10, 25, 3, tzinfo=WINTER)),
        ("2026-10-25T02:30:00+02:00", datetime(2026, 10, 25, 2, 30, tzinfo=SUMMER)),
    ],
)
def test_times_beside_a_change_of_the_clocks(tmp_path: Path, text: str, found: datetime) -> None:
    """Only the hour itself is in doubt, and only without an offset."""
    assert start_of(tmp_path, text, timezone="Europe/Berlin") == found


@pytest.mark.parametrize("text", ["2026-11-24", "20261124", "2026-W48-2"])
def test_days(tmp_path: Path, text: str) -> None:
    """A day is not taken for its midnight."""
    problem = problem_of(tmp_path, text, timezone="Europe/Berlin")

    assert problem.startswith(f"{text} is a date with no time of day")


@pytest.mark.parametrize("text", ["dana@example.com", "Secret title", "3 people: Dana, Lee"])
def test_what_is_no_time_is_not_repeated(tmp_path: Path, text: str) -> None:
    """A column may be another one than it says."""
    assert problem_of(tmp_path, text).startswith("not an ISO-8601 time; write 2026-11-24T")


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("Europe/Berln", "there is no time zone 'Europe/Berln'; did you mean Europe/Berlin?"),
        ("EST", "EST has no daylight saving time; name a place, America/New_York for example"),
        ("GMT+1", "there is no time zone 'GMT+1'; did you mean Europe/Berlin?"),
        ("PST", "there is no time zone 'PST'; did you mean Europe/Berlin?"),
        ("utc", "there is no time zone 'utc'; did you mean UTC?"),
        ("Etc/GMT+1", "Etc/GMT+1 is UTC-1, not what it seems; name a place, or write offsets"),
        ("../etc/passwd", "there is no time zone '../etc/passwd'"),
        ("Europe", "there is no time zone 'Europe'"),
        ("", "there is no time zone ''"),
    ],
)
def test_zones_that_there_are_not(tmp_path: Path, zone: str, problem: str) -> None:
    """An unknown zone is an error of the call, not of each row."""
    with pytest.raises(ConfigurationError) as caught:
        read_changes(tmp_path / "meetings.csv", timezone=zone)

    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    "date_format", ["%d.%m.%Y", "%d.%m. %H:%M", "%d.%m.%Y %I:%M", "%d.%m.%Y %H:%M %Z", "%", "x"]
)
def test_formats_that_lose_something(tmp_path: Path, date_format: str) -> None:
    """A format without a year, a minute or AM and PM would read a wrong time."""
    with pytest.raises(ConfigurationError, match="is not one of date, hour and minute"):
        read_changes(tmp_path / "meetings.csv", date_format=date_format)


@pytest.mark.parametrize(
    ("date_format", "problem"),
    [
        ("%d.%m.%Y %H:%M %p", "is not one of date, hour and minute"),
        ("%Y-%m-%dT%H:%M:%SZ", "passes over the offset Z; write %z"),
        ("%d.%m.%Y %H:%M UTC", "passes over the offset UTC; write %z"),
        ("%d.%m.%Y %H:%M +02:00", r"passes over the offset \+02:00; write %z"),
    ],
)
def test_formats_that_pass_over_something(tmp_path: Path, date_format: str, problem: str) -> None:
    """PM beside an hour of 24, and an offset as text, would change the time without a word."""
    with pytest.raises(ConfigurationError, match=problem):
        read_changes(tmp_path / "m.csv", timezone="Europe/Berlin", date_format=date_format)


@pytest.mark.parametrize(
    ("text", "date_format"),
    [
        ("24112026 1500", "%d%m%Y %H%M"),
        ("20261124150000.123+01:00", "%Y%m%d%H%M%S.%f%z"),
        ("Tue 24/11/2026 15:00 Uhr", "%a %d/%m/%Y %H:%M Uhr"),
        ("TUESDAY, 24 Nov 2026 15:00 GMT+0100", "%A, %d %b %Y %H:%M GMT%z"),
    ],
)
def test_formats_of_other_programs(tmp_path: Path, text: str, date_format: str) -> None:
    """Numbers without separators have all their digits, and a day of the week agrees."""
    found = start_of(tmp_path, text, timezone="Europe/Berlin", date_format=date_format)

    assert found.replace(microsecond=0) == THREE


def test_utc_as_text_in_the_zone_utc(tmp_path: Path) -> None:
    """The zone says what the text says."""
    options = {"timezone": "UTC", "date_format": "%d.%m.%Y %H:%M UTC"}

    assert start_of(tmp_path, "24.11.2026 14:00 UTC", **options) == THREE


@pytest.mark.parametrize(
    ("text", "date_format"),
    [("1022027 1500", "%d%m%Y %H%M"), ("01.02.2027 115", "%d.%m.%Y %H%M")],
)
def test_numbers_that_lost_their_leading_zeros(tmp_path: Path, text: str, date_format: str) -> None:
    """1 February 2027 without its zero would be 10 February."""
    options = {"timezone": "Europe/Berlin", "date_format": date_format}

    problem = problem_of(tmp_path, text, **options)

    assert problem == f"{text} is without leading zeros, so that it has several meanings"


def test_another_day_of_the_week(tmp_path: Path) -> None:
    """It shows that day and month are in another order than the format has them."""
    options = {"timezone": "Europe/Berlin", "date_format": "%a %d/%m/%Y %H:%M"}

    problem = problem_of(tmp_path, "Tue 01/02/2027 15:00", **options)

    assert problem == "the date is a Monday, and the text has another day of the week"


@pytest.mark.parametrize("text", ["2026-11-24 15.30", "2026-11-24T15,5", "2026-11-24 15:30.5Z"])
def test_fractions_of_an_hour_or_minute(tmp_path: Path, text: str) -> None:
    """A dot between hours and minutes would be read as a fraction of a second."""
    problem = problem_of(tmp_path, text, timezone="Europe/Berlin")

    assert problem.startswith(f"{text} is not an ISO-8601 time")
