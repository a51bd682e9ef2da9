"""How many calls wait and are under way, and how other processes hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from attrs import define, field, frozen

from gong_async.limits.types import Priority

EVERY = 1.0
"""Seconds between two reports of numbers that change."""

RENEWED = 3.0
"""Seconds between two reports of numbers that do not change."""

FORGOTTEN = 10.0
"""Seconds after which a report says nothing: whoever wrote it has died, or hangs."""


@frozen
class Load:
    """The calls of one company that wait for a turn, by lane, and those that have one."""

    interactive: int = 0
    bulk: int = 0
    in_flight: int = 0

    @property
    def waiting(self) -> dict[Priority, int]:
        """Calls that wait for a turn, by lane."""
        return {"interactive": self.interactive, "bulk": self.bulk}

    def __add__(self, other: Load) -> Load:
        return Load(
            self.interactive + other.interactive,
            self.bulk + other.bulk,
            self.in_flight + other.in_flight,
        )


NO_LOAD = Load()


@define
class Report:
    """What others shall know of one queue, and what they were told last.

    One thread counts, another may tell.
    """

    load: Load = NO_LOAD
    name: str = field(factory=lambda: uuid4().hex[:16], init=False)
    """Under which the numbers are kept beside those of other queues."""
    _describe: Load = field(default=NO_LOAD, init=False)
    _reported_at: float = field(default=float("-inf"), init=False)

    @property
    def is_over(self) -> bool:
        """Whether nobody is here, and the others know it."""
        return self.load == self._describe == NO_LOAD

    def begin(self, now: float) -> None:
        """Note that calls come after a silence: those of a moment are not worth a report."""
        if self._describe == NO_LOAD:
            self._reported_at = now

    def is_due(self, now: float) -> bool:
        """Tell whether the others must hear of it now."""
        if self.is_over:
            return False
        return now - self._reported_at >= (RENEWED if self.load == self._describe else EVERY)

    def take(self, now: float) -> Load | None:
        """Return the numbers if they are due. They count as told, even if they get lost."""
        if not self.is_due(now):
            return None
        self._describe, self._reported_at = self.load, now
        return self._describe


class Counted(Protocol):
    """What has a crowd."""

    @property
    def load(self) -> Load:
        """How many calls are here."""
        ...


@define(eq=False)
class Heartbeat:
    """Sees to it that others are told while calls are here, also when none of them moves.

    Whatever is sent to the others anyway takes the report along. In a hold, behind calls without an
    answer, and when the last call has left, nothing is sent: then `publish` is called.
    """

    source: Counted
    report: Report
    now: Callable[[], float]
    publish: Callable[[], object]
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def count(self) -> None:
        """Bring the report up to date; there is a call, so go on doing it."""
        self.report.load = self.source.load
        if self._timer is None:
            self.report.begin(self.now())
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._beat)

    def _beat(self) -> None:
        self._timer = None
        self.report.load = self.source.load
        if self.report.is_due(self.now()):
            self.publish()
        if not self.report.is_over:
            self._wait()
