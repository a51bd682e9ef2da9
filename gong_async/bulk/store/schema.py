"""The schemas of journal and ledger, their statements, and the rows that a run writes.

A run writes a row for each intent and each ending. The writing thread releases the interpreter with
each statement and has to wait to get it back. So triggers do the work: a row is inserted into a
view (`rows.sql`), which spreads it over the tables, and one statement inserts many rows.
"""

from __future__ import annotations

import json
import time
from functools import cache, partial
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from attrs import define

from gong_async._storage.database import Schema, statements
from gong_async._storage.package_data import package_queries, package_text
from gong_async._storage.private_file import Purpose
from gong_async.bulk.records import BulkItem
from gong_async.errors import JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

_FOREIGN = partial(JournalError, reason="format")
_ELSEWHERE = "give another path, or set GONG_STATE_DIR to a directory of yours on a local disk"

JOURNAL = Schema(
    Purpose("the journal", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4A,
    version=2,
    tables=package_text(__package__, "journal.sql"),
    migrations={1: package_text(__package__, "journal_from_1.sql")},
    remedy="restore it from a backup; whatever was sent since then may be sent again",
    synchronous="FULL",
)

SQL = package_queries(__package__, "queries.sql")
"""The statements of `queries.sql`, by name."""

LEDGER = Schema(
    Purpose("the ledger of bulk jobs", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4C,
    version=2,
    tables=package_text(__package__, "ledger.sql"),
    migrations={1: package_text(__package__, "ledger_from_1.sql")},
    remedy="move it away; the next jobs then know nothing of what was sent before",
    synchronous="FULL",
)


_SCRIPT = package_text(__package__, "rows.sql")
_COLUMNS = {"intent": 4, "ending": 11}
"""How many columns each view has."""
_view, _values, _meeting = attrgetter("view"), attrgetter("values"), attrgetter("meeting_id")
_MOST_ROWS = 16
"""Rows that one statement inserts. Each number of rows is a statement to prepare."""


@define(eq=False)
class JournalRow:
    """One row for one of the views."""

    view: str
    meeting_id: str
    values: tuple[object, ...]
    """In the order of the view's columns."""

    def __call__(self, connection: Connection) -> None:
        """Write this row alone."""
        write_rows(connection, [self])


def make_intent(index: int, meeting_id: str, attempt: int) -> JournalRow:
    """Return the intent to send a request now."""
    return JournalRow("intent", meeting_id, (index, time.time(), meeting_id, attempt))


def make_ending(record: BulkItem) -> JournalRow:
    """Return the outcome of an item, as of now."""
    row = (
        record.index,
        time.time(),
        record.meeting_id,
        record.state,
        record.status,
        record.request_id,
        record.error,
        record.message,
        json.dumps(record.errors) if record.errors else None,
        record.seconds_waited,
        record.seconds_on_wire,
    )
    return JournalRow("ending", record.meeting_id, row)


def write_rows(connection: Connection, rows: list[JournalRow]) -> None:
    """Write rows, those of one meeting in their order, with few statements."""
    if len(set(map(_meeting, rows))) == len(rows):
        rows.sort(key=_view)
    for view, alike in groupby(rows, _view):
        values = [*map(_values, alike)]
        for first in range(0, len(values), _MOST_ROWS):
            some = values[first : first + _MOST_ROWS]
            connection.execute(_insert(view, len(some)), [*chain.from_iterable(some)])


@cache
def _insert(view: str, rows: int) -> str:
    row = f"({', '.join('?' * _COLUMNS[view])})"
    return f"INSERT INTO {view} VALUES {', '.join([row] * rows)}"  # noqa: S608 - our own names


def make_views(connection: Connection, run: int, company: str, job: str) -> None:
    """Create the views that rows are written to, for one run."""
    query = "SELECT quote(?) AS run, quote(?) AS company, quote(?) AS job"
    run_, company_, job_ = connection.execute(query, (run, company, job)).fetchone()
    for statement in statements(_SCRIPT.format(run=run_, company=company_, job=job_)):
        connection.execute(statement)
