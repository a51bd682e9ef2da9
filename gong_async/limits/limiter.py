"""What all limiters share: a queue for each event loop, and turns that report how they ended."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from attrs import define, field

from gong_async.limits.queue import Queue
from gong_async.limits.types import Lane, Limits, Quota, Settlement


class Keeper(Protocol):
    """Keeps one company's limits for the queue of one event loop."""

    def now(self) -> float:
        """Return the keeper's steady time, in seconds."""
        ...

    def begin(self, now: float, lane: Lane, patience: float, *, free: bool) -> bool | None:
        """Raise at once, ahead of any queue, what the queue could only lead to.

        If the way is `free`, a turn that needs no waiting may be taken at once: returned is
        whether it probes. None means that the caller has to line up.
        """
        ...

    async def ask(self, lane: Lane, patience: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        ...

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled: nothing goes out."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Take note of how a turn ended."""
        ...

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        ...


@define(eq=False)
class QueuedLimiter(ABC):
    """Enforces one company's limits over any number of clients, threads and event loops."""

    limits: Limits = field(factory=Limits)
    _desks: dict[asyncio.AbstractEventLoop, tuple[Queue, Keeper]] = field(
        factory=dict, init=False, repr=False
    )
    _pid: int = field(factory=os.getpid, init=False, repr=False)

    def turn(self, *, patience: float, lane: Lane = "interactive") -> QueuedTurn:
        """Wait for the right to send one request: see `Limiter.turn`."""
        return QueuedTurn(*self._desk(), lane, patience)

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        _, keeper = self._desk()
        return await keeper.quota()

    def leave(self) -> None:  # noqa: B027 - a limiter that belongs to nobody has nothing to do
        """Tell that a client is closed; this limiter belongs to nobody in particular."""

    @abstractmethod
    def make_keeper(self, queue: Queue) -> Keeper:
        """Return a keeper for the running loop; it lets `queue` look again when that may help."""

    def leave_parent(self) -> None:
        """After a fork: what the parent has under way is the parent's."""
        self._desks = {}

    def queues(self) -> list[tuple[asyncio.AbstractEventLoop, Queue]]:
        """Return the queue of every loop."""
        return [(loop, queue) for loop, (queue, _) in list(self._desks.items())]

    def _desk(self) -> tuple[Queue, Keeper]:
        if self._pid != os.getpid():
            self.leave_parent()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is None:
            for gone in [known for known in list(self._desks) if known.is_closed()]:
                self._desks.pop(gone, None)
            queue = Queue(self.limits.max_in_flight)
            desk = self._desks[loop] = (queue, self.make_keeper(queue))
        return desk


class QueuedTurn:
    """One turn: `async with limiter.turn(patience=60) as turn`."""

    __slots__ = (
        "_accepted",
        "_hold",
        "_keeper",
        "_lane",
        "_patience",
        "_probes",
        "_queue",
        "_sent_at",
        "_unused",
        "waited",
    )

    def __init__(self, queue: Queue, keeper: Keeper, lane: Lane, patience: float) -> None:
        self._queue = queue
        self._keeper = keeper
        self._lane: Lane = lane
        self._patience = patience
        self._probes = False
        self._accepted = False
        self._unused = False
        self._hold: float | None = None
        self._sent_at = 0.0
        self.waited: float = 0.0

    def accepted(self) -> None:
        """Tell that the request was not refused by Gong's limit."""
        self._accepted = True

    def refused(self, hold: float) -> None:
        """Tell that Gong's limit refused the request: hold everybody for `hold` seconds."""
        self._hold = hold

    def unused(self) -> None:
        """Tell that no request went out after all."""
        self._unused = True

    async def __aenter__(self) -> Self:
        keeper, queue, lane = self._keeper, self._queue, self._lane
        asked = self._sent_at = keeper.now()
        probes = keeper.begin(asked, lane, self._patience, free=queue.is_free)
        if probes is None:
            probes = await queue.enter(keeper, lane, self._patience)
            self._sent_at = keeper.now()
            self.waited = self._sent_at - asked
        else:
            await queue.walk_in()
        self._probes = probes
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._queue.leave()
        if self._unused:
            self._keeper.undo(probes=self._probes)
            return
        await self._keeper.settle(
            Settlement(self._sent_at, self._probes, self._accepted, self._hold)
        )
