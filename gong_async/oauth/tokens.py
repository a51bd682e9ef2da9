"""A pair of tokens and its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from gong_async._base_url import base_url as checked_base_url
from gong_async._redact import Secret
from gong_async.auth import credential_problem
from gong_async.errors import ConfigurationError

_VERSION = 1


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
            ConfigurationError: this is something else. It is not shown.
        """
        tokens = _read(kept)
        if tokens is None:
            msg = "the stored login is damaged, or of another version; log in again"
            raise ConfigurationError(msg)
        return tokens


def _read(kept: Secret) -> Tokens | None:
    # The plain text stays in the frames of this function: none of them is in a traceback.
    try:
        parsed = json.loads(kept.reveal())
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
