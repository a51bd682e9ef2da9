"""Removes the contents of meetings, and the people in them, from the files of a job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gong_async._storage.database import Database
from gong_async.bulk.reports.groups import impersonal
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.schema import JOURNAL, LEDGER, SQL
from gong_async.errors import JournalError

_ENDED = frozenset({"completed", "cancelled"})

_MASK_ITEMS = (
    "UPDATE item SET message = impersonal(message, "
    "(SELECT body FROM content WHERE content.item_index = item.item_index)), "
    "errors = impersonal_list(errors, "
    "(SELECT body FROM content WHERE content.item_index = item.item_index)) "
    "WHERE message IS NOT NULL OR errors IS NOT NULL"
)
_MASK_ORGANIZERS = (
    "UPDATE organizer SET email = NULL, problem = impersonal(problem, NULL), "
    "fix_url = impersonal(fix_url, NULL)"
)
_MASK_HEADER = "UPDATE job SET value = impersonal(value, NULL) WHERE name = 'reason'"
_CANCEL_JOB = (
    "INSERT OR REPLACE INTO job VALUES ('state', 'cancelled'), "
    "('reason', 'purged'), ('resume_at', NULL), ('finishes_at', NULL)"
)
_END_RUN = "UPDATE run SET ended_at = ? WHERE ended_at IS NULL"


def purge(job: JobFile, ledger: Path | None, *, force: bool = False) -> int:
    """Remove contents and addresses from a job's files; return the number of removed contents.

    They are removed from the journal, and from the ledger where this job was the last to update a
    meeting. The status and the outcomes remain. The job cannot be undone, its failed rows cannot be
    exported, and later jobs cannot be undone for those meetings.

    Args:
        job: the journal.
        ledger: the ledger of the state directory; None leaves it unchanged.
        force: also purge a job that has not ended; this cancels it.

    Raises:
        JournalError: the journal is in use, the job has not ended, or a file cannot be written. The
            next call removes the rest.
    """
    job.require()
    with _locked(job):
        header = job.header()
        name, state = header.get("id", job.path.name), header.get("state", "planning")
        if state not in _ENDED and not force:
            raise JournalError(
                f"job {name} is {state}: without its contents it could not go on; "
                "resume or cancel it first",
                reason="state",
            )
        removed = _purge_journal(job.path, cancel=state not in _ENDED)
        if ledger is not None and ledger.exists():
            removed += _purge_ledger(ledger, str(header.get("company", "")), name)
    return removed


def _purge_journal(path: Path, *, cancel: bool) -> int:
    with closing(Database(path, JOURNAL)) as database:
        with database.transaction() as connection:
            connection.create_function("impersonal", 2, _impersonal)
            connection.create_function("impersonal_list", 2, _impersonal_list)
            if cancel:
                for statement in (SQL["interrupt_items"], SQL["cancel_items"], _CANCEL_JOB):
                    connection.execute(statement)
                connection.execute(_END_RUN, (time.time(),))
            for statement in (_MASK_ITEMS, _MASK_ORGANIZERS, _MASK_HEADER):
                connection.execute(statement)
            removed = connection.execute("DELETE FROM content").rowcount
            query = "UPDATE before SET body = NULL WHERE body IS NOT NULL"
            removed += connection.execute(query).rowcount
            values = ("purged_at", time.time())
            connection.execute("INSERT OR REPLACE INTO job VALUES (?, ?)", values)
        database.compact()
    return removed


def _purge_ledger(path: Path, company: str, name: str) -> int:
    with closing(Database(path, LEDGER)) as database:
        with database.transaction() as connection:
            query = (
                "UPDATE meeting SET body = NULL WHERE company = ? AND job = ? AND body IS NOT NULL"
            )
            removed = connection.execute(query, (company, name)).rowcount
        database.compact()
    return removed


def _impersonal(text: str | None, body: bytes | None) -> str | None:
    return None if text is None else impersonal(text, body)


def _impersonal_list(texts: str | None, body: bytes | None) -> str | None:
    if texts is None:
        return None
    return json.dumps([impersonal(text, body) for text in json.loads(texts)])


@contextmanager
def _locked(job: JobFile) -> Iterator[None]:
    """Hold the lock of the journal."""
    job.acquire_lock("wait for it, or pause the job")
    try:
        yield
    finally:
        job.lock.release()
