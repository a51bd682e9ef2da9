"""The input file of a command: how it is read, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkPlan
from gong_async.cli.diagnostics import Diagnostics
from gong_async.inputs.reader import Finding, InputError, Inputs, read_changes

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


async def plan_from(inputs: Inputs, job: BulkJob, diagnostics: Diagnostics) -> BulkPlan:
    """Plan a job from a file, and print what is allowed in that and may still be a mistake.

    Of a file that is refused, print what is worth knowing of it as a whole: it may be the reason.
    """
    try:
        plan = await job.plan()
    except InputError:
        _print_notes(inputs, diagnostics, [note for note in inputs.notes if not note.line])
        raise
    kept = inputs.notes if diagnostics.as_json else inputs.notes[:_MOST_NOTES]
    _print_notes(inputs, diagnostics, kept)
    if more := inputs.note_count - len(kept):
        advice = "" if diagnostics.as_json else "; `gong-async --json` shows the first 1,000"
        diagnostics.note("input", f"{inputs.path.name}: {more:,} more notes{advice}")
    return plan


def _print_notes(inputs: Inputs, diagnostics: Diagnostics, notes: Sequence[Finding]) -> None:
    for note in notes:
        text = f"{inputs.path.name}, {note}"
        diagnostics.note("input", text, line=note.line, field=note.field)
