"""What is told on stderr: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

import click

from gong_async._redact import Redactor

_MOST_SHOWN = 4_000


def _to_stderr(text: str) -> None:
    click.echo(text, err=True)


def one_line(text: str) -> str:
    """Return a text as one line without anything that could steer a terminal."""
    return Redactor()(text, _MOST_SHOWN)


def print_result(text: str) -> None:
    """Write to stdout, if anybody can read it: the work goes on without."""
    try:
        click.echo(text)
    except OSError:
        _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Let what is left in the buffer go nowhere: it would change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Diagnostics:
    """Writes errors and notes, with everything escaped that could steer a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.write: Callable[[str], None] = _to_stderr
        """Where the lines go; a progress bar takes them in order to write above itself."""

    def error(self, kind: str, message: str | Sequence[str], **facts: object) -> None:
        """Write what went wrong, in one line or several; `kind` and `facts` are for programs."""
        self._print("error", kind, message, facts)

    def note(self, kind: str, message: str | Sequence[str], **facts: object) -> None:
        """Write something worth knowing."""
        self._print("note", kind, message, facts)

    def _print(
        self, level: str, kind: str, message: str | Sequence[str], facts: dict[str, object]
    ) -> None:
        # A line break within a line is of something foreign: a file's name, or words of Gong's.
        lines = [message] if isinstance(message, str) else message
        if self.as_json:
            text = "\n".join(lines)
            self._put(json.dumps({"level": level, "kind": kind, "message": text, **facts}))
            return
        shown = "\n".join(map(one_line, lines))
        self._put(f"error: {shown}" if level == "error" else shown)

    def _put(self, text: str) -> None:
        """Write, if anybody can read it: a terminal that was closed does not end the work."""
        try:
            self.write(text)
        except OSError:
            _discard(sys.stderr)


class LogLines(logging.Handler):
    """Shows the library's warnings among the diagnostics."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        super().__init__(logging.WARNING)
        self.diagnostics = diagnostics

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        self.diagnostics.note("log", record.getMessage())
