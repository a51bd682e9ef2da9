"""A user's tests may stop the clock: calls go on, also those that wait, count or write down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from freezegun import freeze_time

from gong_async import BasicAuth, GongClient, Limits, MeetingUpdate, SQLiteLimitStore
from gong_async.testing import FakeGong, Fault

THEN = datetime(2020, 2, 29, 12, 0, tzinfo=UTC)
STOPPED: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "freezegun": lambda: freeze_time(THEN, tick=True, real_asyncio=True),
    "freezegun, not ticking": lambda: freeze_time(THEN, real_asyncio=True),
    "time-machine": lambda: time_machine.travel(THEN),
    "time-machine, not ticking": lambda: time_machine.travel(THEN, tick=False),
}


def lunch() -> MeetingUpdate:
    """Return an update that begins now, whatever the clock says."""
    now = datetime.now(UTC)
    return MeetingUpdate(
        start_time=now,
        end_time=now + timedelta(hours=1),
        organizer_email="dana@example.com",
        invitees=[],
    )


@pytest.mark.parametrize("stopped", STOPPED.values(), ids=STOPPED)
async def test_calls_go_on_while_the_clock_stands(
    fake: FakeGong,
    tmp_path: Path,
    stopped: Callable[[], AbstractContextManager[object]],
) -> None:
    """One after the other at a pace, after a refusal, and in a bulk job with shared limits."""
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    limits = Limits(per_second=200)
    share = SQLiteLimitStore(tmp_path / "limits.sqlite3")
    fake.script(Fault.rate_limited("0"))
    with stopped():
        async with GongClient(auth, base_url=fake.url, limits=limits, limit_store=share) as gong:
            for number in range(3):
                await gong.meetings.update(f"77823422740259378{number}", lunch())
            changes = [(f"77823422740259378{number}", lunch()) for number in range(3, 6)]
            job = gong.bulk(changes, state_dir=tmp_path)
            states = [item.state async for item in job.run()]
        today = datetime.now(UTC).date()
    share.close()

    assert (states, today) == (["succeeded"] * 3, THEN.date())
    assert {change.body["startTime"][:13] for change in fake.applied} == {"2020-02-29T12"}
    assert (fake.counts[429], fake.applied_count) == (1, 6)
