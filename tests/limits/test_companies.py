"""Many companies in one process: who shares limits with whom."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from attrs import frozen

from gong_async import BasicAuth, GongClient, Limits, MeetingUpdate, RateLimitError
from gong_async.limits.limiter import Limiter
from gong_async.limits.memory import MemoryLimitStore
from gong_async.limits.types import strictest
from gong_async.testing import FakeGong, Fault

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, 0, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 15, 45, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[],
)
EVEN = Limits(per_second=1, per_day=None, headroom=0, learns=False)


async def take(limiter: Limiter) -> float:
    """Make a call and return when it got its permit."""
    async with limiter.acquire(max_wait=60) as permit:
        permit.accepted()
        return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_two_clients_of_one_company_share(fake_gong: FakeGong) -> None:
    """Whatever object they are, they share one rate and pause together."""
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    async with (
        GongClient(auth, base_url=fake_gong.url) as one,
        GongClient(auth, base_url=fake_gong.url) as other,
    ):
        await asyncio.gather(
            *(client.meetings.update("42", UPDATE) for client in (one, other) for _ in range(10))
        )
        quotas = [(await client.quota()).used_today for client in (one, other)]
        fake_gong.script(Fault.rate_limited("7200"))
        with pytest.raises(RateLimitError):
            await one.meetings.update("42", UPDATE)
        with pytest.raises(RateLimitError) as held:
            await other.meetings.update("42", UPDATE)

    assert fake_gong.quota_refusals == 0
    assert quotas == [20, 20]
    assert held.value.attempts == 0


@frozen(eq=False, kw_only=True)
class SlowToCompare(Limits):
    """Limits during whose first comparison something else happens."""

    meanwhile: Callable[[], None]

    def __eq__(self, other: object) -> bool:
        self.meanwhile()
        return NotImplemented

    __hash__ = object.__hash__


def test_clients_of_several_threads_are_opened_and_closed_at_once() -> None:
    """While one is closed, others are opened; then the strictest limits of the open ones apply."""
    store = MemoryLimitStore()
    opened: list[Limiter] = []
    strict = Limits(max_in_flight=1)
    opening = threading.Thread(target=lambda: opened.append(store.limiter("A", strict)))

    def open_once() -> None:
        if opening.ident is None:
            opening.start()
            opening.join(0.2)  # it may have to wait for what goes on here

    first = store.limiter("A", Limits(max_in_flight=3))
    slow = SlowToCompare(max_in_flight=2, meanwhile=lambda: None)
    kept = [store.limiter("A", slow) for _ in range(3)]
    object.__setattr__(slow, "meanwhile", open_once)
    first.detach()
    opening.join()

    assert len(kept) == 3
    assert opened[0].company.limits.max_in_flight == 1


@pytest.mark.looptime
async def test_a_paused_company_does_not_slow_another() -> None:
    """Company A is paused for a day, B goes on at its rate."""
    store = MemoryLimitStore()
    held, free = store.limiter("A", EVEN), store.limiter("B", EVEN)
    async with held.acquire(max_wait=60) as permit:
        permit.throttled(86_400)
    times = [await take(free) for _ in range(3)]

    assert times == pytest.approx([0, 1, 2])


@pytest.mark.looptime
async def test_the_strictest_limits_apply_until_their_client_is_closed() -> None:
    """A client with a slower rate slows its company while it is open, and no longer."""
    store = MemoryLimitStore()
    fast = store.limiter("A", Limits(per_second=10, per_day=None, headroom=0, learns=False))
    slow = store.limiter("A", EVEN)
    await take(fast)
    together = [await take(fast), await take(slow)]
    slow.detach()
    alone = [await take(fast), await take(fast)]

    assert together == pytest.approx([1, 2])
    assert alone[1] - alone[0] == pytest.approx(0.1)


@pytest.mark.parametrize("busy", [0, 5, 8], ids=lambda busy: f"{busy}_under_way")
async def test_max_in_flight_follows_the_clients_that_come_and_go(busy: int) -> None:
    """In the same loop, too: fewer with a more careful client, more again when it has left."""
    store = MemoryLimitStore()
    many = store.limiter("A", Limits(per_second=None, per_day=None, max_in_flight=8))
    under_way, most, ended = 0, [0], asyncio.Event()

    async def work(until: asyncio.Event) -> None:
        nonlocal under_way
        async with many.acquire(max_wait=60) as permit:
            under_way += 1
            most[-1] = max(most[-1], under_way)
            await until.wait()
            under_way -= 1
            permit.accepted()

    async def load() -> None:
        most.append(0)
        until = asyncio.Event()
        tasks = [asyncio.create_task(work(until)) for _ in range(20)]
        await asyncio.sleep(0.01)
        until.set()
        await asyncio.gather(*tasks)

    await take(many)
    before = [asyncio.create_task(work(ended)) for _ in range(busy)]
    await asyncio.sleep(0.01)
    few = store.limiter("A", Limits(per_second=None, per_day=None, max_in_flight=2))
    await asyncio.sleep(0)
    ended.set()
    await asyncio.gather(*before)
    await load()
    few.detach()
    await asyncio.sleep(0)
    await load()

    assert most == [busy, 2, 8]


def test_the_strictest_limits_satisfy_both() -> None:
    """The smaller of everything that allows, the larger of everything that reserves."""
    one = Limits(per_second=None, per_day=100, max_in_flight=4, reserve=1)
    other = Limits(per_second=5, per_day=None, max_in_flight=8, reserved_share=0.5)

    assert strictest(one, other) == strictest(other, one)
    assert strictest(one, other) == Limits(
        per_second=5, per_day=100, max_in_flight=4, reserve=1, reserved_share=0.5
    )


@pytest.mark.looptime
async def test_idle_companies_are_forgotten_and_remembered_ones_are_not() -> None:
    """A company with calls today stays, whatever became of the client."""
    store = MemoryLimitStore()
    await take(store.limiter("busy", EVEN))
    for number in range(5_000):
        store.limiter(f"idle {number}", EVEN)
    gc.collect()
    quota = await store.limiter("busy", EVEN).quota()

    assert len(store) <= 600
    assert quota.used_today == 1


async def test_thousands_of_companies_cost_little_memory() -> None:
    """2,000 companies that have made a call each take under 10 MB."""
    store = MemoryLimitStore()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    clients = [store.limiter(f"company {number}", Limits()) for number in range(2_000)]
    for client in clients:
        await take(client)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert grown < 10_000_000


@pytest.mark.looptime
async def test_wall_clock_steps_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of the wall clock neither free calls of the day nor delay any."""
    limiter = MemoryLimitStore().limiter("A", Limits(per_second=None, per_day=2))
    await take(limiter)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 100_000)
    await take(limiter)
    quota = await limiter.quota()

    assert quota.left_today == 0
