"""Faults of credentials and of OAuth: F100 to F110."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from oauth.logins import REDIRECT_URI, MemoryStore, application, approved, token_requests

from faults.always import chain, faces, is_faithful
from faults.operations import OPERATIONS, STATUS, UPDATE, Operation
from gong_async import (
    APIConnectionError,
    APITimeoutError,
    Auth,
    AuthenticationError,
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    FileTokenStore,
    GongClient,
    GongError,
    Limits,
    LoginRequiredError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    RetryPolicy,
    Secret,
    ServerError,
    TokenStore,
)
from gong_async.testing import FakeGong, Fault

TOKEN = "generateCustomerToken"
UNLIMITED = Limits(per_second=None, per_day=None, max_in_flight=200)

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake without limits, and with an application that has a login."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        yield fake


@pytest.fixture
def store(fake: FakeGong) -> MemoryStore:
    """Keep a login that was approved a moment ago."""
    return MemoryStore(approved(fake))


def client(auth: Auth, **options: Any) -> GongClient:
    """Make a client that asks its credential where to call."""
    return GongClient(auth, **{"limits": UNLIMITED, "timeout": 5.0, **options})


def leaks(error: BaseException, fake: FakeGong) -> list[str]:
    """Return what an error shows of tokens and of the application's secret."""
    texts = "\n".join(faces(error))
    return [one for one in (*fake.oauth.issued, fake.oauth.client_secret) if one in texts]


async def until_asked(fake: FakeGong) -> None:
    """Wait until a renewal is under way."""
    while not token_requests(fake):  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0.005)


async def failure_of(gong: GongClient, operation: Operation = UPDATE) -> GongError:
    """Return the error that a call ends with, as each must be."""
    with pytest.raises(GongError) as caught:
        await operation.call(gong)
    error = caught.value
    assert is_faithful(error), "C2: the error does not survive a copy"
    assert not [link for link in chain(error) if not isinstance(link, GongError)]
    return error


@each_operation
async def test_f100_a_refused_key_is_final(operation: Operation, fake: FakeGong) -> None:
    """A 401 with an access key ends the call after one request."""
    async with client(BasicAuth("wrong", "wrong"), base_url=fake.url) as gong:
        error = await failure_of(gong, operation)

    assert type(error) is AuthenticationError
    assert (error.attempts, error.outcome_unknown, fake.received_count) == (1, False, 1)


@each_operation
async def test_f101_a_refused_token_is_renewed_once(
    operation: Operation, fake: FakeGong, store: MemoryStore
) -> None:
    """A 401 leads to one renewal and one repetition, whatever the call does."""
    fake.oauth.expire()
    async with client(application(fake, store)) as gong:
        result = await operation.call(gong)

    assert result.meta.attempts == 2
    assert (fake.oauth.refreshes, token_requests(fake)) == (1, 1)


@each_operation
async def test_f101_a_second_refusal_is_final(
    operation: Operation, fake: FakeGong, store: MemoryStore
) -> None:
    """A renewed token that is refused, too, ends the call, and is not renewed again."""
    fake.oauth.lifetime = 0
    fake.oauth.overrides = {"expires_in": None}
    async with client(application(fake, store)) as gong:
        error = await failure_of(gong, operation)

    assert type(error) is AuthenticationError
    assert (error.attempts, error.outcome_unknown) == (2, False)
    assert fake.oauth.refreshes == 1


async def test_f101_a_supplier_is_asked_again_once(fake: FakeGong) -> None:
    """A token that a supplier brought is replaced once; then a 401 is final."""
    brought: list[str] = []

    async def supply() -> str:
        brought.append(f"token-{len(brought)}")
        return brought[-1]

    async with client(BearerAuth(supply, account="acme"), base_url=fake.url) as gong:
        error = await failure_of(gong)

    assert type(error) is AuthenticationError
    assert (error.attempts, brought) == (2, ["token-0", "token-1"])


