"""Credentials: access key and bearer token, and the protocol for custom ones.

Source: https://help.gong.io/docs/receive-access-to-the-api
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

from attrs import Attribute, define, field, frozen
from attrs.validators import optional

from gong_async._redact import Secret, hide_locals
from gong_async.errors import ConfigurationError

T = TypeVar("T")

Supplier = Callable[[], Awaitable[str | Secret]]
"""An async function that returns an access token, for example from a vault."""


class Auth(Protocol):
    """Protocol of a credential. Both methods may do I/O.

    Clients with the same base URL and `fingerprint` share the limits of one company.
    """

    @property
    def secrets(self) -> Iterable[Secret]:
        """The current secrets; they are redacted in errors and logs."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the company's credential without revealing it."""
        ...

    async def authorization(self) -> Secret:
        """Return the value of the `Authorization` header for the next attempt."""
        ...

    async def renew(self, refused: Secret) -> bool:
        """Replace `refused`, for which Gong returned 401; return whether there is a new one."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A credential that may have work to finish when its client is closed."""

    async def settle(self) -> None:
        """Wait for a running renewal: its response may contain the only valid token."""
        ...


def _credential(_: object, attribute: Attribute[Any], value: Secret) -> None:
    if problem := credential_problem(value):
        raise ConfigurationError(f"{attribute.name} {problem}")


def credential_problem(value: Secret) -> str:
    """Return why a value cannot be a credential; an empty string if it can."""
    text: object = value.reveal()
    if not isinstance(text, str):
        return f"must be text, not {type(text).__name__}"
    if not text:
        return "is empty"
    if not text.isascii():
        return "contains non-ASCII text; copy it again"
    if not text.isprintable():
        return "contains a line break or a control character; copy it again"
    if text != text.strip() or text[0] in "\"'" or text[-1] in "\"'":
        return "begins or ends with a blank or a quote; copy it again"
    return ""


def _access_key(_: object, __: object, value: Secret) -> None:
    if ":" in value.reveal():
        problem = "access_key contains a ':'; pass key and secret separately"
        raise ConfigurationError(problem)


@frozen(init=False)
class BasicAuth:
    """An API access key: HTTP Basic, RFC 7617.

    Raises:
        ConfigurationError: a value cannot be a credential. The value is never shown.
    """

    access_key: Secret = field(validator=[_credential, _access_key])
    access_key_secret: Secret = field(validator=_credential)
    secrets: tuple[Secret, ...] = field(init=False, eq=False, repr=False)
    """The pair as it is sent, the key and its secret; they are redacted in errors and logs."""
    _header: Secret = field(init=False, eq=False, repr=False)

    @hide_locals
    def __init__(self, access_key: str | Secret, access_key_secret: str | Secret) -> None:
        access_key, access_key_secret = Secret.of(access_key), Secret.of(access_key_secret)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue] - attrs makes it
            access_key, access_key_secret
        )
        pair = Secret(f"{access_key.reveal()}:{access_key_secret.reveal()}")
        header = Secret("Basic " + base64.b64encode(pair.reveal().encode()).decode())
        # Computed once, used by every call.
        object.__setattr__(self, "secrets", (pair, access_key, access_key_secret))
        object.__setattr__(self, "_header", header)

    @property
    def fingerprint(self) -> str:
        """The beginning of the SHA-256 of the access key, without the secret."""
        return _fingerprint(self.access_key)

    def __hash__(self) -> int:
        return hash(self.fingerprint)  # a secret has no hash

    async def authorization(self) -> Secret:
        """Return `Basic` and the encoded pair."""
        return self._header

    async def renew(self, refused: Secret) -> bool:
        """Return False: an access key cannot be renewed by a program."""
        return False


