"""`gong-async bulk`: many meetings from a file, in jobs that survive."""

from __future__ import annotations

import click

from gong_async.cli.exits import EPILOG
from gong_async.cli.lazy import CommandSpec, LazyGroup

_COMMANDS = {
    "plan": CommandSpec("bulk.plan", "Tell what sending a file would do and cost. Sends nothing."),
    "run": CommandSpec("bulk.run", "Update the meetings in a file."),
    "resume": CommandSpec("bulk.run", "Go on with a job that was stopped, or killed."),
    "status": CommandSpec("bulk.status", "Tell how a job stands, or watch it."),
    "pause": CommandSpec("bulk.control", "Ask whoever runs a job to stop in good order."),
    "cancel": CommandSpec("bulk.control", "End a job: what was not sent yet never is."),
    "report": CommandSpec("bulk.report", "Tell what became of a job and of its items."),
    "undo": CommandSpec("bulk.report", "Write a file that takes a job's meetings back."),
    "purge": CommandSpec("bulk.report", "Remove what a job keeps of meetings' contents."),
    "list": CommandSpec("bulk.status", "List the jobs.", name="list_command"),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, epilog=EPILOG)
def bulk() -> None:
    """Update many meetings from a file, in a job that survives a crash.

    What is sent and answered is written down first, in a journal of the state directory
    (GONG_STATE_DIR), so that nothing is lost and nothing is sent twice without need.
    """
