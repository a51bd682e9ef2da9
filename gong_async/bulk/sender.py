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
    """Protocol of the client operations that a bulk job uses."""

    @property
    def limits(self) -> Limits:
        """The configured limits."""
        ...

    async def update(self, meeting_id: str, body: bytes) -> UpdatedMeeting:
        """Replace a meeting; calls the run before each request and after it."""
        ...

    async def integration_status(self, emails: Sequence[str]) -> IntegrationStatus:
        """Return whether organizers' meetings can be updated."""
        ...

    async def quota(self) -> Quota:
        """Return the current quota."""
        ...


@frozen
class PipelineSender:
    """Sends through the pipeline, with the calls of a resource."""

    call: Call
    limiter: Limiter
    limits: Limits

    async def update(self, meeting_id: str, body: bytes) -> UpdatedMeeting:
        """Replace a meeting with a body that was validated during planning."""
        return await self.call(UPDATE, path={"meetingId": meeting_id}, body=Encoded(body))

    async def integration_status(self, emails: Sequence[str]) -> IntegrationStatus:
        """Return whether organizers' meetings can be updated."""
        return await Meetings(self.call).integration_status(emails)

    async def quota(self) -> Quota:
        """Return the current quota."""
        return await self.limiter.quota()
