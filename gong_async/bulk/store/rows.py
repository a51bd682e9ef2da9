"""What is written down for each request, as a row each: an intent, and an ending.

The writing thread gives the interpreter away with each statement and has to wait to have it back.
So what belongs together is put together in SQLite: a row given to a view that lasts as long as the
connection is spread over the tables by a trigger, and one statement gives it many rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import cache
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from attrs import define

from gong_async.bulk.records import BulkItem

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

_COLUMNS = {
    "intent": ("item_index", "at", "meeting_id", "number"),
    "ending": (
        *("item_index", "at", "meeting_id", "state", "status", "request_id", "error"),
        *("message", "errors", "waited", "on_wire"),
    ),
}
_INTENT = """
    INSERT INTO attempt (item_index, number, run, sent_at)
        VALUES (new.item_index, new.number, {run}, new.at);
    UPDATE item SET state = 'in_flight', run = {run}, attempts = new.number, sent_at = new.at
        WHERE item_index = new.item_index;
"""
_INTENT_IN_LEDGER = """
    INSERT OR IGNORE INTO before SELECT meeting_id, body FROM meeting
        WHERE new.number = 1 AND company = {company} AND meeting_id = new.meeting_id
        AND digest IS NOT NULL AND job IS NOT {job};
    INSERT INTO meeting (company, meeting_id, unsettled, sent_at)
        VALUES ({company}, new.meeting_id, {job} || ':' || new.item_index, new.at)
        ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at,
        unsettled = coalesce(unsettled, excluded.unsettled);
"""
_ENDING = """
    UPDATE item SET state = new.state, run = {run}, status = new.status,
        request_id = new.request_id, error = new.error, message = new.message,
        errors = new.errors, waited = new.waited, on_wire = new.on_wire, ended_at = new.at,
        reason = NULL WHERE item_index = new.item_index;
"""
_ENDING_IN_LEDGER = """
    UPDATE meeting SET (digest, body) =
        (SELECT digest, body FROM item JOIN content USING (item_index)
        WHERE item_index = new.item_index),
        job = {job}, unsettled = NULL
        WHERE new.state = 'succeeded' AND company = {company} AND meeting_id = new.meeting_id;
    UPDATE meeting SET unsettled = NULL
        WHERE new.state NOT IN ('succeeded', 'in_doubt') AND company = {company}
        AND meeting_id = new.meeting_id AND unsettled = {job} || ':' || new.item_index;
"""
_MEETING = 2
"""Where the meeting stands in a row."""
_view = attrgetter("view")
_MOST_ROWS = 16
"""Rows that one statement takes. Each number of rows is a statement of its own to make ready."""


@define(eq=False)
class JournalRow:
    """One row for one of the views."""

    view: str
    values: tuple[object, ...]
    """As `_COLUMNS` names them."""

    def __call__(self, connection: Connection) -> None:
        """Write it down alone."""
        write_rows(connection, [self])


def make_intent(index: int, meeting_id: str, attempt: int) -> JournalRow:
    """Return the announcement of a request, at this moment."""
    return JournalRow("intent", (index, time.time(), meeting_id, attempt))


def make_ending(record: BulkItem) -> JournalRow:
    """Return what became of an item, at this moment."""
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
    return JournalRow("ending", row)


def write_rows(connection: Connection, rows: list[JournalRow]) -> None:
    """Write rows, those of one meeting in their order, with few statements."""
    if len({row.values[_MEETING] for row in rows}) == len(rows):
        rows.sort(key=_view)
    for view, alike in groupby(rows, _view):
        values = [row.values for row in alike]
        for first in range(0, len(values), _MOST_ROWS):
            some = values[first : first + _MOST_ROWS]
            connection.execute(_insert(view, len(some)), [*chain.from_iterable(some)])


@cache
def _insert(view: str, rows: int) -> str:
    row = f"({', '.join('?' * len(_COLUMNS[view]))})"
    return f"INSERT INTO {view} VALUES {', '.join([row] * rows)}"  # noqa: S608 - our own names


def prepare_entries(connection: Connection, names: Mapping[str, object], *, ledger: bool) -> None:
    """Make the views that entries are written to.

    `names` are those of the run, the company and the job, which all entries share; `ledger` says
    whether there is one.
    """
    known = {
        name: connection.execute("SELECT quote(?)", (value,)).fetchone()[0]
        for name, value in names.items()
    }
    for view, taken in (
        ("intent", _INTENT + _INTENT_IN_LEDGER * ledger),
        ("ending", _ENDING + _ENDING_IN_LEDGER * ledger),
    ):
        selected = ", ".join(f"NULL AS {column}" for column in _COLUMNS[view])
        connection.execute(f"CREATE TEMP VIEW {view} AS SELECT {selected}")
        connection.execute(
            f"CREATE TEMP TRIGGER {view}_taken INSTEAD OF INSERT ON {view} "
            f"BEGIN {taken.format(**known)} END"
        )
