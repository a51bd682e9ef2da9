"""How a job is shown while it runs: a bar where somebody looks, else a line a minute."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

import click
from attrs import define, field

from gong_async.cli.bulk.snapshot import JobSnapshot
from gong_async.cli.bulk.wording import tally
from gong_async.cli.diagnostics import Diagnostics

_LINE_SECONDS = 60.0


class ProgressDisplay(Protocol):
    """Shows how a job stands."""

    def show(self, snapshot: JobSnapshot) -> None:
        """Show it; called about once a second."""
        ...

    def say(self, text: str) -> None:
        """Write a line that stays."""
        ...

    def close(self) -> None:
        """Stop drawing."""
        ...


@define
class Lines:
    """One plain line every so often, for logs."""

    diagnostics: Diagnostics
    every: float = _LINE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _next: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.clock() + self.every

    def show(self, snapshot: JobSnapshot) -> None:
        """Write a line when it is time."""
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
    """Return the bar if it is wanted, stderr is a terminal and the extra `cli` is complete."""
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
