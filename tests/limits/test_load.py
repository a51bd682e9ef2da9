"""How often the load is reported: often enough to be accurate, seldom enough to be cheap."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from attrs import Factory, define

from gong_async.limits.load import EVERY, FORGOTTEN, NO_LOAD, RENEWED, Heartbeat, Load, Report

pytestmark = pytest.mark.looptime


@define
class Room:
    """A load that the test changes, and what was reported of it, and when."""

    load: Load = NO_LOAD
    report: Report = Factory(Report)
    reported: list[tuple[float, Load]] = Factory(list[tuple[float, Load]])

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def publish(self) -> None:
        """Note what is published."""
        if (load := self.report.take(self.now())) is not None:
            self.reported.append((self.now(), load))

    def heartbeat(self) -> Heartbeat:
        """Return the heartbeat."""
        return Heartbeat(self, self.report, self.now, self.publish)


async def test_short_calls_are_not_reported() -> None:
    """A call that is over within a second costs nothing."""
    room = Room(Load(interactive=1))
    room.heartbeat().count()
    await asyncio.sleep(EVERY / 2)
    room.publish()
    room.load = NO_LOAD
    await asyncio.sleep(60)

    assert room.reported == []


async def test_an_unchanged_load_is_reported_again_before_it_expires() -> None:
    """During a pause no call asks for a permit, and still the calls that wait count."""
    room = Room(Load(bulk=500))
    room.heartbeat().count()
    await asyncio.sleep(60)
    times = [at for at, _ in room.reported]

    assert {load for _, load in room.reported} == {Load(bulk=500)}
    assert times[0] == pytest.approx(EVERY)
    assert max(late - early for early, late in pairwise(times)) == RENEWED
    assert 2 * RENEWED < FORGOTTEN


async def test_a_changing_load_is_reported_once_a_second() -> None:
    """However often a call asks: most of its transactions carry nothing."""
    room = Room()
    heartbeat = room.heartbeat()
    for waiting in range(1000, 0, -1):
        room.load = Load(bulk=waiting)
        heartbeat.count()
        room.publish()
        await asyncio.sleep(0.01)

    assert len(room.reported) == pytest.approx(10, abs=1)


async def test_an_empty_queue_is_reported_once() -> None:
    """Within a second or two; then there is silence, without a timer."""
    room = Room(Load(bulk=1))
    room.heartbeat().count()
    await asyncio.sleep(1.5)
    room.load = NO_LOAD
    await asyncio.sleep(2)
    reported = list(room.reported)
    await asyncio.sleep(60)

    assert [load for _, load in reported] == [Load(bulk=1), NO_LOAD]
    assert room.reported == reported


async def test_a_change_right_after_a_report_is_reported_as_well() -> None:
    """The last call ends just after it was reported."""
    room = Room(Load(in_flight=1))
    heartbeat = room.heartbeat()
    heartbeat.count()
    await asyncio.sleep(EVERY * 2.5)
    room.load = Load(in_flight=2)
    heartbeat.count()
    room.publish()
    room.load = NO_LOAD
    await asyncio.sleep(5)

    assert room.reported[-1][1] == NO_LOAD
