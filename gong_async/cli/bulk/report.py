"""`gong-async bulk report`, `undo` and `purge`: reports on a job, and removal of its contents."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import click

from gong_async.bulk.records import ItemState, number_of
from gong_async.bulk.reports.export import (
    Format,
    export,
    failed_rows,
    make_undo_plan,
    write_atomically,
)
from gong_async.bulk.reports.overview import ticket
from gong_async.bulk.reports.page import html_page
from gong_async.bulk.reports.purge import purge as purge_job
from gong_async.bulk.reports.support_bundle import support_bundle
from gong_async.bulk.store.job_file import JobFile, find_job, ledger_path
from gong_async.cli.bulk.summary import Summary
from gong_async.cli.bulk.wording import name_of
from gong_async.cli.diagnostics import EPILOG, Diagnostics, Exit
from gong_async.cli.options import NEW_FILE, job_argument
from gong_async.errors import JournalError

_MOST_IDS = 20
_READABLE = frozenset({".jsonl", ".ndjson"})
_REPORTS = {"html": html_page, "md": ticket}
ReportFormat = Literal["text", "html", "md", "jsonl", "csv"]


def _input_file(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _READABLE:
        raise click.BadParameter(f"{path.name} must end in .jsonl: it is input for a job")
    return path


@click.command(epilog=EPILOG)
@job_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(ReportFormat)),
    default="text",
    show_default=True,
    help="text is a summary, html a page for a browser, md a summary for a ticket; jsonl and csv "
    "have one line per item.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(ItemState)),
    multiple=True,
    help="Only items in this state; may be repeated.",
)
@click.option(
    "--with-personal-data",
    "personal",
    is_flag=True,
    help="Include titles, addresses and organizers in html and md.",
)
@click.option("--output", type=NEW_FILE, help="Output file.  [default: stdout]")
@click.option(
    "--failed",
    type=NEW_FILE,
    callback=_input_file,
    help="Write failed items to this file, as input for another job.",
)
@click.option("--bundle", type=NEW_FILE, help="Write a support bundle to this file.")
@click.pass_obj
def report(
    diagnostics: Diagnostics,
    /,
    *,
    name: str,
    form: ReportFormat,
    states: tuple[ItemState, ...],
    personal: bool,
    output: Path | None,
    failed: Path | None,
    bundle: Path | None,
) -> None:
    """Report on JOB or its items, to stdout or to files.

    Files are written atomically and readable only by you. A support bundle contains versions,
    options, counts and request ids, but no email address, title, name or credential.
    """
    if states and form not in get_args(Format):
        raise click.UsageError("--state needs --format jsonl or csv")
    if personal and form not in _REPORTS:
        raise click.UsageError("--with-personal-data needs --format html or md")
    job = find_job(name)
    if form == "text":
        lines = _summary(job, diagnostics)
    elif form == "jsonl" or form == "csv":  # noqa: PLR1714 - type checkers narrow this one
        lines = export(job, form, states)
    else:
        lines = _REPORTS[form](job, personal=personal)
    if output is not None:
        write_atomically(output, lines)
        diagnostics.note("file", f"Wrote {output}", path=str(output))
    elif form != "text" or (failed is None and bundle is None):
        for line in lines:
            click.echo(line)
    if failed is not None:
        rows = write_atomically(failed, failed_rows(job))
        _print_rows(diagnostics, failed, rows, "once corrected")
    if bundle is not None:
        write_atomically(bundle, [json.dumps(support_bundle(job), indent=2)])
        diagnostics.note("file", f"Wrote {bundle}", path=str(bundle))


@click.command(epilog=EPILOG)
@job_argument
@click.option("--output", type=NEW_FILE, required=True, callback=_input_file, help="Output file.")
@click.pass_obj
def undo(diagnostics: Diagnostics, /, *, name: str, output: Path) -> Exit:
    """Write a file that reverts the meetings of JOB. Makes no API call.

    The file contains the last updates that Gong acknowledged to earlier jobs on this machine.
    Meetings without an earlier update are listed on stderr, and the exit code is 1.
    """
    job = find_job(name)
    _refuse_running(job)
    back = make_undo_plan(job)
    rows = write_atomically(output, back.known)
    _print_rows(diagnostics, output, rows, "to send them")
    if not back.unknown:
        return Exit.DONE
    shown = back.unknown if diagnostics.as_json else back.unknown[:_MOST_IDS]
    more = len(back.unknown) - len(shown)
    ids = ", ".join(shown) + (f", and {more:,} more" if more else "")
    text = f"No earlier update of {number_of(len(back.unknown), 'meeting')}: {ids}"
    facts = {"count": len(back.unknown), "meeting_ids": shown}
    diagnostics.note("unknown", text, **facts)
    return Exit.FAILED


@click.command(epilog=EPILOG)
@job_argument
@click.option("--force", is_flag=True, help="Cancel the job first if it has not ended.")
@click.pass_obj
def purge(diagnostics: Diagnostics, /, *, name: str, force: bool) -> None:
    """Remove meeting contents and personal data from JOB. It cannot be undone afterwards.

    Counts, item states, and ids of meetings and requests are kept.
    """
    job = find_job(name)
    removed = purge_job(job, ledger_path(), force=force)
    text = f"Removed {removed:,} contents from job {job.status().id} and the ledger"
    diagnostics.note("purge", text, removed=removed)


def _summary(job: JobFile, diagnostics: Diagnostics) -> Iterator[str]:
    summary = Summary.of(job)
    if diagnostics.as_json:
        return iter([json.dumps(summary.facts(), indent=2)])
    return iter(summary.lines())


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
