"""`gong-async bulk status`, `list`, `pause` and `cancel`: from another terminal."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async import BasicAuth, GongClient
from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile
from gong_async.inputs.reader import read_changes
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Jobs = Callable[[], list[JobFile]]
Meetings = Callable[..., Path]
JobSnapshot = Callable[[], BulkStatus]
Start = Callable[..., subprocess.Popen[str]]
Reported = Callable[[str], list[dict[str, Any]]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


@pytest.fixture
def paused(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> str:
    """Begin a job of 10 rows, of which 2 are done and one failed; return its id."""
    fake.missing_meetings.add(str(FIRST + 1))
    return invoke("bulk", "run", meetings(10), "--canary", "3", *QUICK).stdout.strip()


@pytest.fixture
def running(
    start: Start, fake: FakeGong, meetings: Meetings
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a job of 400 rows that takes a while; return its process and its id."""
    process = start("bulk", "run", meetings(900), "--per-second", "20")
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    until = time.monotonic() + 60
    while not fake.applied_count:
        assert time.monotonic() < until
        time.sleep(0.02)
    yield process, name
    process.kill()


def rows(done: Result) -> dict[str, str]:
    """Return what `status` prints, by its first words."""
    return {line[:12].strip(): line[12:] for line in done.stdout.splitlines()}


def test_a_job_that_stands_still(
    invoke: Invoke, fake: FakeGong, paused: str, snapshot: JobSnapshot
) -> None:
    """Its counts and why it stopped are reported, and nothing is asked of Gong."""
    sent = fake.received_count

    done = invoke("bulk", "status", paused, env={"GONG_STATE_DIR": str(snapshot().path.parents[1])})

    reported = rows(done)
    assert done.exit_code == 0
    assert reported["state"] == "paused: canary of 3"
    assert (reported["succeeded"], reported["failed"], reported["pending"]) == ("2", "1", "7")
    assert reported["journal"] == str(snapshot().path)
    assert fake.received_count == sent


def test_status_for_programs(invoke: Invoke, paused: str) -> None:
    """As JSON, everything that is known has a key of its own."""
    reported = json.loads(invoke("bulk", "status", paused, "--json").stdout)
    also = json.loads(invoke("--json", "bulk", "status", paused).stdout)

    assert reported == also
    assert (reported["id"], reported["state"], reported["total"], reported["left"]) == (
        paused,
        "paused",
        10,
        7,
    )
    assert reported["counts"] == {
        "pending": 7,
        "in_flight": 0,
        "succeeded": 2,
        "failed": 1,
        "in_doubt": 0,
        "skipped": 0,
    }
    assert (reported["pid"], reported["resume_at"], reported["runs"]) == (None, None, 1)


def test_a_job_that_runs(invoke: Invoke, running: tuple[subprocess.Popen[str], str]) -> None:
    """Its process and its estimated end are shown as well."""
    process, name = running
    reported = rows(invoke("bulk", "status", name))

    assert reported["state"] == f"running in process {process.pid}"
    assert int(reported["pending"]) > 100
    assert "Z, in " in reported["finishes"]


def test_a_job_that_was_killed(invoke: Invoke, running: tuple[subprocess.Popen[str], str]) -> None:
    """Its state is interrupted, and no process runs it."""
    process, name = running
    process.kill()
    process.wait()

    assert rows(invoke("bulk", "status", name))["state"] == "interrupted"


def test_following_to_the_end(
    invoke: Invoke, start: Start, fake: FakeGong, meetings: Meetings
) -> None:
    """A follower ends when the job does, and as it does."""
    fake.missing_meetings.add(str(FIRST))
    process = start("bulk", "run", meetings(60), "--per-second", "30")
    assert process.stdout is not None
    name = process.stdout.readline().strip()

    followed = invoke("bulk", "status", name, "--follow")
    process.communicate(timeout=60)

    assert followed.exit_code == process.returncode == 1
    assert "59 succeeded, 1 failed" in followed.stderr


def test_following_what_does_not_run(invoke: Invoke, paused: str) -> None:
    """There is nothing to wait for; the command that resumes it is shown."""
    done = invoke("bulk", "status", paused, "--follow")

    assert done.exit_code == 75
    assert f"Next: gong-async bulk resume {paused}" in done.stderr


def test_a_job_that_waits(invoke: Invoke, meetings: Meetings, snapshot: JobSnapshot) -> None:
    """The time from which it can be resumed is shown."""
    invoke("bulk", "run", meetings(30), "--per-day", "10", *QUICK)

    reported = rows(invoke("bulk", "status", snapshot().id))

    assert reported["state"].startswith("waiting: the daily quota of 10 calls is used up")
    assert reported["resumes"] == f"{snapshot().resume_at:%Y-%m-%d %H:%M:%S}Z, in 1 d 0 h"


