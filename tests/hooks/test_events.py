"""The events that a client emits, and that hooks cannot do harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gong_async import (
    APITimeoutError,
    GongClient,
    Limits,
    MeetingUpdate,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    ValidationError,
)
from gong_async.hooks.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    Event,
    LimiterPaused,
    PermitAcquired,
    RetryPlanned,
)
from gong_async.testing import FakeGong, Fault

UNLIMITED = Limits(per_second=None, per_day=None)
Client = Callable[..., GongClient]
SUBJECT = ("PUT", "/v2/meetings/{meetingId}", {"meetingId": "7"})

pytestmark = pytest.mark.looptime


def kinds(events: list[Event]) -> list[type[Event]]:
    """Return the classes of the events."""
    return [type(event) for event in events]


async def test_a_call_is_reported_from_its_start_to_its_end(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Three events for a call that goes well, each with its facts."""
    fake.latency = 2.0
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        updated = await gong.meetings.update("7", update)

    started, attempt, finished = events
    assert isinstance(started, CallStarted)
    assert (started.method, started.route, started.path) == SUBJECT
    assert isinstance(attempt, AttemptFinished)
    assert (attempt.method, attempt.route, attempt.path) == SUBJECT
    assert (attempt.attempt, attempt.status, attempt.error) == (1, 200, None)
    assert attempt.request_id == updated.request_id
    assert attempt.seconds_on_wire == pytest.approx(2, abs=0.1)
    assert attempt.seconds_waited == 0
    assert isinstance(finished, CallFinished)
    assert (finished.method, finished.route, finished.path) == SUBJECT
    assert (finished.attempts, finished.error, finished.cancelled) == (1, None, False)
    assert finished.seconds_on_wire == pytest.approx(2, abs=0.1)


