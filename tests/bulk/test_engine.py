"""The engine alone: order, bounds, and what is left behind. No server, virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from attrs import Factory, define

from gong_async import GongError, Outcome, UsageError
from gong_async.bulk.engine import Engine

SETTLE = 30.0

pytestmark = pytest.mark.looptime


@define
class Work:
    """An operation that takes its time, and remembers what it did and when."""

    seconds: float | dict[int, float] = 1.0
    unknown: frozenset[int] = frozenset()
    twice: frozenset[int] = frozenset()
    under_way: int = 0
    peak: int = 0
    begun: list[tuple[int, float]] = Factory(list[tuple[int, float]])
    ended: list[tuple[int, float]] = Factory(list[tuple[int, float]])

    async def __call__(self, item: int) -> int:
        """Work on an item."""
        self.begun.append((item, now()))
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            seconds = self.seconds if isinstance(self.seconds, float) else self.seconds[item]
            await asyncio.sleep(seconds)
        finally:
            self.under_way -= 1
            self.ended.append((item, now()))
        if item in self.unknown:
            raise GongError("lost", attempts=1, outcome_unknown=True)
        return item * 10

    def attempts(self, result: int) -> int:
        """Return how many attempts it took."""
        return 2 if result // 10 in self.twice else 1


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def run(
    source: Iterable[int] | AsyncIterable[int],
    work: Work,
    *,
    keys: int | None = None,
    max_in_flight: int = 4,
) -> AsyncGenerator[Outcome[int, int], None]:
    """Run the engine; with `keys`, so many items in turn share a key."""
    engine = Engine(
        source=source,
        operation=work,
        key=lambda item: item if keys is None else item % keys,
        attempts=work.attempts,
        max_in_flight=max_in_flight,
        settle_seconds=SETTLE,
    )
    return engine.outcomes()


class Plain:
    """An async iterable that is no generator."""

    def __init__(self, items: Iterable[int]) -> None:
        self.items = iter(items)

    def __aiter__(self) -> AsyncIterator[int]:
        """Return itself."""
        return self

    async def __anext__(self) -> int:
        """Return the next item."""
        await asyncio.sleep(0.1)
        for item in self.items:
            return item
        raise StopAsyncIteration


async def generate(items: Iterable[int], closed: list[bool] | None = None) -> AsyncIterator[int]:
    """Yield the items; note that it was closed."""
    try:
        for item in items:
            yield item
    finally:
        if closed is not None:
            closed.append(True)


@pytest.mark.parametrize("kind", ["list", "generator", "async generator", "async iterable"])
async def test_every_item_has_exactly_one_outcome(kind: str) -> None:
    """Any kind of source works; index and item identify the outcome."""
    sources: dict[str, Any] = {
        "list": list(range(50)),
        "generator": (item for item in range(50)),
        "async generator": generate(range(50)),
        "async iterable": Plain(range(50)),
    }

    outcomes = [outcome async for outcome in run(sources[kind], Work())]

    reported = sorted((each.index, each.change, each.result, each.attempts) for each in outcomes)
    assert reported == [(item, item, item * 10, 1) for item in range(50)]
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.parametrize("source", [[], Plain([])], ids=["list", "async iterable"])
async def test_an_empty_source_has_no_outcomes(source: Any) -> None:
    """Nothing in, nothing out."""
    outcomes = [outcome async for outcome in run(source, Work())]

    assert outcomes == []


async def test_outcomes_come_in_the_order_in_which_they_finish() -> None:
    """A slow item does not hold back those that are done."""
    work = Work(seconds={0: 10.0, 1: 1.0, 2: 3.0, 3: 2.0})

    outcomes = [outcome.change async for outcome in run(range(4), work)]

    assert outcomes == [1, 3, 2, 0]


async def test_at_most_max_in_flight_items_are_in_flight() -> None:
    """All of the allowed places are used, and no more."""
    work = Work()

    async for _ in run(range(100), work, max_in_flight=7):
        pass

    assert work.peak == 7
    assert now() >= 100 / 7


async def test_items_of_one_key_never_overlap_and_keep_their_order() -> None:
    """600 items of 9 keys with random durations: each key's items run one after the other."""
    chance = random.Random(7)
    work = Work(seconds={item: chance.uniform(0, 5) for item in range(600)})

    async for _ in run(range(600), work, keys=9, max_in_flight=8):
        pass

    begun, ended = dict(work.begun), dict(work.ended)
    by_key: dict[int, list[int]] = defaultdict(list)
    for item, _ in work.begun:
        by_key[item % 9].append(item)
    assert all(items == sorted(items) for items in by_key.values())
    assert all(ended[item] <= begun[item + 9] for item in range(600 - 9))


