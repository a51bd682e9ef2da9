"""Tables as rows: a header that names the columns, and the values below it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from attrs import define, field

from gong_async.inputs.columns import OPTIONAL, REQUIRED, Columns
from gong_async.inputs.findings import Finding, Note
from gong_async.inputs.rows import Unusable

Row = tuple[int, dict[str, object]]
"""The line in which a row begins, and its values under Python names."""
SHEET_ERRORS = frozenset(
    """
    #N/A #REF! #VALUE! #DIV/0! #NAME? #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #UNKNOWN!
    #CONNECT! #BUSY! #PYTHON! #EXTERNAL! #TIMEOUT! #GETTING_DATA
    #NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF! #VALEUR! #NOM? #NOMBRE! #NUL! #N/D #¡REF! #¡VALOR!
    #¿NOMBRE? #¡NUM! #¡DIV/0! #¡NULO! #RIF! #VALORE! #NOME? #NULLO! #VALOR! #NÚM! #NULO! #VERW!
    #WAARDE! #NAAM? #GETAL! #LEEG! #SAKNAS! #VÄRDEFEL! #REFERENS! #NAMN? #DIVISION/0! #OGILTIGT!
    #VÆRDI! #REFERENCE! #NAVN? #I/T #VERDI! #PUUTTUU! #ARVO! #VIITTAUS! #NIMI? #JAKO/0! #LUKU!
    #ARG! #ADR! #NAZWA? #LICZBA! #DZIEL/0! #HODNOTA! #ODKAZ! #\u041d/\u0414 #ЗНАЧ! #ССЫЛКА!
    #ИМЯ? #ДЕЛ/0! #ЧИСЛО! #ПУСТО! #YOK #DEĞER! #BAŞV! #AD? #SAYI! #SAYI/0! #BOŞ!
    #ERROR! Loading...
    """.split()  # noqa: SIM905 - as a list it would take a page
)
"""What spreadsheet programs write in place of a value, in a CSV file as well."""
_OFFICE_ERROR = re.compile(r"Err\s?:\s?[0-9]{3}")
"""What LibreOffice writes."""
_PERHAPS_NULL = frozenset(
    "null (null) <null> none nan nil undefined n/a na <na> nat".split()  # noqa: SIM905 - as above
)
COMMENT = "# "
"""What lines begin with that are passed over above the header."""
_ESCAPE = re.compile(r"\\[\\btnrZ0'\n]")
_ESCAPES = (
    "a backslash is read as it stands; if it escapes something, as MySQL and PostgreSQL write it, "
    "export CSV without escapes"
)


def table_rows(
    rows: Iterable[tuple[int, Sequence[object]] | Finding],
    columns: Columns,
    *,
    ragged: bool = False,
) -> Iterator[Row | Finding]:
    """Yield the rows below a header as values under Python names.

    Cells are text, "" standing for nothing, or whatever a spreadsheet holds. Rows that are
    `ragged` end with their last value.
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
        if isinstance(cells[0], str) and cells[0].startswith(COMMENT):
            continue
        header = Header(line, cells, columns, ragged)
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
    columns: Columns
    ragged: bool = False
    findings: list[Finding] = field(factory=list, init=False)
    unusable: bool = field(default=False, init=False)
    """A required column is missing, so that no row below can be read."""
    _fields: list[str | None] = field(factory=list, init=False)
    """Of each column: its field, "" if it is ignored, None if it has no usable name."""
    _unknown: list[str] = field(factory=list, init=False)
    _nameless: set[int] = field(factory=set, init=False)
    """Columns without a name in which a value was found."""

    def __attrs_post_init__(self) -> None:
        for cell in self.cells:
            self._fields.append(self._field(cell))
        names = [cell for cell in self.cells if isinstance(cell, str)]
        self.findings += [Finding(self.line, None, it) for it in self.columns.missing(names)]
        self.findings += self.columns.unknown(
            self._unknown, self._fields, line=self.line, kind="column"
        )
        for name in REQUIRED:
            if name not in self._fields:
                self.unusable = True
                self.findings.append(Finding(self.line, name, "the column is missing"))

    def row(self, line: int, cells: Sequence[object]) -> Iterator[Row | Finding]:
        """Yield what is wrong with the shape of a row, and the row."""
        if len(cells) != len(self._fields) and not self.ragged:
            yield from self._misfit(line, cells)
            return
        values: dict[str, object] = {}
        for column, (name, cell) in enumerate(zip_longest(self._fields, cells, fillvalue=None), 1):
            value = "" if cell is None else cell
            if name is None:
                if value != "" and column not in self._nameless:
                    self._nameless.add(column)  # of an index column, each row has a value
                    problem = f"a value in a column without a usable name (column {column})"
                    yield Finding(line, None, f"{problem}; name it, or delete it")
            elif not name:
                continue
            elif value != "" or name == "invitees":
                values[name] = _checked(name, value)
                if name in OPTIONAL and (doubt := self._doubt(value)):
                    yield Note(line, name, doubt)
        yield line, values

    def _misfit(self, line: int, cells: Sequence[object]) -> Iterator[Finding]:
        for number, cell in enumerate(cells, 1):
            if isinstance(cell, Unusable):  # it may be why
                yield Finding(line, None, f"cell {number}: {cell.problem}")
        problem = f"{len(cells)} cells, but the header has {len(self._fields)}"
        advice = (
            "text with the separator in it needs quotes"
            if len(cells) > len(self._fields)
            else "if empty ones at the end were left out, as Excel does, move a column to the "
            "end that is never empty"
        )
        yield Finding(line, None, f"{problem}; {advice}")

    def _doubt(self, value: object) -> str:
        """Return why a value may not be what is meant."""
        if not isinstance(value, str):
            return ""
        if value.lower() in _PERHAPS_NULL:
            return "a word for no value; if that is meant, leave it empty"
        is_escaped = "\\" in value and not self.ragged and _ESCAPE.search(value)
        return _ESCAPES if is_escaped else ""

    def _field(self, cell: object) -> str | None:
        if isinstance(cell, Unusable):
            where = "" if self.ragged else f"cell {len(self._fields) + 1}: "
            self.findings.append(Finding(self.line, None, where + cell.problem))
            return None
        name = str(cell).strip()
        if not name:
            return None
        found = self.columns.field_of(name)
        if found is None:
            self._unknown.append(name)
            return ""
        if found and found in self._fields:
            self.findings.append(Finding(self.line, found, "the column stands twice"))
        return found


def _checked(name: str, cell: object) -> object:
    """Return a cell, or what is wrong with its text."""
    if not isinstance(cell, str):
        return cell
    if name == "invitees" and cell.lower() in _PERHAPS_NULL:
        return Unusable("a word for no value; leave it empty if there are no invitees")
    if "\0" in cell:
        return Unusable("holds a NUL byte")
    if cell.startswith(("#", "Err", "Loading")):
        text = cell.strip()
        if text in SHEET_ERRORS or _OFFICE_ERROR.fullmatch(text):
            return Unusable(f"the error {text} of a spreadsheet")
    return cell
