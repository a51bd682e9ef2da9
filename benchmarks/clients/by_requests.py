"""requests, in threads."""

from __future__ import annotations

from importlib.metadata import version

import requests
import urllib3
from clients.meeting import KEY, SECRET, Meeting, by_hand
from requests.adapters import HTTPAdapter


class Requests:
    """One session, which all threads share; a dict in, a dict out."""

    def open(self, url: str, in_flight: int) -> None:
        """Open the session; it keeps as many connections as threads."""
        if urllib3.__version__ != version("urllib3"):
            # niquests brings urllib3-future, which may put itself in urllib3's place.
            raise SystemExit(
                f"urllib3 is not itself but {urllib3.__version__}: make the environment anew"
                " with URLLIB3_NO_OVERRIDE=1, as the Makefile does"
            )
        self._url = url
        self._session = requests.Session()
        self._session.auth = (KEY, SECRET)
        self._session.mount("http://", HTTPAdapter(pool_maxsize=in_flight))

    def update(self, meeting: Meeting) -> str:
        """Put the dict, read the dict."""
        url = f"{self._url}/v2/meetings/{meeting.id}"
        response = self._session.put(url, json=by_hand(meeting))
        response.raise_for_status()
        return str(response.json()["meetingId"])

    def close(self) -> None:
        """Close the session."""
        self._session.close()
