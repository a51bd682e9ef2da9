"""What was found in an input file: where, in which field, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from gong_async.errors import ValidationError

_MOST_TOLD = 3


@frozen
class Finding:
    """A fault, or something worth knowing, at one place of an input file.

    It never holds the value itself, unless that is a meeting's id.
    """

    line: int
    """Line of the file in which the row begins, from 1; 0 for the file as a whole."""
    field: str | None
    """Python name of the field; None for the row as a whole."""
    problem: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        return (
            f"{where}, {self.field}: {self.problem}" if self.field else f"{where}: {self.problem}"
        )


class InputError(ValidationError):
    """A file cannot be used as it is. Nothing was sent. `findings` lists every fault."""

    hint = "Correct the file; nothing was sent"

    def __init__(self, name: str = "", findings: Sequence[Finding] = ()) -> None:
        told = "; ".join(str(finding) for finding in findings[:_MOST_TOLD])
        more = len(findings) - _MOST_TOLD
        count = "1 fault" if len(findings) == 1 else f"{len(findings):,} faults"
        super().__init__(name, f"{count}: {told}{f'; and {more:,} more' if more > 0 else ''}")
        self.findings: tuple[Finding, ...] = tuple(findings)