async def test_retries_are_reported_in_order(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A refusal and a failure before the success: each attempt, each plan, and the hold."""
    fake.script(Fault.rate_limited("30"))
    fake.script(Fault.status(503))
    events: list[Event] = []
    async with client(fake, events.append, retry=RetryPolicy(backoff_floor=5)) as gong:
        await gong.meetings.update("7", update)

    assert kinds(events) == [
        CallStarted,
        LimiterPaused,
        AttemptFinished,
        RetryPlanned,
        PermitAcquired,
        AttemptFinished,
        RetryPlanned,
        AttemptFinished,
        CallFinished,
    ]


async def test_a_pause_is_reported_with_its_length(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Not shorter than Gong asked for, and with the id to quote."""
    fake.script(Fault.rate_limited("30"))
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        await gong.meetings.update("7", update)

    held = next(event for event in events if isinstance(event, LimiterPaused))
    assert 30 <= held.pause <= 31
    assert held.request_id


async def test_a_planned_retry_is_reported_with_its_error_and_its_wait(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """What went wrong, at which attempt, and after how long it is repeated."""
    fake.script(Fault.status(503))
    events: list[Event] = []
    async with client(fake, events.append, retry=RetryPolicy(backoff_floor=5)) as gong:
        await gong.meetings.update("7", update)

    plan = next(event for event in events if isinstance(event, RetryPlanned))
    second = [event for event in events if isinstance(event, AttemptFinished)][1]
    assert (plan.method, plan.route, plan.path) == SUBJECT
    assert (plan.attempt, plan.wait) == (1, 5)
    assert isinstance(plan.error, ServerError)
    assert (second.attempt, second.status) == (2, 200)
    assert fake.received[1].at - fake.received[0].at == pytest.approx(5, abs=0.1)


async def test_each_attempt_is_reported_with_its_own_wait(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The time in the queue is reported for the attempt that waited there."""
    events: list[Event] = []
    limits = Limits(per_second=1 / 10, per_day=None, headroom=0, learns=False)
    async with client(fake, events.append, limits=limits) as gong:
        await gong.meetings.update("6", update)
        await gong.meetings.update("7", update)

    waits = [event.seconds_waited for event in events if isinstance(event, AttemptFinished)]
    assert waits == pytest.approx([0, 10], abs=0.1)


async def test_an_error_is_reported_as_it_is_raised(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The same object ends the attempt, the call, and reaches the caller."""
    fake.missing_meetings.add("7")
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        with pytest.raises(NotFoundError) as caught:
            await gong.meetings.update("7", update)

    attempt, finished = events[1:]
    assert isinstance(attempt, AttemptFinished)
    assert (attempt.status, attempt.error) == (404, caught.value)
    assert isinstance(finished, CallFinished)
    assert finished.error is caught.value
    assert not finished.cancelled


async def test_an_attempt_without_an_answer_is_reported_without_a_status(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A timeout has an error and neither status nor request id."""
    fake.script(Fault.stall())
    events: list[Event] = []
    async with client(fake, events.append, retry=RetryPolicy(max_attempts=1), timeout=5) as gong:
        with pytest.raises(APITimeoutError) as caught:
            await gong.meetings.update("7", update)

    attempt = events[1]
    assert isinstance(attempt, AttemptFinished)
    assert (attempt.status, attempt.request_id, attempt.error) == (None, None, caught.value)
    assert attempt.seconds_on_wire == pytest.approx(5, abs=0.1)


async def test_a_call_that_is_never_sent_has_no_attempt(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A call that fails because of an earlier refusal is reported as started and finished."""
    fake.script(Fault.rate_limited("3600"))
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        for _ in range(2):
            with pytest.raises(RateLimitError):
                await gong.meetings.update("7", update)

    assert kinds(events[4:]) == [CallStarted, CallFinished]


async def test_a_cancelled_call_is_reported_as_cancelled(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Neither a result nor an error: the caller gave up."""
    fake.script(Fault.stall())
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        call = asyncio.create_task(gong.meetings.update("7", update))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.wait([call])

    finished = events[-1]
    assert isinstance(finished, CallFinished)
    assert (finished.cancelled, finished.error, finished.attempts) == (True, None, 1)


async def test_a_call_ended_by_its_deadline_is_reported_with_that_error(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The deadline is an error, not a cancellation."""
    fake.script(Fault.stall())
    events: list[Event] = []
    async with client(fake, events.append, retry=RetryPolicy(deadline=3)) as gong:
        with pytest.raises(APITimeoutError) as caught:
            await gong.meetings.update("7", update)

    finished = events[-1]
    assert isinstance(finished, CallFinished)
    assert finished.error is caught.value
    assert not finished.cancelled


async def test_what_is_refused_before_it_is_a_call_is_not_reported(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Data that cannot be right makes no events."""
    events: list[Event] = []
    async with client(fake, events.append) as gong:
        with pytest.raises(ValidationError):
            await gong.meetings.update("x", update)

    assert events == []


async def test_all_hooks_get_the_events(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Each hook gets the same events."""
    first: list[Event] = []
    second: list[Event] = []
    async with client(fake, first.append, second.append) as gong:
        await gong.meetings.update("7", update)

    assert len(first) == 3
    assert first == second


async def test_a_hook_that_fails_changes_nothing_and_is_logged(
    fake: FakeGong, client: Client, update: MeetingUpdate, caplog: pytest.LogCaptureFixture
) -> None:
    """The call and the other hooks go on; the log says which hook failed, at which event."""
    fake.script(Fault.status(503))
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    async with client(fake, broken, events.append) as gong:
        updated = await gong.meetings.update("7", update)

    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert updated.meta.attempts == 2
    assert len(events) == 5
    assert [record.name for record in logged] == ["gong_async"] * 5
    assert "CallStarted" in logged[0].getMessage()
    assert logged[0].exc_info is not None


async def test_a_hook_that_fails_does_not_hide_the_error(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The caller gets Gong's error, not the hook's."""
    fake.missing_meetings.add("7")

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    async with client(fake, broken) as gong:
        with pytest.raises(NotFoundError) as caught:
            await gong.meetings.update("7", update)

    assert caught.value.__context__ is None


async def test_without_hooks_no_event_is_made(
    fake: FakeGong, client: Client, update: MeetingUpdate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hooks, no event is built."""

    def refuse(**facts: Any) -> Event:
        raise AssertionError(facts)

    for name in ("CallStarted", "AttemptFinished", "CallFinished"):
        monkeypatch.setattr(f"gong_async._pipeline.{name}", refuse)
    async with client(fake) as gong:
        updated = await gong.meetings.update("7", update)

    assert updated.meeting_id == "7"
