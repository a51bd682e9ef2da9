"""Going on where a job stopped."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Jobs = Callable[[], list[JobFile]]
JobSnapshot = Callable[[], BulkStatus]
Start = Callable[..., subprocess.Popen[str]]
QUICK = ("--per-second", "2000")
FIRST = 7782342274025000001


@pytest.fixture
def begun(invoke: Invoke, meetings: Meetings) -> str:
    """Begin a job of 30 rows, of which 12 are done; return its id."""
    return invoke("bulk", "run", meetings(30), "--canary", "12", *QUICK).stdout.strip()


def test_the_rest_is_sent(invoke: Invoke, fake: FakeGong, begun: str) -> None:
    """Nothing is sent twice, and the job ends as if it had never stopped."""
    done = invoke("bulk", "resume", begun, *QUICK)

    assert done.exit_code == 0
    assert sorted(c.meeting_id for c in fake.applied) == [str(FIRST + n) for n in range(30)]
    assert "12 succeeded, 0 failed, 18 pending" in done.stderr
    assert "Run 2: 18 changes" in done.stderr


@pytest.mark.parametrize("name", ["beginning", "path"])
def test_what_a_job_may_be_called(invoke: Invoke, jobs: Jobs, begun: str, name: str) -> None:
    """The beginning of its id is enough, and a journal's path does as well."""
    called = begun[:-3] if name == "beginning" else jobs()[0].path

    assert invoke("bulk", "resume", called, *QUICK).exit_code == 0


def test_a_finished_job(invoke: Invoke, fake: FakeGong, begun: str) -> None:
    """There is nothing to send, and it ends as it did (F160)."""
    invoke("bulk", "resume", begun, *QUICK)
    sent = fake.received_count

    done = invoke("bulk", "resume", begun, *QUICK)

    assert (done.exit_code, fake.received_count) == (0, sent)
    assert "Nothing left to do" in done.stderr


def test_little_by_little(invoke: Invoke, fake: FakeGong, begun: str) -> None:
    """A canary may be sent ahead each time."""
    done = invoke("bulk", "resume", begun, "--canary", "5", *QUICK)

    assert done.exit_code == 75
    assert fake.applied_count == 17


def test_with_its_file(invoke: Invoke, meetings: Meetings, begun: str) -> None:
    """The file that it was made from is accepted."""
    assert invoke("bulk", "resume", begun, meetings(30), *QUICK).exit_code == 0


def test_with_another_file(invoke: Invoke, fake: FakeGong, meetings: Meetings, begun: str) -> None:
    """A file that has changed is not what the job was planned for (F156)."""
    sent = fake.received_count

    done = invoke("bulk", "resume", begun, meetings(31), *QUICK)

    assert (done.exit_code, fake.received_count) == (2, sent)
    assert "was planned for other changes" in done.stderr


