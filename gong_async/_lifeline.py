"""Ends calls before their time: at their deadline, or when the client is closed."""

from __future__ import annotations

import asyncio

from attrs import define, field

from gong_async.errors import UsageError


def _expire(scope: asyncio.Timeout) -> None:
    try:
        scope.reschedule(asyncio.get_running_loop().time())
    except RuntimeError:
        return  # it has just ended by itself


@define(eq=False)
class Lifeline:
    """Shared by a client and all its `with_options` copies."""

    closed: bool = False
    _scopes: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = field(factory=dict, init=False)

    def check(self) -> None:
        """Refuse to begin anything once the client is closed."""
        if self.closed:
            msg = "this client is closed; make a new one"
            raise UsageError(msg)

    def hold(self, scope: asyncio.Timeout) -> None:
        """Have `scope` end when the client is closed."""
        self._scopes[scope] = asyncio.get_running_loop()

    def let_go(self, scope: asyncio.Timeout) -> None:
        """Forget `scope`: it is about to end by itself."""
        del self._scopes[scope]

    async def cut(self) -> None:
        """Close: end every call that is under way, in whatever loop it runs."""
        self.closed = True
        for scope, loop in list(self._scopes.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(_expire, scope)
        # Two turns of the loop: one for the cancellations, one for what they set free.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