async def test_f101_tokens_that_are_always_refused_are_not_burned(
    fake: FakeGong, store: MemoryStore
) -> None:
    """Where each new token is refused, as at a wrong base URL, calls stop renewing."""
    fake.oauth.lifetime = 0
    fake.oauth.overrides = {"expires_in": None}
    async with client(application(fake, store)) as gong:
        errors = [await failure_of(gong) for _ in range(20)]

    assert {type(error) for error in errors} == {AuthenticationError}
    assert fake.oauth.refreshes == 2


@pytest.mark.parametrize("operation", [UPDATE, STATUS], ids=str)
async def test_f101_a_missing_scope_is_not_renewed(
    operation: Operation, fake: FakeGong, store: MemoryStore
) -> None:
    """The 401 that names a scope is no refusal of the token: no refresh token is spent."""
    fake.granted_scopes = set()
    async with client(application(fake, store)) as gong:
        error = await failure_of(gong, operation)

    assert isinstance(error, PermissionDeniedError) and error.missing_scope is not None
    assert (error.attempts, token_requests(fake)) == (1, 0)


@pytest.mark.parametrize("calls", [2, 50, 100])
async def test_f102_many_refusals_are_one_renewal(
    calls: int, fake: FakeGong, store: MemoryStore
) -> None:
    """However many calls are refused at once, one renewal serves them all."""
    fake.oauth.expire()
    fake.script(Fault.latency(0.05), on=TOKEN)
    async with client(application(fake, store)) as gong:
        results = await asyncio.gather(*(UPDATE.call(gong) for _ in range(calls)))

    assert {result.meta.attempts for result in results} == {2}
    assert (fake.oauth.refreshes, fake.oauth.spent_sent, token_requests(fake)) == (1, 0, 1)


async def test_f102_many_refusals_ask_a_supplier_once(fake: FakeGong) -> None:
    """The same with a supplier of one's own."""
    brought: list[str] = []

    async def supply() -> str:
        brought.append("of yesterday" if not brought else fake.bearer_token)
        await asyncio.sleep(0.02)
        return brought[-1]

    async with client(BearerAuth(supply, account="acme"), base_url=fake.url) as gong:
        await asyncio.gather(*(UPDATE.call(gong) for _ in range(100)))

    assert len(brought) == 2


async def test_f102_a_late_refusal_of_an_old_token_renews_nothing(
    fake: FakeGong, store: MemoryStore
) -> None:
    """What is renewed is the token that was refused, not the one that replaced it meanwhile."""
    oauth = application(fake, store)
    old = await oauth.authorization()
    fake.oauth.expire()
    assert await oauth.renew(old)
    again = await oauth.renew(old)

    assert again
    assert fake.oauth.refreshes == 1


@pytest.mark.parametrize("who", [[0], [3], [0, 1, 2, 3, 4, 5, 6, 7, 8]])
async def test_f102_who_is_cancelled_takes_no_other_down(
    who: list[int], fake: FakeGong, store: MemoryStore
) -> None:
    """The first that asked for a renewal may leave, or almost all: the others get their token."""
    fake.oauth.expire()
    fake.script(Fault.latency(0.1), on=TOKEN)
    async with client(application(fake, store)) as gong:
        calls = [asyncio.ensure_future(UPDATE.call(gong)) for _ in range(10)]
        await until_asked(fake)
        for number in who:
            calls[number].cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)

    cancelled = [n for n, one in enumerate(ended) if isinstance(one, asyncio.CancelledError)]
    assert cancelled == who
    assert not [one for one in ended if isinstance(one, GongError)]
    assert (fake.oauth.refreshes, fake.oauth.spent_sent) == (1, 0)


async def test_f102_a_renewal_without_a_waiting_call_is_kept(
    fake: FakeGong, store: MemoryStore
) -> None:
    """When all are cancelled and the client is closed, the new pair is stored all the same."""
    before = store.tokens
    fake.oauth.expire()
    fake.script(Fault.latency(0.1), on=TOKEN)
    async with client(application(fake, store)) as gong:
        call = asyncio.ensure_future(UPDATE.call(gong))
        await until_asked(fake)
        call.cancel()
    async with client(application(fake, store)) as gong:
        await UPDATE.call(gong)

    assert store.tokens != before
    assert (fake.oauth.refreshes, fake.oauth.spent_sent) == (1, 0)


