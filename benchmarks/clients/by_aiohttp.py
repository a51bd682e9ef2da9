"""Plain aiohttp: the line that people write by hand."""

from __future__ import annotations

import aiohttp
from clients.meeting import KEY, SECRET, Meeting, by_hand


class PlainAiohttp:
    """One session; a dict in, a dict out."""

    async def open(self, url: str, in_flight: int) -> None:
        """Open the session, with aiohttp's own settings."""
        self._url = url
        self._auth = {"Authorization": aiohttp.encode_basic_auth(KEY, SECRET)}
        self._session = aiohttp.ClientSession()

    async def update(self, meeting: Meeting) -> str:
        """Put the dict, read the dict."""
        url = f"{self._url}/v2/meetings/{meeting.id}"
        async with self._session.put(url, json=by_hand(meeting), headers=self._auth) as response:
            response.raise_for_status()
            answer = await response.json()
        return str(answer["meetingId"])

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()
