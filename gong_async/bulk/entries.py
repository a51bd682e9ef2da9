"""What is written down for each request, as a row each: an intent, and an ending.

The writing thread gives the interpreter away with each statement and has to wait to have it back.
So what belongs together is put together in SQLite: a row given to a view that lasts as long as the
connection is spread over the tables by a trigger, and one statement gives it many rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from gong_async.bulk.records import BulkItem

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

_COLUMNS = (
    *("place", "state", "at", "meeting_id", "number", "status", "request_id", "error"),
    *("message", "errors", "waited", "on_wire"),
)
_INTENT = """
    INSERT INTO attempt (place, number, run, sent_at)
        VALUES (new.place, new.number, {run}, new.at);
    UPDATE item SET state = 'sent', run = {run}, attempts = new.number, sent_at = new.at
        WHERE place = new.place;
"""
_INTENT_IN_LEDGER = """
    INSERT OR IGNORE INTO before SELECT meeting_id, body FROM acknowledged
        WHERE new.number = 1 AND company = {company} AND meeting_id = new.meeting_id
        AND digest IS NOT NULL AND job IS NOT {job};
    INSERT INTO acknowledged (company, meeting_id, unsettled, sent_at)
        VALUES ({company}, new.meeting_id, {job} || ':' || new.place, new.at)
        ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at,
        unsettled = coalesce(unsettled, excluded.unsettled);
"""
_ENDING = """
    UPDATE item SET state = new.state, run = {run}, status = new.status,
        request_id = new.request_id, error = new.error, message = new.message,
        errors = new.errors, waited = new.waited, on_wire = new.on_wire, ended_at = new.at,
        reason = NULL WHERE place = new.place;
"""
_ENDING_IN_LEDGER = """
    UPDATE acknowledged SET (digest, body) =
        (SELECT digest, body FROM item JOIN content USING (place) WHERE place = new.place),
        job = {job}, unsettled = NULL
        WHERE new.state = 'done' AND company = {company} AND meeting_id = new.meeting_id;
    UPDATE acknowledged SET unsettled = NULL
        WHERE new.state NOT IN ('done', 'in_doubt') AND company = {company}
        AND meeting_id = new.meeting_id AND unsettled = {job} || ':' || new.place;
"""
_ROW = f"({', '.join('?' * len(_COLUMNS))})"
# Of a few sizes only, so that each is made ready once.
_STATEMENTS = {
    rows: "INSERT INTO entry VALUES " + ", ".join([_ROW] * rows)  # noqa: S608 - question marks
    for rows in (32, 16, 8, 4, 2, 1)
}


@frozen(eq=False)
class Entry:
    """One row: of an intent if its state is `sent`, else of an ending."""

    row: tuple[object, ...]
    """Place, state, time, meeting, number of the attempt, status, request id, error, message,
    errors, seconds waited and on the wire; what is not known is None."""

    def __call__(self, connection: Connection) -> None:
        """Write it down alone."""
        write_entries(connection, [self])


def make_intent(place: int, meeting_id: str, attempt: int) -> Entry:
    """Return the announcement of a request, at this moment."""
    unknown = (None, None, None, None, None, None, None)
    return Entry((place, "sent", time.time(), meeting_id, attempt, *unknown))


def make_ending(record: BulkItem) -> Entry:
    """Return what became of an item, at this moment."""
    return Entry(
        (
            record.place,
            record.state,
            time.time(),
            record.meeting_id,
            None,
            record.status,
            record.request_id,
            record.error,
            record.message,
            json.dumps(record.errors) if record.errors else None,
            record.seconds_waited,
            record.seconds_on_wire,
        )
    )


def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries down in their order, with few statements."""
    rows = [entry.row for entry in entries]
    done = 0
    for size, statement in _STATEMENTS.items():
        while len(rows) - done >= size:
            connection.execute(statement, [*chain.from_iterable(rows[done : done + size])])
            done += size


def prepare_entries(connection: Connection, names: Mapping[str, object], *, ledger: bool) -> None:
    """Make the view that entries are written to.

    `names` are those of the run, the company and the job, which all entries share; `ledger` says
    whether there is one.
    """
    known = {
        name: connection.execute("SELECT quote(?)", (value,)).fetchone()[0]
        for name, value in names.items()
    }
    selected = ", ".join(f"NULL AS {column}" for column in _COLUMNS)
    connection.execute(f"CREATE TEMP VIEW entry AS SELECT {selected}")
    for name, condition, taken in (
        ("intent", "new.state = 'sent'", _INTENT + _INTENT_IN_LEDGER * ledger),
        ("ending", "new.state <> 'sent'", _ENDING + _ENDING_IN_LEDGER * ledger),
    ):
        connection.execute(
            f"CREATE TEMP TRIGGER {name} INSTEAD OF INSERT ON entry WHEN {condition} "
            f"BEGIN {taken.format(**known)} END"
        )
