"""The limits of one process: a semaphore for calls in flight, an even pace, a count of the day."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from attrs import Factory, define, field

from gong_async.errors import DailyQuotaExceededError, Delivery, RateLimitError
from gong_async.limits.day import DayCount
from gong_async.limits.gates import Limits
from gong_async.models._shared import utc_now

_TICK = 1e-6
_WHEN = "%Y-%m-%d %H:%M:%SZ"


@define(eq=False)
class _Desk:
    """What belongs to one event loop: its clock, its places, its queue."""

    loop: asyncio.AbstractEventLoop
    places: asyncio.Semaphore
    queue: asyncio.Lock = field(factory=asyncio.Lock)
    changed: asyncio.Event = field(factory=asyncio.Event)
    clock_offset: float = 0.0

    def now(self) -> float:
        """Return the loop's time on the scale that all desks share."""
        return self.loop.time() - self.clock_offset

    async def sleep(self, seconds: float | None) -> None:
        """Sleep, but no longer than until something changes; None means until then."""
        # Below its resolution a timer fires at once, and the sleeper would look again too early.
        timer = (
            None if seconds is None else self.loop.call_later(max(seconds, _TICK), self.changed.set)
        )
        try:
            await self.changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Let the sleeper look again."""
        try:
            self.loop.call_soon_threadsafe(self.changed.set)
        except RuntimeError:
            return  # that loop is closed, and so nobody sleeps in it


def _new_day(limiter: LocalLimiter) -> DayCount:
    return DayCount(limiter.limits.per_day)


@define(eq=False)
class LocalLimiter:
    """Enforces `Limits` in one process, over any number of clients, threads and loops.

    A turn is granted in three steps: a place among the calls in flight, then the day's count and
    the pace, nearest to the wire. Nothing is booked ahead: the pace is taken at the moment of the
    grant, so that a cancelled waiter takes nothing with it. After a refusal by Gong everybody is
    held; then one call probes, and when it is accepted, the others follow at the pace.
    """

    limits: Limits = field(factory=Limits)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _desks: dict[asyncio.AbstractEventLoop, _Desk] = field(factory=dict, init=False, repr=False)
    _pid: int = field(factory=os.getpid, init=False, repr=False)
    _next: float = field(default=float("-inf"), init=False)
    _day: DayCount = field(init=False, default=Factory(_new_day, takes_self=True))
    _held_until: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)

    def turn(self, *, patience: float) -> LocalTurn:
        """Wait for the right to send one request: see `Limiter.turn`."""
        return LocalTurn(self, patience)

    def _desk(self) -> _Desk:
        if self._pid != os.getpid():
            self._leave_parent()
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is None:
            # Clocks of loops may start anywhere (virtual time does); one scale serves them all.
            offset = loop.time() - time.monotonic()
            places = asyncio.Semaphore(self.limits.max_in_flight)
            desk = _Desk(loop, places, clock_offset=offset)
            with self._mutex:
                for known in [known for known in self._desks if known.is_closed()]:
                    del self._desks[known]
                self._desks[loop] = desk
        return desk

    def _leave_parent(self) -> None:
        """After a fork: what the parent has under way is the parent's, the probe too."""
        self._mutex = threading.Lock()  # another thread of the parent may have held the old one
        self._desks = {}
        self._probing = False
        self._pid = os.getpid()

    def _refuse_early(self, now: float, patience: float) -> None:
        """Raise at once, ahead of any queue, what the queue could only lead to."""
        with self._mutex:
            self._check(now, patience)

    def _check(self, now: float, patience: float) -> None:
        hold = (self._held_until or now) - now
        if hold > 0 and hold > patience:
            raise _hold_is_too_long(hold)
        if (wait := self._day.wait(now)) > 0:
            raise _day_is_over(wait, self._day.limit or 0)

    def _take(self, now: float, patience: float) -> tuple[float | None, bool]:
        """Take the next turn if it is due: (0, whether it probes); else the seconds to wait."""
        with self._mutex:
            self._check(now, patience)
            probes = self._held_until is not None
            if self._held_until is not None and now < self._held_until:
                return self._held_until - now, False
            if self._probing:
                return None, False
            if now < self._next:
                return self._next - now, False
            self._next = now + self.limits.interval
            self._day.add(now)
            self._probing = probes
            return 0.0, probes

    def _settle(self, now: float, *, probed: bool, accepted: bool, hold: float | None) -> None:
        """Take note of how a turn ended, and let everybody look again if it matters to them."""
        with self._mutex:
            if hold is not None:
                self._held_until = max(self._held_until or now, now + hold)
            elif probed and accepted and (self._held_until or now) <= now:
                self._held_until = None
            if not probed and hold is None:
                return
            if probed:
                self._probing = False
            desks = list(self._desks.values())
        for desk in desks:
            desk.wake()


def _hold_is_too_long(hold: float) -> RateLimitError:
    retry_at = utc_now() + timedelta(seconds=hold)
    return RateLimitError(
        f"Gong refused an earlier call and asked to wait until {retry_at:{_WHEN}}",
        status=429,
        retry_after=hold,
        retry_at=retry_at,
        delivery=Delivery.NOT_SENT,
    )


def _day_is_over(wait: float, per_day: int) -> DailyQuotaExceededError:
    reset_at = utc_now() + timedelta(seconds=wait)
    return DailyQuotaExceededError(
        f"all {per_day:,} calls of 24 hours are used; the next is free at {reset_at:{_WHEN}}",
        per_day=per_day,
        reset_at=reset_at,
        retry_after=wait,
        delivery=Delivery.NOT_SENT,
    )


class LocalTurn:
    """One turn of a `LocalLimiter`: `async with limiter.turn(patience=60) as turn`."""

    __slots__ = ("_accepted", "_desk", "_hold", "_limiter", "_patience", "_probes", "waited")

    def __init__(self, limiter: LocalLimiter, patience: float) -> None:
        self._limiter = limiter
        self._patience = patience
        self._desk = limiter._desk()  # noqa: SLF001 - the two classes are one mechanism
        self._probes = False
        self._accepted = False
        self._hold: float | None = None
        self.waited: float = 0.0

    def accepted(self) -> None:
        """Tell that the request was not refused by Gong's limit."""
        self._accepted = True

    def refused(self, hold: float) -> None:
        """Tell that Gong's limit refused the request: hold everybody for `hold` seconds."""
        self._hold = hold

    async def __aenter__(self) -> Self:
        desk = self._desk
        asked = desk.now()
        self._limiter._refuse_early(asked, self._patience)  # noqa: SLF001
        await desk.places.acquire()
        try:
            async with desk.queue:
                await self._wait()
        except BaseException:
            desk.places.release()
            raise
        self.waited = desk.now() - asked
        return self

    async def _wait(self) -> None:
        desk = self._desk
        while True:
            desk.changed.clear()
            wait, self._probes = self._limiter._take(desk.now(), self._patience)  # noqa: SLF001
            if wait == 0.0:
                return
            await desk.sleep(wait)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._desk.places.release()
        self._limiter._settle(  # noqa: SLF001
            self._desk.now(), probed=self._probes, accepted=self._accepted, hold=self._hold
        )
