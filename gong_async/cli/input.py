"""The input file of a command: how it is read, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gong_async.cli.diagnostics import Diagnostics
from gong_async.inputs.reader import Inputs, read_changes

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_MOST_NOTES = 5
_OPTIONS = (
    click.option(
        "--encoding",
        metavar="NAME",
        help="Encoding of FILE if it is not UTF-8, cp1252 for example; never guessed.",
    ),
    click.option(
        "--ids-exact",
        is_flag=True,
        help="Take ids that look as if a program had rounded them: they are known to be right.",
    ),
)


def input_options(command: CommandT) -> CommandT:
    """Add how a file is read."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def open_input(file: Path, *, encoding: str | None, ids_exact: bool) -> Inputs:
    """Return a file as changes; it is read when a job is planned from it."""
    return read_changes(file, encoding=encoding, ids_exact=ids_exact)


def note_doubts(inputs: Inputs, diagnostics: Diagnostics) -> None:
    """Print what is allowed in a file that was read, and may still be a mistake."""
    notes = inputs.notes if diagnostics.as_json else inputs.notes[:_MOST_NOTES]
    name = inputs.path.name
    for note in notes:
        diagnostics.note("input", f"{name}, {note}", line=note.line, field=note.field)
    if more := inputs.note_count - len(notes):
        advice = "" if diagnostics.as_json else "; `gong-async --json` shows the first 1,000"
        diagnostics.note("input", f"{name}: {more:,} more notes{advice}")
