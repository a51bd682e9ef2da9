"""Text files as rows: CSV and JSONL, each row with the line in which it begins."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

from attrs import define, field

from gong_async.errors import ConfigurationError
from gong_async.inputs.columns import Columns
from gong_async.inputs.findings import Finding
from gong_async.inputs.rows import Unusable, read_json
from gong_async.inputs.table import COMMENT, Row, table_rows

Record = tuple[int, list[object]]
"""The line in which a row begins, and its cells."""
_NULL = "\\N"
_DELIMITERS = ",;\t|"
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_SEPARATOR = re.compile(r'"?sep=([^"\r\n])"?\1*\s*', re.IGNORECASE)
"""Some programs add separators to it until it is as long as the other rows."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAMPLE = 1 << 20
"""Bytes that are compared with an encoding."""
_HIGH_BYTES = bytes(range(0x80, 0x100))
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_ONE_A_LINE = "; each line is one object, as `jq -c` writes them"
_SAVE = "save the file as UTF-8"
GZIP = ".gz"
_MOST_INFLATED = 2_000_000_000
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
_NO_GZIP = (
    f"broken or cut off, not gzip, or of more than {_MOST_INFLATED:,} bytes without compression"
)
_MOST_CHARACTERS = 4_000_000
"""Of a line or a row: what is longer was not meant to be one."""


class _Overlong(Exception):  # noqa: N818 - it never leaves this file
    """A line is too long to be read."""


class _Inflated(gzip.GzipFile):
    """A compressed file, as far as it may grow."""

    def read1(self, size: int = -1) -> bytes:
        if self.tell() > _MOST_INFLATED:
            raise EOFError
        return super().read1(size)


def _opened(path: Path) -> io.BufferedReader | _Inflated:
    return _Inflated(path) if path.suffix.lower() == GZIP else path.open("rb")


@contextmanager
def open_text(path: Path, encoding: str | None) -> Iterator[TextIO | Finding]:
    """Open a text file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Another encoding is never guessed. Bytes that it does not have come as lone surrogates. Line
    ends are kept.

    Raises:
        ConfigurationError: there is no such encoding.
    """
    with _opened(path) as file:
        problem: str | None
        try:
            head = file.peek(6)[:6]
        except _BROKEN_GZIP:
            head, problem = b"", _NO_GZIP
        else:
            problem = _not_text(head, encoding)
            if problem is None and encoding is not None and _is_utf_8(path, encoding):
                problem = f"UTF-8, not {encoding}; read it without another encoding"
        if problem is not None:
            yield Finding(0, None, problem)
            return
        chosen = (
            ("utf-16" if head.startswith(_UTF_16) else "utf-8-sig")
            if encoding is None
            else encoding
        )
        try:
            text = io.TextIOWrapper(file, chosen, "surrogateescape", newline="")
        except (LookupError, ValueError):
            text = None
        if text is None:
            raise ConfigurationError(
                f"there is no text encoding {encoding!a}; give one that Python knows, for example "
                "cp1252"
            )
        with text:
            yield text


def csv_rows(text: TextIO, columns: Columns) -> Iterator[Row | Finding]:
    """Yield the rows of a CSV file; blank ones are left out.

    Cells are separated by comma, semicolon, tab or bar, or by what a first line `sep=` names.
    A row is never guessed at: one whose quotes do not close ends the reading with a finding.
    """
    lines = _lines(text)
    try:
        first = next(lines, (1, ""))
        separator = _SEPARATOR.fullmatch(first[1])
        if separator is None:
            lines = chain([first], lines)
        head: list[tuple[int, str]] = []
        for line in lines:
            head.append(line)
            if line[1].strip() and not line[1].lstrip('"').startswith(COMMENT):
                break
        delimiter = separator[1] if separator else _delimiter(head[-1][1] if head else "", columns)
        yield from table_rows(_Records(chain(head, lines), delimiter).read(), columns)
    except _Overlong as error:
        yield Finding(error.args[0], None, _overlong("line"))
    except UnicodeError:  # also what codecs raise that find no mark, or cannot read streams
        yield _undecodable()
    except _BROKEN_GZIP:
        yield Finding(0, None, _NO_GZIP)


