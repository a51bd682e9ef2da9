"""The journal of a bulk job while it is planned and run: what a crash must not take away.

An intent is durable before its request is sent, and a result before anybody is told. All writing
is done by one thread, as many orders to a transaction as have come together.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

from gong_async._storage.database import Database
from gong_async._storage.lock import ProcessLock
from gong_async.bulk.engine import SETTLE_SECONDS
from gong_async.bulk.error_scope import REQUESTED, Stop
from gong_async.bulk.records import BulkItem, BulkOptions
from gong_async.bulk.store.rows import JournalRow, make_ending, make_intent, prepare_entries
from gong_async.bulk.store.schema import JOURNAL, LEDGER, REQUEST
from gong_async.bulk.store.writer import Writer
from gong_async.errors import JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

PAGE = 256
"""Items that are read at a time."""

_ADD = (
    "INSERT INTO item (item_index, line, meeting_id, organizer, digest, state) "
    "VALUES (?, ?, ?, (SELECT number FROM organizer WHERE email = ?), ?, 'pending')"
)
_SUPERSEDED = (
    "UPDATE item SET state = 'skipped', reason = 'superseded' WHERE item_index < "
    "(SELECT max(item_index) FROM item AS later WHERE later.meeting_id = item.meeting_id)"
)
_UNCHANGED = (
    "UPDATE item SET state = 'skipped', reason = 'unchanged' WHERE state = 'pending' "
    "AND EXISTS (SELECT 1 FROM companion.meeting AS known WHERE known.company = ? "
    "AND known.meeting_id = item.meeting_id AND known.digest = item.digest "
    "AND known.unsettled IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM item AS other WHERE other.meeting_id = item.meeting_id "
    "AND other.state = 'pending' AND other.item_index < item.item_index)"
)
_PAGE = (
    "SELECT item_index, line, meeting_id, organizer, digest, body, attempts, "
    "state = 'in_doubt', {} FROM item JOIN content USING (item_index) "
    "WHERE item_index > :after AND (state = 'pending' OR "
    "(state = 'in_doubt' AND run < :run AND item.sent_at >= :since AND NOT {})) "
    "ORDER BY item_index LIMIT :most"
)
_OVERTAKEN = (  # sent again, it would undo a later change of the meeting
    "EXISTS (SELECT 1 FROM item AS later WHERE later.meeting_id = item.meeting_id "
    "AND later.item_index > item.item_index "
    "AND later.state IN ('in_flight', 'succeeded', 'in_doubt'))"
)
_OVERTAKEN_BY_OTHERS = (
    "EXISTS (SELECT 1 FROM companion.meeting AS known WHERE known.company = :company "
    "AND known.meeting_id = item.meeting_id AND known.sent_at > "
    "(SELECT max(sent_at) FROM item AS mine WHERE mine.meeting_id = item.meeting_id))"
)
_OTHERS = (
    "(SELECT sent_at + :settle FROM companion.meeting AS known WHERE known.company = :company "
    "AND known.meeting_id = item.meeting_id AND known.unsettled <> :job || ':' || item_index)"
)
_UNTOLD = (  # by a process that died between the commits of the two files
    "SELECT state, item.digest, content.body, :job, known.company, known.meeting_id FROM item "
    "CROSS JOIN companion.meeting AS known ON known.company = :company "
    "AND known.meeting_id = item.meeting_id AND known.unsettled = :job || ':' || item_index "
    "CROSS JOIN content USING (item_index) "
    "WHERE run = (SELECT max(number) FROM run) AND state IN ('succeeded', 'failed')"
)
_ACKNOWLEDGED = (
    "UPDATE companion.meeting SET digest = ?, body = ?, job = ?, unsettled = NULL "
    "WHERE company = ? AND meeting_id = ?"
)
_SETTLED = "UPDATE companion.meeting SET unsettled = NULL WHERE company = ? AND meeting_id = ?"
_ATTEMPT_ENDED = (
    "UPDATE attempt SET ended_at = ?, status = ?, request_id = ?, error = ? "
    "WHERE item_index = ? AND number = ?"
)
INTERRUPTED = (
    "UPDATE item SET state = 'in_doubt', error = 'Interrupted', "
    "message = 'the process ended while its request was in flight' WHERE state = 'in_flight'"
)
CANCELLED = "UPDATE item SET state = 'skipped', reason = 'cancelled' WHERE state = 'pending'"
_RUN_ENDED = (  # who cancels a job from outside has no run, and ends the one that died
    "UPDATE run SET ended_at = ? WHERE ended_at IS NULL "
    "AND number = coalesce(nullif(?, 0), (SELECT max(number) FROM run))"
)
_WITHDRAWN = "DELETE FROM attempt WHERE item_index = ? AND number = ?"
_ATTEMPTS = "UPDATE item SET attempts = ? WHERE item_index = ?"
_STOPPED = "UPDATE organizer SET checked = 1, problem = ?, fix_url = ? WHERE number = ?"
_SET_ASIDE = (
    "UPDATE item SET state = 'skipped', reason = 'organizer' "
    "WHERE organizer = ? AND state = 'pending'"
)
_SET_ASIDE_LATE = (
    "UPDATE item SET state = 'skipped', reason = 'organizer' WHERE item_index = ? AND EXISTS "
    "(SELECT 1 FROM organizer WHERE number = item.organizer AND problem IS NOT NULL)"
)


@frozen
class NewItem:
    """One change on its way into the journal."""

    line: int | None
    meeting_id: str
    organizer_email: str
    digest: bytes
    body: bytes


@define(eq=False)
class PlannedItem:
    """One change on its way to Gong."""

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
    """Until when another update of the meeting may still land; seconds since the epoch."""
    last_attempt: tuple[object, ...] | None = None
    """How its last request ended, if that is not written yet."""


@define(eq=False)
class Journal:
    """One job's file, and the ledger beside it."""

    path: Path
    ledger: Path | None
    """None: nothing is known of earlier jobs, and nothing is kept for later ones."""
    lock: ProcessLock | None = field(default=None, kw_only=True)
    """What keeps others from the file; without it nothing more is written."""
    writer: Writer = field(init=False)
    id: str = field(default="", init=False)
    company: str = field(default="", init=False)
    run: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)
    """Whether a run was begun, and not ended."""
    _ended_items: int = field(default=0, init=False)
    """Items that came to an end, and that no order yet counts in the file."""

    def __attrs_post_init__(self) -> None:
        companion = None if self.ledger is None else Database(self.ledger, LEDGER)
        database = Database(self.path, JOURNAL, companion=companion)
        self.writer = Writer(database, self.lock)

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        """Do something with the file; it is done even if the caller is cancelled meanwhile."""
        return await self.writer.submit(work)

    async def close(self, stop: Stop | None = None) -> None:
        """Write what was ordered, end the run if one was begun, and close the file."""
        await self.writer.close(self._last_work(stop))

    def close_now(self, stop: Stop | None = None) -> None:
        """Close from any thread, with or without a running loop; blocks until it is done."""
        self.writer.close_now(self._last_work(stop))

    # Planning.

    async def create(self, header: Mapping[str, object]) -> None:
        """Begin a new journal."""
        self.id, self.company = str(header["id"]), str(header["company"])
        await self.write(lambda connection: _set(connection, {**header, "state": "planning"}))

    async def add(self, first: int, items: Sequence[NewItem]) -> None:
        """Add items, the first with the index `first`."""

        def work(connection: Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO organizer (email) VALUES (?)",
                [(email,) for email in dict.fromkeys(item.organizer_email for item in items)],
            )
            connection.executemany(
                _ADD,
                [
                    (index, item.line, item.meeting_id, item.organizer_email, item.digest)
                    for index, item in enumerate(items, first)
                ],
            )
            connection.executemany(
                "INSERT INTO content VALUES (?, ?)",
                [(index, item.body) for index, item in enumerate(items, first)],
            )
            connection.execute(
                "UPDATE tally SET items = items + ? WHERE state = 'pending'", (len(items),)
            )

        await self.write(work)

    async def seal(self, input_digest: str, options: BulkOptions) -> None:
        """End the planning: leave out what need not be sent."""

        def work(connection: Connection) -> None:
            connection.execute("CREATE INDEX item_meeting ON item (meeting_id, item_index)")
            connection.execute("CREATE INDEX item_organizer ON item (organizer)")
            if not options.keep_order:
                connection.execute(_SUPERSEDED)
            if options.skip_unchanged and self.ledger is not None:
                connection.execute(_UNCHANGED, (self.company,))
            _set(connection, {"input_digest": input_digest, "state": "planned"})

        await self.write(work)

    # Running.

    async def open(self) -> dict[str, Any]:
        """Check that the file is whole, and return its header."""

        def work(connection: Connection) -> dict[str, Any]:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise JournalError(f"{self.path} is damaged ({verdict}); {JOURNAL.move_it}")
            return dict(connection.execute("SELECT name, value FROM job").fetchall())

        header: dict[str, Any] = await self.write(work)
        self.id, self.company = header.get("id", ""), header.get("company", "")
        return header

    async def begin_run(self, since: float = 0.0) -> str | None:
        """Write down that a run begins; what an earlier one left open is in doubt from now on.

        Returns what another process asked for after `since`, in seconds since the epoch.
        """

        def work(connection: Connection) -> str | None:
            connection.execute(INTERRUPTED)
            values = (os.getpid(), time.time())
            cursor = connection.execute("INSERT INTO run (pid, began_at) VALUES (?, ?)", values)
            self.run = int(cursor.lastrowid or 0)
            names = {"run": self.run, "company": self.company, "job": self.id}
            prepare_entries(connection, names, ledger=self.ledger is not None)
            asked = _asked(connection, since)
            _set(
                connection,
                {"state": "running", "request": asked, "reason": None, "resume_at": None},
            )
            return asked

        if self.ledger is not None:
            # In a transaction of its own: it writes to the ledger alone, and so all or nothing.
            await self.write(self._catch_up)
        self._begun = True  # from here on there is a run to be ended, whatever becomes of ours
        asked: str | None = await self.write(work)
        return asked

    async def end_run(self, stop: Stop | None) -> None:
        """Write down how the run ended: by itself, or for the reason given."""
        await self.write(self._end_of_run(stop))

    async def keep_request(self, what: str) -> None:
        """Leave word for the first run of a job that is being planned."""
        await self.write(
            lambda connection: connection.execute(REQUEST, (what, time.time())) and None
        )

    async def asked(self) -> str | None:
        """Return what another process asks for."""
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
        if self.ledger is None:
            query = _PAGE.format("NULL", _OVERTAKEN)
        else:
            query = _PAGE.format(_OTHERS, f"({_OVERTAKEN} OR {_OVERTAKEN_BY_OTHERS})")
        rows = await self.write(lambda connection: connection.execute(query, given).fetchall())
        items = [PlannedItem(*row) for row in rows]
        for item in items:
            if hashlib.sha256(item.body).digest() != item.digest:
                raise JournalError(
                    f"{self.path} is damaged (what is to be sent to meeting {item.meeting_id} is "
                    f"not what was planned); {JOURNAL.move_it}"
                )
        return items

    def intent(self, item: PlannedItem) -> Awaitable[None]:
        """Announce a request; it may be sent once this is done."""
        item.attempts += 1
        entry = make_intent(item.index, item.meeting_id, item.attempts)
        return self.writer.submit(self._behind_last_attempt(item, entry))

    def attempt_ended(
        self, item: PlannedItem, status: int | None, request_id: str | None, error: str | None
    ) -> None:
        """Note how a request ended; it is written with what comes next for the item."""
        item.last_attempt = (time.time(), status, request_id, error, item.index, item.attempts)

    def withdraw(self, item: PlannedItem) -> None:
        """Take back an intent whose request was held back: it is no attempt."""
        number, item.attempts = item.attempts, item.attempts - 1

        def work(connection: Connection) -> None:
            connection.execute(_WITHDRAWN, (item.index, number))
            connection.execute(_ATTEMPTS, (number - 1, item.index))

        self.writer.submit(work)

    def end(self, item: PlannedItem, record: BulkItem) -> asyncio.Future[None]:
        """Write down what became of an item in this run."""
        work = self._behind_last_attempt(item, make_ending(record))
        if record.state != "pending":
            self._ended_items += 1
            return self.writer.submit(work)

        def skip_late(connection: Connection) -> None:
            work(connection)
            # Its organizer's items may have been set aside while this one was under way.
            connection.execute(_SET_ASIDE_LATE, (item.index,))

        return self.writer.submit(skip_late)

    async def note_progress(self, finishes_at: datetime | None) -> str | None:
        """Write down the forecast, if there is a new one; return what another process asks for."""
        count = self._count()

        def work(connection: Connection) -> str | None:
            count(connection)
            if finishes_at is not None:
                _set(connection, {"finishes_at": finishes_at.timestamp()})
            return _asked(connection)

        asked: str | None = await self.write(work)
        return asked

    async def note_waiting(self, stop: Stop | None) -> None:
        """Write down that the run waits, and until when; or that it goes on."""
        values: dict[str, object] = {"state": "running", "reason": None}
        if stop is not None:
            values = {"state": "waiting", "reason": stop.reason}
        await self.write(lambda connection: _set(connection, {**values, **_waits(stop)}))

    async def left(self) -> int:
        """Return how many items are still to be sent."""
        left: int = await self.write(_pending)
        return left

    # Organizers.

    async def organizers(self) -> tuple[int, int]:
        """Return how many organizers the items to send have, and how many were not asked about."""
        return await self.write(  # type: ignore[no-any-return]
            lambda connection: connection.execute(
                "SELECT count(*), coalesce(sum(NOT checked), 0) FROM organizer WHERE EXISTS "
                "(SELECT 1 FROM item WHERE item.organizer = number AND item.state = 'pending')"
            ).fetchone()
        )

    async def unchecked_organizers(self, most: int) -> list[tuple[int, str]]:
        """Return organizers of pending items that Gong was not asked about."""
        return await self.write(  # type: ignore[no-any-return]
            lambda connection: connection.execute(
                "SELECT number, email FROM organizer WHERE checked = 0 AND email IS NOT NULL "
                "AND EXISTS (SELECT 1 FROM item WHERE item.organizer = number "
                "AND item.state IN ('pending', 'in_doubt')) LIMIT ?",
                (most,),
            ).fetchall()
        )

    async def note_organizers(
        self,
        valid: Iterable[int],
        stopped: Iterable[tuple[int, str, str | None]],
        *,
        requests: int,
    ) -> None:
        """Write down what Gong said of organizers, and set the items of those aside that cannot."""
        good, bad = list(valid), list(stopped)

        def work(connection: Connection) -> None:
            connection.executemany(
                "UPDATE organizer SET checked = 1 WHERE number = ?",
                [(number,) for number in good],
            )
            for number, words, fix_url in bad:
                connection.execute(_STOPPED, (words, fix_url, number))
                connection.execute(_SET_ASIDE, (number,))
            connection.execute(
                "INSERT INTO job VALUES ('check_requests', ?) "
                "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                (requests,),
            )

        await self.write(work)

    def _last_work(self, stop: Stop | None) -> Callable[[Connection], None] | None:
        begun, self._begun = self._begun, False
        return self._end_of_run(stop) if begun else None

    def _end_of_run(self, stop: Stop | None) -> Callable[[Connection], None]:
        """Return the work of writing down how the run ended."""
        count = self._count()

        def work(connection: Connection) -> None:
            now = time.time()
            state, reason, waits = "completed", None, _waits(None)
            left = _pending(connection)
            if left and _asked(connection) == "cancel":
                state, reason = "cancelled", REQUESTED
            elif stop is not None and (left or stop.state == "cancelled"):
                state, reason, waits = stop.state, stop.reason, _waits(stop)
            elif left:
                state, reason = "paused", f"{left:,} could not be sent; resume the job to try again"
            if state == "cancelled":
                connection.execute(INTERRUPTED)  # by a process that died before
                connection.execute(CANCELLED)
            count(connection)
            connection.execute(_RUN_ENDED, (now, self.run))
            ending = {
                "state": state,
                "reason": reason,
                "request": None,
                "finishes_at": None,
                **waits,
            }
            _set(connection, ending)

        return work

    def _catch_up(self, connection: Connection) -> None:
        """Tell the ledger what only the journal knows: the two are written one after the other."""
        given = {"company": self.company, "job": self.id}
        for state, *known in connection.execute(_UNTOLD, given).fetchall():
            if state == "succeeded":
                connection.execute(_ACKNOWLEDGED, known)
            else:
                connection.execute(_SETTLED, known[-2:])

    def _count(self) -> Callable[[Connection], None]:
        """Return the work of counting what came to its end since the last count."""
        ended, self._ended_items = self._ended_items, 0

        def work(connection: Connection) -> None:
            if ended:  # a look that changes nothing costs no write
                values = (ended, self.run)
                connection.execute("UPDATE run SET items = items + ? WHERE number = ?", values)

        return work

    def _behind_last_attempt(
        self, item: PlannedItem, entry: JournalRow
    ) -> Callable[[Connection], None]:
        """Return the entry, or the work of writing down before it how the last request ended."""
        last_attempt, item.last_attempt = item.last_attempt, None
        if last_attempt is None:
            return entry

        def work(connection: Connection) -> None:
            connection.execute(_ATTEMPT_ENDED, last_attempt)
            entry(connection)

        return work


def make_header(
    name: str, *, origin: str, company: str, version: str, options: BulkOptions
) -> dict[str, object]:
    """Return what a new journal begins with. No credential is in it."""
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
    """Return until when a stop waits, and before when nothing may be sent, whoever wishes it."""
    until = None if stop is None or stop.wait is None else time.time() + stop.wait
    resumes = until if stop is not None and stop.state == "waiting" else None
    return {"resume_at": resumes, "not_before": until if stop is not None and stop.firm else None}


def _pending(connection: Connection) -> int:
    query = "SELECT items FROM tally WHERE state = 'pending'"
    (pending,) = connection.execute(query).fetchone()
    return int(pending)


def _asked(connection: Connection, since: float = 0.0) -> str | None:
    row = connection.execute(
        "SELECT asked.value FROM job AS asked JOIN job AS at ON at.name = 'requested_at' "
        "WHERE asked.name = 'request' AND at.value >= ?",
        (since,),
    ).fetchone()
    return None if row is None else row[0]


def _set(connection: Connection, values: Mapping[str, object]) -> None:
    connection.executemany("INSERT OR REPLACE INTO job VALUES (?, ?)", list(values.items()))