async def test_f103_a_token_that_another_program_has_renewed_is_taken_over(
    fake: FakeGong, store: MemoryStore
) -> None:
    """The store is read again before a refresh token is spent."""
    first, second = application(fake, store), application(fake, store)
    async with client(first) as one, client(second) as other:
        await asyncio.gather(UPDATE.call(one), UPDATE.call(other))
        fake.oauth.expire()
        await UPDATE.call(one)
        await UPDATE.call(other)

    assert (fake.oauth.refreshes, fake.oauth.spent_sent, token_requests(fake)) == (1, 0, 1)


async def test_f103_two_programs_at_the_same_time(fake: FakeGong, store: MemoryStore) -> None:
    """Of two that are refused at once, one renews, and the other waits and takes over."""
    fake.oauth.expire()
    fake.script(Fault.latency(0.05), on=TOKEN)
    async with client(application(fake, store)) as one, client(application(fake, store)) as other:
        await asyncio.gather(*(UPDATE.call(gong) for gong in (one, other) for _ in range(20)))

    assert (fake.oauth.refreshes, fake.oauth.spent_sent, token_requests(fake)) == (1, 0, 1)


async def test_f103_a_lock_that_failed_is_made_up_for(fake: FakeGong, store: MemoryStore) -> None:
    """A spent token is answered invalid_grant; then the store is read once more for the new one."""
    store.locks = False
    fake.oauth.expire()
    fake.script(Fault.latency(0.05), on=TOKEN, nth=2)
    async with client(application(fake, store)) as one, client(application(fake, store)) as other:
        results = await asyncio.gather(UPDATE.call(one), UPDATE.call(other))

    assert [result.meta.attempts for result in results] == [2, 2]
    assert (fake.oauth.refreshes, fake.oauth.spent_sent) == (1, 1)


def lost(name: str) -> Any:
    """Mark a case in which the new pair may have been lost."""
    return pytest.param(*LOST[name], True, id=name)


LOST: dict[str, tuple[Fault, type[GongError], int]] = {
    "500": (Fault.status(500), ServerError, 1),
    "502 page": (Fault.html(502), ServerError, 1),
    "503": (Fault.status(503, headers={"Retry-After": "1"}), ServerError, 1),
    "dropped, applied": (Fault.drop_after(), APIConnectionError, 1),
    "dropped": (Fault.drop_before(), APIConnectionError, 1),
    "reset, applied": (Fault.reset_after(), APIConnectionError, 1),
    "reset": (Fault.reset_before(), APIConnectionError, 1),
    "silence, applied": (Fault.stall(apply=True), APITimeoutError, 1),
    "silence": (Fault.stall(), APITimeoutError, 1),
    "cut": (Fault.truncate(20), ProtocolError, 1),
    "not HTTP": (Fault.raw(), GongError, 1),
    "login page": (Fault.html(200), ProtocolError, 1),
    "empty": (Fault.empty(200), ProtocolError, 1),
    "no token": (Fault.status(200, body=b"{}"), ProtocolError, 1),
    "a list": (Fault.status(200, body=b"[]"), ProtocolError, 1),
    "a number for a token": (Fault.status(200, body=b'{"access_token": 7}'), ProtocolError, 1),
    "bomb": (Fault.oversized(9 * 1024 * 1024), ProtocolError, 1),
}
REFUSED: dict[str, tuple[Fault, type[GongError], int]] = {
    "400": (Fault.status(400), GongError, 1),
    "403": (Fault.status(403), PermissionDeniedError, 1),
    "302": (Fault.redirect(), RedirectError, 1),
    "invalid_grant": (
        Fault.status(400, body=b'{"error":"invalid_grant"}'),
        LoginRequiredError,
        1,
    ),
    "invalid_grant in words": (
        Fault.status(400, body=b"Refresh token code is invalid"),
        LoginRequiredError,
        1,
    ),
    "invalid_grant in Gong's envelope": (
        Fault.status(400, errors=("Refresh token code is invalid",)),
        LoginRequiredError,
        1,
    ),
    "invalid_client": (
        Fault.status(401, body=b'{"error":"invalid_client"}'),
        AuthenticationError,
        1,
    ),
    "limit, for long": (Fault.rate_limited("3600"), RateLimitError, 1),
}