def jsonl_rows(text: TextIO, columns: Columns) -> Iterator[Row | Finding]:
    """Yield the objects of a file with one JSON object a line; blank lines are left out."""
    is_empty = True
    try:
        for line, content in _lines(text):
            if not content.strip():
                continue
            is_empty = False
            if problem := _foreign_byte(content):
                yield Finding(line, None, problem)
                continue
            yield from object_row(line, content, columns, _ONE_A_LINE)
        if not is_empty:  # a key may be left out of some objects, but not of all
            for problem in columns.missing(columns.met, "key"):
                yield Finding(0, None, problem)
    except _Overlong as error:
        yield Finding(error.args[0], None, _overlong("line"))
    except UnicodeError:
        yield _undecodable()
    except _BROKEN_GZIP:
        yield Finding(0, None, _NO_GZIP)


def object_row(
    line: int, content: str, columns: Columns, advice: str = ""
) -> Iterator[Row | Finding]:
    """Yield what is wrong with the JSON object in `content`, and the object as a row.

    `advice` is for what is no object at all.
    """
    try:
        found = read_json(content)
    except ValueError as error:
        yield Finding(line, None, f"{error}{advice}")
        return
    if not isinstance(found, dict):
        yield Finding(line, None, f"JSON, but not an object{advice}")
        return
    values: dict[str, object] = {}
    unknown: list[str] = []
    for key, value in found.items():
        name = columns.field_of(key)
        if name is None:
            unknown.append(key)
        elif name in values:
            yield Finding(line, name, "given twice")
        elif name:
            values[name] = value
    if unknown:
        yield from columns.unknown(unknown, values, line=line, kind="key")
    yield line, values


@define
class _Records:
    """The records of a CSV file, as RFC 4180 has them."""

    lines: Iterator[tuple[int, str]]
    delimiter: str
    _broken: str = field(default="", init=False)

    def read(self) -> Iterator[Record | Finding]:
        """Yield each record; end with a finding where it is unclear where the next one begins."""
        for line, text in self.lines:
            record = text.rstrip("\r\n")
            if '"' not in record:
                cells = [self._plain(cell) for cell in record.split(self.delimiter)]
            else:
                cells = self._quoted(text)
                if self._broken:
                    where = f"cell {len(cells) + 1} has {self._broken}"
                    advice = "a quote in quotes is written twice, without a backslash"
                    yield Finding(line, None, f"{where}; {advice}; nothing below was read")
                    return
            yield line, cells

    def _quoted(self, text: str) -> list[object]:
        """Read a record that begins in `text`; it may go on in the lines below."""
        cells: list[object] = []
        at = 0
        while True:
            if text.startswith('"', at):
                content, text, at = self._inside(text, at + 1)
                if self._broken:
                    return cells
                cell: object = self._plain(content, quoted=True)
                closed, at = at, self._behind_blanks(text, at)
                if at < len(text) and text[at] not in (self.delimiter, "\r", "\n"):
                    self._broken = "text behind a closing quote"
                    return cells
                if closed < at:
                    cell = Unusable("a blank behind the closing quote; remove it")
            else:
                end = text.find(self.delimiter, at)
                content = text[at:].rstrip("\r\n") if end < 0 else text[at:end]
                at = len(text) if end < 0 else end
                cell = self._plain(content)
            cells.append(cell)
            if not text.startswith(self.delimiter, at):
                return cells
            at += 1

    def _inside(self, text: str, at: int) -> tuple[str, str, int]:
        """Return what is between quotes, the line where that ends, and the place behind it."""
        parts: list[str] = []
        length = 0
        while True:
            end = text.find('"', at)
            part = text[at:] if end < 0 else text[at:end]
            parts.append(part)
            length += len(part)
            if length > _MOST_CHARACTERS:
                self._broken = f"quotes with more than {_MOST_CHARACTERS:,} characters in them"
                return "", "", 0
            if end < 0:
                _, text = next(self.lines, (0, ""))
                at = 0
                if not text:
                    self._broken = "a quote that is never closed"
                    return "", "", 0
            elif text.startswith('"', end + 1):
                parts.append('"')
                at = end + 2
            else:
                return "".join(parts), text, end + 1

    def _behind_blanks(self, text: str, at: int) -> int:
        while text.startswith((" ", "\t"), at) and not text.startswith(self.delimiter, at):
            at += 1
        return at

    def _plain(self, text: str, *, quoted: bool = False) -> object:
        if not quoted:
            if text == _NULL:
                return ""
            if '"' in text:
                if text.lstrip().startswith('"'):
                    return Unusable("a blank before the opening quote; remove it")
                return Unusable(
                    "a quote in a cell without quotes around it; quote it, and double it"
                )
        elif text == _NULL:
            return Unusable("\\N in quotes; leave the cell empty if it has no value")
        return Unusable(problem) if (problem := _foreign_byte(text)) else text


