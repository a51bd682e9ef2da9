"""What the limits mean at the other end of the wire: arrivals at the fake, in virtual time."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from gong_async import (
    BasicAuth,
    DailyQuotaExceededError,
    Delivery,
    GongClient,
    Limits,
    MeetingUpdate,
    RateLimitError,
    RetryPolicy,
    UpdatedMeeting,
)
from gong_async.testing import ALGORITHMS, AlgorithmName, FakeGong, Fault

HOUR = 3600
UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[],
)


def client(fake: FakeGong, **options: Any) -> GongClient:
    """Make a client of the fake."""
    options = {"limits": Limits(per_day=None), **options}
    return GongClient(
        BasicAuth(fake.access_key, fake.access_key_secret), base_url=fake.url, **options
    )


async def update_all(gong: GongClient, count: int) -> list[UpdatedMeeting | BaseException]:
    """Update meetings 1 to `count` at once; return what became of each."""
    calls = (gong.meetings.update(str(number), UPDATE) for number in range(1, count + 1))
    return await asyncio.gather(*calls, return_exceptions=True)


def arrivals(fake: FakeGong) -> list[float]:
    """Return when requests arrived, counted from the first."""
    first = fake.received[0].at
    return [request.at - first for request in fake.received]


@pytest.mark.full
@pytest.mark.looptime
async def test_500_callers_use_an_hour_to_97_percent_without_a_refusal() -> None:
    """Never more than 3 arrivals in any second, none refused, and next to nothing left unused."""
    chance = random.Random(1)
    loop = asyncio.get_running_loop()
    async with FakeGong(per_day=None, latency=lambda: chance.uniform(0, 3)) as fake:
        async with client(fake) as gong:
            end = loop.time() + HOUR

            async def call_again_and_again(number: int) -> None:
                while loop.time() < end:
                    await gong.meetings.update(str(number), UPDATE)

            callers = [asyncio.create_task(call_again_and_again(n)) for n in range(500)]
            await asyncio.sleep(HOUR)
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)
        arrived = arrivals(fake)
        refusals = fake.quota_refusals

    used = sum(at < HOUR for at in arrived) / (3 * HOUR)
    assert refusals == 0
    assert min(later - now for now, later in zip(arrived, arrived[3:], strict=False)) > 1.0
    assert used >= 0.97


@pytest.mark.looptime
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_no_way_of_counting_a_second_refuses_us(algorithm: AlgorithmName) -> None:
    """However Gong counts its three calls a second, 300 calls at once are never too fast."""
    async with FakeGong(algorithm=algorithm) as fake, client(fake) as gong:
        await update_all(gong, 300)

        assert fake.counts == {200: 300}


@pytest.mark.looptime
async def test_after_one_429_exactly_one_of_500_calls_probes() -> None:
    """Silence for `Retry-After`, one request, and only after its answer the others at the rate."""
    async with FakeGong(per_day=None, latency=2.0) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("30"))
        fake.script(Fault.latency(5.0), nth=8)

        results = await update_all(gong, 500)
        arrived = arrivals(fake)

    throttled_at = 2.0
    before = [at for at in arrived if at <= throttled_at]
    later = [at for at in arrived if at > throttled_at]
    assert all(isinstance(result, UpdatedMeeting) for result in results)
    assert len(before) == 6
    assert 30 + throttled_at <= later[0] <= 31.1 + throttled_at
    assert later[1] - later[0] >= 1.999
    assert min(b - a for a, b in pairwise(later)) > 0.333


@pytest.mark.looptime
async def test_a_throttled_probe_pauses_all_calls_again() -> None:
    """Two 429s in a row: two silences, one request between them."""
    async with FakeGong(per_day=None) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("30"))
        fake.script(Fault.rate_limited("40"))

        results = await update_all(gong, 50)
        arrived = arrivals(fake)

    assert all(isinstance(result, UpdatedMeeting) for result in results)
    assert 30 <= arrived[1] <= 31.1
    assert 40 <= arrived[2] - arrived[1] <= 41.1
    assert arrived[3] - arrived[2] < 1


@pytest.mark.looptime
async def test_a_probe_that_is_lost_leaves_the_probing_to_the_next_call() -> None:
    """A reset connection proves nothing: again one request alone, and its own repetition later."""
    async with FakeGong(per_day=None) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("30"))
        fake.script(Fault.reset_before())
        fake.script(Fault.latency(20.0))

        results = await update_all(gong, 50)
        arrived = arrivals(fake)

    assert all(isinstance(result, UpdatedMeeting) for result in results)
    assert 30 <= arrived[1] <= 31.1
    assert arrived[3] - arrived[2] >= 19.999


@pytest.mark.looptime
async def test_a_probe_that_is_cancelled_leaves_the_probing_to_the_next_call() -> None:
    """A caller who gives up while probing blocks no other."""
    async with FakeGong(per_day=None) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("30"))
        fake.script(Fault.stall())
        probe = asyncio.create_task(gong.meetings.update("1", UPDATE))
        await asyncio.sleep(1)
        other = asyncio.create_task(gong.meetings.update("2", UPDATE))
        await asyncio.sleep(39)
        probe.cancel()

        updated = await other
        arrived = arrivals(fake)

    assert updated.meeting_id == "2"
    assert arrived[2] == pytest.approx(40, abs=0.1)


@pytest.mark.looptime
async def test_a_wait_beyond_max_wait_fails_every_call_at_once() -> None:
    """One hour is not slept: the throttled call and all others raise, and nothing more is sent."""
    loop = asyncio.get_running_loop()
    async with FakeGong(per_day=None) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("3600"))
        start = loop.time()

        results = await update_all(gong, 200)

        assert fake.received_count == 1
    errors = [result for result in results if isinstance(result, RateLimitError)]
    assert len(errors) == 200
    assert loop.time() - start < 0.5
    assert sorted(error.attempts for error in errors) == [0] * 199 + [1]
    assert all(error.retry_at and error.retry_at > datetime.now(UTC) for error in errors)


@pytest.mark.looptime
async def test_a_wait_of_exactly_max_wait_is_waited() -> None:
    """A minute, the longest wait that is allowed, is not too long."""
    async with FakeGong(per_day=None) as fake, client(fake) as gong:
        fake.script(Fault.rate_limited("60"))

        updated = await gong.meetings.update("1", UPDATE)

    assert updated.meta.attempts == 2
    assert 60 <= updated.meta.seconds_waited <= 61.1


@pytest.mark.looptime
async def test_when_the_day_is_used_up_nothing_is_sent() -> None:
    """The error names the limit and the time from which calls are possible again."""
    async with (
        FakeGong(per_second=None) as fake,
        client(fake, limits=Limits(per_second=None, per_day=5)) as gong,
    ):
        await update_all(gong, 5)

        with pytest.raises(DailyQuotaExceededError) as caught:
            await gong.meetings.update("6", UPDATE)

        assert fake.received_count == 5
    assert caught.value.per_day == 5
    assert caught.value.reset_at is not None
    assert caught.value.delivery is Delivery.NOT_SENT
    assert not caught.value.outcome_unknown


@pytest.mark.looptime
async def test_after_a_day_calls_are_possible_again() -> None:
    """The count rolls: what is a day old is forgotten, and Gong refuses nothing."""
    async with (
        FakeGong(per_day=5) as fake,
        client(fake, limits=Limits(per_day=5)) as gong,
    ):
        await update_all(gong, 5)
        await asyncio.sleep(86_400 + 61)

        results = await update_all(gong, 6)

        assert fake.counts == {200: 10}
    assert [type(result) for result in results].count(DailyQuotaExceededError) == 1


@pytest.mark.looptime
async def test_a_call_that_sleeps_between_attempts_holds_no_place() -> None:
    """With one place, another call gets through while the first waits for its next attempt."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=1)
    retry = RetryPolicy(backoff_floor=30)
    async with (
        FakeGong(per_second=None, per_day=None) as fake,
        client(fake, limits=limits, retry=retry) as gong,
    ):
        fake.script(Fault.status(503))
        first = asyncio.create_task(gong.meetings.update("1", UPDATE))
        await asyncio.sleep(1)

        second = await gong.meetings.update("2", UPDATE)
        waiting = not first.done()
        await first

    assert waiting
    assert second.meta.seconds_waited == pytest.approx(0, abs=0.01)
