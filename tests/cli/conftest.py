"""What the tests of the command line share: a fake in a thread, and ways to run the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile, list_jobs
from gong_async.cli.app import app
from gong_async.testing import FakeGong
from gong_async.testing.server import FAKE_ACCESS_KEY_SECRET, FAKE_BEARER_TOKEN

HEADER = "meeting_id,start_time,end_time,organizer_email,invitees,title"
FIRST_ID = 7782342274025000001


@pytest.fixture
def fake() -> Iterator[FakeGong]:
    """Run a FakeGong without a limit in a thread of its own."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        yield fake


@pytest.fixture
def environment(fake: FakeGong, tmp_path: Path) -> dict[str, str]:
    """Return the variables that point the command at the fake."""
    return {
        "GONG_BASE_URL": fake.url,
        "GONG_ACCESS_KEY": fake.access_key,
        "GONG_ACCESS_KEY_SECRET": fake.access_key_secret,
        "GONG_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the variables of the user who runs the tests away."""
    for name in tuple(os.environ):
        if name.startswith("GONG_"):
            monkeypatch.delenv(name)


@pytest.fixture
def invoke(
    environment: dict[str, str], leaks_of: Callable[..., Callable[..., list[str]]]
) -> Callable[..., Result]:
    """Run the command in this process, pointed at the fake; nothing that it writes is a secret."""
    leaks = leaks_of({"the fake's secret": FAKE_ACCESS_KEY_SECRET, "its token": FAKE_BEARER_TOKEN})

    def invoke(*words: object, **options: Any) -> Result:
        options.setdefault("env", environment)
        result = CliRunner().invoke(app, [str(word) for word in words], **options)
        assert leaks(result.stdout, result.stderr) == []
        return result

    return invoke


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command as a process of its own."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gong_async", *map(str, words)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def meetings(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of meetings; some may be given as a pair of id and title."""

    def meetings(rows: int | Sequence[tuple[str, str]], name: str = "meetings.csv") -> Path:
        if isinstance(rows, int):
            rows = [(str(FIRST_ID + number), f"Meeting {number}") for number in range(rows)]
        path = tmp_path / name
        times = "2026-11-24T15:00:00+01:00,2026-11-24T15:45:00+01:00"
        lines = [
            f"{meeting_id},{times},dana@example.com,lee@customer.example,{title}"
            for meeting_id, title in rows
        ]
        path.write_text("\n".join((HEADER, *lines, "")), encoding="utf-8")
        return path

    return meetings


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[[], list[JobFile]]:
    """Return the jobs in the state directory, the oldest first."""
    return lambda: list_jobs(tmp_path / "state")


@pytest.fixture
def snapshot(jobs: Callable[[], list[JobFile]]) -> Callable[[], BulkStatus]:
    """Return how the only job stands."""

    def snapshot() -> BulkStatus:
        (job,) = jobs()
        return job.status()

    return snapshot


@pytest.fixture
def reported() -> Callable[[str], list[dict[str, Any]]]:
    """Read outcomes, or diagnostics, as JSON."""

    def reported(text: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in text.splitlines()]

    return reported
