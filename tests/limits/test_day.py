"""The count of the day, held against a plain list of times."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gong_async.limits.day import DAY, DayCount, DayRule

BERLIN = ZoneInfo("Europe/Berlin")


def wait(count: DayCount, now: float, limit: int) -> float:
    """Return the seconds until the count is below the limit."""
    return 0.0 if count.used(now) < limit else count.falls_at(now) - now


GAPS = st.lists(st.floats(0, 30_000), min_size=1, max_size=200)


@given(GAPS, st.integers(1, 20))
def test_never_more_than_the_limit_in_any_24_hours(gaps: list[float], limit: int) -> None:
    """However calls come, no window of a day holds more than the limit."""
    count = DayCount()
    taken: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        if wait(count, now, limit) == 0:
            count.add(now)
            taken.append(now)

    assert all(later - now >= DAY for now, later in zip(taken, taken[limit:], strict=False))


@given(GAPS, st.integers(1, 20))
def test_the_wait_is_right(gaps: list[float], limit: int) -> None:
    """After the wait that is named a call is free, and it is at most a minute too long."""
    count = DayCount()
    taken: list[float] = []
    now = 0.0
    wrong: list[float] = []
    for gap in gaps:
        now += gap
        named = wait(count, now, limit)
        exact = max(0.0, taken[-limit] + DAY - now) if len(taken) >= limit else 0.0
        if not exact <= named + 1e-6 <= exact + 60 + 1e-5:
            wrong.append(now)
        now += named
        count.add(now)
        taken.append(now)

    assert not wrong


def test_a_million_calls_take_no_more_memory_than_the_minutes_of_a_day() -> None:
    """The count is kept by the minute."""
    count = DayCount()
    for number in range(1_000_000):
        count.add(number * 0.2)
        count.used(number * 0.2)

    assert len(count._minutes) <= 1_442


def test_a_day_begins_when_it_is_reset() -> None:
    """With a known reset, what was counted before it does not count after it."""
    count = DayCount(DayRule(datetime(2026, 11, 1, 6, 0, tzinfo=UTC)))
    before = datetime(2026, 11, 22, 5, 59, tzinfo=UTC).timestamp()
    after = datetime(2026, 11, 22, 6, 1, tzinfo=UTC).timestamp()
    count.add(before)
    used = [count.used(before)]
    falls = count.falls_at(before)
    count.add(after)
    used.append(count.used(after))

    assert used == [1, 1]
    assert falls == datetime(2026, 11, 22, 6, 0, tzinfo=UTC).timestamp()


def test_a_day_of_a_zone_may_have_25_hours() -> None:
    """A reset follows the zone's clock, which is set back in autumn."""
    count = DayCount(DayRule(datetime(2026, 1, 1, tzinfo=BERLIN)))
    noon = datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)
    count.add(noon.timestamp())

    assert count.falls_at(noon.timestamp()) == datetime(2026, 10, 26, tzinfo=BERLIN).timestamp()
    assert (
        datetime(2026, 10, 26, tzinfo=BERLIN).timestamp()
        - datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()
    ) == 25 * 3600


def test_a_clock_that_is_set_back_frees_no_call() -> None:
    """Calls after a step back are added to those before it."""
    count = DayCount()
    for now in (1_000_000.0, 996_400.0, 996_500.0):
        count.add(now)

    assert count.used(996_500.0) == 3
