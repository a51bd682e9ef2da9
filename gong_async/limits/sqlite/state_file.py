"""Every company's limits in one SQLite file, for the processes of one machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from gong_async._storage.database import Database
from gong_async.errors import LONGEST_WAIT
from gong_async.limits.adaptive_rate import Pace
from gong_async.limits.day import DayRule
from gong_async.limits.load import Report
from gong_async.limits.sqlite.day_and_load import StoredCrowd, StoredDay
from gong_async.limits.sqlite.process import is_gone, namespace
from gong_async.limits.state import Gate, new_pace
from gong_async.limits.types import Lane, Limits, Quota, Settlement

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

HORIZON = 30.0
"""Seconds that a slot is booked ahead at most."""

_POLL_SECONDS = 0.1
_LEAST_LATENESS = 0.01
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_READ = (
    "SELECT boot, steady, next_slot, next_bulk_slot, held_until, held_until_wall, probe_until, "
    "used, pace FROM company WHERE key = ?"
)
_PROBER = "SELECT pid, namespace FROM prober WHERE key = ?"
_PROBES = "INSERT OR REPLACE INTO prober VALUES (?, ?, ?)"
_WRITE = "INSERT OR REPLACE INTO company VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""  # a restart is then only seen by steady time that runs backwards


@frozen
class Clocks:
    """The machine's clocks, which all its processes see alike."""

    boot: Callable[[], str] = _boot_id
    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@define
class Booking:
    """What one event loop has under way with the file."""

    slot: float | None = None
    """The slot that is booked. Whoever asks next has it; one that is missed is nobody's."""
    others_wait: bool = False
    """Whether the next call of the same queue will want a slot at once."""
    settled: list[Settlement] = field(factory=list)
    """Calls that were accepted, to be learned from at the next opportunity."""
    seen: Gate | None = None
    """The limits as they were at the last look."""
    report: Report = field(factory=Report)
    """How many calls the event loop has."""


