"""Credentials: what is taken, what is sent, and that a refused one is never shown."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable, Callable, Mapping

import pytest

from gong_async import (
    AuthenticationError,
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    GongClient,
    Secret,
)
from gong_async.auth import auth_from_env
from gong_async.testing import FakeGong

BAD = {
    "empty": "",
    "line break at the end": "hunter2hunter2\n",
    "carriage return": "hunter2hunter2\r",
    "header injection": "hunter2hunter2\r\nX-Evil: 1",
    "NUL": "hunter2\x00hunter2",
    "DEL": "hunter2hunter2\x7f",
    "tab": "hunter2\thunter2",
    "blank at the start": " hunter2hunter2",
    "blank at the end": "hunter2hunter2 ",
    "double quotes": '"hunter2hunter2"',
    "single quotes": "'hunter2hunter2'",
    "half a quote": 'hunter2hunter2"',
    "non-ASCII": "hünter2hunter2",
    "digits of another script": "hunter2٣hunter2",
    "no-break space": "hunter2\u00a0hunter2",
    "lone surrogate": "hunter2\ud800hunter2",
    "byte order mark": "\ufeffhunter2hunter2",
}

MAKERS: dict[str, Callable[[str], object]] = {
    "access_key": lambda bad: BasicAuth(bad, "fine"),
    "access_key_secret": lambda bad: BasicAuth("fine", bad),
    "token": BearerAuth,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_refuses_what_cannot_be_a_credential(name: str, bad: str) -> None:
    """The message names the part and never shows the value."""
    with pytest.raises(ConfigurationError, match=rf"^{name} ") as caught:
        MAKERS[name](bad)

    assert "hunter2" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("bad", [None, 7, b"hunter2hunter2"], ids=["None", "int", "bytes"])
def test_refuses_what_is_not_text(name: str, bad: object) -> None:
    """A value of another type, an unset variable for example, is reported as such."""
    with pytest.raises(
        ConfigurationError, match=rf"^{name} must be text, not {type(bad).__name__}"
    ):
        MAKERS[name](bad)  # type: ignore[arg-type]


def test_refuses_a_colon_in_the_access_key() -> None:
    """RFC 7617: the first colon ends the user name, so it cannot be part of it."""
    with pytest.raises(ConfigurationError, match="':'") as caught:
        BasicAuth("hunter2:hunter2", "secret")

    assert "hunter2" not in str(caught.value)


def test_takes_a_colon_in_the_secret() -> None:
    """Only the key may not hold one."""
    assert BasicAuth("key", "se:cret").access_key_secret.reveal() == "se:cret"


async def test_basic_encodes_the_pair() -> None:
    """RFC 7617: `Basic` and base64 of key, colon and secret."""
    header = await BasicAuth("Aladdin", "open sesame").authorization()

    assert header.reveal() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


async def test_bearer_sends_the_token_as_it_is() -> None:
    """RFC 6750: `Bearer` and the token."""
    header = await BearerAuth("abc.def-ghi").authorization()

    assert header.reveal() == "Bearer abc.def-ghi"


@pytest.mark.parametrize("auth", [BasicAuth("key", "secret"), BearerAuth("token")])
async def test_a_fixed_credential_cannot_be_renewed(auth: BasicAuth | BearerAuth) -> None:
    """A program cannot make a new access key or a new token out of nothing."""
    assert await auth.renew(Secret("refused")) is False


@pytest.mark.parametrize("auth", [BasicAuth("hunter2key", "hunter2secret"), BearerAuth("hunter2")])
def test_shows_nothing(auth: BasicAuth | BearerAuth) -> None:
    """Neither printing nor formatting a credential shows it."""
    shown = f"{auth} {auth!r} {auth.secrets}"

    assert "hunter2" not in shown


@pytest.mark.parametrize("auth", [BasicAuth("key", "secret"), BearerAuth("token")])
def test_does_not_leave_the_process_in_a_pickle(auth: BasicAuth | BearerAuth) -> None:
    """A credential cannot be pickled; a copy within the process is one."""
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(auth)

    assert copy.deepcopy(auth) == auth


def test_secrets_name_everything_that_must_be_masked() -> None:
    """Both halves, and the pair."""
    revealed = {secret.reveal() for secret in BasicAuth("key", "secret").secrets}

    assert revealed == {"key", "secret", "key:secret"}


@pytest.mark.parametrize(
    "environ",
    [
        {"GONG_ACCESS_KEY": "key", "GONG_ACCESS_KEY_SECRET": "secret"},
        {"GONG_ACCESS_KEY": "key", "GONG_ACCESS_KEY_SECRET": "secret", "GONG_BEARER_TOKEN": ""},
    ],
)
def test_environment_with_a_key(environ: Mapping[str, str]) -> None:
    """Key and secret make Basic; a variable set to nothing is not set."""
    assert auth_from_env(environ) == BasicAuth("key", "secret")


def test_environment_with_a_token() -> None:
    """A token makes Bearer."""
    assert auth_from_env({"GONG_BEARER_TOKEN": "token"}) == BearerAuth("token")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_ACCESS_KEY": "key"}, "GONG_ACCESS_KEY_SECRET is not set"),
        ({"GONG_ACCESS_KEY_SECRET": "secret"}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_ACCESS_KEY": "", "GONG_ACCESS_KEY_SECRET": "secret"}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_BEARER_TOKEN": "t", "GONG_ACCESS_KEY": "k"}, "both set"),
        ({"GONG_BEARER_TOKEN": "t", "GONG_ACCESS_KEY_SECRET": "s"}, "both set"),
    ],
)
def test_environment_with_none_half_or_both(environ: Mapping[str, str], named: str) -> None:
    """The message says which variable is missing, or which two contradict each other."""
    with pytest.raises(ConfigurationError, match=named):
        auth_from_env(environ)


def test_environment_with_a_bad_value_shows_none(shown: Callable[[BaseException], str]) -> None:
    """Not even a traceback with locals shows a variable, neither the bad one nor the good one."""
    environ = {"GONG_ACCESS_KEY": "hunter2key", "GONG_ACCESS_KEY_SECRET": "hunter2secret\n"}

    with pytest.raises(
        ConfigurationError, match="access_key_secret contains a line break"
    ) as caught:
        auth_from_env(environ)

    assert "hunter2" not in shown(caught.value)


async def test_client_from_env_calls_with_its_credential(fake_gong: FakeGong) -> None:
    """The variables of the environment are enough to make a call."""
    environ = {"GONG_BEARER_TOKEN": fake_gong.bearer_token, "GONG_BASE_URL": fake_gong.url}
    async with GongClient.from_env(environ) as gong:
        await gong.request("GET /v2/users")

    assert fake_gong.received[0].headers["authorization"] == "Bearer"
    assert fake_gong.received[0].status == 200


async def test_basic_opens_the_door(fake_gong: FakeGong) -> None:
    """A key and secret with every printable ASCII character arrive unchanged."""
    printable = "".join(map(chr, range(0x21, 0x7F)))
    fake_gong.access_key_secret = f"a{printable}z"
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    async with GongClient(auth, base_url=fake_gong.url) as gong:
        await gong.request("GET /v2/users")

    assert fake_gong.counts == {200: 1}


async def test_a_wrong_credential_is_refused_once(fake_gong: FakeGong) -> None:
    """A 401 with a fixed credential is final after one request."""
    async with GongClient(BasicAuth("wrong", "wrong"), base_url=fake_gong.url) as gong:
        with pytest.raises(AuthenticationError):
            await gong.request("GET /v2/users")

    assert fake_gong.received_count == 1


class Renewing:
    """A credential that can be renewed, `left` times."""

    fingerprint = "a company of its own"

    def __init__(self, first: str, good: str, *, left: int = 1) -> None:
        self.value, self.good, self.left = first, good, left
        self.refused: list[str] = []

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The token of now."""
        return (Secret(self.value),)

    async def authorization(self) -> Secret:
        """Sign with the token of now."""
        return Secret(f"Bearer {self.value}")

    async def renew(self, refused: Secret) -> bool:
        """Take the good one."""
        self.refused.append(refused.reveal())
        if self.left == 0:
            return False
        self.left -= 1
        self.value = self.good
        return True


