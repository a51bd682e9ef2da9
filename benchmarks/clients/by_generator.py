"""The client that openapi-generator makes of `meeting_update.yaml`."""

from __future__ import annotations

import meeting_update_client as generated
from clients.meeting import KEY, SECRET, Meeting


class Generated:
    """A model in, a model out; aiohttp and pydantic in between."""

    async def open(self, url: str, in_flight: int) -> None:
        """Open the client as its README says."""
        configuration = generated.Configuration(host=url, username=KEY, password=SECRET)
        self._client = generated.ApiClient(configuration)
        self._meetings = generated.MeetingsApi(self._client)

    async def update(self, meeting: Meeting) -> str:
        """Make the model and call."""
        update = generated.MeetingUpdate(
            start_time=meeting.start,
            end_time=meeting.end,
            organizer_email=meeting.organizer,
            invitees=[
                generated.Invitee(email=email, display_name=name)
                for email, name in meeting.invitees
            ],
            title=meeting.title,
        )
        updated = await self._meetings.update_meeting(meeting.id, update)
        return str(updated.meeting_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
