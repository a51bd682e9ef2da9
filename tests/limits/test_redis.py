"""Limits over a real Redis, from several stores in one loop: each stands for a process."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from gong_async import ConfigurationError, DailyQuotaExceededError, Limits, Quota, RateLimitError
from gong_async.limits.limiter import Limiter
from gong_async.limits.redis.queue import RedisQueue
from gong_async.limits.redis.script import keys_of
from gong_async.limits.redis.store import RedisLimitStore
from gong_async.limits.state import PROBE_LEASE
from gong_async.limits.types import Priority
from limits.redis_server import own_server, some_server

COMPANY = "https://api.gong.io 5f3a"
MAX_WAIT = 60.0
EVEN = Limits(per_second=20, per_day=None, headroom=0, learns=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Find a server for this file."""
    with some_server() as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Redis]:
    """Look at the server from outside, with nothing kept from earlier."""
    async with Redis.from_url(url, decode_responses=True) as client:
        if keys := await client.keys("gong:*"):
            await client.delete(*keys)
        yield client


@pytest.fixture
async def stores(url: str, client: Redis) -> AsyncIterator[list[RedisLimitStore]]:
    """Make three stores that know nothing of each other."""
    made = [RedisLimitStore(url, expected_processes=3) for _ in range(3)]
    yield made
    for store in made:
        await store.aclose()


async def call(
    limiter: Limiter,
    *,
    priority: Priority = "interactive",
    max_wait: float = MAX_WAIT,
    throttled: float | None = None,
    lasting: float = 0.0,
) -> float:
    """Make one call, and return when it went."""
    async with limiter.acquire(max_wait=max_wait, priority=priority) as permit:
        at = time.monotonic()
        await asyncio.sleep(lasting)
        if throttled is None:
            permit.accepted()
        else:
            permit.throttled(throttled)
    return at


def waits(quota: Quota) -> tuple[int, int, int]:
    """Return the calls that wait, by priority, and those in flight."""
    return quota.waiting["interactive"], quota.waiting["bulk"], quota.in_flight


async def test_slots_are_shared(stores: list[RedisLimitStore]) -> None:
    """Three stores share one rate, and their calls alternate."""
    limiters = [store.limiter(COMPANY, EVEN) for store in stores]
    began = time.monotonic()

    went = await asyncio.gather(*(call(limiter) for _ in range(7) for limiter in limiters))

    assert max(went) - began >= 20 / 20
    assert max(went[:9]) < min(went[18:])  # the first three of each are before the last of any


async def test_companies_do_not_slow_each_other(stores: list[RedisLimitStore]) -> None:
    """A paused company is no reason for another to wait."""
    held, free = (stores[0].limiter(name, EVEN) for name in (COMPANY, "https://other 77"))
    await call(held, throttled=10 * MAX_WAIT)

    await call(free)

    assert (await held.quota()).paused_until is not None
    with pytest.raises(RateLimitError):
        await call(held)


async def test_a_429_pauses_all_processes_and_one_call_probes(
    stores: list[RedisLimitStore],
) -> None:
    """After the pause one call goes; the others follow only when it was accepted."""
    limiters = [store.limiter(COMPANY, EVEN) for store in stores]
    throttled_at = await call(limiters[0], throttled=0.5)

    went = sorted(
        await asyncio.gather(*(call(limiter, lasting=0.4) for limiter in limiters for _ in "12"))
    )

    assert went[0] - throttled_at >= 0.49
    assert went[1] - went[0] >= 0.4


async def test_a_cancelled_probe_delays_no_other_call(stores: list[RedisLimitStore]) -> None:
    """A call that is cancelled while it probes lets the next one probe."""
    limiters = [store.limiter(COMPANY, EVEN) for store in stores]
    await call(limiters[0], throttled=0.1)
    probe = asyncio.create_task(call(limiters[0], lasting=60))
    await asyncio.sleep(0.4)
    probe.cancel()

    await asyncio.wait_for(call(limiters[1]), PROBE_LEASE / 2)

    assert (await limiters[1].quota()).in_flight == 0


async def test_an_unused_permit_from_before_a_pause_ends_no_probe(
    stores: list[RedisLimitStore],
) -> None:
    """Another call of the same loop probes: the next one still waits for its outcome."""
    limiter = stores[0].limiter(COMPANY, EVEN)
    probing, answered = asyncio.Event(), asyncio.Event()

    async def probe() -> None:
        async with limiter.acquire(max_wait=MAX_WAIT) as permit:
            probing.set()
            await answered.wait()
            permit.accepted()

    async with limiter.acquire(max_wait=MAX_WAIT) as early:
        await call(limiter, throttled=0.1)
        probe_task = asyncio.create_task(probe())
        await probing.wait()
        early.unused()
    following = asyncio.create_task(call(limiter))
    await asyncio.wait([following], timeout=0.5)
    went_early = following.done()
    answered.set()
    await asyncio.gather(probe_task, following)

    assert not went_early


