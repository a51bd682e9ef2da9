"""niquests, async."""

from __future__ import annotations

import niquests
from clients.meeting import KEY, SECRET, Meeting, by_hand


class Niquests:
    """One session; a dict in, a dict out."""

    async def open(self, url: str, in_flight: int) -> None:
        """Open the session; it keeps as many connections as calls."""
        self._url = url
        self._session = niquests.AsyncSession(pool_maxsize=in_flight)
        self._session.auth = (KEY, SECRET)

    async def update(self, meeting: Meeting) -> str:
        """Put the dict, read the dict."""
        url = f"{self._url}/v2/meetings/{meeting.id}"
        response = await self._session.put(url, json=by_hand(meeting))
        response.raise_for_status()
        return str(response.json()["meetingId"])

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()
