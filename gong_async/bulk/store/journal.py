"""The write-ahead journal of a bulk job, while it is planned and run.

An intent is durable before its request is sent, and an outcome before it is reported. One thread
writes everything, with several orders per transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

from gong_async._storage.database import Database
from gong_async._storage.lock import ProcessLock
from gong_async.bulk.engine import SETTLE_SECONDS
from gong_async.bulk.error_scope import REQUESTED, Stop
from gong_async.bulk.records import BulkItem, BulkOptions
from gong_async.bulk.store.schema import (
    JOURNAL,
    LEDGER,
    SQL,
    JournalRow,
    make_ending,
    make_intent,
    make_views,
)
from gong_async.bulk.store.writer import Writer
from gong_async.errors import JournalError
from gong_async.limits.types import Limits

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

PAGE = 256
"""Items per query."""


@frozen
class NewItem:
    """A change to be added to the journal."""

    line: int | None
    meeting_id: str
    organizer_email: str
    digest: bytes
    body: bytes


@define(eq=False)
class PlannedItem:
    """An item to be sent."""

    index: int
    line: int | None
    meeting_id: str
    organizer: int
    digest: bytes
    body: bytes
    attempts: int
    doubtful: int
    """Whether an earlier request for it may have been applied."""
    settles_at: float | None
    """Until when a request of another job may still be applied; seconds since the epoch."""
    last_attempt: tuple[object, ...] | None = None
    """Outcome of its last request, if it is not written yet."""


@define(eq=False)
class Journal:
    """The journal of a job, together with the ledger."""

    path: Path
    ledger: Path | None
    """None only to cancel a job, which does not change the ledger."""
    lock: ProcessLock | None = field(default=None, kw_only=True)
    """The lock on the file; without it nothing more is written."""
    writer: Writer = field(init=False)
    id: str = field(default="", init=False)
    company: str = field(default="", init=False)
    run: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)
    """Whether a run has begun and not ended."""
    _ended_items: int = field(default=0, init=False)
    """Items that ended in this run, and are not counted in the file yet."""

    def __attrs_post_init__(self) -> None:
        companion = None if self.ledger is None else Database(self.ledger, LEDGER)
        database = Database(self.path, JOURNAL, companion=companion)
        self.writer = Writer(database, self.lock)

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        """Execute `work` in a transaction, even if the caller is cancelled meanwhile."""
        return await self.writer.submit(work)

    async def _fetch(self, query: str, values: Any = ()) -> list[Any]:
        rows: list[Any] = await self.write(lambda file: file.execute(query, values).fetchall())
        return rows

    async def close(self, stop: Stop | None = None) -> None:
        """Execute all orders, end the run if there is one, and close the file."""
        await self.writer.close(self._last_work(stop))

    def close_now(self, stop: Stop | None = None) -> None:
        """Close from any thread, with or without a running loop; blocks until it is closed."""
        self.writer.close_now(self._last_work(stop))

    # Planning.

    async def create(self, header: Mapping[str, object]) -> None:
        """Create a journal."""
        self.id, self.company = str(header["id"]), str(header["company"])
        await self.write(lambda connection: _set(connection, {**header, "state": "planning"}))

    async def add(self, first: int, items: Sequence[NewItem]) -> None:
        """Add items, the first with the index `first`."""

        def work(connection: Connection) -> None:
            for index, item in enumerate(items, first):
                connection.execute(SQL["add_organizer"], (item.organizer_email,))
                row = (index, item.line, item.meeting_id, item.organizer_email, item.digest)
                connection.execute(SQL["add_item"], row)
                connection.execute(SQL["add_content"], (index, item.body))
            connection.execute(SQL["add_to_tally"], (len(items),))

        await self.write(work)

    async def seal(self, input_digest: str, options: BulkOptions) -> None:
        """Complete the plan: skip what need not be sent."""

        def work(connection: Connection) -> None:
            connection.execute("CREATE INDEX item_meeting ON item (meeting_id, item_index)")
            connection.execute("CREATE INDEX item_organizer ON item (organizer)")
            if not options.keep_order:
                connection.execute(SQL["skip_superseded"])
            if options.skip_unchanged:
                connection.execute(SQL["skip_unchanged"], (self.company,))
            _set(connection, {"input_digest": input_digest, "state": "planned"})

        await self.write(work)

    # Running.

    async def open(self) -> dict[str, Any]:
        """Check the integrity of the file, and return the properties of the job."""

        def work(connection: Connection) -> dict[str, Any]:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise JournalError(f"{self.path} is damaged ({verdict}); {JOURNAL.remedy}")
            return dict(connection.execute("SELECT name, value FROM job").fetchall())

        header: dict[str, Any] = await self.write(work)
        self.id, self.company = header.get("id", ""), header.get("company", "")
        return header

    async def begin_run(self, since: float, limits: Limits) -> str | None:
        """Record that a run begins; items that an earlier run left in flight are in doubt now.

        Its limits are for reports. Returns what another process requested after `since`, in
        seconds since the epoch.
        """

        def work(connection: Connection) -> str | None:
            connection.execute(SQL["interrupt_items"])
            cursor = connection.execute(SQL["begin_run"], (os.getpid(), time.time()))
            self.run = int(cursor.lastrowid or 0)
            make_views(connection, self.run, self.company, self.id)
            asked = _asked(connection, since)
            beginning = {
                "state": "running",
                "request": asked,
                "reason": None,
                "resume_at": None,
                "per_second": limits.per_second,
                "per_day": limits.per_day,
            }
            _set(connection, beginning)
            return asked

        # In a transaction of its own: it writes to the ledger alone, and so all or nothing.
        await self.write(self._complete_ledger)
        self._begun = True  # from here on there is a run to end, even if this fails
        asked: str | None = await self.write(work)
        return asked

    async def end_run(self, stop: Stop | None) -> None:
        """Record the end of the run: completed, or stopped for a reason."""
        await self.write(self._end_of_run(stop))

    async def note_request(self, what: str) -> None:
        """Record a request for the first run of the job."""
        await self.write(
            lambda connection: connection.execute(SQL["request"], (what, time.time())) and None
        )

    async def asked(self) -> str | None:
        """Return what another process requests."""
        asked: str | None = await self.write(_asked)
        return asked

    async def page(
        self, after: int, options: BulkOptions, *, settle_seconds: float = SETTLE_SECONDS
    ) -> list[PlannedItem]:
        """Return the next items to send after the index `after`, in order."""
        given = {
            "after": after,
            "run": self.run,
            "since": time.time() - options.resend_in_doubt_within,
            "most": PAGE,
            "settle": settle_seconds,
            "company": self.company,
            "job": self.id,
        }
        items: list[PlannedItem] = []
        for row in await self._fetch(SQL["page"], given):
            item = PlannedItem(*row)
            items.append(item)
            if hashlib.sha256(item.body).digest() != item.digest:
                raise JournalError(
                    f"{self.path} is damaged (what is to be sent to meeting {item.meeting_id} is "
                    f"not what was planned); {JOURNAL.remedy}"
                )
        return items

    def intent(self, item: PlannedItem) -> Awaitable[None]:
        """Record the intent of a request, which may be sent once this is durable."""
        item.attempts += 1
        row = make_intent(item.index, item.meeting_id, item.attempts)
        return self.writer.submit(self._behind_last_attempt(item, row))

    def attempt_ended(
        self, item: PlannedItem, status: int | None, request_id: str | None, error: str | None
    ) -> None:
        """Record the outcome of a request; it is written with the next record of the item."""
        item.last_attempt = (time.time(), status, request_id, error, item.index, item.attempts)

    def withdraw(self, item: PlannedItem) -> None:
        """Remove the intent of a request that was not sent: it is no attempt."""
        number, item.attempts = item.attempts, item.attempts - 1

        def work(connection: Connection) -> None:
            connection.execute(SQL["withdraw_attempt"], (item.index, number))
            connection.execute(SQL["set_attempts"], (number - 1, item.index))

        self.writer.submit(work)

    def end(self, item: PlannedItem, record: BulkItem) -> asyncio.Future[None]:
        """Record the outcome of an item in this run."""
        work = self._behind_last_attempt(item, make_ending(record))
        if record.state != "pending":
            self._ended_items += 1
            return self.writer.submit(work)

        def skip_late(connection: Connection) -> None:
            work(connection)
            # Its organizer's items may have been skipped while this one was in flight.
            connection.execute(SQL["skip_item_of_organizer"], (item.index,))

        return self.writer.submit(skip_late)

    async def note_progress(self, finishes_at: datetime | None) -> str | None:
        """Record a new forecast, if any; return what another process requests."""
        ended, self._ended_items = self._ended_items, 0

        def work(connection: Connection) -> str | None:
            if ended:  # without a change, it costs no write
                connection.execute(SQL["add_to_run"], (ended, self.run))
            if finishes_at is not None:
                _set(connection, {"finishes_at": finishes_at.timestamp()})
            return _asked(connection)

        asked: str | None = await self.write(work)
        return asked

    async def note_waiting(self, stop: Stop | None) -> None:
        """Record that the run waits, and until when; or that it continues."""
        values: dict[str, object] = {"state": "running", "reason": None}
        if stop is not None:
            values = {"state": "waiting", "reason": stop.reason}
        await self.write(lambda connection: _set(connection, {**values, **_waits(stop)}))

    async def left(self) -> int:
        """Return the number of pending items."""
        left: int = await self.write(_pending)
        return left

    # Organizers.

    async def organizers(self) -> tuple[int, int]:
        """Return how many organizers pending items have, and how many of these are unchecked."""
        ((organizers, unchecked),) = await self._fetch(SQL["count_organizers"])
        return organizers, unchecked

    async def unchecked_organizers(self, most: int) -> list[tuple[int, str]]:
        """Return numbers and addresses of organizers that Gong was not asked about."""
        return await self._fetch(SQL["unchecked_organizers"], (most,))

    async def note_organizers(
        self, problems: Mapping[int, tuple[str | None, str | None]], *, requests: int
    ) -> None:
        """Record the problem and the fix link of each organizer, None if there is none.

        The items of organizers with a problem are skipped.
        """

        def work(connection: Connection) -> None:
            for number, (problem, fix_url) in problems.items():
                connection.execute(SQL["check_organizer"], (problem, fix_url, number))
                if problem is not None:
                    connection.execute(SQL["skip_organizer"], (number,))
            connection.execute(SQL["count_check_requests"], (requests,))

        await self.write(work)

    def _last_work(self, stop: Stop | None) -> Callable[[Connection], None] | None:
        begun, self._begun = self._begun, False
        return self._end_of_run(stop) if begun else None

    def _end_of_run(self, stop: Stop | None) -> Callable[[Connection], None]:
        """Return the order that records the end of the run."""
        ended, self._ended_items = self._ended_items, 0

        def work(connection: Connection) -> None:
            state, reason, waits = "completed", None, _waits(None)
            left = _pending(connection)
            if left and _asked(connection) == "cancel":
                state, reason = "cancelled", REQUESTED
            elif stop is not None and (left or stop.state == "cancelled"):
                state, reason, waits = stop.state, stop.reason, _waits(stop)
            elif left:
                state, reason = "paused", f"{left:,} could not be sent; resume the job to try again"
            if state == "cancelled":
                connection.execute(SQL["interrupt_items"])  # by a process that died before
                connection.execute(SQL["cancel_items"])
            connection.execute(SQL["add_to_run"], (ended, self.run))
            connection.execute(SQL["end_run"], (time.time(), self.run))
            ending = {
                "state": state,
                "reason": reason,
                "request": None,
                "finishes_at": None,
                **waits,
            }
            _set(connection, ending)

        return work

    def _complete_ledger(self, connection: Connection) -> None:
        """Write outcomes to the ledger that only the journal has: it is committed first."""
        given = {"company": self.company, "job": self.id}
        for state, *known in connection.execute(SQL["missing_in_ledger"], given).fetchall():
            if state == "succeeded":
                connection.execute(SQL["acknowledge_in_ledger"], known)
            else:
                connection.execute(SQL["settle_in_ledger"], known[-2:])

    def _behind_last_attempt(
        self, item: PlannedItem, row: JournalRow
    ) -> Callable[[Connection], None]:
        """Return the row, or an order that records the outcome of the last request before it."""
        last_attempt, item.last_attempt = item.last_attempt, None
        if last_attempt is None:
            return row

        def work(connection: Connection) -> None:
            connection.execute(SQL["end_attempt"], last_attempt)
            row(connection)

        return work


def make_header(
    name: str, *, origin: str, company: str, version: str, options: BulkOptions
) -> dict[str, object]:
    """Return the properties of a new job. They contain no credential."""
    return {
        "id": name,
        "operation": "PUT /v2/meetings/{meetingId}",
        "origin": origin,
        "company": company,
        "planned_by": version,
        "options": json.dumps(asdict(options)),
        "planned_at": time.time(),
    }


def _waits(stop: Stop | None) -> dict[str, float | None]:
    """Return until when a stop waits, and when the next request may be sent at the earliest."""
    until = None if stop is None or stop.wait is None else time.time() + stop.wait
    resumes = until if stop is not None and stop.state == "waiting" else None
    return {
        "resume_at": resumes,
        "not_before": until if stop is not None and stop.mandatory else None,
    }


def _pending(connection: Connection) -> int:
    (pending,) = connection.execute(SQL["pending"]).fetchone()
    return int(pending)


def _asked(connection: Connection, since: float = 0.0) -> str | None:
    row = connection.execute(SQL["requested"], (since,)).fetchone()
    return None if row is None else row[0]


def _set(connection: Connection, values: Mapping[str, object]) -> None:
    connection.executemany("INSERT OR REPLACE INTO job VALUES (?, ?)", list(values.items()))
