"""What the backends have in common: a client, bulk jobs in a background task, and updates.

Written as a user would write it. What is asked of it comes in environment variables:

* SHUTDOWN_URL: the server's address. SHUTDOWN_FOLDER: where the journals are, and the log of lives.
* SHUTDOWN_STYLE: how the backend shuts down, see `STYLES`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from crash.server_process import ACCESS_KEY, ACCESS_KEY_SECRET

from gong_async import (
    BasicAuth,
    GongClient,
    JournalError,
    Limits,
    MeetingUpdate,
    RetryPolicy,
    UsageError,
)

Style = Literal["close", "forget", "cancel"]
STYLES: tuple[Style, ...] = ("close", "forget", "cancel")
"""`close` the client and wait for the background task, close it and `forget` the task, or `cancel`
the task, wait for it, and close the client."""

LIVES = "lives.log"
_START = datetime(2026, 11, 24, 15, tzinfo=UTC)


class Work:
    """The backend's part that has nothing to do with its web server."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["SHUTDOWN_FOLDER"])
        self.style = os.environ["SHUTDOWN_STYLE"]
        self.stopping = False
        self.log = os.open(self.folder / LIVES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.note("start", json.dumps(journal_states(self.folder)))

    def note(self, *words: object) -> None:
        """Write a line that outlives this process."""
        os.write(self.log, f"{os.getpid()} {' '.join(map(str, words))}\n".encode())

    async def start(self) -> None:
        """Make the client, and begin with the jobs."""
        self.client = GongClient(
            BasicAuth(ACCESS_KEY, ACCESS_KEY_SECRET),
            base_url=os.environ["SHUTDOWN_URL"],
            limits=Limits(per_second=None, per_day=None),
            retry=RetryPolicy(backoff_base=0.05, backoff_floor=0.01),
            user_agent=f"backend/{os.getpid()}",
        )
        self.task = asyncio.create_task(self.run_jobs())

    async def run_jobs(self) -> None:
        """Go on with every job that no other process works on."""
        paths = sorted(self.folder.glob("job-*.sqlite3"))
        if os.getpid() % 2:
            paths.reverse()  # so that two workers do not wait for the same job
        for path in paths:
            job = self.client.bulk(journal=path, state_dir=self.folder / "state")
            try:
                async for item in job.resume():
                    self.note("outcome", path.name, item.index, item.state)
            except JournalError as error:
                if error.reason != "in_use":
                    raise
            except UsageError:
                if not self.stopping:
                    raise
            if self.stopping:
                return
        self.note("through")

    async def update(self, meeting_id: str) -> bool:
        """Carry out a request; return False if the backend is shutting down."""
        update = MeetingUpdate(
            start_time=_START,
            end_time=_START + timedelta(hours=1),
            organizer_email="dana@example.com",
            invitees=[],
            title=f"Moved {meeting_id}",
        )
        try:
            await self.client.meetings.update(meeting_id, update)
        except UsageError:
            return False
        return True

    async def stop(self) -> None:
        """Shut down in the style that was asked for."""
        self.stopping = True
        if self.style == "cancel":
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        await self.client.close()
        if self.style == "close":
            await self.task
        self.note("stopped")


def journal_states(folder: Path) -> dict[str, list[str | None]]:
    """Return state and reason of every job, as plain SQL finds them."""
    found = {}
    for path in sorted(folder.glob("job-*.sqlite3")):
        with closing(sqlite3.connect(path, timeout=10)) as file:
            header = dict(
                file.execute("SELECT name, value FROM job WHERE name IN ('state', 'reason')")
            )
            found[path.name] = [header.get("state"), header.get("reason")]
    return found
