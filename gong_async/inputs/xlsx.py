"""Spreadsheets as rows: the first visible sheet of an XLSX file, read as a stream.

An XLSX file is a ZIP archive of XML parts (ECMA-376, part 1, chapter 18). A part is parsed piece by
piece, so that memory depends neither on the number of rows nor on what the file claims to hold.
"""

from __future__ import annotations

import errno
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol
from xml.parsers import expat

from attrs import define, field

from gong_async.inputs.columns import Columns
from gong_async.inputs.findings import Finding, Note
from gong_async.inputs.table import Row, table_rows
from gong_async.inputs.temporary import temporary_database
from gong_async.inputs.xlsx_parts import (
    SAVE_AGAIN,
    Links,
    SharedStrings,
    SheetError,
    Styles,
    Tab,
    Workbook,
)
from gong_async.inputs.xlsx_sheet import MOST_INFLATED, Sheet

# What is read at most: a spreadsheet program deflates XML to a tenth or so.
_MOST_RATIO = 200
_MOST_OF_SMALL_PARTS = 64_000_000
_MOST_DIRECTORY = 4_000_000
_MOST_NAMES = 10_000
"""Of elements, attributes and prefixes together; the standard of XLSX has some 1,500."""
_CHUNK = 1 << 18
_MOST_MARKUP = 1 << 20
"""Bytes of a tag or comment: the parser keeps it, and begins it anew with each chunk."""
# What Python's zipfile raises for a damaged archive, an encrypted one, or one of a newer kind.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    OverflowError,
)
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks other kinds without a bound, and the standard of XLSX has no others."""


def xlsx_rows(path: Path, columns: Columns) -> Iterator[Row | Finding]:
    """Yield the rows of the first visible sheet; a formula is the value that was saved with it."""
    try:
        with ExitStack() as stack:
            yield from table_rows(_Book(path, stack).rows(), columns, ragged=True)
    except SheetError as refused:
        yield Finding(0, None, str(refused))


class _XmlHandler(Protocol):
    """Handles the events of one part."""

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        """Handle a start tag."""

    def end(self, name: str, /) -> None:
        """Handle an end tag."""

    def text(self, text: str, /) -> None:
        """Handle character data."""


@define(eq=False)
class _Book:
    """An open spreadsheet."""

    path: Path
    stack: ExitStack
    archive: zipfile.ZipFile = field(init=False)
    parts: dict[str, zipfile.ZipInfo] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        file = self.stack.enter_context(self.path.open("rb"))
        _check_directory(file.read(8), self.path.stat().st_size, file.seek, file.read)
        try:
            self.archive = self.stack.enter_context(zipfile.ZipFile(file))
        except _BROKEN as error:
            raise _unreadable(error) from None
        for info in self.archive.infolist():
            name = info.filename.replace("\\", "/").lower()
            if name in self.parts:
                raise SheetError(f"it has two parts of one name; {SAVE_AGAIN}")
            self.parts[name] = info

    def rows(self) -> Iterator[tuple[int, Sequence[object]] | Finding]:
        """Yield the cells of each row with a value, then what else is worth knowing."""
        start = self._links("").get("/officeDocument", {})
        workbook = next(iter(start.values()), "xl/workbook.xml")
        book = Workbook()
        self._read(workbook, book)
        links = self._links(workbook)
        sheets = links.get("/worksheet", {})
        tabs = [tab for tab in book.tabs if tab.link in sheets]
        visible = [tab for tab in tabs if not tab.hidden]
        if not visible:
            raise SheetError(f"it has no visible sheet; {SAVE_AGAIN}")
        yield from _notes_of_tabs(visible[0], tabs)

        strings = SharedStrings(
            self.stack.enter_context(
                temporary_database("CREATE TABLE string (number INTEGER PRIMARY KEY, text TEXT)")
            )
        )
        for part in links.get("/sharedStrings", {}).values():
            self._read(part, strings, most=MOST_INFLATED)
            strings.flush()
        styles = Styles()
        for part in links.get("/styles", {}).values():
            self._read(part, styles)

        sheet = Sheet(strings, styles, book.calculates_on_load, book.since_1904)
        for _ in self._parsed(sheets[visible[0].link], sheet, most=MOST_INFLATED):
            for row in sheet.rows:
                yield row if isinstance(row, Finding) else (row[0], sheet.with_long_texts(*row))
            sheet.rows.clear()
        yield from sheet.notes()

    def _links(self, part: str) -> dict[str, dict[str, str]]:
        """Return the parts that a part refers to: by the end of their type, and by their id."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        links = Links(folder)
        if path.lower() in self.parts:
            self._read(path, links)
        return links.found

    def _read(self, part: str, handler: _XmlHandler, most: int = _MOST_OF_SMALL_PARTS) -> None:
        for _ in self._parsed(part, handler, most=most):
            pass

    def _parsed(self, part: str, handler: _XmlHandler, *, most: int) -> Iterator[None]:
        """Parse a part; yield after each piece."""
        names: dict[str, str] = {}  # the parser keeps each name that it has met
        parser = expat.ParserCreate(namespace_separator=" ", intern=names)
        parser.StartNamespaceDeclHandler = lambda prefix, _: names.setdefault(f"xmlns:{prefix}", "")
        parser.buffer_text = True
        parser.StartElementHandler = handler.start
        parser.EndElementHandler = handler.end
        parser.CharacterDataHandler = handler.text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        fed = 0
        for chunk in self._chunks(part, most):
            try:
                parser.Parse(chunk, not chunk)
            except expat.ExpatError as error:
                raise _unreadable(error) from None
            fed += len(chunk)
            if fed - max(parser.CurrentByteIndex, 0) > _MOST_MARKUP + _CHUNK:
                raise SheetError(f"a tag or comment in it has more than 1 MB; {SAVE_AGAIN}")
            if len(names) > _MOST_NAMES:
                raise SheetError(f"it has more than {_MOST_NAMES:,} kinds of tags; {SAVE_AGAIN}")
            yield

    def _chunks(self, part: str, most: int) -> Iterator[bytes]:
        """Inflate a part, as far as it may grow; the last chunk is empty."""
        info = self.parts.get(part.lower())
        if info is None:
            problem = f"not a readable .xlsx file ({part[:80]!a} is missing in it)"
            raise SheetError(f"{problem}; save it as .xlsx in a spreadsheet program")
        if info.compress_type not in _PACKED_BY:
            raise SheetError(f"it is packed in a way that is not for .xlsx files; {SAVE_AGAIN}")
        bomb = SheetError(
            f"it would inflate to more than {min(most, _MOST_RATIO * info.compress_size):,} bytes, "
            f"the most that is read of a part of its size; {SAVE_AGAIN}"
        )
        if info.file_size > min(most, _MOST_RATIO * info.compress_size):
            raise bomb
        inflated = 0
        try:
            with self.archive.open(info) as stream:
                while chunk := stream.read(_CHUNK):
                    inflated += len(chunk)
                    if inflated > info.file_size:
                        raise bomb
                    yield chunk
        except _BROKEN as error:
            raise _unreadable(error) from None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise _unreadable(error) from None  # the archive points to where no file can be
        yield b""


