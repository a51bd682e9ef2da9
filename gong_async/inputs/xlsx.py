"""Spreadsheets as rows: the first visible sheet of an XLSX file, read as a stream.

An XLSX file is a ZIP archive of XML parts (ECMA-376, part 1, chapter 18). A part is parsed piece by
piece, so that memory depends neither on the number of rows nor on what the file claims to hold.
"""

from __future__ import annotations

import errno
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from xml.parsers import expat

from attrs import define, field, frozen

from gong_async.inputs.findings import Finding, Note
from gong_async.inputs.rows import Unusable
from gong_async.inputs.temporary import temporary_database
from gong_async.inputs.text import SHEET_ERRORS, Row, table_rows

if TYPE_CHECKING:
    from gong_async.inputs.temporary import Connection

_TWO_KINDS = "a value of two kinds"
_SAVE_AGAIN = "open it in a spreadsheet program and save it again"

# What is read at most. A spreadsheet program writes 1,048,576 rows at most, and deflates XML to a
# tenth or so.
_MOST_INFLATED = 2_000_000_000
_MOST_RATIO = 200
_MOST_OF_SMALL_PARTS = 64_000_000
_MOST_DIRECTORY = 4_000_000
_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 1_000
"""With a value in them, and in a row without cells between two others."""
_MOST_COLUMNS_OF_A_SHEET = 16_384
"""Where rows are formatted as a whole, LibreOffice writes a blank cell for each."""
_MOST_TEXT = 1_000_000
_MOST_OF_A_ROW = 4_000_000
_MOST_DEPTH = 64
_MOST_SHEETS = 10_000
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
_NAMESPACES = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main ",
    "http://purl.oclc.org/ooxml/spreadsheetml/main ",
    "http://schemas.openxmlformats.org/package/2006/relationships ",
    "",
)
_ELEMENTS = (
    "Relationships Relationship workbook sheets sheet calcPr sst si styleSheet numFmts numFmt "
    "cellXfs xf worksheet cols col sheetData row c v f is r rPh t mergeCells mergeCell"
)
_NAMES: Mapping[str, str] = {
    space + name: name for space in _NAMESPACES for name in _ELEMENTS.split()
}
"""The elements that are read, by the names that the parser gives them. Others are passed over."""

_PARENTS: Mapping[str | None, Sequence[str]] = {
    "sheetData": ("worksheet",),
    "row": ("sheetData",),
    "c": ("row",),
    "v": ("c",),
    "is": ("c",),
    "si": ("sst",),
    "r": ("is", "si"),
    "t": ("is", "si", "r", "rPh"),
    "mergeCell": ("mergeCells",),
}
"""Where the elements belong that hold values."""

_ORDER: Mapping[str, int] = {"sheetData": 0, "mergeCells": 1}
"""Both stand once in a sheet. What is merged cannot be judged before the rows are there."""
_WITHOUT_TEXT = frozenset(("sheetData", "row", "c", "is", "si", "r"))
_PASSED_OVER = frozenset(("extLst", "rPr", "phoneticPr"))
"""The other elements that a spreadsheet has in those."""

_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NOT_A_DATE_CODE = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[(?![hmsHMS]+\])[^\]]*\]?')
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_DATE = date(1900, 1, 1)
"""Stands for any date cell: none of them is used, as they have no UTC offset."""


class _Refused(Exception):  # noqa: N818 - it never leaves this file
    """The file cannot be read; the message is the finding."""


def xlsx_rows(path: Path) -> Iterator[Row | Finding]:
    """Yield the rows of the first visible sheet; a formula is the value that was saved with it."""
    try:
        with ExitStack() as stack:
            yield from table_rows(_Book(path, stack).rows(), ragged=True)
    except _Refused as refused:
        yield Finding(0, None, str(refused))


