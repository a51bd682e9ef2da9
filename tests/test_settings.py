"""Settings of a wrong type or value: refused by name when the client is built, and typed."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import pytest
from attrs import frozen

from gong_async import (
    Auth,
    BasicAuth,
    BearerAuth,
    BulkOptions,
    ConfigurationError,
    FileTokenStore,
    GongClient,
    Limits,
    MeetingUpdate,
    OAuth,
    RedisLimitStore,
    RetryPolicy,
    Secret,
    SQLiteLimitStore,
)
from gong_async.hooks.events import Event
from gong_async.testing import FakeGong

ENVIRON = {"GONG_BEARER_TOKEN": "token"}
NAN, INF = float("nan"), float("inf")


@frozen
class Integer:
    """An integer of another library, numpy's `int64` for example."""

    value: int

    def __index__(self) -> int:
        return self.value

    def __float__(self) -> float:
        return float(self.value)


@frozen
class Real:
    """A number of another library, numpy's `float32` for example."""

    value: float

    def __float__(self) -> float:
        return self.value


def each(name: str, values: list[Any]) -> list[tuple[str, Any]]:
    """Return pairs of the name of an option and values that it does not take."""
    return [(name, value) for value in values]


WRONG: list[tuple[str, Any]] = [
    *each("limits", [{}, 3, 0, False, "x", Limits, RetryPolicy()]),
    *each("retry", [{}, 3, 0, False, "x", RetryPolicy, Limits()]),
    *each("timeout", ["5", None, True, NAN, INF, 0, -1, 1j, b"5", 10**400, [5]]),
    *each("timeout", [aiohttp.ClientTimeout(5), Decimal("NaN")]),
    *each("session", ["x", False, object(), aiohttp.ClientSession]),
    *each("connector", ["x", False, object(), aiohttp.TCPConnector]),
    *each("user_agent", [5, b"x", ["x"]]),
    *each("base_url", [5, b"https://api.gong.io"]),
    *each("limit_store", ["x", 5, False, object(), SQLiteLimitStore]),
    *each("hooks", [None, 5, "x", print, {"x": 1}, [5], ["x"], [None]]),
]


def named(value: object) -> str:
    """Return an id for a parameter, the same in all workers."""
    return re.sub(" at 0x[0-9a-f]+", "", ascii(value))[:30]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=named)
def test_an_option_of_a_wrong_type_is_refused_by_name(name: str, value: Any) -> None:
    """When the client is built, not by another owner's error at the first call."""
    with pytest.raises(ConfigurationError, match=rf"^{name}"):
        GongClient.from_env(ENVIRON, **{name: value})
    with pytest.raises(ConfigurationError, match=rf"^{name}"):
        GongClient(BearerAuth("token"), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, value in WRONG if name in {"retry", "timeout"} and value is not None]
    + [("priority", "fast"), ("priority", 5), ("priority", []), ("priority", "Bulk")],
    ids=named,
)
def test_a_copy_refuses_the_same(name: str, value: Any) -> None:
    """`with_options` checks what it is given."""
    with pytest.raises(ConfigurationError, match=rf"^{name}"):
        GongClient(BearerAuth("token")).with_options(**{name: value})


@pytest.mark.parametrize("path", [5, False, b"x", [], "", "a\0b", Path])
def test_a_path_of_a_wrong_type_is_refused_by_name(path: Any) -> None:
    """Where it is given, and not when the file is opened."""
    gong = GongClient(BearerAuth("token"))
    for name in ("journal", "state_dir"):
        with pytest.raises(ConfigurationError, match=rf"^{name} must be a path"):
            gong.bulk(**{name: path})
    for kind in (SQLiteLimitStore, FileTokenStore):
        with pytest.raises(ConfigurationError, match=r"^path must be a path"):
            kind(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *each("store", [None, 5, "x", object(), FileTokenStore]),
        *each("domains", [None, 5, "gong.io"]),
        *each("app_url", [None, 5, b"https://app.gong.io"]),
        *each("connector", ["x", 5, aiohttp.TCPConnector]),
    ],
)
def test_a_login_refuses_an_option_of_a_wrong_type(name: str, value: Any, tmp_path: Path) -> None:
    """When it is made; one text is not a list of domains."""
    options = {"store": FileTokenStore(tmp_path / "login"), name: value}

    with pytest.raises(ConfigurationError, match=rf"^{name} must be"):
        OAuth("id", "secret", **options)


@pytest.mark.parametrize("url", [5, False, b"redis://localhost", [], object()])
def test_a_share_refuses_a_url_that_is_no_text(url: Any) -> None:
    """When it is made."""
    with pytest.raises(ConfigurationError, match=r"^url must be"):
        RedisLimitStore(url)


