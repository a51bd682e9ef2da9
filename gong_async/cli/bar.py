"""The progress bar. The only file that imports `rich`."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from gong_async.bulk.report import Report
from gong_async.cli.progress import duration


def make_console() -> Console:
    """Return a console on stderr that takes text as it is."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


class Bar:
    """Draws how far a run has come: bar, counts, rate, time left."""

    draws = True

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
            expand=True,
        )
        self._task: TaskID | None = None

    def show(self, report: Report) -> None:
        """Redraw."""
        counts = f"{report.done:,} done {report.failed:,} failed"
        if report.in_doubt:
            counts += f" {report.in_doubt:,} in doubt"
        left = report.seconds_left
        pace = f"{report.rate:.1f}/s" + (f" {duration(left)} left" if left is not None else "")
        if self._task is None:
            self._task = self._progress.add_task(
                "", total=report.total, completed=report.finished, counts=counts, pace=pace
            )
            self._progress.start()
            return
        self._progress.update(self._task, completed=report.finished, counts=counts, pace=pace)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(Text(text))

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()
