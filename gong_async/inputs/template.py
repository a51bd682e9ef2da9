"""Templates of input files, as CSV and as a spreadsheet, with an example row and comments."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO
from xml.sax.saxutils import escape

from gong_async.inputs.columns import OPTIONAL, REQUIRED
from gong_async.inputs.table import COMMENT

_NAMES = (*REQUIRED, *OPTIONAL)
_EXAMPLE = {
    "meeting_id": "1234567890123456789",
    "organizer_email": "dana@example.com",
    "invitees": "Lee <lee@customer.example>; ana@customer.example",
    "title": "Renewal",
    "external_id": "crm-1",
    "provider": "zoom",
}
_NOTES = (
    "One row is one meeting. It replaces the whole meeting: an empty cell clears what Gong has.",
    "meeting_id is text of 1 to 20 digits. A number cell keeps only 15 of them.",
    "organizer_email is the Gong user who owns the meeting.",
    "invitees are separated by semicolons. The cell may be empty.",
    "title and external_id and provider may be left out: remove the column.",
    "Replace the example row. Lines such as these above the header may stay.",
)
_TIMES_AS_TEXT = "start_time and end_time have a UTC offset. Without one, use --timezone."
_TIMES_AS_DATES = "start_time and end_time are local times: use --timezone to name where."
_START, _LENGTH = timedelta(hours=15), timedelta(minutes=45)

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets have no zones
_PLAIN, _TEXT, _TIME, _BOLD = range(4)
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><numFmts count="1">'
    '<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    "<borders><border><left/><right/><top/><bottom/><diagonal/></border></borders>"
    '<cellStyleXfs><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs>'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '</cellXfs><cellStyles><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Meetings" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/styles.xml": _STYLES,
}
"""All but the sheet: the least that spreadsheet programs open (ECMA-376, part 1)."""


def csv_template(day: datetime) -> str:
    """Return a CSV file with comments and a meeting on an aware day as the example."""
    start = day + _START
    times = {"start_time": start.isoformat(), "end_time": (start + _LENGTH).isoformat()}
    values = _EXAMPLE | times
    lines = [*(f"{COMMENT}{note}" for note in (*_NOTES, _TIMES_AS_TEXT))]
    lines += [",".join(_NAMES), ",".join(values[name] for name in _NAMES)]
    return "".join(f"{line}\r\n" for line in lines)


def write_xlsx_template(file: BinaryIO, day: datetime) -> None:
    """Write the same as a spreadsheet, whose columns are formatted as text and as dates."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (*_PARTS.items(), ("xl/worksheets/sheet1.xml", _sheet(day))):
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>\n' + text)


def _sheet(day: datetime) -> str:
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{48 if name == "invitees" else 22}" '
        f'style="{_TIME if name.endswith("_time") else _TEXT}" customWidth="1"/>'
        for number, name in enumerate(_NAMES, 1)
    )
    rows = "".join(f"<row>{''.join(cells)}</row>" for cells in _rows(day))
    table = f"<cols>{columns}</cols><sheetData>{rows}</sheetData>"
    return f'<worksheet xmlns="{_MAIN}">{table}</worksheet>'


def _rows(day: datetime) -> Iterator[list[str]]:
    for note in (*_NOTES, _TIMES_AS_DATES):
        yield [_text(f"{COMMENT}{note}", _PLAIN)]
    yield [_text(name, _BOLD) for name in _NAMES]
    start = day.replace(tzinfo=None) + _START
    times = {"start_time": start, "end_time": start + _LENGTH}
    yield [_date(times[name]) if name in times else _text(_EXAMPLE[name], _TEXT) for name in _NAMES]


def _text(text: str, style: int) -> str:
    return f'<c s="{style}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def _date(moment: datetime) -> str:
    return f'<c s="{_TIME}"><v>{(moment - _EPOCH) / timedelta(days=1)!r}</v></c>'
