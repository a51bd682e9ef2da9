"""The part of `gong-async doctor` that looks at the credential, without asking Gong."""

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
    """Return what is to be thought of the credential, and the base URL that came with it."""
    try:
        login = login_from_env(os.environ)
        if login is None:
            return _of_environment(), None
        tokens = asyncio.run(login.load())
    except ConfigurationError as error:
        return advised("credential", str(error), "correct the variable that is named"), None
    if tokens is None:
        return problem("credential", "nobody is logged in", "run `gong-async login`"), None
    return _of_login(tokens), tokens.base_url


def _of_environment() -> Diagnosis:
    kind = "access key" if isinstance(auth_from_env(os.environ), BasicAuth) else "bearer token"
    if unused := [name for name in sorted(_UNUSED) if os.environ.get(name)]:
        do = "unset the credential that is not meant"
        return note("credential", f"{kind}; {' and '.join(unused)} set as well, and not used", do)
    return ok("credential", kind)


def _of_login(tokens: Tokens) -> Diagnosis:
    ends = "" if tokens.expires_at is None else f", access until {moment(tokens.expires_at)}"
    if tokens.refresh_token is None:
        return note(
            "credential",
            f"login that does not renew itself{ends}",
            "run `gong-async login` before it ends",
        )
    return ok("credential", f"login{ends}, which renews itself")
