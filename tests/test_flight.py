"""One piece of work for all who wait for it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from gong_async.auth import SingleFlight


class Work:
    """Counts how often it is done, and can be let go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self.error = error

    async def __call__(self) -> int:
        """Do it."""
        self.begun += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return self.begun


async def yield_once() -> None:
    """Let everything begin that can."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_all_share_one() -> None:
    """Callers that join a running flight get its result; a later call starts another."""
    flight, work = SingleFlight[int](), Work()
    waiting = [asyncio.ensure_future(flight(work)) for _ in range(5)]
    await yield_once()
    work.go_on.set()

    assert await asyncio.gather(*waiting) == [1] * 5
    assert await flight(work) == 2


async def test_an_error_is_everybodys() -> None:
    """And the next one tries again."""
    flight, work = SingleFlight[int](), Work(LookupError("no"))
    waiting = [asyncio.ensure_future(flight(work)) for _ in range(3)]
    await yield_once()
    work.go_on.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(LookupError):
        await flight(work)

    assert [type(one) for one in ended] == [LookupError] * 3
    assert work.begun == 2


@pytest.mark.parametrize("error", [None, LookupError("no")])
async def test_it_goes_on_without_a_waiting_caller(error: Exception | None) -> None:
    """All are cancelled, and the work is finished all the same, without a word of complaint."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    flight, work = SingleFlight[int](), Work(error)
    waiting = [asyncio.ensure_future(flight(work)) for _ in range(3)]
    await yield_once()
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    work.go_on.set()
    await flight.landed()
    gc.collect()

    assert (work.begun, complaints) == (1, [])
    assert all(one.cancelled() for one in waiting)


async def test_nothing_under_way_has_landed() -> None:
    """There is nothing to wait for."""
    await SingleFlight[int]().landed()


def test_each_loop_has_its_own() -> None:
    """Work belongs to the loop that it was begun in, and nothing is kept of it."""
    flight = SingleFlight[int]()

    async def once() -> int:
        work = Work()
        work.go_on.set()
        return await flight(work)

    done = [asyncio.run(once()) for _ in range(2)]

    assert done == [1, 1]
    assert len(flight._under_way) == 0
