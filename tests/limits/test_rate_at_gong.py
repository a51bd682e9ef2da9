"""How much of the quota the learned rate uses, and how seldom a call is throttled, in virtual time.

What matters is when calls arrive, and `FakeGong.latency` delays answers only. So the way there is
made late in one of two places: for every algorithm and jitter by a simulated way between the
limiter and the fake's own algorithms, and for the whole way by a proxy on a socket between a
client and a fake, which holds what goes to the server back.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from gong_async import BasicAuth, GongClient, Limits, MeetingUpdate, RetryPolicy
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing import ALGORITHMS, AlgorithmName, FakeGong
from gong_async.testing.algorithms import Algorithm, make_algorithm

RATE = 3
LEARNING = 120
COUNTED = 600
ONE_WAY = 0.05
LIMITS = Limits(per_second=RATE, per_day=None)
UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[],
)


def best(algorithm: AlgorithmName, jitter: float, rate: float = RATE) -> float:
    """Return the share of the quota that is possible without refusals."""
    if algorithm == "gcra":
        return 1 / (1 + rate * jitter)
    return 1 / (1 + jitter) if algorithm.endswith("window") else 1.0


async def call_for(
    seconds: float, algorithm: Algorithm, jitter: float
) -> tuple[list[float], list[float]]:
    """Call through a limiter for so long; return when calls were accepted and throttled."""
    chance = random.Random(7)
    random.seed(7)
    loop = asyncio.get_running_loop()
    limiter, policy = MemoryLimitStore().limiter("A", LIMITS), RetryPolicy()
    accepted: list[float] = []
    refused: list[float] = []
    start = loop.time()

    async def worker() -> None:
        while True:
            async with limiter.acquire(max_wait=math.inf) as permit:
                await asyncio.sleep(ONE_WAY + chance.uniform(0, jitter))
                wait = algorithm.admit(loop.time())
                (refused if wait else accepted).append(loop.time() - start)
                await asyncio.sleep(ONE_WAY)
                if wait:
                    permit.throttled(policy.after_refusal(max(1, math.ceil(wait)), 1))
                else:
                    permit.accepted()

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(worker())
    return accepted, refused


ALWAYS = {
    ("sliding_window", 0.0),
    ("gcra", 0.02),
    ("fixed_window", 0.2),
    ("token_bucket", 0.2),
    ("leaky_bucket", 0.0),
}
"""What is tried in every run of the tests: each algorithm, and each jitter, at least once."""

SERVERS = [
    pytest.param(algorithm, jitter, marks=() if (algorithm, jitter) in ALWAYS else pytest.mark.full)
    for algorithm in ALGORITHMS
    for jitter in (0.0, 0.02, 0.2)
]
EXPECTED = {0.0: (0.99, 0), 0.02: (0.97, 1), 0.2: (0.92, 2)}
"""The share of the best possible and the refusals per 1,000, by the jitter."""


@pytest.mark.full
@pytest.mark.looptime
@pytest.mark.parametrize(("algorithm", "jitter"), SERVERS)
async def test_it_uses_what_can_be_used(algorithm: AlgorithmName, jitter: float) -> None:
    """After two minutes, for ten: the share of the best possible, and refusals per 1,000."""
    store, refusals = EXPECTED[jitter]
    counter = make_algorithm(algorithm, RATE)

    accepted, refused = await call_for(LEARNING + COUNTED, counter, jitter)
    good = sum(at >= LEARNING for at in accepted)
    bad = sum(at >= LEARNING for at in refused)

    assert good / COUNTED / RATE / best(algorithm, jitter) >= store
    assert 1000 * bad / good <= refusals


@pytest.mark.looptime
@pytest.mark.parametrize(("algorithm", "jitter"), SERVERS)
async def test_it_follows_a_quota_that_halves_and_returns(
    algorithm: AlgorithmName, jitter: float
) -> None:
    """30 s after either change it makes 90 % of what is possible, without being configured."""
    counter = make_algorithm(algorithm, RATE)
    loop = asyncio.get_running_loop()
    loop.call_later(200, setattr, counter, "rate", RATE / 2)
    loop.call_later(350, setattr, counter, "rate", RATE)

    accepted, _ = await call_for(440, counter, jitter)
    halved = sum(230 <= at < 350 for at in accepted) / 120 / (RATE / 2)
    returned = sum(380 <= at < 440 for at in accepted) / 60 / RATE

    assert halved / best(algorithm, jitter, RATE / 2) > 0.9
    assert returned / best(algorithm, jitter) > 0.9


@asynccontextmanager
async def late(url: str, delay: Callable[[], float]) -> AsyncIterator[str]:
    """Put a proxy before a server that holds back what goes to it; yield the proxy's address."""
    target = urlsplit(url)

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: Callable[[], float]
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(wait())
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(
            pump(reader, far_writer, delay), pump(far_reader, writer, lambda: ONE_WAY)
        )

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.sleep(1)


async def update_for(seconds: float, url: str, fake: FakeGong) -> None:
    """Update meetings through a client for so long."""
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    async with GongClient(
        auth, base_url=url, limits=LIMITS, limit_store=MemoryLimitStore()
    ) as gong:

        async def worker(number: int) -> None:
            while True:
                await gong.meetings.update(str(number), UPDATE)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for number in range(1, 5):
                    group.create_task(worker(number))


def answered(fake: FakeGong, status: int, start: float, end: float) -> int:
    """Count the requests with this answer that arrived in a span, from the first one on."""
    first = fake.received[0].at
    return sum(r.status == status and start <= r.at - first < end for r in fake.received)


@pytest.mark.full
@pytest.mark.looptime
async def test_over_a_socket_at_20_ms_jitter() -> None:
    """A client, a socket, a late way, a fake that counts by the sliding window: ten minutes."""
    chance = random.Random(7)
    random.seed(7)
    async with FakeGong(per_day=None) as fake:
        async with late(fake.url, lambda: ONE_WAY + chance.uniform(0, 0.02)) as url:
            await update_for(LEARNING + COUNTED, url, fake)
        good = answered(fake, 200, LEARNING, LEARNING + COUNTED)
        bad = answered(fake, 429, LEARNING, LEARNING + COUNTED)

    assert good / COUNTED / RATE / best("sliding_window", 0.02) >= 0.97
    assert 1000 * bad / good <= 1


@pytest.mark.looptime
async def test_over_a_socket_when_the_quota_halves_and_returns() -> None:
    """The same way: 30 s after either change it makes 90 % of what is possible."""
    chance = random.Random(7)
    random.seed(7)
    loop = asyncio.get_running_loop()
    async with FakeGong(per_day=None) as fake:
        loop.call_later(200, setattr, fake.quota, "per_second", RATE / 2)
        loop.call_later(350, setattr, fake.quota, "per_second", RATE)
        async with late(fake.url, lambda: ONE_WAY + chance.uniform(0, 0.02)) as url:
            await update_for(440, url, fake)
        halved = answered(fake, 200, 230, 350) / 120 / (RATE / 2)
        returned = answered(fake, 200, 380, 440) / 60 / RATE

    assert halved / best("sliding_window", 0.02, RATE / 2) > 0.9
    assert returned / best("sliding_window", 0.02) > 0.9
