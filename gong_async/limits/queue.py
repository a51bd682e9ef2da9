"""Who goes next: the calls of one company in one event loop, interactive ones first."""

from __future__ import annotations

import asyncio
from typing import Protocol

from attrs import Factory, define, field

from gong_async.limits.load import Crowd
from gong_async.limits.types import Lane

_TICK = 1e-6


class Keeper(Protocol):
    """What a queue asks for the next turn."""

    def now(self) -> float:
        """Return the keeper's steady time, in seconds."""
        ...

    async def ask(self, lane: Lane, patience: float) -> tuple[float, bool]:
        """Take the next turn: 0 and whether it probes; or the seconds after which to ask again."""
        ...

    def undo(self, *, probes: bool) -> None:
        """Take back a turn that was granted to a call that was cancelled: nothing goes out."""
        ...


def _places(queue: Queue) -> asyncio.Semaphore:
    return asyncio.Semaphore(queue.max_in_flight)


@define(eq=False)
class Queue:
    """Grants turns one by one, first come, first served.

    The caller at the head waits for the next slot. When the slot comes it goes to an interactive
    call, if one waits, before it goes to a bulk call, even to the one at the head: an interactive
    call waits for the next slot only, however long the bulk queue is.
    """

    max_in_flight: int
    places: asyncio.Semaphore = field(init=False, default=Factory(_places, takes_self=True))
    waiting: dict[Lane, int] = field(factory=lambda: {"interactive": 0, "bulk": 0}, init=False)
    since: dict[Lane, float] = field(factory=lambda: {"interactive": 0.0, "bulk": 0.0}, init=False)
    """While calls of a lane wait: from when on only the pace has kept them waiting."""
    in_flight: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)
    _surplus: int = field(default=0, init=False)
    """Places too many: they are taken away when they are free."""
    _head: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _in_line: int = field(default=0, init=False)
    _urgent: list[tuple[asyncio.Future[bool | None], float]] = field(factory=list, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)

    @property
    def crowd(self) -> Crowd:
        """How many calls are here."""
        return Crowd(self.waiting["interactive"], self.waiting["bulk"], self.in_flight)

    @property
    def is_free(self) -> bool:
        """Whether nobody is in line and a place is left."""
        left = self._taken < self.max_in_flight
        return left and not (self._in_line or self._urgent or self._surplus)

    async def walk_in(self) -> None:
        """Take a place while the queue is free; nothing is waited for."""
        self._taken += 1
        await self.places.acquire()
        self.in_flight += 1

    async def enter(self, keeper: Keeper, lane: Lane, patience: float) -> bool:
        """Wait for a turn; return whether it probes. `leave` gives the place back."""
        if not self.waiting[lane]:
            self.since[lane] = keeper.now()
        self.waiting[lane] += 1
        try:
            probes = None
            if lane == "interactive" and self._in_line:
                probes = await self._overtake(keeper, patience)
                if probes is None:
                    self._in_line -= 1  # counted when it was called up, to keep its place
            if probes is None:
                probes = await self._line_up(keeper, lane, patience)
        finally:
            self.waiting[lane] -= 1
        self.in_flight += 1
        return probes

    def leave(self) -> None:
        """Give the place among the calls in flight back."""
        self.in_flight -= 1
        self._free_place()

    def resize(self, max_in_flight: int) -> None:
        """Have more places or fewer from now on; calls in flight keep theirs until they end."""
        more = max_in_flight - self.max_in_flight
        self.max_in_flight = max_in_flight
        self._surplus += max(0, -more)
        for _ in range(more):
            self._give_place()

    async def _take_place(self, keeper: Keeper) -> None:
        while self._surplus and not self.places.locked():
            self._surplus -= 1
            await self.places.acquire()
        if self.places.locked():
            self.since["interactive"] = self.since["bulk"] = float("inf")
            try:
                await self.places.acquire()
            finally:
                self.since["interactive"] = self.since["bulk"] = keeper.now()
        else:
            await self.places.acquire()
        self._taken += 1

    def _free_place(self) -> None:
        self._taken -= 1
        self._give_place()

    def _give_place(self) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self.places.release()

    def look_again(self) -> None:
        """Let the head ask again: something has changed."""
        self._changed.set()

    async def _overtake(self, keeper: Keeper, patience: float) -> bool | None:
        """Wait beside the line; None means that there is no line any more to stand beside."""
        turn: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._urgent.append((turn, patience))
        self._changed.set()  # its slot may come sooner than that of the bulk call at the head
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(keeper, turn.result())
            raise

    def _give_back(self, keeper: Keeper, granted: bool | None) -> None:  # noqa: FBT001
        """Granted, or called up, and cancelled at the same moment."""
        if granted is None:
            self._in_line -= 1
            self._call_up()
            return
        self._free_place()
        keeper.undo(probes=granted)

    async def _line_up(self, keeper: Keeper, lane: Lane, patience: float) -> bool:
        self._in_line += 1
        try:
            async with self._head:
                return await self._lead(keeper, lane, patience)
        finally:
            self._in_line -= 1
            self._call_up()

    def _call_up(self) -> None:
        """Let an interactive call line up if nobody is left who would hand it a slot."""
        while self._urgent and not self._in_line:
            turn, _ = self._urgent.pop(0)
            if not turn.done():
                self._in_line += 1
                turn.set_result(None)

    async def _lead(self, keeper: Keeper, lane: Lane, patience: float) -> bool:
        """Stand at the head: hand slots to interactive calls until one is left for this call."""
        while True:
            await self._take_place(keeper)
            try:
                probes, turn = await self._slot(keeper, lane, patience)
            except BaseException:
                self._free_place()
                raise
            if turn is None:
                return probes
            turn.set_result(probes)

    async def _slot(
        self, keeper: Keeper, lane: Lane, patience: float
    ) -> tuple[bool, asyncio.Future[bool | None] | None]:
        """Wait for the next slot; return it with the interactive call that it is for, if any."""
        while True:
            self._changed.clear()
            urgent = self._next_urgent() if lane == "bulk" else None
            if urgent is None:
                wait, probes = await keeper.ask(lane, patience)
                if not wait:
                    return probes, None
            else:
                try:
                    wait, probes = await keeper.ask("interactive", urgent[1])
                except Exception as error:  # noqa: BLE001 - it is that call's to raise
                    self._drop(urgent[0], error)
                    continue
                if not wait:
                    return self._granted(urgent[0], probes=probes)
            await self._sleep(wait)

    def _granted(
        self, turn: asyncio.Future[bool | None], *, probes: bool
    ) -> tuple[bool, asyncio.Future[bool | None] | None]:
        # While the keeper was asked the call may have been cancelled; the slot is then ours.
        if turn.done():
            return probes, None
        self._urgent.pop(0)
        return probes, turn

    def _drop(self, turn: asyncio.Future[bool | None], error: Exception) -> None:
        if not turn.done():
            self._urgent.pop(0)
            turn.set_exception(error)

    def _next_urgent(self) -> tuple[asyncio.Future[bool | None], float] | None:
        while self._urgent and self._urgent[0][0].done():
            self._urgent.pop(0)
        return self._urgent[0] if self._urgent else None

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until something changes."""
        # Below its resolution a timer fires at once, and the sleeper would look again too early.
        delay = max(seconds, _TICK)
        timer = asyncio.get_running_loop().call_later(delay, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
