"""Differences between the pending items of a job and the known state of their meetings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from gong_async._storage.database import Database
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.schema import JOURNAL, LEDGER
from gong_async.models._shared import gong_name
from gong_async.models.meetings import MeetingUpdate

_NAMES = {gong_name(attribute): attribute.name for attribute in attrs.fields(MeetingUpdate)}
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
    """Line in the input file, if any."""
    field: str
    """Python name of the field; "*" for all fields of an unknown meeting."""
    before: object = attrs.field(repr=False)
    """The value in JSON that Gong last acknowledged to a job; None if the field was not set."""
    after: object = attrs.field(repr=False)
    """The value to be sent; None without the field."""


def differences(job: JobFile, ledger: Path | None) -> Iterator[Difference]:
    """Yield the differences of all pending items, in order.

    A meeting is unknown if no job has updated it, or if its last update is in doubt: its difference
    has the field "*", None as `before`, and the whole update as `after`. Several changes of one
    meeting are each compared with the previous one.

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
    return {_NAMES.get(name, name): value for name, value in json.loads(body).items()}