@define(eq=False)
class SingleFlight(Generic[T]):
    """Runs one task per event loop at a time; callers that arrive meanwhile join it.

    Cancelling a caller cancels neither the task nor the other callers.
    """

    _under_way: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[T]] = field(
        factory=WeakKeyDictionary, init=False, repr=False
    )

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Join the running task, or start it."""
        loop = asyncio.get_running_loop()
        task = self._under_way.get(loop)
        if task is None or task.done():
            task = self._under_way[loop] = loop.create_task(_do(work))
            task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def landed(self) -> None:
        """Wait for the running task of this loop, whatever its outcome."""
        task = self._under_way.get(asyncio.get_running_loop())
        if task is not None and not task.done():
            await asyncio.wait([task])

    def _landed(self, task: asyncio.Task[T]) -> None:
        loop = task.get_loop()
        if self._under_way.get(loop) is task:
            del self._under_way[loop]
        if not task.cancelled():
            task.exception()  # retrieved: without callers, asyncio would log it


async def _do(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


@define(eq=False)
class _Supplied:
    """The last token of a supplier, until Gong rejects it."""

    supplier: Supplier = field(repr=False)
    recent: tuple[Secret, ...] = ()
    _flight: SingleFlight[None] = field(factory=SingleFlight, init=False, repr=False)

    async def token(self) -> Secret:
        """Return the token; call the supplier if there is none."""
        if not self.recent:
            await self._flight(self._ask)
        return self.recent[-1]

    async def replace(self, refused: Secret) -> bool:
        """Call the supplier, once for all rejected calls; return whether there is a new token."""
        if self.recent and self.recent[-1] == refused:
            await self._flight(self._ask)
        return bool(self.recent) and self.recent[-1] != refused

    @hide_locals
    async def _ask(self) -> None:
        coming = self.supplier()
        if not isinstance(coming, Awaitable):
            kind = type(coming).__name__
            raise ConfigurationError(f"the supplier of tokens must be async; it returned {kind}")
        token = Secret.of(await coming)
        if problem := credential_problem(token):
            raise ConfigurationError(f"the token that the supplier returned {problem}")
        if token not in self.recent[-1:]:
            # The previous one may still be in flight, and echoed in a response.
            self.recent = (*self.recent[-1:], token)


def _account(_: object, __: object, value: str | None) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"account must be text, got {type(value).__name__}")


def _named(auth: BearerAuth, _: object, supplied: _Supplied | None) -> None:
    if supplied is not None and not auth.account:
        msg = "a supplier of tokens needs `account`, a name that identifies the company"
        raise ConfigurationError(msg)


@frozen(init=False)
class BearerAuth:
    """An access token from Gong's OAuth: `Bearer`, RFC 6750.

    Args:
        token: the token, or an async function that returns it. The function is called when a token
            is first needed, and once for all waiting calls when Gong rejects the last one.
        account: a name of your choice for the company, by which its clients share the limits.
            Required with a function, because its tokens change.

    Raises:
        ConfigurationError: a value cannot be a token. The value is never shown.
    """

    token: Secret | None = field(validator=optional(_credential))
    account: str | None = field(kw_only=True, validator=_account)
    _supplied: _Supplied | None = field(kw_only=True, eq=False, repr=False, validator=_named)

    @hide_locals
    def __init__(self, token: str | Secret | Supplier, *, account: str | None = None) -> None:
        supplied = _Supplied(token) if callable(token) else None
        fixed = None if callable(token) else Secret.of(token)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue] - attrs makes it
            fixed, account=account, supplied=supplied
        )

    @property
    def secrets(self) -> Iterable[Secret]:
        """The token; with a supplier, the newest and the previous one."""
        if self._supplied is not None:
            return self._supplied.recent
        return () if self.token is None else (self.token,)

    @property
    def fingerprint(self) -> str:
        """The beginning of the SHA-256 of the account, or of the token without an account."""
        named = Secret(f"account {self.account}") if self.account else self.token
        return _fingerprint(named or Secret(""))

    def __hash__(self) -> int:
        return hash(self.fingerprint)  # a secret has no hash

    async def authorization(self) -> Secret:
        """Return `Bearer` and the token."""
        token = self.token if self._supplied is None else await self._supplied.token()
        return bearer(token or Secret(""))

    async def renew(self, refused: Secret) -> bool:
        """Call the supplier again; return False without one: a fixed token cannot be renewed."""
        if self._supplied is None:
            return False
        return await self._supplied.replace(Secret(refused.reveal().removeprefix("Bearer ")))


def bearer(token: Secret) -> Secret:
    """Return the value of the header for an access token."""
    return Secret("Bearer " + token.reveal())


def _fingerprint(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16]


@hide_locals
def auth_from_env(environ: Mapping[str, str]) -> BasicAuth | BearerAuth:
    """Return the credential from the environment.

    `GONG_ACCESS_KEY` and `GONG_ACCESS_KEY_SECRET`, or `GONG_BEARER_TOKEN`.

    Raises:
        ConfigurationError: no credential, an incomplete one, or both are set.
    """
    key = _from_env(environ, "GONG_ACCESS_KEY")
    secret = _from_env(environ, "GONG_ACCESS_KEY_SECRET")
    token = _from_env(environ, "GONG_BEARER_TOKEN")
    if token and (key or secret):
        msg = "GONG_BEARER_TOKEN and GONG_ACCESS_KEY are both set; unset one of them"
        raise ConfigurationError(msg)
    if token:
        return BearerAuth(token)
    if key and secret:
        return BasicAuth(key, secret)
    missing = "GONG_ACCESS_KEY_SECRET" if key else "GONG_ACCESS_KEY"
    raise ConfigurationError(
        f"{missing} is not set; "
        "set GONG_ACCESS_KEY and GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN; or log in with "
        "`gong-async login` and set GONG_OAUTH_CLIENT_ID and GONG_OAUTH_CLIENT_SECRET"
    )


def _from_env(environ: Mapping[str, str], name: str) -> Secret | None:
    value = environ.get(name)
    return Secret(value) if value else None
