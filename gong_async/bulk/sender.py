"""Sends a bulk job's requests through the client's pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from gong_async._wire import Call, Encoded
from gong_async.limits.types import Limiter, Limits, Quota
from gong_async.models.meetings import IntegrationStatus, UpdatedMeeting
from gong_async.resources.meetings import UPDATE, Meetings


class Sender(Protocol):
    """The operations that a bulk job needs of a client."""

    @property
    def limits(self) -> Limits:
        """The company's limits."""
        ...

    async def update(self, meeting_id: str, body: bytes) -> UpdatedMeeting:
        """Replace a meeting; the run is asked before each request, and told after it."""
        ...

    async def integration_status(self, emails: Sequence[str]) -> IntegrationStatus:
        """Ask whether organizers' meetings can be updated."""
        ...

    async def quota(self) -> Quota:
        """Return what is left."""
        ...


@frozen
class PipelineSender:
    """Sends through the pipeline, by way of the calls of a resource."""

    call: Call
    limiter: Limiter
    limits: Limits

    async def update(self, meeting_id: str, body: bytes) -> UpdatedMeeting:
        """Replace a meeting by a state that was validated when the job was planned."""
        return await self.call(UPDATE, path={"meetingId": meeting_id}, body=Encoded(body))

    async def integration_status(self, emails: Sequence[str]) -> IntegrationStatus:
        """Return whether the meetings of organizers can be updated."""
        return await Meetings(self.call).integration_status(emails)

    async def quota(self) -> Quota:
        """Return how much of the company's limits is used."""
        return await self.limiter.quota()
