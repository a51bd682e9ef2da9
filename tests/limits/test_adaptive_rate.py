"""The learned rate alone: what it makes of accepted and throttled calls."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.testing.algorithms import ALGORITHMS, AlgorithmName, make_algorithm

CEILING = 3.0


def new_rate(ceiling: float = CEILING) -> AdaptiveRate:
    """Return a rate with two percent of headroom."""
    return AdaptiveRate(ceiling, slack=0.02 / ceiling)


def accept_for(rate: AdaptiveRate, seconds: float, start: float) -> float:
    """Let every call of so many seconds be accepted; return the time after them."""
    now = start
    while now < start + seconds:
        rate.accepted(now + 0.1, now)
        now += rate.interval
    return now


def throttle(rate: AdaptiveRate, now: float) -> float:
    """Let one call be throttled with a pause of a second; return the time after it."""
    rate.throttled(now + 0.1, now)
    return now + 1.2


@settings(max_examples=200, deadline=None)
@given(
    answers=st.lists(st.tuples(st.sampled_from(["yes", "yes", "yes", "no"]), st.floats(0, 100))),
    ceiling=st.floats(0.1, 1000),
)
def test_no_order_of_events_takes_the_rate_above_its_ceiling(
    answers: list[tuple[str, float]], ceiling: float
) -> None:
    """Whatever is accepted or refused, and when: the interval is never shorter than allowed."""
    rate = new_rate(ceiling)
    intervals = [rate.interval]
    now = 0.0
    for answer, after in answers:
        now += after
        if answer == "yes":
            rate.accepted(now, now, calls=30)
        else:
            rate.throttled(now, now)
        intervals.append(rate.interval)

    assert min(intervals) > 1 / ceiling


@settings(max_examples=100, deadline=None)
@given(answers=st.lists(st.booleans(), max_size=60))
def test_a_restored_rate_goes_on_as_the_kept_one_would(answers: list[bool]) -> None:
    """A snapshot at any point holds all that matters for what follows."""
    rate, now = new_rate(), 0.0
    for accepted in answers:
        now = accept_for(rate, 7, now) if accepted else throttle(rate, now)

    derived = AdaptiveRate.restored(rate.snapshot())
    futures = [
        [accept_for(one, 90, now), throttle(one, now + 95), one.interval] for one in (rate, derived)
    ]

    assert futures[0] == futures[1]


def test_without_refusals_it_comes_within_half_a_percent_of_the_ceiling() -> None:
    """Two minutes of quiet are enough."""
    rate = new_rate()

    accept_for(rate, 120, 0)

    assert 0.995 * CEILING < rate.per_second < CEILING


def test_a_429_makes_it_slower() -> None:
    """The next calls are further apart."""
    rate = new_rate()
    now = accept_for(rate, 5, 0)
    before = rate.interval

    throttle(rate, now)

    assert rate.interval > before


def test_refusals_of_calls_sent_before_the_change_count_once() -> None:
    """Sixteen calls of one burst that are all throttled say the same thing, once."""
    rate = new_rate()
    now = accept_for(rate, 5, 0)
    rate.throttled(now + 0.1, now)
    after_one = rate.interval

    for _ in range(15):
        rate.throttled(now + 0.2, now)

    assert rate.interval == after_one


def test_a_429_at_a_rate_that_worked_is_bad_luck() -> None:
    """Back from a try that was throttled, a 429 at once slows by less than a tenth."""
    rate, now = new_rate(), 0.0
    for _ in range(5):
        now = throttle(rate, now)
    held = rate.interval
    while rate.interval == held:
        now = accept_for(rate, rate.interval, now)
    now = throttle(rate, now)
    back = rate.interval

    throttle(rate, now)

    assert back == held
    assert held < rate.interval < 1.1 * held


def test_what_was_refused_is_remembered() -> None:
    """Ten quiet minutes after a 429, the rate that was throttled is not tried again."""
    rate = new_rate()
    now = accept_for(rate, 60, 0)
    too_fast = rate.interval
    now = throttle(rate, now)

    accept_for(rate, 600, now)

    assert rate.interval > too_fast


def test_what_was_refused_is_forgotten_after_half_an_hour() -> None:
    """A 429 that was bad luck does not cost headroom for ever."""
    rate = new_rate()
    now = throttle(rate, accept_for(rate, 60, 0))
    strictest = rate.interval

    accept_for(rate, 2400, now)

    assert rate.interval < strictest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_converges_instead_of_oscillating(algorithm: AlgorithmName) -> None:
    """With a quota that stays as it is and a constant way, it stops changing."""
    rate, server, now = new_rate(), make_algorithm(algorithm, CEILING), 0.0
    intervals = []
    while now < 900:
        if server.admit(now):
            now = throttle(rate, now)
        else:
            rate.accepted(now + 0.1, now)
            now += rate.interval
        if now > 300:
            intervals.append(rate.interval)

    assert all(a == b for a, b in pairwise(intervals))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_returns_when_half_the_quota_does(algorithm: AlgorithmName) -> None:
    """Half the quota goes away for two minutes; 30 s after its return the rate is the old one."""
    rate, server, now = new_rate(), make_algorithm(algorithm, CEILING), 0.0
    while now < 350:
        server.rate = CEILING / 2 if 200 <= now < 320 else CEILING
        if server.admit(now):
            now = throttle(rate, now)
        else:
            rate.accepted(now + 0.1, now)
            now += rate.interval

    assert rate.per_second > 0.97 * CEILING