def _notes_of_tabs(read: Tab, tabs: Sequence[Tab]) -> Iterator[Note]:
    hidden = sum(tab.hidden for tab in tabs)
    shown = len(tabs) - hidden - 1
    others = [f"{shown} other"] * bool(shown) + [f"{hidden} hidden"] * bool(hidden)
    if others:
        name = ascii(read.name[:40])
        sheets = "sheet is" if shown + hidden == 1 else "sheets are"
        yield Note(0, None, f"only the sheet {name} is read; {' and '.join(others)} {sheets} not")


def _check_directory(
    head: bytes, size: int, seek: Callable[[int], object], read: Callable[[int], bytes]
) -> None:
    """Refuse what is no archive, and one with so many parts that listing them takes the memory."""
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise SheetError(
            "it is protected by a password, or of the old format .xls; save it as .xlsx without one"
        )
    if not head:
        raise SheetError("it is empty, 0 bytes; export it again")
    if not head.startswith(b"PK"):
        raise SheetError(
            "not a readable .xlsx file, whatever its name says; "
            "if it is text, name it .csv or .jsonl, otherwise save it as .xlsx"
        )
    seek(max(0, size - (1 << 16) - 22))
    tail = read((1 << 16) + 22)
    at = tail.rfind(b"PK\x05\x06")
    directory = 0
    if at >= 0 and len(tail) - at >= 22:  # noqa: PLR2004 - the record's length
        (directory,) = struct.unpack_from("<I", tail, at + 12)
        wide = at - 20 - 56  # the larger record that Python prefers where there is one
        if wide >= 0 and tail[at - 20 :].startswith(b"PK\x06\x07"):
            (directory,) = struct.unpack_from("<Q", tail, wide + 40)
    seek(0)
    if directory > _MOST_DIRECTORY:
        raise SheetError(f"it lists more parts than any spreadsheet has; {SAVE_AGAIN}")


def _refuse_doctype(*_: object) -> None:
    raise SheetError(f"it declares XML entities, which no spreadsheet does; {SAVE_AGAIN}")


def _unreadable(error: Exception) -> SheetError:
    return SheetError(f"not a readable .xlsx file ({type(error).__name__}); {SAVE_AGAIN}")
