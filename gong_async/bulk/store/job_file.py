"""A job's journal for other processes than the one that runs the job: status, items, requests."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from attrs import define, field

from gong_async._storage.database import Database
from gong_async._storage.lock import ProcessLock
from gong_async._storage.private_file import private_directory, state_directory
from gong_async.bulk.records import BulkItem, BulkStatus, ItemState, JobState, SkipReason
from gong_async.bulk.store.schema import JOURNAL, SQL
from gong_async.errors import JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

SUFFIX = ".sqlite3"

# A process that checks whether the job is running holds the lock for a moment, too.
LOCK_TRIES = 5
LOCK_STEP = 0.05

_REASONS: tuple[SkipReason, ...] = get_args(SkipReason)


def jobs_directory(state: Path | None = None) -> Path:
    """Return the directory of journals without a path of their own."""
    return _state(state) / "jobs"


def ledger_path(state: Path | None = None) -> Path:
    """Return the path of the ledger."""
    return _state(state) / f"ledger{SUFFIX}"


def _state(given: Path | None) -> Path:
    return private_directory(given) if given else state_directory()


def new_job_id() -> str:
    """Return an id for a new job: the date and 32 random bits."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


def find_job(name: str, state: Path | None = None) -> JobFile:
    """Return the job with an id, a prefix of an id, or the path of its journal.

    Raises:
        JournalError: no job matches, or several do.
    """
    path = Path(name)
    if path.is_file():
        return JobFile(path)
    folder = jobs_directory(state)
    jobs = sorted(folder.glob(f"*{SUFFIX}"))
    found = [file for file in jobs if name and file.name.startswith(name)]
    if len(found) == 1:
        return JobFile(found[0])
    if found:
        names = ", ".join(file.name.removesuffix(SUFFIX) for file in found[:5])
        raise JournalError(f"several jobs begin with {name}: {names}", reason="missing")
    raise JournalError(
        f"there is no job {name} in {folder}; `gong-async bulk list` names them", reason="missing"
    )


def list_jobs(state: Path | None = None) -> list[JobFile]:
    """Return all jobs of the state directory, the last written at the end."""
    found = jobs_directory(state).glob(f"*{SUFFIX}")
    return [JobFile(path) for path in sorted(found, key=lambda path: path.stat().st_ctime)]


