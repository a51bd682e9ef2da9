"""`gong-async bulk status`, `list`, `pause` and `cancel`: states of jobs, and requests to them."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import click

from gong_async.bulk.error_scope import requested_stop
from gong_async.bulk.records import MEANINGS, BulkStatus, moment, tally
from gong_async.bulk.store.job_file import JobFile, find_job, list_jobs
from gong_async.bulk.store.journal import Journal
from gong_async.cli.bulk.progress import make_progress
from gong_async.cli.bulk.summary import Summary
from gong_async.cli.bulk.wording import RateMeter, counts, duration, facts, name_of, seconds_to
from gong_async.cli.diagnostics import EPILOG, Diagnostics, Exit, one_line
from gong_async.cli.options import job_argument
from gong_async.errors import JournalError

_LOOK_SECONDS = 1.0
_BEGIN_SECONDS = 5.0
"""How long `--follow` waits for a planned job to start."""

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(epilog=EPILOG)
@job_argument
@click.option("--follow", is_flag=True, help="Watch until it stops; exit with its code.")
@_AS_JSON
@click.pass_obj
def status(diagnostics: Diagnostics, /, *, name: str, follow: bool, as_json: bool) -> Exit:
    """Show the status of JOB, given by its id, a prefix of it, or the path of its journal.

    Works from any terminal, during and after a run. Makes no API call.
    """
    job = find_job(name)
    if follow:
        return _follow(job, diagnostics)
    found = job.status()
    if as_json or diagnostics.as_json:
        click.echo(json.dumps(facts(found), indent=2))
        return Exit.DONE
    for key, text in _describe(found).items():
        click.echo(one_line(f"{key:<12}{text}"))
    return Exit.DONE


@click.command("list", epilog=EPILOG)
@_AS_JSON
@click.pass_obj
def list_command(diagnostics: Diagnostics, /, *, as_json: bool) -> None:
    """List your jobs, oldest first. With --json, prints JSON lines."""
    as_json = as_json or diagnostics.as_json
    jobs: list[BulkStatus] = []
    for job in list_jobs():
        try:
            jobs.append(job.status())
        except JournalError as error:
            diagnostics.error("journal", str(error), reason=error.reason)
    for found in sorted(jobs, key=lambda job: job.planned_at):
        age = max(0.0, time.time() - found.path.stat().st_mtime)
        if as_json:
            click.echo(json.dumps({**facts(found), "age": round(age)}))
        else:
            reported = f"{found.id}  {found.state:<11}  {duration(age):>11} old  {counts(found)}"
            click.echo(one_line(reported))
    if not jobs and not as_json:
        diagnostics.note("list", "No jobs")


def _follow(job: JobFile, diagnostics: Diagnostics) -> Exit:
    """Show progress until no process runs the job."""
    display, rate_meter = make_progress(diagnostics, wanted=True), RateMeter()
    begin_by = time.monotonic() + _BEGIN_SECONDS
    try:
        while True:
            found, now = job.status(), time.monotonic()
            display.show(rate_meter.read(found, now))
            begins = found.state in {"planning", "planned"} and now < begin_by
            if found.pid is None and not begins:
                break
            time.sleep(_LOOK_SECONDS)
    finally:
        display.close()
    summary = Summary.of(job)
    diagnostics.note("report", summary.lines(), **summary.facts())
    return summary.exit


def _describe(found: BulkStatus) -> dict[str, str]:
    reported: dict[str, Any] = {
        "job": f"{found.id}, planned {moment(found.planned_at)} for {found.origin}",
        "state": found.state,
    }
    if found.pid is not None:
        reported["state"] += f" in process {found.pid}"
    elif found.reason:
        reported["state"] += f": {found.reason}"
    if found.pid is not None and found.reason:
        reported["waits"] = found.reason
    if found.resume_at is not None:
        reported["resumes"] = _until(found.resume_at)
    for name, items in tally(found).items():
        if items or name == "succeeded":
            reported[MEANINGS[name][0]] = f"{items:,}"
    if found.began_at is not None and found.state != "interrupted":
        began = f"run {found.runs} since {moment(found.began_at)}"
        reported["rate"] = f"{found.rate:.1f} per second, {began}"
    if found.finishes_at is not None:
        reported["finishes"] = _until(found.finishes_at)
    return {**reported, "journal": str(found.path)}


def _until(when: datetime) -> str:
    return f"{moment(when.astimezone(UTC))}, in {duration(seconds_to(when) or 0.0)}"


_ENDED = frozenset({"completed", "cancelled"})
_LOCK_TRIES = 20
_LOCK_STEP = 0.05


@click.command(epilog=EPILOG)
@job_argument
@click.pass_obj
def pause(diagnostics: Diagnostics, /, *, name: str) -> None:
    """Pause JOB. Updates in flight finish; resume it later."""
    _print(find_job(name), "pause", diagnostics)


@click.command(epilog=EPILOG)
@job_argument
@click.pass_obj
def cancel(diagnostics: Diagnostics, /, *, name: str) -> None:
    """Cancel JOB; pending items are dropped. Works for stopped jobs, too."""
    job = find_job(name)
    if job.status().state in _ENDED or not _cancel_idle(job):
        _print(job, "cancel", diagnostics)
        status = job.status()
        is_heard = status.pid is not None or status.state in {*_ENDED, "planning"}
        # A run that was about to end may have missed the request.
        if is_heard or not _cancel_idle(job):
            return
    status = job.status()
    text = f"Job {status.id} cancelled: {counts(status)}"
    diagnostics.note("cancel", text, job=status.id, state=status.state)


def _cancel_idle(job: JobFile) -> bool:
    """Cancel the job; return False if another process uses it."""
    if not _take(job):
        return False
    try:
        asyncio.run(_cancel(job))
    finally:
        job.lock.release()
    return True


def _take(job: JobFile) -> bool:
    """Acquire the job's lock; return False if another process runs the job."""
    for _ in range(_LOCK_TRIES):
        if job.lock.take():
            return True
        if job.status().pid is not None:
            break
        # A process that reads the status locks the job for a moment, too.
        time.sleep(_LOCK_STEP)
    return False


def _print(job: JobFile, what: str, diagnostics: Diagnostics) -> None:
    status = job.status()
    if not job.ask(what):
        text = f"Job {status.id} is {status.state} and not running: nothing to {what}"
    elif status.state == "planned":
        next_ = f"resume it: gong-async bulk resume {name_of(status)}"
        text = f"Job {status.id} is planned; its first run will {what} immediately; {next_}"
    else:
        who = "the planning process" if status.pid is None else f"process {status.pid}"
        watch = f"watch it: gong-async bulk status {name_of(status)} --follow"
        text = f"Asked {who} to {what} job {status.id}; {watch}"
    diagnostics.note(what, text, job=status.id, state=status.state, pid=status.pid)


async def _cancel(job: JobFile) -> None:
    journal = Journal(job.path, None)
    try:
        header = await journal.open()
        if header.get("state") not in _ENDED:
            await journal.end_run(requested_stop("cancel"))
    finally:
        await journal.close()
