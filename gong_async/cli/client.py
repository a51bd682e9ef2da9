"""The client that a command uses, its options, and `gong-async quota`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import attrs
import click

from gong_async._client import GongClient
from gong_async.cli.diagnostics import EPILOG
from gong_async.limits.sqlite.store import SQLiteLimitStore
from gong_async.limits.types import Limits, Quota

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def client_options(command: CommandT) -> CommandT:
    """Add `--base-url` and `--timeout`; credentials are never options."""
    timeout = click.option(
        "--timeout", type=float, metavar="SECONDS", help="Timeout of one attempt.  [default: 30]"
    )
    base_url = click.option(
        "--base-url", metavar="URL", help="Base URL of your company's API.  [env: GONG_BASE_URL]"
    )
    return base_url(timeout(command))


def connect(**options: Any) -> GongClient:
    """Return a client configured from the environment.

    Its limits are stored in a file, so commands on this machine share one rate limit and one daily
    quota.
    """
    return GongClient.from_env(limit_store=SQLiteLimitStore(), **options)


def given(**options: Any) -> dict[str, Any]:
    """Return the options that are set; the library's defaults apply to the others."""
    return {name: value for name, value in options.items() if value is not None}


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
