"""The limiter of one process, alone and in virtual time: order, rate, pauses, probes, the day."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from gong_async import DailyQuotaExceededError, Delivery, Limits, RateLimitError
from gong_async.limits.limiter import Limiter
from gong_async.limits.memory import MemoryLimitStore

MAX_WAIT = 60.0
EVEN = Limits(per_second=1, per_day=None, headroom=0, learns=False)
UNPACED = Limits(per_second=None, per_day=None)


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run in a new loop, without touching the thread's own as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)


async def take(
    limiter: Limiter, granted: list[tuple[int, float]], number: int, *, lasting: float = 0.0
) -> None:
    """Make a call that lasts a while; note who had a permit and when."""
    async with limiter.acquire(max_wait=MAX_WAIT) as permit:
        granted.append((number, round(now(), 3)))
        await asyncio.sleep(lasting)
        permit.accepted()


async def throttle(limiter: Limiter, pause: float, *, after: float = 0.0) -> None:
    """Make a call that Gong throttles."""
    async with limiter.acquire(max_wait=MAX_WAIT) as permit:
        await asyncio.sleep(after)
        permit.throttled(pause)


@pytest.mark.looptime
async def test_permits_are_granted_in_order_of_arrival() -> None:
    """Permits are granted in the order in which they were asked for, one interval apart."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(take(limiter, granted, number, lasting=3.5))

    assert [number for number, _ in granted] == list(range(50))
    assert min(b - a for (_, a), (_, b) in pairwise(granted)) >= 0.999


@pytest.mark.looptime
async def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    """After an hour without calls the next ones are as far apart as ever."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    await take(limiter, granted, 0)
    await asyncio.sleep(3600)

    async with asyncio.TaskGroup() as group:
        for number in range(1, 6):
            group.create_task(take(limiter, granted, number))

    assert [at - granted[1][1] for _, at in granted[1:]] == pytest.approx([0, 1, 2, 3, 4], abs=0.01)


@pytest.mark.looptime
async def test_no_more_calls_are_in_flight_than_allowed() -> None:
    """With `max_in_flight=2`, a third permit is granted only when one of two is released."""
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=None, per_day=None, max_in_flight=2)
    )
    granted: list[tuple[int, float]] = []

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(take(limiter, granted, number, lasting=5))

    assert [at - granted[0][1] for _, at in granted] == pytest.approx([0, 0, 5, 5, 10, 10])


@pytest.mark.looptime
async def test_a_permit_has_the_time_it_was_waited_for() -> None:
    """`waited` counts from asking to the grant."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    await take(limiter, [], 0)

    async with limiter.acquire(max_wait=MAX_WAIT) as permit:
        waited = permit.waited

    assert waited == pytest.approx(1.0, abs=0.01)


@pytest.mark.looptime
async def test_a_cancelled_call_takes_no_permit_with_it() -> None:
    """The calls behind a cancelled one move up: no interval stays unused."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    waiting = [asyncio.create_task(take(limiter, granted, number)) for number in range(20)]
    await asyncio.sleep(0.5)
    for task in waiting[1:11]:
        task.cancel()

    await asyncio.wait(waiting)

    assert [number for number, _ in granted] == [0, *range(11, 20)]
    assert granted[-1][1] - granted[0][1] == pytest.approx(9, abs=0.01)


@pytest.mark.looptime
async def test_after_a_429_one_call_probes_and_the_others_follow_at_the_rate() -> None:
    """No permit during the pause, one at its end, the rest after its answer."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    await throttle(limiter, 30)
    start = now()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(take(limiter, granted, number, lasting=7))

    assert [at - start for _, at in granted] == pytest.approx([30, 37, 38, 39], abs=0.01)