@pytest.mark.parametrize(
    ("fault", "kind", "asked", "ambiguous"),
    [
        *map(lost, LOST),
        *(pytest.param(*REFUSED[name], False, id=name) for name in REFUSED),
    ],
)
async def test_f104_the_token_endpoint_fails(
    *,
    fault: Fault,
    kind: type[GongError],
    asked: int,
    ambiguous: bool,
    fake: FakeGong,
    store: MemoryStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What may have spent the refresh token is not asked again, and the error says so plainly."""
    caplog.set_level(logging.DEBUG)
    before = store.tokens
    fake.oauth.expire()
    fake.script(fault, on=TOKEN, times=None)
    async with client(application(fake, store, timeout=0.3)) as gong:
        error = await failure_of(gong)

    assert isinstance(error, kind)
    assert token_requests(fake) == asked
    assert ("if Gong refuses them from now on, log in again" in str(error)) is ambiguous
    # The change itself was refused, whatever became of the token.
    assert (error.outcome_unknown, error.attempts, error.meeting_id is None) == (False, 1, False)
    assert leaks(error, fake) == []
    assert not [token for token in fake.oauth.issued if token in caplog.text]
    assert store.tokens is before


@pytest.mark.parametrize(
    ("fault", "asked"),
    [(Fault.status(423), 2), (Fault.rate_limited("0"), 2), (Fault.status(421), 2)],
    ids=["423", "429", "421"],
)
async def test_f104_what_was_not_processed_is_asked_again(
    fault: Fault, asked: int, fake: FakeGong, store: MemoryStore
) -> None:
    """An answer that says that nothing was done spends nothing."""
    fake.oauth.expire()
    fake.script(fault, on=TOKEN)
    async with client(application(fake, store)) as gong:
        await UPDATE.call(gong)

    assert (token_requests(fake), fake.oauth.refreshes) == (asked, 1)


async def test_f104_a_refused_connection_is_tried_again(
    fake: FakeGong, store: MemoryStore, unused_tcp_port: int
) -> None:
    """What provably was not sent is sent again, and then raised without a word of lost tokens."""
    fake.oauth.expire()
    oauth = application(fake, store)
    oauth = type(oauth)("id", "secret", store, app_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with client(oauth) as gong:
        error = await failure_of(gong)

    assert isinstance(error, APIConnectionError)
    assert error.reason == "connect"
    assert "log in again" not in str(error)


async def test_f104_a_refused_refresh_token_is_never_sent_again(
    fake: FakeGong, store: MemoryStore
) -> None:
    """After invalid_grant every call says "log in again", and asks Gong no more."""
    fake.oauth.revoke()
    async with client(application(fake, store)) as gong:
        errors = [await failure_of(gong) for _ in range(5)]

    assert {type(error) for error in errors} == {LoginRequiredError}
    assert all("gong-async login" in str(error) for error in errors)
    assert (token_requests(fake), fake.oauth.spent_sent) == (1, 1)


async def test_f104_a_new_login_ends_it(fake: FakeGong, store: MemoryStore) -> None:
    """A client that was instructed to log in again works as soon as the user has."""
    fake.oauth.revoke()
    async with client(application(fake, store)) as gong:
        await failure_of(gong)
        store.tokens = approved(fake)
        result = await UPDATE.call(gong)

    assert result.meta.attempts == 2


async def test_f104_a_lost_answer_ends_in_a_clear_word(fake: FakeGong, store: MemoryStore) -> None:
    """A pair whose answer was lost is gone: the next call says "log in again"."""
    fake.oauth.expire()
    fake.script(Fault.drop_after(), on=TOKEN)
    async with client(application(fake, store)) as gong:
        first, second = await failure_of(gong), await failure_of(gong)

    assert isinstance(first, APIConnectionError)
    assert isinstance(second, LoginRequiredError)


@pytest.mark.parametrize(
    "expires_in", [None, "soon", "3600", "", -5, 0, True, 1e99, [60], {"seconds": 60}], ids=repr
)
async def test_f105_an_end_that_cannot_be_meant_is_no_end(
    expires_in: object, fake: FakeGong, store: MemoryStore
) -> None:
    """Without a usable expires_in a token is used until Gong refuses it: no loop of renewals."""
    fake.oauth.expire()
    fake.oauth.overrides = {"expires_in": expires_in}
    async with client(application(fake, store)) as gong:
        for _ in range(5):
            await UPDATE.call(gong)

    assert token_requests(fake) == 1
    assert store.tokens is not None and store.tokens.expires_at is None


async def test_f105_nan_is_no_answer(fake: FakeGong, store: MemoryStore) -> None:
    """JSON that is none is refused as a whole."""
    fake.oauth.expire()
    fake.script(Fault.status(200, body=b'{"access_token":"a","expires_in":NaN}'), on=TOKEN)
    async with client(application(fake, store)) as gong:
        error = await failure_of(gong)

    assert isinstance(error, ProtocolError)


async def test_f106_a_refresh_token_that_is_not_replaced_is_kept(
    fake: FakeGong, store: MemoryStore
) -> None:
    """An answer without a refresh token leaves the old one in force."""
    before = store.tokens
    fake.oauth.expire()
    fake.oauth.overrides = {"refresh_token": None, "scope": None}
    async with client(application(fake, store)) as gong:
        await UPDATE.call(gong)

    assert before is not None and store.tokens is not None
    assert store.tokens.refresh_token == before.refresh_token
    assert store.tokens.access_token != before.access_token
    assert store.tokens.scopes == before.scopes


BAD_TOKENS = [
    "to\r\nX-Evil: 1",
    "token\n",
    "to\x00ken",
    "tökén-x",
    " blank-first",
    '"token"',
    "t" * 20_000,
]


@pytest.mark.parametrize("bad", BAD_TOKENS, ids=lambda bad: repr(bad)[:20])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
async def test_f107_a_token_that_is_no_header_is_neither_stored_nor_sent(
    name: str, bad: str, fake: FakeGong, store: MemoryStore
) -> None:
    """A token with a line break would write headers of its own."""
    before = store.tokens
    fake.oauth.expire()
    fake.oauth.overrides = {name: bad}
    async with client(application(fake, store)) as gong:
        error = await failure_of(gong)

    assert isinstance(error, ProtocolError)
    assert name in str(error) and bad not in str(error) + repr(error)
    assert store.tokens is before
    assert [one.operation for one in fake.received] == ["updateMeeting", TOKEN]


async def test_f107_a_suppliers_token_is_checked_too(fake: FakeGong) -> None:
    """What the supplier brings is not believed either."""

    async def supply() -> str:
        return "hunter2\r\nX-Evil: 1"

    async with client(BearerAuth(supply, account="acme"), base_url=fake.url) as gong:
        error = await failure_of(gong)

    assert isinstance(error, ConfigurationError)
    assert "hunter2" not in "".join(faces(error))
    assert fake.received_count == 0


HOSTILE = [
    "https://evil.example",
    "https://api.gong.io.evil.example",
    "https://evilgong.io",
    "https://gong.io@evil.example",
    "https://api.gong.io:8443",
    "http://api.gong.io",
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254",
    "https://2130706433",
    "https://0x7f000001",
    "file:///etc/passwd",
    "//evil.example",
    "https://api.gong.io/../evil",
    "https://api.gong.io?x=.gong.io",
    "https://api.gong.io#@evil.example",
    "https://evil.example\\.gong.io",
    "https://evil.example%2f.gong.io",
    "https://аpi.gong.io",  # noqa: RUF001 - a Cyrillic letter
    "https://evil。example",
    "javascript:alert(1)",
    "https://",
    7,
    ["https://api.gong.io"],
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
async def test_f108_a_hostile_base_url_is_not_believed(
    hostile: object, fake: FakeGong, store: MemoryStore
) -> None:
    """The error says so; the new pair is kept for the base URL of before, and used only there."""
    fake.oauth.expire()
    fake.oauth.overrides = {"api_base_url_for_customer": hostile}
    async with client(application(fake, store)) as gong:
        error = await failure_of(gong)
        result = await UPDATE.call(gong)

    assert isinstance(error, ProtocolError)
    assert "base URL" in str(error) and fake.url in str(error)
    assert result.meta.attempts == 1
    assert store.tokens is not None and store.tokens.base_url == fake.url
    assert fake.oauth.refreshes == 1


@pytest.mark.parametrize("hostile", HOSTILE[:3], ids=repr)
async def test_f108_a_login_with_a_hostile_base_url_is_none(
    hostile: str, fake: FakeGong, code: Callable[[], str]
) -> None:
    """At the first exchange nothing is stored."""
    store = MemoryStore()
    fake.oauth.overrides = {"api_base_url_for_customer": hostile}
    with pytest.raises(ProtocolError, match="nothing was stored"):
        await application(fake, store).exchange(code(), redirect_uri=REDIRECT_URI)

    assert store.tokens is None


@pytest.fixture
def code(fake: FakeGong) -> Callable[[], str]:
    """Approve the application, and return the code."""

    def code() -> str:
        query = {"client_id": fake.oauth.client_id, "response_type": "code"}
        answer = fake.oauth._authorize({**query, "redirect_uri": REDIRECT_URI})
        return answer.headers["Location"].partition("code=")[2].partition("&")[0]

    return code


async def test_f108_a_company_that_moves_is_followed_with_the_new_token_only(
    fake: FakeGong, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A base URL that may be believed is used with the pair that it came with, and stored."""
    async with FakeGong(per_second=None) as cell:
        cell.oauth = fake.oauth
        fake.oauth.overrides = {"api_base_url_for_customer": cell.url}
        async with client(application(fake, store)) as gong:
            await UPDATE.call(gong)
            fake.oauth.expire()
            await UPDATE.call(gong)
            await UPDATE.call(gong)

    assert fake.counts_by_operation["updateMeeting", 200] == 1
    assert cell.counts == {200: 2}  # the old token would have been answered 401
    assert f"has moved the company's API from {fake.url} to {cell.url}" in caplog.text


async def test_f108_the_callers_own_base_url_wins(fake: FakeGong, store: MemoryStore) -> None:
    """Who names a base URL, a gateway for example, is not led elsewhere."""
    async with FakeGong(per_second=None, prefix="/gateway") as gateway:
        gateway.oauth = fake.oauth
        async with client(application(fake, store), base_url=gateway.url) as gong:
            await UPDATE.call(gong)

    assert gateway.counts == {200: 1}
    assert fake.received_count == 0


@pytest.mark.parametrize("failures", [1, 3])
async def test_f109_a_pair_that_cannot_be_stored_is_not_used_and_not_lost(
    failures: int, fake: FakeGong, store: MemoryStore
) -> None:
    """On a full disk the call fails; once there is room, the same pair is stored and used."""
    fake.oauth.expire()
    store.failing_saves = failures
    async with client(application(fake, store)) as gong:
        errors = [await failure_of(gong) for _ in range(failures)]
        used = fake.counts_by_operation["updateMeeting", 200]
        await UPDATE.call(gong)

    assert {type(error) for error in errors} == {ConfigurationError}
    assert used == 0
    assert (store.saves, token_requests(fake), fake.oauth.spent_sent) == (1, 1, 0)


async def test_f109_the_file_is_written_before_the_token_is_used(
    fake: FakeGong, tmp_path: Path
) -> None:
    """When Gong sees the new token, it is in the file already."""
    store = FileTokenStore(tmp_path / "state" / "login.json")
    async with store.lock():
        await store.save(approved(fake))
    fake.oauth.expire()
    seen: list[bool] = []

    def look() -> float:
        kept = json.loads(store.path.read_text(encoding="utf-8"))["access_token"]
        seen.append(kept == fake.oauth.issued[-2])
        return 0.0

    fake.latency = look
    async with client(application(fake, store)) as gong:
        await UPDATE.call(gong)

    # Asked for tokens, and then for the update with the new one.
    assert seen == [True, True]
    assert len(fake.oauth.issued) == 4


def at(hours: float) -> datetime:
    """Return a time on the wall clock, so many hours from now."""
    return datetime.now(UTC) + timedelta(hours=hours)


@pytest.mark.parametrize("hours", [-1_000, -5, 0])
async def test_f110_a_stored_end_in_the_past_renews_once(hours: float, fake: FakeGong) -> None:
    """A clock that is hours ahead costs one renewal, and no more in this process."""
    store = MemoryStore(approved(fake, expires_at=at(hours), lifetime=86_400.0))
    async with client(application(fake, store)) as gong:
        for _ in range(5):
            await UPDATE.call(gong)

    assert (token_requests(fake), fake.counts_by_operation["updateMeeting", 401]) == (1, 0)


@pytest.mark.parametrize("hours", [5, 100_000])
async def test_f110_a_stored_end_in_the_future_is_not_believed_beyond_gongs_word(
    hours: float, fake: FakeGong
) -> None:
    """A clock that is hours behind does not keep a token alive: the 401 is the truth."""
    store = MemoryStore(approved(fake, expires_at=at(hours), lifetime=86_400.0))
    fake.oauth.expire()
    async with client(application(fake, store)) as gong:
        result = await UPDATE.call(gong)

    assert result.meta.attempts == 2
    assert token_requests(fake) == 1


async def test_f110_a_token_is_renewed_before_its_end_by_the_steady_clock(
    fake: FakeGong, store: MemoryStore
) -> None:
    """In this process the time since the token came counts, whatever the wall clock says."""
    fake.oauth.expire()
    oauth = application(fake, store)
    now = [1_000.0]
    oauth._login.clock = lambda: now[0]
    async with client(oauth) as gong:
        await UPDATE.call(gong)
        now[0] += 86_000
        await UPDATE.call(gong)
        asked_early = token_requests(fake)
        now[0] += 350
        await asyncio.gather(*(UPDATE.call(gong) for _ in range(20)))

    assert (asked_early, token_requests(fake)) == (1, 2)
    assert fake.counts_by_operation["updateMeeting", 401] == 1


async def test_f110_an_early_renewal_that_fails_leaves_the_token_in_use(
    fake: FakeGong, caplog: pytest.LogCaptureFixture
) -> None:
    """The token may still be good: it is used, once more is said, and nothing is tried again."""
    store = MemoryStore(approved(fake, expires_at=at(-1), lifetime=86_400.0))
    fake.script(Fault.status(503), on=TOKEN, times=None)
    async with client(application(fake, store), retry=RetryPolicy(max_attempts=1)) as gong:
        for _ in range(3):
            await UPDATE.call(gong)

    assert token_requests(fake) == 1
    assert caplog.text.count("the access token is used until Gong refuses it") == 1


async def test_a_redactor_redacts_tokens_that_came_later(
    fake: FakeGong, store: TokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewed token that Gong echoes in an error is redacted, and so is the one before it."""
    fake.oauth.expire()
    async with client(application(fake, store)) as gong:
        await UPDATE.call(gong)
        said = " ".join(fake.oauth.issued)
        fake.script(Fault.status(400, errors=(said,)), on="updateMeeting")
        error = await failure_of(gong)

    assert len(fake.oauth.issued) == 4
    assert leaks(error, fake) == []
    assert "***" in str(error)


async def test_a_client_of_a_renewed_login_shows_nothing(
    fake: FakeGong, store: MemoryStore
) -> None:
    """Neither the client, nor its parts, nor the login, nor the pair show a token."""
    fake.oauth.expire()
    oauth = application(fake, store)
    async with client(oauth) as gong:
        await UPDATE.call(gong)
        shown = [repr(gong), repr(vars(gong)), repr(gong._call), repr(oauth), repr(vars(oauth))]
        shown += [repr(store.tokens), str(store.tokens), repr(oauth._endpoint), repr(oauth._login)]

    hidden = (*fake.oauth.issued, fake.oauth.client_secret)
    assert not [one for one in hidden if one in "\n".join(shown)]


async def test_limits_are_shared_across_renewals(fake: FakeGong, store: MemoryStore) -> None:
    """The company is identified by the login, not by the token."""
    oauth = application(fake, store)
    before = oauth.fingerprint
    fake.oauth.expire()
    assert await oauth.renew(await oauth.authorization())

    assert oauth.fingerprint == before
    assert oauth.fingerprint != application(fake, MemoryStore(name="other")).fingerprint
    assert Secret(before) not in oauth.secrets
