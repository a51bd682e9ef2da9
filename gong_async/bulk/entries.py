"""What is written down for each request, as one statement each: an intent, and an ending.

The writing thread gives the interpreter away with each statement and has to wait to have it back.
So what belongs together is put together in SQLite: a row given to a view that lasts as long as the
connection is spread over the tables by a trigger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

INTENT = "INSERT INTO intent VALUES (?, ?, ?, ?, ?, ?, ?)"
"""Place, number of the attempt, run, time, meeting, company, job."""

ENDING = "INSERT INTO ending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""Place, state, run, status, request id, error, message, errors, seconds waited and on the wire,
time, meeting, company, job."""

_VIEWS = {
    "intent": "place number run at meeting_id company job",
    "ending": "place state run status request_id error message errors waited on_wire at "
    "meeting_id company job",
}
_INTENT = """
    INSERT INTO attempt (place, number, run, sent_at)
        VALUES (new.place, new.number, new.run, new.at);
    UPDATE item SET state = 'sent', run = new.run, attempts = new.number, sent_at = new.at
        WHERE place = new.place;
"""
_INTENT_IN_LEDGER = """
    INSERT OR IGNORE INTO before SELECT meeting_id, body FROM acknowledged
        WHERE new.number = 1 AND company = new.company AND meeting_id = new.meeting_id
        AND digest IS NOT NULL AND job IS NOT new.job;
    INSERT INTO acknowledged (company, meeting_id, unsettled, sent_at)
        VALUES (new.company, new.meeting_id, new.job || ':' || new.place, new.at)
        ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at,
        unsettled = coalesce(unsettled, excluded.unsettled);
"""
_ENDING = """
    UPDATE item SET state = new.state, run = new.run, status = new.status,
        request_id = new.request_id, error = new.error, message = new.message,
        errors = new.errors, waited = new.waited, on_wire = new.on_wire, ended_at = new.at,
        reason = NULL WHERE place = new.place;
"""
_ENDING_IN_LEDGER = """
    UPDATE acknowledged SET (digest, body) =
        (SELECT digest, body FROM item JOIN content USING (place) WHERE place = new.place),
        job = new.job, unsettled = NULL
        WHERE new.state = 'done' AND company = new.company AND meeting_id = new.meeting_id;
    UPDATE acknowledged SET unsettled = NULL
        WHERE new.state NOT IN ('done', 'in_doubt') AND company = new.company
        AND meeting_id = new.meeting_id AND unsettled = new.job || ':' || new.place;
"""


def prepare_entries(connection: Connection, *, ledger: bool) -> None:
    """Make the views that `INTENT` and `ENDING` write to; `ledger` says whether there is one."""
    taken = {"intent": _INTENT, "ending": _ENDING}
    if ledger:
        taken = {"intent": _INTENT + _INTENT_IN_LEDGER, "ending": _ENDING + _ENDING_IN_LEDGER}
    for name, columns in _VIEWS.items():
        selected = ", ".join(f"NULL AS {column}" for column in columns.split())
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT {selected}")
        connection.execute(
            f"CREATE TEMP TRIGGER {name}_taken INSTEAD OF INSERT ON {name} BEGIN {taken[name]} END"
        )
