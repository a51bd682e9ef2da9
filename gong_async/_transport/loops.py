"""The sessions and deadlines of each event loop, closed with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Protocol
from weakref import WeakKeyDictionary

from aiohttp import ClientSession
from attrs import define, field

from gong_async._transport.http1 import Origin


class Expiring(Protocol):
    """Anything with a deadline."""

    def expire(self) -> None:
        """End: the deadline has passed."""
        ...


class Deadlines(dict[Expiring, float]):
    """The deadlines of one loop, on its clock, with one timer for all: remove what has ended.

    A timer for each would cost more than all that is done here for those that end in time, which
    nearly all of them do. For the same reason the timer stays when one is removed: the next call
    needs it, and one that finds nothing to do costs less.
    """

    def __init__(self) -> None:
        super().__init__()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, one: Expiring, until: float) -> None:
        """Expire `one` at `until`, unless it is removed before."""
        self[one] = until
        if self._timer is None or until < self._timer.when():
            self._wake_at(until)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._look, when)

    def _look(self, now: float) -> None:
        # Timers may come a hair early by the loop's clock: the time that was waited for counts.
        self._timer = None
        for one in [one for one, until in self.items() if until <= now]:
            del self[one]
            one.expire()
        if self:
            self._wake_at(min(self.values()))


@define(eq=False)
class Loop:
    """The sessions and deadlines of one event loop."""

    sessions: dict[bool, ClientSession] = field(factory=dict)
    """By whether each request gets a new connection."""
    origins: dict[tuple[bool, str], Origin] = field(factory=dict)
    """The servers that are reached through them."""
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
