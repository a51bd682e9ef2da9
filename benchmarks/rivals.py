"""Ways of calling as fast as Gong allows: ours, and those that people use today.

Each is driven through its real library in the same virtual time, and each repeats a refused call
after `Retry-After`, so that what differs is only when calls go out.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiolimiter import AsyncLimiter
from attrs import define, field
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate, SingleBucketFactory

from gong_async import Limits, RetryPolicy
from gong_async.limits.limiter import Limiter as OurLimiter
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing.algorithms import Algorithm

ONE_WAY = 0.05
"""Seconds to the server at the least, and back."""


@define(eq=False)
class Server:
    """A server that counts by one algorithm, at the end of a way that takes now more, now less.

    The way there takes `ONE_WAY` and up to `jitter` seconds more, each as likely; the way back
    takes `ONE_WAY`.
    """

    algorithm: Algorithm
    jitter: float
    chance: random.Random
    accepted: list[float] = field(factory=list)
    refused: list[float] = field(factory=list)

    async def call(self) -> float | None:
        """Make one call; return the `Retry-After` of a refusal."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(ONE_WAY + self.chance.uniform(0.0, self.jitter))
        now = loop.time()
        wait = self.algorithm.admit(now)
        (self.refused if wait else self.accepted).append(now)
        await asyncio.sleep(ONE_WAY)
        return max(1.0, math.ceil(wait - 1e-9)) if wait else None


class Client(Protocol):
    """Calls a server until it is cancelled."""

    async def __call__(self, server: Server, rate: int) -> None:
        """Call again and again."""
        ...


def in_flight(rate: int) -> int:
    """Return how many calls may be under way: enough for the longest way at full rate."""
    return max(16, rate // 2)


async def work(number: int, call: Callable[[], Awaitable[None]]) -> None:
    """Let `number` workers make one call after the other."""

    async def worker() -> None:
        while True:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(worker())


async def until_accepted(server: Server) -> None:
    """Repeat a call after each `Retry-After`."""
    while (wait := await server.call()) is not None:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(wait)


async def ours(server: Server, rate: int) -> None:
    """Call through the limiter of a client."""
    workers = in_flight(rate)
    limits = Limits(per_second=rate, per_day=None, max_in_flight=workers)
    await paced_by(MemoryLimitStore().limiter("A", limits), server, workers)


async def paced_by(limiter: OurLimiter, server: Server, workers: int) -> None:
    """Call as a client does: its limiter, and its holds at a refusal."""
    policy = RetryPolicy()

    async def call() -> None:
        async with limiter.acquire(max_wait=math.inf) as permit:
            wait = await server.call()
            if wait is None:
                permit.accepted()
            else:
                permit.throttled(policy.after_refusal(wait, 1))

    await work(workers, call)


async def gather(server: Server, rate: int) -> None:
    """Gather ten seconds' worth of calls at once, then the next."""
    while True:
        await asyncio.gather(*(until_accepted(server) for _ in range(10 * rate)))


async def semaphore(server: Server, rate: int) -> None:
    """Let three calls be under way."""
    places = asyncio.Semaphore(3)

    async def call() -> None:
        async with places:
            await until_accepted(server)

    await work(in_flight(rate), call)


async def aiolimiter(server: Server, rate: int) -> None:
    """Take a drop of `AsyncLimiter(rate, 1)` for each request."""
    limiter = AsyncLimiter(rate, 1)

    async def call() -> None:
        async with limiter:
            wait = await server.call()
        if wait is not None:
            await asyncio.sleep(wait)

    await work(in_flight(rate), call)


class VirtualBucket(InMemoryBucket):
    """Reads the time off the loop: `pyrate_limiter` has a clock of its own, in milliseconds."""

    def now(self) -> int:
        """Return the loop's time."""
        return int(asyncio.get_running_loop().time() * 1000)


async def pyrate_limiter(server: Server, rate: int) -> None:
    """Take an item of `Limiter(Rate(rate, Duration.SECOND))` for each request."""
    bucket = VirtualBucket([Rate(rate, Duration.SECOND)])
    # Its own cleaner is a thread that sleeps in real time; without it old items are only kept.
    limiter = Limiter(SingleBucketFactory(bucket, schedule_leak=False))

    async def call() -> None:
        await limiter.try_acquire_async("gong")
        wait = await server.call()
        if wait is not None:
            await asyncio.sleep(wait)

    await work(in_flight(rate), call)


CLIENTS: dict[str, Client] = {
    "ours": ours,
    "gather and retry": gather,
    "Semaphore(3)": semaphore,
    "aiolimiter": aiolimiter,
    "pyrate-limiter": pyrate_limiter,
}
