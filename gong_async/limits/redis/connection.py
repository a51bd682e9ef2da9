"""The connections to Redis, one for each event loop: run the script and detect outages."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, TypeVar

from attrs import define, field

from gong_async._distribution import __version__
from gong_async._redact import Secret
from gong_async.errors import ConfigurationError
from gong_async.limits.redis.script import SCRIPT, SHA

T = TypeVar("T")

TIMEOUT = 1.0
"""Seconds that Redis may take for an answer."""

_CONNECTIONS = 8
_CHECK_EVERY = 3.0

_log = logging.getLogger("gong_async")


def load_redis(what: str = "limits shared over Redis") -> None:
    """Import redis-py.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import_module("redis.asyncio")
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        from gong_async._distribution.install import install_command  # noqa: PLC0415 - only then

        raise ConfigurationError(f"{what} need the extra: {install_command('redis')}")


def check_url(url: Secret) -> None:
    """Validate the URL of a Redis server.

    Raises:
        ConfigurationError: it is invalid. The message leaves it out: it may contain a password.
    """
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - belongs to an extra

    readable = True
    try:
        parse_url(url.reveal())
    except ValueError:
        readable = False
    if not readable:
        msg = "the Redis URL is invalid; expected redis://, rediss:// or unix:// with a host"
        raise ConfigurationError(msg)


def make_client(url: Secret, timeout: float) -> Any:
    """Return a client with connections of its own that never retries a command."""
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - belongs to an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    # A retry after a lost reply would run the script, and count its grant, twice.
    pool = BlockingConnectionPool.from_url(
        url.reveal(),
        max_connections=_CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        **_our_name(),
    )
    return Redis.from_pool(pool)


def _our_name() -> dict[str, Any]:
    """Return the client name of connections; without it, redis-py reads it from the disk."""
    try:
        driver = import_module("redis.driver_info")
    except ImportError:
        return {"lib_name": "gong_async", "lib_version": __version__}
    return {"driver_info": driver.DriverInfo(name="gong_async", lib_version=__version__)}


@define(eq=False)
class Notice:
    """Logs once that Redis is unreachable, and once that it is back, for all event loops."""

    away: bool = False

    def lost(self, problem: str) -> None:
        """Record that Redis did not respond."""
        if not self.away:
            self.away = True
            _log.warning(
                "Redis is unreachable (%s); until it is back, this process uses only its fraction "
                "of Gong's limits",
                problem,
            )

    def found(self) -> None:
        """Record that Redis responded."""
        if self.away:
            self.away = False
            _log.info("Redis is reachable again; Gong's limits are shared again")


@define(eq=False)
class Link:
    """Runs the script. While Redis is unreachable it fails fast and pings Redis now and then."""

    client: Any
    owned: bool
    timeout: float
    notice: Notice
    away: bool = field(default=False, init=False)
    _check_at: float = field(default=0.0, init=False)
    _checking: bool = field(default=False, init=False)
    _tasks: set[asyncio.Task[Any]] = field(factory=set, init=False)

    async def run(self, keys: list[str], args: list[str]) -> list[Any] | None:
        """Run the script once; None if Redis is unreachable. Never raises an error of Redis."""
        if self.away:
            self._check()
            return None
        problem = ""
        # A dead connection does not prove that Redis is down: a second one may work.
        for _ in range(2):
            answer, problem = await self._try(keys, args)
            if not problem:
                self.notice.found()
                return answer
            if problem != "ConnectionError":
                break
        self._lost(problem)
        return None

    def later(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Finish the background tasks and close the connections that are ours."""
        if self._checking:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.owned:
            await self.client.aclose()

    async def _try(self, keys: list[str], args: list[str]) -> tuple[list[Any], str]:
        """Return the reply of the script, or the type of the error."""
        from redis.exceptions import NoScriptError, RedisError  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                try:
                    return await self.client.evalsha(SHA, len(keys), *keys, *args), ""
                except NoScriptError:
                    return await self.client.eval(SCRIPT, len(keys), *keys, *args), ""
        except (RedisError, OSError) as error:
            # Only the type: the message may contain a host, a user or a command.
            return [], type(error).__name__

    def _lost(self, problem: str) -> None:
        self.away = True
        self._check_at = asyncio.get_running_loop().time() + _CHECK_EVERY
        self.notice.lost(problem)

    def _check(self) -> None:
        """Check in the background whether Redis is back."""
        if not self._checking and asyncio.get_running_loop().time() >= self._check_at:
            self._checking = True
            self.later(self._ping())

    async def _ping(self) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                await self.client.ping()
            self.away = False
            self.notice.found()
        except (RedisError, OSError):
            self._check_at = asyncio.get_running_loop().time() + _CHECK_EVERY
        finally:
            self._checking = False


@define(eq=False, repr=False)
class RedisLinks:
    """The connections of a store: one for each event loop, opened when it is first used."""

    url: Secret | None
    client: Any
    """A client that belongs to the user, in place of `url`."""
    timeout: float
    _notice: Notice = field(factory=Notice, init=False)
    _links: dict[tuple[int, asyncio.AbstractEventLoop], Link] = field(factory=dict, init=False)

    @property
    def here(self) -> Link:
        """The running loop's connection, opened if there is none."""
        key = (os.getpid(), asyncio.get_running_loop())
        link = self._links.get(key)
        if link is None:
            for closed in [(pid, loop) for pid, loop in list(self._links) if loop.is_closed()]:
                self._links.pop(closed, None)
            client = make_client(self.url, self.timeout) if self.url else self.client
            link = self._links[key] = Link(client, self.url is not None, self.timeout, self._notice)
        return link

    @property
    def open_here(self) -> Link | None:
        """The running loop's connection, if there is one."""
        return self._links.get((os.getpid(), asyncio.get_running_loop()))

    async def aclose(self) -> None:
        """Close the running loop's connections; the next call opens new ones."""
        link = self._links.pop((os.getpid(), asyncio.get_running_loop()), None)
        if link is not None:
            await link.aclose()
