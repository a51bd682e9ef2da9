"""Options and arguments shared by the bulk commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path, allow_dash=True)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

_LIMITS = (
    click.option("--per-second", type=float, metavar="N", help="Calls per second.  [default: 3]"),
    click.option("--per-day", type=int, metavar="N", help="Calls per 24 hours.  [default: 10000]"),
    click.option(
        "--reserve", type=int, metavar="N", help="Daily calls to leave for other programs."
    ),
)
_CONTENT = (
    click.option(
        "--keep-order",
        is_flag=True,
        help="Send every row of a meeting in order, not only the last one.",
    ),
    click.option(
        "--skip-unchanged/--no-skip-unchanged",
        default=True,
        help="Skip updates that an earlier job already sent.  [default: skip]",
    ),
    click.option(
        "--check-organizers/--no-check-organizers",
        default=True,
        help="Check organizers before sending, 100 per call.  [default: check]",
    ),
)
_SENDING = (
    click.option(
        "--canary", type=click.IntRange(min=1), metavar="N", help="Pause after the first N items."
    ),
    click.option("--wait", is_flag=True, help="Wait for quota and through outages."),
    click.option("--max-in-flight", type=int, metavar="N", help="Concurrent requests."),
    click.option("--progress/--no-progress", default=True, help="Show progress."),
)


def job_argument(command: CommandT) -> CommandT:
    """Add JOB: a job's id, a prefix of it, or the path of its journal."""
    return click.argument("name", metavar="JOB")(command)


def limit_options(command: CommandT) -> CommandT:
    """Add the options for limits."""
    return _with(command, _LIMITS)


def content_options(command: CommandT) -> CommandT:
    """Add the options that select what to send."""
    return _with(command, _CONTENT)


def sending_options(command: CommandT) -> CommandT:
    """Add the options of a run."""
    return _with(command, _SENDING)


def _with(command: CommandT, options: tuple[Callable[[CommandT], CommandT], ...]) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command
