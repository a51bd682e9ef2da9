"""`gong-async doctor`: checks the credential, without an API call."""

from __future__ import annotations

import asyncio
import os

from gong_async.auth import BasicAuth, auth_from_env
from gong_async.cli.bulk.wording import moment
from gong_async.cli.findings import Diagnosis, advised, note, ok, problem
from gong_async.errors import ConfigurationError
from gong_async.oauth.environment import CLIENT_ID, CLIENT_SECRET, login_from_env
from gong_async.oauth.tokens import Tokens

_UNUSED = frozenset({CLIENT_ID, CLIENT_SECRET})


def find_credential() -> tuple[Diagnosis, str | None]:
    """Return a diagnosis of the credential, and the base URL stored with a login."""
    try:
        login = login_from_env(os.environ)
        if login is None:
            return _of_environment(), None
        tokens = asyncio.run(login.load())
    except ConfigurationError as error:
        return advised("credential", str(error), "correct the named variable"), None
    if tokens is None:
        return problem("credential", "not logged in", "run `gong-async login`"), None
    return _of_login(tokens), tokens.base_url


def _of_environment() -> Diagnosis:
    kind = "access key" if isinstance(auth_from_env(os.environ), BasicAuth) else "bearer token"
    if unused := [name for name in sorted(_UNUSED) if os.environ.get(name)]:
        do = "unset the unused variables"
        return note("credential", f"{kind}; {' and '.join(unused)} also set, but not used", do)
    return ok("credential", kind)


def _of_login(tokens: Tokens) -> Diagnosis:
    ends = (
        ""
        if tokens.expires_at is None
        else f", access token valid until {moment(tokens.expires_at)}"
    )
    if tokens.refresh_token is None:
        return note(
            "credential",
            f"login without a refresh token{ends}",
            "run `gong-async login` before it expires",
        )
    return ok("credential", f"login{ends}, refreshed automatically")
