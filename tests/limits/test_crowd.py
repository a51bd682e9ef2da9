"""How often the others hear who waits: often enough to be believed, seldom enough to be free."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from attrs import Factory, define

from gong_async.limits.load import EVERY, FORGOTTEN, NOBODY, RENEWED, Crowd, Pulse, Report

pytestmark = pytest.mark.looptime


@define
class Room:
    """A crowd that the test changes, and what the others were told of it, and when."""

    crowd: Crowd = NOBODY
    report: Report = Factory(Report)
    told: list[tuple[float, Crowd]] = Factory(list[tuple[float, Crowd]])

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def tell(self) -> None:
        """Note what is told."""
        if (crowd := self.report.take(self.now())) is not None:
            self.told.append((self.now(), crowd))

    def pulse(self) -> Pulse:
        """Begin to tell."""
        return Pulse(self, self.report, self.now, self.tell)


async def test_calls_of_a_moment_are_not_told() -> None:
    """A call that is over within a second costs nobody anything."""
    room = Room(Crowd(interactive=1))
    room.pulse().count()
    await asyncio.sleep(EVERY / 2)
    room.tell()
    room.crowd = NOBODY
    await asyncio.sleep(60)

    assert room.told == []


async def test_a_crowd_that_does_not_move_is_told_again_before_it_is_forgotten() -> None:
    """In a hold no call asks for anything, and still its waiters count."""
    room = Room(Crowd(bulk=500))
    room.pulse().count()
    await asyncio.sleep(60)
    times = [at for at, _ in room.told]

    assert {crowd for _, crowd in room.told} == {Crowd(bulk=500)}
    assert times[0] == pytest.approx(EVERY)
    assert max(late - early for early, late in pairwise(times)) == RENEWED
    assert 2 * RENEWED < FORGOTTEN


async def test_what_changes_is_told_once_a_second() -> None:
    """However often a call asks: most of its transactions carry nothing."""
    room = Room()
    pulse = room.pulse()
    for waiting in range(1000, 0, -1):
        room.crowd = Crowd(bulk=waiting)
        pulse.count()
        room.tell()
        await asyncio.sleep(0.01)

    assert len(room.told) == pytest.approx(10, abs=1)


async def test_that_all_have_left_is_told_once() -> None:
    """Within a second or two; then there is silence, without a timer."""
    room = Room(Crowd(bulk=1))
    room.pulse().count()
    await asyncio.sleep(1.5)
    room.crowd = NOBODY
    await asyncio.sleep(2)
    told = list(room.told)
    await asyncio.sleep(60)

    assert [crowd for _, crowd in told] == [Crowd(bulk=1), NOBODY]
    assert room.told == told


async def test_a_change_right_after_a_report_is_told_as_well() -> None:
    """The last call leaves just after others were told that it is here."""
    room = Room(Crowd(in_flight=1))
    pulse = room.pulse()
    pulse.count()
    await asyncio.sleep(EVERY * 2.5)
    room.crowd = Crowd(in_flight=2)
    pulse.count()
    room.tell()
    room.crowd = NOBODY
    await asyncio.sleep(5)

    assert room.told[-1][1] == NOBODY
