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

from gong_async._storage.database import Database
from gong_async._storage.private_file import state_directory
from gong_async.errors import ConfigurationError
from gong_async.limits.limiter import Keeper, QueuedLimiter
from gong_async.limits.load import Pulse
from gong_async.limits.memory import careful
from gong_async.limits.queue import Queue
from gong_async.limits.sqlite.schema import FILE_NAME, LIMITS
from gong_async.limits.sqlite.state_file import Booking, Ledger
from gong_async.limits.types import Lane, Limits, Quota, Settlement

P = ParamSpec("P")
T = TypeVar("T")


def _new_ledger(share: HostShare) -> Ledger:
    return Ledger(Database(share.path, LIMITS))


def _clerk(share: HostShare) -> Clerk:
    return Clerk(share._ledger)  # noqa: SLF001 - its own


@define(eq=False)
class HostShare:
    """Keeps the limits in a file, for all processes of this user on this machine.

    Together they keep the pace of one, nearly first come, first served; a process that dies takes
    nothing with it. The file also keeps the day's count and the learned pace, for the next start.
    It is opened at the first call; give one share to all clients of a process.

    Args:
        path: the file; by default in `GONG_STATE_DIR` or the user's state directory.

    A file that cannot be used raises `ConfigurationError` from the calls.
    """

    path: Path = field(factory=lambda: state_directory() / FILE_NAME, converter=Path)
    _ledger: Ledger = field(default=Factory(_new_ledger, takes_self=True), repr=False, kw_only=True)
    _clerk: Clerk = field(default=Factory(_clerk, takes_self=True), init=False, repr=False)
    _limiters: dict[str, HostLimiter] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def limiter(self, company: str, limits: Limits) -> HostLimiter:
        """Return the limiter of `company`."""
        with self._mutex:
            known = self._limiters.get(company)
            if known is None:
                known = self._limiters[company] = HostLimiter(
                    limits, company=company, clerk=self._clerk
                )
            else:
                known.limits = careful(known.limits, limits)
            return known

    def close(self) -> None:
        """Close the file. It is opened again if there is another call."""
        self._clerk.rest()
        self._clerk.resume()


@define(eq=False)
class Clerk:
    """Does all work on the file in one thread, so that no event loop ever waits for a disk."""

    ledger: Ledger
    _busy: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _thread: ThreadPoolExecutor = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._thread = _new_thread()
        weakref.finalize(self, self.ledger.database.close)
        if hasattr(os, "register_at_fork"):
            # SQLite must not be open across a fork: neither side could trust its locks.
            itself: weakref.ref[Clerk] = weakref.ref(self)
            os.register_at_fork(
                before=lambda: _tell(itself, Clerk.rest),
                after_in_parent=lambda: _tell(itself, Clerk.resume),
                after_in_child=lambda: _tell(itself, Clerk.begin_anew),
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


def _tell(reference: weakref.ref[Clerk], order: Callable[[Clerk], None]) -> None:
    if (clerk := reference()) is not None:
        order(clerk)


@define(eq=False)
class HostLimiter(QueuedLimiter):
    """Enforces one company's limits over all processes that share the file."""

    company: str = field(kw_only=True)
    clerk: Clerk = field(kw_only=True, repr=False)

    def make_keeper(self, queue: Queue) -> Keeper:
        """Return a keeper for the running loop."""
        return HostKeeper(self, queue)


def _pulse(keeper: HostKeeper) -> Pulse:
    return Pulse(keeper.queue, keeper.booking.report, keeper.now, keeper.report)


@define(eq=False)
class HostKeeper:
    """Asks the file on behalf of one event loop, and books one slot ahead for it."""

    limiter: HostLimiter
    queue: Queue
    booking: Booking = field(factory=Booking, init=False)
    _pulse: Pulse = field(default=Factory(_pulse, takes_self=True), init=False)

    def now(self) -> float:
        """Return the machine's steady time."""
        return self.limiter.clerk.ledger.clocks.steady()

    def begin(self, now: float, lane: Lane, patience: float, *, free: bool) -> None:
        """Raise at once what the last look at the file has shown to be without hope."""
        if self.booking.seen is not None:
            wall = self.limiter.clerk.ledger.clocks.wall()
            self.booking.seen.check(now, wall, lane, patience)

    async def ask(self, lane: Lane, patience: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        self._pulse.count()
        if self.booking.slot is not None and (early := self.booking.slot - self.now()) > 0:
            return early, False
        queue, most = self.queue, self.limiter.limits.max_in_flight
        self.booking.others_wait = sum(queue.waiting.values()) > 1 and queue.in_flight + 1 < most
        asked = self._submit(Ledger.ask, lane, patience)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._give_back)
            raise

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled: nothing goes out."""
        clerk, limiter = self.limiter.clerk, self.limiter
        clerk.post(clerk.ledger.give_back, limiter.company, limiter.limits, self.booking, probes)

    async def settle(self, settlement: Settlement) -> None:
        """Take note of how a turn ended: at once if it matters to others, else with the next."""
        if not settlement.probed and settlement.hold is None:
            if settlement.accepted:
                self.booking.settled.append(settlement)
            return
        try:
            await asyncio.shield(self._submit(Ledger.settle, settlement))
        except ConfigurationError as error:
            # The call has its answer, which must not be lost; the next call will raise this.
            logging.getLogger("gong_async").warning("%s", error)
        self.queue.look_again()

    async def quota(self) -> Quota:
        """Return what is used and left, and who waits in all processes."""
        self.booking.report.crowd = self.queue.crowd
        return await asyncio.shield(self._submit(Ledger.quota))

    def report(self) -> None:
        """Tell the other processes who waits here; if it fails, the next call will say why."""
        limiter = self.limiter
        limiter.clerk.post(limiter.clerk.ledger.tell, limiter.company, self.booking)

    def _submit(
        self,
        job: Callable[Concatenate[Ledger, str, Limits, Booking, P], T],
        *given: P.args,
        **named: P.kwargs,
    ) -> asyncio.Future[T]:
        limiter = self.limiter
        clerk, company, limits = limiter.clerk, limiter.company, limiter.limits
        return clerk.submit(job, clerk.ledger, company, limits, self.booking, *given, **named)

    def _give_back(self, asked: asyncio.Future[tuple[float, bool]]) -> None:
        """Whoever asked was cancelled meanwhile: no request goes out for a turn that it got."""
        if asked.cancelled() or asked.exception() is not None:
            return
        wait, probes = asked.result()
        if not wait:
            self.undo(probes=probes)
