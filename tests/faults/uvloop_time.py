"""uvloop with virtual time: what looptime does for asyncio's own loops."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import uvloop

_LOOK = 0.001
"""Real seconds between two looks for events."""
_QUIET_LOOKS = 2
"""Looks without an event after which only time can bring the next one. The kernel may take its time
to deliver, and what uvloop does by itself, such as writing what was buffered, is no event."""


class VirtualLoop(uvloop.Loop):
    """Jumps to its next timer whenever nothing else happens."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._events = 0
        self._events_seen = 0
        self._quiet = 0
        self._threads = 0
        self._watching = False

    def time(self) -> float:
        """Return the virtual time."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call in the next turn of the loop, and count that as an event."""
        self._events += 1
        return super().call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call after virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a virtual time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._events += 1
        self._watch()
        return timer

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Look an address up, in a thread of uvloop's own; time stands still meanwhile."""
        return await self._threaded(super().getaddrinfo(*args, **kwargs))

    def run_in_executor(self, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run in a thread; time stands still meanwhile."""
        return asyncio.ensure_future(self._threaded(super().run_in_executor(*args)), loop=self)

    async def _threaded(self, work: Awaitable[Any]) -> Any:
        self._threads += 1
        try:
            return await work
        finally:
            self._threads -= 1

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is dropped when its time has come."""

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            super().call_later(_LOOK, self._look)

    def _look(self) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        quiet = self._events == self._events_seen and not self._threads
        self._quiet = self._quiet + 1 if quiet else 0
        if self._quiet >= _QUIET_LOOKS:
            self._quiet = 0
            self._jump()
        self._events_seen = self._events
        if not self._timers:
            self._watching = False
        else:
            super().call_later(_LOOK, self._look)

    def _jump(self) -> None:
        if not self._timers:
            return
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled():
                # Not counted: what it brings about is.
                super().call_soon(timer._run)
