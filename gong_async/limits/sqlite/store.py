"""Limits that the processes of one machine share over a SQLite file, without a server."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from attrs import Factory, define, field

from gong_async._settings import a_path
from gong_async._storage.database import Database
from gong_async._storage.private_file import state_directory
from gong_async.errors import ConfigurationError
from gong_async.limits.limiter import LimitBackend, QueuedLimiter
from gong_async.limits.load import Heartbeat
from gong_async.limits.memory import strictest
from gong_async.limits.queue import Queue
from gong_async.limits.sqlite.schema import FILE_NAME, LIMITS
from gong_async.limits.sqlite.state_file import Ledger, Reservation
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

P = ParamSpec("P")
T = TypeVar("T")


def _new_ledger(store: SQLiteLimitStore) -> Ledger:
    return Ledger(Database(store.path, LIMITS))


def _database_thread(store: SQLiteLimitStore) -> DatabaseThread:
    return DatabaseThread(store._ledger)  # noqa: SLF001 - its own


@define(eq=False)
class SQLiteLimitStore:
    """Keeps the limits in a file, for all processes of this user on this machine.

    Together they keep the pace of one, nearly first come, first served; a process that dies takes
    nothing with it. The file also keeps the day's count and the learned pace, for the next start.
    It is opened at the first call; give one share to all clients of a process.

    Args:
        path: the file; by default in `GONG_STATE_DIR` or the user's state directory.

    A file that cannot be used raises `ConfigurationError` from the calls.
    """

    path: Path = field(factory=lambda: state_directory() / FILE_NAME, converter=a_path)
    _ledger: Ledger = field(default=Factory(_new_ledger, takes_self=True), repr=False, kw_only=True)
    _database_thread: DatabaseThread = field(
        default=Factory(_database_thread, takes_self=True), init=False, repr=False
    )
    _limiters: dict[str, SQLiteLimiter] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def limiter(self, company: str, limits: Limits) -> SQLiteLimiter:
        """Return the limiter of `company`."""
        with self._mutex:
            known = self._limiters.get(company)
            if known is None:
                known = self._limiters[company] = SQLiteLimiter(
                    limits, company=company, database_thread=self._database_thread
                )
            else:
                known.limits = strictest(known.limits, limits)
            return known

    def close(self) -> None:
        """Close the file. It is opened again if there is another call."""
        self._database_thread.rest()
        self._database_thread.resume()


@define(eq=False)
class DatabaseThread:
    """Does all work on the file in one thread, so that no event loop ever waits for a disk."""

    ledger: Ledger
    _busy: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _thread: ThreadPoolExecutor = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._thread = _new_thread()
        weakref.finalize(self, self.ledger.database.close)
        if hasattr(os, "register_at_fork"):
            # SQLite must not be open across a fork: neither side could trust its locks.
            itself: weakref.ref[DatabaseThread] = weakref.ref(self)
            os.register_at_fork(
                before=lambda: _publish(itself, DatabaseThread.rest),
                after_in_parent=lambda: _publish(itself, DatabaseThread.resume),
                after_in_child=lambda: _publish(itself, DatabaseThread.begin_anew),
            )

    def submit(self, job: Callable[P, T], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        """Do `job` after all jobs before it. It is done whether or not anybody waits for it."""
        return asyncio.wrap_future(self.post(job, *given, **named))

    def post(self, job: Callable[P, T], *given: P.args, **named: P.kwargs) -> Future[T]:
        """Do `job` likewise; nobody is told how it ends, unless he asks."""

        def work() -> T:
            with self._busy:
                return job(*given, **named)

        return self._thread.submit(work)

    def rest(self) -> None:
        """Close the file after the job under way, and begin no other before `resume`."""
        self._busy.acquire()
        self.ledger.database.close()

    def resume(self) -> None:
        """Go on after `rest`."""
        self._busy.release()

    def begin_anew(self) -> None:
        """In the child of a fork: the thread and its jobs were the parent's."""
        self._thread = _new_thread()
        self._busy.release()


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="gong-limits")


