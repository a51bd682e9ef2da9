"""One company's limits as a state machine: rate, day, pause. No clock, no lock, no event loop."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import Factory, define, field

from gong_async.errors import DailyQuotaExceededError, Delivery, RateLimitError
from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.limits.day import DayCount, DayRule
from gong_async.limits.load import NO_LOAD, Load
from gong_async.limits.making_up import MakingUp
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

PROBE_LEASE = 120.0
"""Seconds after which a probe without an outcome is given up."""

_MOST_BEHIND = 1.0
"""Seconds: slots missed longer ago are not made up for."""
_LEAST_GAP = 0.5
"""Fraction of the interval between two grants, also while missed slots are made up for."""
_MOST_GRANTS = 1000
"""Grants remembered at most."""

_WHEN = "%Y-%m-%d %H:%M:%SZ"


def new_rate(limits: Limits) -> AdaptiveRate | None:
    """Return the initial rate for `limits`; None without a rate limit."""
    if limits.per_second is None:
        return None
    return AdaptiveRate(limits.per_second, slack=limits.interval - 1.0 / limits.per_second)


def _new_rate(state: LimiterState) -> AdaptiveRate | None:
    return new_rate(state.limits)


def _new_day(state: LimiterState) -> Day:
    return DayCount(DayRule(state.limits.day_resets))


class Day(Protocol):
    """The daily count, in any store. Times are seconds since the epoch."""

    def used(self, now: float) -> int:
        """Return the calls of the current day."""
        ...

    def add(self, now: float) -> None:
        """Count a call."""
        ...

    def take_back(self, now: float) -> None:
        """Uncount one call."""
        ...

    def falls_at(self, now: float) -> float:
        """Return when the count next decreases."""
        ...


@define(eq=False)
class LimiterState:
    """Decides when the next call may go. `now` is monotonic, `wall` seconds since the epoch."""

    limits: Limits
    rate: AdaptiveRate | None = field(default=Factory(_new_rate, takes_self=True))
    day: Day = field(default=Factory(_new_day, takes_self=True))
    next_slot: float = float("-inf")
    next_bulk_slot: float = float("-inf")
    paused_until: float | None = None
    probe_until: float | None = None
    """Until when a probe is in flight; no other call goes before its outcome is known."""
    making_up: MakingUp = field(factory=MakingUp, init=False)
    earliest: float = field(default=float("-inf"), init=False)
    """No grant before this, even if its slot is past: see `_note`."""
    _grants: list[float] | None = field(default=None, init=False, repr=False)
    """When the last grants were, as many as the ceiling allows in a second."""

    @property
    def interval(self) -> float:
        """Current seconds between two grants."""
        return self.rate.interval if self.rate else 0.0

    def wait(self, now: float, wall: float, priority: Priority, max_wait: float) -> float:
        """Return the seconds until a call of `priority` may go, 0 if it may.

        Raises:
            DailyQuotaExceededError: no daily call is left for this priority.
            RateLimitError: a pause lasts longer than `max_wait`.
        """
        if self.paused_until is not None or self.limits.per_day is not None:
            self.check(now, wall, priority, max_wait)
        if self.paused_until is not None and now < self.paused_until:
            return self.paused_until - now
        if self.probe_until is not None and now < self.probe_until:
            return self.probe_until - now
        due = self.next_slot
        if self.earliest > due:  # noqa: PLR1730 - in every call
            due = self.earliest
        if priority == "bulk" and self.next_bulk_slot > due:
            due = self.next_bulk_slot
        return due - now if due > now else 0.0

    def check(self, now: float, wall: float, priority: Priority, max_wait: float) -> None:
        """Raise the errors that waiting cannot avoid: see `wait`."""
        pause = 0.0 if self.paused_until is None else self.paused_until - now
        if pause > 0 and pause > max_wait:
            raise self._pause_too_long(pause, wall)
        per_day = self.limits.per_day
        reserve = self.limits.reserve if priority == "bulk" else 0
        if per_day is not None and self.day.used(wall) >= per_day - reserve:
            raise self._day_used_up(per_day, reserve, wall)

    def take(self, now: float, wall: float, priority: Priority, since: float | None = None) -> bool:
        """Count a call that is sent now; return whether it is a probe.

        The next slot follows from the slot of this call, not from `now`, so that a late wake-up
        costs no throughput. `since` is when calls of this priority began to wait without a break;
        earlier slots had no call to use them and are lost. None makes up for nothing.
        """
        if self.rate is not None:
            interval, slot = self.rate.interval, now
            if since is not None:
                if since < now and self.paused_until is None and now >= self.making_up.off_until:
                    slot = max(self.next_slot, since, now - _MOST_BEHIND)
                    if priority == "bulk":
                        slot = max(slot, self.next_bulk_slot)
                    slot = min(slot, now)
                self._note(now, interval, late=slot < now)
            self.next_slot = slot + interval
            if priority == "bulk" and self.limits.reserved_share:
                self.next_bulk_slot = slot + interval / (1 - self.limits.reserved_share)
        self.day.add(wall)
        if self.paused_until is None:
            return False
        self.probe_until = now + PROBE_LEASE
        return True

    def keep_to(self, limits: Limits) -> None:
        """Apply other limits; what was counted and learned stays."""
        self.limits = limits
        if self.rate is None or self.rate.ceiling != limits.per_second:
            self.rate, known, self._grants = new_rate(limits), self._grants, None
            self.earliest = float("-inf")
            if self.rate is not None and known is not None:
                for grant in known:
                    self._note(grant, self.rate.interval)

    def _note(self, now: float, interval: float, *, late: bool = False) -> None:
        """Remember a grant, and bound how missed slots are made up for: see `earliest`.

        No gap is under half the interval. As many calls as the ceiling allows per second take no
        less time than at the learned rate, so the slack learned against jitter is preserved.
        """
        grants, rate = self._grants, self.limits.per_second
        if rate is None:
            return
        if grants is None:
            number = min(_MOST_GRANTS, math.ceil(rate))
            grants = self._grants = [float("-inf")] * number
        if late:
            self.making_up.granted(now, now - grants[-1], rate)
        del grants[0]
        grants.append(now)
        self.earliest = now + _LEAST_GAP * interval
        second = grants[0] + len(grants) * interval
        if second > self.earliest:  # noqa: PLR1730 - in every call
            self.earliest = second

    def undo(self, wall: float, *, probes: bool) -> None:
        """Uncount a call that was not sent."""
        self.day.take_back(wall)
        if probes:
            self.probe_until = None

    def settle(self, now: float, settlement: PermitOutcome) -> None:
        """Record how a permit was used: a 429 pauses all calls and lowers the rate."""
        if settlement.pause is not None:
            until = now + settlement.pause
            self.paused_until = (
                until if self.paused_until is None else max(self.paused_until, until)
            )
            self._learn(now, settlement)
        elif settlement.accepted and self.rate is not None:
            self._learn(now, settlement)
        if settlement.probed:
            # The probe has its response; if it was accepted, the pause is over.
            self.probe_until = None
            self.next_slot = max(self.next_slot, now)  # no slot was missed meanwhile
            if settlement.accepted and self.paused_until is not None and self.paused_until <= now:
                self.paused_until = None

    def _learn(self, now: float, settlement: PermitOutcome) -> None:
        if self.rate is None:
            return
        sent_at = settlement.sent_at
        if settlement.pause is not None:
            since = self.rate.changed_at or 0.0  # gaps before were those of another rate
            grants = [grant for grant in self._grants or () if grant >= since]
            made_up = self.making_up.throttled(now, sent_at, grants, self.rate.interval)
            if self.limits.learns and not made_up:
                self.rate.throttled(now, sent_at)
            return
        if self.making_up.sent_early is not None:
            self.making_up.accepted(sent_at)
        if self.limits.learns:
            self.rate.accepted(now, sent_at)

    def quota(self, now: float, wall: float, load: Load = NO_LOAD) -> Quota:
        """Return the usage of the limits, with the given load."""
        used, per_day = self.day.used(wall), self.limits.per_day
        pause = 0.0 if self.paused_until is None else self.paused_until - now
        return Quota(
            used_today=used,
            left_today=None if per_day is None else max(0, per_day - used),
            resets_at=moment(self.day.falls_at(wall)) if used else None,
            per_second=self.rate.per_second if self.rate else None,
            ceiling=self.limits.per_second,
            paused_until=moment(wall + pause) if pause > 0 else None,
            waiting=load.waiting,
            in_flight=load.in_flight,
        )

    def _pause_too_long(self, pause: float, wall: float) -> RateLimitError:
        retry_at = moment(wall + pause)
        return RateLimitError(
            f"Gong throttled an earlier call (429); no call is sent until {retry_at:{_WHEN}}",
            status=429,
            retry_after=pause,
            retry_at=retry_at,
            delivery=Delivery.NOT_SENT,
        )

    def _day_used_up(self, per_day: int, reserve: int, wall: float) -> DailyQuotaExceededError:
        wait = max(0.0, self.day.falls_at(wall) - wall)
        reset_at = moment(wall + wait)
        kept = f" except the {reserve:,} reserved for interactive calls" if reserve else ""
        return DailyQuotaExceededError(
            f"the daily quota of {per_day:,} calls{kept} is used up; "
            f"the next call is possible at {reset_at:{_WHEN}}",
            per_day=per_day,
            reset_at=reset_at,
            retry_after=wait,
            delivery=Delivery.NOT_SENT,
        )


def moment(wall: float) -> datetime:
    """Return seconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=wall)
