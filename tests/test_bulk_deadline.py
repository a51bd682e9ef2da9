"""The deadline of bulk calls: it begins with the permit, and no wait for a permit counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gong_async import (
    APITimeoutError,
    Delivery,
    GongClient,
    Limits,
    MeetingChange,
    MeetingUpdate,
    RateLimitError,
    RetryPolicy,
    ServerError,
    UsageError,
)
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]


def paced(rate: float) -> Limits:
    """Return limits at an even rate."""
    return Limits(per_second=rate, per_day=None, headroom=0, learns=False)


def changes(number: int, update: MeetingUpdate) -> list[MeetingChange]:
    """Return changes of so many meetings."""
    return [MeetingChange(meeting_id=str(index + 1), update=update) for index in range(number)]


@pytest.mark.looptime
async def test_no_bulk_update_times_out_in_the_queue(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """40 updates at 4 a second with a deadline of a second: all arrive."""
    async with client(fake, limits=paced(4), retry=RetryPolicy(deadline=1)) as gong:
        ends = [outcome.error async for outcome in gong.update_many(changes(40, update))]

    assert ends == [None] * 40


@pytest.mark.looptime
async def test_interactive_calls_beside_a_bulk_job_keep_the_whole_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """One client, both priorities: of ten clicks at once the last ones end in the queue."""
    async with client(fake, limits=paced(1), retry=RetryPolicy(deadline=3.5)) as gong:
        bulk = gong.with_options(priority="bulk")
        job = [asyncio.ensure_future(bulk.meetings.update(f"1{n}", update)) for n in range(5)]
        await asyncio.sleep(0.1)
        clicks = [asyncio.ensure_future(gong.meetings.update(f"2{n}", update)) for n in range(10)]
        ends = await asyncio.gather(*clicks, return_exceptions=True)
        await asyncio.gather(*job)

    late = [error for error in ends if isinstance(error, APITimeoutError)]
    assert {error.phase for error in late} == {"queue"}
    assert 6 <= len(late) <= 7


@pytest.mark.looptime
async def test_the_deadline_ends_a_bulk_attempt_on_the_wire(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """After a minute in the queue, an answer that never comes is waited for as long as allowed."""
    async with client(fake, limits=paced(1 / 60), retry=RetryPolicy(deadline=7)) as gong:
        bulk = gong.with_options(priority="bulk")
        await bulk.meetings.update("1", update)
        fake.script(Fault.stall(apply=True))
        start = asyncio.get_running_loop().time()

        with pytest.raises(APITimeoutError) as caught:
            await bulk.meetings.update("2", update)
        spent = asyncio.get_running_loop().time() - start

    assert spent == pytest.approx(67, abs=0.5)
    assert (caught.value.phase, caught.value.attempts) == ("total", 1)
    assert caught.value.delivery is Delivery.MAYBE
    assert caught.value.outcome_unknown


@pytest.mark.looptime
async def test_a_retry_of_a_bulk_call_waits_for_its_permit_without_counting(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The second attempt gets its permit a minute later, far beyond the deadline."""
    fake.script(Fault.status(503))
    async with client(fake, limits=paced(1 / 60), retry=RetryPolicy(deadline=5)) as gong:
        updated = await gong.with_options(priority="bulk").meetings.update("1", update)

    assert updated.meta.attempts == 2
    assert updated.meta.seconds_waited > 50


@pytest.mark.looptime
async def test_the_attempts_of_a_bulk_call_share_one_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Time on the wire adds up over attempts: what the first used is missing to the second."""
    fake.script(Fault.stall(), times=2)
    retry = RetryPolicy(deadline=7, backoff_cap=0.1, backoff_floor=0)
    async with client(fake, limits=paced(1 / 60), retry=retry, timeout=5) as gong:
        start = asyncio.get_running_loop().time()

        with pytest.raises(APITimeoutError) as caught:
            await gong.with_options(priority="bulk").meetings.update("1", update)
        spent = asyncio.get_running_loop().time() - start

    assert (caught.value.phase, caught.value.attempts) == ("total", 2)
    assert spent == pytest.approx(62, abs=0.5)  # a permit a minute, and the two seconds left


@pytest.mark.looptime
async def test_no_back_off_of_a_bulk_call_goes_past_its_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A retry that would come too late is not waited for."""
    fake.script(Fault.status(503))
    async with client(fake, retry=RetryPolicy(deadline=5, backoff_floor=10)) as gong:
        with pytest.raises(ServerError):
            await gong.with_options(priority="bulk").meetings.update("1", update)

    assert fake.received_count == 1


@pytest.mark.looptime
async def test_a_bulk_call_sits_out_a_refusal_beyond_its_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Gong asks for 30 s: that is a wait for the next permit. `max_wait` bounds it as ever."""
    fake.script(Fault.rate_limited("30"))
    async with client(fake, retry=RetryPolicy(deadline=5)) as gong:
        bulk = gong.with_options(priority="bulk")
        updated = await bulk.meetings.update("1", update)
        fake.script(Fault.rate_limited("61"))
        with pytest.raises(RateLimitError):
            await bulk.meetings.update("2", update)

    assert updated.meta.seconds_waited >= 30


@pytest.mark.looptime
async def test_closing_the_client_ends_bulk_calls_in_the_queue(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """No deadline runs there, and none is needed."""
    gong = client(fake, limits=paced(1 / 600), retry=RetryPolicy(deadline=5))
    bulk = gong.with_options(priority="bulk")
    await bulk.meetings.update("1", update)
    waiting = [asyncio.ensure_future(bulk.meetings.update(str(n), update)) for n in range(2, 5)]
    await asyncio.sleep(60)
    await gong.close()
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(end) for end in ends] == [UsageError] * 3
    assert fake.received_count == 1


@pytest.mark.full
async def test_a_bulk_job_does_not_wait_for_its_own_queue(
    fake: FakeGong, client: Client, update: MeetingUpdate, tmp_path: Path
) -> None:
    """24 items on a client whose deadline is shorter than the queue: all are sent in one run."""
    async with client(fake, limits=paced(8), retry=RetryPolicy(deadline=0.9)) as gong:
        job = gong.bulk(changes(24, update), state_dir=tmp_path)
        ends = [outcome.error async for outcome in job.run()]

    assert ends == [None] * 24