async def test_a_refused_credential_is_renewed_once(fake_gong: FakeGong) -> None:
    """A 401 leads to one renewal, of the value that was refused, and one repetition."""
    auth = Renewing("stale", fake_gong.bearer_token)
    async with GongClient(auth, base_url=fake_gong.url) as gong:
        answer = await gong.request("GET /v2/users")

    assert answer.meta.attempts == 2
    assert auth.refused == ["Bearer stale"]


async def test_a_renewed_credential_that_is_refused_too_is_final(fake_gong: FakeGong) -> None:
    """There is no loop of renewals."""
    auth = Renewing("stale", "stale too", left=9)
    async with GongClient(auth, base_url=fake_gong.url) as gong:
        with pytest.raises(AuthenticationError) as caught:
            await gong.request("GET /v2/users")

    assert caught.value.attempts == 2
    assert fake_gong.received_count == 2


@pytest.mark.parametrize(
    "user_agent",
    ["", "mine\n", "mine\r\nX-Evil: 1", "mine\x00", "mine\x7f", "mine\t1", "müne", "mine\ud800"],
)
def test_refuses_a_user_agent_that_is_no_header(user_agent: str) -> None:
    """What could inject a header, or cannot be one, is refused when the client is built."""
    with pytest.raises(ConfigurationError, match="user_agent"):
        GongClient(BasicAuth("key", "secret"), user_agent=user_agent)