async def test_a_pause_beyond_max_wait_fails_at_once(stores: list[RedisLimitStore]) -> None:
    """Another process learns with its first question that nothing goes for hours."""
    limiters = [store.limiter(COMPANY, EVEN) for store in stores]
    await call(limiters[0], throttled=7200)

    with pytest.raises(RateLimitError) as caught:
        await call(limiters[1])

    assert caught.value.retry_after is not None
    assert 7200 - MAX_WAIT < caught.value.retry_after <= 7200 + 2


async def test_cancelled_calls_are_not_counted(stores: list[RedisLimitStore]) -> None:
    """Whenever a waiting call is cancelled, the day counts exactly the calls that went."""
    limiter = stores[0].limiter(COMPANY, Limits(per_second=200, learns=False))
    gone = 0

    async def go() -> None:
        nonlocal gone
        async with limiter.acquire(max_wait=MAX_WAIT):
            gone += 1

    for number in range(60):
        task = asyncio.create_task(go())
        await asyncio.sleep(number % 15 / 1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.1)

    quota = await stores[1].limiter(COMPANY, Limits(per_second=200)).quota()

    assert 0 < gone < 60
    assert quota.used_today == gone


async def test_the_day_ends_for_all_and_bulk_leaves_the_reserve(
    stores: list[RedisLimitStore],
) -> None:
    """Bulk calls of any process stop at the reserve, interactive ones at the day's end."""
    limits = Limits(per_second=None, per_day=10, reserve=4)
    first, second = (store.limiter(COMPANY, limits) for store in stores[:2])
    for limiter in (first, second):
        for _ in range(3):
            await call(limiter, priority="bulk")

    with pytest.raises(DailyQuotaExceededError):
        await call(first, priority="bulk")
    for _ in range(4):
        await call(second)
    with pytest.raises(DailyQuotaExceededError) as caught:
        await call(first)

    assert (await first.quota()).left_today == 0
    assert caught.value.retry_after == pytest.approx(86_460, abs=5)


async def test_an_interactive_call_overtakes_the_bulk_calls_of_others(
    stores: list[RedisLimitStore],
) -> None:
    """It gets the next slot though two processes have reserved theirs; bulk loses one slot each."""
    limits = Limits(per_second=4, per_day=None, headroom=0, learns=False)
    bulk = [store.limiter(COMPANY, limits) for store in stores[:2]]
    began = time.monotonic()
    jobs = [
        asyncio.create_task(call(limiter, priority="bulk")) for limiter in bulk for _ in range(4)
    ]
    await asyncio.sleep(0.6)
    asked = time.monotonic()

    urgent = await call(stores[2].limiter(COMPANY, limits))
    went = await asyncio.gather(*jobs)

    assert sum(asked < each < urgent for each in went) <= 1
    assert max(went) - began >= 8 / 4


async def test_bulk_leaves_a_part_of_each_second(stores: list[RedisLimitStore]) -> None:
    """With half of each second reserved, two bulk jobs together go at half the rate."""
    limits = Limits(per_second=20, per_day=None, headroom=0, learns=False, reserved_share=0.5)
    bulk = [store.limiter(COMPANY, limits) for store in stores[:2]]
    began = time.monotonic()

    went = await asyncio.gather(*(call(one, priority="bulk") for one in bulk for _ in range(6)))

    assert max(went) - began >= 11 / 10


async def test_the_learned_rate_is_shared_and_kept(url: str, stores: list[RedisLimitStore]) -> None:
    """What one process learned from a 429, a process that starts later knows."""
    limits = Limits(per_second=50, per_day=None)
    first = stores[0].limiter(COMPANY, limits)
    for _ in range(5):
        await call(first)
    await call(first, throttled=0.05)
    slower = (await first.quota()).per_second

    later = (await stores[1].limiter(COMPANY, limits).quota()).per_second

    assert slower is not None and slower < 48.9
    assert later == slower


