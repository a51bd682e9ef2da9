"""A pair of tokens, and what came with it."""

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
    """What a login consists of. Its secrets show nothing, and it cannot be pickled."""

    access_token: Secret = field(hash=False)
    refresh_token: Secret | None = field(default=None, hash=False)
    """Buys the next pair, once."""
    base_url: str | None = None
    """Where the company's API is, and the only place that the access token is sent to."""
    expires_at: datetime | None = None
    """When the access token ends by this machine's clock (aware, UTC); None if Gong named none."""
    lifetime: float | None = None
    """Seconds that the access token was good for when it came."""
    scopes: tuple[str, ...] = field(default=())
    """What Gong said that the tokens may do."""

    def reveal(self) -> str:
        """Return everything as JSON text, tokens included, for a store to keep."""
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
        """Return what `reveal` has written.

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
