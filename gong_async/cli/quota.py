"""`gong-async quota`: what is used and left, and who waits, as this machine has counted it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import attrs
import click

from gong_async.cli.client import connect, given
from gong_async.cli.exits import EPILOG
from gong_async.limits.types import Limits, Quota


@click.command(epilog=EPILOG)
@click.option("--base-url", metavar="URL", help="Your company's API.  [env: GONG_BASE_URL]")
@click.option("--per-second", type=float, metavar="N", help="What Gong allows you.  [default: 3]")
@click.option("--per-day", type=int, metavar="N", help="What Gong allows you.  [default: 10000]")
def quota(base_url: str | None, per_second: float | None, per_day: int | None) -> None:
    """Tell what is used and left of the company's calls, and who waits. Asks nothing of Gong.

    Gong does not say what is left. This is what the commands of this machine have counted, and
    programs that share their limits with them. The calls of all of them that wait or are under way
    are as of a second or two ago.
    """
    limits = Limits(**given(per_second=per_second, per_day=per_day))

    async def ask() -> Quota:
        async with connect(limits=limits, **given(base_url=base_url)) as gong:
            return await gong.quota()

    click.echo(json.dumps(attrs.asdict(asyncio.run(ask())), indent=2, default=_text))


def _text(value: Any) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