async def test_accepted_calls_of_all_processes_are_learned_from(
    client: Redis, stores: list[RedisLimitStore]
) -> None:
    """Calls are collected, and fed into the rate about once a second by some process."""
    limiters = [store.limiter(COMPANY, Limits(per_second=50, per_day=None)) for store in stores]
    await asyncio.gather(*(call(limiter) for _ in range(40) for limiter in limiters))

    state = await client.hgetall(keys_of(COMPANY)[0])
    rate = json.loads(state["rate:50"])

    assert rate["calls"] + int(state["accepted:50"]) >= 100
    assert 1 <= int(state["version:50"]) <= 30


async def test_keys_of_a_company_lie_together_and_expire(
    client: Redis, stores: list[RedisLimitStore]
) -> None:
    """Each key carries the company as its hash tag, and is gone two days after its last use."""
    limiters = [store.limiter(COMPANY, EVEN) for store in stores]
    await asyncio.gather(*(call(limiter) for limiter in limiters for _ in "12"))

    keys: list[Any] = await client.keys("gong:*")

    assert keys and all(key.startswith(f"gong:{{{COMPANY}}}:") for key in keys)
    assert all([0 < await client.ttl(key) <= 172_800 for key in keys])


async def test_keys_of_another_version_are_left_alone(
    client: Redis, stores: list[RedisLimitStore]
) -> None:
    """Processes of an earlier version keep their state, and this one starts beside it."""
    state, day = (f"gong:{{{COMPANY}}}:{name}" for name in ("gate", "day"))
    now = (await client.time())[0]
    await client.hset(state, mapping={"held": f"{now + 3600}.000000", "next": f"{now + 20}.000000"})
    await client.hset(day, mapping={"first": 1, "last": 1, "used": 7, "s1": now, "c1": 7})
    before = [await client.hgetall(key) for key in (state, day)]
    limiter = stores[0].limiter(COMPANY, EVEN)

    await call(limiter)

    assert (await limiter.quota()).used_today == 1
    assert [await client.hgetall(key) for key in (state, day)] == before


async def test_a_pause_outlives_lost_keys(client: Redis, stores: list[RedisLimitStore]) -> None:
    """A process that knows of a pause restores it after Redis has lost its keys."""
    first, second = (store.limiter(COMPANY, EVEN) for store in stores[:2])
    throttled_at = await call(first, throttled=0.6)
    await client.delete(*await client.keys("gong:*"))
    waiting = asyncio.create_task(call(first))
    await asyncio.sleep(0.1)

    went = await call(second)
    await waiting

    assert went - throttled_at >= 0.59


@pytest.mark.full
async def test_without_redis_each_process_keeps_its_part_and_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rate is divided by the processes expected; a warning, and a message when it is back."""
    caplog.set_level(logging.INFO, "gong_async")
    with own_server() as server:
        store = RedisLimitStore(server.url, expected_processes=4)
        limiter = store.limiter(COMPANY, Limits(per_second=40, per_day=100, learns=False))
        await call(limiter)
        server.stop()
        began = time.monotonic()
        went = await asyncio.gather(*(call(limiter) for _ in range(12)))
        alone = (await limiter.quota()).used_today
        warned = [record.levelname for record in caplog.records]
        server.start()
        await asyncio.sleep(3.1)
        for _ in range(5):
            await call(limiter)
            await asyncio.sleep(0.05)
        quota = await limiter.quota()
        await store.aclose()

    assert max(went) - began >= 11 * 4 / 40
    assert alone == 1 + 4 * 12
    assert warned == ["WARNING"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert quota.per_second is not None and quota.per_second > 30
    assert quota.used_today >= 12 + 3


async def test_a_redis_that_does_not_answer_is_asked_once() -> None:
    """A server that accepts and says nothing is given up after the timeout, for all callers."""
    asked = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()
        await writer.wait_closed()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = RedisLimitStore(f"redis://127.0.0.1:{port}", timeout=0.3)
    limiter = store.limiter(COMPANY, EVEN)

    await asyncio.gather(*(call(limiter) for _ in range(5)))
    await store.aclose()
    silent.close()
    await asyncio.sleep(0.05)

    assert asked == 1


async def test_a_client_that_was_handed_in_stays_open(url: str, client: Redis) -> None:
    """It is used as it is, decoding or not, and never closed."""
    store = RedisLimitStore(client=client)
    await call(store.limiter(COMPANY, EVEN))
    pool: Any = client.connection_pool
    await store.aclose()

    assert await client.ping()
    assert pool is client.connection_pool


async def test_a_closed_store_may_be_used_again(stores: list[RedisLimitStore]) -> None:
    """Closing ends the connections, not the store."""
    limiter = stores[0].limiter(COMPANY, EVEN)
    await call(limiter)
    await stores[0].aclose()

    await call(limiter)

    assert (await limiter.quota()).used_today == 2


async def test_the_password_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Neither by repr, nor in the log while Redis is away."""
    caplog.set_level(logging.DEBUG)
    store = RedisLimitStore("redis://user:hunter2secret@127.0.0.1:1/0")
    limiter = store.limiter(COMPANY, EVEN)
    await call(limiter)
    shown = repr(store) + repr(limiter) + repr(store.links) + repr(store.links.here) + caplog.text
    await store.aclose()

    assert "hunter2secret" not in shown


