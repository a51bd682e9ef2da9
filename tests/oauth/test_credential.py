"""The code flow, and what an application may be given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from faults.operations import UPDATE

from gong_async import (
    APIConnectionError,
    AuthenticationError,
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    FileTokenStore,
    GongClient,
    GongError,
    Limits,
    LoginRequiredError,
    OAuth,
)
from gong_async.oauth.credential import login_from_env
from gong_async.testing import FakeGong, Fault
from oauth.logins import REDIRECT_URI, MemoryStore, application, approved, token_requests

SCOPES = ("api:meetings:user:update", "api:meetings:user:create")


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake without limits."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        yield fake


async def approve(oauth: OAuth, **changes: str) -> dict[str, list[str]]:
    """Do as a browser does, and return what the redirect says."""
    given = {"redirect_uri": REDIRECT_URI, "state": "a state", **changes}
    url = oauth.authorize_url(scopes=SCOPES, **given)
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        assert answer.status == 302
        return parse_qs(urlsplit(answer.headers["Location"]).query)


async def test_a_login_from_approval_to_call(fake: FakeGong, tmp_path: Path) -> None:
    """Approve, exchange, call; and again from another object with the same store."""
    path = tmp_path / "state" / "login.json"
    oauth = application(fake, FileTokenStore(path))
    said = await approve(oauth)
    tokens = await oauth.exchange(said["code"][0], redirect_uri=REDIRECT_URI)
    for auth in (oauth, application(fake, FileTokenStore(path))):
        async with GongClient(auth) as gong:
            await UPDATE.call(gong)

    assert said["state"] == ["a state"]
    assert (tokens.base_url, tokens.scopes, tokens.lifetime) == (fake.url, SCOPES, 86_400.0)
    assert fake.counts == {302: 1, 200: 3}


async def test_the_token_endpoint_is_asked_as_gong_documents_it(fake: FakeGong) -> None:
    """The parameters in the query, an empty body, and the application as Basic authorization."""
    oauth = application(fake, MemoryStore())
    said = await approve(oauth)
    await oauth.exchange(said["code"][0], redirect_uri=REDIRECT_URI)
    asked = fake.received[-1]

    assert (asked.method, asked.path) == ("POST", "/oauth2/generate-customer-token")
    assert asked.query == {
        "grant_type": "authorization_code",
        "code": "***",
        "client_id": fake.oauth.client_id,
        "redirect_uri": REDIRECT_URI,
    }
    assert (asked.body, asked.headers["content-length"]) == (b"", "0")
    assert asked.headers["authorization"] == "Basic"


async def test_a_refresh_says_nothing_else(fake: FakeGong) -> None:
    """Only the kind of grant, and the token."""
    oauth = application(fake, MemoryStore(approved(fake)))
    await oauth.renew(await oauth.authorization())

    assert fake.received[-1].query == {"grant_type": "refresh_token", "refresh_token": "***"}


@pytest.mark.parametrize("code", ["never-given", "x" * 5_000])
async def test_a_code_that_is_not_taken(
    fake: FakeGong, code: str, shown: Callable[[BaseException], str]
) -> None:
    """It is reported, not asked again, and nothing is stored or shown."""
    store = MemoryStore()
    with pytest.raises(LoginRequiredError, match="the login failed") as caught:
        await application(fake, store).exchange(code, redirect_uri=REDIRECT_URI)

    assert (store.tokens, token_requests(fake)) == (None, 1)
    assert code not in shown(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("code", ["", "a\r\nb", " a"])
async def test_a_code_that_cannot_be_one_is_not_sent(fake: FakeGong, code: str) -> None:
    """Like any credential."""
    with pytest.raises(ConfigurationError, match="the code"):
        await application(fake, MemoryStore()).exchange(code, redirect_uri=REDIRECT_URI)

    assert fake.received_count == 0


async def test_a_wrong_application_is_reported_as_such(fake: FakeGong) -> None:
    """A login would not help: it is the client id or its secret."""
    auth = OAuth(fake.oauth.client_id, "wrong", MemoryStore(approved(fake)), app_url=fake.url)
    with pytest.raises(AuthenticationError, match="client id and its secret") as caught:
        await auth.renew(await auth.authorization())

    assert not isinstance(caught.value, LoginRequiredError)


async def test_an_exchange_whose_answer_was_lost_is_not_repeated(fake: FakeGong) -> None:
    """The code works once."""
    oauth = application(fake, MemoryStore())
    said = await approve(oauth)
    fake.script(Fault.drop_after(), on="generateCustomerToken")
    with pytest.raises(APIConnectionError, match="the login failed"):
        await oauth.exchange(said["code"][0], redirect_uri=REDIRECT_URI)

    assert token_requests(fake) == 1


async def test_not_logged_in(fake: FakeGong) -> None:
    """The error says so and what to do, and nothing was sent."""
    async with GongClient(application(fake, MemoryStore(name="of acme"))) as gong:
        with pytest.raises(LoginRequiredError, match=r"not logged in \(of acme\)") as caught:
            await UPDATE.call(gong)

    assert "gong-async login" in str(caught.value)
    assert (caught.value.attempts, fake.received_count) == (0, 0)


async def test_a_pair_without_a_refresh_token_ends(fake: FakeGong) -> None:
    """There is nothing to renew it with."""
    fake.oauth.expire()
    store = MemoryStore(approved(fake, refresh_token=None))
    fake.oauth.expire()
    async with GongClient(application(fake, store)) as gong:
        with pytest.raises(LoginRequiredError, match="no refresh token"):
            await UPDATE.call(gong)

    assert token_requests(fake) == 0


async def test_logging_out_forgets(fake: FakeGong) -> None:
    """In the store, and in the object itself."""
    store = MemoryStore(approved(fake))
    oauth = application(fake, store)
    async with GongClient(oauth) as gong:
        await UPDATE.call(gong)
        known = [await oauth.forget(), await oauth.forget()]
        with pytest.raises(LoginRequiredError):
            await UPDATE.call(gong)

    assert known == [True, False]
    assert store.tokens is None


async def test_waiters_get_errors_of_their_own(fake: FakeGong) -> None:
    """Each says which call it ended, though all waited for one renewal."""
    fake.oauth.revoke()
    async with GongClient(application(fake, MemoryStore(approved(fake)))) as gong:
        fake.oauth.revoke()
        updates = [gong.request(f"GET /v2/users/{number}") for number in range(3)]
        ended = await asyncio.gather(*updates, return_exceptions=True)

    errors = [error for error in ended if isinstance(error, LoginRequiredError)]
    assert [error.route for error in errors] == [f"/v2/users/{number}" for number in range(3)]
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"client_id": ""}, "client_id is empty"),
        ({"client_id": "a:b"}, "':'"),
        ({"client_id": "a\n"}, "client_id contains a line break"),
        ({"client_secret": ""}, "client_secret is empty"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 61}, "at most 60, got 61"),
        ({"timeout": float("nan")}, "timeout"),
        ({"app_url": "http://app.gong.io"}, "https"),
        ({"app_url": "https://user@app.gong.io"}, "user name"),
    ],
)
def test_refuses_what_cannot_be_an_application(options: dict[str, Any], reported: str) -> None:
    """At once."""
    given = {"client_id": "id", "client_secret": "secret", "store": MemoryStore(), **options}
    with pytest.raises(ConfigurationError, match=reported):
        OAuth(**given)


def test_the_page_of_approval() -> None:
    """At Gong's web application, with everything encoded."""
    url = OAuth("an id", "secret", MemoryStore()).authorize_url(
        redirect_uri="https://x.example/?a=b&c", state="s&t", scopes=["a:b", "c:d"]
    )

    assert url.startswith("https://app.gong.io/oauth2/authorize?")
    assert parse_qs(urlsplit(url).query) == {
        "client_id": ["an id"],
        "response_type": ["code"],
        "scope": ["a:b c:d"],
        "redirect_uri": ["https://x.example/?a=b&c"],
        "state": ["s&t"],
    }


