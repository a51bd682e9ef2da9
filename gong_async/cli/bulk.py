"""`gong-async bulk`: many meetings from a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import click

from gong_async import GongClient, Limits, RetryPolicy
from gong_async._base_url import DEFAULT_BASE_URL
from gong_async.bulk.inputs import read_changes
from gong_async.cli.calls import Calls
from gong_async.cli.client import client_options, connect, given
from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.exits import EPILOG, Exit
from gong_async.cli.job import Job
from gong_async.cli.outcomes import Earlier, Row, carried_over, make_rows, open_outcomes
from gong_async.cli.progress import Progress, duration, make_progress
from gong_async.cli.summary import Summary
from gong_async.cli.trouble import Trouble

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group(epilog=EPILOG)
def bulk() -> None:
    """Update many meetings from a file."""


@bulk.command(epilog=EPILOG)
@click.argument("file", type=_FILE)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the outcomes there, one JSON object a line.  [default: stdout]",
)
@click.option(
    "--resume-from",
    type=_FILE,
    help="Outcomes of an earlier run: what is done and has not changed is not sent again.",
)
@click.option("--per-second", type=float, help="Calls a second that you may use.  [default: 3]")
@click.option("--per-day", type=int, help="Calls in 24 hours.  [default: 10000]")
@click.option("--max-in-flight", type=int, help="Requests at the same time.  [default: 16]")
@click.option("--progress/--no-progress", default=True, help="Show how it goes.", show_default=True)
@client_options
@click.pass_obj
def run(
    diagnostics: Diagnostics,
    /,
    *,
    file: Path,
    output: Path | None,
    resume_from: Path | None,
    progress: bool,
    base_url: str | None,
    timeout: float | None,
    **limits: float | None,
) -> Exit:
    """Update the meetings in FILE: .csv, .jsonl or .xlsx.

    Columns: meeting_id, start_time, end_time, organizer_email, invitees; and if you like title,
    external_id, provider. Every row is checked before the first is sent. Ctrl-C once lets the
    requests under way come to their end, twice stops at once.
    """
    inputs = read_changes(file)
    for note in inputs.notes:
        diagnostics.note("input", f"{file.name}, {note}", line=note.line, field=note.field)
    rows = make_rows(inputs)
    done = _done(resume_from, rows, diagnostics)
    todo = [row for place, row in enumerate(rows) if place not in done]
    allowed = Limits(**given(**limits))
    calls = Calls()
    options = given(base_url=base_url, timeout=timeout, limits=allowed)
    # Made before the outcomes are opened: without a credential no empty file is left behind.
    client = connect(hooks=(calls.listen,), **options)
    with ExitStack() as stack:
        carried = [row for place, row in enumerate(rows) if place in done]
        file_out = _open(output, resume_from, carried, stack)
        where = base_url or os.environ.get("GONG_BASE_URL") or DEFAULT_BASE_URL
        diagnostics.note("begin", _beginning(file, where, todo=len(todo), limits=allowed))
        display = make_progress(diagnostics, wanted=progress)
        stack.callback(display.close)
        diagnostics.write = display.say
        job = Job(
            rows=todo,
            calls=calls,
            write=_writer(file_out, display),
            progress=display,
            trouble=Trouble(RetryPolicy().max_wait),
            warn=lambda text: diagnostics.note("stopping", text),
        )
        asyncio.run(_send(client, job))
    summary = Summary(
        job=job,
        file=str(file),
        record=None if output is None else str(output),
        skipped=len(done),
    )
    summary.tell(diagnostics)
    return summary.exit


async def _send(client: GongClient, job: Job) -> None:
    async with client:
        await job.run(client)


def _done(path: Path | None, rows: list[Row], diagnostics: Diagnostics) -> set[int]:
    """Return the places of the rows that an earlier run has done."""
    if path is None:
        return set()
    earlier = Earlier.read(path)
    if earlier.unreadable:
        told = f"{path.name}: {earlier.unreadable:,} lines are no outcomes"
        diagnostics.note("input", f"{told}; the rows they stood for are sent again")
    return earlier.done(rows)


def _open(
    output: Path | None, resume_from: Path | None, carried: list[Row], stack: ExitStack
) -> TextIO | None:
    """Open the file for the outcomes, complete with those of an earlier run; None for stdout."""
    append = output is not None and resume_from is not None and _same(output, resume_from)
    if output is None:
        lines = sys.stdout
    else:
        try:
            lines = stack.enter_context(open_outcomes(output, append=append))
        except FileExistsError:
            advice = f"give another name, or go on with it: --resume-from {output}"
            raise click.UsageError(f"{output} exists already; {advice}") from None
    if not append:
        for line in carried_over(carried):
            lines.write(line + "\n")
        lines.flush()
    return None if output is None else lines


def _same(output: Path, resume_from: Path) -> bool:
    return output.exists() and output.samefile(resume_from)


def _writer(file: TextIO | None, display: Progress) -> Callable[[str], None]:
    """Return what writes one line of outcomes, so that it is there when the next is begun."""
    if file is None and display.draws and sys.stdout.isatty():
        return display.say
    lines = file or sys.stdout

    def write(line: str) -> None:
        try:
            lines.write(line + "\n")
            lines.flush()
        except OSError:
            _give_up(lines)
            raise

    return write


def _give_up(lines: TextIO) -> None:
    """Let what is still buffered go nowhere, so that closing does not fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, lines.fileno())
    os.close(nowhere)


def _beginning(file: Path, where: str, *, todo: int, limits: Limits) -> str:
    pace = f"{limits.per_second:g} calls a second, about {duration(todo * limits.interval)}"
    text = f"{todo:,} rows of {file.name} to {where}: {pace}"
    if limits.per_day is not None and todo > limits.per_day:
        text += (
            f". These are more than the {limits.per_day:,} calls of a day: "
            "the run will stop there and can be resumed"
        )
    return text
