"""Late wake-ups of the event loop: made up for, and never beyond the limit. In virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async import Limits
from gong_async.limits.limiter import Limiter
from gong_async.limits.memory import MemoryLimitStore
from gong_async.limits.types import Priority

EPSILON = 1e-6
MILLISECOND = 0.001


class _LateSelector(selectors.SelectSelector):
    def __init__(self, lateness: Callable[[], float]) -> None:
        super().__init__()
        self.now = 0.0
        self.lateness = lateness
        self.permit = 1e-7
        self.rounds = False

    def select(self, timeout: float | None = None) -> list[Any]:
        """Leap over the wait, and beyond."""
        assert timeout is not None, "nothing will ever happen again"
        if self.rounds:
            timeout = math.ceil(timeout / MILLISECOND) * MILLISECOND
        self.now += timeout + self.lateness() if timeout > 0 else self.permit
        return []


class LateLoop(asyncio.SelectorEventLoop):
    """Runs in virtual time; each wake-up comes as late as `lateness` says."""

    def __init__(self, lateness: Callable[[], float]) -> None:
        self.selector = _LateSelector(lateness)
        super().__init__(self.selector)

    def time(self) -> float:
        """Return the virtual time."""
        return self.selector.now

    def block(self, seconds: float) -> None:
        """Let time pass in which nothing else can run."""
        self.selector.now += seconds


def run(coroutine: Coroutine[Any, Any, None], lateness: Callable[[], float]) -> None:
    """Run in a loop whose wake-ups are late."""
    with asyncio.Runner(debug=False, loop_factory=lambda: LateLoop(lateness)) as runner:
        runner.run(coroutine)


def fixed(rate: float, *, headroom: float = 0.002, **others: Any) -> Limits:
    """Return limits whose rate stays where `headroom` puts it."""
    others.setdefault("max_in_flight", 16)
    return Limits(per_second=rate, per_day=None, headroom=headroom, learns=False, **others)


async def saturate(
    limiter: Limiter,
    grants: list[float],
    number: int,
    *,
    workers: int = 8,
    priorities: Sequence[Priority] = ("interactive",),
    flight: Callable[[], float] = lambda: 0.0,
) -> None:
    """Make calls one after the other in each of some workers; note when permits were granted."""
    loop = asyncio.get_running_loop()

    async def worker(priority: Priority) -> None:
        while len(grants) < number:
            async with limiter.acquire(max_wait=60, priority=priority) as permit:
                grants.append(loop.time())
                await asyncio.sleep(flight())
                permit.accepted()

    await asyncio.gather(*(worker(priorities[index % len(priorities)]) for index in range(workers)))


def assert_within(grants: Sequence[float], rate: float, interval: float) -> None:
    """Assert that no gap is under half the interval, and no second above the limit."""
    window = math.ceil(rate)
    assert all(b - a >= interval / 2 - EPSILON for a, b in pairwise(grants))
    assert all(
        b - a >= window * interval - EPSILON for a, b in zip(grants, grants[window:], strict=False)
    )
    first = 0
    for last, at in enumerate(grants):
        while at - grants[first] >= 1.0 - EPSILON:
            first += 1
        assert last - first + 1 <= window


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([0.5, 1.0, 2.5, 3.0, 10.0, 30.0, 100.0, 400.0, 999.5]),
    headroom=st.sampled_from([0.0, 0.002, 0.02, 0.3]),
    late=st.lists(
        st.one_of(st.just(0.0), st.floats(0, 0.002), st.floats(0, 0.5), st.floats(0, 5)),
        min_size=1,
        max_size=12,
    ),
    flights=st.lists(st.floats(0, 0.3), min_size=1, max_size=5),
    workers=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.25]),
    priorities=st.sampled_from([["interactive"], ["bulk"], ["bulk", "bulk", "interactive"]]),
)
def test_no_lateness_takes_grants_beyond_the_limit(  # noqa: PLR0917
    rate: float,
    headroom: float,
    late: list[float],
    flights: list[float],
    workers: int,
    share: float,
    priorities: list[Priority],
) -> None:
    """Whatever is late, and whichever calls wait: the gaps and the sliding second are kept."""
    chance = random.Random(1)
    limits = fixed(rate, headroom=headroom, reserved_share=share, max_in_flight=5)
    grants: list[float] = []
    flight = lambda: chance.choice(flights)  # noqa: E731

    run(
        saturate(
            MemoryLimitStore().limiter("A", limits),
            grants,
            100,
            workers=workers,
            priorities=priorities,
            flight=flight,
        ),
        lambda: chance.choice(late),
    )

    assert_within(grants, rate, limits.interval)


@pytest.mark.parametrize("spike", [0.0, 0.02])
@pytest.mark.parametrize("rate", [3, 10, 30, 100, 400])
def test_late_wakeups_are_made_up_for(rate: int, spike: float) -> None:
    """A loop that wakes up to 1.2 ms late, and 20 ms now and then, makes 99.5 % of the rate."""
    chance = random.Random(rate)
    limits = fixed(rate)
    grants: list[float] = []
    spikes = 0.2 / rate if spike else 0.0

    def lateness() -> float:
        return spike if chance.random() < spikes else chance.uniform(0, 1.2 * MILLISECOND)

    number = max(200, 10 * rate)
    run(saturate(MemoryLimitStore().limiter("A", limits), grants, number), lateness)

    made = (len(grants) - 1) * limits.interval / (grants[-1] - grants[0])
    assert 0.995 <= made <= 1.0 + EPSILON
    assert_within(grants, rate, limits.interval)


def test_timers_of_whole_milliseconds_lose_no_calls() -> None:
    """Where half the interval is one or two milliseconds, a busy loop still keeps the rate."""
    rate = 400
    chance = random.Random(rate)
    limits = fixed(rate)
    grants: list[float] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LateLoop)
        loop.selector.permit = 2e-5
        loop.selector.rounds = True
        await saturate(MemoryLimitStore().limiter("A", limits), grants, 2 * rate)

    run(play(), lambda: chance.uniform(0.3, 0.7) * MILLISECOND)

    made = (len(grants) - 1) * limits.interval / (grants[-1] - grants[0])
    assert 0.99 <= made <= 1.0 + EPSILON
    assert_within(grants, rate, limits.interval)


async def test_a_frozen_clock_does_not_keep_the_loop_busy() -> None:
    """Where time stands still between timers, as in tests, a wait ends in a timer all the same."""
    loop = asyncio.get_running_loop()
    company = MemoryLimitStore().limiter("A", fixed(400)).company
    queue = company.open_queue()
    company.state.earliest = queue.now() + 0.0005
    frozen = loop.time()
    loop.time = lambda: frozen  # type: ignore[method-assign]
    try:
        wait, probes = await queue.ask("interactive", 60)
    finally:
        del loop.time

    assert 0 < wait < MILLISECOND
    assert not probes


def test_after_a_blocked_loop_calls_return_to_their_schedule() -> None:
    """A quarter of a second that the loop is blocked costs no call."""
    limits = fixed(10, headroom=0)
    grants: list[float] = []

    async def block() -> None:
        await asyncio.sleep(1.05)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LateLoop)
        loop.block(0.25)

    async def play() -> None:
        await asyncio.gather(saturate(MemoryLimitStore().limiter("A", limits), grants, 41), block())

    run(play(), lambda: 0.0)

    late = [at - number / 10 for number, at in enumerate(grants)]
    assert late[:11] == pytest.approx([0.0] * 11, abs=1e-4)
    assert late[11:16] == pytest.approx([0.2, 0.15, 0.1, 0.05, 0.0], abs=1e-4)
    assert late[16:21] == pytest.approx([0.0] * 5, abs=1e-4)
    assert grants[40] == pytest.approx(4.0, abs=1e-4)


def test_time_without_calls_is_not_made_up_for() -> None:
    """After a silence, or a call that comes a moment after its slot, gaps are whole."""
    limits = fixed(3, headroom=0)
    limiter = MemoryLimitStore().limiter("A", limits)
    grants: list[float] = []

    async def play() -> None:
        for silence in (0.4, 0.5, 10.0):
            begin = len(grants)
            await asyncio.sleep(silence)
            await saturate(limiter, grants, begin + 4)
            assert grants[begin + 3] - grants[begin] >= 3 * limits.interval - EPSILON

    run(play(), lambda: 0.0)

    assert min(b - a for a, b in pairwise(grants)) >= limits.interval - EPSILON


def test_a_full_flight_is_not_made_up_for() -> None:
    """Slots that passed while every place was taken are gone."""
    limits = fixed(10, headroom=0, max_in_flight=2)
    grants: list[float] = []

    run(
        saturate(
            MemoryLimitStore().limiter("A", limits), grants, 30, workers=6, flight=lambda: 0.75
        ),
        lambda: 0.0,
    )

    assert min(b - a for a, b in pairwise(grants)) >= limits.interval - EPSILON


def test_a_pause_is_not_made_up_for() -> None:
    """After a 429 and its probe, the others follow one interval apart."""
    limits = fixed(10, headroom=0)
    limiter = MemoryLimitStore().limiter("A", limits)
    grants: list[float] = []
    flights = iter([0.0, 0.7])

    async def play() -> None:
        async with limiter.acquire(max_wait=60) as permit:
            permit.throttled(5)
        await saturate(limiter, grants, 10, flight=lambda: next(flights, 0.0))

    run(play(), lambda: 0.0)

    assert min(b - a for a, b in pairwise(grants)) >= limits.interval - EPSILON


def test_a_cancelled_wait_leaves_no_credit() -> None:
    """Who waited and gave up does not let those who come later go closer together."""
    limits = fixed(3, headroom=0)
    limiter = MemoryLimitStore().limiter("A", limits)
    grants: list[float] = []

    async def play() -> None:
        await saturate(limiter, grants, 1, workers=1)
        waiting = [asyncio.create_task(saturate(limiter, [], 1, workers=1)) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        await asyncio.sleep(0.8)
        await saturate(limiter, grants, 5)

    run(play(), lambda: 0.0)

    assert min(b - a for a, b in pairwise(grants)) >= limits.interval - EPSILON


def test_a_high_ceiling_keeps_few_grants() -> None:
    """A ceiling of a million calls a second remembers a thousand."""
    limiter = MemoryLimitStore().limiter("A", fixed(1e6))
    grants: list[float] = []

    run(saturate(limiter, grants, 2_000), lambda: MILLISECOND)

    assert len(limiter.company.state._grants or ()) == 1_000
    assert_within(grants, 1e6, limiter.limits.interval)


def test_a_lower_ceiling_binds_the_second_that_has_begun() -> None:
    """Another client names one call a second: the grants before it count."""
    store = MemoryLimitStore()
    limiter = store.limiter("A", fixed(10, headroom=0))
    grants: list[float] = []

    async def play() -> None:
        await saturate(limiter, grants, 5, workers=1)
        slow = store.limiter("A", fixed(1, headroom=0))
        await saturate(slow, grants, 7, workers=1)

    run(play(), lambda: 0.0)

    assert [b - a for a, b in pairwise(grants[4:])] == pytest.approx([1.0, 1.0], abs=1e-4)