@define
class JobFile:
    """A journal, read by any process. Each method opens and closes the file, and blocks."""

    path: Path
    lock: ProcessLock = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.lock = ProcessLock(self.path.with_name(self.path.name + ".lock"))

    def exists(self) -> bool:
        """Whether there is a journal."""
        return self.path.exists() and self.path.stat().st_size > 0

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a snapshot of the journal.

        Raises:
            JournalError: it is missing or cannot be read.
        """
        self.require()
        with closing(self._database()) as database, database.snapshot() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Change the journal.

        Raises:
            JournalError: it is missing or cannot be written.
        """
        self.require()
        with closing(self._database()) as database, database.transaction() as connection:
            yield connection

    def _database(self) -> Database:
        return Database(self.path, JOURNAL, in_use=self._is_in_use)

    def _is_in_use(self) -> bool:
        """Whether another process, or another task, works with the journal."""
        return not self.lock.is_mine and self.lock.is_held()

    def acquire_lock(self, advice: str) -> None:
        """Acquire the exclusive use of the journal.

        Raises:
            JournalError: another process has it; `advice` says what to do.
        """
        for _ in range(LOCK_TRIES):
            if self.lock.take():
                return
            time.sleep(LOCK_STEP)
        raise self.in_use(advice)

    def in_use(self, advice: str, *, user: str = "another process") -> JournalError:
        """Return the error of a journal that is in use."""
        problem = f"{user} works with the journal {self.path}; {advice}"
        return JournalError(problem, reason="in_use")

    def require(self) -> None:
        """Raise `JournalError` if there is no journal."""
        if not self.exists():
            raise JournalError(f"there is no journal at {self.path}", reason="missing")

    def header(self) -> dict[str, Any]:
        """Return the properties of the job."""
        with self.reading() as connection:
            return _header(connection)

    def status(self) -> BulkStatus:
        """Return the status of the job."""
        status = self._read_status()
        # The run may have ended after the file was read and before the lock was checked.
        return self._read_status() if status.state == "interrupted" else status

    def _read_status(self) -> BulkStatus:
        with self.reading() as connection:
            header = _header(connection)
            tally: dict[str, int] = dict(connection.execute("SELECT * FROM tally").fetchall())
            run = connection.execute(SQL["last_run"]).fetchone()
        state: JobState = header.get("state", "planning")
        alive = state in {"running", "waiting", "planning"} and self.lock.is_held()
        if not alive and (state in {"running", "planning"} or (run and run[3] is None)):
            state = "interrupted"
        skipped: dict[SkipReason, int] = {reason: tally[reason] for reason in _REASONS}
        counts = {name: tally.get(name, 0) for name in get_args(ItemState)}
        counts["skipped"] = sum(skipped.values())
        number, pid, began, ended, items = run or (0, None, None, None, 0)
        return BulkStatus(
            id=header.get("id", ""),
            path=self.path,
            state=state,
            reason=header.get("reason"),
            resume_at=_moment(header.get("resume_at")),
            origin=header.get("origin", ""),
            planned_at=_moment(header.get("planned_at")) or datetime.now(UTC),
            total=sum(counts.values()),
            counts=cast("dict[ItemState, int]", counts),
            skipped=skipped,
            runs=number,
            pid=pid if alive else None,
            began_at=_moment(began),
            ended_in_run=items,
            seconds=0.0 if began is None else max(0.0, (ended or time.time()) - began),
            finishes_at=_moment(header.get("finishes_at")) if alive else None,
        )

    def page(self, states: Collection[ItemState], after: int, most: int) -> list[BulkItem]:
        """Return the next items after the index `after`, optionally of some states."""
        with self.reading() as connection:
            return [*_items(connection, states, after, most)]

    def items(self, states: Collection[ItemState] = ()) -> Generator[BulkItem, None, None]:
        """Yield the job's items in order; optionally those of some states."""
        with self.reading() as connection:
            yield from _items(connection, states, -1, -1)

    def ask(self, what: str) -> bool:
        """Request a pause or a cancellation from the running process, or the first run.

        Returns False if the job neither runs nor is planned.
        """
        self.require()
        if not self.lock.is_held() and self.header().get("state") != "planned":
            return False
        with self.writing() as connection:
            connection.execute(SQL["request"], (what, time.time()))
        return True


def _header(connection: Connection) -> dict[str, Any]:
    return dict(connection.execute("SELECT name, value FROM job").fetchall())


def _items(
    connection: Connection, states: Collection[ItemState], after: int, most: int
) -> Iterator[BulkItem]:
    wanted = f",{','.join(states or get_args(ItemState))},"
    return map(_item, connection.execute(SQL["items"], (wanted, after, most)))


def _item(row: tuple[Any, ...]) -> BulkItem:
    index, line, meeting_id, state, reason, attempts, status, request_id, error, *more = row
    message, errors, problem, fix_url, waited, on_wire = more
    return BulkItem(
        index=index,
        line=line,
        meeting_id=meeting_id,
        state=state,
        reason=reason,
        attempts=attempts,
        status=status,
        request_id=request_id,
        error=error,
        # An item may have had another error before its organizer's items were skipped.
        message=(problem or message) if reason == "organizer" else (message or problem),
        errors=tuple(json.loads(errors)) if errors else (),
        fix_url=fix_url,
        seconds_waited=waited or 0.0,
        seconds_on_wire=on_wire or 0.0,
    )


def _moment(wall: float | None) -> datetime | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC)