@pytest.mark.parametrize("options", [{}, 5, BulkOptions, Limits()])
def test_a_bulk_job_refuses_options_of_another_kind(options: Any) -> None:
    """Before anything is planned."""
    with pytest.raises(ConfigurationError, match=r"^options must be a BulkOptions"):
        GongClient(BearerAuth("token")).bulk(options=options)


@pytest.mark.parametrize("timeout", ["5", None, True, NAN, INF, 0])
def test_a_login_refuses_a_timeout_that_is_no_number(timeout: Any, tmp_path: Path) -> None:
    """As the client does."""
    with pytest.raises(ConfigurationError, match=r"^timeout must be"):
        OAuth("id", "secret", store=FileTokenStore(tmp_path / "login"), timeout=timeout)


@pytest.mark.parametrize("name", ["expected_processes", "timeout"])
@pytest.mark.parametrize("value", ["1", None, True, NAN, INF, 0, -1])
def test_a_share_refuses_what_is_no_number(name: str, value: Any) -> None:
    """As the client does."""
    with pytest.raises(ConfigurationError, match=rf"^{name} must be"):
        RedisLimitStore("redis://127.0.0.1", **{name: value})


def test_an_unknown_option_is_a_type_error() -> None:
    """As with any Python function; type checkers say it before."""
    with pytest.raises(TypeError, match="sharee"):
        GongClient.from_env(ENVIRON, sharee=SQLiteLimitStore())  # type: ignore[call-arg]


@pytest.mark.parametrize("environ", ["x", 5, [("GONG_BEARER_TOKEN", "t")]])
def test_an_environment_is_a_mapping(environ: Any) -> None:
    """The first argument is no option."""
    with pytest.raises(ConfigurationError, match=r"^environ must be a mapping"):
        GongClient.from_env(environ)


NUMBERS: dict[Callable[..., Any], tuple[str, ...]] = {
    Limits: ("per_second", "per_day", "max_in_flight", "headroom", "reserve", "reserved_share"),
    RetryPolicy: (
        "max_attempts", "max_refusals", "max_wait", "deadline", "backoff_base", "backoff_cap",
        "backoff_floor",
    ),
    BulkOptions: ("max_failure_ratio", "resend_in_doubt_within", "max_in_flight", "drain_seconds"),
}  # fmt: skip
FLAGS: dict[Callable[..., Any], tuple[str, ...]] = {
    Limits: ("learns",),
    RetryPolicy: ("resend_creates",),
    BulkOptions: ("keep_order", "skip_unchanged", "check_organizers"),
}


@pytest.mark.parametrize("value", ["3", True, NAN, -1, b"3", [3], 1j, 10**400], ids=repr)
def test_a_number_of_a_wrong_type_is_refused_by_name(value: Any) -> None:
    """A text is no number, True is not 1, and NaN is above and below nothing."""
    for cls, names in NUMBERS.items():
        for name in names:
            if value == 10**400 and name not in {"per_second", "deadline", "headroom"}:
                continue
            with pytest.raises(ConfigurationError, match=rf"\b{name} must"):
                cls(**{name: value})


@pytest.mark.parametrize("name", ["per_day", "max_in_flight", "reserve"])
@pytest.mark.parametrize("value", [2.5, 3.0, Decimal(3), INF, Real(3.0)], ids=repr)
def test_a_count_is_whole(name: str, value: Any) -> None:
    """Half a call cannot be meant."""
    with pytest.raises(ConfigurationError, match=rf"Limits.{name} must be a whole number"):
        Limits(**{name: value})


