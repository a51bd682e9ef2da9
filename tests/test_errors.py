"""The error tree: which error stands for what, what each knows, and that all of them travel."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import gong_async
from gong_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BasicAuth,
    ConfigurationError,
    ConflictError,
    DailyQuotaExceededError,
    DecodeError,
    Delivery,
    GongClient,
    GongError,
    Invitee,
    Limits,
    MeetingUpdate,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    RequestRejectedError,
    RetryPolicy,
    ServerError,
    TLSError,
    UsageError,
    ValidationError,
)
from gong_async.testing import FakeGong, Fault

ID = "7782342274025937895"
ROUTE = "/v2/meetings/{meetingId}"
START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
UPDATE = MeetingUpdate(
    start_time=START,
    end_time=START + timedelta(hours=1),
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example")],
)

CLASSES: list[type[GongError]] = [
    getattr(gong_async, name)
    for name in dir(gong_async)
    if isinstance(getattr(gong_async, name), type)
    and issubclass(getattr(gong_async, name), BaseException)
]

CONTEXT: dict[str, Any] = {
    "method": "PUT",
    "route": ROUTE,
    "path": {"meetingId": ID},
    "attempts": 3,
    "status": 418,
    "request_id": "4al018gzaztcr8nbukw",
    "errors": ("Wörd", "two"),
    "delivery": Delivery.MAYBE,
    "outcome_unknown": True,
}

OWN: dict[type[GongError], dict[str, Any]] = {
    ValidationError: {"field": "title", "problem": "expected text"},
    DailyQuotaExceededError: {"per_day": 9, "reset_at": START, "retry_after": 1.5},
    APIConnectionError: {"reason": "dns"},
    TLSError: {"reason": "connect"},
    APITimeoutError: {"phase": "tls"},
    ProtocolError: {"flaw": "mismatch"},
    DecodeError: {"flaw": "shape", "paths": ("$.a: missing", "$.b: missing")},
    RedirectError: {"location": "https://elsewhere.example"},
    PermissionDeniedError: {"missing_scope": "api:meetings:user:update"},
    ConflictError: {"user_facing_error": "Off.", "fix_url": "https://fix", "help_url": None},
    RateLimitError: {"retry_after": 30.0, "retry_at": START},
    ServerError: {"retry_after": 2.0},
}


def full(cls: type[GongError]) -> GongError:
    """Make an error in which every attribute is set."""
    facts = {**CONTEXT, **OWN.get(cls, {})}
    if issubclass(cls, APIStatusError):
        facts["errors_omitted"] = 7
    error = cls(**facts) if cls is ValidationError else cls("something happened", **facts)
    error.add_note("seen at night")
    return error


@pytest.fixture
async def impatient(fake_gong: FakeGong) -> Any:
    """Make a client that tries once."""
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    retry = RetryPolicy(max_attempts=1, max_refusals=0)
    async with GongClient(auth, base_url=fake_gong.url, retry=retry, timeout=5.0) as client:
        yield client


async def failure(gong: GongClient) -> GongError:
    """Return the error of an update that fails."""
    with pytest.raises(GongError) as caught:
        await gong.meetings.update(ID, UPDATE)
    return caught.value


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "travel",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
    ids=["copy", "deepcopy", *(f"pickle {n}" for n in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_every_error_survives_a_journey(
    cls: type[GongError], travel: Callable[[GongError], GongError]
) -> None:
    """Type, text, notes and every attribute arrive; errors cross threads, processes and caches."""
    error = full(cls)

    again = travel(error)

    assert type(again) is cls
    assert again is not error
    assert vars(again) == vars(error)
    assert (str(again), again.args) == (str(error), error.args)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_without_a_word(cls: type[GongError]) -> None:
    """An error that knows nothing can be made, shown and pickled too."""
    again = pickle.loads(pickle.dumps(cls()))

    assert type(again) is cls
    assert isinstance(str(again), str)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_can_be_raised_anew_after_a_journey(cls: type[GongError]) -> None:
    """What arrives is a working exception, with a traceback of its own."""
    again = pickle.loads(pickle.dumps(full(cls)))

    with pytest.raises(cls) as caught:
        raise again

    assert caught.value is again


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_hashable(cls: type[GongError]) -> None:
    """Errors can be counted and kept in sets, each as itself."""
    first, second = full(cls), full(cls)

    assert len({first, second, first}) == 2


def plain(value: object) -> bool:
    """Say whether a value is data and nothing else."""
    if isinstance(value, tuple | list):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(map(plain, [*value, *value.values()]))
    return value is None or isinstance(value, str | int | float | bool | datetime)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_holds_plain_data_only(cls: type[GongError]) -> None:
    """No request, no response, no client: nothing that keeps memory or secrets alive."""
    error = full(cls)

    assert all(map(plain, vars(error).values()))
    assert all(map(plain, error.args))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_one_of_ours_and_documented(cls: type[GongError]) -> None:
    """One `except GongError` catches all, and `help()` says what each means."""
    assert issubclass(cls, GongError)
    assert cls.__doc__


def test_every_class_of_the_tree_is_public() -> None:
    """Nothing is raised that cannot be named in an `except`, by a path without an underscore."""

    def below(cls: type[GongError]) -> Iterator[type[GongError]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    ours = {cls for cls in below(GongError) if cls.__module__.startswith("gong_async")}
    elsewhere = {cls for cls in ours if cls.__module__ != "gong_async.errors"}

    assert ours - elsewhere == set(CLASSES) - {GongError}
    assert [cls for cls in elsewhere if "._" in cls.__module__ or cls.__name__[0] == "_"] == []


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (ConfigurationError, ValueError),
        (ValidationError, ValueError),
        (UsageError, RuntimeError),
        (APITimeoutError, TimeoutError),
    ],
)
def test_errors_that_are_also_built_in(cls: type[GongError], builtin: type[Exception]) -> None:
    """Code that does not know this library catches them by the usual names."""
    assert issubclass(cls, builtin)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (300, RedirectError),
        (302, RedirectError),
        (307, RedirectError),
        (399, RedirectError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, RequestRejectedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, RequestRejectedError),
        (408, RequestRejectedError),
        (409, ConflictError),
        (413, RequestRejectedError),
        (418, RequestRejectedError),
        (422, RequestRejectedError),
        (423, RequestRejectedError),
        (429, RateLimitError),
        (451, RequestRejectedError),
        (499, RequestRejectedError),
        (500, ServerError),
        (501, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (520, ServerError),
        (529, ServerError),
        (598, ServerError),
        (599, ServerError),
    ],
)
async def test_each_status_is_its_own_error_and_knows_its_call(
    status: int, cls: type[APIStatusError], impatient: GongClient, fake_gong: FakeGong
) -> None:
    """Known statuses have classes, the others those of their family; all have the same facts."""
    fake_gong.script(Fault.status(status, errors=("First fault", "Second fault")))

    error = await failure(impatient)

    assert type(error) is cls
    assert error.status == status
    assert error.errors == ("First fault", "Second fault")
    assert (error.method, error.route, error.meeting_id) == ("PUT", ROUTE, ID)
    assert error.path == {"meetingId": ID}
    assert error.attempts == fake_gong.received_count == 1
    assert error.request_id is not None and len(error.request_id) == 20
    assert error.delivery is Delivery.ANSWERED
    assert error.outcome_unknown == ((status >= 500 and status != 501) or status == 408)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, ["400 Bad Request", "Correct the data"]),
        (401, ["401 Unauthorized", "access key", "base URL"]),
        (403, ["403 Forbidden", "scopes", "trusted addresses"]),
        (404, ["404 Not Found", "meeting id", "organizer"]),
        (409, ["409 Conflict", "administrator"]),
        (418, ["418"]),
        (429, ["429 Too Many Requests", "retry_at"]),
        (499, ["answered 499"]),
        (503, ["503 Service Unavailable", "outcome is unknown", "Try again later"]),
        (599, ["answered 599"]),
    ],
)
async def test_text_says_what_where_and_what_next(
    status: int, words: list[str], impatient: GongClient, fake_gong: FakeGong
) -> None:
    """One line: Gong's words, the call, the meeting, the request id, and what to do."""
    fake_gong.script(Fault.status(status, errors=("The fault in Gong's words",)))

    error = await failure(impatient)

    text = str(error)
    everywhere = ["The fault in Gong's words", f"PUT {ROUTE}", f"meetingId {ID}", error.request_id]
    assert [word for word in [*words, *everywhere] if str(word) not in text] == []
    assert "\n" not in text


