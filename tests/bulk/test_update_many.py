"""Updating many meetings at once, over real sockets and in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from gong_async import (
    APIConnectionError,
    BasicAuth,
    Change,
    ConfigurationError,
    DailyQuotaExceededError,
    GongClient,
    Limits,
    MeetingChange,
    MeetingUpdate,
    NotFoundError,
    RetryPolicy,
    UsageError,
    ValidationError,
)
from gong_async.testing import FakeGong, Fault

START = datetime(2026, 11, 24, 15, tzinfo=UTC)
UNLIMITED = Limits(per_second=None, per_day=None)
SETTLE = 30.0

pytestmark = pytest.mark.looptime


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake without limits."""
    async with FakeGong(per_second=None, per_day=None, seed=1) as fake:
        yield fake


def client(fake: FakeGong, **options: Any) -> GongClient:
    """Make a client of the fake, without limits of its own."""
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    return GongClient(auth, base_url=fake.url, **{"limits": UNLIMITED, **options})


def update(title: str = "Renewal") -> MeetingUpdate:
    """Return an update with a recognizable title."""
    return MeetingUpdate(
        start_time=START,
        end_time=START + timedelta(hours=1),
        organizer_email="dana@example.com",
        invitees=[],
        title=title,
    )


def change(number: int, title: str = "Renewal") -> MeetingChange:
    """Make a change of a meeting."""
    return MeetingChange(meeting_id=number, update=update(title))


async def stream(changes: list[Change]) -> AsyncIterator[Change]:
    """Yield the changes one by one, as from a database."""
    for each in changes:
        await asyncio.sleep(0.01)
        yield each


@pytest.mark.parametrize("kind", ["list", "generator", "async iterator"])
async def test_each_change_has_one_outcome(fake: FakeGong, kind: str) -> None:
    """Any source will do; each outcome has its change, its result and its attempts."""
    changes: list[Change] = [change(number) for number in range(1, 101)]
    sources: dict[str, Any] = {
        "list": changes,
        "generator": (each for each in changes),
        "async iterator": stream(changes),
    }
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many(sources[kind])]

    reported = {outcome.index: outcome for outcome in outcomes}
    assert sorted(reported) == list(range(100))
    assert all(reported[index].change is changes[index] for index in range(100))
    assert {o.result.meeting_id for o in outcomes if o.result} == {str(n) for n in range(1, 101)}
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert fake.applied_count == 100


async def test_pairs_of_id_and_update_will_do(fake: FakeGong) -> None:
    """Text or number, tuple or list: they name the same meeting."""
    changes: list[Any] = [("7", update()), (8, update()), ["9", update()], change(10)]
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many(changes)]

    assert sorted(o.result.meeting_id for o in outcomes if o.result) == ["10", "7", "8", "9"]


async def test_bad_items_become_outcomes(fake: FakeGong) -> None:
    """A bad id, a wrong type, half a pair: each has an error, and the rest is sent."""
    changes: list[Any] = [
        ("7.78E+18", update()),
        (True, update()),
        ("1", {"title": "no update"}),
        ("2",),
        None,
        "3",
        3,
        change(4),
    ]
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many(changes)]

    bad = [outcome for outcome in outcomes if not outcome.ok]
    assert sorted(outcome.index for outcome in bad) == list(range(7))
    assert all(isinstance(outcome.error, ValidationError) for outcome in bad)
    assert {outcome.attempts for outcome in bad} == {0}
    assert fake.received_count == 1


async def test_one_failed_change_stops_nothing(fake: FakeGong) -> None:
    """The outcome of a missing meeting carries the error; the others succeed."""
    fake.missing_meetings.add("5")
    async with client(fake) as gong:
        changes = [change(number) for number in range(1, 11)]
        outcomes = [outcome async for outcome in gong.update_many(changes)]

    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert [type(outcome.error) for outcome in failed] == [NotFoundError]
    assert failed[0].index == 4
    assert failed[0].attempts == 1


