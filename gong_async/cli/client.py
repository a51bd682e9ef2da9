"""The client of a command: its options, and the limits that it shares with all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gong_async._client import GongClient
from gong_async.limits.sqlite.store import SQLiteLimitStore

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def client_options(command: CommandT) -> CommandT:
    """Add `--base-url` and `--timeout`; credentials are never options."""
    timeout = click.option(
        "--timeout", type=float, metavar="SECONDS", help="For one attempt.  [default: 30]"
    )
    base_url = click.option(
        "--base-url", metavar="URL", help="Your company's API.  [env: GONG_BASE_URL]"
    )
    return base_url(timeout(command))


def connect(**options: Any) -> GongClient:
    """Return a client from the environment, which keeps its limits in this machine's file.

    Commands that run at the same time together keep the pace of one, and the next one knows what
    was used today.
    """
    return GongClient.from_env(limit_store=SQLiteLimitStore(), **options)


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given, so that the library's defaults stand for the others."""
    return {name: value for name, value in options.items() if value is not None}
