"""What a bulk job will change, field by field, against what is known of the meetings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from gong_async._storage.database import Database
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.schema import JOURNAL, LEDGER
from gong_async.inputs.rows import COLUMNS

_PLANNED = (
    "SELECT item.meeting_id, item.line, content.body, coalesce((SELECT previous.body "
    "FROM item AS earlier JOIN content AS previous USING (item_index) "
    "WHERE earlier.meeting_id = item.meeting_id AND earlier.item_index < item.item_index "
    "AND earlier.state = 'pending' ORDER BY earlier.item_index DESC LIMIT 1), {}) "
    "FROM item JOIN content USING (item_index) WHERE item.state = 'pending' "
    "ORDER BY item.item_index"
)
_ACKNOWLEDGED = (
    "(SELECT body FROM companion.meeting AS known WHERE known.company = "
    "(SELECT value FROM job WHERE name = 'company') AND known.meeting_id = item.meeting_id "
    "AND known.unsettled IS NULL)"
)


@attrs.frozen
class Difference:
    """One field of a meeting that will change."""

    meeting_id: str
    line: int | None
    """Line of the file that the change came from, if it came from one."""
    field: str
    """Python name of the field; "*" for all of a meeting of which nothing is known."""
    before: object = attrs.field(repr=False)
    """What Gong last acknowledged to a bulk job, as JSON has it; None if the field was not set."""
    after: object = attrs.field(repr=False)
    """What will be sent; None if the field is left out."""


def differences(job: JobFile, ledger: Path | None) -> Iterator[Difference]:
    """Yield what the items change that are still to be sent, in order.

    Of a meeting that was never sent, or whose last update is in doubt, nothing is known: its
    difference has the field "*", None before, and everything that will be sent after. Several
    changes of one meeting are each compared with the one before.

    Raises:
        JournalError: the journal is missing, or one of the files cannot be read.
    """
    job.require()
    known = ledger is not None and ledger.exists()
    companion = Database(ledger, LEDGER) if ledger is not None and known else None
    query = _PLANNED.format(_ACKNOWLEDGED if known else "NULL")
    database = Database(job.path, JOURNAL, companion=companion)
    with closing(database), database.snapshot() as connection:
        for meeting_id, line, body, earlier in connection.execute(query):
            after = _fields(body)
            if earlier is None:
                yield Difference(meeting_id, line, "*", None, after)
                continue
            before = _fields(earlier)
            for name in dict.fromkeys((*after, *before)):
                if before.get(name) != after.get(name):
                    yield Difference(meeting_id, line, name, before.get(name), after.get(name))


def _fields(body: bytes) -> Mapping[str, object]:
    return {COLUMNS.get(name, name): value for name, value in json.loads(body).items()}