async def test_changes_of_one_meeting_land_in_the_order_given(fake: FakeGong) -> None:
    """500 changes of 12 meetings, random latency and faults: the last state is the last given."""
    chance = random.Random(3)
    fake.latency = lambda: chance.uniform(0, 3)
    for fault, share in (
        (Fault.status(503), 0.05),
        (Fault.drop_before(), 0.03),
        (Fault.drop_after(), 0.03),
        (Fault.reset_after(), 0.02),
        (Fault.rate_limited("2"), 0.01),
        (Fault.applied_late(20.0), 0.02),
    ):
        fake.script(fault, share=share, times=None)
    changes = [change(1 + number % 12, str(number)) for number in range(500)]
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many(changes)]
    await asyncio.sleep(30)

    landed: dict[str, list[int]] = defaultdict(list)
    for applied in fake.applied:
        landed[applied.meeting_id].append(int(applied.body["title"]))
    assert len(outcomes) == 500
    assert fake.applied_count > 450
    assert all(numbers == sorted(numbers) for numbers in landed.values())


async def test_changes_of_one_meeting_are_never_in_flight_together(fake: FakeGong) -> None:
    """However the id is spelled, one meeting has one request at a time."""
    fake.latency = 5.0

    class Number:
        """An integer of another library, which `str` does not show."""

        def __index__(self) -> int:
            return 7

    changes: list[Any] = [
        (7, update("0")),
        ("7", update("1")),
        change(7, "2"),
        ["7", update("3")],
        (Number(), update("4")),
    ]
    async with client(fake) as gong:
        async for _ in gong.update_many(changes):
            pass

    at = [request.at for request in fake.received]
    assert [applied.body["title"] for applied in fake.applied] == ["0", "1", "2", "3", "4"]
    assert min(later - now for now, later in pairwise(at)) >= 4.999


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [(Fault.drop_after(), 1), (Fault.applied_late(20.0), 2)],
    ids=["unknown", "repeated"],
)
async def test_a_change_waits_until_an_earlier_one_has_settled(
    fake: FakeGong, fault: Fault, attempts: int
) -> None:
    """A lost attempt may land late; the next change of that meeting comes after it."""
    fake.script(fault, on="7")
    changes = [change(7, "old"), change(7, "new"), change(8)]
    async with client(fake, retry=RetryPolicy(max_attempts=attempts)) as gong:
        outcomes = [outcome async for outcome in gong.update_many(changes)]

    sevens = [request for request in fake.received if request.meeting_id == "7"]
    titles = [applied.body["title"] for applied in fake.applied if applied.meeting_id == "7"]
    assert sevens[-1].at - sevens[-2].at >= SETTLE - 0.001
    assert titles[-1] == "new"
    assert {outcome.index for outcome in outcomes} == {0, 1, 2}


async def test_no_more_updates_are_in_flight_than_asked_for(fake: FakeGong) -> None:
    """With `max_in_flight=5`, Gong never has six requests at a time, nor six connections."""
    fake.latency = 10.0
    async with client(fake) as gong:
        changes = [change(number) for number in range(1, 101)]
        async for _ in gong.update_many(changes, max_in_flight=5):
            pass

    arrived = Counter(round(request.at) for request in fake.received)
    assert set(arrived.values()) == {5}
    assert fake.connections_peak == 5


async def test_the_clients_own_limit_of_calls_in_flight_holds(fake: FakeGong) -> None:
    """Asking for more than the client may have in flight does not get more."""
    fake.latency = 10.0
    limits = Limits(per_second=None, per_day=None, max_in_flight=3)
    async with client(fake, limits=limits) as gong:
        async for _ in gong.update_many([change(n) for n in range(1, 31)], max_in_flight=20):
            pass

    assert fake.connections_peak == 3


@pytest.mark.parametrize("number", [0, -1])
async def test_no_updates_in_flight_is_refused(fake: FakeGong, number: int) -> None:
    """A number that cannot be meant is an error, not a run that never begins."""
    async with client(fake) as gong:
        with pytest.raises(ConfigurationError):
            await anext(gong.update_many([change(1)], max_in_flight=number))


async def test_an_empty_source_has_no_outcomes(fake: FakeGong) -> None:
    """Nothing in, nothing out, nothing sent."""
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many([])]

    assert outcomes == []
    assert fake.received_count == 0


async def test_what_the_source_raises_comes_after_the_outcomes(fake: FakeGong) -> None:
    """Changes that were pulled before are still sent and reported."""

    def source() -> Iterator[Change]:
        for number in range(1, 31):
            yield change(number)
        raise OSError("the file is gone")

    async with client(fake) as gong:
        outcomes = gong.update_many(source())
        reported = [(await anext(outcomes)).ok for _ in range(30)]

        with pytest.raises(OSError, match="the file is gone"):
            await anext(outcomes)

    assert reported == [True] * 30
    assert fake.applied_count == 30


