"""How a bulk job's requests take the road of every call."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from gong_async._pipeline import Pipeline
from gong_async._wire import Encoded
from gong_async.limits.gates import Limits, Quota
from gong_async.models.meetings import IntegrationStatus, UpdatedMeeting
from gong_async.resources.meetings import UPDATE, Meetings


@frozen
class PipelineSender:
    """Sends what a job tells it to."""

    call: Pipeline
    limits: Limits

    async def update(self, meeting_id: str, body: bytes) -> UpdatedMeeting:
        """Replace a meeting by a state that was checked when the job was planned."""
        return await self.call(UPDATE, path={"meetingId": meeting_id}, body=Encoded(body))

    async def integration_status(self, emails: Sequence[str]) -> IntegrationStatus:
        """Ask whether organizers' meetings can be updated."""
        return await Meetings(self.call).integration_status(emails)

    async def quota(self) -> Quota:
        """Return what is left."""
        return await self.call.limiter.quota()
