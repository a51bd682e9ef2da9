"""The results of `gong-async doctor`, and their output."""

from __future__ import annotations

import sys
from typing import Literal

from attrs import frozen

from gong_async._redact import Redactor

Level = Literal["ok", "note", "problem"]

_MARKS: dict[Level, str] = {"ok": "✓", "note": "!", "problem": "✗"}
_MOST_SHOWN = 1_000
_WIDTH = 15


@frozen
class Diagnosis:
    """Result of one check."""

    check: str
    """Name of the check, in a word or two."""
    level: Level
    seen: str
    do: str = ""
    """Advice; empty if the check passed."""

    def clean(self, redact: Redactor) -> Diagnosis:
        """Return it with secrets redacted and terminal control sequences escaped."""
        seen, do = redact(self.seen, _MOST_SHOWN), redact(self.do, _MOST_SHOWN)
        return Diagnosis(self.check, self.level, seen, do)

    def lines(self, *, marks: bool) -> str:
        """Format it as text."""
        mark = _MARKS[self.level] if marks else f"{self.level:<7}"
        shown = f"{mark}  {self.check:<{_WIDTH}}{self.seen}"
        indent = " " * (len(mark) + 2 + _WIDTH)
        return f"{shown}\n{indent}-> {self.do}" if self.do else shown


def ok(check: str, seen: str) -> Diagnosis:
    """Return a passed check."""
    return Diagnosis(check, "ok", seen)


def note(check: str, seen: str, do: str) -> Diagnosis:
    """Return something unusual that may be intended."""
    return Diagnosis(check, "note", seen, do)


def problem(check: str, seen: str, do: str) -> Diagnosis:
    """Return a problem."""
    return Diagnosis(check, "problem", seen, do)


def advised(check: str, message: str, otherwise: str) -> Diagnosis:
    """Split an error message at its first semicolon into problem and advice."""
    seen, _, do = message.partition("; ")
    return problem(check, seen, do or otherwise)


def has_marks() -> bool:
    """Whether stdout is a terminal whose encoding has the marks."""
    try:
        "".join(_MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return sys.stdout.isatty()
