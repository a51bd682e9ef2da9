"""The input file of a command, and what is worth knowing of it."""

from __future__ import annotations

from pathlib import Path

from gong_async.bulk.inputs import Inputs, read_changes
from gong_async.cli.diagnostics import Diagnostics

_MOST_NOTES = 5


def read_input(file: Path, diagnostics: Diagnostics) -> Inputs:
    """Read and check a file; tell what is allowed and may still be a mistake.

    Raises:
        InputError: something in the file cannot be right.
    """
    inputs = read_changes(file)
    notes = inputs.notes if diagnostics.as_json else inputs.notes[:_MOST_NOTES]
    for note in notes:
        diagnostics.note("input", f"{file.name}, {note}", line=note.line, field=note.field)
    if more := len(inputs.notes) - len(notes):
        diagnostics.note(
            "input", f"{file.name}: {more:,} more notes; `gong-async --json` shows them all"
        )
    return inputs
