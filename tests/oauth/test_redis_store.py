"""The login in a real Redis."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from faults.operations import UPDATE
from limits.redis_server import own_server, some_server
from redis.asyncio import Redis

from gong_async import ConfigurationError, GongClient, Limits, RedisTokenStore, Secret, Tokens
from gong_async.testing import FakeGong, Fault
from oauth.logins import application, approved, token_requests

PAIR = Tokens(access_token=Secret("hunter2-a"), refresh_token=Secret("hunter2-r"))
UNLIMITED = Limits(per_second=None, per_day=None, max_in_flight=100)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Find a server for this file."""
    with some_server() as url:
        yield url


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    """Look at the server from outside, with nothing kept from earlier."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        if keys := await redis.keys("gong:*"):
            await redis.delete(*keys)
        yield redis


async def test_it_keeps_the_last_pair(url: str, redis: Redis) -> None:
    """For every store of the same name, and no other."""
    store = RedisTokenStore("acme", url)
    seen = [await store.load()]
    await store.save(PAIR)
    seen += [await RedisTokenStore("acme", url).load(), await RedisTokenStore("other", url).load()]
    await store.clear()
    seen.append(await store.load())

    assert seen == [None, PAIR, None, None]
    assert await redis.keys("gong:*") == []


async def test_a_login_of_another_version(url: str, redis: Redis) -> None:
    """One that was written before is read, one of a newer version is refused and stays."""
    written = Path(__file__).parent.joinpath("files", "login-version-1.json").read_text("utf-8")
    store = RedisTokenStore("acme", url)
    await store.save(PAIR)
    (key,) = await redis.keys("gong:*")
    await redis.set(key, written)
    earlier = await store.load()
    await redis.set(key, '{"version": 2, "tokens": "hunter2"}')

    assert earlier is not None
    assert earlier.access_token == Secret("stored-access-token")
    with pytest.raises(ConfigurationError, match=r"version 2.*update gong_async"):
        await store.load()
    assert await redis.exists(key)


@pytest.mark.parametrize("decode", [True, False])
async def test_it_takes_a_client_of_ones_own(*, url: str, redis: Redis, decode: bool) -> None:
    """Whether that decodes or not; it is not closed."""
    async with Redis.from_url(url, decode_responses=decode) as own:
        await own.ping()  # its first connection looks up redis-py's version on the disk
        store = RedisTokenStore("acme", client=own)
        async with store.lock():
            await store.save(PAIR)

        assert await store.load() == PAIR
        assert await own.ping()


async def test_one_at_a_time(url: str, redis: Redis) -> None:
    """The lock holds between stores, and is given back."""
    inside: list[int] = []
    most: list[int] = []

    async def enter(number: int) -> None:
        async with RedisTokenStore("acme", url).lock():
            inside.append(number)
            most.append(len(inside))
            await asyncio.sleep(0.01)
            inside.remove(number)

    await asyncio.gather(*(enter(number) for number in range(5)))

    assert most == [1] * 5
    assert await redis.keys("gong:*") == []


async def test_the_lock_of_a_dead_process_ends_by_itself(url: str, redis: Redis) -> None:
    """It carries an expiry from its first moment on."""
    async with RedisTokenStore("acme", url).lock():
        (key,) = await redis.keys("gong:*lock")
        left = await redis.pttl(key)

    assert 150_000 < left <= 180_000


async def test_a_lock_is_released_by_its_owner_only(url: str, redis: Redis) -> None:
    """An owner whose lease has expired leaves the next owner's lock alone."""
    async with RedisTokenStore("acme", url).lock():
        (key,) = await redis.keys("gong:*lock")
        await redis.set(key, "another owner's")

    assert await redis.get(key) == "another owner's"


async def test_two_machines_renew_once(url: str, redis: Redis) -> None:
    """Two programs with one login in Redis and an expired token: one renewal."""
    async with FakeGong(per_second=None) as fake:
        await RedisTokenStore("acme", url).save(approved(fake))
        fake.oauth.expire()
        fake.script(Fault.latency(0.05), on="generateCustomerToken")

        async def work() -> None:
            auth = application(fake, RedisTokenStore("acme", url))
            async with GongClient(auth, limits=UNLIMITED) as gong:
                await asyncio.gather(*(UPDATE.call(gong) for _ in range(20)))

        await asyncio.gather(work(), work(), work())

        assert (fake.oauth.refreshes, fake.oauth.spent_sent, token_requests(fake)) == (1, 0, 1)


async def test_without_redis_the_error_says_so_and_shows_nothing(
    shown: Callable[[BaseException], str],
) -> None:
    """Neither the URL's password nor a token is in it."""
    with own_server() as server:
        url = server.url.replace("redis://", "redis://:hunter2@")
    store = RedisTokenStore("acme", url, timeout=0.5)
    with pytest.raises(ConfigurationError, match="cannot be kept in Redis") as caught:
        await store.save(PAIR)

    assert "hunter2" not in shown(caught.value) + repr(store)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("acme",), "either a url or a client"),
        (("", "redis://127.0.0.1"), "a name"),
        (("acme", "hunter2://"), "URL is invalid"),
    ],
)
def test_refuses_what_cannot_work(arguments: tuple[str, ...], reported: str) -> None:
    """At once, without showing the URL."""
    with pytest.raises(ConfigurationError, match=reported) as caught:
        RedisTokenStore(*arguments)

    assert "hunter2" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its users need it."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"logins kept in Redis need .*\[redis\]"):
        RedisTokenStore("acme", "redis://127.0.0.1")
