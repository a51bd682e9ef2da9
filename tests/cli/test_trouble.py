"""When a job stops by itself: trouble that would befall every further row as well."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from gong_async.bulk.records import BulkStatus
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
JobSnapshot = Callable[[], BulkStatus]
Start = Callable[..., subprocess.Popen[str]]
QUICK = ("--per-second", "2000")
UNCHECKED = ("--no-check-organizers", *QUICK)
FIRST = 7782342274025000001


def test_a_refused_credential(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A 401 stops the job with the first call, and the rest stays to be sent."""
    fake.access_key = "another"

    done = invoke("bulk", "run", meetings(200), *QUICK)

    assert done.exit_code == 75
    assert fake.received_count == 1
    assert (snapshot().state, snapshot().counts["pending"]) == ("paused", 200)
    assert "Stopped: Gong answered 401 Unauthorized" in done.stderr
    assert "Check the access key and its secret" in done.stderr
    assert f"Next: gong-async bulk resume {snapshot().id}" in done.stderr


def test_a_company_without_permission(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A 403 stops the job after what was under way, also without the check."""
    fake.limited_release = True

    done = invoke("bulk", "run", meetings(200), *UNCHECKED)

    assert done.exit_code == 75
    assert fake.received_count <= 8
    assert snapshot().counts["pending"] == 200


def test_one_organizer(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot, tmp_path: Path
) -> None:
    """A 409 is the organizer's own: only that one's meetings stop."""
    file = meetings(40)
    lines = file.read_text().splitlines()
    lines[10:20] = [line.replace("dana@", "kim@") for line in lines[10:20]]
    file.write_text("\n".join([*lines, ""]))
    fake.add_user("kim@example.com", valid=False, user_facing_error="No calendar")

    done = invoke("bulk", "run", file, "--max-in-flight", "2", *UNCHECKED)

    counts = snapshot().counts
    assert done.exit_code == 1
    assert counts["succeeded"] == 30
    assert 1 <= counts["failed"] <= 2
    assert counts["failed"] + counts["skipped"] == 10


def test_too_many_fail(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """When most of the last updates failed, a person should look before the rest fails too."""
    fake.missing_meetings.update(str(FIRST + number) for number in range(100))

    done = invoke("bulk", "run", meetings(100), *QUICK)

    assert done.exit_code == 75
    assert 20 <= snapshot().counts["failed"] <= 40
    assert "too many of the last updates failed" in done.stderr


def test_many_failures_can_be_allowed(invoke: Invoke, fake: FakeGong, meetings: Meetings) -> None:
    """The limit can be lifted."""
    fake.missing_meetings.update(str(FIRST + number) for number in range(60))

    done = invoke("bulk", "run", meetings(60), "--max-failure-ratio", "1", *QUICK)

    assert done.exit_code == 1
    assert "0 succeeded, 60 failed" in done.stderr


def test_the_days_calls_are_used_up(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """Beyond the daily quota nothing is sent; the time from which it can be resumed is printed."""
    done = invoke("bulk", "run", meetings(30), "--per-day", "10", *UNCHECKED)

    status = snapshot()
    assert done.exit_code == 75
    assert 0 < fake.received_count <= 10
    assert (status.state, status.left) == ("waiting", 30 - fake.applied_count)
    assert "Only 10 calls left today" in done.stderr
    assert f"Next: from {status.resume_at:%Y-%m-%d %H:%M:%S}Z on" in done.stderr
    assert f"gong-async bulk resume {status.id} --per-day 10 --per-second 2000" in done.stderr


def test_a_long_wait(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """A wait of an hour is not waited for: the job stops until then."""
    fake.script(Fault.rate_limited("3600"), on="updateMeeting", nth=5)

    done = invoke("bulk", "run", meetings(100), "--max-in-flight", "2", *QUICK)

    assert done.exit_code == 75
    assert fake.received_count <= 10  # what its places began before its answer was read
    assert snapshot().state == "waiting"
    assert snapshot().counts["pending"] >= 90


def test_a_disk_that_fills_up(
    invoke: Invoke,
    environment: dict[str, str],
    fake: FakeGong,
    meetings: Meetings,
    snapshot: JobSnapshot,
) -> None:
    """What cannot be written down is not sent (F152); with room again, the job goes on."""
    words = ("bulk", "run", meetings(300), "--per-second", "200", "--no-check-organizers")
    room = 700_000
    stopped = subprocess.run(
        [sys.executable, "-m", "gong_async", *map(str, words)],
        env={**os.environ, **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    received, killed = fake.received_count, snapshot()

    done = invoke("bulk", "resume", killed.id, *QUICK)

    assert stopped.returncode == 75
    assert "error: the " in stopped.stderr  # journal, ledger or limits: what was full first
    assert "cannot be used now" in stopped.stderr
    assert f"Next: gong-async bulk resume {killed.id}" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert 0 < received < 300
    assert done.exit_code == 0
    assert {c.meeting_id for c in fake.applied} == {str(FIRST + n) for n in range(300)}
    assert fake.applied_count <= 300 + killed.counts["in_flight"] + killed.counts["in_doubt"]


def test_no_response(
    start: Start, meetings: Meetings, environment: dict[str, str], snapshot: JobSnapshot
) -> None:
    """When nothing answers at all, the job waits for it, and a signal ends that at once."""
    environment["GONG_BASE_URL"] = "http://127.0.0.1:1"
    process = start("bulk", "run", meetings(300), *QUICK)
    assert process.stdout is not None
    process.stdout.readline()
    while snapshot().pid is None:
        assert process.poll() is None

    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 75
    assert snapshot().counts["pending"] == 300
    assert "Traceback" not in stderr