async def test_a_source_of_one_key_alone_goes_through() -> None:
    """Items that wait behind one another block nothing for good."""
    work = Work()

    outcomes = [outcome.change async for outcome in run(range(100), work, keys=1)]

    assert outcomes == list(range(100))
    assert work.peak == 1


async def test_after_an_unknown_outcome_the_next_of_that_key_waits() -> None:
    """Half a minute for that key, nothing for the others."""
    work = Work(unknown=frozenset({0}))

    outcomes = [outcome async for outcome in run(range(6), work, keys=3)]

    begun = dict(work.begun)
    assert begun[3] == pytest.approx(1 + SETTLE)
    assert begun[4] == pytest.approx(1)
    assert [outcome.change for outcome in outcomes if not outcome.ok] == [0]


async def test_after_a_repeated_attempt_the_next_of_that_key_waits() -> None:
    """The first attempt lost its answer, not its effect: that may come later than the second's."""
    work = Work(twice=frozenset({0}))

    async for _ in run(range(6), work, keys=3):
        pass

    assert dict(work.begun)[3] == pytest.approx(1 + SETTLE)


async def test_a_doubt_is_remembered_when_the_next_of_that_key_comes_late() -> None:
    """The wait counts from the doubtful end, however late the next item is pulled."""
    work = Work(unknown=frozenset({0}))

    async def source() -> AsyncIterator[int]:
        yield 0
        await asyncio.sleep(21)
        yield 3
        await asyncio.sleep(100)
        yield 6

    async for _ in run(source(), work, keys=3):
        pass

    begun = dict(work.begun)
    assert begun[3] == pytest.approx(1 + SETTLE)
    assert begun[6] == pytest.approx(121)


async def test_a_slow_consumer_slows_the_source() -> None:
    """No more is pulled ahead than twice `max_in_flight`."""
    pulled: list[int] = []
    taken = 0
    ahead: list[int] = []

    def source() -> Iterator[int]:
        for item in range(300):
            pulled.append(item)
            yield item

    async with aclosing(run(source(), Work(seconds=0.01), max_in_flight=5)) as outcomes:
        async for _ in outcomes:
            taken += 1
            await asyncio.sleep(1)
            ahead.append(len(pulled) - taken)

    assert taken == 300
    assert max(ahead) <= 10


async def test_waiting_items_of_one_key_are_bounded_too() -> None:
    """A source that repeats one key is not read to its end to find another."""
    pulled: list[int] = []

    def source() -> Iterator[int]:
        for item in range(1000):
            pulled.append(item)
            yield item

    async with aclosing(run(source(), Work(), keys=1, max_in_flight=4)) as outcomes:
        await anext(outcomes)

    assert len(pulled) <= 10


