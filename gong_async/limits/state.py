"""One company's limits as a state machine: pace, day, hold. No clock, no lock, no loop."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import Factory, define, field

from gong_async.errors import DailyQuotaExceededError, Delivery, RateLimitError
from gong_async.limits.adaptive_rate import Pace
from gong_async.limits.day import DayCount, DayRule
from gong_async.limits.load import NOBODY, Crowd
from gong_async.limits.types import Lane, Limits, Quota, Settlement

PROBE_LEASE = 120.0
"""Seconds after which a probe that never reported back is given up."""

_MOST_BEHIND = 1.0
"""Seconds: slots that were missed longer ago are not made up for."""
_LEAST_GAP = 0.5
"""Share of the interval between two grants, also while missed slots are made up for."""

_WHEN = "%Y-%m-%d %H:%M:%SZ"


def new_pace(limits: Limits) -> Pace | None:
    """Return the pace that `limits` begin with; None for none."""
    if limits.per_second is None:
        return None
    return Pace(limits.per_second, slack=limits.interval - 1.0 / limits.per_second)


def _new_pace(gate: Gate) -> Pace | None:
    return new_pace(gate.limits)


def _new_day(gate: Gate) -> Day:
    return DayCount(DayRule(gate.limits.day_resets))


class Day(Protocol):
    """The count of the day, wherever it is kept. Times are seconds since the epoch."""

    def used(self, now: float) -> int:
        """Return the calls of the present day."""
        ...

    def add(self, now: float) -> None:
        """Count a call."""
        ...

    def take_back(self, now: float) -> None:
        """Count one call less."""
        ...

    def falls_at(self, now: float) -> float:
        """Return when the count falls next."""
        ...


@define(eq=False)
class Gate:
    """Says when the next call may go. `now` is steady time, `wall` seconds since the epoch."""

    limits: Limits
    pace: Pace | None = field(default=Factory(_new_pace, takes_self=True))
    day: Day = field(default=Factory(_new_day, takes_self=True))
    next_slot: float = float("-inf")
    next_bulk_slot: float = float("-inf")
    held_until: float | None = None
    probe_until: float | None = None
    """Until when a probe is out; nobody else goes before it has come back."""
    earliest: float = field(default=float("-inf"), init=False)
    """No grant before this, even if its slot is past: see `_set_earliest`."""
    _grants: deque[float] = field(factory=deque, init=False, repr=False)
    """When the last grants were, as many as the ceiling allows in a second."""

    def wait(self, now: float, wall: float, lane: Lane, patience: float) -> float:
        """Return the seconds until a call of `lane` may go, 0 if it may.

        Raises:
            DailyQuotaExceededError: the day's calls are used up, or what the lane may use of them.
            RateLimitError: a refusal holds everybody for longer than `patience`.
        """
        self.check(now, wall, lane, patience)
        if self.held_until is not None and now < self.held_until:
            return self.held_until - now
        if self.probe_until is not None and now < self.probe_until:
            return self.probe_until - now
        due = max(self.next_slot, self.earliest)
        if lane == "bulk":
            due = max(due, self.next_bulk_slot)
        return max(0.0, due - now)

    def check(self, now: float, wall: float, lane: Lane, patience: float) -> None:
        """Raise what waiting could only lead to: see `wait`."""
        hold = 0.0 if self.held_until is None else self.held_until - now
        if hold > 0 and hold > patience:
            raise self._hold_is_too_long(hold, wall)
        per_day = self.limits.per_day
        reserve = self.limits.reserve if lane == "bulk" else 0
        if per_day is not None and self.day.used(wall) >= per_day - reserve:
            raise self._day_is_over(per_day, reserve, wall)

    def take(self, now: float, wall: float, lane: Lane, since: float | None = None) -> bool:
        """Count a call that goes now; return whether it is a probe.

        The next slot follows from the slot of this call, not from `now`: a late wake-up is made up
        for. `since` is from when on calls of the lane have waited for a permit without a break;
        slots before that, or all if it is None, were missed for want of a call and are gone.
        """
        if self.pace is not None:
            interval, slot = self.pace.interval, now
            if since is not None and self.held_until is None:
                slot = max(self.next_slot, since, now - _MOST_BEHIND)
                if lane == "bulk":
                    slot = max(slot, self.next_bulk_slot)
                slot = min(slot, now)
            self.next_slot = slot + interval
            if lane == "bulk" and self.limits.reserved_share:
                self.next_bulk_slot = slot + interval / (1 - self.limits.reserved_share)
            self._grants.append(now)
            self._set_earliest()
        self.day.add(wall)
        if self.held_until is None:
            return False
        self.probe_until = now + PROBE_LEASE
        return True

    def keep_to(self, limits: Limits) -> None:
        """Go on with other limits; what was counted and learned stays."""
        self.limits = limits
        if self.pace is None or self.pace.ceiling != limits.per_second:
            self.pace = new_pace(limits)
            self._set_earliest()

    def _set_earliest(self) -> None:
        """Bound how missed slots are made up for: no grant before `earliest`.

        No gap is under half the interval. As many calls as the ceiling allows in a second take as
        long as at the learned rate: what was learned against late arrivals at Gong stays.
        """
        grants, rate = self._grants, self.limits.per_second
        interval = 0.0 if self.pace is None else self.pace.interval
        if rate is None or not interval or not grants:
            grants.clear()
            self.earliest = float("-inf")
            return
        self.earliest = grants[-1] + _LEAST_GAP * interval
        # What is older than that time cannot bind: a ceiling of a million keeps a second's grants.
        while len(grants) - 1 >= rate or grants[-1] - grants[0] > (rate + 1) * interval:
            grants.popleft()
        if len(grants) >= rate:
            self.earliest = max(self.earliest, grants[0] + len(grants) * interval)

    def undo(self, wall: float, *, probes: bool) -> None:
        """Take back a call that was counted and did not go out."""
        self.day.take_back(wall)
        if probes:
            self.probe_until = None

    def settle(self, now: float, settlement: Settlement) -> None:
        """Take note of how a turn ended: at a refusal hold everybody, and go slower afterwards."""
        if settlement.hold is not None:
            until = now + settlement.hold
            self.held_until = until if self.held_until is None else max(self.held_until, until)
            self._learn(now, settlement)
        elif settlement.accepted:
            self._learn(now, settlement)
        if settlement.probed:
            # The probe has come back; if it was accepted, the hold is over.
            self.probe_until = None
            self.next_slot = max(self.next_slot, now)  # no slot was missed meanwhile
            if settlement.accepted and self.held_until is not None and self.held_until <= now:
                self.held_until = None

    def _learn(self, now: float, settlement: Settlement) -> None:
        if self.pace is None or not self.limits.learns:
            return
        if settlement.hold is not None:
            self.pace.refused(now, settlement.sent_at)
        else:
            self.pace.accepted(now, settlement.sent_at)

    def quota(self, now: float, wall: float, crowd: Crowd = NOBODY) -> Quota:
        """Return what is used and left, with those who wait."""
        used, per_day = self.day.used(wall), self.limits.per_day
        hold = 0.0 if self.held_until is None else self.held_until - now
        return Quota(
            used_today=used,
            left_today=None if per_day is None else max(0, per_day - used),
            resets_at=moment(self.day.falls_at(wall)) if used else None,
            per_second=self.pace.per_second if self.pace else None,
            ceiling=self.limits.per_second,
            held_until=moment(wall + hold) if hold > 0 else None,
            waiting=crowd.waiting,
            in_flight=crowd.in_flight,
        )

    def _hold_is_too_long(self, hold: float, wall: float) -> RateLimitError:
        retry_at = moment(wall + hold)
        return RateLimitError(
            f"Gong refused an earlier call and asked to wait until {retry_at:{_WHEN}}",
            status=429,
            retry_after=hold,
            retry_at=retry_at,
            delivery=Delivery.NOT_SENT,
        )

    def _day_is_over(self, per_day: int, reserve: int, wall: float) -> DailyQuotaExceededError:
        wait = max(0.0, self.day.falls_at(wall) - wall)
        reset_at = moment(wall + wait)
        kept = f", but for the {reserve:,} that are reserved," if reserve else ""
        return DailyQuotaExceededError(
            f"all {per_day:,} calls of 24 hours{kept} are used; "
            f"the next is free at {reset_at:{_WHEN}}",
            per_day=per_day,
            reset_at=reset_at,
            retry_after=wait,
            delivery=Delivery.NOT_SENT,
        )


def moment(wall: float) -> datetime:
    """Return seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=wall)
