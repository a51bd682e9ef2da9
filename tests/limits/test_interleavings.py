"""Random callers against the limiter: no permit is lost, none is created, and none comes late."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import looptime
import pytest
from attrs import Factory, define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async import Limits
from gong_async.limits.memory import MemoryLimitStore

INTERVAL = 1.0
EPSILON = 1e-3
MAX_WAIT = 1e9

Kind = Literal["ask", "grant", "leave", "accepted", "lost", "refused"]


@frozen
class Caller:
    """What one caller does: when it comes, how its call ends, when it gives up."""

    after: float
    flight: float
    ending: Literal["accepted", "lost", "refused"]
    pause: float
    gives_up: float | None


@define
class Judge:
    """Follows what happens, and writes down what must not happen."""

    places: int
    waiting: list[int] = Factory(list[int])
    flying: set[int] = Factory(set[int])
    last_grant: float = float("-inf")
    paused_until: float | None = None
    probe: int | None = None
    due: float | None = None
    faults: list[str] = Factory(list[str])
    granted: int = 0

    def see(self, at: float, kind: Kind, caller: int, pause: float = 0.0) -> None:
        """Take note of an event, and object to it if it is wrong or comes late."""
        if self.due is not None and at > self.due + EPSILON:
            self.faults.append(f"a permit was due at {self.due}, but only at {at}: {kind} {caller}")
        match kind:
            case "ask":
                self.waiting.append(caller)
            case "leave":
                self.waiting.remove(caller)
            case "grant":
                self._grant(at, caller)
            case _:
                self._end(at, kind, caller, pause)
        self.due = self._next_due(at)

    def _grant(self, at: float, caller: int) -> None:
        if self.due is None or at < self.due - EPSILON:
            self.faults.append(f"{caller} has a permit at {at}, but the next is due at {self.due}")
        if self.waiting[0] != caller:
            self.faults.append(f"{caller} has a permit before {self.waiting[0]}")
        self.waiting.remove(caller)
        self.flying.add(caller)
        self.last_grant = at
        self.granted += 1
        if self.paused_until is not None:
            self.probe = caller

    def _end(self, at: float, kind: Kind, caller: int, pause: float) -> None:
        self.flying.remove(caller)
        if kind == "refused":
            self.paused_until = max(self.paused_until or at, at + pause)
        elif kind == "accepted" and caller == self.probe and (self.paused_until or at) <= at:
            self.paused_until = None
        if caller == self.probe:
            self.probe = None

    def _next_due(self, at: float) -> float | None:
        if not self.waiting or len(self.flying) >= self.places or self.probe is not None:
            return None
        return max(at, self.last_grant + INTERVAL, self.paused_until or at)


async def play(callers: list[Caller], places: int) -> Judge:
    """Let the callers loose on a limiter."""
    loop = asyncio.get_running_loop()
    limiter = MemoryLimitStore().limiter(
        "A",
        Limits(
            per_second=1 / INTERVAL, per_day=None, max_in_flight=places, headroom=0, learns=False
        ),
    )
    judge = Judge(places)

    async def call(number: int, caller: Caller) -> None:
        ending: Kind = "leave"
        judge.see(loop.time(), "ask", number)
        try:
            async with limiter.acquire(max_wait=MAX_WAIT) as permit:
                judge.see(loop.time(), "grant", number)
                ending = "lost"
                await asyncio.sleep(caller.flight)
                ending = caller.ending
                if ending == "accepted":
                    permit.accepted()
                elif ending == "refused":
                    permit.throttled(caller.pause)
        finally:
            judge.see(loop.time(), ending, number, caller.pause)

    tasks = []
    for number, caller in enumerate(callers):
        await asyncio.sleep(caller.after)
        task = asyncio.create_task(call(number, caller))
        tasks.append(task)
        if caller.gives_up is not None:
            loop.call_later(caller.gives_up, task.cancel)
    async with asyncio.timeout(100_000):
        await asyncio.gather(*tasks, return_exceptions=True)
    # One more: whatever the others left behind must not cost it anything.
    async with asyncio.timeout(100_000):
        await call(len(callers), Caller(0, 0, "accepted", 0, None))
    return judge


def seconds(most: int) -> st.SearchStrategy[float]:
    """Draw times that seldom coincide, and sometimes do."""
    return st.one_of(st.integers(0, most).map(float), st.floats(0, most).map(lambda x: round(x, 3)))


CALLERS = st.lists(
    st.builds(
        Caller,
        after=st.one_of(st.just(0.0), seconds(3)),
        flight=seconds(5),
        ending=st.sampled_from(["accepted", "accepted", "accepted", "lost", "refused"]),
        pause=seconds(20),
        gives_up=st.one_of(st.none(), st.none(), seconds(10)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(callers=CALLERS, places=st.integers(1, 4))
def test_no_interleaving_loses_or_creates_a_permit(callers: list[Caller], places: int) -> None:
    """Each permit is granted in order, at the very moment it is due, and never before."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        judge = runner.run(play(callers, places))

    assert judge.faults == []
    assert not judge.waiting and not judge.flying


@pytest.mark.full
def test_two_thousand_callers_lose_no_permit() -> None:
    """Two thousand callers, a third of whom give up at some point, leave nothing behind."""
    chance = random.Random(20_261_124)
    load = [
        Caller(
            after=chance.choice([0.0, 0.0, chance.uniform(0, 3)]),
            flight=chance.uniform(0, 6),
            ending=chance.choices(["accepted", "lost", "refused"], [90, 8, 2])[0],  # type: ignore[arg-type]
            pause=chance.uniform(0, 40),
            gives_up=chance.choice([None, None, chance.uniform(0, 500)]),
        )
        for _ in range(2_000)
    ]
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        judge = runner.run(play(load, 8))

    assert judge.faults == []
    assert judge.granted > 1_300
