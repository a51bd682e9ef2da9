"""The parts of a spreadsheet other than its sheet, as handlers of XML events."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from gong_async.inputs.rows import Unusable

if TYPE_CHECKING:
    from gong_async.inputs.temporary import Connection

SAVE_AGAIN = "open it in a spreadsheet program and save it again"
_MOST_TEXT = 1_000_000
_MOST_DEPTH = 64
_MOST_SHEETS = 10_000
_NAMESPACES = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main ",
    "http://purl.oclc.org/ooxml/spreadsheetml/main ",
    "http://schemas.openxmlformats.org/package/2006/relationships ",
    "",
)
_TAGS = (
    "Relationships Relationship workbook workbookPr sheets sheet calcPr sst si styleSheet numFmts "
    "numFmt cellXfs xf worksheet cols col sheetData row c v f is r rPh t mergeCells mergeCell"
)
_NAMES: Mapping[str, str] = {space + name: name for space in _NAMESPACES for name in _TAGS.split()}
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
_WITHOUT_TEXT = frozenset(("sheetData", "row", "c", "is", "si", "r"))
_PASSED_OVER = frozenset(("extLst", "rPr", "phoneticPr"))
"""The other elements that a spreadsheet has in those."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NOT_A_DATE_CODE = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[(?![hmsHMS]+\])[^\]]*\]?')
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_CLOCK_CODE = re.compile(r"[hs]", re.IGNORECASE)
_BUILT_IN_CLOCKS = frozenset((18, 19, 20, 21, 22, 32, 33, 45, 46, 47))
_NO_DATE, _DATE, _DATE_AND_CLOCK, _WITH_ZONE = 0, 1, 2, 3
_ZONE_AS_TEXT = re.compile(r'"[^"]*\b(?:Z|UTC|GMT)\b[^"]*"|\\Z', re.IGNORECASE)
_PHANTOM = 60
"""The day 29 February 1900 of spreadsheets: from the next day on, they count right."""
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets have no zones
_EPOCH_1904 = datetime(1904, 1, 1)  # noqa: DTZ001 - as above
_LAST_DAY = 2_900_000
"""In the year 9839; no meeting is later."""


class SheetError(Exception):
    """The file cannot be read; the message is the finding."""


@frozen
class Tab:
    """A sheet, as the workbook lists it."""

    name: str
    hidden: bool
    link: str


@define(eq=False)
class Elements:
    """Keeps the path of open elements, None for those that are not known."""

    path: list[str | None] = field(factory=lambda: [None], init=False)
    pieces: list[str] | None = field(default=None, init=False)
    """Character data, where it is wanted."""
    length: int = field(default=0, init=False)

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        """Handle a start tag."""
        if len(self.path) > _MOST_DEPTH:
            raise SheetError(f"its elements are nested too deeply; {SAVE_AGAIN}")
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
            raise SheetError(f"its elements are nested as in no spreadsheet; {SAVE_AGAIN}")
        self.path.append(local)
        if local is not None:
            self.opened(local, parent, attributes)

    def end(self, _: str, /) -> None:
        """Handle an end tag."""
        local = self.path.pop()
        if local is not None:
            self.closed(local, self.path[-1])

    def text(self, text: str, /) -> None:
        """Handle character data."""
        if self.pieces is None:
            if self.path[-1] in _WITHOUT_TEXT and not text.isspace():
                raise SheetError(f"it has text outside of its cells' values; {SAVE_AGAIN}")
            return
        self.pieces.append(text)
        self.length += len(text)
        if self.length > _MOST_TEXT:
            raise SheetError(f"a cell has more than {_MOST_TEXT:,} characters; {SAVE_AGAIN}")

    def begin_text(self) -> None:
        """Gather character data from here on."""
        self.pieces, self.length = [], 0

    def end_text(self) -> str:
        """Return the character data since then."""
        text = "".join(self.pieces or ())
        self.pieces = None
        return text

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        """Handle the start of a known element."""

    def closed(self, name: str, parent: str | None) -> None:
        """Handle the end of a known element."""


@define(eq=False)
class Links(Elements):
    """The relationships of a part."""

    folder: str
    found: dict[str, dict[str, str]] = field(factory=dict, init=False)

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        """Handle the start of a known element."""
        if name != "Relationship" or attributes.get("TargetMode") == "External":
            return
        kind = "/" + attributes.get("Type", "").rpartition("/")[2]
        target = posixpath.normpath(
            posixpath.join("/", self.folder, attributes.get("Target", "").replace("\\", "/"))
        )
        self.found.setdefault(kind, {})[attributes.get("Id", "")] = target.lstrip("/")