def test_for_another_company(invoke: Invoke, environment: dict[str, str], begun: str) -> None:
    """A job goes to the company that it was planned for (F156)."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as second:
        environment["GONG_BASE_URL"] = second.url
        done = invoke("bulk", "resume", begun, *QUICK)

    assert (done.exit_code, second.received) == (2, [])
    assert "another company or base URL" in done.stderr


@pytest.mark.parametrize("command", ["resume", "status", "pause", "cancel", "report", "purge"])
def test_a_job_that_is_not_there(invoke: Invoke, command: str) -> None:
    """The error names the directory of the jobs, and the command that lists them."""
    done = invoke("bulk", command, "20260101-none")

    assert done.exit_code == 2
    assert "there is no job 20260101-none in" in done.stderr
    assert "gong-async bulk list" in done.stderr


def test_an_ambiguous_beginning(invoke: Invoke, meetings: Meetings, jobs: Jobs) -> None:
    """Where several jobs begin alike, they are named."""
    invoke("bulk", "run", meetings(1), *QUICK)
    invoke("bulk", "run", meetings(2), *QUICK)

    done = invoke("bulk", "resume", "2")

    assert done.exit_code == 2
    assert all(job.path.name.partition(".")[0] in done.stderr for job in jobs())


def test_a_cancelled_job(invoke: Invoke, fake: FakeGong, begun: str) -> None:
    """What was cancelled is never sent."""
    invoke("bulk", "cancel", begun)
    sent = fake.received_count

    done = invoke("bulk", "resume", begun, *QUICK)

    assert (done.exit_code, fake.received_count) == (2, sent)
    assert "was cancelled" in done.stderr


def test_what_is_in_doubt_is_sent_again(
    invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """With the same content, because an update replaces the whole meeting."""
    fake.script(Fault.truncate(), on=str(FIRST), times=2)
    begun = invoke("bulk", "run", meetings(2), *QUICK)

    done = invoke("bulk", "resume", begun.stdout.strip(), *QUICK)

    bodies = [change.body for change in fake.applied if change.meeting_id == str(FIRST)]
    assert [begun.exit_code, done.exit_code] == [1, 0]
    assert all(body == bodies[0] for body in bodies)
    assert snapshot().counts["succeeded"] == 2


def test_a_job_that_was_killed(
    invoke: Invoke, start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """After a kill everything is applied in the end, and again only what was under way."""
    process = start("bulk", "run", meetings(150), "--per-second", "100")
    until = time.monotonic() + 60
    while fake.applied_count < 40:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    process.communicate()
    killed = snapshot()

    done = invoke("bulk", "resume", killed.id, *QUICK)

    assert (killed.state, killed.counts["succeeded"] > 0) == ("interrupted", True)
    assert done.exit_code == 0
    assert {c.meeting_id for c in fake.applied} == {str(FIRST + n) for n in range(150)}
    assert fake.applied_count <= 150 + killed.counts["in_flight"]


def test_a_job_that_runs(
    invoke: Invoke, start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """No second process works on it (F154)."""
    process = start("bulk", "run", meetings(100), "--per-second", "5")
    until = time.monotonic() + 60
    while not fake.applied_count:
        assert time.monotonic() < until
        time.sleep(0.01)

    resumed = invoke("bulk", "resume", snapshot().id)
    again = invoke("bulk", "run", meetings(100))
    process.kill()

    assert (resumed.exit_code, again.exit_code) == (2, 2)
    assert "another process works with the journal" in resumed.stderr
    assert f"is running in process {process.pid}; watch it" in again.stderr


@pytest.mark.full
def test_a_job_that_several_resume(
    *, start: Start, invoke: Invoke, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot
) -> None:
    """One runs it; all others say the same in one sentence, and end with the same code."""
    invoke("bulk", "run", meetings(60), "--canary", "1", *QUICK)
    name = snapshot().id
    fake.latency = lambda: 3600.0 if fake.applied_count == 1 else 0.0
    processes = [start("bulk", "resume", name, "--per-second", "1000") for _ in range(4)]
    until = time.monotonic() + 30
    while sum(process.poll() is not None for process in processes) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    refused = [process for process in processes if process.poll() is not None]
    reported = [process.communicate()[1].splitlines() for process in refused]

    assert {process.returncode for process in refused} == {2}
    sentence = f"error: another process works with the journal {snapshot().path}; "
    assert all(lines[-1].startswith(sentence) for lines in reported)
    assert all("Run 2" not in "".join(lines) for lines in reported)
    assert all(len([line for line in lines if line.startswith("error")]) == 1 for lines in reported)
    assert snapshot().runs == 2


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_journal_that_is_lost_while_its_job_runs(
    *, start: Start, fake: FakeGong, meetings: Meetings, snapshot: JobSnapshot, way: str
) -> None:
    """No further request; the command says what was sent, and does not say that nothing was."""
    process = start("bulk", "run", meetings(200), "--per-second", "40")
    until = time.monotonic() + 20
    while fake.applied_count < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    path = snapshot().path
    path.rename(path.with_suffix(".old")) if way == "replaced" else path.unlink()
    if way == "replaced":
        path.write_bytes(path.with_suffix(".old").read_bytes())
    sent = fake.received_count
    _, stderr = process.communicate(timeout=20)

    assert process.returncode == 1
    assert fake.received_count <= sent + 8
    assert f"{path} was removed, replaced or cut off while the job ran" in stderr
    assert f"Sent in this run: {fake.applied_count:,} succeeded, 0 failed, 0 in doubt" in stderr
    assert "nothing was sent" not in stderr
    assert "Next:" not in stderr
