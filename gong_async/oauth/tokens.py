"""The tokens of a login: as Gong grants them, and the protocol of the stores that keep them."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from attrs import field, frozen

from gong_async._redact import Redactor, Secret, hide_locals
from gong_async._settings.base_url import base_url as checked_base_url
from gong_async._settings.base_url import customer_base_url
from gong_async.auth import credential_problem
from gong_async.errors import ConfigurationError, ProtocolError

_VERSION = 1
"""Of the stored form. A change of it raises this, and `_tokens` also reads all versions before."""
_LONGEST_TOKEN = 16 * 1024
_MOST_SCOPES = 200
_LONGEST_LIFE = 10 * 365 * 86_400.0


class NewerLoginError(ConfigurationError):
    """A stored login was written by a newer version of this package."""


@frozen(kw_only=True)
class Tokens:
    """The tokens of a login. Its secrets are never shown, and it cannot be pickled."""

    access_token: Secret = field(hash=False)
    refresh_token: Secret | None = field(default=None, hash=False)
    """Exchanged for the next pair; valid once."""
    base_url: str | None = None
    """The company's API base URL, the only one that the access token is sent to."""
    expires_at: datetime | None = None
    """When the access token expires by this machine's clock (aware, UTC); None if unknown."""
    lifetime: float | None = None
    """Lifetime of the access token in seconds, when it was issued."""
    scopes: tuple[str, ...] = field(default=())
    """The scopes that Gong granted."""

    def reveal(self) -> str:
        """Return everything as JSON text for a store, tokens included."""
        refresh = self.refresh_token
        return json.dumps(
            {
                "version": _VERSION,
                "access_token": self.access_token.reveal(),
                "refresh_token": None if refresh is None else refresh.reveal(),
                "base_url": self.base_url,
                "expires_at": self.expires_at and self.expires_at.isoformat(),
                "lifetime": self.lifetime,
                "scopes": list(self.scopes),
            }
        )

    @classmethod
    def restore(cls, kept: Secret) -> Tokens:
        """Parse the text of `reveal`.

        Raises:
            NewerLoginError: it is of a newer version.
            ConfigurationError: this is something else. It is not shown.
        """
        tokens = _read(kept)
        if isinstance(tokens, int):
            raise NewerLoginError(
                f"the stored login is of version {tokens}, and this version of gong_async reads "
                f"only {_VERSION}; update gong_async, or log in again with this version"
            )
        if tokens is None:
            raise ConfigurationError("the stored login is damaged; log in again")
        return tokens