def _lines(text: TextIO) -> Iterator[tuple[int, str]]:
    """Yield each line with its number. U+2028 and its like end none: JSON strings may hold them."""
    number = 0
    while line := text.readline(_MOST_CHARACTERS + 1):
        number += 1
        if len(line) > _MOST_CHARACTERS:
            raise _Overlong(number)
        yield number, line.removeprefix("\ufeff") if number == 1 else line


def _delimiter(header: str, columns: Columns) -> str:
    """Return what separates the names of the header."""

    def names(delimiter: str) -> int:
        cells = header.strip().split(delimiter)
        return sum(columns.field_of(cell.strip('"')) is not None for cell in cells)

    return max(_DELIMITERS, key=names)


def _not_text(head: bytes, encoding: str | None) -> str | None:
    """Return why a file cannot be read as text; None if it can."""
    if head.startswith(b"PK\x03\x04"):
        return "a spreadsheet, not text; name it .xlsx, or export it as UTF-8 CSV"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "a spreadsheet of the old format .xls; save it as .xlsx, or export it as UTF-8 CSV"
    if head.startswith(_COMPRESSED):
        return "compressed; unpack it first, or, if it is gzip, name it .csv.gz or .jsonl.gz"
    if encoding is not None:
        marks = ("UTF-8",) * head.startswith(codecs.BOM_UTF8) + ("UTF-16",) * head.startswith(
            _UTF_16
        )
        if marks and "utf" not in encoding.lower():
            return f"marked as {marks[0]}; read it without another encoding"
        return None
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return f"written in UTF-32; {_SAVE}"
    if not head.startswith(_UTF_16) and len(head) > 1 and (head[0] == 0) != (head[1] == 0):
        return f"probably UTF-16 without a byte order mark; {_SAVE}"
    return None


def _is_utf_8(path: Path, encoding: str) -> bool:
    """Whether a file is UTF-8, in an encoding of one byte a character that would take it as well.

    Text of those that is not ASCII is practically never UTF-8 by chance.
    """
    try:
        if len(_HIGH_BYTES.decode(encoding, "ignore")) <= len(_HIGH_BYTES) // 2:
            return False
        with _opened(path) as file:
            sample = file.read(_SAMPLE)
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except (LookupError, ValueError, *_BROKEN_GZIP):  # reported where the file is read
        return False
    return not sample.isascii()


def _foreign_byte(text: str) -> str | None:
    if text.isascii() or not _ESCAPED_BYTE.search(text):
        return None
    problem = "a byte that is not UTF-8, or not of the encoding that was given"
    return f"{problem}; {_SAVE}, or name its encoding, cp1252 for example"


def _undecodable() -> Finding:
    return Finding(
        0, None, f"broken or cut off: not what its encoding, UTF-16 perhaps, can be; {_SAVE}"
    )


def _overlong(what: str) -> str:
    return f"a {what} of more than {_MOST_CHARACTERS:,} characters; nothing below was read"
