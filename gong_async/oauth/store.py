"""The protocol of token stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gong_async.oauth.tokens import Tokens

LOCK_SECONDS = 180.0
"""Seconds that a renewal may take at most, and that others wait for it."""


class TokenStore(Protocol):
    """Keeps one login for all programs that share it.

    A refresh token is valid once. A renewal holds the lock from before it reads the old
    pair until after it has saved the new one; no other program reads or saves meanwhile.

    A store may also have `async def check_writable(self) -> None`. It is called with the lock held,
    before a token is spent, and raises what `save` would raise.
    """

    @property
    def name(self) -> str:
        """Identifies the login, the same for all programs that share it; not secret."""
        ...

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Lock out renewals by all other programs, on all machines."""
        ...

    async def load(self) -> Tokens | None:
        """Return the pair, None without a login."""
        ...

    async def save(self, tokens: Tokens) -> None:
        """Replace the pair. When this returns, it must survive the death of the process."""
        ...

    async def clear(self) -> None:
        """Delete the pair."""
        ...


async def check_writable(store: TokenStore) -> None:
    """Check that a store can save, if it supports that.

    Raises:
        ConfigurationError: it cannot.
    """
    check: Callable[[], Awaitable[None]] | None = getattr(store, "check_writable", None)
    if check is not None:
        await check()
