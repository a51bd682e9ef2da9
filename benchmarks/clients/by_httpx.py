"""httpx, async."""

from __future__ import annotations

import httpx
from clients.meeting import KEY, SECRET, Meeting, by_hand


class Httpx:
    """One client; a dict in, a dict out."""

    async def open(self, url: str, in_flight: int) -> None:
        """Open the client; it keeps as many connections as calls, which are 20 by default."""
        self._url = url
        limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        self._client = httpx.AsyncClient(auth=httpx.BasicAuth(KEY, SECRET), limits=limits)

    async def update(self, meeting: Meeting) -> str:
        """Put the dict, read the dict."""
        url = f"{self._url}/v2/meetings/{meeting.id}"
        response = await self._client.put(url, json=by_hand(meeting))
        response.raise_for_status()
        return str(response.json()["meetingId"])

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()
