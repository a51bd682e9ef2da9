"""`gong-async quota`: usage and load as counted on this machine."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import attrs
import click

from gong_async.cli.client import connect, given
from gong_async.cli.diagnostics import EPILOG
from gong_async.limits.types import Limits, Quota


@click.command(epilog=EPILOG)
@click.option(
    "--base-url", metavar="URL", help="Base URL of your company's API.  [env: GONG_BASE_URL]"
)
@click.option("--per-second", type=float, metavar="N", help="Your limit per second.  [default: 3]")
@click.option("--per-day", type=int, metavar="N", help="Your daily quota.  [default: 10000]")
def quota(base_url: str | None, per_second: float | None, per_day: int | None) -> None:
    """Show used and remaining API calls, and the current load. Makes no API call.

    Gong does not report usage. The figures are those counted by the commands on this machine and
    by programs that share their limit store. Waiting calls and calls in flight may be one or two
    seconds old.
    """
    limits = Limits(**given(per_second=per_second, per_day=per_day))

    async def ask() -> Quota:
        async with connect(limits=limits, **given(base_url=base_url)) as gong:
            return await gong.quota()

    click.echo(json.dumps(attrs.asdict(asyncio.run(ask())), indent=2, default=_text))


def _text(value: Any) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
