"""`gong-async bulk`: many meetings from a file, in jobs that survive."""

from __future__ import annotations

import click

from gong_async.cli.exits import EPILOG
from gong_async.cli.lazy import Entry, LazyGroup

_COMMANDS = {
    "plan": Entry("bulk.plan", "Tell what sending a file would do and cost. Sends nothing."),
    "run": Entry("bulk.run", "Update the meetings in a file."),
    "resume": Entry("bulk.run", "Go on with a job that was stopped, or killed."),
    "status": Entry("bulk.status", "Tell how a job stands, or watch it."),
    "pause": Entry("bulk.control", "Ask whoever runs a job to stop in good order."),
    "cancel": Entry("bulk.control", "End a job: what was not sent yet never is."),
    "report": Entry("bulk.report", "Tell what became of a job and of its items."),
    "undo": Entry("bulk.report", "Write a file that takes a job's meetings back."),
    "purge": Entry("bulk.report", "Remove what a job keeps of meetings' contents."),
    "list": Entry("bulk.status", "List the jobs.", name="list_command"),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, epilog=EPILOG)
def bulk() -> None:
    """Update many meetings from a file, in a job that survives a crash.

    What is sent and answered is written down first, in a journal of the state directory
    (GONG_STATE_DIR), so that nothing is lost and nothing is sent twice without need.
    """
