"""Findings in an input file: line, field and problem."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen

from gong_async.errors import ValidationError

MOST_KEPT = 1_000
"""Findings stored per file; all are counted."""

_MOST_SHOWN = 3


@frozen
class Finding:
    """A problem or a note at one place of an input file.

    It never contains the value, except a meeting id.
    """

    line: int
    """Line of the file in which the row begins, from 1; 0 for the file as a whole."""
    field: str | None
    """Python name of the field; None for the row as a whole."""
    problem: str
    column: str | None = None
    """What the file calls the field, where it was mapped."""

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        if self.field:
            where += f", {self.field}"
        if self.column:
            where += f" (column {self.column!r})"
        return f"{where}: {self.problem}"


@frozen
class Note(Finding):
    """Something valid that may still be a mistake."""


@define(eq=False)
class Findings:
    """Collects findings: stores the first 1,000, counts all."""

    kept: list[Finding] = field(factory=list, init=False)
    total: int = field(default=0, init=False)

    def add(self, finding: Finding) -> None:
        """Add a finding."""
        self.total += 1
        if len(self.kept) < MOST_KEPT:
            self.kept.append(finding)

    def in_order(self) -> tuple[Finding, ...]:
        """Return the stored findings, sorted by line."""
        return tuple(sorted(self.kept, key=lambda finding: finding.line))


class InputError(ValidationError):
    """An input file is invalid; nothing was sent.

    `findings` lists the first 1,000 problems; `total` counts all.
    """

    hint = "Correct the file; nothing was sent"

    def __init__(
        self, name: str = "", findings: Sequence[Finding] = (), total: int | None = None
    ) -> None:
        total = len(findings) if total is None else total
        reported = "; ".join(str(finding) for finding in findings[:_MOST_SHOWN])
        more = total - min(len(findings), _MOST_SHOWN)
        count = "1 fault" if total == 1 else f"{total:,} faults"
        super().__init__(name, f"{count}: {reported}{f'; and {more:,} more' if more > 0 else ''}")
        self.findings: tuple[Finding, ...] = tuple(findings)
        self.total = total
