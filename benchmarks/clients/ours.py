"""Ours, in three ways: with limiter, retry, validation and typed result, but no waits."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

from clients.meeting import KEY, SECRET, Meeting

from gong_async import (
    BasicAuth,
    BulkOptions,
    GongClient,
    Invitee,
    Limits,
    MeetingChange,
    MeetingUpdate,
)

JOURNALS = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Memory where there is some, so that no disk is measured; otherwise a temporary folder."""


def model(meeting: Meeting) -> MeetingUpdate:
    """Return the body of the update, which is checked as it is made."""
    return MeetingUpdate(
        start_time=meeting.start,
        end_time=meeting.end,
        organizer_email=meeting.organizer,
        invitees=[Invitee(email=email, display_name=name) for email, name in meeting.invitees],
        title=meeting.title,
    )


class _Ours:
    async def open(self, url: str, in_flight: int) -> None:
        """Open a client without limits of time."""
        self._in_flight = in_flight
        limits = Limits(per_second=None, per_day=None, max_in_flight=in_flight)
        self._gong = GongClient(BasicAuth(KEY, SECRET), base_url=url, limits=limits)

    async def close(self) -> None:
        """Close the client."""
        await self._gong.close()


class Update(_Ours):
    """`meetings.update`: a model in, a model out."""

    async def update(self, meeting: Meeting) -> str:
        """Make the model and call."""
        return (await self._gong.meetings.update(meeting.id, model(meeting))).meeting_id


class UpdateMany(_Ours):
    """`update_many`: models in, outcomes out."""

    async def update_all(self, meetings: Iterable[Meeting]) -> AsyncIterator[str]:
        """Let the models be pulled as they are made."""
        changes = ((meeting.id, model(meeting)) for meeting in meetings)
        async with aclosing(self._gong.update_many(changes)) as outcomes:
            async for outcome in outcomes:
                assert outcome.result is not None
                yield outcome.result.meeting_id


class Bulk(_Ours):
    """`BulkJob`: planned into a new journal, and run to its end."""

    async def open(self, url: str, in_flight: int) -> None:
        """Make a folder for the journals, too."""
        await super().open(url, in_flight)
        self._folder = tempfile.TemporaryDirectory(dir=JOURNALS)

    async def update_all(self, meetings: Iterable[Meeting]) -> AsyncIterator[str]:
        """Plan and run; every update goes out, and nothing else does."""
        changes = (MeetingChange(meeting_id=each.id, update=model(each)) for each in meetings)
        options = BulkOptions(
            check_organizers=False, skip_unchanged=False, max_in_flight=self._in_flight
        )
        job = self._gong.bulk(changes, options=options, state_dir=self._folder.name)
        async with aclosing(job.run()) as items:
            async for item in items:
                assert item.state == "succeeded"
                yield item.meeting_id

    async def close(self) -> None:
        """Remove the journals."""
        await super().close()
        self._folder.cleanup()
