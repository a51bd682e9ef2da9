"""Progress of a running job: a bar on a terminal, else one line per minute."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

import click
from attrs import define, field

from gong_async.bulk.records import tally
from gong_async.cli.bulk.wording import JobSnapshot
from gong_async.cli.diagnostics import Diagnostics

_LINE_SECONDS = 60.0


class ProgressDisplay(Protocol):
    """Interface of a progress display."""

    def show(self, snapshot: JobSnapshot) -> None:
        """Show a snapshot; called about once per second."""
        ...

    def say(self, text: str) -> None:
        """Write a permanent line."""
        ...

    def close(self) -> None:
        """Stop drawing."""
        ...


@define
class Lines:
    """Display that writes a plain line at intervals, for logs."""

    diagnostics: Diagnostics
    every: float = _LINE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _next: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.clock() + self.every

    def show(self, snapshot: JobSnapshot) -> None:
        """Write a line if the interval has passed."""
        if self.clock() < self._next:
            return
        self._next = self.clock() + self.every
        status, left = snapshot.status, snapshot.seconds_left
        self.diagnostics.note(
            "progress",
            snapshot.text(),
            job=status.id,
            state=status.state,
            total=snapshot.total,
            counts=tally(status),
            rate=round(snapshot.rate, 3),
            seconds_left=None if left is None else round(left),
            left_today=snapshot.left_today,
        )

    def say(self, text: str) -> None:
        """Write a line."""
        click.echo(text, err=True)

    def close(self) -> None:
        """Do nothing."""


def make_progress(diagnostics: Diagnostics, *, wanted: bool) -> ProgressDisplay:
    """Return a bar if wanted, stderr is a terminal and `rich` is installed; else lines."""
    if not wanted:
        return Lines(diagnostics, every=math.inf)
    if (
        diagnostics.as_json
        or sys.stderr is None
        or not sys.stderr.isatty()
        or find_spec("rich") is None
    ):
        return Lines(diagnostics)
    from gong_async.cli.bulk.bar import Bar, make_console  # noqa: PLC0415 - only when drawing

    console = make_console()
    if console.is_dumb_terminal:
        return Lines(diagnostics)
    return Bar(console)
