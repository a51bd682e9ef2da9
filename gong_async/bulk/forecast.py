"""Estimates when requests will finish, at the current rate and daily quota."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gong_async.bulk.records import Forecast
from gong_async.limits.day import DAY
from gong_async.limits.types import Limits, Quota


def forecast(requests: int, *, quota: Quota, limits: Limits) -> Forecast:
    """Return when `requests` will finish if no other program uses the quota."""
    now = datetime.now(UTC)
    # Bulk priority leaves a part of each second to interactive calls.
    pace = None if quota.per_second is None else quota.per_second * (1 - limits.reserved_share)
    left = None if quota.left_today is None else max(0, quota.left_today - limits.reserve)
    until_reset = _seconds_to(quota.resets_at, now)
    held = _seconds_to(quota.paused_until, now)
    seconds = 0.0
    if requests:
        seconds = held + _seconds(requests, pace, left, until_reset=until_reset, limits=limits)
    return Forecast(
        requests=requests,
        seconds=seconds,
        finishes_at=now + timedelta(seconds=seconds),
        per_second=pace,
        left_today=left,
    )


def _seconds(
    requests: int, pace: float | None, left: int | None, *, until_reset: float, limits: Limits
) -> float:
    if left is None or limits.per_day is None or requests <= left:
        return _at_pace(requests, pace)
    a_day = max(1, limits.per_day - limits.reserve)
    # Used calls expire 24 hours later, at about the rate at which they were used.
    begins = until_reset if left < a_day else DAY
    days, rest = divmod(requests - left - 1, a_day)
    return max(begins, _at_pace(left, pace)) + days * DAY + _at_pace(rest + 1, pace)


def _at_pace(requests: int, pace: float | None) -> float:
    return requests / pace if pace else 0.0


def _seconds_to(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (moment - now).total_seconds())
