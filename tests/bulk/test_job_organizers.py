"""The check before the first update: whose meetings can be updated at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, GongClient, MeetingChange, RetryPolicy
from gong_async.bulk import error_scope as scope
from gong_async.bulk import runner
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]

ONCE = RetryPolicy(max_attempts=1)


async def drain(outcomes: Any) -> list[Any]:
    """Read outcomes to their end."""
    return [item async for item in outcomes]


def checks(fake: FakeGong) -> list[list[str]]:
    """Return the emails of each question that arrived."""
    return [r.json["emails"] for r in fake.received if r.operation == "integrationStatus"]


async def test_organizers_are_asked_about_100_a_call(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Each once, before the first update."""
    emails = [f"user{n}@example.com" for n in range(250)]
    changes = [change(n, organizer=emails[n % 250]) for n in range(500)]
    async with client(fake) as gong:
        await drain(gong.bulk(changes, state_dir=state).run())

    asked = checks(fake)
    assert [len(each) for each in asked] == [100, 100, 50]
    assert sorted(email for each in asked for email in each) == sorted(emails)
    assert [r.operation for r in fake.received[:4]] == ["integrationStatus"] * 3 + ["updateMeeting"]
    assert fake.received_count == 503


async def test_meetings_of_organizers_that_cannot_are_set_aside(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Unknown or not valid: no call is spent, and Gong's words and link are kept."""
    fake.add_user("gone@example.com", exists=False)
    fake.add_user(
        "off@example.com",
        valid=False,
        user_facing_error="Consent page is off",
        fix_url="https://fix.example/off",
    )
    organizers = ("gone@example.com", "off@example.com", "ok@example.com")
    changes = [change(n, organizer=organizers[n % 3]) for n in range(30)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state)
        yielded = await drain(job.run())
        status = await job.status()
        aside = {item.index: item async for item in job.items("skipped")}

    gone, off = aside[0], aside[1]
    assert (status.state, status.skipped["organizer"]) == ("completed", 20)
    assert {item.reason for item in aside.values()} == {"organizer"}
    assert "no user" in (gone.message or "")
    assert (off.message, off.fix_url) == ("Consent page is off", "https://fix.example/off")
    assert {item.meeting_id for item in yielded} == {str(n) for n in range(2, 30, 3)}
    assert fake.received_count == 1 + 10


async def test_the_letter_case_of_an_email_does_not_matter(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Gong writes emails as it likes."""
    fake.add_user("Off@Example.com", valid=False)
    async with client(fake) as gong:
        job = gong.bulk([change(1, organizer="Off@Example.com")], state_dir=state)
        await drain(job.run())
        status = await job.status()

    assert status.skipped["organizer"] == 1


async def test_the_check_can_be_switched_off(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Then no call is spent on it."""
    options = BulkOptions(check_organizers=False)
    async with client(fake) as gong:
        await drain(gong.bulk([change(1)], state_dir=state, options=options).run())

    assert [r.operation for r in fake.received] == ["updateMeeting"]


async def test_organizers_are_not_asked_about_again(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Gong's message is in the journal."""
    changes = [change(n, organizer=f"user{n % 3}@example.com") for n in range(30)]
    async with client(fake) as gong:
        job = gong.bulk(changes, state_dir=state)
        await drain(job.run(canary=5))
        await drain(job.resume(canary=5))
        await drain(job.resume())

    assert len(checks(fake)) == 1
    assert fake.received_count == 31


async def test_without_the_checks_own_scope_the_job_goes_on(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The updates may be allowed although the question is not."""
    fake.granted_scopes = {"api:meetings:user:update"}
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["succeeded"]) == ("completed", 10)
    assert fake.received_count == 11


@pytest.mark.parametrize("status", [400, 404, 405, 422])
async def test_a_refused_question_does_not_hinder_the_updates(
    fake: FakeGong, client: Client, change: Change, state: Path, status: int
) -> None:
    """That Gong does not like the question says nothing of the updates."""
    fake.script(Fault.status(status), on="integrationStatus", times=None)
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(10)], state_dir=state)
        await drain(job.run())
        ended = await job.status()

    assert (ended.state, ended.counts["succeeded"]) == ("completed", 10)
    assert len(checks(fake)) == 1


@pytest.mark.parametrize("trouble", ["401", "403"])
async def test_a_company_that_refuses_is_asked_once(
    fake: FakeGong, client: Client, change: Change, state: Path, trouble: str
) -> None:
    """The check spends one call where the updates would have spent as many as are in flight."""
    async with client(fake) as gong:
        fake.limited_release = trouble == "403"
        fake.access_key_secret = "changed" if trouble == "401" else fake.access_key_secret
        job = gong.bulk([change(n) for n in range(50)], state_dir=state)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["pending"]) == ("paused", 50)
    assert fake.received_count == 1


async def test_a_question_without_an_answer_is_asked_again_later_and_later(
    fake: FakeGong,
    client: Client,
    change: Change,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each wait is longer than the last; without `wait` the job gives up."""
    monkeypatch.setattr(scope, "_FIRST_OUTAGE_WAIT", 0.01)
    monkeypatch.setattr(runner, "_SHORT_WAIT", 0.05)
    fake.script(Fault.drop_before(), on="integrationStatus", times=None)
    async with client(fake, retry=ONCE) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state)
        await drain(job.run())
        status = await job.status()

    assert (status.state, status.counts["pending"]) == ("waiting", 50)
    assert Counter(r.operation for r in fake.received) == {"integrationStatus": 4}


async def test_a_closed_client_is_named(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A job of a closed client ends with that reason instead of waiting."""
    gong = client(fake)
    job = gong.bulk([change(n) for n in range(50)], state_dir=state)
    await gong.close()

    with pytest.raises(RuntimeError, match="closed"):
        await drain(job.run())