APPLICATION = {"GONG_OAUTH_CLIENT_ID": "id", "GONG_OAUTH_CLIENT_SECRET": "secret"}


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        (APPLICATION, OAuth),
        ({**APPLICATION, "GONG_BEARER_TOKEN": "token"}, BearerAuth),
        ({**APPLICATION, "GONG_ACCESS_KEY": "k", "GONG_ACCESS_KEY_SECRET": "s"}, BasicAuth),
    ],
    ids=["login", "token", "key"],
)
def test_a_key_or_token_goes_before_the_login(environ: Mapping[str, str], kind: type) -> None:
    """The login is used where nothing else is set."""
    gong = GongClient.from_env(environ)

    assert isinstance(gong._call.auth, kind)


@pytest.mark.parametrize("name", APPLICATION)
def test_half_an_application_is_reported_as_such(
    name: str, shown: Callable[[BaseException], str]
) -> None:
    """By the name of the variable that is missing."""
    with pytest.raises(ConfigurationError, match=f"{name} is not set") as caught:
        login_from_env({**APPLICATION, name: ""})

    assert "'secret'" not in shown(caught.value)


def test_without_anything_the_login_is_pointed_to() -> None:
    """The error without a key mentions the login."""
    with pytest.raises(GongError, match="gong-async login"):
        GongClient.from_env({})