@pytest.mark.looptime
async def test_text_counts_attempts(gong: GongClient, fake_gong: FakeGong) -> None:
    """After several attempts the text says how many."""
    fake_gong.script(Fault.status(500), times=None)

    error = await failure(gong)

    assert error.attempts == fake_gong.received_count == 4
    assert "4 attempts" in str(error)


async def test_a_401_that_names_a_scope_is_about_permission(
    impatient: GongClient, fake_gong: FakeGong
) -> None:
    """A valid credential without the scope: renewing it would not help, an admin has to act."""
    fake_gong.granted_scopes = set()

    error = await failure(impatient)

    assert type(error) is PermissionDeniedError
    assert error.missing_scope == "api:meetings:user:update"
    assert error.status == 401
    assert fake_gong.received_count == 1


async def test_limited_release_is_about_permission(
    impatient: GongClient, fake_gong: FakeGong
) -> None:
    """A 403 has no missing scope to name."""
    fake_gong.limited_release = True

    error = await failure(impatient)

    assert type(error) is PermissionDeniedError
    assert error.missing_scope is None


async def test_conflict_carries_gongs_advice(impatient: GongClient, fake_gong: FakeGong) -> None:
    """Gong's message for the user, and the link to fix it; an empty link is none."""
    fake_gong.add_user(
        "dana@example.com", valid=False, user_facing_error="Calendar off.", fix_url="https://fix/me"
    )

    error = await failure(impatient)

    assert isinstance(error, ConflictError)
    assert error.user_facing_error == "Calendar off."
    assert error.fix_url == "https://fix/me"
    assert error.help_url is None


