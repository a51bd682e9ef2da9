"""What a bulk job needs of a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gong_async.limits.gates import Limits, Quota
from gong_async.models.meetings import IntegrationStatus, UpdatedMeeting


class Sender(Protocol):
    """Sends what a job tells it to."""

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