async def test_the_login_of_the_environment_makes_calls(fake: FakeGong, tmp_path: Path) -> None:
    """From the variables and the state directory alone."""
    environ = {
        "GONG_OAUTH_CLIENT_ID": fake.oauth.client_id,
        "GONG_OAUTH_CLIENT_SECRET": fake.oauth.client_secret,
        "GONG_OAUTH_URL": fake.url,
        "GONG_STATE_DIR": str(tmp_path / "state"),
    }
    store = FileTokenStore(tmp_path / "state" / "login.json")
    async with store.lock():
        await store.save(approved(fake))
    async with GongClient.from_env(environ) as gong:
        await UPDATE.call(gong)

    assert fake.counts == {200: 1}


def test_a_renewal_that_the_end_of_the_loop_cuts_off_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No caller waits for it: the log says what that may mean, and the next run finds out."""
    with FakeGong.serve_in_thread(per_second=None) as fake:
        store = MemoryStore(approved(fake))
        fake.oauth.expire()
        fake.script(Fault.stall(0.2, apply=True), on="generateCustomerToken")

        async def leave() -> None:
            oauth = application(fake, store)
            renewing = asyncio.ensure_future(oauth.renew(await oauth.authorization()))
            while not token_requests(fake):  # noqa: ASYNC110 - it is another thread's
                await asyncio.sleep(0.005)
            renewing.cancel()

        async def call() -> None:
            async with GongClient(application(fake, store)) as gong:
                await UPDATE.call(gong)

        asyncio.run(leave())
        with pytest.raises(LoginRequiredError):
            asyncio.run(call())

    assert "the renewal of the Gong login was cut off" in caplog.text


async def test_no_token_is_spent_that_cannot_be_replaced(fake: FakeGong, tmp_path: Path) -> None:
    """The place of the next pair is tried first; the login works again once it can be written."""
    store = FileTokenStore(tmp_path / "login.json")
    async with store.lock():
        await store.save(approved(fake))
    oauth = application(fake, store)
    fake.oauth.expire()
    (tmp_path / "login.json.new").mkdir()  # in the way of every new file
    async with GongClient(oauth, limits=Limits(per_second=None)) as gong:
        with pytest.raises(ConfigurationError, match="is not renewed"):
            await gong.meetings.integration_status(["dana@example.com"])
        spent = token_requests(fake)
        (tmp_path / "login.json.new").rmdir()
        status = await gong.meetings.integration_status(["dana@example.com"])

    assert (spent, fake.oauth.refreshes, status.meta.status) == (0, 1, 200)


async def test_no_code_is_spent_that_cannot_be_stored(fake: FakeGong) -> None:
    """A store of the caller's own may say so, too."""

    class Full(MemoryStore):
        async def check_writable(self) -> None:
            msg = "no space left"
            raise ConfigurationError(msg)

    with pytest.raises(ConfigurationError, match="no space left"):
        await application(fake, Full()).exchange("code", redirect_uri=REDIRECT_URI)

    assert token_requests(fake) == 0
