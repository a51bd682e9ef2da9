"""The load of a queue, and the heartbeat that publishes it to other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from attrs import define, field, frozen

from gong_async.limits.types import Priority

EVERY = 1.0
"""Seconds between two reports while the numbers change."""

RENEWED = 3.0
"""Seconds between two reports while the numbers stay the same."""

FORGOTTEN = 10.0
"""Seconds after which a report expires: its process has died or hangs."""


@frozen
class Load:
    """The calls of one company that wait for a permit, by priority, and those in flight."""

    interactive: int = 0
    bulk: int = 0
    in_flight: int = 0

    @property
    def waiting(self) -> dict[Priority, int]:
        """Calls that wait for a permit, by priority."""
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
    """The current load of one queue, and the load that was last published.

    One thread may count while another publishes.
    """

    load: Load = NO_LOAD
    name: str = field(factory=lambda: uuid4().hex[:16], init=False)
    """Identifies the queue among those that share the limits."""
    _published: Load = field(default=NO_LOAD, init=False)
    _reported_at: float = field(default=float("-inf"), init=False)

    @property
    def is_over(self) -> bool:
        """Whether the queue is empty, and was published as empty."""
        return self.load == self._published == NO_LOAD

    def begin(self, now: float) -> None:
        """Start the interval at the first call: a call shorter than it is never published."""
        if self._published == NO_LOAD:
            self._reported_at = now

    def is_due(self, now: float) -> bool:
        """Return whether the load must be published now."""
        if self.is_over:
            return False
        return now - self._reported_at >= (RENEWED if self.load == self._published else EVERY)

    def take(self, now: float) -> Load | None:
        """Return the load if it is due. It counts as published, even if it is then lost."""
        if not self.is_due(now):
            return None
        self._published, self._reported_at = self.load, now
        return self._published


class Counted(Protocol):
    """Anything that has a load."""

    @property
    def load(self) -> Load:
        """Calls that wait and calls in flight."""
        ...


@define(eq=False)
class Heartbeat:
    """Publishes the load regularly for as long as there are calls.

    Every other write to the shared store carries the report along. During a pause, behind calls
    that hang, and after the last call, there is no such write: then `publish` is called.
    """

    source: Counted
    report: Report
    now: Callable[[], float]
    publish: Callable[[], object]
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def count(self) -> None:
        """Update the report, and start the timer if it is not running."""
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
