"""Options and arguments that several commands for bulk jobs have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

_PACE = (
    click.option("--per-second", type=float, metavar="N", help="Calls a second.  [default: 3]"),
    click.option("--per-day", type=int, metavar="N", help="Calls in 24 hours.  [default: 10000]"),
    click.option(
        "--reserve", type=int, metavar="N", help="Calls of the day to leave to everyone else."
    ),
)
_CONTENT = (
    click.option(
        "--keep-order",
        is_flag=True,
        help="Send every row of a meeting, in order, and not the last one only.",
    ),
    click.option(
        "--skip-unchanged/--no-skip-unchanged",
        default=True,
        help="Leave out what Gong has already, from an earlier job.  [default: skip]",
    ),
    click.option(
        "--check-organizers/--no-check-organizers",
        default=True,
        help="Ask first whose meetings can be updated, 100 a call.  [default: check]",
    ),
)
_SENDING = (
    click.option(
        "--canary", type=click.IntRange(min=1), metavar="N", help="Stop after N, for a look."
    ),
    click.option("--wait", is_flag=True, help="Wait for the next day's calls, and for Gong."),
    click.option("--max-in-flight", type=int, metavar="N", help="Requests at the same time."),
    click.option("--progress/--no-progress", default=True, help="Show how it goes."),
)


def job_argument(command: CommandT) -> CommandT:
    """Add a job: its id, the beginning of it, or the path of its journal."""
    return click.argument("name", metavar="JOB")(command)


def pace_options(command: CommandT) -> CommandT:
    """Add what the company allows."""
    return _with(command, _PACE)


def content_options(command: CommandT) -> CommandT:
    """Add what is sent of a file, and what is not."""
    return _with(command, _CONTENT)


def sending_options(command: CommandT) -> CommandT:
    """Add how far a run goes, and how it is shown."""
    return _with(command, _SENDING)


def _with(command: CommandT, options: tuple[Callable[[CommandT], CommandT], ...]) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command
