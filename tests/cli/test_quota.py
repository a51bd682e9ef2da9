"""`gong-async quota`, and the file that commands share."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from gong_async.testing import FakeGong, Fault


def test_the_next_command_knows_what_was_used(
    invoke: Callable[..., Result], fake: FakeGong
) -> None:
    """Calls of earlier commands count, repetitions included, and asking counts nothing."""
    fake.script(Fault.status(503))
    invoke("meetings", "status", "dana@example.com")
    invoke("meetings", "status", "kim@example.com")
    reported = [json.loads(invoke("quota").stdout) for _ in range(2)]

    assert fake.received_count == 3
    assert [quota["used_today"] for quota in reported] == [3, 3]
    assert reported[0]["left_today"] == 9_997
    assert reported[0]["ceiling"] == 3


def test_calls_waiting_in_a_bulk_run_are_counted_until_it_is_killed(
    invoke: Callable[..., Result],
    start: Callable[..., subprocess.Popen[str]],
    fake: FakeGong,
    meetings: Callable[..., Path],
) -> None:
    """From another terminal: the run's calls by lane, and none when its process is gone."""
    fake.script(Fault.stall(), times=None)
    words = ("--per-second", "0.1", "--max-in-flight", "8", "--no-check-organizers")
    process = start("bulk", "run", meetings(50), *words)

    def ask() -> tuple[dict[str, int], int]:
        quota = json.loads(invoke("quota").stdout)
        return quota["waiting"], quota["in_flight"]

    until = time.monotonic() + 60
    while (running := ask()) != ({"interactive": 0, "bulk": 7}, 1):
        assert time.monotonic() < until, running
    process.kill()
    process.wait()

    assert ask() == ({"interactive": 0, "bulk": 0}, 0)


def test_a_used_up_day_stops_the_next_command(
    invoke: Callable[..., Result], fake: FakeGong, tmp_path: Path
) -> None:
    """What one command has used up the next does not send."""
    row = "778,2026-11-24T15:00:00Z,2026-11-24T16:00:00Z,dana@example.com,,Talk"
    header = "meeting_id,start_time,end_time,organizer_email,invitees,title"
    file = tmp_path / "meetings.csv"
    file.write_text(f"{header}\n{row}\n")
    invoke("meetings", "status", "dana@example.com")
    result = invoke("bulk", "run", file, "--per-day", "1")

    assert result.exit_code == 75
    assert fake.received_count == 1


def test_a_state_directory_that_cannot_be_used_is_reported(
    invoke: Callable[..., Result], environment: dict[str, str], tmp_path: Path
) -> None:
    """Nothing is sent without the limits: the message names the directory."""
    blocked = tmp_path / "a file"
    blocked.write_text("")
    env = {**environment, "GONG_STATE_DIR": str(blocked / "state")}
    result = invoke("meetings", "status", "dana@example.com", env=env)

    assert result.exit_code == 2
    assert "a file" in result.stderr
