"""A call and its time: the attempt's clock, the total deadline, and giving up at every stage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gong_async import (
    APITimeoutError,
    ConfigurationError,
    Delivery,
    GongClient,
    GongError,
    Limits,
    MeetingUpdate,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    Secret,
    ServerError,
)
from gong_async.testing import FakeGong, Fault

UNLIMITED = Limits(per_second=None, per_day=None)
Client = Callable[..., GongClient]


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_time_in_the_queue_is_not_time_of_the_attempt(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """500 calls queued behind 3 a second with `timeout=5` time out zero times."""
    async with client(fake, limits=Limits(per_day=None), timeout=5) as gong:
        calls = (gong.meetings.update(str(number), update) for number in range(500))

        updated = await asyncio.gather(*calls)

    assert len(updated) == 500
    assert max(each.meta.seconds_waited for each in updated) > 160


@pytest.mark.looptime
async def test_an_attempt_has_its_whole_timeout_from_its_permit_on(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A call that waited a minute for its turn still gets the five seconds of its attempt."""
    limits = Limits(per_second=1 / 60, per_day=None, headroom=0, learns=False)
    async with client(fake, limits=limits, timeout=5, retry=RetryPolicy(max_attempts=1)) as gong:
        await gong.meetings.update("1", update)
        fake.script(Fault.stall())
        start = now()

        with pytest.raises(APITimeoutError) as caught:
            await gong.meetings.update("2", update)

    assert now() - start == pytest.approx(65, abs=0.1)
    assert caught.value.phase == "headers"
    assert caught.value.outcome_unknown


