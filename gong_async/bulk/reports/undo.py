"""The way back: what stood in the meetings that a bulk job has changed."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from gong_async.bulk.reports.export import input_line
from gong_async.bulk.store.job_file import JobFile

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


def reverse(job: JobFile) -> Reverse:
    """Return the way back, for every meeting that the job has changed or may have changed.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        unknown = tuple(meeting_id for (meeting_id,) in connection.execute(_UNKNOWN))
    return Reverse(_known(job), unknown)


def _known(job: JobFile) -> Iterator[str]:
    with job.reading() as connection:
        for meeting_id, body in connection.execute(_KNOWN):
            yield input_line(meeting_id, body)
