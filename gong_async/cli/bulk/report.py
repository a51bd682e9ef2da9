"""`gong-async bulk report`, `undo` and `purge`: files made of a job, and what it need not keep."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Literal, get_args

import click

from gong_async.bulk.records import ItemState
from gong_async.bulk.reports.export import export, failed_rows, write_atomically
from gong_async.bulk.reports.purge import purge as purge_job
from gong_async.bulk.reports.support_bundle import support_bundle
from gong_async.bulk.reports.undo import reverse
from gong_async.bulk.store.job_file import JobFile, find_job, ledger_path
from gong_async.cli.bulk.summary import Summary
from gong_async.cli.bulk.wording import name_of, number_of
from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.exits import EPILOG, Exit
from gong_async.cli.options import NEW_FILE, job_argument
from gong_async.errors import JournalError

_MOST_IDS = 20
_READABLE = frozenset({".jsonl", ".ndjson"})
ReportFormat = Literal["text", "jsonl", "csv"]


def _input_file(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _READABLE:
        raise click.BadParameter(f"{path.name} must end in .jsonl, to be the input of a job")
    return path


@click.command(epilog=EPILOG)
@job_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(ReportFormat)),
    default="text",
    show_default=True,
    help="text is a summary, the others have a line for each item.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(ItemState)),
    multiple=True,
    help="Items in this state only; may be repeated.",
)
@click.option("--output", type=NEW_FILE, help="Write it there.  [default: stdout]")
@click.option(
    "--failed",
    type=NEW_FILE,
    callback=_input_file,
    help="Write what did not get through there, as input of another job.",
)
@click.option("--bundle", type=NEW_FILE, help="Write there what a supporter needs to know.")
@click.pass_obj
def report(
    diagnostics: Diagnostics,
    /,
    *,
    name: str,
    form: ReportFormat,
    states: tuple[ItemState, ...],
    output: Path | None,
    failed: Path | None,
    bundle: Path | None,
) -> None:
    """Tell what became of JOB, or of each of its items, or write files of it.

    Files are written as a whole or not at all, for you alone. In a bundle there are versions,
    options, counts and request ids, but no address, title, name or credential.
    """
    if states and form == "text":
        raise click.UsageError("--state needs --format jsonl or csv")
    job = find_job(name)
    if form != "text":
        lines = export(job, form, states)
    elif diagnostics.as_json:
        lines = iter([json.dumps(Summary.of(job).facts(), indent=2)])
    else:
        lines = iter(Summary.of(job).lines())
    if output is not None:
        write_atomically(output, lines)
        diagnostics.note("file", f"{output} is written", path=str(output))
    elif form != "text" or (failed is None and bundle is None):
        for line in lines:
            click.echo(line)
    if failed is not None:
        rows = write_atomically(failed, failed_rows(job))
        _print_rows(diagnostics, failed, rows, "when they are corrected")
    if bundle is not None:
        write_atomically(bundle, [json.dumps(support_bundle(job), indent=2)])
        diagnostics.note("file", f"{bundle} is written", path=str(bundle))


@click.command(epilog=EPILOG)
@job_argument
@click.option("--output", type=NEW_FILE, required=True, callback=_input_file, help="The file.")
@click.pass_obj
def undo(diagnostics: Diagnostics, /, *, name: str, output: Path) -> Exit:
    """Write a file that takes the meetings of JOB back to where they were. Sends nothing.

    It has what Gong acknowledged to earlier jobs on this machine. Of meetings that no job had
    updated before, nothing is known; they are named on stderr, and the command ends with 1.
    """
    job = find_job(name)
    _refuse_running(job)
    back = reverse(job)
    rows = write_atomically(output, back.known)
    _print_rows(diagnostics, output, rows, "to send them")
    if not back.unknown:
        return Exit.DONE
    shown = back.unknown if diagnostics.as_json else back.unknown[:_MOST_IDS]
    more = len(back.unknown) - len(shown)
    ids = ", ".join(shown) + (f", and {more:,} more" if more else "")
    text = f"Nothing is known of {number_of(len(back.unknown), 'meeting')} before the job: {ids}"
    facts = {"count": len(back.unknown), "meeting_ids": shown}
    diagnostics.note("unknown", text, **facts)
    return Exit.FAILED


@click.command(epilog=EPILOG)
@job_argument
@click.option("--force", is_flag=True, help="Also if the job has not ended: it is cancelled.")
@click.pass_obj
def purge(diagnostics: Diagnostics, /, *, name: str, force: bool) -> None:
    """Remove what JOB keeps of meetings' contents and people. It cannot be undone afterwards.

    Counts, ids of meetings and requests, and what became of each item stay.
    """
    job = find_job(name)
    removed = purge_job(job, ledger_path(), force=force)
    text = f"{removed:,} contents are removed from job {job.status().id} and the ledger"
    diagnostics.note("purge", text, removed=removed)


def _print_rows(diagnostics: Diagnostics, path: Path, rows: int, when: str) -> None:
    text = f"{number_of(rows, 'row')} in {path}"
    if rows:
        text += f"; {when}: gong-async bulk run {shlex.quote(str(path))}"
    diagnostics.note("file", text, path=str(path), rows=rows)


def _refuse_running(job: JobFile) -> None:
    status = job.status()
    if status.pid is not None:
        raise JournalError(
            f"process {status.pid} runs job {status.id}; pause it first: "
            f"gong-async bulk pause {name_of(status)}",
            reason="in_use",
        )