@define(eq=False)
class Workbook(Elements):
    """The list of sheets."""

    tabs: list[Tab] = field(factory=list, init=False)
    calculates_on_load: bool = field(default=False, init=False)
    """Whether the program that wrote the file left the formulas to the next one."""
    since_1904: bool = field(default=False, init=False)
    """Whether days are counted from 1904, as old programs on a Mac do."""

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        """Handle the start of a known element."""
        if name == "sheet" and parent == "sheets":
            hidden = attributes.get("state", "visible") != "visible"
            links = [value for key, value in attributes.items() if key.endswith(" id")]
            self.tabs.append(Tab(attributes.get("name", ""), hidden, (links or [""])[0]))
            if len(self.tabs) > _MOST_SHEETS:
                raise SheetError(f"it has more than {_MOST_SHEETS:,} sheets")
        elif name == "workbookPr":
            self.since_1904 = is_true(attributes.get("date1904"))
        elif name == "calcPr":
            self.calculates_on_load = is_true(attributes.get("fullCalcOnLoad"))


@define(eq=False)
class Styles(Elements):
    """Which cell styles show numbers as dates."""

    codes: dict[str, int] = field(factory=dict, init=False)
    dates: bytearray = field(factory=bytearray, init=False)

    def opened(self, name: str, parent: str | None, attributes: Mapping[str, str]) -> None:
        """Handle the start of a known element."""
        number = attributes.get("numFmtId", "")
        if name == "numFmt" and parent == "numFmts":
            text = attributes.get("formatCode", "").partition(";")[0]
            code = _NOT_A_DATE_CODE.sub("", text)
            kind = _DATE if _DATE_CODE.search(code) else _NO_DATE
            if _CLOCK_CODE.search(code):
                kind = _WITH_ZONE if _ZONE_AS_TEXT.search(text) else _DATE_AND_CLOCK
            self.codes[number] = kind
        elif name == "xf" and parent == "cellXfs":
            built_in = number.isascii() and number.isdigit() and len(number) < 4  # noqa: PLR2004
            known = built_in and int(number) in _BUILT_IN_DATES
            kind = _DATE if known else _NO_DATE
            if known and int(number) in _BUILT_IN_CLOCKS:
                kind = _DATE_AND_CLOCK
            self.dates.append(self.codes.get(number, kind))

    def value(self, number: float, style: str | None, *, since_1904: bool) -> object:
        """Return what a number stands for in a cell of that style.

        That is a `datetime`, a `date` if no clock is shown and it is midnight, a `time` if there
        is no date, or the number itself. `Unusable` is a time that is shown with a zone as text.
        """
        kind = self._kind(style)
        if kind == _WITH_ZONE:
            return Unusable("a date cell whose format shows UTC, which its value does not have")
        if not kind or not 0 <= number < _LAST_DAY:
            return number
        if number < 1 or (not since_1904 and number <= _PHANTOM):
            return time()
        # A part of a day is rarely exact in binary: 15:10 would be 15:09:59.999999.
        seconds = round(number * 86_400)
        moment = (_EPOCH_1904 if since_1904 else _EPOCH) + timedelta(seconds=seconds)
        return moment.date() if kind == _DATE and not seconds % 86_400 else moment

    def _kind(self, style: str | None) -> int:
        if not style or not (style.isascii() and style.isdigit()) or len(style) > 7:  # noqa: PLR2004
            return _NO_DATE
        number = int(style)
        return self.dates[number] if number < len(self.dates) else _NO_DATE


@define(eq=False)
class SharedStrings(Elements):
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
        """Handle the start of a known element."""
        if name == "si":
            self._parts, self._length = [], 0
        elif name == "t" and parent != "rPh":
            self.begin_text()

    def closed(self, name: str, parent: str | None) -> None:
        """Handle the end of a known element."""
        if name == "t" and self.pieces is not None:
            text = self.end_text()
            self._parts.append(text)
            self._length += len(text)
            if self._length > _MOST_TEXT:
                raise SheetError(f"a cell has more than {_MOST_TEXT:,} characters; {SAVE_AGAIN}")
        elif name == "si":
            self._new.append((self.count, unescape("".join(self._parts))))
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


def is_true(value: str | None) -> bool:
    """Whether an attribute of XML Schema's type boolean is true."""
    return value in {"1", "true", "on"}


def unescape(text: str) -> str:
    """Return text without `_x000D_`, which is how characters are written that XML does not have."""
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    # Characters beyond U+FFFF are written as two.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
