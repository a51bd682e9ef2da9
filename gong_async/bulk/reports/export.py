"""Exports of a job: its items, its failed rows, the rows that undo it, written atomically."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO

from attrs import frozen

from gong_async._redact import Redactor
from gong_async.bulk.records import BulkItem, ItemState
from gong_async.bulk.store.job_file import JobFile
from gong_async.errors import JournalError

Format = Literal["jsonl", "csv"]
"""Formats of a report: JSONL keeps texts unchanged, CSV is safe to open as a spreadsheet."""

_COLUMNS = (
    "index",
    "line",
    "meeting_id",
    "state",
    "reason",
    "attempts",
    "status",
    "request_id",
    "error",
    "message",
    "errors",
    "fix_url",
    "seconds_waited",
    "seconds_on_wire",
)
_LONGEST_CELL = 32_000
"""Spreadsheets have a limit of 32,767."""

# Separators and quotes count as well: a program that expects another separator than ours begins
# its cells there. The signs are also read in their wide, small and mathematical forms. Apostrophes
# before a sign get one more, so that taking one away gives back what was there.
_FORMULA = re.compile(
    r"""((?:^|[,;|"])\s*)(?='*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212])"""
)
_LEFT = (
    "SELECT meeting_id, body FROM item JOIN content USING (item_index) "
    "WHERE (state = 'failed' OR reason = 'organizer') AND NOT EXISTS "
    "(SELECT 1 FROM item AS later WHERE later.meeting_id = item.meeting_id AND later.item_index > "
    "item.item_index AND later.state IN ('pending', 'in_flight', 'succeeded', 'in_doubt')) "
    "ORDER BY item_index"
)


_SENT = (
    "FROM item LEFT JOIN before USING (meeting_id) "
    "WHERE item.attempts > 0 AND item.state IN ('in_flight', 'succeeded', 'in_doubt') "
    "AND NOT EXISTS (SELECT 1 FROM item AS earlier WHERE earlier.meeting_id = item.meeting_id "
    "AND earlier.item_index < item.item_index AND earlier.attempts > 0 "
    "AND earlier.state IN ('in_flight', 'succeeded', 'in_doubt')) AND before.body IS {} "
    "ORDER BY item_index"
)
_KNOWN = "SELECT meeting_id, before.body " + _SENT.format("NOT NULL")
_UNKNOWN = "SELECT meeting_id " + _SENT.format("NULL")


@frozen
class UndoPlan:
    """The updates that revert a job."""

    known: Iterator[str]
    """An input line for each meeting: the update that Gong had acknowledged to an earlier job.
    Changes made elsewhere, or since then, are unknown."""
    unknown: tuple[str, ...]
    """Ids of the meetings without an earlier acknowledged update."""


def export(
    job: JobFile,
    format: Format,  # noqa: A002 - the usual word
    states: Collection[ItemState] = (),
) -> Iterator[str]:
    """Yield a line for each item, optionally of some states; in CSV, a header before.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    if format == "csv":
        yield _csv_line(_COLUMNS)
    for item in job.items(states):
        values = _values(item)
        yield _json_line(values) if format == "jsonl" else _csv_line(map(_cell, values.values()))


def failed_rows(job: JobFile) -> Iterator[str]:
    """Return the failed items, and those skipped for their organizer, as input for a new job.

    An item with a later change of the same meeting is left out, unless that failed, too: sent now,
    it would undo the later change.

    Raises:
        JournalError: the journal cannot be read, or its contents were purged.
    """
    header = job.header()
    if "purged_at" in header:
        raise JournalError(
            f"the contents of job {header.get('id', job.path.name)} were purged; "
            "take the rows from its input file",
            reason="state",
        )
    return _failed_rows(job)


def make_undo_plan(job: JobFile) -> UndoPlan:
    """Return the updates that revert every meeting that the job has changed or may have changed.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        unknown = tuple(meeting_id for (meeting_id,) in connection.execute(_UNKNOWN))
    return UndoPlan(_known(job), unknown)


def input_line(meeting_id: str, body: bytes) -> str:
    """Return a change as a line of an input file."""
    return _json_line({"meetingId": meeting_id, **json.loads(body)})


def write_atomically(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a private file, which replaces an existing one atomically.

    A pipe, or another file that cannot be replaced, is written directly. Returns the number of
    lines.

    Raises:
        OSError: the file cannot be written; an earlier one of that name is unchanged.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            return _write(stream, lines)
    path = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            written = _write(stream, lines)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)
    return written


def _failed_rows(job: JobFile) -> Iterator[str]:
    with job.reading() as connection:
        for meeting_id, body in connection.execute(_LEFT):
            yield input_line(meeting_id, body)


def _known(job: JobFile) -> Iterator[str]:
    with job.reading() as connection:
        for meeting_id, body in connection.execute(_KNOWN):
            yield input_line(meeting_id, body)


def _values(item: BulkItem) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in _COLUMNS}
    for name in ("seconds_waited", "seconds_on_wire"):
        values[name] = round(values[name], 6)
    return values


def _json_line(values: dict[str, Any]) -> str:
    # ASCII only: it cannot control a terminal, and no character can be cut in half.
    return json.dumps(values, separators=(",", ":")).replace("\x7f", "\\u007f")


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return line.getvalue()


def _cell(value: object) -> object:
    """Return the value of a cell: one line, without control characters and formulas."""
    if isinstance(value, tuple):
        value = "; ".join(value)
    if not isinstance(value, str):
        return value
    if not value.isprintable() or len(value) > _LONGEST_CELL:
        value = Redactor()(value, _LONGEST_CELL)
    return _FORMULA.sub(r"\1'", value)


def _write(stream: TextIO, lines: Iterable[str]) -> int:
    written = 0
    for line in lines:
        stream.write(f"{line}\n")
        written += 1
    return written


def _sync_directory(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a directory cannot be opened
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