@pytest.mark.parametrize("value", ["no", "", 0, 1, None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    """The text "no" would count as true."""
    for cls, names in FLAGS.items():
        for name in names:
            with pytest.raises(ConfigurationError, match=rf"\.{name} must be True or False"):
                cls(**{name: value})


def test_numbers_of_other_libraries_become_pythons_own() -> None:
    """A database or JSON would not take them as they are."""
    limits = Limits(per_second=Real(2.5), per_day=Integer(9), headroom=Fraction(1, 4))  # type: ignore[arg-type]
    retry = RetryPolicy(max_attempts=Integer(2), deadline=Decimal("1.5"))  # type: ignore[arg-type]
    numbers = (limits.per_second, limits.per_day, limits.headroom, retry.max_attempts)

    assert (*numbers, retry.deadline) == (2.5, 9, 0.25, 2, 1.5)
    assert [type(number) for number in numbers] == [float, int, float, int]
    assert type(retry.deadline) is float


class Vault:
    """A credential of the caller's own."""

    secrets: Any = ()
    fingerprint: Any = "acme"

    async def authorization(self) -> Secret:
        """Sign."""
        return Secret("Bearer x")

    async def renew(self, refused: Secret) -> bool:
        """Give up."""
        return False


class NoRenewal:
    """One that cannot be renewed, and does not say so."""

    secrets = ()
    fingerprint = "acme"
    authorization = Vault.authorization


def vault(**changes: Any) -> Any:
    """Make a credential that is fine but for `changes`."""
    made = Vault()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "auth",
    [
        "key", None, 5, ("key", "secret"), Secret("key"), object(), BasicAuth, Vault, NoRenewal(),
        vault(fingerprint=lambda: "acme"), vault(fingerprint=None), vault(secrets=list),
        vault(secrets=["s3cr3t"]), vault(secrets=None), vault(renew=None),
    ],
    ids=lambda auth: type(auth).__name__,
)  # fmt: skip
def test_a_credential_without_what_a_call_needs_is_refused(auth: Any) -> None:
    """A class in place of an instance, too; what was given is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        GongClient(auth)

    assert "s3cr3t" not in str(caught.value)
    assert "key" not in str(caught.value)


def test_a_credential_of_ones_own_is_taken() -> None:
    """It needs no base class."""
    auth: Auth = vault(secrets=iter([Secret("s3cr3t")]))

    assert GongClient(auth)


@pytest.mark.parametrize("account", [5, b"acme", ["acme"]])
def test_an_account_is_text(account: Any) -> None:
    """It names whose tokens they are."""
    with pytest.raises(ConfigurationError, match=r"^account must be text"):
        BearerAuth("token", account=account)


async def test_a_supplier_that_is_not_async_is_refused(fake_gong: FakeGong) -> None:
    """What it returned is not shown: it may be the token."""
    auth = BearerAuth(lambda: "s3cr3t", account="acme")  # type: ignore[arg-type,return-value]
    async with GongClient(auth, base_url=fake_gong.url) as gong:
        with pytest.raises(ConfigurationError, match="must be async; it returned str") as caught:
            await gong.request("GET /v2/users")

    assert "s3cr3t" not in str(caught.value)
    assert fake_gong.received_count == 0


async def later(event: Event) -> None:
    """Never run."""


async def one_by_one(event: Event) -> AsyncIterator[Event]:
    """Never run."""
    yield event


def lazily(event: Event) -> Iterator[Event]:
    """Never run."""
    yield event


class Observer:
    """Takes events in every way."""

    async def __call__(self, event: Event) -> None:
        """Never run."""

    async def method(self, event: Event) -> None:
        """Never run."""

    @staticmethod
    async def static(event: Event) -> None:
        """Never run."""

    @classmethod
    async def of_class(cls, event: Event) -> None:
        """Never run."""


class StaticCall:
    """One whose call needs no instance."""

    @staticmethod
    async def __call__(event: Event) -> None:
        """Never run."""


NEVER_RUN: dict[str, Any] = {
    "async function": later,
    "async generator": one_by_one,
    "generator": lazily,
    "partial": functools.partial(later),
    "partial of a partial": functools.partial(functools.partial(one_by_one)),
    "partial of an object": functools.partial(Observer()),
    "object": Observer(),
    "object with a static call": StaticCall(),
    "method": Observer().method,
    "static method": Observer.static,
    "class method": Observer.of_class,
    "class": Observer,
    "mock": AsyncMock(),
}


@pytest.mark.parametrize("kind", NEVER_RUN)
def test_a_hook_that_would_never_run_is_refused(kind: str) -> None:
    """Calling it only makes a coroutine or a generator; the place in the list is named."""
    with pytest.raises(ConfigurationError, match=r"^hooks\[1\] is "):
        GongClient(BearerAuth("token"), hooks=[print, NEVER_RUN[kind]])


class Tally:
    """A hook with a memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Take note."""
        self.events.append(event)


async def test_hooks_of_every_plain_kind_run(fake_gong: FakeGong, update: MeetingUpdate) -> None:
    """Functions, methods, partials, objects, and any iterable of them."""
    tally, queue = Tally(), asyncio.Queue[Event]()
    hooks = (tally, tally.events.append, functools.partial(tally), queue.put_nowait)
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    async with GongClient(auth, base_url=fake_gong.url, hooks=iter(hooks)) as gong:
        await gong.meetings.update("1", update)

    assert len(tally.events) == 3 * queue.qsize() > 0


async def test_a_hook_that_returns_a_coroutine_is_reported(
    fake_gong: FakeGong, update: MeetingUpdate, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing shows that before it is called; the call is not disturbed."""
    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    hook: Any = lambda event: later(event)  # noqa: E731, PLW0108 - the kind that hides it
    async with GongClient(auth, base_url=fake_gong.url, hooks=[hook]) as gong:
        with caplog.at_level(logging.ERROR):
            await gong.meetings.update("1", update)

    assert "a hook returned a coroutine" in caplog.text