@pytest.mark.looptime
async def test_the_deadline_ends_a_call_in_the_queue(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """What has no turn by then fails at that very moment, and is known not to have been sent."""
    limits = Limits(per_second=1, per_day=None, headroom=0, learns=False)
    async with client(fake, limits=limits, retry=RetryPolicy(deadline=3.5)) as gong:
        start = now()
        calls = (gong.meetings.update(str(number), update) for number in range(10))

        results = await asyncio.gather(*calls, return_exceptions=True)

        assert fake.received_count == 4
    late = [result for result in results if isinstance(result, APITimeoutError)]
    assert now() - start == pytest.approx(3.5, abs=0.1)
    assert len(late) == 6
    assert {error.phase for error in late} == {"queue"}
    assert {error.delivery for error in late} == {Delivery.NOT_SENT}
    assert not any(error.outcome_unknown or error.attempts for error in late)


@pytest.mark.looptime
async def test_the_deadline_ends_a_write_on_the_wire_with_unknown_outcome(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The request is out: Gong may have applied it."""
    fake.script(Fault.stall(apply=True))
    async with client(fake, retry=RetryPolicy(deadline=7)) as gong:
        start = now()

        with pytest.raises(APITimeoutError) as caught:
            await gong.meetings.update("1", update)

    assert now() - start == pytest.approx(7, abs=0.1)
    assert caught.value.phase == "total"
    assert caught.value.delivery is Delivery.MAYBE
    assert caught.value.outcome_unknown
    assert caught.value.meeting_id == "1"


@pytest.mark.looptime
async def test_the_deadline_ends_a_read_without_a_doubt(fake: FakeGong, client: Client) -> None:
    """A read changes nothing, whether it arrived or not."""
    fake.script(Fault.stall())
    async with client(fake, retry=RetryPolicy(deadline=7)) as gong:
        with pytest.raises(APITimeoutError) as caught:
            await gong.request("GET /v2/users")

    assert not caught.value.outcome_unknown


@pytest.mark.looptime
async def test_the_deadline_ends_a_write_without_a_body_with_unknown_outcome(
    fake: FakeGong, client: Client
) -> None:
    """Without a body, sending cannot be observed; the request may have arrived all the same."""
    fake.script(Fault.stall())
    async with client(fake, retry=RetryPolicy(deadline=7)) as gong:
        with pytest.raises(APITimeoutError) as caught:
            await gong.request("DELETE /v2/meetings/{meetingId}", path={"meetingId": 1})

    assert caught.value.delivery is Delivery.MAYBE
    assert caught.value.outcome_unknown


@pytest.mark.looptime
async def test_no_wait_between_attempts_goes_past_the_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A repetition that would come too late is not waited for: the error comes at once."""
    fake.script(Fault.status(503))
    async with client(fake, retry=RetryPolicy(deadline=5, backoff_floor=10)) as gong:
        start = now()

        with pytest.raises(ServerError):
            await gong.meetings.update("1", update)

    assert now() - start < 0.1


@pytest.mark.looptime
async def test_no_hold_is_waited_for_past_the_deadline(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A refused call whose deadline comes before `Retry-After` fails at once, with `retry_at`."""
    fake.script(Fault.rate_limited("30"))
    async with client(fake, retry=RetryPolicy(deadline=5)) as gong:
        start = now()

        with pytest.raises(RateLimitError) as caught:
            await gong.meetings.update("1", update)

    assert now() - start < 0.1
    assert caught.value.attempts == 1
    assert caught.value.retry_at is not None


@pytest.mark.looptime
async def test_a_held_call_with_a_short_deadline_fails_at_once(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Others were refused; this one does not sleep through a deadline that it cannot keep."""
    fake.script(Fault.rate_limited("30"))
    async with client(fake) as gong:
        patient = asyncio.create_task(gong.meetings.update("1", update))
        await asyncio.sleep(1)
        start = now()

        with pytest.raises(RateLimitError) as caught:
            await gong.with_options(retry=RetryPolicy(deadline=5)).meetings.update("2", update)

        assert now() == start
        assert caught.value.attempts == 0
        await patient


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
def test_a_deadline_that_cannot_be_meant_is_refused(deadline: float) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(deadline=deadline)

    assert "deadline" in str(caught.value)


class SlowRenewal:
    """A credential that is refused and takes an hour to be renewed."""

    fingerprint = "a company of its own"

    @property
    def secrets(self) -> Iterable[Secret]:
        """Nothing that could be shown."""
        return ()

    async def authorization(self) -> Secret:
        """Return what is not valid."""
        return Secret("Bearer stale")

    async def renew(self, refused: Secret) -> bool:
        """Take an hour."""
        await asyncio.sleep(3600)
        return True


@pytest.mark.looptime
async def test_the_deadline_ends_a_renewal_without_a_doubt(
    fake: FakeGong, update: MeetingUpdate
) -> None:
    """Gong has refused the only request: nothing can have been applied."""
    async with GongClient(
        SlowRenewal(), base_url=fake.url, limits=UNLIMITED, retry=RetryPolicy(deadline=5)
    ) as gong:
        with pytest.raises(APITimeoutError) as caught:
            await gong.meetings.update("1", update)

        assert fake.counts == {401: 1}
    assert not caught.value.outcome_unknown


async def cancelled(task: asyncio.Task[Any]) -> tuple[float, object]:
    """Cancel a task; return how long it took to end, and what it ended with."""
    start = now()
    task.cancel("enough")
    try:
        ended: object = await task
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is asked for
        ended = error
    return now() - start, ended


STAGES = {
    "queue": (Fault.latency(0), 0.5),
    "hold": (Fault.rate_limited("30"), 5.0),
    "between attempts": (Fault.status(503), 5.0),
    "answer": (Fault.stall(), 5.0),
    "body": (Fault.slow_drip(1, 1.0), 20.0),
}


@pytest.mark.looptime
@pytest.mark.parametrize("stage", STAGES)
async def test_a_call_can_be_cancelled_at_every_stage(
    fake: FakeGong, client: Client, update: MeetingUpdate, stage: str
) -> None:
    """`CancelledError` comes through at once and unchanged; turn and connection are given back."""
    fault, after = STAGES[stage]
    pace = 1 / 100 if stage == "queue" else None
    limits = Limits(per_second=pace, per_day=None, max_in_flight=1)
    async with client(fake, limits=limits, retry=RetryPolicy(backoff_floor=100)) as gong:
        if stage == "queue":
            await gong.meetings.update("1", update)
        fake.script(fault)
        task = asyncio.create_task(gong.meetings.update("2", update))
        await asyncio.sleep(after)

        took, ended = await cancelled(task)
        await asyncio.sleep(0.1)
        left_open = fake.connections_open
        fake.clear_script()
        await gong.with_options(timeout=1).meetings.update("3", update)

    assert took < 0.01
    assert isinstance(ended, asyncio.CancelledError)
    assert task.cancelled()
    assert left_open == (0 if stage in {"answer", "body"} else 1)


@pytest.mark.looptime
async def test_the_callers_own_timeout_is_his_own(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """`asyncio.timeout` around a call raises Python's `TimeoutError`, not ours."""
    fake.script(Fault.stall())
    async with client(fake) as gong:
        start = now()

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(2):
                await gong.meetings.update("1", update)

    assert not isinstance(caught.value, GongError)
    assert now() - start == pytest.approx(2, abs=0.1)


@pytest.mark.looptime
async def test_the_callers_own_timeout_and_our_deadline_live_side_by_side(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Whichever ends first is the one that is raised, also when they end together."""
    async with client(fake, retry=RetryPolicy(deadline=3)) as gong:
        raised: list[bool] = []
        for seconds in (2.0, 3.0, 4.0):
            fake.script(Fault.stall())

            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(seconds):
                    await gong.meetings.update("1", update)
            raised.append(isinstance(caught.value, APITimeoutError))

    assert raised[0] is False
    assert raised[2] is True


@pytest.mark.looptime
async def test_a_task_group_ends_the_calls_beside_one_that_failed(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The group holds our plain error alone; the calls beside it were cancelled."""
    fake.missing_meetings.add("1")
    fake.script(Fault.stall(), on="2")
    fake.script(Fault.stall(), on="3")

    async def update_all(gong: GongClient) -> None:
        async with asyncio.TaskGroup() as group:
            for meeting in ("2", "3", "1"):
                group.create_task(gong.meetings.update(meeting, update))

    async with client(fake) as gong:
        start = now()

        with pytest.raises(ExceptionGroup) as caught:
            await update_all(gong)

    assert [type(error) for error in caught.value.exceptions] == [NotFoundError]
    assert now() - start < 1


@pytest.mark.looptime
async def test_a_call_reports_how_it_went(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """`meta` counts all attempts, the waits and the time on the wire."""
    fake.script(Fault.status(503))
    fake.latency = 2.0
    async with client(fake, retry=RetryPolicy(backoff_floor=5, backoff_cap=5)) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.status == 200
    assert updated.meta.attempts == 2
    assert updated.meta.seconds_waited == pytest.approx(5, abs=0.1)
    assert updated.meta.seconds_on_wire == pytest.approx(4, abs=0.1)
    assert updated.meta.request_id == updated.request_id
