"""What programs write when one table of meetings is exported, and what becomes of each file.

The table has one meeting, at 15:00 in Berlin. A variant is read as that meeting, or refused with
the words that are given. Text is written with Python's `csv`, spreadsheets with openpyxl.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from attrs import field, frozen

from gong_async import Invitee, MeetingChange, MeetingUpdate
from gong_async.inputs.reader import InputError, read_changes

ID = "7782342274025937895"
FIELDS = ("meeting_id", "start_time", "end_time", "organizer_email", "invitees", "title")
START = datetime(2026, 11, 24, 15)  # noqa: DTZ001 - a local time, as in a spreadsheet
END = START + timedelta(minutes=45)
TITLE = 'Müller, "Renewal"'
PEOPLE = "lee@customer.example; ana@customer.example"
LOCAL = {"timezone": "Europe/Berlin"}
READ = ""


@frozen
class Variant:
    """A file, and what becomes of it."""

    program: str
    content: bytes
    becomes: str = READ
    """Words of the finding; empty for a file that is read."""
    options: Mapping[str, Any] = field(factory=dict)
    suffix: str = ".csv"


def table(
    start: str,
    end: str,
    *,
    header: Sequence[str] = FIELDS,
    people: str = PEOPLE,
    encoding: str = "utf-8",
    before: str = "",
    meeting_id: str = ID,
    **dialect: Any,
) -> bytes:
    """Write the table as CSV."""
    target = io.StringIO(newline="")
    target.write(before)
    writer = csv.writer(target, **dialect)
    writer.writerow(header)
    writer.writerow([meeting_id, start, end, "dana@example.com", people, TITLE])
    return target.getvalue().encode(encoding)


def sheet(
    start: object,
    end: object,
    *,
    header: Sequence[str] = FIELDS,
    meeting_id: object = ID,
    date_format: str = "",
) -> bytes:
    """Write the table as a spreadsheet."""
    book, target = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(header)
    book.active.append([meeting_id, start, end, "dana@example.com", PEOPLE, TITLE])
    if date_format:
        for cell in book.active[2][1:3]:
            cell.number_format = date_format
    book.save(target)
    return target.getvalue()


def lines(**values: object) -> bytes:
    """Write the table as JSON, one object a line."""
    row = dict(zip(FIELDS, (ID, None, None, "dana@example.com", PEOPLE, TITLE), strict=True))
    return (json.dumps(row | values) + "\n").encode()


ISO = ("2026-11-24T15:00:00+01:00", "2026-11-24T15:45:00+01:00")
SPACED = ("2026-11-24 15:00:00", "2026-11-24 15:45:00")
GERMAN = ("24.11.2026 15:00", "24.11.2026 15:45")
AMERICAN = ("11/24/2026 3:00 PM", "11/24/2026 3:45 PM")
SHORT = ("11/24/26 15:00", "11/24/26 15:45")
PLAIN = ("2026-11-24T15:00:00", "2026-11-24T15:45:00")
UTC = ("2026-11-24 14:00:00 UTC", "2026-11-24 14:45:00 UTC")
OUTLOOK = ("Call Id", "Start", "End", "Organizer", "Required attendees", "Subject")
OUTLOOK_MAP = dict(zip(OUTLOOK, FIELDS, strict=True))

VARIANTS = (
    Variant("Excel: CSV UTF-8", table(*ISO, encoding="utf-8-sig")),
    Variant("Excel, German: CSV UTF-8", table(*ISO, encoding="utf-8-sig", delimiter=";")),
    Variant(
        "Excel, German: dates of the country",
        table(*GERMAN, encoding="utf-8-sig", delimiter=";"),
        "24.11.2026 15:00 is 24 November 2026; name the format",
        LOCAL,
    ),
    Variant(
        "Excel, German: dates of the country, named",
        table(*GERMAN, encoding="utf-8-sig", delimiter=";"),
        options={**LOCAL, "date_format": "%d.%m.%Y %H:%M"},
    ),
    Variant(
        "Excel, American: dates of the country",
        table(*SHORT, encoding="utf-8-sig"),
        "11/24/26 15:00 is 24 November 2026; name the format",
        LOCAL,
    ),
    Variant(
        "Excel, American: dates of the country, named",
        table(*AMERICAN, encoding="utf-8-sig"),
        options={**LOCAL, "date_format": "%m/%d/%Y %I:%M %p"},
    ),
    Variant("Excel: CSV of the code page", table(*ISO, encoding="cp1252"), "not UTF-8"),
    Variant(
        "Excel: CSV of the code page, named",
        table(*ISO, encoding="cp1252"),
        options={"encoding": "cp1252"},
    ),
    Variant("Excel: Unicode text", table(*ISO, encoding="utf-16", delimiter="\t")),
    Variant(
        "Excel: a line that names the separator", table(*ISO, before="sep=|\r\n", delimiter="|")
    ),
    Variant("Excel: ids as numbers", table(*ISO, meeting_id="7.78234E+18"), "digits are lost"),
    Variant("Excel: text cells", sheet(*ISO), suffix=".xlsx"),
    Variant("Excel: date cells", sheet(START, END), options=LOCAL, suffix=".xlsx"),
    Variant(
        "Excel: date cells, without a zone", sheet(START, END), "has no UTC offset", suffix=".xlsx"
    ),
    Variant(
        "Excel: date cells that show no clock",
        sheet(START, END, date_format="dd.mm.yyyy"),
        options=LOCAL,
        suffix=".xlsx",
    ),
    Variant(
        "Excel: days without a time",
        sheet(START.date(), END.date()),
        "a date without a time of day",
        LOCAL,
        ".xlsx",
    ),
    Variant(
        "Excel: dates that became numbers",
        sheet(46350.625, 46350.65625),
        "a number; format the cell as date and time",
        LOCAL,
        ".xlsx",
    ),
    Variant(
        "Excel: ids as number cells",
        sheet(*ISO, meeting_id=int(ID)),
        "keeps only 15 digits",
        suffix=".xlsx",
    ),
    Variant("Google Sheets: CSV", table(*SPACED), options=LOCAL),
    Variant(
        "Google Sheets: CSV, morning hours",
        table("2026-11-24 9:00:00", "2026-11-24 9:45:00"),
        options={"timezone": "America/New_York"},
    ),
    Variant("Google Sheets: TSV", table(*SPACED, delimiter="\t"), options=LOCAL, suffix=".tsv"),
    Variant(
        "Google Sheets: XLSX",
        sheet(START, END, date_format="yyyy-mm-dd hh:mm:ss"),
        options=LOCAL,
        suffix=".xlsx",
    ),
    Variant("LibreOffice: CSV, all quoted", table(*SPACED, quoting=csv.QUOTE_ALL), options=LOCAL),
    Variant("LibreOffice: CSV between tabs", table(*PLAIN, delimiter="\t"), options=LOCAL),
    Variant(
        "LibreOffice: CSV in single quotes",
        table(*ISO, quotechar="'", delimiter=";"),
        "a quote in a cell without quotes",
    ),
    Variant("Numbers: CSV", table(*SPACED, delimiter=";", lineterminator="\n"), options=LOCAL),
    Variant("pandas: to_csv", table(*SPACED, lineterminator="\n"), options=LOCAL),
    Variant(
        "pandas: to_csv of aware times",
        table("2026-11-24 15:00:00+01:00", "2026-11-24 15:45:00+01:00"),
    ),
    Variant(
        "pandas: to_csv, compressed", gzip.compress(table(*SPACED)), options=LOCAL, suffix=".csv.gz"
    ),
    Variant(
        "pandas: ids as floats",
        table(*ISO, meeting_id="7782342274025937920.0"),
        "what a spreadsheet made of an id",
    ),
    Variant(
        "pandas: to_json",
        lines(start_time=PLAIN[0], end_time=PLAIN[1] + ".000"),
        options=LOCAL,
        suffix=".jsonl",
    ),
    Variant(
        "pandas: to_json of milliseconds",
        lines(start_time=1_795_532_400_000, end_time=1_795_535_100_000),
        "a number",
        suffix=".jsonl",
    ),
    Variant("PostgreSQL: COPY", table("2026-11-24 15:00:00+01", "2026-11-24 15:45:00+01")),
    Variant("MySQL: without a zone", table("2026-11-24 15:00:00.000000", SPACED[1]), options=LOCAL),
    Variant(
        "SQL Server: datetimeoffset",
        table("2026-11-24 15:00:00.0000000 +01:00", "2026-11-24 15:45:00.0000000 +01:00"),
    ),
    Variant(
        "Oracle: NLS format",
        table("24-NOV-26 03.00.00 PM", "24-NOV-26 03.45.00 PM"),
        "not an ISO-8601 time",
        LOCAL,
    ),
    Variant(
        "Oracle: NLS format, named",
        table("24-NOV-26 03.00.00 PM", "24-NOV-26 03.45.00 PM"),
        options={**LOCAL, "date_format": "%d-%b-%y %I.%M.%S %p"},
    ),
    Variant("BigQuery: CSV", table(*UTC)),
    Variant("Snowflake: CSV", table("2026-11-24 15:00:00.000 +0100", "2026-11-24 15:45:00 +0100")),
    Variant(
        "DuckDB: JSON",
        lines(start_time=SPACED[0], end_time=SPACED[1]),
        options=LOCAL,
        suffix=".jsonl",
    ),
    Variant(
        "Salesforce: names and a zone of its own",
        table(
            "2026-11-24T14:00:00.000Z",
            "2026-11-24T14:45:00.000Z",
            header=("Meeting ID", "START TIME", "End-Time", "Organizer Email", "Invitees", "Title"),
        ),
    ),
    Variant("Outlook: names", table(*AMERICAN, header=OUTLOOK), "the column is missing", LOCAL),
    Variant(
        "Outlook: names, mapped",
        table(*AMERICAN, header=OUTLOOK, people=PEOPLE.replace(";", ",")),
        options={**LOCAL, "date_format": "%m/%d/%Y %I:%M %p", "columns": OUTLOOK_MAP},
    ),
    Variant("German names", table(*ISO, header=(*FIELDS[:5], "Titel")), "did you mean title?"),
)

WANTED = MeetingChange(
    meeting_id=ID,
    update=MeetingUpdate(
        start_time=datetime.fromisoformat(ISO[0]),
        end_time=datetime.fromisoformat(ISO[1]),
        organizer_email="dana@example.com",
        invitees=[Invitee(email=each) for each in PEOPLE.split("; ")],
        title=TITLE,
    ),
)


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.program for variant in VARIANTS])
def test_variants(variant: Variant, tmp_path: Path) -> None:
    """Each is read as the meeting that was meant, or refused: never as another one."""
    path = tmp_path / f"meetings{variant.suffix}"
    path.write_bytes(variant.content)

    if variant.becomes:
        with pytest.raises(InputError) as caught:
            list(read_changes(path, **variant.options))
        assert any(variant.becomes in finding.problem for finding in caught.value.findings)
        return

    assert list(read_changes(path, **variant.options)) == [WANTED]


def test_there_are_enough() -> None:
    """Names are unique; both ends are among them."""
    assert len({variant.program for variant in VARIANTS}) == len(VARIANTS) >= 40
    assert len([variant for variant in VARIANTS if variant.becomes]) >= 10
