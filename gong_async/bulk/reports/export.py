"""A bulk job's items as lines of a file, and files that are whole or not there."""

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
"""The kinds of a report: JSONL keeps each text as it is, CSV is safe to open as a spreadsheet."""

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
"""Spreadsheets hold a little more."""

# Separators and quotes count as well: a program that expects another separator than ours begins
# its cells there. The signs are also read in their wide, small and mathematical forms.
_FORMULA = re.compile(
    r"""((?:^|[,;|"])\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212])"""
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
class Reverse:
    """What takes the meetings of a job back to where they were."""

    known: Iterator[str]
    """A line for each meeting, as `read_changes` takes it: what Gong had acknowledged to a bulk
    job before this one. What was changed elsewhere, or since, is not known to it."""
    unknown: tuple[str, ...]
    """Ids of the meetings that the job has changed, or may have, and of which nothing is known."""


def export(
    job: JobFile,
    format: Format,  # noqa: A002 - the word that everybody uses
    states: Collection[ItemState] = (),
) -> Iterator[str]:
    """Yield a line for each item of the given states, or for all; in CSV a header before them.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    if format == "csv":
        yield _csv_line(_COLUMNS)
    for item in job.items(states):
        values = _values(item)
        yield _json_line(values) if format == "jsonl" else _csv_line(map(_cell, values.values()))


def failed_rows(job: JobFile) -> Iterator[str]:
    """Return, as JSON lines that `read_changes` takes, what did not get through.

    Those are the items that failed and those that were set aside for their organizer, unless a
    later change of the same meeting has got further: it must not be undone by an earlier one.

    Raises:
        JournalError: the journal cannot be read, or what it would send was purged.
    """
    header = job.header()
    if "purged_at" in header:
        raise JournalError(
            f"what job {header.get('id', job.path.name)} would send was purged; "
            "take the rows from the file that it was made from",
            reason="state",
        )
    return _failed_rows(job)


def reverse(job: JobFile) -> Reverse:
    """Return the way back, for every meeting that the job has changed or may have changed.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        unknown = tuple(meeting_id for (meeting_id,) in connection.execute(_UNKNOWN))
    return Reverse(_known(job), unknown)


def input_line(meeting_id: str, body: bytes) -> str:
    """Return a change as a line of an input file."""
    return _json_line({"meetingId": meeting_id, **json.loads(body)})


def write_atomically(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a file for this user alone, which is there as a whole or not at all.

    What cannot be replaced, a pipe for example, is written to as it is. Returns how many lines
    were written.

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
    # ASCII only: nothing in it can steer a terminal, and nothing in it can be cut in half.
    return json.dumps(values, separators=(",", ":")).replace("\x7f", "\\u007f")


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return line.getvalue()


def _cell(value: object) -> object:
    """Return what stands in a cell: one line, without what steers a terminal or is calculated."""
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
