"""Input files as changes: CSV, JSONL and XLSX, all rows checked before the first is used.

```python
rows = read_changes("meetings.csv")
async for outcome in gong.update_many(rows):  # raises InputError, which lists the faults
    print(rows.lines[outcome.index], outcome.ok)
```
"""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TextIO

from attrs import define, evolve, field

from gong_async.errors import ConfigurationError
from gong_async.inputs import ids
from gong_async.inputs.columns import Columns, folded_map
from gong_async.inputs.findings import Finding, Findings, InputError, Note
from gong_async.inputs.rows import doubts_of, read_change
from gong_async.inputs.table import Row
from gong_async.inputs.temporary import temporary_database
from gong_async.inputs.text import GZIP, csv_rows, jsonl_rows, open_text
from gong_async.inputs.times import TimeReader
from gong_async.inputs.xlsx import xlsx_rows
from gong_async.models.meetings import MeetingChange

__all__ = ["Finding", "InputError", "Inputs", "Note", "read_changes"]

Page = list[tuple[int, MeetingChange]]
"""Some changes that follow each other, each with its line."""

_PAGE = 500
"""Rows of a usual size that are read at a time."""
_AS_WRITTEN = TimeReader()
"""Without a time zone and a format of its own."""


@define(eq=False)
class Inputs:
    """The changes of one file, in its order; for `GongClient.bulk` and `GongClient.update_many`.

    Iterating, with `for` or `async for`, reads the file twice: the first time every row is checked.
    A bulk job reads it once, into its journal. Memory does not depend on the number of rows, apart
    from 8 bytes a row for `lines`.
    """

    path: Path
    encoding: str | None = None
    ids_exact: bool = False
    times: TimeReader = _AS_WRITTEN
    columns: Mapping[str, str] = field(factory=dict)
    """Fields of columns with other names: see `read_changes`."""
    strict: bool = False
    _notes: Findings = field(factory=Findings, init=False, repr=False)
    _lines: array[int] = field(factory=lambda: array("Q"), init=False, repr=False)
    _version: tuple[int, ...] | None = field(default=None, init=False, repr=False)
    """What the file system says of the file that was checked."""

    @property
    def lines(self) -> Sequence[int]:
        """The line of the file in which each change begins, as far as the file was read."""
        return self._lines

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is allowed and may still be a mistake: several rows for one meeting, for example.

        Known when the file was read to its end; the first 1,000.
        """
        return self._notes.in_order()

    @property
    def note_count(self) -> int:
        """How many notes there are, with those beyond the first 1,000."""
        return self._notes.total

    def check(self) -> None:
        """Read the whole file.

        Raises:
            InputError: something in the file cannot be right.
            ConfigurationError: the encoding does not exist, or is given for a spreadsheet.
            OSError: the file cannot be read.
        """
        for _ in self.numbered_pages():
            pass

    def numbered_pages(self) -> Generator[Page, None, None]:
        """Read the file once; yield its changes as they come, none once there is a fault.

        Nothing may be done with them before the end: only there it is known whether the file as a
        whole can be used. The errors are those of `check`.
        """
        version = self._look()
        faults, self._notes, self._lines = Findings(), Findings(), array("Q")
        with temporary_database(ids.TABLE) as connection:
            known = ids.Ids(connection)
            page: Page = []
            size = 0
            columns = Columns(self.columns, self.strict)
            for item in self._rows(columns):
                taken = self._take(item, columns, faults)
                size += _size(item)
                if taken is not None:
                    line, change = taken
                    known.add(line, change.meeting_id)
                    self._lines.append(line)
                    page.append(taken)
                if size >= _PAGE:
                    yield [] if faults.total else page
                    page, size = [], 0
            for finding in known.findings(exact=self.ids_exact):
                self._found(finding, columns, faults)
        if not self._is_still(version):
            problem = "it was changed while it was read; try again when it is complete"
            faults.add(Finding(0, None, problem))
        if faults.total:
            raise InputError(self.path.name, faults.in_order(), faults.total)
        yield page
        self._version = version

    def pages_again(self) -> Generator[Page, None, None]:
        """Read the file once more, after it was checked.

        Raises:
            InputError: the file is not the one that was checked.
        """
        if not self._is_still(self._version):
            raise InputError(self.path.name, [Finding(0, None, "it was changed meanwhile")])
        yield from self.numbered_pages()

    def __iter__(self) -> Iterator[MeetingChange]:
        self.check()
        for page in self.pages_again():
            for _, change in page:
                yield change

    def __aiter__(self) -> AsyncIterator[MeetingChange]:
        return _Reader(self)

    def _take(
        self, item: Row | Finding, columns: Columns, faults: Findings
    ) -> tuple[int, MeetingChange] | None:
        """Return the change that a row stands for; take note of what is found in it."""
        if isinstance(item, Finding):
            self._found(item, columns, faults)
            return None
        line, raw = item
        change = read_change(raw, line=line, times=self.times)
        if isinstance(change, MeetingChange):
            for note in doubts_of(change, line=line):
                self._found(note, columns, faults)
            return line, change
        for finding in change:
            self._found(finding, columns, faults)
        return None

    def _found(self, finding: Finding, columns: Columns, faults: Findings) -> None:
        name = columns.names.get(re.split(r"[.\[]", finding.field or "", maxsplit=1)[0])
        if name is not None:
            finding = evolve(finding, column=name)
        (self._notes if isinstance(finding, Note) else faults).add(finding)

    def _look(self) -> tuple[int, ...]:
        found = self.path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _is_still(self, version: tuple[int, ...] | None) -> bool:
        try:
            return self._look() == version
        except FileNotFoundError:
            return False

    def _rows(self, columns: Columns) -> Iterator[Row | Finding]:
        if not (self.path.is_file() or self.path.is_dir()):  # to open a directory is an OSError
            problem = "a pipe or a device, and no file; write what comes out of it to a file first"
            yield Finding(0, None, problem)
            return
        suffix = self.path.suffix.lower()
        if suffix == GZIP:
            suffix = Path(self.path.stem).suffix.lower() + GZIP
        if suffix == ".xlsx":
            if self.encoding is not None:
                raise ConfigurationError(
                    "an encoding is for text files; a spreadsheet names its own"
                )
            yield from xlsx_rows(self.path, columns)
            return
        read = _TEXT_FORMATS.get(suffix.removesuffix(GZIP))
        if read is None:
            problem = f"a file of this kind ({suffix!a}) is not read; use .csv, .jsonl or .xlsx"
            yield Finding(0, None, problem)
            return
        with open_text(self.path, self.encoding) as text:
            if isinstance(text, Finding):
                yield text
            else:
                yield from read(text, columns)


@define(eq=False)
class _Reader:
    """Reads in threads, so that the event loop goes on meanwhile."""

    inputs: Inputs
    _pages: Iterator[Page] | None = field(default=None, init=False)
    _page: Iterator[tuple[int, MeetingChange]] = field(factory=lambda: iter(()), init=False)

    def __aiter__(self) -> _Reader:
        return self

    async def __anext__(self) -> MeetingChange:
        if self._pages is None:
            checking = self.inputs.numbered_pages()
            while await asyncio.to_thread(next, checking, None) is not None:
                pass
            self._pages = self.inputs.pages_again()
        while (item := next(self._page, None)) is None:
            page = await asyncio.to_thread(next, self._pages, None)
            if page is None:
                raise StopAsyncIteration
            self._page = iter(page)
        return item[1]


def read_changes(
    path: str | PathLike[str],
    *,
    encoding: str | None = None,
    ids_exact: bool = False,
    timezone: str | None = None,
    date_format: str | None = None,
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Inputs:
    """Return the meeting updates of a file: `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.xlsx`.

    Text may be compressed: `.csv.gz`. The file is read when it is iterated, or when a job is
    planned from it. What cannot be right raises an `InputError` then, before the first change is
    used. Columns are named as in Python or as in Gong's API, `start_time` or `startTime`, whatever
    the case; blanks, dashes and underscores do not count. Ids are text: those that were rounded are
    refused.

    Args:
        path: the file.
        encoding: of a text file that is neither UTF-8 nor marked as UTF-16; it is never guessed.
        ids_exact: take ids that look rounded, because they are known to be right.
        timezone: the zone of times without an offset, Europe/Berlin for example.
        date_format: the format of times that are not ISO-8601, as `datetime.strptime` has it.
        columns: fields by other names of columns, such as `{"Meeting start": "start_time"}`; an
            empty field ignores a column.
        strict: refuse unknown columns; they are ignored with a note otherwise, unless the name is
            nearly that of a field that the file lacks.

    Raises:
        ConfigurationError: there is no such zone or field, or the format leaves a part of a time
            out.
    """
    times = TimeReader(timezone, date_format)
    folded_map(columns or {})  # raises now, not when the file is read
    return Inputs(Path(path), encoding, ids_exact, times, columns or {}, strict)


def _size(item: Row | Finding) -> int:
    """Return how much of a page a row takes, as a multiple of a usual one."""
    if isinstance(item, Finding):
        return 1
    lengths = (len(value) for value in item[1].values() if isinstance(value, str | list))
    return 1 + sum(lengths) // 1_000


_TEXT_FORMATS: Mapping[str, Callable[[TextIO, Columns], Iterator[Row | Finding]]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
}
