"""What was found in an input file: where, in which field, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from gong_async.errors import ValidationError

MOST_KEPT = 1_000
"""Findings that are kept of a file; all are counted."""

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


@frozen
class Note(Finding):
    """What is allowed and may still be a mistake."""


@define(eq=False)
class Findings:
    """Findings as they come: the first are kept, all are counted."""

    kept: list[Finding] = field(factory=list, init=False)
    total: int = field(default=0, init=False)

    def add(self, finding: Finding) -> None:
        """Take one in."""
        self.total += 1
        if len(self.kept) < MOST_KEPT:
            self.kept.append(finding)

    def in_order(self) -> tuple[Finding, ...]:
        """Return those that are kept, by their lines."""
        return tuple(sorted(self.kept, key=lambda finding: finding.line))


class InputError(ValidationError):
    """A file cannot be used as it is. Nothing was sent.

    `findings` lists the first 1,000 faults, and `total` counts all of them.
    """

    hint = "Correct the file; nothing was sent"

    def __init__(
        self, name: str = "", findings: Sequence[Finding] = (), total: int | None = None
    ) -> None:
        total = len(findings) if total is None else total
        reported = "; ".join(str(finding) for finding in findings[:_MOST_TOLD])
        more = total - min(len(findings), _MOST_TOLD)
        count = "1 fault" if total == 1 else f"{total:,} faults"
        super().__init__(name, f"{count}: {reported}{f'; and {more:,} more' if more > 0 else ''}")
        self.findings: tuple[Finding, ...] = tuple(findings)
        self.total = total
