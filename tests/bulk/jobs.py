"""Changes, and jobs that were planned or run, for the tests of reports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from gong_async import (
    BasicAuth,
    BulkOptions,
    GongClient,
    Limits,
    MeetingChange,
    MeetingUpdate,
    RetryPolicy,
)
from gong_async.bulk.planner import Changes
from gong_async.bulk.store.job_file import JobFile, ledger_path
from gong_async.testing import FakeGong

FIRST_ID = 7_782_342_274_025_937_000


def change(number: int, **fields: Any) -> MeetingChange:
    """Make a change of the meeting with that number; fields may be given."""
    values: dict[str, Any] = {
        "start_time": datetime(2026, 11, 24, 15, tzinfo=UTC),
        "end_time": datetime(2026, 11, 24, 16, tzinfo=UTC),
        "organizer_email": "dana@example.com",
        "invitees": [],
        "title": "Renewal",
    }
    id_ = str(FIRST_ID + number)
    return MeetingChange(meeting_id=id_, update=MeetingUpdate(**{**values, **fields}))


@frozen
class Jobs:
    """Makes jobs in one state directory, against one fake. No request is repeated."""

    fake: FakeGong
    state: Path

    @property
    def ledger(self) -> Path:
        """Where their ledger is."""
        return ledger_path(self.state)

    async def plan(self, changes: Changes, *, options: BulkOptions | None = None) -> JobFile:
        """Plan a job."""
        async with self._client() as gong:
            job = gong.bulk(changes, options=options, state_dir=self.state)
            await job.plan()
        return JobFile(job.path)

    async def run(
        self, changes: Changes, *, options: BulkOptions | None = None, canary: int | None = None
    ) -> JobFile:
        """Run a job as far as it comes."""
        async with self._client() as gong:
            job = gong.bulk(changes, options=options, state_dir=self.state)
            async for _ in job.run(canary=canary):
                pass
        return JobFile(job.path)

    def _client(self) -> GongClient:
        return GongClient(
            BasicAuth(self.fake.access_key, self.fake.access_key_secret),
            base_url=self.fake.url,
            limits=Limits(per_second=None, per_day=None),
            retry=RetryPolicy(max_attempts=1),
        )
