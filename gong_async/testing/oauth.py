"""The fake's OAuth: approvals, and pairs of tokens whose refresh token can be used once."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from gong_async.testing.answers import FakeAnswer, make_answer

# In the shape of Gong's, and good for nothing: they open this fake alone.
FAKE_CLIENT_ID = "fakeclientidofthefakegong"
FAKE_CLIENT_SECRET = "FAKECLIENTSECRETOFTHEFAKEGONG000"  # noqa: S105
FAKE_TOKENS = ("FAKETOKEN-access-", "FAKETOKEN-refresh-", "FAKETOKEN-code-")
"""How everything begins that is given out, for tests that look for leaks."""
DAY = 86_400.0


class FakeOAuth:
    """What the fake's two pages of OAuth do: `/oauth2/authorize` and its token endpoint.

    The first approves at once, in the place of an administrator with a browser. The second gives
    a pair for a code, and the next one for a refresh token, which is spent thereby. Faults strike
    both like any operation.

    Attributes:
        client_id: Of the application that is known here.
        client_secret: Its secret.
        lifetime: Seconds that an access token opens the fake.
        approves: Whether the administrator says yes.
        overrides: Keys of the token endpoint's answers to say otherwise; None leaves one out.
        refreshes: How many pairs were given for a refresh token.
        spent_sent: How often a refresh token came that was spent, or never was one.
        issued: Every token and code that was ever given, for tests that look for leaks.
    """

    def __init__(self, base_url: Callable[[], str], seed: int | None = None) -> None:
        self.client_id: str = FAKE_CLIENT_ID
        self.client_secret: str = FAKE_CLIENT_SECRET
        self.lifetime: float = DAY
        self.approves: bool = True
        self.overrides: dict[str, Any] = {}
        self.refreshes: int = 0
        self.spent_sent: int = 0
        self.issued: list[str] = []
        self._base_url = base_url
        self._random = random.Random(seed)  # noqa: S311 - tokens of a fake
        self._codes: dict[str, tuple[str, str]] = {}
        self._access: dict[str, float] = {}
        self._refresh: dict[str, str] = {}

    def log_in(self, scope: str = "") -> dict[str, Any]:
        """Give a pair as after an approval: what the token endpoint would answer."""
        return self._pair(scope)

    def expire(self) -> None:
        """Let every access token have ended. Refresh tokens stay good."""
        self._access.clear()

    def revoke(self) -> None:
        """Take the approval back: nothing that was given is good any more."""
        self._access.clear()
        self._refresh.clear()
        self._codes.clear()

    def opens(self, token: str, now: float) -> bool:
        """Say whether an access token is good; it ends so long after it was first used."""
        if token not in self._access:
            return False
        first = self._access[token] = min(self._access[token], now)
        return now < first + self.lifetime

    def answer(self, request: web.BaseRequest, request_id: str, now: float) -> FakeAnswer:
        """Answer a request to one of the two pages."""
        query = dict(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True))
        if request.method == "GET":
            return self._authorize(query)
        pair = f"{self.client_id}:{self.client_secret}".encode()
        if request.headers.get("Authorization") != f"Basic {base64.b64encode(pair).decode()}":
            return _refusal(401, "invalid_client", "Unknown client", request_id)
        match query.get("grant_type"):
            case "authorization_code":
                return self._exchange(query, request_id)
            case "refresh_token":
                return self._renew(query.get("refresh_token", ""), request_id)
            case _:
                return _refusal(400, "unsupported_grant_type", "Bad grant type", request_id)

    def _authorize(self, query: dict[str, str]) -> FakeAnswer:
        redirect_uri = query.get("redirect_uri", "")
        known = query.get("client_id") == self.client_id and query.get("response_type") == "code"
        if not known or not redirect_uri:
            return FakeAnswer(status=400, body=b"Unknown application")
        said = {"error": "access_denied"}
        if self.approves:
            code = self._token("code")
            self._codes[code] = (redirect_uri, query.get("scope", ""))
            said = {"code": code}
        back = {**said, "state": query.get("state", "")}
        location = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(back)}"
        return FakeAnswer(status=302, headers={"Location": location})

    def _exchange(self, query: dict[str, str], request_id: str) -> FakeAnswer:
        redirect_uri, scope = self._codes.pop(query.get("code", ""), ("", ""))
        if not redirect_uri or redirect_uri != query.get("redirect_uri"):
            text = "Authorization code is invalid"
            return _refusal(400, "invalid_grant", text, request_id)
        return make_answer(200, self._pair(scope), request_id=request_id)

    def _renew(self, token: str, request_id: str) -> FakeAnswer:
        scope = self._refresh.pop(token, None)
        if scope is None:
            self.spent_sent += 1
            return _refusal(400, "invalid_grant", "Refresh token code is invalid", request_id)
        self.refreshes += 1
        # Its successor takes the place of the whole pair.
        self._access.clear()
        return make_answer(200, self._pair(scope), request_id=request_id)

    def _pair(self, scope: str) -> dict[str, Any]:
        access, refresh = self._token("access"), self._token("refresh")
        self._access[access] = float("inf")
        self._refresh[refresh] = scope
        pair = {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "scope": scope,
            "api_base_url_for_customer": self._base_url(),
            **self.overrides,
        }
        return {name: value for name, value in pair.items() if value is not None}

    def _token(self, kind: str) -> str:
        token = f"FAKETOKEN-{kind}-{self._random.getrandbits(128):032x}"
        self.issued.append(token)
        return token


def _refusal(status: int, error: str, description: str, request_id: str) -> FakeAnswer:
    payload = {"error": error, "error_description": description}
    return make_answer(status, payload, request_id=request_id)
