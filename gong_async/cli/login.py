"""`gong-async login`: an administrator of Gong approves in the browser, once."""

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
    help="What the login may do; once for each.  [default: all of meetings]",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help=f"Of the redirect URI {redirect_uri(DEFAULT_PORT)}, which Gong must know.",
)
@click.option(
    "--wait", type=float, default=600.0, show_default=True, metavar="SECONDS", help="For approval."
)
@click.pass_obj
def login(diagnostics: Diagnostics, /, *, scopes: tuple[str, ...], port: int, wait: float) -> None:
    """Log in to Gong as an application, with the approval of an administrator.

    Prints a page of Gong's, to be opened in a browser on this machine. The login is kept in the
    state directory and renews itself. The application is named by GONG_OAUTH_CLIENT_ID and
    GONG_OAUTH_CLIENT_SECRET.
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
            # No browser is started: its arguments could be read by every user of this machine.
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
        failure = LoginRequiredError(f"nobody approved within {wait:g} s")
    else:
        return await oauth.exchange(code, redirect_uri=page.redirect_uri)
    raise failure
