"""`gong-async login`: OAuth authorization in the browser."""

from __future__ import annotations

import asyncio
import os
import secrets

import click

from gong_async._redact import Secret
from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.exits import EPILOG
from gong_async.cli.interrupts import interrupts
from gong_async.cli.loopback import Denied, Loopback, listening, redirect_uri
from gong_async.errors import GongError, LoginRequiredError
from gong_async.oauth.credential import OAuth
from gong_async.oauth.environment import oauth_from_env
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
