"""The command `gong-async`: its commands, and how errors become messages and exit codes.

Imports nothing heavy: each command's module is imported when the command runs.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any

import click
from attrs import frozen

from gong_async.cli.diagnostics import EPILOG, Diagnostics, Exit, LogLines

_CREDENTIAL = re.compile(r"key|secret|token|password|auth|user|credential", re.IGNORECASE)


@frozen
class CommandSpec:
    """Module and summary of a command."""

    file: str
    """Its module, below `gong_async.cli`."""
    does: str
    name: str | None = None
    """Its name in that module, if it differs from the one on the command line."""


class LazyGroup(click.Group):
    """Lists its commands without importing them."""

    def __init__(self, *given: Any, entries: Mapping[str, CommandSpec], **named: Any) -> None:
        super().__init__(*given, **named)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        file = import_module(f"gong_async.cli.{entry.file}")
        command: click.Command = getattr(file, entry.name or cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.does) for name, entry in self.entries.items()])


class App(LazyGroup):
    """The root command group; turns errors into messages and exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's own signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,
    ) -> Any:
        """Run, and exit with a code of `Exit`; without `standalone_mode`, return it."""
        given = sys.argv[1:] if args is None else list(args)
        options = takewhile(lambda argument: argument.startswith("-"), given)
        diagnostics = Diagnostics(as_json="--json" in options)
        logger, lines = logging.getLogger("gong_async"), LogLines(diagnostics)
        logger.addHandler(lines)
        try:
            # Usage errors need diagnostics before any option has been parsed.
            result = super().main(
                given, prog_name, complete_var, standalone_mode=False, obj=diagnostics, **extra
            )
            code = Exit(result or 0)
        except Exception as error:  # noqa: BLE001 - `explain` re-raises unexpected errors
            code = explain(error, diagnostics)
        except KeyboardInterrupt:
            diagnostics.error("stopped", "stopped by a signal")
            code = Exit.RESUMABLE
        finally:
            logger.removeHandler(lines)
        if standalone_mode:
            sys.exit(code)
        return code


def explain(error: Exception, diagnostics: Diagnostics) -> Exit:
    """Print what `error` means and return the exit code; re-raise an unexpected error."""
    if isinstance(error, click.Abort):
        diagnostics.error("stopped", "stopped by a signal")
        return Exit.RESUMABLE
    if isinstance(error, click.ClickException):
        return _explain_usage(error, diagnostics)
    # Not at the top: keeps `--help` fast; most runs end without an error.
    from gong_async.cli.failures import explain_failure  # noqa: PLC0415

    return explain_failure(error, diagnostics)


def _explain_usage(error: click.ClickException, diagnostics: Diagnostics) -> Exit:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and _CREDENTIAL.search(error.option_name):
        message += " Credentials are read from the environment only; see `gong-async --help`."
    if not diagnostics.as_json and isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return Exit.USAGE
    context = getattr(error, "ctx", None)
    usage = context.get_usage() if context is not None else ""
    if usage and not diagnostics.as_json:
        diagnostics.write(usage)
    diagnostics.error("usage", message)
    return Exit.USAGE


_COMMANDS = {
    "meetings": CommandSpec("meetings", "Create, update or delete one meeting; check organizers."),
    "bulk": CommandSpec("app", "Update many meetings from a file, in a resumable job."),
    "login": CommandSpec("login", "Log in with OAuth, in the browser."),
    "logout": CommandSpec("login", "Delete the login stored on this machine."),
    "whoami": CommandSpec("login", "Show the credential that the commands use."),
    "quota": CommandSpec("client", "Show used and remaining API calls."),
    "doctor": CommandSpec("doctor.command", "Diagnose installation, credential and network."),
    "fake": CommandSpec("fake", "Run a fake Gong server on this machine, for tests."),
}


@click.group(
    cls=App,
    entries=_COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--json", is_flag=True, help="Write diagnostics to stderr as JSON lines.")
@click.version_option(package_name="gong-async")
def app(*, json: bool) -> None:
    """Command-line client for the Gong API: meetings, one by one or in bulk."""


_BULK_COMMANDS = {
    "plan": CommandSpec("bulk.plan", "Show what sending a file would do and cost."),
    "template": CommandSpec("bulk.input", "Write a file to fill in, as CSV or XLSX."),
    "run": CommandSpec("bulk.run", "Update the meetings in a file."),
    "resume": CommandSpec("bulk.run", "Resume a stopped or killed job."),
    "status": CommandSpec("bulk.status", "Show or follow the status of a job."),
    "pause": CommandSpec("bulk.status", "Pause a running job."),
    "cancel": CommandSpec("bulk.status", "Cancel a job; pending items are dropped."),
    "report": CommandSpec("bulk.report", "Report on a job and its items."),
    "undo": CommandSpec("bulk.report", "Write a file that reverts a job."),
    "purge": CommandSpec("bulk.report", "Remove meeting contents from a job's files."),
    "list": CommandSpec("bulk.status", "List the jobs.", name="list_command"),
}


@click.group(cls=LazyGroup, entries=_BULK_COMMANDS, epilog=EPILOG)
def bulk() -> None:
    """Update many meetings from a file, in a resumable job.

    A write-ahead journal in the state directory (GONG_STATE_DIR) records every update before it is
    sent, and its outcome. A job that is stopped or killed resumes without losing updates, and
    resends only those whose outcome is unknown.
    """