async def test_a_slow_consumer_slows_the_source(fake: FakeGong) -> None:
    """A slow reader slows the source down."""
    pulled = 0

    def source() -> Iterator[Change]:
        nonlocal pulled
        for number in range(1, 201):
            pulled += 1
            yield change(number)

    ahead: list[int] = []
    async with client(fake) as gong:
        taken = 0
        async for _ in gong.update_many(source(), max_in_flight=4):
            taken += 1
            await asyncio.sleep(5)
            ahead.append(pulled - taken)

    assert taken == 200
    assert max(ahead) <= 8


@pytest.mark.parametrize("leaving", ["break", "cancel"])
async def test_leaving_early_leaves_no_task_and_no_request(fake: FakeGong, leaving: str) -> None:
    """What is on the wire is given up, and its connections are closed."""
    fake.latency = 5.0

    async def read(gong: GongClient) -> None:
        changes = (change(number) for number in range(1, 10_000))
        async with aclosing(gong.update_many(changes, max_in_flight=8)) as outcomes:
            async for outcome in outcomes:
                if leaving == "break" and outcome.index >= 20:
                    break

    async with client(fake) as gong:
        before = asyncio.all_tasks()
        reader = asyncio.create_task(read(gong))
        if leaving == "cancel":
            await asyncio.sleep(18)
            reader.cancel()
        await asyncio.wait([reader])
        await asyncio.sleep(0.1)
        left = [task for task in asyncio.all_tasks() - before if "aiohttp/web" not in repr(task)]
        sent = fake.received_count
        await asyncio.sleep(60)

        assert left == []
        assert fake.received_count == sent < 50
        assert fake.connections_open <= 8


async def test_a_used_up_day_fails_every_change_left(fake: FakeGong) -> None:
    """Ten calls are made; the other changes fail at once, and nothing more is sent."""
    async with client(fake, limits=Limits(per_second=None, per_day=10)) as gong:
        changes = [change(number) for number in range(1, 101)]
        outcomes = [outcome async for outcome in gong.update_many(changes)]

    kinds = Counter(type(outcome.error) for outcome in outcomes)
    assert kinds == {type(None): 10, DailyQuotaExceededError: 90}
    assert fake.received_count == 10


async def test_closing_the_client_ends_a_run(fake: FakeGong) -> None:
    """Updates in flight have an unknown outcome; the loop that reads the outcomes ends."""
    fake.script(Fault.stall(), times=None)

    async def read(gong: GongClient) -> list[Any]:
        changes = [change(number) for number in range(1, 31)]
        return [outcome.error async for outcome in gong.update_many(changes, max_in_flight=4)]

    gong = client(fake)
    reader = asyncio.create_task(read(gong))
    await asyncio.sleep(1)
    await gong.close()
    errors = await reader

    assert len(errors) == 30
    assert {type(error) for error in errors} == {UsageError}
    assert sum(error.outcome_unknown for error in errors) == 4


async def test_a_lost_answer_is_an_outcome_that_says_so(fake: FakeGong) -> None:
    """The error has `outcome_unknown`, and the attempts are counted."""
    fake.script(Fault.drop_after(), on="7", times=None)
    async with client(fake) as gong:
        outcomes = [outcome async for outcome in gong.update_many([change(7)])]

    assert isinstance(outcomes[0].error, APIConnectionError)
    assert outcomes[0].error.outcome_unknown
    assert outcomes[0].attempts == 4


async def test_many_changes_take_few_tasks_and_little_room(fake: FakeGong) -> None:
    """5,000 changes from a generator: tasks and changes pulled ahead stay bounded."""
    fake._recording._most = 0  # the fake must not keep them either
    pulled = taken = tasks = ahead = 0

    def source() -> Iterator[Change]:
        nonlocal pulled
        same = update()
        for number in range(5_000):
            pulled += 1
            yield str(number), same

    async with client(fake) as gong:
        async for _ in gong.update_many(source(), max_in_flight=8):
            taken += 1
            tasks = max(tasks, len(asyncio.all_tasks()))
            ahead = max(ahead, pulled - taken)

    assert taken == 5_000
    assert ahead <= 16
    # This one, the workers, aiohttp's writers, and the fake's handlers.
    assert tasks <= 1 + 8 + 8 + 8
