"""`gong-async login`, `logout` and `whoami`: log in with a browser, and show the credential."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path

import click

from gong_async._redact import Secret
from gong_async._settings.base_url import DEFAULT_BASE_URL
from gong_async.auth import BasicAuth, auth_from_env
from gong_async.cli.diagnostics import EPILOG, Diagnostics
from gong_async.cli.interrupts import interrupts
from gong_async.cli.loopback import Denied, Loopback, listening, redirect_uri
from gong_async.errors import GongError, LoginRequiredError
from gong_async.oauth.credential import OAuth, login_from_env, oauth_from_env
from gong_async.oauth.file_store import FileTokenStore
from gong_async.oauth.tokens import Tokens

DEFAULT_PORT = 8914
_SCOPES = (
    "api:meetings:user:create",
    "api:meetings:user:update",
    "api:meetings:user:delete",
    "api:meetings:integration:status",
)


@click.command(epilog=EPILOG)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="OAuth scope; may be repeated.  [default: all scopes of meetings]",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help=f"Port of the redirect URI {redirect_uri(DEFAULT_PORT)}, registered at Gong.",
)
@click.option(
    "--wait",
    type=float,
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait for approval.",
)
@click.pass_obj
def login(diagnostics: Diagnostics, /, *, scopes: tuple[str, ...], port: int, wait: float) -> None:
    """Log in to Gong as an OAuth application, with an administrator's approval.

    Prints a URL of Gong to open in a browser on this machine. Tokens are stored in the state
    directory and refreshed automatically. GONG_OAUTH_CLIENT_ID and GONG_OAUTH_CLIENT_SECRET
    identify the application.
    """
    oauth = oauth_from_env(os.environ)
    tokens = asyncio.run(_log_in(oauth, scopes or _SCOPES, port, wait))
    if tokens is None:
        raise KeyboardInterrupt
    diagnostics.note(
        "login",
        f"Logged in; calls go to {tokens.base_url or 'the default base URL'}",
        base_url=tokens.base_url,
        scopes=list(tokens.scopes),
    )


async def _log_in(oauth: OAuth, scopes: tuple[str, ...], port: int, wait: float) -> Tokens | None:
    store = FileTokenStore()
    async with store.lock():
        await store.check_writable()  # before an administrator is asked to approve
    async with listening(Secret(secrets.token_urlsafe(32)), port) as page:
        url = oauth.authorize_url(
            redirect_uri=page.redirect_uri, state=page.state.reveal(), scopes=scopes
        )
        approved = asyncio.ensure_future(_approved(oauth, page, wait))
        with interrupts(approved.cancel):
            # Starts no browser: every user of this machine could read its arguments.
            click.echo(f"Open this page in a browser on this machine:\n\n  {url}\n")
            await asyncio.wait([approved])
        return None if approved.cancelled() else approved.result()


async def _approved(oauth: OAuth, page: Loopback, wait: float) -> Tokens:
    failure: GongError
    try:
        code = await page.code(within=wait)
    except Denied as denied:
        failure = LoginRequiredError(f"Gong did not approve: {denied}")
    except TimeoutError:
        failure = LoginRequiredError(f"no approval within {wait:g} s")
    else:
        return await oauth.exchange(code, redirect_uri=page.redirect_uri)
    raise failure


@click.command(epilog=EPILOG)
@click.pass_obj
def logout(diagnostics: Diagnostics, /) -> None:
    """Delete the login that `gong-async login` stored on this machine.

    It makes no API call. To revoke access at Gong, an administrator removes the application's
    approval there.
    """
    known = asyncio.run(_forget(FileTokenStore()))
    diagnostics.note(
        "logout",
        "Logged out here; to revoke access at Gong, an administrator removes the approval"
        if known
        else "Not logged in",
        known=known,
    )


async def _forget(store: FileTokenStore) -> bool:
    async with store.lock():
        # An unreadable file counts as a login: it may be the reason to log out.
        known = _is_kept(store.path)
        await store.clear()
    return known


def _is_kept(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False


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
