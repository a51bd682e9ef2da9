"""The queue of one company's calls in one event loop, interactive calls first."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections import OrderedDict

from attrs import define, field

from gong_async.limits.load import Load
from gong_async.limits.types import Limits, PermitOutcome, Priority, Quota

Waiters = OrderedDict[asyncio.Event, None]
"""The calls that wait, in order of arrival, as events that wake them."""

_TICK = 1e-6


@define(eq=False)
class Queue(ABC):
    """Grants permits in order of arrival; a subclass gets them from its store.

    The first call in the queue asks for the next slot and waits for it. An interactive call goes
    before all bulk calls: it waits for the next slot only, however many bulk calls wait.
    """

    limits: Limits
    loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    pid: int = field(factory=os.getpid, init=False)
    in_flight: int = field(default=0, init=False)
    """Calls with a permit. Whatever lowers it calls `wake` if calls wait."""
    waiting: int = field(default=0, init=False)
    """Calls that wait, of both priorities."""
    since: dict[Priority, float] = field(
        factory=lambda: {"interactive": 0.0, "bulk": 0.0}, init=False
    )
    """The time since which only the rate delays the waiting calls of each priority."""
    _interactive: Waiters = field(factory=OrderedDict, init=False)
    _bulk: Waiters = field(factory=OrderedDict, init=False)
    _asking: int = field(default=0, init=False)

    @abstractmethod
    def now(self) -> float:
        """Return the store's monotonic time, in seconds."""

    @abstractmethod
    def acquire_nowait(self, now: float, priority: Priority, max_wait: float) -> bool | None:
        """Raise at once the errors that waiting could only delay.

        A permit that needs no wait may be granted at once: the return value is then whether it is
        a probe, and the caller counts it in `in_flight`. None means that the call has to wait.
        """

    @abstractmethod
    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""

    @abstractmethod
    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose request was not sent."""

    @abstractmethod
    async def settle(self, outcome: PermitOutcome) -> None:
        """Record how a permit was used."""

    @abstractmethod
    async def quota(self) -> Quota:
        """Return the usage of the limits and the load."""

    @property
    def load(self) -> Load:
        """Calls that wait and calls in flight."""
        return Load(len(self._interactive), len(self._bulk), self.in_flight)

    async def acquire(self, priority: Priority, max_wait: float) -> bool:
        """Wait for a permit, count the call in `in_flight`; return whether it is a probe."""
        waiters = self._interactive if priority == "interactive" else self._bulk
        if not waiters:
            self.since[priority] = self.now()
        wakeup = asyncio.Event()
        waiters[wakeup] = None
        self.waiting += 1
        try:
            while True:
                wakeup.clear()
                if self._head() is not wakeup:
                    await wakeup.wait()
                elif self.in_flight + self._asking >= self.limits.max_in_flight:
                    await self._wait_for_release(wakeup)
                else:
                    wait, probes = await self._ask(wakeup, priority, max_wait)
                    if not wait:
                        return probes
                    await self._sleep(wakeup, wait)
        finally:
            was_first = self._head() is wakeup
            del waiters[wakeup]
            self.waiting -= 1
            if was_first:
                self.wake()

    def wake(self) -> None:
        """Let the first call ask again: it has become the first, or the state has changed."""
        if (head := self._head()) is not None:
            head.set()

    def _head(self) -> asyncio.Event | None:
        """Return the event of the call that gets the next permit."""
        for waiters in (self._interactive, self._bulk):
            for wakeup in waiters:
                return wakeup
        return None

    async def _ask(
        self, wakeup: asyncio.Event, priority: Priority, max_wait: float
    ) -> tuple[float, bool]:
        # While a bulk call asks, an interactive one may come and ask as well: count both.
        self._asking += 1
        try:
            wait, probes = await self.ask(priority, max_wait)
            if not wait:
                self.in_flight += 1
            return wait, probes
        finally:
            self._asking -= 1
            if self._head() is not wakeup:
                self.wake()  # it may wait because this call was counted

    async def _wait_for_release(self, wakeup: asyncio.Event) -> None:
        """Wait until one more call may be in flight. Slots that pass meanwhile are lost."""
        self.since["interactive"] = self.since["bulk"] = float("inf")
        try:
            await wakeup.wait()
        finally:
            self.since["interactive"] = self.since["bulk"] = self.now()

    async def _sleep(self, wakeup: asyncio.Event, seconds: float) -> None:
        # Below its resolution a timer fires at once, and the next look would be too early.
        timer = self.loop.call_later(max(seconds, _TICK), wakeup.set)
        try:
            await wakeup.wait()
        finally:
            timer.cancel()
