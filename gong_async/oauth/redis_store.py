"""A login in Redis, for programs on any number of machines."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gong_async._redact import Secret, hide_locals
from gong_async.errors import ConfigurationError
from gong_async.limits.redis.connection import check_url, load_redis, make_client
from gong_async.oauth.tokens import LOCK_SECONDS, Tokens

TIMEOUT = 5.0
"""Seconds that Redis may take for an answer."""

_LOOK_EVERY = 0.05
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisTokenStore:
    """Keeps a login in Redis. The tokens are stored in plain text: restrict access to them.

    The lock lies beside it and ends by itself when its holder has died.

    Args:
        name: identifies the login; a part of the key.
        url: `redis://`, `rediss://` or `unix://`. It may hold a password, and is never shown.
        client: a `redis.asyncio` client of your own in place of `url`, for one event loop. It is
            used as it is and never closed.
        timeout: seconds that Redis may take for an answer.

    Raises:
        ConfigurationError: the extra `redis` is not installed, or one of these cannot work.
    """

    @hide_locals
    def __init__(
        self,
        name: str,
        url: str | Secret | None = None,
        *,
        client: Any = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = None if url is None else Secret.of(url)
        if (self._url is None) == (client is None):
            msg = "RedisTokenStore needs either a url or a client, and not both"
            raise ConfigurationError(msg)
        if not name or not name.isprintable():
            msg = "RedisTokenStore needs a name of printable characters"
            raise ConfigurationError(msg)
        load_redis("logins kept in Redis")
        if self._url is not None:
            check_url(self._url)
        tag = name.replace("{", "(").replace("}", ")")
        # In a cluster the part in braces keeps both in one place.
        self._key, self._lock_key = (f"gong:{{login {tag}}}:{part}" for part in ("pair", "lock"))
        self._name = name
        self._client = client
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The name."""
        return f"redis {self._name}"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Lock out renewals by all other programs, on all machines."""
        mine, give_up = secrets.token_hex(16), time.monotonic() + LOCK_SECONDS
        lease = int(LOCK_SECONDS * 1000)
        try:
            while not await self._do("set", self._lock_key, mine, nx=True, px=lease):
                if time.monotonic() > give_up:
                    raise ConfigurationError(
                        f"another program has held the lock of the login {self._name!r} "
                        f"for {LOCK_SECONDS:g} s"
                    )
                await asyncio.sleep(_LOOK_EVERY)
            yield
        finally:
            # Also after an error: the reply may have been lost although the lock was taken.
            await self._give_back(mine)

    async def load(self) -> Tokens | None:
        """Ask Redis."""
        kept = await self._do("get", self._key)
        if kept is None:
            return None
        return Tokens.restore(Secret(kept if isinstance(kept, str) else kept.decode()))

    async def save(self, tokens: Tokens) -> None:
        """Replace the pair."""
        await self._do("set", self._key, tokens.reveal())

    async def clear(self) -> None:
        """Remove the pair."""
        await self._do("delete", self._key)

    async def _give_back(self, mine: str) -> None:
        try:
            await self._do("eval", _RELEASE, 1, self._lock_key, mine)
        except ConfigurationError:
            return  # it ends by itself

    @hide_locals
    async def _do(self, command: str, *given: Any, **named: Any) -> Any:
        """Run one command on a connection of its own: a renewal is rare, and may be in any loop."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - belongs to an extra

        client: Any = self._client
        if self._url is not None:
            client = make_client(self._url, self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                return await getattr(client, command)(*given, **named)
        except (RedisError, OSError) as error:
            # Only the type of the error: its message may contain a host, a user or a command.
            problem = type(error).__name__
            raise ConfigurationError(
                f"the login {self._name!r} cannot be kept in Redis: {problem}; "
                "check that the server can be reached"
            ) from None
        finally:
            if self._url is not None:
                await client.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"