async def test_rate_limit_says_when(impatient: GongClient, fake_gong: FakeGong) -> None:
    """Seconds as Gong gave them, and the same as an aware UTC time."""
    fake_gong.script(Fault.rate_limited("3600"))
    before = datetime.now(UTC)

    error = await failure(impatient)

    assert isinstance(error, RateLimitError)
    assert error.retry_after == 3600.0
    assert error.retry_at is not None and error.retry_at.utcoffset() == timedelta(0)
    assert before <= error.retry_at - timedelta(hours=1) <= datetime.now(UTC)
    assert not error.outcome_unknown


@pytest.mark.parametrize("header", [None, "soon", "-1"])
async def test_rate_limit_without_a_time(
    header: str | None, impatient: GongClient, fake_gong: FakeGong
) -> None:
    """Without a valid header there is no time to report, and no error about it."""
    fake_gong.script(Fault.rate_limited(header))

    error = await failure(impatient)

    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.retry_at) == (None, None)


@pytest.mark.parametrize("header", ["9" * 5000, "315360000", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_rate_limit_with_an_absurd_time(
    header: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Ten years are not obeyed: the error comes at once, names them, and says what holds."""
    fake_gong.script(Fault.rate_limited(header))

    error = await failure(gong)

    assert isinstance(error, RateLimitError)
    assert error.retry_after == 300
    assert error.retry_at is not None and error.retry_at.year < 2030
    assert header[:20] in error.message


async def test_calls_behind_a_refusal_fail_without_a_request(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """While a long refusal holds, other calls fail with its time and send nothing."""
    fake_gong.script(Fault.rate_limited("3600"))
    await failure(gong)

    error = await failure(gong)

    assert isinstance(error, RateLimitError)
    assert error.attempts == 0
    assert error.retry_after is not None and 3590 < error.retry_after <= 3601
    assert fake_gong.received_count == 1


async def test_the_day_is_over(fake_gong: FakeGong) -> None:
    """Our own count stops before Gong's, and says when the next call is free."""
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    limits = Limits(per_second=None, per_day=1)
    async with GongClient(auth, base_url=fake_gong.url, limits=limits) as gong:
        await gong.meetings.update(ID, UPDATE)
        error = await failure(gong)

    assert isinstance(error, DailyQuotaExceededError)
    assert error.per_day == 1
    assert error.reset_at is not None and error.reset_at > datetime.now(UTC) + timedelta(hours=23)
    assert (error.attempts, error.outcome_unknown) == (0, False)
    assert fake_gong.received_count == 1


async def test_server_errors_keep_the_servers_wait(
    impatient: GongClient, fake_gong: FakeGong
) -> None:
    """A 503 may say when to come back."""
    fake_gong.script(Fault.status(503, headers={"Retry-After": "7"}))

    error = await failure(impatient)

    assert isinstance(error, ServerError)
    assert error.retry_after == 7.0


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("https://login.example/sso?token=abc#x", "https://login.example"),
        ("http://user:pass@login.example:81/x", "http://login.example"),
        ("//evil.example/x", "://evil.example"),
        ("file:///etc/passwd", None),
        ("/relative", None),
        ("http://[bad", None),
        ("", None),
    ],
)
async def test_redirects_are_not_followed(
    location: str, origin: str | None, impatient: GongClient, fake_gong: FakeGong
) -> None:
    """The error names the origin only: path, query and user may hold tokens."""
    fake_gong.script(Fault.redirect(location, status=307))

    error = await failure(impatient)

    assert isinstance(error, RedirectError)
    assert error.location == origin
    assert fake_gong.received_count == 1


NOT_ANSWERED: dict[str, tuple[Fault, type[GongError], dict[str, Any]]] = {
    "drop before": (Fault.drop_before(), APIConnectionError, {"reason": "lost"}),
    "drop after": (Fault.drop_after(), APIConnectionError, {"reason": "lost"}),
    "reset before": (Fault.reset_before(), APIConnectionError, {"reason": "lost"}),
    "reset after": (Fault.reset_after(), APIConnectionError, {"reason": "lost"}),
    "garbage": (Fault.raw(b"\x15\x03\x03\x00\x02\x02\x28"), ProtocolError, {"flaw": "not_http"}),
    "not HTTP": (Fault.raw(), ProtocolError, {"flaw": "not_http"}),
    "truncated": (Fault.truncate(5), ProtocolError, {"flaw": "cut"}),
    "wrong id": (Fault.wrong_id("666"), ProtocolError, {"flaw": "mismatch", "status": 200}),
    "login page": (Fault.html(200), ProtocolError, {"flaw": "content", "status": 200}),
    "oversized": (Fault.oversized(9 * 1024**2), ProtocolError, {"flaw": "cut", "status": 200}),
    "stalled": (Fault.stall(), APITimeoutError, {"phase": "headers"}),
}


@pytest.mark.looptime
@pytest.mark.parametrize("fault", NOT_ANSWERED)
async def test_no_usable_answer(fault: str, impatient: GongClient, fake_gong: FakeGong) -> None:
    """What is no answer is no status either; a change of unknown outcome says so."""
    script, cls, facts = NOT_ANSWERED[fault]
    fake_gong.script(script)

    error = await failure(impatient)

    assert type(error) is cls
    assert {name: getattr(error, name) for name in facts} == facts
    assert (error.method, error.route, error.meeting_id) == ("PUT", ROUTE, ID)
    assert error.attempts == 1
    assert error.delivery is Delivery.MAYBE
    assert error.outcome_unknown
    assert "may have applied the change" in str(error)
    assert error.__cause__ is None and error.__context__ is None


async def test_connection_refused(unused_tcp_port: int) -> None:
    """Nothing was sent, and the message names host and port."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    retry = RetryPolicy(max_attempts=1)
    async with GongClient(BasicAuth("key", "secret"), base_url=url, retry=retry) as gong:
        error = await failure(gong)

    assert type(error) is APIConnectionError
    assert error.reason == "connect"
    assert error.delivery is Delivery.NOT_SENT
    assert not error.outcome_unknown
    assert f"127.0.0.1:{unused_tcp_port}" in str(error)
    assert error.__cause__ is None and error.__context__ is None


async def test_closed_client(gong: GongClient, fake_gong: FakeGong) -> None:
    """A closed client says so, and sends nothing."""
    await gong.close()

    error = await failure(gong)

    assert type(error) is UsageError
    assert "closed" in str(error)
    assert fake_gong.received_count == 0