def _read(kept: Secret) -> Tokens | int | None:
    """Return the tokens, the version if it is a newer one, or None for anything else."""
    # The plain text stays in the frames of this function: none of them is in a traceback.
    try:
        parsed = json.loads(kept.reveal())
        version = parsed["version"]
        if type(version) is int and version > _VERSION:
            return version
        return _tokens(parsed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _tokens(kept: Mapping[str, Any]) -> Tokens | None:
    if kept["version"] != _VERSION:
        return None
    access, refresh = Secret(kept["access_token"]), kept["refresh_token"]
    refresh_token = None if refresh is None else Secret(refresh)
    if any(credential_problem(one) for one in (access, refresh_token) if one is not None):
        return None
    base_url, lifetime = kept["base_url"], kept["lifetime"]
    ends = kept["expires_at"]
    return Tokens(
        access_token=access,
        refresh_token=refresh_token,
        base_url=None if base_url is None else checked_base_url(base_url),
        expires_at=None if ends is None else datetime.fromisoformat(ends).astimezone(UTC),
        lifetime=None if lifetime is None else float(lifetime),
        scopes=tuple(map(str, kept["scopes"])),
    )


@frozen
class Grant:
    """A pair of tokens, and the problem with its base URL, if any.

    The pair is then bound to the base URL of before: it is good, and the one before it is spent.
    """

    tokens: Tokens
    untrusted: str = ""


@frozen(kw_only=True)
class GrantReader:
    """Parses responses of the token endpoint."""

    domains: tuple[str, ...]
    """Domains that base URLs must belong to."""
    loopback: bool
    """Whether addresses of this machine are allowed, too."""
    redact: Redactor = field(repr=False)

    @hide_locals
    def read(self, payload: Mapping[str, Any], old: Tokens | None) -> Grant:
        """Return the pair of an answer; what it leaves out is kept from `old`.

        Raises:
            ProtocolError: it cannot be used; no value of it is shown.
        """
        access = _granted_token(payload, "access_token")
        if access is None:
            msg = "Gong's answer has no access_token"
            raise ProtocolError(msg, flaw="shape")
        refresh = _granted_token(payload, "refresh_token") or (old.refresh_token if old else None)
        lifetime = _lifetime(payload.get("expires_in"))
        base_url, untrusted = self._base_url(payload, old.base_url if old else None)
        scopes = _scopes(payload.get("scope")) or (old.scopes if old else ())
        tokens = Tokens(
            access_token=access,
            refresh_token=refresh,
            base_url=base_url,
            expires_at=_end(lifetime),
            lifetime=lifetime,
            scopes=scopes,
        )
        return Grant(tokens, untrusted)

    def _base_url(self, payload: Mapping[str, Any], before: str | None) -> tuple[str | None, str]:
        given = payload.get("api_base_url_for_customer")
        if given is None or given == "":
            return before, ""
        try:
            known = customer_base_url(str(given), domains=self.domains, loopback=self.loopback)
        except ValueError as error:
            shown = self.redact(str(given), 100)
            return before, f"Gong's answer names a base URL that {error}: {shown!r}"
        return known, ""


def _granted_token(payload: Mapping[str, Any], name: str) -> Secret | None:
    value = payload.get(name)
    if value is None or value == "":
        return None
    usual = isinstance(value, str) and len(value) <= _LONGEST_TOKEN
    token = Secret(value) if usual else None
    problem = "is not a text of usual length" if token is None else credential_problem(token)
    if token is None or problem:
        raise ProtocolError(f"Gong's answer is no login: its {name} {problem}", flaw="shape")
    return token


def _end(lifetime: float | None) -> datetime | None:
    return None if lifetime is None else datetime.now(UTC) + timedelta(seconds=lifetime)


def _lifetime(value: object) -> float | None:
    """Return the lifetime of a token in seconds; None for an invalid value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _LONGEST_LIFE and math.isfinite(value) else None


def _scopes(value: object) -> tuple[str, ...]:
    return tuple(value.split()[:_MOST_SCOPES]) if isinstance(value, str) else ()


LOCK_SECONDS = 180.0
"""Seconds that a renewal may take at most, and that others wait for it."""


class TokenStore(Protocol):
    """Keeps one login for all programs that share it.

    A refresh token is valid once. A renewal holds the lock from before it reads the old
    pair until after it has saved the new one; no other program reads or saves meanwhile.

    A store may also have `async def check_writable(self) -> None`. It is called with the lock held,
    before a token is spent, and raises what `save` would raise.
    """

    @property
    def name(self) -> str:
        """Identifies the login, the same for all programs that share it; not secret."""
        ...

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Lock out renewals by all other programs, on all machines."""
        ...

    async def load(self) -> Tokens | None:
        """Return the pair, None without a login."""
        ...

    async def save(self, tokens: Tokens) -> None:
        """Replace the pair. When this returns, it must survive the death of the process."""
        ...

    async def clear(self) -> None:
        """Delete the pair."""
        ...


async def check_writable(store: TokenStore) -> None:
    """Check that a store can save, if it supports that.

    Raises:
        ConfigurationError: it cannot.
    """
    check: Callable[[], Awaitable[None]] | None = getattr(store, "check_writable", None)
    if check is not None:
        await check()
