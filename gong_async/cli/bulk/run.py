"""`gong-async bulk run` and `resume`: send the updates of a file."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import click

from gong_async._client import GongClient
from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkOptions, BulkStatus, moment
from gong_async.bulk.store.job_file import JobFile, find_job, list_jobs
from gong_async.cli.bulk.input import InputOptions, input_options, plan_from
from gong_async.cli.bulk.plan import show_plan
from gong_async.cli.bulk.session import Session
from gong_async.cli.bulk.wording import counts, duration, name_of
from gong_async.cli.client import client_options, given
from gong_async.cli.diagnostics import EPILOG, Diagnostics, Exit, print_result
from gong_async.cli.options import (
    FILE,
    NEW_FILE,
    content_options,
    job_argument,
    limit_options,
    sending_options,
)
from gong_async.errors import JournalError

_MANY_REQUESTS = 100
_MOST_OF_AN_ANSWER = 1_024
_RUN_ONLY = frozenset({"canary", "wait", "progress"})
_ENDS = ("", "-wal", "-shm", ".lock")


@click.command(epilog=EPILOG)
@click.argument("file", type=FILE)
@click.option(
    "--journal", type=NEW_FILE, help="Path of the journal.  [default: in the state directory]"
)
@click.option(
    "--new", is_flag=True, help="Start even if another job of the same file is unfinished."
)
@click.option(
    "--max-failure-ratio",
    type=click.FloatRange(min=0, min_open=True),
    metavar="X",
    help="Pause if more of the last 100 failed; 1 never pauses.  [default: 0.5]",
)
@click.option("--dry-run", is_flag=True, help="Send nothing; show the plan, as `bulk plan` does.")
@click.option(
    "--yes", is_flag=True, help="On a terminal, do not ask before more than 100 requests."
)
@input_options
@content_options
@sending_options
@limit_options
@client_options
@click.pass_obj
def run(
    diagnostics: Diagnostics,
    /,
    *,
    file: Path,
    journal: Path | None,
    new: bool,
    dry_run: bool,
    yes: bool,
    reading: InputOptions,
    keep_order: bool,
    skip_unchanged: bool,
    check_organizers: bool,
    max_failure_ratio: float | None,
    max_in_flight: int | None,
    **sending: Any,
) -> Exit:
    """Update the meetings in FILE: .csv, .jsonl or .xlsx, or - for standard input.

    Columns: meeting_id, start_time, end_time, organizer_email, invitees; optionally title,
    external_id, provider. Every row is validated before the first is sent. The job's id is printed
    to stdout; other commands take it as JOB. Ctrl-C pauses the job after the updates in flight; a
    second Ctrl-C stops it at once. Both can be resumed without loss.
    """
    if dry_run:
        options = BulkOptions(
            keep_order=keep_order, skip_unchanged=skip_unchanged, check_organizers=check_organizers
        )
        client_values = {key: value for key, value in sending.items() if key not in _RUN_ONLY}
        show_plan(diagnostics, reading.open(file), options, **client_values)
        return Exit.DONE
    if journal is not None and _is_planned(JobFile(journal)):
        again = f"gong-async bulk resume {shlex.quote(str(journal))}"
        raise JournalError(f"{journal} exists already; resume it: {again}", reason="state")
    options = BulkOptions(
        keep_order=keep_order,
        skip_unchanged=skip_unchanged,
        check_organizers=check_organizers,
        **given(max_failure_ratio=max_failure_ratio, max_in_flight=max_in_flight),
    )
    inputs = reading.open(file)
    session = Session.of(diagnostics, max_in_flight=max_in_flight, **sending)

    async def start(gong: GongClient) -> BulkJob:
        job = gong.bulk(inputs, journal=journal, options=options)
        plan = await plan_from(inputs, job, diagnostics)
        planned = JobFile(job.path)
        if not new and (other := _unfinished(planned)) is not None:
            _discard(planned)
            raise _refusal(other)
        status = planned.status()
        forecast = plan.forecast
        if forecast.requests > _MANY_REQUESTS and not yes and _is_interactive():
            question = f"Send {forecast.requests:,} requests to {status.origin}?"
            confirmed = False
            try:
                confirmed = await _confirmed(question)
            finally:  # also at a signal: a job that was not confirmed must not be resumed
                if not confirmed:
                    _discard(planned)
            if not confirmed:
                raise click.ClickException("not confirmed; nothing was sent")
        print_result(status.id)
        ends = f"about {duration(forecast.seconds)}, until {moment(forecast.finishes_at)}"
        reported = counts(status, always=("pending",))
        text = [f"{reported}, from {inputs.path.name} to {status.origin}: {ends}"]
        left = forecast.left_today
        if left is not None and forecast.requests > left and not session.wait:
            text.append(f"Only {left:,} calls left today: the job will stop and can be resumed")
        begin = {"job": status.id, "journal": str(job.path), "requests": forecast.requests}
        diagnostics.note("begin", text, **begin)
        return job

    return session.run(start, BulkJob.run)


@click.command(epilog=EPILOG)
@job_argument
@click.argument("file", type=FILE, required=False)
@input_options
@sending_options
@limit_options
@client_options
@click.pass_obj
def resume(
    diagnostics: Diagnostics,
    /,
    *,
    name: str,
    file: Path | None,
    reading: InputOptions,
    **sending: Any,
) -> Exit:
    """Resume JOB, given by its id, a prefix of it, or the path of its journal.

    Acknowledged updates are not sent again. Updates that were in flight when the job ended are
    resent with the same content. FILE is optional; if given, it must be the file that the job was
    planned from.
    """
    found = find_job(name)
    inputs = None if file is None else reading.open(file)
    session = Session.of(diagnostics, **sending)

    async def start(gong: GongClient) -> BulkJob:
        status = found.status()
        text = f"Job {status.id} to {status.origin}: {counts(status)}"
        diagnostics.note("begin", text, job=status.id, journal=str(found.path))
        return gong.bulk(inputs, journal=found.path)

    return session.run(start, BulkJob.resume)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _confirmed(question: str) -> bool:
    """Ask on the terminal; a signal cancels the question."""
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def end(text: str) -> None:
        if not answer.done():
            answer.set_result(text)

    def read() -> None:
        try:
            # Not through `sys.stdin`: its lock would be held when the process ends.
            text = os.read(sys.stdin.fileno(), _MOST_OF_AN_ANSWER).decode(errors="replace")
        except OSError:
            text = ""
        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(end, text)

    Thread(target=read, daemon=True).start()
    return (await answer).strip().casefold() in {"y", "yes"}


def _is_planned(file: JobFile) -> bool:
    """Whether planning was completed; an incomplete journal is replaced."""
    return file.exists() and file.header().get("state", "planning") != "planning"


def _unfinished(planned: JobFile) -> BulkStatus | None:
    """Return an unfinished job with the same changes and company."""
    mine = planned.header()
    for job in list_jobs():
        if job.path == planned.path:
            continue
        try:
            header, status = job.header(), job.status()
        except JournalError:
            continue  # an unreadable journal does not concern this job
        same = all(header.get(name) == mine[name] for name in ("input_digest", "company"))
        if same and status.state not in {"completed", "cancelled"}:
            return status
    return None


def _refusal(other: BulkStatus) -> JournalError:
    name = name_of(other)
    if other.pid is not None:
        what = (
            f"is running in process {other.pid}; watch it: gong-async bulk status {name} --follow"
        )
    else:
        what = f"is {other.state}; resume it: gong-async bulk resume {name}"
    return JournalError(
        f"job {other.id} with the same changes {what}. To start another job, pass --new",
        reason="state",
    )


def _discard(planned: JobFile) -> None:
    """Remove a journal from which nothing was sent."""
    for end in _ENDS:
        planned.path.with_name(planned.path.name + end).unlink(missing_ok=True)
