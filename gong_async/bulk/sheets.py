"""Spreadsheets as rows: the first sheet of an XLSX file. Needs the extra `xlsx`."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from gong_async.bulk.findings import Finding
from gong_async.bulk.tables import Row, table_rows
from gong_async.errors import ConfigurationError

# What Python's zipfile raises for a damaged archive, an encrypted one, or one of a newer kind.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ET.ParseError,
    KeyError,
    EOFError,
    RuntimeError,
    ValueError,
)
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(rb"<c\b([^>]*?)(?:/>|>(.*?)</c>)", re.DOTALL)
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_VALUE = re.compile(rb"<v\b[^>]*>[^<]")


def xlsx_rows(path: Path) -> Iterator[Row | Finding]:
    """Yield the rows of the first sheet; a formula's value is the one that was saved with it.

    Raises:
        ConfigurationError: the extra `xlsx` is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        from gong_async._install import install_command  # noqa: PLC0415 - only then

        advice = f"install it with: {install_command('xlsx')}"
        raise ConfigurationError(f"reading .xlsx files needs the extra xlsx; {advice}") from None
    try:
        with CalamineWorkbook.from_path(path) as book:
            cells: list[list[object]] = [
                list(row) for row in book.get_sheet_by_index(0).to_python(skip_empty_area=False)
            ]
        faulty = list(_without_value(path))
    except (CalamineError, *_BROKEN) as error:
        kind = type(error).__name__
        yield Finding(0, None, f"not a readable .xlsx file ({kind}); open and save it again")
        return
    yield from faulty
    rows: Iterator[tuple[int, Sequence[object]]] = enumerate(cells, start=1)
    yield from table_rows(rows)


def _without_value(path: Path) -> Iterator[Finding]:
    """Find cells that are read as empty and are not: errors such as #REF!, uncalculated formulas.

    An update replaces the meeting, so that a title which quietly went missing would be erased.
    """
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read(_first_sheet(archive))
    for attributes, content in _CELL.findall(sheet):
        erroneous = b't="e"' in attributes
        uncalculated = b"<f" in content and b't="str"' not in attributes
        if not erroneous and not (uncalculated and not _VALUE.search(content)):
            continue
        place = _PLACE.search(attributes)
        if place is not None:
            problem = "an error such as #REF!" if erroneous else "a formula without a saved value"
            cell = (place[1] + place[2]).decode()
            yield Finding(int(place[2]), None, f"cell {cell} holds {problem}")


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheet = ET.fromstring(archive.read("xl/workbook.xml")).find(f"{_MAIN}sheets/{_MAIN}sheet")  # noqa: S314 - Python's expat refuses the known bombs
    wanted = None if sheet is None else sheet.get(_LINK)
    for link in ET.fromstring(archive.read("xl/_rels/workbook.xml.rels")):  # noqa: S314
        if link.get("Id") == wanted:
            target = link.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError(wanted)
