"""Every company's limits in one SQLite file, for the processes of one machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from gong_async._storage.database import Database
from gong_async.errors import LONGEST_WAIT
from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.limits.day import DayRule
from gong_async.limits.load import Report
from gong_async.limits.sqlite.tables import StoredDay, StoredLoad, StoredProber
from gong_async.limits.state import LimiterState, new_rate
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

HORIZON = 30.0
"""Seconds that a slot is reserved ahead at most."""

_POLL_SECONDS = 0.1
_LEAST_LATENESS = 0.01
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_READ = (
    "SELECT boot, steady, next_slot, next_bulk_slot, paused_until, paused_until_wall, probe_until, "
    "used, rate FROM company WHERE key = ?"
)
_WRITE = "INSERT OR REPLACE INTO company VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""  # a reboot is then detected only by monotonic time that runs backwards


@frozen
class Clocks:
    """The machine's clocks, the same for all its processes."""

    boot: Callable[[], str] = _boot_id
    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@define
class Reservation:
    """The slot that one event loop has reserved in the file, and what it has yet to write."""

    slot: float | None = None
    """The reserved slot. The next call that asks gets it; a missed slot is dropped."""
    others_wait: bool = False
    """Whether another call of the same queue waits for the next slot."""
    settled: list[PermitOutcome] = field(factory=list)
    """Outcomes of accepted calls, written with the next transaction."""
    seen: LimiterState | None = None
    """The state at the last transaction."""
    report: Report = field(factory=Report)
    """The load of the event loop."""


