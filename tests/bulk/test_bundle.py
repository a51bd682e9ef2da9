"""The support bundle of a job."""

from __future__ import annotations

import json
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, Invitee
from gong_async.bulk.reports import support_bundle as bundle
from gong_async.bulk.reports.groups import error_groups
from gong_async.bulk.reports.support_bundle import support_bundle
from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")

ONE_BY_ONE = BulkOptions(max_in_flight=1, max_failure_ratio=None)


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs below a directory with a person's name."""
    return Jobs(fake, tmp_path / "Dana Moreau" / "state")


def bundle_of(job: JobFile) -> Any:
    """Return the bundle after a round trip through JSON."""
    return json.loads(json.dumps(support_bundle(job)))


async def test_the_status_of_the_job(jobs: Jobs) -> None:
    """Versions, options, counts and runs say what happened where."""
    job = await jobs.run([change(0), change(0), change(1)], options=ONE_BY_ONE, canary=1)

    reported = bundle_of(job)

    assert reported["versions"] == {
        "gong_async": version("gong_async"),
        "planned_by": version("gong_async"),
        "python": f"CPython {platform.python_version()}",
        "aiohttp": version("aiohttp"),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }
    assert reported["options"] == {
        "keep_order": False,
        "skip_unchanged": True,
        "check_organizers": True,
        "max_failure_ratio": None,
        "resend_in_doubt_within": 86_400.0,
        "max_in_flight": 1,
        "drain_seconds": 30.0,
    }
    assert reported["counts"] == {
        "pending": 1,
        "in_flight": 0,
        "succeeded": 1,
        "failed": 0,
        "in_doubt": 0,
        "skipped": 1,
    }
    header, (run,) = reported["job"], reported["runs"]
    assert (header["state"], header["reason"]) == ("paused", "canary of 1")
    assert (run["number"], run["ended"]) == (1, 1)
    assert run["began_at"] < run["ended_at"]


async def test_each_request_that_went_wrong(fake: FakeGong, jobs: Jobs) -> None:
    """Failed items and those in doubt have the ids that Gong's support asks for."""
    fake.missing_meetings.add(change(1).meeting_id)
    fake.script(Fault.drop_after(), on=change(2).meeting_id)
    job = await jobs.run([change(0), change(1), change(2)], options=ONE_BY_ONE)
    failed, in_doubt = job.items(("failed", "in_doubt"))

    reported = bundle_of(job)

    refused, doubtful = reported["items"]
    (request,) = refused.pop("requests")
    assert refused == {
        "index": 1,
        "line": None,
        "meeting_id": change(1).meeting_id,
        "state": "failed",
        "attempts": 1,
        "status": 404,
        "request_id": failed.request_id,
        "error": "NotFoundError",
    }
    assert (request["number"], request["run"], request["status"]) == (1, 1, 404)
    assert request["request_id"] == failed.request_id is not None
    assert (doubtful["state"], doubtful["meeting_id"]) == ("in_doubt", in_doubt.meeting_id)
    assert reported["items_omitted"] == 0


async def test_the_same_groups_as_in_the_report(fake: FakeGong, jobs: Jobs) -> None:
    """Errors are grouped as in the report, with the organizers that were skipped."""
    fake.add_user("lee@example.com", valid=False, user_facing_error="The calendar is gone")
    fake.missing_meetings.add(change(0).meeting_id)
    job = await jobs.run([change(0), change(1, organizer_email="lee@example.com")])

    reported = bundle_of(job)["errors"]

    assert reported == [
        {"text": group.text, "items": group.items, "first": group.first, "hint": group.hint}
        for group in error_groups(job)
    ]
    assert len(error_groups(job)) == 2


async def test_nothing_personal(fake: FakeGong, jobs: Jobs) -> None:
    """No address, title, name, content, path or credential is in it, though Gong repeats them."""
    guest = Invitee(email="ana@x.example", display_name="Łé Moreau", first_name="Zoé")
    meeting = change(0, title="Secret plan", invitees=[guest], external_id="crm-opportunity")
    words = (
        "The SECRET PLAN of dana@example.com with Łé Moreau (Zoé, ana@x.example) has "
        "crm-opportunity already"
    )
    fake.script(Fault.status(400, errors=(words,)), on="updateMeeting")
    job = await jobs.run([meeting])
    with job.writing() as connection:
        why = f"the journal {job.path} cannot be used; {jobs.ledger} neither, /home/ana/x nor"
        connection.execute("UPDATE job SET value = ? WHERE name = 'reason'", (why,))

    reported = json.dumps(support_bundle(job), ensure_ascii=False)

    personal = ["secret plan", "@", "moreau", "zoé", "crm-", "ana/x", fake.access_key.lower()]
    assert [text for text in [*personal, str(jobs.state).lower()] if text in reported.lower()] == []
    assert "The <title> of <email> with <name> (<name>, <email>) has <id> already" in reported
    assert "the journal <path> cannot be used; <path>" in reported


async def test_no_title_that_was_escaped(fake: FakeGong, jobs: Jobs) -> None:
    """A title is also found where an error escapes its control characters."""
    title = "Secret\u202eplan"
    fake.script(Fault.status(400, errors=(f"{title} is taken",)), on="updateMeeting")
    job = await jobs.run([change(0, title=title)])

    (group,) = bundle_of(job)["errors"]

    assert group["text"] == "BadRequestError: Gong answered 400 Bad Request: <title> is taken"


@pytest.mark.parametrize("path", ["/home/dana/jobs/1", r"C:\Users\dana\1", r"\\host\dana\1"])
async def test_no_path_names_a_user(jobs: Jobs, path: str) -> None:
    """Paths of other places are left out as well, and links stay."""
    job = await jobs.run([change(0)])
    with job.writing() as connection:
        why = f"{path} is full; see https://help.gong.io/docs/limits"
        connection.execute("UPDATE job SET value = ? WHERE name = 'reason'", (why,))

    header = bundle_of(job)["job"]

    assert header["reason"] == "<path> is full; see https://help.gong.io/docs/limits"


async def test_it_has_an_end(fake: FakeGong, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many failed items, some are listed; the others are counted."""
    monkeypatch.setattr(bundle, "_MOST_ITEMS", 3)
    changes = [change(number) for number in range(5)]
    fake.missing_meetings.update(change.meeting_id for change in changes)
    job = await jobs.run(changes)

    reported = bundle_of(job)

    assert [len(reported["items"]), reported["items_omitted"]] == [3, 2]


async def test_it_is_json(fake: FakeGong, jobs: Jobs) -> None:
    """It can be written as JSON and read back as it was."""
    fake.missing_meetings.add(change(0).meeting_id)
    reported = support_bundle(await jobs.run([change(0), change(1)]))

    assert json.loads(json.dumps(reported)) == reported
