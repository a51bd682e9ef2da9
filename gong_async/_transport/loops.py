"""The sessions and connections of each event loop, closed with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import ClientSession
from aiohttp.client_proto import ResponseHandler
from attrs import define, field

from gong_async._transport.deadlines import Deadlines
from gong_async._transport.http1 import Origin


@define(eq=False)
class Loop:
    """The sessions and connections of one event loop."""

    sessions: dict[bool, ClientSession] = field(factory=dict)
    """By whether each request gets a new connection."""
    origins: dict[tuple[bool, str], Origin] = field(factory=dict)
    """The servers that are reached through them."""
    connections: WeakSet[ResponseHandler] = field(factory=WeakSet)
    """All used connections that may still be open."""
    deadlines: Deadlines = field(factory=Deadlines)
    guard: AsyncGenerator[None, None] | None = field(default=None, init=False)

    async def close_at_its_end(self) -> None:
        """Ensure that the sessions are closed no later than the loop."""
        self.guard = _until_the_end(self.sessions)
        await anext(self.guard)

    async def close(self) -> None:
        """Close the sessions now."""
        if self.guard is not None:
            await self.guard.aclose()


async def _until_the_end(sessions: dict[bool, ClientSession]) -> AsyncGenerator[None, None]:
    """Close the sessions when this generator is closed: by us, or by the loop at its own end.

    `asyncio.run` closes the async generators that are still open as the last thing in its loop.
    Later is too late, because without their loop the connections cannot be closed.
    """
    try:
        yield
    finally:
        for session in sessions.values():
            await session.close()


@define(eq=False)
class Loops:
    """The event loops of this process that have sent requests."""

    _known: WeakKeyDictionary[asyncio.AbstractEventLoop, Loop] = field(
        factory=WeakKeyDictionary, init=False
    )
    _left_to_parent: list[object] = field(factory=list, init=False)
    _pid: int = field(factory=os.getpid, init=False)

    def here(self) -> Loop:
        """Return the sessions of the running loop."""
        if self._pid != os.getpid():
            # After a fork the parent's sockets are the parent's. They are kept, because on its way
            # out each of them would take the parent's out of the selector that both share.
            self._left_to_parent.append(self._known)
            self._known = WeakKeyDictionary()
            self._pid = os.getpid()
        running = asyncio.get_running_loop()
        own = self._known.get(running)
        if own is None:
            for gone in [known for known in self._known if known.is_closed()]:
                del self._known[gone]
            own = self._known[running] = Loop()
        return own

    async def close_here(self) -> None:
        """Close and drop the sessions of the running loop."""
        own = self._known.pop(asyncio.get_running_loop(), None)
        if own is not None:
            await own.close()
