"""The way to Redis from one event loop: connections, the script, and what to do when it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, TypeVar

from attrs import define, field

from gong_async._redact import Secret
from gong_async._version import __version__
from gong_async.errors import ConfigurationError
from gong_async.limits.redis.script import SCRIPT, SHA

T = TypeVar("T")

TIMEOUT = 1.0
"""Seconds that Redis may take for an answer."""

_CONNECTIONS = 8
_LOOK_EVERY = 3.0

_log = logging.getLogger("gong_async")


def load_redis(what: str = "limits shared over Redis") -> None:
    """Import the library.

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
        from gong_async._install import install_command  # noqa: PLC0415 - only then

        raise ConfigurationError(f"{what} need the extra: {install_command('redis')}")


def check_url(url: Secret) -> None:
    """Read the URL of a Redis server.

    Raises:
        ConfigurationError: it cannot be read. What it holds is not shown: that may be a password.
    """
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - belongs to an extra

    readable = True
    try:
        parse_url(url.reveal())
    except ValueError:
        readable = False
    if not readable:
        msg = "the Redis URL cannot be read; expected redis://, rediss:// or unix:// with a host"
        raise ConfigurationError(msg)


def make_client(url: Secret, timeout: float) -> Any:
    """Return a client with connections of its own, which never repeats a command by itself."""
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - belongs to an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    # A script that was run and whose answer was lost would be run, and counted, again.
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
    """Return what connections call themselves; unless told, they look for it on the disk."""
    try:
        driver = import_module("redis.driver_info")
    except ImportError:
        return {"lib_name": "gong_async", "lib_version": __version__}
    return {"driver_info": driver.DriverInfo(name="gong_async", lib_version=__version__)}


@define(eq=False)
class Notice:
    """Says once that Redis is away, and once that it is back, for all loops and companies."""

    away: bool = False

    def lost(self, problem: str) -> None:
        """Note that Redis did not answer."""
        if not self.away:
            self.away = True
            _log.warning(
                "Redis does not answer (%s); until it does, this process keeps to its own share "
                "of Gong's limits",
                problem,
            )

    def found(self) -> None:
        """Note that Redis answered."""
        if self.away:
            self.away = False
            _log.info("Redis answers again; Gong's limits are shared again")


@define(eq=False)
class Link:
    """Runs the script. When Redis is away it says so, and looks for it now and then."""

    client: Any
    owned: bool
    timeout: float
    notice: Notice
    away: bool = field(default=False, init=False)
    _look_at: float = field(default=0.0, init=False)
    _looking: bool = field(default=False, init=False)
    _tasks: set[asyncio.Task[Any]] = field(factory=set, init=False)

    async def run(self, keys: list[str], args: list[str]) -> list[Any] | None:
        """Run the script once; None if Redis is away. Never raises for what Redis does."""
        if self.away:
            self._look()
            return None
        problem = ""
        # A connection that was found dead is no reason to do without Redis: a second may live.
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
        """Do `work` beside the calls."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Finish what is done beside the calls and close the connections that are ours."""
        if self._looking:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.owned:
            await self.client.aclose()

    async def _try(self, keys: list[str], args: list[str]) -> tuple[list[Any], str]:
        """Return what the script answers, or the kind of error."""
        from redis.exceptions import NoScriptError, RedisError  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                try:
                    return await self.client.evalsha(SHA, len(keys), *keys, *args), ""
                except NoScriptError:
                    return await self.client.eval(SCRIPT, len(keys), *keys, *args), ""
        except (RedisError, OSError) as error:
            # Only the kind of error is told: what it says may hold a host, a user, a command.
            return [], type(error).__name__

    def _lost(self, problem: str) -> None:
        self.away = True
        self._look_at = asyncio.get_running_loop().time() + _LOOK_EVERY
        self.notice.lost(problem)

    def _look(self) -> None:
        """See whether Redis is back, but let nobody wait for it."""
        if not self._looking and asyncio.get_running_loop().time() >= self._look_at:
            self._looking = True
            self.later(self._ping())

    async def _ping(self) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                await self.client.ping()
            self.away = False
            self.notice.found()
        except (RedisError, OSError):
            self._look_at = asyncio.get_running_loop().time() + _LOOK_EVERY
        finally:
            self._looking = False
