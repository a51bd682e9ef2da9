"""Parses and validates the tokens that Gong grants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from gong_async._base_url import customer_base_url
from gong_async._redact import Redactor, Secret
from gong_async.auth import credential_problem
from gong_async.errors import ProtocolError
from gong_async.models._shared import utc_now
from gong_async.oauth.tokens import Tokens

_LONGEST_TOKEN = 16 * 1024
_MOST_SCOPES = 200
_LONGEST_LIFE = 10 * 365 * 86_400.0


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

    def read(self, payload: Mapping[str, Any], old: Tokens | None) -> Grant:
        """Return the pair of an answer; what it leaves out is kept from `old`.

        Raises:
            ProtocolError: it cannot be used; no value of it is shown.
        """
        access = _token(payload, "access_token")
        if access is None:
            msg = "Gong's answer has no access_token"
            raise ProtocolError(msg, flaw="shape")
        refresh = _token(payload, "refresh_token") or (old.refresh_token if old else None)
        lifetime = _lifetime(payload.get("expires_in"))
        base_url, untrusted = self._base_url(payload, old.base_url if old else None)
        scopes = _scopes(payload.get("scope")) or (old.scopes if old else ())
        tokens = Tokens(
            access_token=access,
            refresh_token=refresh,
            base_url=base_url,
            expires_at=None if lifetime is None else utc_now() + timedelta(seconds=lifetime),
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


def _token(payload: Mapping[str, Any], name: str) -> Secret | None:
    value = payload.get(name)
    if value is None or value == "":
        return None
    usual = isinstance(value, str) and len(value) <= _LONGEST_TOKEN
    token = Secret(value) if usual else None
    del value, payload  # a traceback shows the locals of every frame
    problem = "is not a text of usual length" if token is None else credential_problem(token)
    if token is None or problem:
        raise ProtocolError(f"Gong's answer is no login: its {name} {problem}", flaw="shape")
    return token


def _lifetime(value: object) -> float | None:
    """Return the lifetime of a token in seconds; None for an invalid value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _LONGEST_LIFE and math.isfinite(value) else None


def _scopes(value: object) -> tuple[str, ...]:
    return tuple(value.split()[:_MOST_SCOPES]) if isinstance(value, str) else ()
