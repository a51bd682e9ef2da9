"""The client that a command uses, and its options."""

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