@pytest.mark.looptime
async def test_a_throttled_probe_pauses_all_calls_again() -> None:
    """When the probe is throttled too, no call follows before the second pause is over."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    await throttle(limiter, 30)
    start = now()
    probe = asyncio.create_task(throttle(limiter, 20))
    await asyncio.sleep(0)
    others = [asyncio.create_task(take(limiter, granted, number)) for number in range(2)]

    await asyncio.gather(probe, *others)

    assert [at - start for _, at in granted] == pytest.approx([50, 51], abs=0.01)


@pytest.mark.looptime
async def test_after_a_lost_probe_the_next_call_probes() -> None:
    """A probe without an answer proves nothing: the next call probes, still alone."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    await throttle(limiter, 30)
    start = now()

    async def lose() -> None:
        async with limiter.acquire(max_wait=MAX_WAIT):
            await asyncio.sleep(5)

    probe = asyncio.create_task(lose())
    await asyncio.sleep(0)
    others = [asyncio.create_task(take(limiter, granted, number, lasting=4)) for number in range(3)]
    await asyncio.gather(probe, *others)

    assert [at - start for _, at in granted] == pytest.approx([35, 39, 40], abs=0.01)


@pytest.mark.looptime
async def test_after_a_cancelled_probe_the_next_call_probes() -> None:
    """A caller who gives up while probing leaves the probe to the next one."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    await throttle(limiter, 30)
    start = now()
    probe = asyncio.create_task(take(limiter, granted, 0, lasting=1000))
    await asyncio.sleep(0)
    others = [asyncio.create_task(take(limiter, granted, number, lasting=4)) for number in (1, 2)]
    await asyncio.sleep(32)
    probe.cancel()

    await asyncio.wait([probe, *others])

    assert [at - start for _, at in granted] == pytest.approx([30, 32, 36], abs=0.01)


@pytest.mark.looptime
async def test_a_429_during_a_probe_lengthens_the_pause() -> None:
    """A 429 for an older call while another probes counts, even if the probe is accepted."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    start = now()
    old = asyncio.create_task(throttle(limiter, 20, after=33))
    await asyncio.sleep(0)
    await throttle(limiter, 30)
    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(take(limiter, granted, number, lasting=4))
    await old

    assert [at - start for _, at in granted] == pytest.approx([31, 53], abs=0.01)


@pytest.mark.looptime
async def test_a_pause_beyond_max_wait_raises_at_once() -> None:
    """No call sleeps through a pause that is too long; the error says when to come back."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    await throttle(limiter, 3600)
    start = now()
    before = dt.datetime.now(dt.UTC)

    with pytest.raises(RateLimitError) as caught:
        await throttle(limiter, 0)

    error = caught.value
    assert error.retry_at is not None
    assert (error.retry_at - before).total_seconds() == pytest.approx(3600, abs=5)
    assert error.retry_after == pytest.approx(3600, abs=1)
    assert error.delivery is Delivery.NOT_SENT
    assert now() == start


@pytest.mark.looptime
async def test_a_short_max_wait_does_not_wait_behind_a_long_one() -> None:
    """A call with a short `max_wait` fails at once, also behind one with a long `max_wait`."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    await throttle(limiter, 30)
    patient = asyncio.create_task(take(limiter, [], 0))
    await asyncio.sleep(1)
    start = now()

    with pytest.raises(RateLimitError):
        async with limiter.acquire(max_wait=5):
            pass

    assert now() == start
    await patient


