"""Text files as rows: CSV and JSONL, each row with the line in which it begins."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from attrs import define, field

from gong_async.bulk.columns import COLUMNS, REQUIRED, unknown
from gong_async.bulk.findings import Finding

Row = tuple[int, dict[str, object]]
"""The line in which a row begins, and its values under Python names."""

_MOST_SHOWN = 40
_DELIMITERS = ",;\t"
_LINE_END = re.compile(r"\r\n|\r|\n")
_SAVE = "save the file as UTF-8"


def read_text(path: Path) -> str | Finding:
    """Return a file's text: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        return Finding(0, None, "a spreadsheet, not text; name it .xlsx, or export it as UTF-8 CSV")
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return Finding(0, None, f"written in UTF-32; {_SAVE}")
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not marked and len(data) > 1 and (data[0] == 0) != (data[1] == 0):
        return Finding(0, None, f"probably UTF-16 without a byte order mark; {_SAVE}")
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if marked:
            return Finding(0, None, f"begins as UTF-16 and is broken further on; {_SAVE}")
        line = len(_LINE_END.findall(data[: error.start].decode("latin-1"))) + 1
        return Finding(line, None, f"a byte that is not UTF-8; {_SAVE}")


def csv_rows(text: str) -> Iterator[Row | Finding]:
    """Yield the rows of a CSV file, separated by comma, semicolon or tab; blank ones are left out.

    A row is never guessed at: one whose quotes do not close ends the reading with a finding.
    """
    return table_rows(_csv_cells(text))


def jsonl_rows(text: str) -> Iterator[Row | Finding]:
    """Yield the objects of a file with one JSON object a line; blank lines are left out."""
    # Not `splitlines`: U+2028 and its like may stand in the middle of a JSON string.
    for line, content in enumerate(_LINE_END.split(text), start=1):
        if not content.strip():
            continue
        yield from object_row(line, content)


def object_row(line: int, content: str) -> Iterator[Row | Finding]:
    """Yield the JSON object in `content` as a row, or what is wrong with it."""
    try:
        found: object = json.loads(
            content,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_once_each,
        )
    except json.JSONDecodeError as error:
        yield Finding(line, None, f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        yield Finding(line, None, "nested too deeply")
    except ValueError as error:
        yield Finding(line, None, str(error))
    else:
        yield from _known(line, found)


def table_rows(rows: Iterable[tuple[int, Sequence[object]] | Finding]) -> Iterator[Row | Finding]:
    """Yield the rows below a header as values under Python names.

    Cells are text, "" standing for nothing, or whatever a spreadsheet holds.
    """
    header: Header | None = None
    for item in rows:
        if isinstance(item, Finding):
            yield item
            continue
        line, cells = item
        if all(cell == "" or (isinstance(cell, str) and not cell.strip()) for cell in cells):
            continue
        if header is not None:
            yield from header.row(line, cells)
            continue
        header = Header(line, cells)
        yield from header.findings
        if header.unusable:
            return
    if header is None:
        yield Finding(0, None, f"no header; the first row names the columns: {', '.join(REQUIRED)}")


@define
class Header:
    """The first row of a table: which column is which field."""

    line: int
    cells: Sequence[object]
    findings: list[Finding] = field(factory=list, init=False)
    unusable: bool = field(default=False, init=False)
    """A required column is missing, so that no row below can be read."""
    _fields: list[str | None] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        for cell in self.cells:
            self._fields.append(self._field(str(cell).strip()))
        for name in REQUIRED:
            if name not in self._fields:
                self.unusable = True
                self.findings.append(Finding(self.line, name, "the column is missing"))

    def row(self, line: int, cells: Sequence[object]) -> Iterator[Row | Finding]:
        """Yield the row, or what is wrong with its shape."""
        if len(cells) != len(self._fields):
            problem = f"{len(cells)} cells, but the header has {len(self._fields)}"
            yield Finding(line, None, f"{problem}; text with the separator in it needs quotes")
            return
        values: dict[str, object] = {}
        broken = False
        for name, cell in zip(self._fields, cells, strict=True):
            if isinstance(cell, str) and "\0" in cell:
                broken = True
                yield Finding(line, name, "holds a NUL byte")
            elif name is None and cell != "":
                broken = True
                yield Finding(line, None, "a value in a column without a usable name")
            elif name is not None and (cell != "" or name == "invitees"):
                values[name] = cell
        if not broken:
            yield line, values

    def _field(self, name: str) -> str | None:
        if not name:
            return None
        found = COLUMNS.get(name)
        if found is None:
            self.findings.append(Finding(self.line, None, f"the column {unknown(name)}"))
        elif found in self._fields:
            self.findings.append(Finding(self.line, found, "the column stands twice"))
        return found


def _csv_cells(text: str) -> Iterator[tuple[int, Sequence[object]] | Finding]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Finding(line, None, f"broken CSV ({error}); nothing below was read")
            return
        yield line, cells


def _delimiter(text: str) -> str:
    """Return what separates the names of the header."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")

    def names(delimiter: str) -> int:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        return sum(cell.strip() in COLUMNS for cell in cells)

    return max(_DELIMITERS, key=names)


def _known(line: int, found: object) -> Iterator[Row | Finding]:
    if not isinstance(found, dict):
        yield Finding(line, None, "JSON, but not an object")
        return
    values: dict[str, object] = {}
    broken = False
    for key, value in found.items():
        name = COLUMNS.get(key)
        if name is None or name in values:
            broken = True
            problem = f"the key {unknown(key)}" if name is None else "given twice"
            yield Finding(line, name, problem)
        else:
            values[name] = value
    if not broken:
        yield line, values


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:_MOST_SHOWN]!a} stands twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
