"""Click group that imports a command's module only when that command runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from attrs import frozen


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
