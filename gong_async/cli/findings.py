"""What `gong-async doctor` finds, and how it is written."""

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
    """What one look has shown."""

    check: str
    """What was looked at, in a word or two."""
    level: Level
    seen: str
    do: str = ""
    """What to do about it; empty if all is well."""

    def clean(self, redact: Redactor) -> Diagnosis:
        """Return it without secrets, and without anything that could steer a terminal."""
        seen, do = redact(self.seen, _MOST_SHOWN), redact(self.do, _MOST_SHOWN)
        return Diagnosis(self.check, self.level, seen, do)

    def lines(self, *, marks: bool) -> str:
        """Write it for people."""
        mark = _MARKS[self.level] if marks else f"{self.level:<7}"
        shown = f"{mark}  {self.check:<{_WIDTH}}{self.seen}"
        indent = " " * (len(mark) + 2 + _WIDTH)
        return f"{shown}\n{indent}-> {self.do}" if self.do else shown


def ok(check: str, seen: str) -> Diagnosis:
    """Return that all is well."""
    return Diagnosis(check, "ok", seen)


def note(check: str, seen: str, do: str) -> Diagnosis:
    """Return what is worth knowing, and may be meant."""
    return Diagnosis(check, "note", seen, do)


def problem(check: str, seen: str, do: str) -> Diagnosis:
    """Return what is wrong."""
    return Diagnosis(check, "problem", seen, do)


def advised(check: str, message: str, otherwise: str) -> Diagnosis:
    """Return a problem of an error, whose message mostly ends with what to do."""
    seen, _, do = message.partition("; ")
    return problem(check, seen, do or otherwise)


def has_marks() -> bool:
    """Whether stdout is a terminal that can show the marks."""
    try:
        "".join(_MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return sys.stdout.isatty()
