"""What the limiter learns about making up for missed slots: whether the server tolerates it."""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from gong_async import Limits, RetryPolicy
from gong_async.limits.making_up import MakingUp
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing import ALGORITHMS, AlgorithmName
from gong_async.testing.algorithms import make_algorithm

from .test_late_wakeups import MILLISECOND, run

HALF_HOUR = 1800.0
SHORTENED = (0.0, 1.2, 2.0, 3.0)
"""Grants at an interval of a second, of which one is late."""


def throttle(making_up: MakingUp, now: float) -> bool:
    """Let a call be refused right after a shortened gap."""
    return making_up.throttled(now, now - 0.1, [now - 2, now - 0.8, now - 0.1], 1.0)


def is_on(making_up: MakingUp, now: float) -> bool:
    """Return whether missed slots are made up for."""
    return now >= making_up.off_until


@pytest.mark.parametrize("sent_at", [2.0, 3.0])
def test_a_refusal_shortly_after_a_shortened_gap_stops_it(sent_at: float) -> None:
    """The call after the gap, or one of the next second: the rate is not to blame."""
    making_up = MakingUp()

    assert making_up.throttled(3.2, sent_at, SHORTENED, 1.0)

    assert not is_on(making_up, 3.2 + HALF_HOUR - 1)
    assert is_on(making_up, 3.2 + HALF_HOUR)


@pytest.mark.parametrize("sent_at", [0.0, 1.2, 3.1])
def test_any_other_refusal_is_the_rates(sent_at: float) -> None:
    """A call before the shortened gap, or long after it, or without one."""
    making_up = MakingUp()

    assert not making_up.throttled(3.2, sent_at, SHORTENED, 1.0)
    assert not making_up.throttled(3.2, 3.0, (0.0, 1.0, 2.2, 3.2), 1.0)
    assert not making_up.throttled(3.2, 3.0, (), 1.0)
    assert is_on(making_up, 3.2)


def test_calls_under_way_when_it_stops_show_nothing() -> None:
    """They were sent while it was on; the next refusal is the rate's."""
    making_up = MakingUp()
    assert throttle(making_up, 10.0)

    assert making_up.throttled(10.1, 9.95, (), 1.0)
    assert not making_up.throttled(12.0, 11.9, SHORTENED, 1.0)


def test_it_begins_again_half_an_hour_after_the_last_refusal() -> None:
    """A server that refuses calls anyway is not asked for more."""
    making_up = MakingUp()
    throttle(making_up, 10.0)
    making_up.throttled(1000.0, 999.0, (), 1.0)

    assert not is_on(making_up, 999.0 + HALF_HOUR)
    assert is_on(making_up, 1000.0 + HALF_HOUR)


def test_each_failure_doubles_the_time_until_it_begins_again() -> None:
    """Up to a day."""
    making_up, now, off = MakingUp(), 10.0, []
    for _ in range(8):
        assert throttle(making_up, now)
        off.append(making_up.off_until - now)
        now = making_up.off_until

    assert off == [HALF_HOUR * 2**number for number in range(6)] + [86400.0, 86400.0]


def test_a_server_that_accepts_clearly_shorter_gaps_refuses_for_the_rate() -> None:
    """Ten calls after such gaps: it does not count single gaps."""
    making_up, now = MakingUp(), 10.0
    for _ in range(10):
        assert making_up.tolerated < 10
        making_up.granted(now, 0.6, 1.0)
        making_up.accepted(now - 0.1)  # an earlier call's answer
        making_up.accepted(now)
        now += 1

    assert not throttle(making_up, now)
    assert is_on(making_up, now)


def test_a_slightly_shorter_gap_proves_nothing() -> None:
    """It may be lost in what the way to the server takes now more, now less."""
    making_up = MakingUp()
    for now in range(20):
        making_up.granted(now, 0.8, 1.0)
        making_up.accepted(now)

    assert throttle(making_up, 20.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_a_server_that_counts_single_gaps_stops_it(algorithm: AlgorithmName) -> None:
    """A spike that GCRA refuses to have made up for costs one refusal, and no rate."""
    chance = random.Random(1)
    limiter = MemoryLimitStore().limiter("A", Limits(per_second=10, per_day=None, headroom=0.02))
    server, policy = make_algorithm(algorithm, 10), RetryPolicy()
    refused = 0

    async def worker() -> None:
        nonlocal refused
        loop = asyncio.get_running_loop()
        while loop.time() < 30:
            async with limiter.acquire(max_wait=math.inf) as permit:
                if wait := server.admit(loop.time()):
                    refused += 1
                    permit.throttled(policy.after_refusal(max(1, math.ceil(wait)), 1))
                else:
                    permit.accepted()

    async def play() -> None:
        await asyncio.gather(*(worker() for _ in range(4)))

    run(play(), lambda: 0.05 if chance.random() < 0.1 else MILLISECOND * chance.random())

    making_up, rate = limiter.company.state.making_up, limiter.company.state.rate
    counts_gaps = algorithm == "gcra"
    assert refused == making_up.failures == counts_gaps
    assert (making_up.tolerated >= 10) is not counts_gaps
    assert rate is not None
    assert rate.refused_slack is None
    assert rate.per_second >= 9.8
