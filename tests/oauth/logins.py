"""What the tests of OAuth share: a store in memory, and a login that was approved a moment ago."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gong_async import ConfigurationError, OAuth, Secret, Tokens, TokenStore
from gong_async.testing import FakeGong

REDIRECT_URI = "http://127.0.0.1:8914/callback"


class MemoryStore:
    """A store of the caller's own, which can fail, and whose lock can be of no use."""

    def __init__(self, tokens: Tokens | None = None, *, name: str = "memory") -> None:
        self.name = name
        self.tokens = tokens
        self.saves = 0
        self.loads = 0
        self.failing_saves = 0
        self.locks = True
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Let one in, unless the lock is broken."""
        if not self.locks:
            yield
            return
        async with self._lock:
            yield

    async def load(self) -> Tokens | None:
        """Return the pair."""
        self.loads += 1
        return self.tokens

    async def save(self, tokens: Tokens) -> None:
        """Keep the pair."""
        if self.failing_saves:
            self.failing_saves -= 1
            msg = "no space left"
            raise ConfigurationError(msg)
        self.saves += 1
        self.tokens = tokens

    async def clear(self) -> None:
        """Forget the pair."""
        self.tokens = None


def approved(fake: FakeGong, **changes: Any) -> Tokens:
    """Return the pair of a login that was approved a moment ago."""
    pair = fake.oauth.log_in("api:meetings:user:update")
    given: dict[str, Any] = {
        "access_token": Secret(pair["access_token"]),
        "refresh_token": Secret(pair["refresh_token"]),
        "base_url": fake.url,
        "scopes": ("api:meetings:user:update",),
    }
    return Tokens(**{**given, **changes})


def application(fake: FakeGong, store: TokenStore, **options: Any) -> OAuth:
    """Return the credential of the application that the fake knows."""
    return OAuth(fake.oauth.client_id, fake.oauth.client_secret, store, app_url=fake.url, **options)


def token_requests(fake: FakeGong) -> int:
    """Return how often the token endpoint was asked."""
    asked = [one for one in fake.received if one.operation == "generateCustomerToken"]
    return len(asked)