@pytest.mark.parametrize("kind", ["generator", "async generator"])
async def test_what_the_source_raises_comes_after_the_outcomes(kind: str) -> None:
    """Outcomes of everything pulled before come first, then the error as it was raised."""
    problem = OSError("the file is gone")

    def broken() -> Iterator[int]:
        yield from range(20)
        raise problem

    async def broken_async() -> AsyncIterator[int]:
        for item in range(20):
            yield item
        raise problem

    source: Any = broken() if kind == "generator" else broken_async()
    outcomes = run(source, Work())
    reported = [(await anext(outcomes)).change for _ in range(20)]

    with pytest.raises(OSError, match="the file is gone") as caught:
        await anext(outcomes)

    assert caught.value is problem
    assert sorted(reported) == list(range(20))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_no_source_is_refused() -> None:
    """A number is nothing to pull from; Python's own error says so."""
    with pytest.raises(TypeError, match="not iterable"):
        await anext(run(5, Work()))  # type: ignore[arg-type]

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_that_is_not_gongs_ends_the_run() -> None:
    """A bug in the operation is not an outcome: it is raised, and nothing goes on behind it."""

    async def operation(item: int) -> int:
        await asyncio.sleep(item)
        if item == 3:
            raise ZeroDivisionError
        return item

    engine = Engine(
        source=range(100),
        operation=operation,
        key=lambda item: item,
        attempts=lambda _: 1,
        max_in_flight=4,
        settle_seconds=SETTLE,
    )
    with pytest.raises(ZeroDivisionError):
        async for _ in engine.outcomes():
            pass

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def leaves(leaving: str, outcome: Outcome[int, int]) -> bool:
    """Leave the loop at the tenth item: by `break`, with an exception, or by being cancelled."""
    if outcome.index < 10:
        return False
    if leaving == "exception":
        raise UsageError("the consumer's own")
    if leaving == "cancel":
        await asyncio.sleep(1000)
    return True


@pytest.mark.parametrize("closing", [False, True], ids=["plain loop", "aclosing"])
@pytest.mark.parametrize("leaving", ["break", "exception", "cancel"])
async def test_nothing_is_left_behind_when_the_loop_is_left_early(
    leaving: str, *, closing: bool
) -> None:
    """No task, no item in flight, and the source is closed."""
    work = Work()
    closed: list[bool] = []

    async def consume() -> None:
        if closing:
            async with aclosing(run(generate(range(10_000), closed), work)) as outcomes:
                async for outcome in outcomes:
                    if await leaves(leaving, outcome):
                        break
            return
        async for outcome in run(generate(range(10_000), closed), work):
            if await leaves(leaving, outcome):
                break

    consumer = asyncio.create_task(consume())
    if leaving == "cancel":
        await asyncio.sleep(10)
        consumer.cancel()
    await asyncio.wait([consumer])
    # A generator that was merely dropped is closed by the loop, a few turns later.
    for _ in range(0 if closing else 10):
        await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert work.under_way == 0
    assert len(work.begun) < 50
    assert closed == [True]


async def test_cancelling_while_waiting_for_an_outcome_leaves_nothing_behind() -> None:
    """The consumer is cancelled at the moment in which it waits, not while it works."""
    work = Work(seconds=1000.0)
    closed: list[bool] = []

    async def read() -> None:
        async for _ in run(generate(range(100), closed), work):
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(5)
    reader.cancel()
    await asyncio.wait([reader])

    assert reader.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert work.under_way == 0
    assert closed == [True]


async def test_many_items_take_few_tasks_and_little_room() -> None:
    """5,000 items: never more tasks than places, and never more pulled ahead than twice that."""
    pulled = taken = tasks = ahead = 0

    def source() -> Iterator[int]:
        nonlocal pulled
        for item in range(5_000):
            pulled += 1
            yield item

    async for _ in run(source(), Work(seconds=0.01), max_in_flight=16):
        taken += 1
        tasks = max(tasks, len(asyncio.all_tasks()))
        ahead = max(ahead, pulled - taken)

    assert taken == 5_000
    assert tasks <= 16 + 1
    assert ahead <= 2 * 16


async def test_settled_keys_are_forgotten() -> None:
    """A long outage of distinct keys takes no memory: doubts go when they have settled."""
    work = Work(unknown=frozenset(range(2_000)))
    doubts = 0
    async with aclosing(run(range(2_000), work, max_in_flight=4)) as outcomes:
        async for _ in outcomes:
            doubts = max(doubts, len(cast("Any", outcomes).ag_frame.f_locals["run"]._unsettled))

    assert 4 * SETTLE <= doubts <= 4 * (SETTLE + 1)
