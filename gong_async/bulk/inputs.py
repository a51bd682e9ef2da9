"""Input files as changes: CSV, JSONL and XLSX, all rows checked before the first is used.

```python
inputs = read_changes("meetings.csv")  # raises InputError, which lists every fault
async for outcome in gong.update_many(inputs):
    print(inputs.lines[outcome.index], outcome.ok)
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path

from attrs import frozen

from gong_async.bulk.columns import read_change
from gong_async.bulk.findings import Finding, InputError
from gong_async.bulk.sheets import xlsx_rows
from gong_async.bulk.tables import Row, csv_rows, jsonl_rows, read_text
from gong_async.models.meetings import MeetingChange

__all__ = ["Finding", "InputError", "Inputs", "read_changes"]

_SPREADSHEET_DIGITS = 15
_LONG_ID = 18
_SUSPICIOUS_SHARE = 0.01


@frozen
class Inputs:
    """The changes of one file, in its order; iterable, as `GongClient.update_many` wants them."""

    changes: tuple[MeetingChange, ...]
    lines: tuple[int, ...]
    """The line of the file in which each change begins."""
    notes: tuple[Finding, ...] = ()
    """What is allowed and may still be a mistake: several rows for one meeting, for example."""

    def __iter__(self) -> Iterator[MeetingChange]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)


def read_changes(path: str | PathLike[str]) -> Inputs:
    """Read a file of meeting updates: `.csv`, `.jsonl` (or `.ndjson`), `.xlsx`.

    Columns are named as in Python or as in Gong's API, `start_time` or `startTime`. Ids are text:
    what a spreadsheet has rounded is refused.

    Raises:
        InputError: something in the file cannot be right; `findings` lists every fault.
        ConfigurationError: the extra that this kind of file needs is not installed.
        OSError: the file cannot be opened.
    """
    source = Path(path)
    changes: list[MeetingChange] = []
    lines: list[int] = []
    faults: list[Finding] = []
    for item in _rows(source):
        if isinstance(item, Finding):
            faults.append(item)
            continue
        line, raw = item
        change = read_change(raw, line=line)
        if isinstance(change, MeetingChange):
            changes.append(change)
            lines.append(line)
        else:
            faults.extend(change)
    rounded, certain = _rounded(changes, lines)
    if certain:
        faults.extend(rounded)
    if faults:
        raise InputError(source.name, sorted(faults, key=lambda fault: fault.line))
    notes = (*_repeated(changes, lines), *rounded)
    return Inputs(tuple(changes), tuple(lines), notes)


def _rows(source: Path) -> Iterator[Row | Finding]:
    suffix = source.suffix.lower()
    if suffix == ".xlsx":
        yield from xlsx_rows(source)
        return
    read = _TEXT_FORMATS.get(suffix)
    if read is None:
        problem = f"a file of this kind ({suffix!a}) is not read; use .csv, .jsonl or .xlsx"
        yield Finding(0, None, problem)
        return
    text = read_text(source)
    if isinstance(text, Finding):
        yield text
        return
    yield from read(text)


_TEXT_FORMATS: Mapping[str, Callable[[str], Iterator[Row | Finding]]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
}


def _repeated(changes: list[MeetingChange], lines: list[int]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for change, line in zip(changes, lines, strict=True):
        earlier = first.setdefault(change.meeting_id, line)
        if earlier != line:
            problem = f"meeting {change.meeting_id} stands in line {earlier} already"
            told = f"{problem}; a job sends its last row only, unless it keeps their order"
            yield Finding(line, "meeting_id", told)


def _rounded(changes: list[MeetingChange], lines: list[int]) -> tuple[list[Finding], bool]:
    """Find long ids with nothing but zeros after 15 digits; say whether that can be no chance."""
    long = 0
    found: list[Finding] = []
    for change, line in zip(changes, lines, strict=True):
        id_ = change.meeting_id
        if len(id_) < _LONG_ID:
            continue
        long += 1
        if not id_[_SPREADSHEET_DIGITS:].strip("0"):
            problem = f"{id_} ends in zeros, as if a spreadsheet had rounded it"
            found.append(Finding(line, "meeting_id", f"{problem}; compare it with Gong"))
    return found, len(found) > 1 and len(found) > _SUSPICIOUS_SHARE * long
