"""The sheet of a spreadsheet: rows of cells with their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from attrs import define, field, frozen

from gong_async.inputs.findings import Finding, Note
from gong_async.inputs.rows import Unusable
from gong_async.inputs.table import SHEET_ERRORS
from gong_async.inputs.xlsx_parts import (
    SAVE_AGAIN,
    Elements,
    SharedStrings,
    SheetError,
    Styles,
    is_true,
    unescape,
)

_TWO_KINDS = "a value of two kinds"
_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 1_000
"""With a value in them, and in a row without cells between two others."""
_MOST_COLUMNS_OF_A_SHEET = 16_384
"""Where rows are formatted as a whole, LibreOffice writes a blank cell for each."""
_MOST_OF_A_ROW = 4_000_000
# What is read at most. A spreadsheet program writes 1,048,576 rows at most, and deflates XML to a
# tenth or so.
MOST_INFLATED = 2_000_000_000
_ORDER: Mapping[str, int] = {"sheetData": 0, "mergeCells": 1}
"""Both stand once in a sheet. What is merged cannot be judged before the rows are there."""
_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_BOOLEANS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


@frozen
class _LongText:
    """Stands for a text in a cell, which is looked up when its row is used."""

    number: str


@define(eq=False)
class Sheet(Elements):
    """The rows of a sheet."""

    strings: SharedStrings
    styles: Styles
    calculates_on_load: bool
    since_1904: bool
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
        """Handle the start of a known element."""
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
        """Handle the end of a known element."""
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
                    raise SheetError(
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
                raise SheetError(f"{problem}; shorten it")
            if self._long_texts > MOST_INFLATED:
                problem = f"its rows have more than {MOST_INFLATED:,} characters"
                raise SheetError(f"{problem}; divide it into several files")
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
                f"later: their values may be placeholders; {SAVE_AGAIN}"
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
            raise SheetError(f"behind row {self._line:,}: {what} {_MOST_ROWS:,}; {SAVE_AGAIN}")
        self._line, self._column, self._cells, self._length = line, 0, [], 0
        self._row_hidden = is_true(attributes.get("hidden"))

    def _open_cell(self, attributes: Mapping[str, str]) -> None:
        place = attributes.get("r")
        column = self._column + 1
        if place is not None:
            found = _PLACE.fullmatch(place)
            column = _number(found[1]) if found and int(found[2]) == self._line else 0
        if not self._column < column:
            raise SheetError(f"row {self._line:,} has cells that are out of order; {SAVE_AGAIN}")
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
                raise SheetError(f"its elements are out of order; {SAVE_AGAIN}")
            self._order += 1
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "col" and parent == "cols":
            self._column_format(attributes)

    def _column_format(self, attributes: Mapping[str, str]) -> None:
        low, high = attributes.get("min", ""), attributes.get("max", "")
        is_whole = low.isdecimal() and high.isdecimal() and max(len(low), len(high)) < 6  # noqa: PLR2004
        hidden = is_true(attributes.get("hidden"))
        if hidden and is_whole and len(self._hidden_columns) < _MOST_COLUMNS:
            self._hidden_columns.append((int(low), int(high)))

    def _far(self) -> SheetError:
        return SheetError(
            f"cell {self._place()} lies far outside of a table; at most {_MOST_COLUMNS:,} "
            "columns are read: delete those behind the table and save it again"
        )

    def _expect_one(self, before: object) -> None:
        if before is not None:
            raise SheetError(f"cell {self._place()} has two values; {SAVE_AGAIN}")

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
            return unescape("".join(self._inline or ()))
        if self._inline:
            return self._unusable(_TWO_KINDS)
        if kind == "str" and self._value is not None:
            return unescape(text)
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
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                return self._unusable("a date that cannot be read")
        if kind == "n" and len(text) <= 400 and _NUMBER.fullmatch(text):  # noqa: PLR2004
            if self._formula and self.calculates_on_load and float(text) == 0:
                return self._unusable(f"a formula that was not calculated yet; {SAVE_AGAIN}")
            return self.styles.value(float(text), self._style, since_1904=self.since_1904)
        return self._unusable("a value that cannot be read")

    def _unusable(self, what: str) -> Unusable:
        return Unusable(f"cell {self._place()} holds {what}")

    def _merge(self, ref: str) -> None:
        """Refuse merged cells in the table: all of them but the first are empty in the file."""
        ends = [_PLACE.fullmatch(end) for end in ref.split(":", 1)]
        if len(ends) == 1 and ends[0] is not None:
            return
        if len(ends) < 2 or ends[0] is None or ends[1] is None:  # noqa: PLR2004
            raise SheetError(f"merged cells in it cannot be read ({ref[:40]!a}); {SAVE_AGAIN}")
        left, right = _number(ends[0][1]), _number(ends[1][1])
        top, bottom = int(ends[0][2]), int(ends[1][2])
        is_one = (left, top) == (right, bottom)
        if is_one or left > self._width or top > self._last or bottom < self._first:
            return
        problem = f"cells {ref} are merged, and only the first of them has a value"
        self.rows.append(Finding(top, None, f"{problem}; unmerge them and fill in each"))


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
