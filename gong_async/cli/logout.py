"""`gong-async logout`: deletes the stored login."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.exits import EPILOG
from gong_async.oauth.file_store import FileTokenStore


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