async def test_sends_the_given_user_agent(fake_gong: FakeGong) -> None:
    """The name that the caller gives replaces ours."""
    auth = BearerAuth(fake_gong.bearer_token)
    async with GongClient(auth, base_url=fake_gong.url, user_agent="acme-sync/1.2 (ops)") as gong:
        await gong.request("GET /v2/users")

    assert fake_gong.received[0].headers["user-agent"] == "acme-sync/1.2 (ops)"


async def test_names_itself_without_telling_whose_it_is(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """Our own user agent names library and Python, and no company."""
    await gong.request("GET /v2/users")

    assert fake_gong.received[0].headers["user-agent"].startswith("gong_async/")


def supplier(*tokens: str) -> Callable[[], Awaitable[str]]:
    """Return a function that brings one token after another."""
    left = iter(tokens)

    async def bring() -> str:
        return next(left)

    return bring


async def test_a_supplier_is_asked_when_its_token_is_needed() -> None:
    """Once, and then again when what it brought is refused."""
    auth = BearerAuth(supplier("one", "two"), account="acme")
    first = [await auth.authorization() for _ in range(3)]
    renewed = await auth.renew(first[0])
    late = await auth.renew(first[0])

    assert {header.reveal() for header in first} == {"Bearer one"}
    assert (renewed, late) == (True, True)
    assert (await auth.authorization()).reveal() == "Bearer two"


async def test_a_supplier_that_brings_the_refused_one_again_has_no_other() -> None:
    """Then there is nothing to repeat the call with."""
    auth = BearerAuth(supplier("one", "one"), account="acme")

    assert not await auth.renew(await auth.authorization())


async def test_a_suppliers_tokens_are_redacted() -> None:
    """The newest, and the one before it; its fingerprint stays the same."""
    auth = BearerAuth(supplier("one", "two", "three"), account="acme")
    before = auth.fingerprint
    for _ in range(3):
        await auth.renew(await auth.authorization())
        if len(list(auth.secrets)) == 2 and Secret("three") in auth.secrets:
            break

    assert [secret.reveal() for secret in auth.secrets] == ["two", "three"]
    assert auth.fingerprint == before != BearerAuth("one").fingerprint


def test_a_supplier_needs_an_account() -> None:
    """Nothing else identifies the company whose limits its tokens share."""
    with pytest.raises(ConfigurationError, match="account"):
        BearerAuth(supplier("one"))


def test_an_account_identifies_whose_limits_a_token_shares() -> None:
    """Two tokens of one account are one company."""
    one, two = (BearerAuth(token, account="acme") for token in ("one", "two"))

    assert one.fingerprint == two.fingerprint != BearerAuth("one").fingerprint


async def test_an_error_of_the_suppliers_own_is_raised_as_it_is() -> None:
    """It is the caller's, and says more than we could."""

    async def bring() -> str:
        raise LookupError("the vault is sealed")

    with pytest.raises(LookupError, match="sealed"):
        await BearerAuth(bring, account="acme").authorization()
