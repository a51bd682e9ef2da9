"""The rolling count of 24 hours, held against a plain list of times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gong_async.limits.day import DAY, DayCount

GAPS = st.lists(st.floats(0, 30_000), min_size=1, max_size=200)


@given(GAPS, st.integers(1, 20))
def test_never_more_than_the_limit_in_any_24_hours(gaps: list[float], limit: int) -> None:
    """However calls come, no window of a day holds more than the limit."""
    count = DayCount(limit)
    taken: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        if count.wait(now) == 0:
            count.add(now)
            taken.append(now)

    assert all(later - now >= DAY for now, later in zip(taken, taken[limit:], strict=False))


@given(GAPS, st.integers(1, 20))
def test_the_wait_is_right(gaps: list[float], limit: int) -> None:
    """After the wait that is named a call is free, and it is at most a minute too long."""
    count = DayCount(limit)
    taken: list[float] = []
    now = 0.0
    wrong: list[float] = []
    for gap in gaps:
        now += gap
        wait = count.wait(now)
        exact = max(0.0, taken[-limit] + DAY - now) if len(taken) >= limit else 0.0
        if not exact <= wait + 1e-6 <= exact + 60 + 1e-5:
            wrong.append(now)
        now += wait
        count.add(now)
        taken.append(now)

    assert not wrong


def test_a_million_calls_take_no_more_memory_than_the_minutes_of_a_day() -> None:
    """The count is kept by the minute."""
    count = DayCount(10_000_000)
    for number in range(1_000_000):
        count.add(number * 0.2)
        count.used(number * 0.2)

    assert len(count._minutes) <= 1_442


def test_without_a_limit_nothing_ever_waits() -> None:
    """`per_day=None` counts, and lets everything pass."""
    count = DayCount(None)
    for _ in range(100):
        count.add(0.0)

    assert count.wait(0.0) == 0