@define(eq=False)
class StateFile:
    """The state of the limits in the file. Used by one thread; each call is one transaction."""

    database: Database
    clocks: Clocks = field(factory=Clocks)
    _boot: str | None = field(default=None, init=False)

    def ask(
        self,
        company: str,
        limits: Limits,
        reservation: Reservation,
        priority: Priority,
        max_wait: float,
    ) -> tuple[float, bool]:
        """Return 0 and whether the granted permit is a probe; or reserve, and return the wait.

        If other calls wait in the same queue, a grant also reserves the slot of the next one.

        Raises:
            DailyQuotaExceededError: see `LimiterState.check`.
            RateLimitError: see `LimiterState.check`.
        """
        with self._state(company, limits, reservation) as (state, now, wall, _):
            state.check(now, wall, priority, max_wait)
            if state.paused_until is not None and now < state.paused_until:
                return state.paused_until - now, False
            if state.probe_until is not None and now < state.probe_until:
                return min(_POLL_SECONDS, state.probe_until - now), False
            if wait := _wait(state, reservation, now, priority):
                return wait, False
            reservation.slot = None
            slots = state.next_slot, state.next_bulk_slot
            probes = state.take(now, wall, priority)
            # Others may have reserved slots after this one: only a reservation moves the next slot.
            state.next_slot, state.next_bulk_slot = slots
            if reservation.others_wait and not probes:
                _wait(state, reservation, now, priority)
            return 0.0, probes

    def settle(
        self, company: str, limits: Limits, reservation: Reservation, settlement: PermitOutcome
    ) -> None:
        """Record how a permit was used."""
        with self._state(company, limits, reservation) as (state, now, _, _):
            state.settle(now, settlement)

    def give_back(
        self,
        company: str,
        limits: Limits,
        reservation: Reservation,
        probes: bool,  # noqa: FBT001 - it is passed on by position
    ) -> None:
        """Take back a permit that was not used."""
        with self._state(company, limits, reservation) as (state, _, wall, _):
            state.undo(wall, probes=probes)

    def quota(self, company: str, limits: Limits, reservation: Reservation) -> Quota:
        """Return the usage of the limits, and the load of all processes."""
        with self._state(company, limits, reservation) as (state, now, wall, loads):
            others = loads.others(reservation.report.name, now)
            return state.quota(now, wall, reservation.report.load + others)

    def publish(self, company: str, reservation: Reservation) -> None:
        """Store the load, if that is still due."""
        load = reservation.report.take(self.clocks.steady())
        if load is not None:
            with self.database.transaction() as connection:
                loads = StoredLoad(connection, company)
                loads.publish(reservation.report.name, load, self.clocks.steady())

    @contextmanager
    def _state(
        self, company: str, limits: Limits, reservation: Reservation
    ) -> Iterator[tuple[LimiterState, float, float, StoredLoad]]:
        """Read the company's state from the file, and write it back when the block ends."""
        settled, reservation.settled = reservation.settled, []
        with self.database.transaction() as connection:
            # Only inside the transaction: times in the file never run backwards.
            now, wall = self.clocks.steady(), self.clocks.wall()
            if self._boot is None:
                self._boot = self.clocks.boot()
            loads = StoredLoad(connection, company)
            if (load := reservation.report.take(now)) is not None:
                loads.publish(reservation.report.name, load, now)
            state = reservation.seen = self._read(connection, company, limits, (now, wall))
            probe = state.probe_until
            for settlement in settled:
                state.settle(now, settlement)
            try:
                yield state, now, wall, loads
            finally:  # also when no permit is granted: what was learned is kept
                self._write(connection, company, state, (now, wall))
                if state.probe_until is not None and state.probe_until != probe:
                    StoredProber(connection, company).become()

    def _read(
        self, connection: Connection, company: str, limits: Limits, at: tuple[float, float]
    ) -> LimiterState:
        now, wall = at
        row = connection.execute(_READ, (company,)).fetchone()
        day = StoredDay(connection, company, DayRule(limits.day_resets), row[7] if row else 0)
        day.renew(wall)
        if row is None:
            return LimiterState(limits, day=day)
        boot, steady, slot, bulk_slot, paused_until, paused_wall, probe, _, learned = row
        rate = _rate(limits, learned)
        if boot != self._boot or now < steady:
            # Monotonic times from before a reboot mean nothing now.
            slot = bulk_slot = float("-inf")
            probe = None
            if paused_until is not None:
                # The wall clock may have been wrong when the row was written.
                pause = min(paused_wall - wall, paused_until - steady, LONGEST_WAIT)
                paused_until = now + pause
            if rate is not None:
                rate.changed_at = None
        if probe is not None and StoredProber(connection, company).is_gone():
            probe = None
        return LimiterState(limits, rate, day, slot, bulk_slot, paused_until, probe)

    def _write(
        self, connection: Connection, company: str, state: LimiterState, at: tuple[float, float]
    ) -> None:
        now, wall = at
        paused_until = state.paused_until
        connection.execute(
            _WRITE,
            (
                company,
                self._boot,
                now,
                state.next_slot,
                state.next_bulk_slot,
                paused_until,
                None if paused_until is None else wall + paused_until - now,
                state.probe_until,
                state.day.used(wall),
                json.dumps(state.rate.snapshot()) if state.rate else None,
            ),
        )


def _wait(state: LimiterState, reservation: Reservation, now: float, priority: Priority) -> float:
    """Return the seconds to the reserved slot, or to one that is reserved now."""
    interval = state.rate.interval if state.rate else 0.0
    slot = reservation.slot
    if slot is None or not -max(interval / 4, _LEAST_LATENESS) <= slot - now <= interval + HORIZON:
        reservation.slot = None
        if priority == "bulk" and state.next_bulk_slot > max(now, state.next_slot):
            return state.next_bulk_slot - now
        slot = max(now, state.next_slot)
        if slot > now + interval + HORIZON:
            return slot - now - HORIZON
        state.next_slot = slot + interval
        if priority == "bulk" and state.limits.reserved_share:
            state.next_bulk_slot = slot + interval / (1 - state.limits.reserved_share)
        reservation.slot = slot
    return max(0.0, slot - now)


def _rate(limits: Limits, learned: str | None) -> AdaptiveRate | None:
    """Return the rate that was learned for the same ceiling, else a new one."""
    if learned is None or limits.per_second is None or not limits.learns:
        return new_rate(limits)
    try:
        rate = AdaptiveRate.restored(json.loads(learned))
    except (TypeError, ValueError, AttributeError):
        return new_rate(limits)  # written by another version
    return rate if rate.ceiling == limits.per_second else new_rate(limits)