@pytest.mark.looptime
async def test_a_pause_that_is_too_long_fails_all_calls_in_the_queue() -> None:
    """Five hundred waiters fail in the instant in which an earlier call gets a 429 for an hour."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    granted: list[tuple[int, float]] = []
    first = asyncio.create_task(throttle(limiter, 3600, after=2.5))
    await asyncio.sleep(0)
    start = now()

    waiting = [asyncio.create_task(take(limiter, granted, number)) for number in range(500)]
    await asyncio.wait([first, *waiting])

    errors = [task.exception() for task in waiting]
    assert sum(isinstance(error, RateLimitError) for error in errors) == 498
    assert now() - start == pytest.approx(2.5, abs=0.01)


@pytest.mark.looptime
async def test_the_day_is_used_up_and_says_when_it_is_free_again() -> None:
    """Call 11 of 10 raises at once, with the time at which the oldest call is a day old."""
    limiter = MemoryLimitStore().limiter("A", Limits(per_second=None, per_day=10))
    for number in range(10):
        await take(limiter, [], number)
    start = now()

    with pytest.raises(DailyQuotaExceededError) as caught:
        await take(limiter, [], 10)

    ahead = caught.value.reset_at
    assert ahead is not None
    assert (ahead - dt.datetime.now(dt.UTC)).total_seconds() == pytest.approx(86_460, abs=5)
    assert caught.value.per_day == 10
    assert now() == start


@pytest.mark.looptime
async def test_the_day_rolls() -> None:
    """In any 24 hours no more calls are granted than the day has, and each day all of them."""
    limiter = MemoryLimitStore().limiter("A", Limits(per_second=None, per_day=24))
    granted: list[float] = []

    for _ in range(4 * 24 * 6):
        try:
            async with limiter.acquire(max_wait=MAX_WAIT):
                granted.append(now())
        except DailyQuotaExceededError:
            pass
        await asyncio.sleep(600)

    assert len(granted) == 4 * 24
    assert min(b - a for a, b in zip(granted, granted[24:], strict=False)) >= 86_400


@pytest.mark.looptime
async def test_a_step_of_the_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps a year back or ahead neither delays nor hastens a permit."""
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=1, per_day=100, headroom=0, learns=False)
    )
    granted: list[tuple[int, float]] = []
    real = time.time
    for number, step in enumerate((0.0, -3e7, 3e7, 0.0)):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)

        await take(limiter, granted, number)

    assert [at - granted[0][1] for _, at in granted] == pytest.approx([0, 1, 2, 3], abs=0.01)


def test_two_threads_share_one_rate() -> None:
    """Two loops in two threads share one rate: together they are no faster than one."""
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=100, per_day=None, headroom=0, learns=False)
    )
    granted: list[float] = []
    start = time.monotonic()

    async def work() -> None:
        for _ in range(15):
            async with limiter.acquire(max_wait=MAX_WAIT):
                granted.append(time.monotonic())

    threads = [threading.Thread(target=lambda: run(work())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Noted some time after the grant: two neighbours may lie closer, the whole may not.
    assert max(granted) - start >= 29 / 100


def test_a_pause_reaches_the_loop_of_another_thread() -> None:
    """A 429 in one thread pauses the calls of another thread's loop."""
    limiter = MemoryLimitStore().limiter("A", UNPACED)
    start = time.monotonic()
    run(throttle(limiter, 0.1))
    thread = threading.Thread(target=lambda: run(take(limiter, [], 0)))
    thread.start()

    thread.join()

    assert time.monotonic() - start >= 0.1


def test_the_quota_counts_the_calls_of_every_thread() -> None:
    """Those of another thread's loop count, until that loop is gone."""
    limiter = MemoryLimitStore().limiter("A", UNPACED)
    taken, let_go = threading.Event(), threading.Event()
    counts: list[int] = []

    async def pause() -> None:
        async with limiter.acquire(max_wait=MAX_WAIT):
            taken.set()
            await asyncio.to_thread(let_go.wait, 60)

    async def look() -> None:
        counts.append((await limiter.quota()).in_flight)

    thread = threading.Thread(target=lambda: run(pause()))
    thread.start()
    taken.wait(60)
    run(look())
    let_go.set()
    thread.join()
    run(look())

    assert counts == [1, 0]


def test_closed_loops_are_dropped() -> None:
    """A limiter that outlives a hundred loops remembers the last one only."""
    limiter = MemoryLimitStore().limiter("A", UNPACED)
    for number in range(100):
        run(take(limiter, [], number))

    assert len(limiter.company.queues) == 1
