"""The operations that are interrupted, and how each goes on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crash.journal_view import read_journal
from crash.server_process import ACCESS_KEY, ACCESS_KEY_SECRET

from cancellations.cases import Case
from gong_async import (
    BasicAuth,
    BulkItem,
    BulkJob,
    BulkOptions,
    GongClient,
    Limits,
    MeetingChange,
    MeetingUpdate,
    Outcome,
    RetryPolicy,
)
from gong_async.limits.memory import MemoryLimitStore

ITEMS = 12
_FIRST_ID = 7_300_000_000_000_000_001
_START = datetime(2026, 11, 24, 15, tzinfo=UTC)
IN_FLIGHT = 3
_SLOW = 0.003
"""Seconds that a slow reader takes for an outcome."""


@dataclass
class Scene:
    """What one case works with, over several clients and event loops."""

    case: Case
    url: str
    folder: Path
    calm: Callable[[], None] = lambda: None
    """Lets nothing go wrong any more at the server."""
    share: MemoryLimitStore = field(default_factory=MemoryLimitStore)
    """Of all clients of the case: a permit that one does not return is missed by the next."""
    clients: int = 0
    yielded: dict[str, bool] = field(default_factory=dict)
    """Meetings whose outcome the caller got, and whether it was a success."""
    job: BulkJob | None = None
    held: object = None
    """What has to stay alive until the case is over."""
    problems: list[str] = field(default_factory=list)
    interrupted: int = 0
    """How often it was interrupted before its end."""
    finished: bool = False
    """Whether the operation came to its end before it was interrupted."""

    def begin(self, client: GongClient) -> AsyncGenerator[Any, None]:
        """Begin the operation, one of those with many outcomes."""
        if self.case.subject == "update_many":
            done = frozenset(meeting for meeting, ok in self.yielded.items() if ok)
            return client.update_many(self.make_changes(without=done))
        view = read_journal(self.journal)
        planned = view is not None and view.planned
        self.job = self.make_job(client, changes=not planned)
        return self.job.resume() if planned else self.job.run()

    def note(self, outcome: Outcome[Any, Any] | BulkItem) -> None:
        """Note an outcome that the caller got."""
        one = outcome if isinstance(outcome, BulkItem) else outcome.change
        if self.yielded.get(one.meeting_id):
            self.problems.append(f"meeting {one.meeting_id} was done before, and yielded again")
        self.yielded[one.meeting_id] = outcome.ok

    @property
    def journal(self) -> Path:
        """Where the job's journal is."""
        return self.folder / "job.sqlite3"

    def make_client(self) -> GongClient:
        """Return a client that sends the server its number."""
        self.clients += 1
        return GongClient(
            BasicAuth(ACCESS_KEY, ACCESS_KEY_SECRET),
            base_url=self.url,
            limits=Limits(per_second=None, per_day=None, max_in_flight=IN_FLIGHT),
            retry=RetryPolicy(backoff_base=0.02, backoff_floor=0.005),
            limit_store=self.share,
            user_agent=f"victim/{self.clients}",
        )

    def make_job(self, client: GongClient, *, changes: bool) -> BulkJob:
        """Return the job; with its changes, or to be resumed."""
        return client.bulk(
            self.make_changes() if changes else None,
            journal=self.journal,
            options=BulkOptions(max_in_flight=IN_FLIGHT, drain_seconds=5.0),
            state_dir=self.folder / "state",
        )

    def make_changes(self, *, without: frozenset[str] = frozenset()) -> Any:
        """Return the changes as a list, or as an asynchronous generator."""
        changes = [c for c in map(change, range(ITEMS)) if c.meeting_id not in without]
        return _slowly(changes) if self.case.asynchronous else changes


async def _slowly(changes: list[MeetingChange]) -> AsyncGenerator[MeetingChange, None]:
    for one in changes:
        await asyncio.sleep(0)
        yield one


def change(number: int) -> MeetingChange:
    """Return the change of one meeting."""
    update = MeetingUpdate(
        start_time=_START,
        end_time=_START + timedelta(hours=1),
        organizer_email=f"organizer{number % 3}@example.com",
        invitees=[],
        title=f"Review {number}",
    )
    return MeetingChange(meeting_id=_FIRST_ID + number, update=update)


async def work(scene: Scene, client: GongClient) -> None:
    """Carry out the operation of the case."""
    match scene.case.subject:
        case "update":
            one = change(0)
            await client.meetings.update(one.meeting_id, one.update)
            scene.yielded[one.meeting_id] = True
        case "plan":
            view = read_journal(scene.journal)
            planned = view is not None and view.planned
            scene.job = scene.make_job(client, changes=not planned)
            await scene.job.plan()
        case _:
            async for outcome in scene.begin(client):
                scene.note(outcome)
                if scene.case.slow:
                    await asyncio.sleep(_SLOW)
    scene.finished = True


async def go_on(scene: Scene, client: GongClient) -> None:
    """Bring the work to its end: at once, without asking whether anything has settled."""
    match scene.case.subject:
        case "update":
            await work(scene, client)
        case "update_many":
            done = frozenset(meeting for meeting, ok in scene.yielded.items() if ok)
            async for outcome in client.update_many(scene.make_changes(without=done)):
                scene.note(outcome)
        case _:
            await _go_on_with_job(scene, client)


async def _go_on_with_job(scene: Scene, client: GongClient) -> None:
    view = await asyncio.to_thread(read_journal, scene.journal)
    planned = view is not None and view.planned
    job = scene.job if scene.case.here else None
    if job is None or (scene.case.asynchronous and not planned):  # its source may be used up
        job = scene.make_job(client, changes=not planned)
    async for item in job.resume() if planned else job.run():
        scene.note(item)
