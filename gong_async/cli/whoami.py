"""`gong-async whoami`: the credential and base URL in use."""

from __future__ import annotations

import asyncio
import json
import os

import click

from gong_async._settings.base_url import DEFAULT_BASE_URL
from gong_async.auth import BasicAuth, auth_from_env
from gong_async.cli.exits import EPILOG
from gong_async.oauth.credential import OAuth
from gong_async.oauth.environment import login_from_env


@click.command(epilog=EPILOG)
def whoami() -> None:
    """Show the credential and the base URL that the commands use. Makes no API call."""
    login = login_from_env(os.environ)
    reported = asyncio.run(_of_login(login)) if login else _of_environment()
    given = os.environ.get("GONG_BASE_URL")
    reported["base_url"] = given or reported.get("base_url") or DEFAULT_BASE_URL
    click.echo(json.dumps(reported, indent=2))


def _of_environment() -> dict[str, object]:
    auth = auth_from_env(os.environ)
    kind = "access key" if isinstance(auth, BasicAuth) else "bearer token"
    return {"credential": kind, "fingerprint": auth.fingerprint}


async def _of_login(login: OAuth) -> dict[str, object]:
    tokens = await login.load()
    reported: dict[str, object] = {"credential": "login", "fingerprint": login.fingerprint}
    if tokens is None:
        return {**reported, "logged_in": False}
    ends = tokens.expires_at
    return {
        **reported,
        "logged_in": True,
        "base_url": tokens.base_url,
        "scopes": list(tokens.scopes),
        "renews_itself": tokens.refresh_token is not None,
        "access_ends": ends and ends.isoformat(timespec="seconds"),
    }
