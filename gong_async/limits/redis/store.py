"""The limit store in Redis, for any number of processes on any number of hosts."""

from __future__ import annotations

import asyncio
import os
import threading
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from attrs import define, field

from gong_async._redact import Secret
from gong_async._settings.values import instance_of, number
from gong_async.errors import ConfigurationError
from gong_async.limits.limiter import LimitBackend, QueuedLimiter
from gong_async.limits.memory import strictest
from gong_async.limits.queue import Queue
from gong_async.limits.redis.backend import RedisBackend
from gong_async.limits.redis.connection import (
    TIMEOUT,
    Link,
    Notice,
    check_url,
    load_redis,
    make_client,
)
from gong_async.limits.types import Limits


@define(eq=False)
class RedisLimiter(QueuedLimiter):
    """Enforces one company's limits over all processes that use the same Redis."""

    store: RedisLimitStore = field(kw_only=True)
    company: str = field(kw_only=True)

    @property
    def keys(self) -> list[str]:
        """The company's keys. The part in braces keeps them in one slot of a cluster."""
        tag = self.company.replace("{", "(").replace("}", ")")
        return [f"gong:{{{tag}}}:{name}" for name in ("gate", "line", "day", "crowd")]

    @property
    def expected_processes(self) -> int:
        """How many processes share the limits while Redis is unreachable."""
        return self.store.expected_processes

    def make_backend(self, queue: Queue) -> LimitBackend:
        """Return a backend for the running loop."""
        return RedisBackend(self, queue, asyncio.get_running_loop())


class RedisLimitStore:
    """Keeps the limits in Redis, for all processes of all hosts that use the same server.

    Slots are reserved ahead on the clock of the Redis server. While Redis is unreachable, each
    process continues at its fraction of the rate; the logger `gong_async` gets one warning.

    Args:
        url: `redis://`, `rediss://` or `unix://`. It may contain a password, and is never shown.
        client: a `redis.asyncio` client of your own in place of `url`, for one event loop. It is
            used as it is and never closed.
        expected_processes: how many processes share the limits; used while Redis is unreachable.
        timeout: seconds to wait for a reply of Redis.

    Raises:
        ConfigurationError: the extra `redis` is not installed, or an argument is invalid.
    """

    def __init__(
        self,
        url: str | Secret | None = None,
        *,
        client: Any = None,
        expected_processes: int = 1,
        timeout: float = TIMEOUT,
    ) -> None:
        if (url is None) == (client is None):
            msg = "RedisLimitStore needs either a url or a client, not both"
            raise ConfigurationError(msg)
        processes = number("expected_processes", expected_processes, whole=True, least=1)
        timeout = number("timeout", timeout, above=0)
        load_redis()
        self.expected_processes: int = int(processes)
        self._url: Secret | None = None
        if url is not None:
            self._url = url if isinstance(url, Secret) else Secret(instance_of("url", url, str))
        del url
        if self._url is not None:
            check_url(self._url)
        self._client = client
        self._timeout = timeout
        self._notice = Notice()
        self._links: dict[tuple[int, asyncio.AbstractEventLoop], Link] = {}
        self._limiters: WeakValueDictionary[str, RedisLimiter] = WeakValueDictionary()
        self._mutex = threading.Lock()

    def limiter(self, company: str, limits: Limits) -> RedisLimiter:
        """Return the limiter of `company`; it is dropped when it is no longer referenced."""
        with self._mutex:
            known = self._limiters.get(company)
            if known is not None:
                known.limits = strictest(known.limits, limits)
                return known
            made = self._limiters[company] = RedisLimiter(limits, store=self, company=company)
            return made

    @property
    def link(self) -> Link:
        """The running loop's connection to Redis, opened when it is first used."""
        key = (os.getpid(), asyncio.get_running_loop())
        link = self._links.get(key)
        if link is None:
            for closed in [(pid, loop) for pid, loop in list(self._links) if loop.is_closed()]:
                self._links.pop(closed, None)
            owned = self._url is not None
            client = make_client(self._url, self._timeout) if self._url else self._client
            link = self._links[key] = Link(client, owned, self._timeout, self._notice)
        return link

    @property
    def open_link(self) -> Link | None:
        """The running loop's connection to Redis, if there is one."""
        return self._links.get((os.getpid(), asyncio.get_running_loop()))

    async def aclose(self) -> None:
        """Close the running loop's connections; the next call opens new ones.

        A `client` of your own stays open.
        """
        link = self._links.pop((os.getpid(), asyncio.get_running_loop()), None)
        if link is not None:
            await link.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.expected_processes} processes or more>"
