"""What a command reports: its exit code, and diagnostics on stderr as text or JSON lines."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import TextIO

import click

from gong_async._redact import Redactor

EPILOG = """\b
Exit codes:
  0   everything succeeded
  1   something failed, is in doubt, or was skipped for its organizer
  2   usage error, invalid input or configuration; nothing was sent
  75  stopped before the end; resume the job, or run the command again

Credentials are read from the environment only: GONG_ACCESS_KEY and
GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN. Without them, commands use
the login that `gong-async login` stores, with GONG_OAUTH_CLIENT_ID and
GONG_OAUTH_CLIENT_SECRET. GONG_BASE_URL sets the base URL."""


class Exit(IntEnum):
    """Exit code of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    RESUMABLE = 75
    """EX_TEMPFAIL of sysexits.h: a temporary failure."""


_MOST_SHOWN = 4_000


def _to_stderr(text: str) -> None:
    click.echo(text, err=True)


def one_line(text: str) -> str:
    """Return a text as one line, with terminal control sequences escaped."""
    return Redactor()(text, _MOST_SHOWN)


def print_result(text: str) -> None:
    """Write to stdout; a closed stdout does not stop the command."""
    try:
        click.echo(text)
    except OSError:
        _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Send the rest of the buffer to devnull: flushing it at exit would change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Diagnostics:
    """Writes errors and notes, with terminal control sequences escaped."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.write: Callable[[str], None] = _to_stderr
        """Writes one line; a progress bar replaces it to write above itself."""

    def error(self, kind: str, message: str | Sequence[str], **facts: object) -> None:
        """Write an error, in one line or several; `kind` and `facts` appear in JSON only."""
        self._print("error", kind, message, facts)

    def note(self, kind: str, message: str | Sequence[str], **facts: object) -> None:
        """Write a note."""
        self._print("note", kind, message, facts)

    def _print(
        self, level: str, kind: str, message: str | Sequence[str], facts: dict[str, object]
    ) -> None:
        # A line break within a line comes from outside: a file's name, or a message of Gong's.
        lines = [message] if isinstance(message, str) else message
        if self.as_json:
            text = "\n".join(lines)
            self._put(json.dumps({"level": level, "kind": kind, "message": text, **facts}))
            return
        shown = "\n".join(map(one_line, lines))
        self._put(f"error: {shown}" if level == "error" else shown)

    def _put(self, text: str) -> None:
        """Write; a closed terminal does not stop the command."""
        try:
            self.write(text)
        except OSError:
            _discard(sys.stderr)


class LogLines(logging.Handler):
    """Log handler that writes the library's warnings as diagnostics."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        super().__init__(logging.WARNING)
        self.diagnostics = diagnostics

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a note."""
        self.diagnostics.note("log", record.getMessage())
