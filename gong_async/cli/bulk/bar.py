"""The progress bar. The only file that imports `rich`."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gong_async._redact import Redactor
from gong_async.bulk.records import MEANINGS, tally
from gong_async.cli.bulk.wording import JobSnapshot, duration, seconds_to

_STYLES = {"succeeded": "green", "failed": "bold red", "in_doubt": "yellow", "organizer": "magenta"}
_SOON = 20 * 3600.0
_THIS_WEEK = 6 * 86_400.0
_GAP = "  "


def make_console() -> Console:
    """Return a console on stderr that prints text verbatim."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


class Bar:
    """Progress bar of a job: counts, rate, estimated end, and remaining daily calls."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def show(self, snapshot: JobSnapshot) -> None:
        """Redraw."""
        if not self._live.is_started:
            self._live.start()
        drawn = Group(_bar(snapshot), _counts(snapshot), _rate(snapshot))
        self._live.update(drawn, refresh=True)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._live.console.print(Text(text))

    def close(self) -> None:
        """Stop drawing; the bar stays visible."""
        self._live.stop()


def _bar(snapshot: JobSnapshot) -> Table:
    ended, total = snapshot.status.ended, snapshot.total
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(ratio=1)
    row.add_column(justify="right")
    share = f"{ended / total:.0%}" if total else ""
    row.add_row(
        ProgressBar(total=max(1, total), completed=ended if total else 1),
        Text(f"{ended:,}/{total:,} {share}".rstrip()),
    )
    return row


def _counts(snapshot: JobSnapshot) -> Text:
    return Text(_GAP).join(
        Text(f"{items:,} {MEANINGS[name][0]}", style=_STYLES[name] if items else "dim")
        for name, items in tally(snapshot.status).items()
        if name in _STYLES and (items or name in {"succeeded", "failed"})
    )


def _rate(snapshot: JobSnapshot) -> Text:
    status, words = snapshot.status, Text()
    if status.state == "waiting" and status.resume_at is not None:
        reason = Redactor()(status.reason or "")
        return words.append(f"waits until {_when(status.resume_at)}: {reason}", style="yellow")
    words.append(f"{snapshot.rate:.1f}/s")
    if status.finishes_at is not None and status.left:
        left = duration(snapshot.seconds_left or 0.0)
        words.append(f"{_GAP}ends {_when(status.finishes_at)}, in {left}", style="cyan")
    if snapshot.left_today is not None:
        words.append(f"{_GAP}{snapshot.left_today:,} calls left today", style="dim")
    return words


def _when(moment: datetime) -> str:
    """Format a UTC time, with as much of the date as is needed."""
    away = seconds_to(moment) or 0.0
    form = "%H:%M" if away < _SOON else "%a %H:%M" if away < _THIS_WEEK else "%Y-%m-%d %H:%M"
    return f"{moment.astimezone(UTC):{form}}Z"
