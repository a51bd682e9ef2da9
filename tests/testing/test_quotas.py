"""The counting of calls: pure arithmetic on handed-in times."""

from __future__ import annotations

import random

import pytest

from gong_async.testing import ALGORITHMS, AlgorithmName, FakeQuota
from gong_async.testing.algorithms import (
    FixedWindow,
    Gcra,
    SlidingWindow,
    TokenBucket,
    make_algorithm,
)
from gong_async.testing.quotas import DAY, DayCounter, retry_after


def admitted(algorithm: AlgorithmName, rate: float, times: list[float]) -> list[float]:
    """Return those of the times at which a call was let in."""
    counter = make_algorithm(algorithm, rate)
    return [now for now in times if not counter.admit(now)]


def most_in_a_second(times: list[float]) -> int:
    """Return the most times that lie in any half-open second."""
    return max(sum(start <= now < start + 1.0 - 1e-9 for now in times) for start in times)


def storm(seed: int) -> list[float]:
    """Return the times of a long, uneven rush of calls, far over any limit of these tests."""
    chance = random.Random(seed)
    now, times = 1000.0, list[float]()
    for _ in range(3000):
        now += chance.choice((0.0, 0.01, 0.05, 0.3))
        times.append(now)
    return times


@pytest.mark.parametrize(
    ("algorithm", "most"),
    [
        ("sliding_window", 3),
        ("gcra", 3),
        ("fixed_window", 6),
        ("token_bucket", 6),
        ("leaky_bucket", 6),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_no_second_lets_in_more_than_the_algorithm_allows(
    algorithm: AlgorithmName, most: int, seed: int
) -> None:
    """At 3 a second, strict counts let in 3 in any second, and those with a burst up to 6."""
    times = admitted(algorithm, 3, storm(seed))

    assert most_in_a_second(times) <= most


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("rate", [0.5, 1.5, 3.0, 10.0])
def test_the_whole_rate_is_given_out(algorithm: AlgorithmName, rate: float) -> None:
    """A client that retries exactly after the given wait gets the full rate in the long run."""
    counter = make_algorithm(algorithm, rate)
    now, calls = 0.0, 0
    while now < 200.0:
        wait = counter.admit(now)
        calls += not wait
        now += wait

    assert calls == pytest.approx(200 * rate, rel=0.05)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_wait_is_enough(algorithm: AlgorithmName) -> None:
    """A call that comes back after the given wait is admitted, however odd the floats are."""
    counter = make_algorithm(algorithm, 3)
    now, waits = 0.1, list[float]()
    for _ in range(500):
        if wait := counter.admit(now):
            now += wait
            waits.append(counter.admit(now))

    assert waits
    assert not any(waits)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_refused_call_costs_nothing(algorithm: AlgorithmName) -> None:
    """A caller who hammers in vain is let in no later than one who waits."""
    patient, hasty = make_algorithm(algorithm, 2), make_algorithm(algorithm, 2)
    while not patient.admit(5.25):
        hasty.admit(5.25)
    for _ in range(100):
        hasty.admit(5.25)

    assert hasty.wait(5.3) == patient.wait(5.3)


@pytest.mark.parametrize("start", [0.0, 0.1, 123456.7, 1e9 / 3])
def test_a_call_exactly_one_second_later_is_let_in(start: float) -> None:
    """The sliding second is half-open: a call 1.0 s after the first of three is the first anew."""
    window = SlidingWindow(3)
    waits = [window.admit(now) for now in (start, start + 0.2, start + 0.4, start + 1.0)]

    assert waits == [0.0, 0.0, 0.0, 0.0]


def test_the_sliding_window_names_the_instant() -> None:
    """A fourth call is instructed to wait until the first is one second old."""
    window = SlidingWindow(3)
    for now in (10.0, 10.1, 10.2):
        window.admit(now)

    assert window.admit(10.25) == pytest.approx(0.75)


def test_a_fixed_window_ends_with_the_clock() -> None:
    """Six calls fit around a tick of the server's clock, and the next waits for the next tick."""
    window = FixedWindow(3)
    waits = [window.admit(now) for now in (0.9, 0.95, 0.99, 1.0, 1.0, 1.0, 1.25)]

    assert waits == pytest.approx([0, 0, 0, 0, 0, 0, 0.75])


def test_a_token_bucket_starts_full() -> None:
    """Three calls at once are let in after a rest; then one for each third of a second."""
    bucket = TokenBucket(3)
    waits = [bucket.admit(now) for now in (100.0, 100.0, 100.0, 100.0, 100.34, 100.34)]

    assert [round(wait, 2) for wait in waits] == [0, 0, 0, 0.33, 0, 0.33]


def test_gcra_allows_no_burst() -> None:
    """Two calls at once are too many, even after a long rest."""
    spacing = Gcra(3)

    assert [spacing.admit(50.0), round(spacing.admit(50.0), 3)] == [0.0, 0.333]


def test_a_fractional_rate_stretches_the_window() -> None:
    """Half a call a second is one call in two seconds."""
    window = SlidingWindow(0.5)

    assert [window.admit(0.0), window.admit(1.5), window.admit(2.0)] == [0.0, 0.5, 0.0]


def test_an_unknown_algorithm_is_refused() -> None:
    """A wrong name is answered with the right ones."""
    with pytest.raises(ValueError, match="sliding_window"):
        make_algorithm("guesswork", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_changed_rate_holds_at_once_and_remembers() -> None:
    """When the limit drops, the calls just made still count against it."""
    quota = FakeQuota(per_second=3)
    for now in (0.0, 0.1, 0.2):
        quota.admit(now)
    quota.per_second = 1

    assert quota.admit(1.05) == pytest.approx(0.15)


def test_no_limit_lets_everything_in() -> None:
    """None switches a limit off."""
    quota = FakeQuota(per_second=None, per_day=None)

    assert not any(quota.admit(1.0) for _ in range(1000))


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    """A limit of no calls at all is a mistake, not a wish."""
    with pytest.raises(ValueError, match="per_second"):
        FakeQuota(per_second=rate)


def test_a_rolling_day() -> None:
    """A call fits again when the oldest one of the last 24 hours has passed out of them."""
    quota = FakeQuota(per_second=None, per_day=2)
    waits = [quota.admit(now) for now in (0.0, 3600.0, 7200.0, DAY, DAY + 1)]

    assert waits == [0.0, 0.0, DAY - 7200.0, 0.0, 3599.0]


def test_a_fixed_day() -> None:
    """With a reset, the whole day comes back at one instant, and a day later again."""
    quota = FakeQuota(per_second=None, per_day=2, day_reset=100.0)
    times = (1000.0, 1050.0, 1060.0, 1100.0, 1101.0, 1102.0, 1100.0 + DAY)
    waits = [quota.admit(now) for now in times]

    assert waits == [0.0, 0.0, 40.0, 0.0, 0.0, DAY - 2.0, 0.0]


def test_the_longer_wait_is_reported() -> None:
    """When both limits are reached, the day decides."""
    quota = FakeQuota(per_second=1, per_day=1)
    quota.admit(0.0)

    assert quota.admit(0.5) == DAY - 0.5


@pytest.mark.parametrize(("count_refused", "used"), [(False, 1), (True, 5)])
def test_refused_calls_may_use_up_the_day(count_refused: bool, used: int) -> None:  # noqa: FBT001
    """Gong does not say whether they do, so either can be had."""
    quota = FakeQuota(per_second=1, per_day=100, count_refused=count_refused)
    for _ in range(5):
        quota.admit(0.0)

    assert (quota.used_today(0.0), quota.refusals) == (used, 4)


def test_a_day_remembers_no_more_than_its_limit() -> None:
    """Hammering at a closed day does not fill the memory."""
    day = DayCounter()
    for now in range(1000):
        day.take(float(now), limit=10)

    assert day.used(1000.0) == 10


@pytest.mark.parametrize(
    ("wait", "header"),
    [(0.001, "1"), (1.0, "1"), (1.0000000001, "1"), (1.01, "2"), (39_600.5, "39601")],
)
def test_retry_after_is_whole_seconds_rounded_up(wait: float, header: str) -> None:
    """A caller who obeys the header never comes too early."""
    assert retry_after(wait) == header
