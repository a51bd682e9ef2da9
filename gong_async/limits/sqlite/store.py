"""The limit store in a SQLite file, for the processes of one machine."""

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

from gong_async._settings.values import a_path
from gong_async._storage.database import Database
from gong_async._storage.private_file import state_directory
from gong_async.errors import ConfigurationError
from gong_async.limits.limiter import CompanyLimits, LimitStore
from gong_async.limits.load import Heartbeat
from gong_async.limits.queue import Queue
from gong_async.limits.sqlite.state_file import Reservation, StateFile
from gong_async.limits.sqlite.tables import FILE_NAME, LIMITS
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

P = ParamSpec("P")
T = TypeVar("T")


def _new_state_file(store: SQLiteLimitStore) -> StateFile:
    return StateFile(Database(store.path, LIMITS))


def _database_thread(store: SQLiteLimitStore) -> DatabaseThread:
    return DatabaseThread(store._state_file)  # noqa: SLF001 - a default of the same class


@define(eq=False)
class SQLiteLimitStore(LimitStore):
    """Keeps the limits in a file, for all processes of this user on this machine.

    Together they keep to one rate, nearly in order of arrival; a process that dies blocks nothing.
    The file also keeps the daily count and the learned rate for the next start. It is opened at
    the first call; give one store to all clients of a process.

    Args:
        path: the file; by default in `GONG_STATE_DIR` or the user's state directory.

    If the file cannot be used, calls raise `ConfigurationError`.
    """

    path: Path = field(factory=lambda: state_directory() / FILE_NAME, converter=a_path)
    _state_file: StateFile = field(
        default=Factory(_new_state_file, takes_self=True), repr=False, kw_only=True
    )
    _database_thread: DatabaseThread = field(
        default=Factory(_database_thread, takes_self=True), init=False, repr=False
    )

    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue of `company` for the running loop."""
        return SQLiteQueue(company.limits, company.name, self._database_thread)

    def close(self) -> None:
        """Close the file. The next call opens it again."""
        self._database_thread.suspend()
        self._database_thread.resume()


@define(eq=False)
class DatabaseThread:
    """Accesses the file in one thread, so that no event loop waits for the disk."""

    state_file: StateFile
    _busy: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _thread: ThreadPoolExecutor = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._thread = _new_thread()
        weakref.finalize(self, self.state_file.database.close)
        if hasattr(os, "register_at_fork"):
            # SQLite must not be open across a fork: neither side could trust its locks.
            itself: weakref.ref[DatabaseThread] = weakref.ref(self)
            os.register_at_fork(
                before=lambda: _call(itself, DatabaseThread.suspend),
                after_in_parent=lambda: _call(itself, DatabaseThread.resume),
                after_in_child=lambda: _call(itself, DatabaseThread.restart),
            )

    def submit(self, job: Callable[P, T], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        """Run `job` after all jobs before it, even if the caller is cancelled."""
        return asyncio.wrap_future(self.post(job, *given, **named))

    def post(self, job: Callable[P, T], *given: P.args, **named: P.kwargs) -> Future[T]:
        """Run `job` in the same way, from outside an event loop or without awaiting it."""

        def work() -> T:
            with self._busy:
                return job(*given, **named)

        return self._thread.submit(work)

    def suspend(self) -> None:
        """Close the file after the running job, and start no other job before `resume`."""
        self._busy.acquire()
        self.state_file.database.close()

    def resume(self) -> None:
        """Continue after `suspend`."""
        self._busy.release()

    def restart(self) -> None:
        """Start a new thread in the child of a fork: the parent's thread does not exist there."""
        self._thread = _new_thread()
        self._busy.release()


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="gong-limits")


def _call(reference: weakref.ref[DatabaseThread], method: Callable[[DatabaseThread], None]) -> None:
    if (database_thread := reference()) is not None:
        method(database_thread)


def _heartbeat(queue: SQLiteQueue) -> Heartbeat:
    return Heartbeat(queue, queue.reservation.report, queue.now, queue.publish)


@define(eq=False)
class SQLiteQueue(Queue):
    """Gets permits from the file for one event loop, and reserves one slot ahead for it."""

    company: str
    database_thread: DatabaseThread
    reservation: Reservation = field(factory=Reservation, init=False)
    _heartbeat: Heartbeat = field(default=Factory(_heartbeat, takes_self=True), init=False)

    def now(self) -> float:
        """Return the machine's monotonic time."""
        return self.database_thread.state_file.clocks.steady()

    def acquire_nowait(self, now: float, priority: Priority, max_wait: float) -> None:
        """Raise at once the errors that the last read state makes certain."""
        if self.reservation.seen is not None:
            wall = self.database_thread.state_file.clocks.wall()
            self.reservation.seen.check(now, wall, priority, max_wait)

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        self._heartbeat.count()
        if self.reservation.slot is not None and (early := self.reservation.slot - self.now()) > 0:
            return early, False
        more_may_go = self.in_flight + 1 < self.limits.max_in_flight
        self.reservation.others_wait = self.waiting > 1 and more_may_go
        asked = self._submit(StateFile.ask, priority, max_wait)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._give_back)
            raise

    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose request was not sent."""
        state_file = self.database_thread.state_file
        self.database_thread.post(
            state_file.give_back, self.company, self.limits, self.reservation, probes
        )

    async def settle(self, outcome: PermitOutcome) -> None:
        """Record how a permit was used: at once if it affects others, else with the next."""
        if not outcome.probed and outcome.pause is None:
            if outcome.accepted:
                self.reservation.settled.append(outcome)
            return
        try:
            await asyncio.shield(self._submit(StateFile.settle, outcome))
        except ConfigurationError as error:
            # The call has its response, which must not be lost; the next call will raise this.
            logging.getLogger("gong_async").warning("%s", error)
        self.wake()

    async def quota(self) -> Quota:
        """Return the usage of the limits, and the load of all processes."""
        self.reservation.report.load = self.load
        return await asyncio.shield(self._submit(StateFile.quota))

    def publish(self) -> None:
        """Publish the load to other processes; if that fails, the next call raises the error."""
        state_file = self.database_thread.state_file
        self.database_thread.post(state_file.publish, self.company, self.reservation)

    def _submit(
        self,
        job: Callable[Concatenate[StateFile, str, Limits, Reservation, P], T],
        *given: P.args,
        **named: P.kwargs,
    ) -> asyncio.Future[T]:
        thread = self.database_thread
        return thread.submit(
            job, thread.state_file, self.company, self.limits, self.reservation, *given, **named
        )

    def _give_back(self, asked: asyncio.Future[tuple[float, bool]]) -> None:
        """Take back the permit of a call that was cancelled while it asked."""
        if asked.cancelled() or asked.exception() is not None:
            return
        wait, probes = asked.result()
        if not wait:
            self.undo(probes=probes)
