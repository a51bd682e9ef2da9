"""The limit store in Redis, for any number of processes on any number of hosts."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from gong_async._redact import Secret, hide_locals
from gong_async._settings.values import instance_of, number
from gong_async.errors import ConfigurationError
from gong_async.limits.limiter import CompanyLimits, LimitStore
from gong_async.limits.queue import Queue
from gong_async.limits.redis.connection import TIMEOUT, RedisLinks, check_url, load_redis
from gong_async.limits.redis.queue import RedisQueue
from gong_async.limits.redis.script import keys_of


class RedisLimitStore(LimitStore):
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

    @hide_locals
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
        super().__init__()
        self.expected_processes: int = int(processes)
        secret: Secret | None = None
        if url is not None:
            secret = url if isinstance(url, Secret) else Secret(instance_of("url", url, str))
        if secret is not None:
            check_url(secret)
        self.links: RedisLinks = RedisLinks(secret, client, timeout)

    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue of `company` for the running loop."""
        keys = keys_of(company.name)
        return RedisQueue(company.limits, self.links, keys, self.expected_processes)

    async def aclose(self) -> None:
        """Close the running loop's connections; the next call opens new ones.

        A `client` of your own stays open.
        """
        await self.links.aclose()

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
