"""Priorities and reserves: which calls go first, and what is left to others."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from statistics import median

import pytest

from gong_async import DailyQuotaExceededError, Limits
from gong_async.limits.limiter import CompanyLimits, Limiter
from gong_async.limits.memory import MemoryLimitStore, MemoryQueue
from gong_async.limits.queue import Queue
from gong_async.limits.types import Priority

pytestmark = pytest.mark.looptime

EVEN = Limits(per_second=1, per_day=None, headroom=0, learns=False)


async def take(limiter: Limiter, priority: Priority, *, flight: float = 0.0) -> float:
    """Make a call and return when it got its permit."""
    async with limiter.acquire(max_wait=60, priority=priority) as permit:
        granted = asyncio.get_running_loop().time()
        await asyncio.sleep(flight)
        permit.accepted()
    return granted


async def test_an_interactive_call_takes_the_next_slot_of_a_bulk_queue() -> None:
    """It waits for one slot, and the bulk calls behind it for one more each."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    bulk = [asyncio.create_task(take(limiter, "bulk")) for _ in range(5)]
    await asyncio.sleep(1.5)
    urgent = await take(limiter, "interactive")

    assert urgent == pytest.approx(2)
    assert [await task for task in bulk] == pytest.approx([0, 1, 3, 4, 5])


async def test_interactive_calls_go_in_the_order_in_which_they_came() -> None:
    """Among themselves they are first come, first served, also when the bulk queue runs dry."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    bulk = asyncio.create_task(take(limiter, "bulk"))
    await asyncio.sleep(0)
    urgent = [asyncio.create_task(take(limiter, "interactive")) for _ in range(6)]

    assert await bulk == 0
    assert [await task for task in urgent] == pytest.approx([1, 2, 3, 4, 5, 6])


async def test_an_interactive_call_waits_a_slot_and_a_bulk_job_loses_no_other() -> None:
    """A thousand of them, at any moment of a job that runs at full speed."""
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=3, per_day=None, headroom=0, learns=False)
    )
    slot, waits, bulk = 1 / 3, list[float](), list[float]()
    done = False

    async def job() -> None:
        while not done:
            bulk.append(await take(limiter, "bulk", flight=0.2))

    jobs = [asyncio.create_task(job()) for _ in range(16)]
    for number in range(1_000):
        await asyncio.sleep(1.0 + (number % 97) / 97)
        asked = asyncio.get_running_loop().time()
        waits.append(await take(limiter, "interactive", flight=0.2) - asked)
    done = True
    await asyncio.gather(*jobs)
    everything = len(waits) + len(bulk)

    assert median(waits) <= slot * 1.001
    assert max(waits) <= 2 * slot * 1.001
    assert everything == pytest.approx(max(bulk) / slot, abs=3)


class _SlowStore(MemoryLimitStore):
    """A store that takes a second to answer, as a database may."""

    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue that asks slowly."""
        return _SlowQueue(company.limits, company)


class _SlowQueue(MemoryQueue):
    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Answer after a second."""
        await asyncio.sleep(1)
        return await super().ask(priority, max_wait)


@pytest.mark.parametrize("gives_up", [False, True])
async def test_an_interactive_call_comes_while_a_bulk_call_asks_the_store(gives_up: bool) -> None:  # noqa: FBT001
    """With one call in flight at most, it goes first, whether the bulk call waits or gives up."""
    limits = Limits(per_second=0.1, per_day=None, headroom=0, learns=False, max_in_flight=1)
    limiter = _SlowStore().limiter("A", limits)
    await take(limiter, "bulk")
    bulk = asyncio.create_task(take(limiter, "bulk"))
    await asyncio.sleep(0.5)
    urgent = asyncio.create_task(take(limiter, "interactive"))
    await asyncio.sleep(0.25)
    if gives_up:
        bulk.cancel()
    async with asyncio.timeout(60):
        went = await urgent
        await asyncio.wait([bulk])

    assert 10 <= went <= 12
    assert bulk.cancelled() if gives_up else bulk.result() > went


async def test_a_cancelled_interactive_call_takes_no_slot_with_it() -> None:
    """The slot that it waited for goes to the bulk call at the head."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    bulk = [asyncio.create_task(take(limiter, "bulk")) for _ in range(3)]
    await asyncio.sleep(0.5)
    urgent = asyncio.create_task(take(limiter, "interactive"))
    await asyncio.sleep(0.25)
    urgent.cancel()

    assert [await task for task in bulk] == pytest.approx([0, 1, 2])


async def test_a_cancelled_first_call_leaves_the_queue_to_the_others() -> None:
    """Interactive calls go on when the bulk call in front is cancelled."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    await take(limiter, "bulk")
    head = asyncio.create_task(take(limiter, "bulk"))
    await asyncio.sleep(0.5)
    urgent = [asyncio.create_task(take(limiter, "interactive")) for _ in range(2)]
    await asyncio.sleep(0)
    head.cancel()

    assert [await task for task in urgent] == pytest.approx([1, 2])


async def test_bulk_calls_leave_their_reserve_of_the_day() -> None:
    """When only the reserve is left, bulk calls fail at once and interactive ones go on."""
    limiter = MemoryLimitStore().limiter("A", Limits(per_second=None, per_day=10, reserve=4))
    for _ in range(6):
        await take(limiter, "bulk")
    with pytest.raises(DailyQuotaExceededError) as caught:
        await take(limiter, "bulk")
    for _ in range(4):
        await take(limiter, "interactive")
    with pytest.raises(DailyQuotaExceededError):
        await take(limiter, "interactive")

    assert "reserved" in str(caught.value)


async def test_bulk_calls_leave_their_part_of_each_second() -> None:
    """A quarter reserved: bulk calls are a third further apart, interactive ones are not."""
    limits = Limits(per_second=1, per_day=None, headroom=0, learns=False, reserved_share=0.25)
    limiter = MemoryLimitStore().limiter("A", limits)
    bulk = await asyncio.gather(*(take(limiter, "bulk") for _ in range(4)))
    urgent = [await take(limiter, "interactive") for _ in range(3)]

    assert [after - before for before, after in pairwise(bulk)] == pytest.approx([4 / 3] * 3)
    assert [after - before for before, after in pairwise(urgent)] == pytest.approx([1, 1])


async def test_the_quota_has_usage_and_load() -> None:
    """Used, left, rate, ceiling, calls that wait and calls in flight."""
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=1, per_day=100, headroom=0.5, learns=False)
    )
    calls = [asyncio.create_task(take(limiter, "bulk", flight=9)) for _ in range(3)]
    await asyncio.sleep(0.5)
    calls.append(asyncio.create_task(take(limiter, "interactive")))
    await asyncio.sleep(0)
    quota = await limiter.quota()
    for call in calls:
        call.cancel()

    assert (quota.used_today, quota.left_today) == (1, 99)
    assert quota.per_second == pytest.approx(0.5) and quota.ceiling == 1
    assert quota.waiting == {"bulk": 2, "interactive": 1}
    assert (quota.in_flight, quota.paused_until) == (1, None)


async def test_the_quota_has_the_end_of_a_pause() -> None:
    """After a 429 there is a time in it, and when the day's count falls next."""
    limiter = MemoryLimitStore().limiter("A", EVEN)
    async with limiter.acquire(max_wait=60) as permit:
        permit.throttled(30)
    quota = await limiter.quota()

    assert quota.paused_until is not None and quota.resets_at is not None
    assert 86_000 < (quota.resets_at - quota.paused_until).total_seconds() < 86_460