def test_a_url_that_cannot_be_read_is_not_shown(shown: Any) -> None:
    """What was taken for a URL may hold a password."""
    with pytest.raises(ConfigurationError, match="expected redis://") as caught:
        RedisLimitStore("redis://127.0.0.1:hunter2secret/0")

    assert "hunter2secret" not in shown(caught.value)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(ConfigurationError, match=r"need the extra: .*\[redis\]"):
        RedisLimitStore("redis://127.0.0.1")


@pytest.mark.parametrize(
    "options",
    [{}, {"url": "redis://h", "client": object()}, {"url": "redis://h", "expected_processes": 0},
     {"url": "redis://h", "timeout": 0}],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    """At the start, not at the first call."""
    with pytest.raises(ConfigurationError):
        RedisLimitStore(**options)


async def test_the_quota_has_the_load_of_all_queues(stores: list[RedisLimitStore]) -> None:
    """The loads of all stores are added, and after the last call there are none."""
    limits = Limits(per_second=0.2, per_day=None, headroom=0, learns=False)
    busy, other, _ = (store.limiter(COMPANY, limits) for store in stores)
    calls = [asyncio.create_task(call(busy, priority="bulk", lasting=9)) for _ in range(3)]
    async with asyncio.timeout(60):
        while waits(await other.quota()) != (0, 2, 1):
            pass
        own = waits(await busy.quota())
        for one in calls:
            one.cancel()
        while any(waits(await other.quota())):
            pass

    assert own == (0, 2, 1)
    assert waits(await busy.quota()) == (0, 0, 0)


async def test_asking_for_the_quota_can_be_cancelled(stores: list[RedisLimitStore]) -> None:
    """At whatever moment it comes, a cancellation is not lost on the way to Redis."""
    limiter = stores[0].limiter(COMPANY, EVEN)
    await limiter.quota()
    ends: list[object] = []
    for steps in range(12):
        asking = asyncio.create_task(limiter.quota())
        for _ in range(steps):
            await asyncio.sleep(0)
        done = asking.done()
        asking.cancel()
        await asyncio.wait([asking])
        ends.append(done or asking.cancelled())

    assert all(ends)


async def test_numbers_of_a_dead_process_are_forgotten(
    client: Redis, stores: list[RedisLimitStore]
) -> None:
    """What was not renewed for ten seconds does not count, and is taken away."""
    limiter = stores[0].limiter(COMPANY, EVEN)
    key, now = keys_of(COMPANY)[3], (await client.time())[0]
    await client.hset(key, "dead", f"{now - 11}.5 4 5 6")
    await client.hset(key, "alive", f"{now - 5}.5 1 2 3")
    await client.hset(key, "odd", "what?")
    reported = waits(await limiter.quota())

    assert reported == (1, 2, 3)
    assert await client.hkeys(key) == ["alive"]


async def test_a_closed_store_is_not_opened_to_publish_the_load(
    stores: list[RedisLimitStore],
) -> None:
    """Nothing would close it again."""
    limiter = stores[0].limiter(COMPANY, EVEN)
    await call(limiter)
    queue = limiter.company.open_queue()
    await stores[0].aclose()
    assert isinstance(queue, RedisQueue)
    queue.publish()

    assert stores[0].links.open_here is None


@pytest.mark.parametrize(("per_second", "most"), [(None, 1.1), (50, 15)])
async def test_a_grant_costs_few_scripts(per_second: int | None, most: float) -> None:
    """One when the slot is free; two when it must be waited for, and more when that was missed.

    A busy machine misses slots, so the bound is wide; a limiter that polls exceeds it by far.
    """
    with own_server() as server:
        stores = [RedisLimitStore(server.url, expected_processes=3) for _ in range(3)]
        limits = Limits(per_second=per_second, per_day=None)
        limiters = [store.limiter(COMPANY, limits) for store in stores]

        await asyncio.gather(*(call(limiter) for _ in range(12) for limiter in limiters))
        for store in stores:
            await store.aclose()
        async with Redis.from_url(server.url) as client:
            stats = await client.info("commandstats")

    assert stats["cmdstat_evalsha"]["calls"] <= most * 36