@frozen
class _Tab:
    """A sheet, as the workbook lists it."""

    name: str
    hidden: bool
    link: str


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
                raise _Refused(f"it has two parts of one name; {_SAVE_AGAIN}")
            self.parts[name] = info

    def rows(self) -> Iterator[tuple[int, Sequence[object]] | Finding]:
        """Yield the cells of each row with a value, then what else is worth knowing."""
        start = self._links("").get("/officeDocument", {})
        workbook = next(iter(start.values()), "xl/workbook.xml")
        book = _Workbook()
        self._read(workbook, book)
        links = self._links(workbook)
        sheets = links.get("/worksheet", {})
        tabs = [tab for tab in book.tabs if tab.link in sheets]
        visible = [tab for tab in tabs if not tab.hidden]
        if not visible:
            raise _Refused(f"it has no visible sheet; {_SAVE_AGAIN}")
        yield from _notes_of_tabs(visible[0], tabs)

        strings = _SharedStrings(
            self.stack.enter_context(
                temporary_database("CREATE TABLE string (number INTEGER PRIMARY KEY, text TEXT)")
            )
        )
        for part in links.get("/sharedStrings", {}).values():
            self._read(part, strings, most=_MOST_INFLATED)
            strings.flush()
        styles = _Styles()
        for part in links.get("/styles", {}).values():
            self._read(part, styles)

        sheet = _Sheet(strings, styles, book.calculates_on_load)
        for _ in self._parsed(sheets[visible[0].link], sheet, most=_MOST_INFLATED):
            for row in sheet.rows:
                yield row if isinstance(row, Finding) else (row[0], sheet.with_long_texts(*row))
            sheet.rows.clear()
        yield from sheet.notes()

    def _links(self, part: str) -> dict[str, dict[str, str]]:
        """Return the parts that a part refers to: by the end of their type, and by their id."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        links = _Links(folder)
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
                raise _Refused(f"a tag or comment in it has more than 1 MB; {_SAVE_AGAIN}")
            if len(names) > _MOST_NAMES:
                raise _Refused(f"it has more than {_MOST_NAMES:,} kinds of tags; {_SAVE_AGAIN}")
            yield

    def _chunks(self, part: str, most: int) -> Iterator[bytes]:
        """Inflate a part, as far as it may grow; the last chunk is empty."""
        info = self.parts.get(part.lower())
        if info is None:
            problem = f"not a readable .xlsx file ({part[:80]!a} is missing in it)"
            raise _Refused(f"{problem}; save it as .xlsx in a spreadsheet program")
        if info.compress_type not in _PACKED_BY:
            raise _Refused(f"it is packed in a way that is not for .xlsx files; {_SAVE_AGAIN}")
        bomb = _Refused(
            f"it would inflate to more than {min(most, _MOST_RATIO * info.compress_size):,} bytes, "
            f"the most that is read of a part of its size; {_SAVE_AGAIN}"
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


class _XmlHandler(Protocol):
    """Takes the events of one part."""

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        """Take a start tag."""

    def end(self, name: str, /) -> None:
        """Take an end tag."""

    def text(self, text: str, /) -> None:
        """Take character data."""


@define(eq=False)
class _Elements:
    """Keeps the path of open elements, None for those that are not known."""

    path: list[str | None] = field(factory=lambda: [None], init=False)
    pieces: list[str] | None = field(default=None, init=False)
    """Character data, where it is wanted."""
    length: int = field(default=0, init=False)

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        """Take a start tag."""
        if len(self.path) > _MOST_DEPTH:
            raise _Refused(f"its elements are nested too deeply; {_SAVE_AGAIN}")
        local = _NAMES.get(name)
        parent = self.path[-1]
        foreign = (
            local is None
            and parent in _PARENTS
            and parent != "t"
            and name.rpartition(" ")[2] not in _PASSED_OVER
        )
        if foreign or self.pieces is not None or parent not in _PARENTS.get(local, (parent,)):
            # Passed over, a value in it would be read as none, and erase what the meeting has.
            raise _Refused(f"its elements are nested as in no spreadsheet; {_SAVE_AGAIN}")
        self.path.append(local)
        if local is not None:
            self.opened(local, parent, attributes)

    def end(self, _: str, /) -> None:
        """Take an end tag."""
        local = self.path.pop()
        if local is not None:
            self.closed(local, self.path[-1])

    def text(self, text: str, /) -> None:
        """Take character data."""
        if self.pieces is None:
            if self.path[-1] in _WITHOUT_TEXT and not text.isspace():
                raise _Refused(f"it has text outside of its cells' values; {_SAVE_AGAIN}")
            return
        self.pieces.append(text)
        self.length += len(text)
        if self.length > _MOST_TEXT:
            raise _Refused(f"a cell has more than {_MOST_TEXT:,} characters; {_SAVE_AGAIN}")

    def begin_text(self) -> None:
        """Gather character data from here on."""
        self.pieces, self.length = [], 0

    def end_text(self) -> str:
        """Return the character data since then."""
        text = "".join(self.pieces or ())
        self.pieces = None
        return text

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        """Take the start of a known element."""

    def closed(self, name: str, parent: str | None) -> None:
        """Take its end."""


@define(eq=False)
class _Links(_Elements):
    """The relationships of a part."""

    folder: str
    found: dict[str, dict[str, str]] = field(factory=dict, init=False)

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        if name != "Relationship" or attributes.get("TargetMode") == "External":
            return
        kind = "/" + attributes.get("Type", "").rpartition("/")[2]
        target = posixpath.normpath(
            posixpath.join("/", self.folder, attributes.get("Target", "").replace("\\", "/"))
        )
        self.found.setdefault(kind, {})[attributes.get("Id", "")] = target.lstrip("/")


@define(eq=False)
class _Workbook(_Elements):
    """The list of sheets."""

    tabs: list[_Tab] = field(factory=list, init=False)
    calculates_on_load: bool = field(default=False, init=False)
    """Whether the program that wrote the file left the formulas to the next one."""

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        if name == "sheet" and parent == "sheets":
            hidden = attributes.get("state", "visible") != "visible"
            links = [value for key, value in attributes.items() if key.endswith(" id")]
            self.tabs.append(_Tab(attributes.get("name", ""), hidden, (links or [""])[0]))
            if len(self.tabs) > _MOST_SHEETS:
                raise _Refused(f"it has more than {_MOST_SHEETS:,} sheets")
        elif name == "calcPr":
            self.calculates_on_load = _is_true(attributes.get("fullCalcOnLoad"))


@define(eq=False)
class _Styles(_Elements):
    """Which cell styles show numbers as dates."""

    codes: dict[str, bool] = field(factory=dict, init=False)
    dates: bytearray = field(factory=bytearray, init=False)

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        number = attributes.get("numFmtId", "")
        if name == "numFmt" and parent == "numFmts":
            code = attributes.get("formatCode", "").partition(";")[0]
            self.codes[number] = bool(_DATE_CODE.search(_NOT_A_DATE_CODE.sub("", code)))
        elif name == "xf" and parent == "cellXfs":
            built_in = number.isascii() and number.isdigit() and len(number) < 4  # noqa: PLR2004
            known = built_in and int(number) in _BUILT_IN_DATES
            self.dates.append(self.codes.get(number, known))

    def is_date(self, style: str | None) -> bool:
        """Whether a cell of that style shows a date."""
        if not style or not (style.isascii() and style.isdigit()) or len(style) > 7:  # noqa: PLR2004
            return False
        number = int(style)
        return number < len(self.dates) and bool(self.dates[number])


@define(eq=False)
class _SharedStrings(_Elements):
    """The texts that cells refer to by number, in a temporary file."""

    connection: Connection
    count: int = field(default=0, init=False)
    _parts: list[str] = field(factory=list, init=False)
    _length: int = field(default=0, init=False)
    _new: list[tuple[int, str]] = field(factory=list, init=False)
    _new_length: int = field(default=0, init=False)
    _recent: dict[str, str] = field(factory=dict, init=False)

    _most_recent = 4096
    short = 200

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        if name == "si":
            self._parts, self._length = [], 0
        elif name == "t" and parent != "rPh":
            self.begin_text()

    def closed(self, name: str, parent: str | None) -> None:
        if name == "t" and self.pieces is not None:
            text = self.end_text()
            self._parts.append(text)
            self._length += len(text)
            if self._length > _MOST_TEXT:
                raise _Refused(f"a cell has more than {_MOST_TEXT:,} characters; {_SAVE_AGAIN}")
        elif name == "si":
            self._new.append((self.count, _unescape("".join(self._parts))))
            self._new_length += self._length
            self.count += 1
            if len(self._new) >= 1000 or self._new_length > _MOST_TEXT:  # noqa: PLR2004
                self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        self.connection.executemany("INSERT INTO string VALUES (?, ?)", map(_storable, self._new))
        self._new, self._new_length = [], 0

    def get(self, number: str) -> str | None:
        """Return a text; None if there is none of that number."""
        text = self._recent.get(number)
        if text is not None:
            return text
        if not (number.isascii() and number.isdigit() and len(number) < 10):  # noqa: PLR2004
            return None
        query = "SELECT text FROM string WHERE number = ?"
        row = self.connection.execute(query, (int(number),)).fetchone()
        if row is None:
            return None
        text = row[0] if isinstance(row[0], str) else row[0].decode("utf-8", "surrogatepass")
        if len(text) <= self.short:
            if len(self._recent) >= self._most_recent:
                self._recent.clear()
            self._recent[number] = text
        return text


def _storable(item: tuple[int, str]) -> tuple[int, str | bytes]:
    """Return a text as SQLite takes it: one with a lone surrogate has no UTF-8."""
    number, text = item
    try:
        text.encode()
    except UnicodeEncodeError:
        return number, text.encode("utf-8", "surrogatepass")
    return item


@frozen
class _LongText:
    """Stands for a text in a cell, which is looked up when its row is used."""

    number: str


@define(eq=False)
class _Sheet(_Elements):
    """The rows of a sheet."""

    strings: _SharedStrings
    styles: _Styles
    calculates_on_load: bool
    rows: list[tuple[int, list[object]] | Finding] = field(factory=list, init=False)
    """What has come since it was last emptied."""

    _order: int = field(default=0, init=False)
    _line: int = field(default=0, init=False)
    _first: int = field(default=0, init=False)
    """The first row with a value, and so the header."""
    _last: int = field(default=0, init=False)
    _width: int = field(default=0, init=False)
    _cells: list[object] = field(factory=list, init=False)
    _length: int = field(default=0, init=False)
    _column: int = field(default=0, init=False)
    _kind: str = field(default="n", init=False)
    _style: str | None = field(default=None, init=False)
    _formula: bool = field(default=False, init=False)
    _value: str | None = field(default=None, init=False)
    _inline: list[str] | None = field(default=None, init=False)
    _row_hidden: bool = field(default=False, init=False)
    _hidden_rows: int = field(default=0, init=False)
    _first_hidden: int = field(default=0, init=False)
    _hidden_columns: list[tuple[int, int]] = field(factory=list, init=False)
    _first_formula: int = field(default=0, init=False)
    _long_texts: int = field(default=0, init=False)
    """Characters of all that were looked up."""

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._open_cell(attributes)
        elif parent == "c":
            if name == "v":
                self.begin_text()
            elif name == "f":
                self._formula = True
            elif name == "is":
                self._expect_one(self._inline)
                self._inline = []
        elif name == "t" and parent != "rPh":
            self.begin_text()
        elif name == "row":
            self._open_row(attributes)
        else:
            self._open_other(name, parent, attributes)

    def closed(self, name: str, parent: str | None) -> None:
        if name == "v":
            self._expect_one(self._value)
            self._value = self.end_text()
        elif name == "t" and self.pieces is not None and self._inline is not None:
            self._inline.append(self.end_text())
        elif name == "c":
            value = self._read_value()
            if isinstance(value, str):
                self._length += len(value)
                if self._length > _MOST_OF_A_ROW:
                    raise _Refused(
                        f"row {self._line:,} has more than {_MOST_OF_A_ROW:,} characters"
                    )
            if value != "":
                if self._column > _MOST_COLUMNS:
                    raise self._far()
                self._cells += [""] * (self._column - 1 - len(self._cells))
                self._cells.append(value)
        elif name == "row" and self._cells:
            self._first = self._first or self._line
            self._last = self._line
            self._width = max(self._width, len(self._cells))
            self.rows.append((self._line, self._cells))
            if self._row_hidden:
                self._hidden_rows += 1
                self._first_hidden = self._first_hidden or self._line

    def with_long_texts(self, line: int, cells: list[object]) -> list[object]:
        """Return the cells of a row with the texts that they refer to.

        One row at a time has them: a short sheet can refer to one long text very often.
        """
        if not any(isinstance(cell, _LongText) for cell in cells):
            return cells
        found: list[object] = []
        length = 0
        for cell in cells:
            if not isinstance(cell, _LongText):
                found.append(cell)
                continue
            text = self.strings.get(cell.number) or ""
            found.append(text)
            length += len(text)
            self._long_texts += len(text)
            if length > _MOST_OF_A_ROW:
                problem = f"row {line:,} has more than {_MOST_OF_A_ROW:,} characters"
                raise _Refused(f"{problem}; shorten it")
            if self._long_texts > _MOST_INFLATED:
                problem = f"its rows have more than {_MOST_INFLATED:,} characters"
                raise _Refused(f"{problem}; divide it into several files")
        return found

    def notes(self) -> Iterator[Finding]:
        """Yield what is allowed in a sheet and may still be a mistake."""
        if self._hidden_rows:
            count = (
                f"{self._hidden_rows:,} hidden rows" if self._hidden_rows > 1 else "a hidden row"
            )
            yield Note(self._first_hidden, None, f"{count} with values, from here on; read as well")
        for low, high in self._hidden_columns:
            if low <= self._width:
                names = _letters(low) if low == high else f"{_letters(low)} to {_letters(high)}"
                yield Note(self._first, None, f"hidden columns ({names}) are read as well")
        if self._first_formula and self.calculates_on_load:
            problem = (
                "formulas, from here on, in a file whose program has left them to be calculated "
                f"later: their values may be placeholders; {_SAVE_AGAIN}"
            )
            yield Note(self._first_formula, None, problem)

    def _open_row(self, attributes: Mapping[str, str]) -> None:
        given = attributes.get("r")
        if given is None:
            line = self._line + 1
        else:
            line = int(given) if given.isascii() and given.isdigit() and len(given) < 8 else 0  # noqa: PLR2004
        if not self._line < line <= _MOST_ROWS:
            what = "a row number that is out of order, or beyond"
            raise _Refused(f"behind row {self._line:,}: {what} {_MOST_ROWS:,}; {_SAVE_AGAIN}")
        self._line, self._column, self._cells, self._length = line, 0, [], 0
        self._row_hidden = _is_true(attributes.get("hidden"))

    def _open_cell(self, attributes: Mapping[str, str]) -> None:
        place = attributes.get("r")
        column = self._column + 1
        if place is not None:
            found = _PLACE.fullmatch(place)
            column = _number(found[1]) if found and int(found[2]) == self._line else 0
        if not self._column < column:
            raise _Refused(f"row {self._line:,} has cells that are out of order; {_SAVE_AGAIN}")
        is_far = column - self._column > _MOST_COLUMNS or column > _MOST_COLUMNS_OF_A_SHEET
        self._column = column
        if is_far:
            raise self._far()
        self._kind = attributes.get("t", "n")
        self._style = attributes.get("s")
        self._formula, self._value, self._inline = False, None, None

    def _open_other(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        if name in _ORDER and parent == "worksheet":
            if _ORDER[name] != self._order:
                raise _Refused(f"its elements are out of order; {_SAVE_AGAIN}")
            self._order += 1
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "col" and parent == "cols":
            self._column_format(attributes)

    def _column_format(self, attributes: Mapping[str, str]) -> None:
        low, high = attributes.get("min", ""), attributes.get("max", "")
        is_whole = low.isdecimal() and high.isdecimal() and max(len(low), len(high)) < 6  # noqa: PLR2004
        hidden = _is_true(attributes.get("hidden"))
        if hidden and is_whole and len(self._hidden_columns) < _MOST_COLUMNS:
            self._hidden_columns.append((int(low), int(high)))

    def _far(self) -> _Refused:
        return _Refused(
            f"cell {self._place()} lies far outside of a table; at most {_MOST_COLUMNS:,} "
            "columns are read: delete those behind the table and save it again"
        )

    def _expect_one(self, before: object) -> None:
        if before is not None:
            raise _Refused(f"cell {self._place()} has two values; {_SAVE_AGAIN}")

    def _place(self) -> str:
        return f"{_letters(self._column)}{self._line}"

    def _read_value(self) -> object:
        """Return what a cell holds: text, "" for nothing, a number, a bool, a date, or a fault."""
        kind, text = self._kind, self._value or ""
        if self._formula:
            self._first_formula = self._first_formula or self._line
        if kind == "inlineStr":
            if text:
                what = "a text that cannot be read" if self._inline is None else _TWO_KINDS
                return self._unusable(what)
            return _unescape("".join(self._inline or ()))
        if self._inline:
            return self._unusable(_TWO_KINDS)
        if kind == "str" and self._value is not None:
            return _unescape(text)
        if kind == "e":
            shown = text if text in SHEET_ERRORS else "#REF! or the like"
            return self._unusable(f"the error {shown}")
        text = text.strip()
        if not text:
            # Read as empty, it would erase what the meeting has.
            return self._unusable("a formula without a saved value") if self._formula else ""
        return self._typed(kind, text)

    def _typed(self, kind: str, text: str) -> object:
        if kind == "s":
            found = self.strings.get(text)
            if found is None:
                return self._unusable("a reference to a text that is missing")
            return found if len(found) <= self.strings.short else _LongText(text)
        if kind == "b" and text in _BOOLEANS:
            return _BOOLEANS[text]
        if kind == "d":
            return _DATE
        if kind == "n" and len(text) <= 400 and _NUMBER.fullmatch(text):  # noqa: PLR2004
            if self._formula and self.calculates_on_load and float(text) == 0:
                return self._unusable(f"a formula that was not calculated yet; {_SAVE_AGAIN}")
            return _DATE if self.styles.is_date(self._style) else float(text)
        return self._unusable("a value that cannot be read")

    def _unusable(self, what: str) -> Unusable:
        return Unusable(f"cell {self._place()} holds {what}")

    def _merge(self, ref: str) -> None:
        """Refuse merged cells in the table: all of them but the first are empty in the file."""
        ends = [_PLACE.fullmatch(end) for end in ref.split(":", 1)]
        if len(ends) == 1 and ends[0] is not None:
            return
        if len(ends) < 2 or ends[0] is None or ends[1] is None:  # noqa: PLR2004
            raise _Refused(f"merged cells in it cannot be read ({ref[:40]!a}); {_SAVE_AGAIN}")
        left, right = _number(ends[0][1]), _number(ends[1][1])
        top, bottom = int(ends[0][2]), int(ends[1][2])
        is_one = (left, top) == (right, bottom)
        if is_one or left > self._width or top > self._last or bottom < self._first:
            return
        problem = f"cells {ref} are merged, and only the first of them has a value"
        self.rows.append(Finding(top, None, f"{problem}; unmerge them and fill in each"))


_BOOLEANS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


def _notes_of_tabs(read: _Tab, tabs: Sequence[_Tab]) -> Iterator[Note]:
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
        raise _Refused(
            "it is protected by a password, or of the old format .xls; save it as .xlsx without one"
        )
    if not head:
        raise _Refused("it is empty, 0 bytes; export it again")
    if not head.startswith(b"PK"):
        raise _Refused(
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
        raise _Refused(f"it lists more parts than any spreadsheet has; {_SAVE_AGAIN}")


def _refuse_doctype(*_: object) -> None:
    raise _Refused(f"it declares XML entities, which no spreadsheet does; {_SAVE_AGAIN}")


def _unreadable(error: Exception) -> _Refused:
    return _Refused(f"not a readable .xlsx file ({type(error).__name__}); {_SAVE_AGAIN}")


def _is_true(value: str | None) -> bool:
    return value in {"1", "true", "on"}


def _unescape(text: str) -> str:
    """Return text without `_x000D_`, which is how characters are written that XML does not have."""
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    # Characters beyond U+FFFF are written as two.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _number(letters: str) -> int:
    """Return the number of a column, from 1."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def _letters(number: int) -> str:
    """Return the letters of a column."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
