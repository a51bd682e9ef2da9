"""Events as log lines."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from gong_async import BasicAuth, GongClient, Invitee, Limits, MeetingUpdate, NotFoundError
from gong_async.hooks.events import Hook
from gong_async.hooks.log import log_event
from gong_async.testing import FakeGong, Fault

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example", display_name="Lee Lang")],
    title="Secret merger",
)

pytestmark = pytest.mark.looptime


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake that refuses the first request and fails the second."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        fake.script(Fault.rate_limited("30"))
        fake.script(Fault.status(503))
        yield fake


async def log_of_one_update(
    fake: FakeGong, caplog: pytest.LogCaptureFixture, hooks: Iterable[Hook] = ()
) -> list[tuple[int, str]]:
    """Update a meeting; return the levels and texts of our log lines."""
    caplog.set_level(logging.DEBUG, logger="gong_async")
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    limits = Limits(per_second=None, per_day=None)
    async with GongClient(auth, base_url=fake.url, limits=limits, hooks=hooks) as gong:
        await gong.meetings.update("7", UPDATE)
    return [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if record.name == "gong_async"
    ]


async def test_holds_and_repetitions_are_logged_without_a_hook(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """What an operator wants to know is in the log anyway: one warning, two infos."""
    lines = await log_of_one_update(fake, caplog)

    assert [level for level, _ in lines] == [logging.WARNING, logging.INFO, logging.INFO]
    assert re.search(r"all calls pause for 3[01]\.", lines[0][1])
    assert "RateLimitError" in lines[1][1]
    assert "PUT /v2/meetings/{meetingId} meetingId=7 attempt 2 failed" in lines[2][1]
    assert "ServerError" in lines[2][1]


async def test_the_hook_logs_every_event_once(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """With `log_event` as a hook the rest comes as debug lines, and nothing comes twice."""
    lines = await log_of_one_update(fake, caplog, hooks=(log_event,))

    assert [level for level, _ in lines] == [
        logging.DEBUG,
        logging.WARNING,
        logging.DEBUG,
        logging.INFO,
        logging.DEBUG,
        logging.DEBUG,
        logging.INFO,
        logging.DEBUG,
        logging.DEBUG,
    ]
    assert "status=429" in lines[2][1]
    assert "finished after 3 attempts: ok" in lines[-1][1]


async def test_a_hold_names_the_request(fake: FakeGong, caplog: pytest.LogCaptureFixture) -> None:
    """Gong's support asks for the request id."""
    lines = await log_of_one_update(fake, caplog)

    assert "request id " in lines[0][1]
    assert "request id None" not in lines[0][1]


async def test_no_name_no_email_and_no_title_is_logged(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids only, whatever the level."""
    lines = await log_of_one_update(fake, caplog, hooks=(log_event,))

    text = "\n".join(line for _, line in lines)
    assert "meetingId=7" in text
    assert not any(word in text for word in ("dana", "lee", "Lang", "merger"))


async def test_a_path_variable_that_is_an_email_is_not_logged(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """The other variables of the route are."""
    caplog.set_level(logging.DEBUG, logger="gong_async")
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    limits = Limits(per_second=None, per_day=None)
    async with GongClient(auth, base_url=fake.url, limits=limits, hooks=[log_event]) as gong:
        with pytest.raises(NotFoundError):
            await gong.request(
                "GET /v2/x/{email}/y/{id}", path={"email": "dana@example.com", "id": 7}
            )

    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "GET /v2/x/{email}/y/{id} email=*** id=7" in text
    assert "dana" not in text


async def test_an_error_ends_the_log_of_a_call(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """The last line names the class of the error."""
    fake.clear_script()
    fake.missing_meetings.add("7")

    with pytest.raises(NotFoundError):
        await log_of_one_update(fake, caplog, hooks=(log_event,))

    assert "finished after 1 attempts: NotFoundError" in caplog.records[-1].getMessage()


async def test_a_cancelled_call_is_not_logged_as_ok(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that the caller did not wait for the end."""
    fake.clear_script()
    fake.script(Fault.stall())

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(log_of_one_update(fake, caplog, hooks=(log_event,)), 5)

    assert "finished after 1 attempts: cancelled" in caplog.records[-1].getMessage()