def _publish(
    reference: weakref.ref[DatabaseThread], order: Callable[[DatabaseThread], None]
) -> None:
    if (database_thread := reference()) is not None:
        order(database_thread)


@define(eq=False)
class SQLiteLimiter(QueuedLimiter):
    """Enforces one company's limits over all processes that share the file."""

    company: str = field(kw_only=True)
    database_thread: DatabaseThread = field(kw_only=True, repr=False)

    def make_backend(self, queue: Queue) -> LimitBackend:
        """Return a keeper for the running loop."""
        return SQLiteBackend(self, queue)


def _heartbeat(backend: SQLiteBackend) -> Heartbeat:
    return Heartbeat(backend.queue, backend.reservation.report, backend.now, backend.report)


@define(eq=False)
class SQLiteBackend:
    """Asks the file on behalf of one event loop, and books one slot ahead for it."""

    limiter: SQLiteLimiter
    queue: Queue
    reservation: Reservation = field(factory=Reservation, init=False)
    _heartbeat: Heartbeat = field(default=Factory(_heartbeat, takes_self=True), init=False)

    def now(self) -> float:
        """Return the machine's steady time."""
        return self.limiter.database_thread.ledger.clocks.steady()

    def begin(self, now: float, priority: Priority, max_wait: float, *, free: bool) -> None:
        """Raise at once what the last look at the file has shown to be without hope."""
        if self.reservation.seen is not None:
            wall = self.limiter.database_thread.ledger.clocks.wall()
            self.reservation.seen.check(now, wall, priority, max_wait)

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        self._heartbeat.count()
        if self.reservation.slot is not None and (early := self.reservation.slot - self.now()) > 0:
            return early, False
        queue, most = self.queue, self.limiter.limits.max_in_flight
        self.reservation.others_wait = (
            sum(queue.waiting.values()) > 1 and queue.in_flight + 1 < most
        )
        asked = self._submit(Ledger.ask, priority, max_wait)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._give_back)
            raise

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled: nothing goes out."""
        database_thread, limiter = self.limiter.database_thread, self.limiter
        database_thread.post(
            database_thread.ledger.give_back,
            limiter.company,
            limiter.limits,
            self.reservation,
            probes,
        )

    async def settle(self, settlement: PermitOutcome) -> None:
        """Take note of how a turn ended: at once if it matters to others, else with the next."""
        if not settlement.probed and settlement.pause is None:
            if settlement.accepted:
                self.reservation.settled.append(settlement)
            return
        try:
            await asyncio.shield(self._submit(Ledger.settle, settlement))
        except ConfigurationError as error:
            # The call has its answer, which must not be lost; the next call will raise this.
            logging.getLogger("gong_async").warning("%s", error)
        self.queue.wake()

    async def quota(self) -> Quota:
        """Return what is used and left, and who waits in all processes."""
        self.reservation.report.load = self.queue.load
        return await asyncio.shield(self._submit(Ledger.quota))

    def report(self) -> None:
        """Tell the other processes who waits here; if it fails, the next call will say why."""
        limiter = self.limiter
        limiter.database_thread.post(
            limiter.database_thread.ledger.publish, limiter.company, self.reservation
        )

    def _submit(
        self,
        job: Callable[Concatenate[Ledger, str, Limits, Reservation, P], T],
        *given: P.args,
        **named: P.kwargs,
    ) -> asyncio.Future[T]:
        limiter = self.limiter
        database_thread, company, limits = limiter.database_thread, limiter.company, limiter.limits
        return database_thread.submit(
            job, database_thread.ledger, company, limits, self.reservation, *given, **named
        )

    def _give_back(self, asked: asyncio.Future[tuple[float, bool]]) -> None:
        """Whoever asked was cancelled meanwhile: no request goes out for a turn that it got."""
        if asked.cancelled() or asked.exception() is not None:
            return
        wait, probes = asked.result()
        if not wait:
            self.undo(probes=probes)
