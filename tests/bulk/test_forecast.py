"""When a number of requests will be through, by pace and by the quota of the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gong_async import Limits, Quota
from gong_async.bulk.planner import forecast

DAY = 86_400.0
HOUR = 3_600.0


def quota(**known: Any) -> Quota:
    """Return a quota at 2 calls a second, of which nothing is used."""
    plain: dict[str, Any] = {
        "used_today": 0,
        "left_today": 10_000,
        "resets_at": None,
        "per_second": 2.0,
        "ceiling": 3.0,
        "paused_until": None,
    }
    return Quota(**{**plain, **known})


def in_hours(hours: float) -> datetime:
    """Return the moment so many hours from now."""
    return datetime.now(UTC) + timedelta(hours=hours)


def test_nothing_takes_no_time() -> None:
    """Also while a refusal holds everybody."""
    reported = forecast(0, quota=quota(paused_until=in_hours(1)), limits=Limits())

    assert (reported.requests, reported.seconds) == (0, 0.0)


def test_within_the_day_the_pace_counts() -> None:
    """10,000 at 2 a second: 5,000 seconds."""
    reported = forecast(10_000, quota=quota(), limits=Limits())

    assert reported.seconds == 5_000
    assert abs(reported.finishes_at - datetime.now(UTC) - timedelta(seconds=5_000)).seconds < 5


def test_each_further_day_begins_a_day_after_the_last() -> None:
    """50,000 are five days: four full ones, and the time that the last 10,000 take."""
    reported = forecast(50_000, quota=quota(), limits=Limits())

    assert reported.seconds == 4 * DAY + 5_000
    assert reported.days == pytest.approx(4.058, abs=0.001)


def test_what_was_used_comes_back_a_day_after_it_was_used() -> None:
    """2,000 are used and come back in 5 hours: the 9,000th of this job waits until then."""
    known = quota(used_today=2_000, left_today=8_000, resets_at=in_hours(5))
    within = forecast(8_000, quota=known, limits=Limits())
    beyond = forecast(9_000, quota=known, limits=Limits())

    assert within.seconds == 4_000
    assert beyond.seconds == pytest.approx(5 * HOUR + 500, abs=5)


def test_a_spent_day_is_waited_for() -> None:
    """Nothing is left, and the reset is in an hour."""
    known = quota(used_today=10_000, left_today=0, resets_at=in_hours(1))

    assert forecast(10, quota=known, limits=Limits()).seconds == pytest.approx(HOUR + 5, abs=5)


def test_the_reserve_is_not_the_jobs() -> None:
    """Of 10,000 calls 4,000 are reserved: 12,000 take two days."""
    limits = Limits(reserve=4_000)
    reported = forecast(12_000, quota=quota(), limits=limits)

    assert reported.left_today == 6_000
    assert reported.seconds == DAY + 3_000


def test_the_reserved_share_slows_the_job() -> None:
    """Half of each second is for others."""
    reported = forecast(1_000, quota=quota(), limits=Limits(reserved_share=0.5))

    assert (reported.per_second, reported.seconds) == (1.0, 1_000)


def test_a_hold_comes_first() -> None:
    """Gong has asked everybody to wait."""
    reported = forecast(1_000, quota=quota(paused_until=in_hours(1)), limits=Limits())

    assert reported.seconds == pytest.approx(HOUR + 500, abs=5)


def test_without_limits_it_takes_no_time_that_we_know_of() -> None:
    """What calls themselves take is not known beforehand."""
    known = quota(left_today=None, per_second=None, ceiling=None)

    assert forecast(1_000, quota=known, limits=Limits(per_second=None, per_day=None)).seconds == 0


def test_a_limit_below_its_reserve_still_ends() -> None:
    """A setting that leaves the job nothing must not end in a division by zero."""
    limits = Limits(per_day=100, reserve=200)
    known = quota(left_today=100)

    assert forecast(3, quota=known, limits=limits).seconds == pytest.approx(2 * DAY, abs=5)