def test_pause(
    invoke: Invoke,
    fake: FakeGong,
    running: tuple[subprocess.Popen[str], str],
    snapshot: JobSnapshot,
) -> None:
    """A word from another terminal stops a job in good order."""
    process, name = running
    done = invoke("bulk", "pause", name)
    _, stderr = process.communicate(timeout=60)

    assert done.exit_code == 0
    assert f"Asked process {process.pid} to pause job {name}" in done.stderr
    assert process.returncode == 75
    assert (snapshot().state, snapshot().counts["succeeded"]) == ("paused", fake.applied_count)
    assert "Stopped: requested" in stderr


def test_cancel(
    invoke: Invoke,
    fake: FakeGong,
    running: tuple[subprocess.Popen[str], str],
    snapshot: JobSnapshot,
) -> None:
    """A job that runs can be ended for good; what was not sent never is."""
    process, name = running
    done = invoke("bulk", "cancel", name)
    process.communicate(timeout=60)

    assert f"Asked process {process.pid} to cancel job {name}" in done.stderr
    assert process.returncode == 1
    assert snapshot().state == "cancelled"
    assert snapshot().skipped["cancelled"] == 900 - fake.applied_count


@pytest.mark.parametrize("command", ["pause", "cancel"])
def test_no_process_runs_it(invoke: Invoke, paused: str, command: str) -> None:
    """Then there is no process to ask, and the command says so."""
    invoke("bulk", "resume", paused, *QUICK)

    done = invoke("bulk", command, paused)

    assert done.exit_code == 0
    assert f"Job {paused} is completed and not running: nothing to {command}" in done.stderr


def test_pausing_what_does_not_run(invoke: Invoke, paused: str) -> None:
    """The word does not lie in wait for the next run."""
    invoke("bulk", "pause", paused)

    assert invoke("bulk", "resume", paused, *QUICK).exit_code == 1


def test_cancelling_what_does_not_run(invoke: Invoke, paused: str, snapshot: JobSnapshot) -> None:
    """It is ended here and now, without any credential."""
    env = {"GONG_STATE_DIR": str(snapshot().path.parents[1])}

    done = invoke("bulk", "cancel", paused, env=env)

    assert done.exit_code == 0
    assert snapshot().state == "cancelled"
    assert "2 succeeded, 1 failed, 7 cancelled" in done.stderr


def test_cancelling_what_was_killed(
    invoke: Invoke, start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """What was under way then stays in doubt, and the job is cancelled."""
    fake.script(Fault.stall(), on="updateMeeting", times=None)
    process = start("bulk", "run", meetings(10), "--max-in-flight", "2", *QUICK)
    until = time.monotonic() + 60
    while fake.received_count < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()

    invoke("bulk", "cancel", snapshot().id)

    assert snapshot().state == "cancelled"
    assert (snapshot().counts["in_doubt"], snapshot().skipped["cancelled"]) == (2, 8)


def test_list(invoke: Invoke, meetings: Meetings, paused: str, reported: Reported) -> None:
    """Each job has a line, the oldest first."""
    other = invoke("bulk", "run", meetings(2, name="other.csv"), *QUICK).stdout.strip()

    lines = invoke("bulk", "list").stdout.splitlines()
    objects = reported(invoke("bulk", "list", "--json").stdout)

    assert [line.split()[:2] for line in lines] == [[paused, "paused"], [other, "completed"]]
    assert "2 succeeded, 1 failed, 7 pending" in lines[0]
    assert [job["id"] for job in objects] == [paused, other]
    assert all(0 <= job["age"] < 60 for job in objects)


def test_list_without_jobs(invoke: Invoke) -> None:
    """Where nothing is, that is said."""
    done = invoke("bulk", "list")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "No jobs\n"


def test_list_with_a_broken_file(invoke: Invoke, paused: str, jobs: Jobs) -> None:
    """A file that is no journal is reported, and hides no other."""
    broken = jobs()[0].path.with_name("20260101-broken.sqlite3")
    broken.write_bytes(b"nonsense" * 1000)

    done = invoke("bulk", "list")

    assert done.stdout.startswith(paused)
    assert str(broken) in done.stderr


def test_pausing_what_is_planned(
    invoke: Invoke, environment: dict[str, str], fake: FakeGong, meetings: Meetings
) -> None:
    """As `bulk run` between its planning and its first request: nothing is sent by that run."""
    file, state = meetings(5), environment["GONG_STATE_DIR"]

    async def work(action: str, path: Path | None = None) -> Path:
        async with GongClient(
            BasicAuth(fake.access_key, fake.access_key_secret), base_url=fake.url
        ) as gong:
            changes = read_changes(file) if path is None else None
            job = gong.bulk(changes, journal=path, state_dir=state)
            if action == "plan":
                await job.plan()
            else:
                async for _ in job.run():
                    pass
            return job.path

    path = asyncio.run(work("plan"))
    done = invoke("bulk", "pause", path)
    asyncio.run(work("run", path))

    assert "is planned; its first run will pause immediately" in done.stderr
    assert JobFile(path).status().state == "paused"
    assert fake.received_count == 0
    assert invoke("bulk", "resume", path, *QUICK).exit_code == 0
