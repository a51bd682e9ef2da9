"""`gong-async logout`: forgets the login of this machine."""

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
    """Forget the login that `gong-async login` has stored on this machine.

    Gong is not told: there, an administrator takes the application's approval back.
    """
    known = asyncio.run(_forget(FileTokenStore()))
    diagnostics.note(
        "logout",
        "Logged out here; to end it at Gong, too, an administrator takes the approval back"
        if known
        else "Nobody was logged in",
        known=known,
    )


async def _forget(store: FileTokenStore) -> bool:
    async with store.lock():
        # A file that cannot be read is a login, too, and the reason to forget it.
        known = _is_kept(store.path)
        await store.clear()
    return known


def _is_kept(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except OSError:
        return False
