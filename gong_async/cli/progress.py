"""How a bulk run is shown while it runs: a bar where somebody looks, else a line a minute."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from typing import Protocol

import click
from attrs import define, field

from gong_async.bulk.report import Report
from gong_async.cli.diagnostics import Diagnostics

_LINE_SECONDS = 60.0
_MINUTE = 60
_HOUR = 3600


class Progress(Protocol):
    """Shows reports."""

    draws: bool
    """Whether lines must be given to `say`, or else they would run through a drawing."""

    def show(self, report: Report) -> None:
        """Show how the run stands; called after every outcome, and once a second."""
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
    draws: bool = field(default=False, init=False)
    _next: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.every

    def show(self, report: Report) -> None:
        """Write a line when it is time."""
        if report.seconds < self._next:
            return
        self._next = report.seconds + self.every
        self.diagnostics.note(
            "progress",
            standing(report),
            total=report.total,
            done=report.done,
            failed=report.failed,
            in_doubt=report.in_doubt,
            rate=round(report.rate, 3),
            seconds_left=report.seconds_left and round(report.seconds_left),
        )

    def say(self, text: str) -> None:
        """Write a line."""
        click.echo(text, err=True)

    def close(self) -> None:
        """Do nothing."""


def make_progress(diagnostics: Diagnostics, *, wanted: bool) -> Progress:
    """Return the bar if it is wanted, stderr is a terminal and the extra `cli` is complete."""
    if not wanted:
        return Lines(diagnostics, every=math.inf)
    if diagnostics.as_json or not sys.stderr.isatty() or find_spec("rich") is None:
        return Lines(diagnostics)
    from gong_async.cli.bar import Bar, make_console  # noqa: PLC0415 - only when drawing

    console = make_console()
    if console.is_dumb_terminal:
        return Lines(diagnostics)
    return Bar(console)


def standing(report: Report) -> str:
    """Say in one line how a run stands."""
    parts = [f"{report.done:,} done", f"{report.failed:,} failed"]
    if report.in_doubt:
        parts.append(f"{report.in_doubt:,} in doubt")
    parts.append(f"{report.rate:.1f} a second")
    if report.seconds_left is not None:
        parts.append(f"{duration(report.seconds_left)} left")
    return f"{report.finished:,} of {report.total or 0:,} rows: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Write a duration as people say it."""
    whole = math.ceil(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
