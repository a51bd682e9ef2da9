"""The fake's OAuth, with plain aiohttp as the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from attrs import frozen

from gong_async.testing import FakeGong, Fault

CALLBACK = "http://127.0.0.1:8914/callback"


@frozen
class Caller:
    """An application that hides nothing."""

    fake: FakeGong
    session: aiohttp.ClientSession

    async def approve(self, **changes: str) -> dict[str, list[str]]:
        """Send a browser to Gong, and return what the redirect says."""
        query = {
            "client_id": self.fake.oauth.client_id,
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "state": "a state",
            "scope": "a b",
            **changes,
        }
        url = f"{self.fake.url}/oauth2/authorize"
        async with self.session.get(url, params=query, allow_redirects=False) as answer:
            assert answer.status == 302
            assert answer.headers["Location"].startswith(f"{CALLBACK}?")
            return parse_qs(urlsplit(answer.headers["Location"]).query)

    async def ask(self, secret: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
        """Ask the token endpoint."""
        oauth = self.fake.oauth
        auth = aiohttp.encode_basic_auth(oauth.client_id, secret or oauth.client_secret)
        url = f"{self.fake.url}/oauth2/generate-customer-token"
        headers = {"Authorization": auth}
        async with self.session.post(url, params=query, headers=headers) as answer:
            return answer.status, await answer.json()

    async def exchange(self, code: str) -> tuple[int, dict[str, Any]]:
        """Ask for the first pair."""
        return await self.ask(
            grant_type="authorization_code", code=code, redirect_uri=CALLBACK, client_id="x"
        )

    async def refresh(self, token: str) -> tuple[int, dict[str, Any]]:
        """Ask for the next pair."""
        return await self.ask(grant_type="refresh_token", refresh_token=token)

    async def call(self, token: str) -> int:
        """Call the API, and return the status."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.get(f"{self.fake.url}/v2/users", headers=headers) as answer:
            return answer.status


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Caller]:
    """Make an application at a fake of its own."""
    async with FakeGong() as fake, aiohttp.ClientSession() as session:
        yield Caller(fake, session)


async def test_an_approval_leads_to_a_pair(caller: Caller) -> None:
    """Code, state and scope go where they belong, and the token opens the API."""
    said = await caller.approve()
    status, pair = await caller.exchange(said["code"][0])

    assert said["state"] == ["a state"]
    assert (status, pair["scope"], pair["expires_in"]) == (200, "a b", 86_400)
    assert pair["api_base_url_for_customer"] == caller.fake.url
    assert await caller.call(pair["access_token"]) == 200


async def test_a_code_works_once(caller: Caller) -> None:
    """Like the refresh tokens."""
    said = await caller.approve()
    answers = [await caller.exchange(said["code"][0]) for _ in range(2)]

    assert [status for status, _ in answers] == [200, 400]
    assert answers[1][1]["error"] == "invalid_grant"


async def test_a_refresh_token_works_once(caller: Caller) -> None:
    """It buys a new pair, which ends the old one; the second use is counted."""
    first = caller.fake.oauth.log_in("a b")
    status, second = await caller.refresh(first["refresh_token"])
    again, refusal = await caller.refresh(first["refresh_token"])

    assert (status, second["scope"]) == (200, "a b")
    assert (again, refusal["error"]) == (400, "invalid_grant")
    assert await caller.call(first["access_token"]) == 401
    assert await caller.call(second["access_token"]) == 200
    assert (caller.fake.oauth.refreshes, caller.fake.oauth.spent_sent) == (1, 1)


async def test_tokens_end(caller: Caller) -> None:
    """By themselves, when they are instructed to, and with the approval."""
    oauth = caller.fake.oauth
    first = oauth.log_in()
    seen = [await caller.call(first["access_token"])]
    oauth.expire()
    seen.append(await caller.call(first["access_token"]))
    _, second = await caller.refresh(first["refresh_token"])
    oauth.revoke()
    seen += [await caller.call(second["access_token"])]
    seen += [(await caller.refresh(second["refresh_token"]))[0]]
    oauth.lifetime = 0
    seen += [await caller.call(oauth.log_in()["access_token"])]

    assert seen == [200, 401, 401, 400, 401]


async def test_a_stranger_is_refused(caller: Caller) -> None:
    """Another secret, and a way of asking that is not known."""
    stranger, refusal = await caller.ask("wrong", grant_type="refresh_token", refresh_token="x")
    unknown, _ = await caller.ask(grant_type="password")

    assert (stranger, refusal["error"], unknown) == (401, "invalid_client", 400)


async def test_an_administrator_may_say_no(caller: Caller) -> None:
    """Then there is no code."""
    caller.fake.oauth.approves = False
    said = await caller.approve()

    assert said == {"error": ["access_denied"], "state": ["a state"]}


async def test_answers_can_be_overridden(caller: Caller) -> None:
    """To say what Gong should not, and to leave out what it should say."""
    caller.fake.oauth.overrides = {"api_base_url_for_customer": "//evil", "expires_in": None}
    _, pair = await caller.exchange((await caller.approve())["code"][0])

    assert pair["api_base_url_for_customer"] == "//evil"
    assert "expires_in" not in pair


async def test_faults_strike_it_like_any_operation(caller: Caller) -> None:
    """Here the pair is given and the answer lost."""
    caller.fake.script(Fault.drop_after(), on="generateCustomerToken")
    with pytest.raises(aiohttp.ClientError):
        await caller.refresh(caller.fake.oauth.log_in()["refresh_token"])

    assert caller.fake.oauth.refreshes == 1


async def test_the_record_holds_no_token(caller: Caller) -> None:
    """What was sent as a code, a state or a token is left out, and no quota is used."""
    said = await caller.approve(state="hunter2")
    _, pair = await caller.exchange(said["code"][0])
    await caller.refresh(pair["refresh_token"])
    recorded = repr(caller.fake.received)

    assert [one.operation for one in caller.fake.received] == [
        "authorize",
        "generateCustomerToken",
        "generateCustomerToken",
    ]
    assert not [one for one in (*caller.fake.oauth.issued, "hunter2") if one in recorded]
    assert caller.fake.quota.used_today(caller.fake.received[-1].at) == 0