@define(eq=False)
class Ledger:
    """What stands in the file. Belongs to one thread; each call is one short transaction."""

    database: Database
    clocks: Clocks = field(factory=Clocks)
    _boot: str | None = field(default=None, init=False)

    def ask(
        self,
        company: str,
        limits: Limits,
        booking: Booking,
        lane: Lane,
        patience: float,
    ) -> tuple[float, bool]:
        """Grant a call that is due: 0 and whether it probes; else book, and say how long to wait.

        If others wait in the same queue, a grant books the next one's slot along with it.

        Raises:
            DailyQuotaExceededError: see `Gate.check`.
            RateLimitError: see `Gate.check`.
        """
        with self._gate(company, limits, booking) as (gate, now, wall, _):
            gate.check(now, wall, lane, patience)
            if gate.held_until is not None and now < gate.held_until:
                return gate.held_until - now, False
            if gate.probe_until is not None and now < gate.probe_until:
                return min(_POLL_SECONDS, gate.probe_until - now), False
            if wait := _wait(gate, booking, now, lane):
                return wait, False
            booking.slot = None
            slots = gate.next_slot, gate.next_bulk_slot
            probes = gate.take(now, wall, lane)
            # Others may have booked behind this slot already: only a booking moves them on.
            gate.next_slot, gate.next_bulk_slot = slots
            if booking.others_wait and not probes:
                _wait(gate, booking, now, lane)
            return 0.0, probes

    def settle(
        self, company: str, limits: Limits, booking: Booking, settlement: Settlement
    ) -> None:
        """Write down how a turn ended."""
        with self._gate(company, limits, booking) as (gate, now, _, _):
            gate.settle(now, settlement)

    def give_back(self, company: str, limits: Limits, booking: Booking, probes: bool) -> None:  # noqa: FBT001
        """Take a grant back that nobody used: no request went out."""
        with self._gate(company, limits, booking) as (gate, _, wall, _):
            gate.undo(wall, probes=probes)

    def quota(self, company: str, limits: Limits, booking: Booking) -> Quota:
        """Return what is used and left, and who waits in all processes."""
        with self._gate(company, limits, booking) as (gate, now, wall, crowds):
            others = crowds.others(booking.report.name, now)
            return gate.quota(now, wall, booking.report.crowd + others)

    def tell(self, company: str, booking: Booking) -> None:
        """Write down who waits, if that is still due."""
        crowd = booking.report.take(self.clocks.steady())
        if crowd is not None:
            with self.database.transaction() as connection:
                crowds = StoredCrowd(connection, company)
                crowds.tell(booking.report.name, crowd, self.clocks.steady())

    @contextmanager
    def _gate(
        self, company: str, limits: Limits, booking: Booking
    ) -> Iterator[tuple[Gate, float, float, StoredCrowd]]:
        """Lend the company's gate as it stands in the file, and write it back."""
        settled, booking.settled = booking.settled, []
        with self.database.transaction() as connection:
            # Not before the file is ours: times in it never run backwards.
            now, wall = self.clocks.steady(), self.clocks.wall()
            if self._boot is None:
                self._boot = self.clocks.boot()
            crowds = StoredCrowd(connection, company)
            if (crowd := booking.report.take(now)) is not None:
                crowds.tell(booking.report.name, crowd, now)
            gate = booking.seen = self._read(connection, company, limits, (now, wall))
            probe = gate.probe_until
            for settlement in settled:
                gate.settle(now, settlement)
            try:
                yield gate, now, wall, crowds
            finally:  # also when the gate refuses: what was learned stays
                self._write(connection, company, gate, (now, wall))
                if gate.probe_until is not None and gate.probe_until != probe:
                    connection.execute(_PROBES, (company, os.getpid(), namespace()))

    def _read(
        self, connection: Connection, company: str, limits: Limits, at: tuple[float, float]
    ) -> Gate:
        now, wall = at
        row = connection.execute(_READ, (company,)).fetchone()
        day = StoredDay(connection, company, DayRule(limits.day_resets), row[7] if row else 0)
        day.renew(wall)
        if row is None:
            return Gate(limits, day=day)
        boot, steady, slot, bulk_slot, held, held_wall, probe, _, learned = row
        pace = _pace(limits, learned)
        if boot != self._boot or now < steady:
            # Steady times of before a restart say nothing now.
            slot = bulk_slot = float("-inf")
            probe = None
            if held is not None:
                # The wall clock may have been wrong when it was written.
                held = now + min(held_wall - wall, held - steady, LONGEST_WAIT)
            if pace is not None:
                pace.changed_at = None
        if probe is not None:
            prober = connection.execute(_PROBER, (company,)).fetchone()
            if prober is not None and is_gone(*prober):
                probe = None
        return Gate(limits, pace, day, slot, bulk_slot, held, probe)

    def _write(
        self, connection: Connection, company: str, gate: Gate, at: tuple[float, float]
    ) -> None:
        now, wall = at
        held = gate.held_until
        connection.execute(
            _WRITE,
            (
                company,
                self._boot,
                now,
                gate.next_slot,
                gate.next_bulk_slot,
                held,
                None if held is None else wall + held - now,
                gate.probe_until,
                gate.day.used(wall),
                json.dumps(gate.pace.snapshot()) if gate.pace else None,
            ),
        )


def _wait(gate: Gate, booking: Booking, now: float, lane: Lane) -> float:
    """Return the seconds to the booked slot, or to one that is booked now."""
    interval = gate.pace.interval if gate.pace else 0.0
    slot = booking.slot
    if slot is None or not -max(interval / 4, _LEAST_LATENESS) <= slot - now <= interval + HORIZON:
        booking.slot = None
        if lane == "bulk" and gate.next_bulk_slot > max(now, gate.next_slot):
            return gate.next_bulk_slot - now
        slot = max(now, gate.next_slot)
        if slot > now + interval + HORIZON:
            return slot - now - HORIZON
        gate.next_slot = slot + interval
        if lane == "bulk" and gate.limits.reserved_share:
            gate.next_bulk_slot = slot + interval / (1 - gate.limits.reserved_share)
        booking.slot = slot
    return max(0.0, slot - now)


def _pace(limits: Limits, learned: str | None) -> Pace | None:
    """Return the pace that was learned under the same ceiling, else a new one."""
    if learned is None or limits.per_second is None or not limits.learns:
        return new_pace(limits)
    try:
        pace = Pace.restored(json.loads(learned))
    except (TypeError, ValueError, AttributeError):
        return new_pace(limits)  # another version's
    return pace if pace.ceiling == limits.per_second else new_pace(limits)
