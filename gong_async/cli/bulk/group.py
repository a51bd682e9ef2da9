"""`gong-async bulk`: resumable jobs that update many meetings from a file."""

from __future__ import annotations

import click

from gong_async.cli.exits import EPILOG
from gong_async.cli.lazy import CommandSpec, LazyGroup

_COMMANDS = {
    "plan": CommandSpec("bulk.plan", "Show what sending a file would do and cost."),
    "run": CommandSpec("bulk.run", "Update the meetings in a file."),
    "resume": CommandSpec("bulk.run", "Resume a stopped or killed job."),
    "status": CommandSpec("bulk.status", "Show or follow the status of a job."),
    "pause": CommandSpec("bulk.control", "Pause a running job."),
    "cancel": CommandSpec("bulk.control", "Cancel a job; pending items are dropped."),
    "report": CommandSpec("bulk.report", "Report on a job and its items."),
    "undo": CommandSpec("bulk.report", "Write a file that reverts a job."),
    "purge": CommandSpec("bulk.report", "Remove meeting contents from a job's files."),
    "list": CommandSpec("bulk.status", "List the jobs.", name="list_command"),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, epilog=EPILOG)
def bulk() -> None:
    """Update many meetings from a file, in a resumable job.

    A write-ahead journal in the state directory (GONG_STATE_DIR) records every update before it is
    sent, and its outcome. A job that is stopped or killed resumes without losing updates, and
    resends only those whose outcome is unknown.
    """
