"""`gong-async bulk pause` and `cancel`: requests to the process that runs a job."""

from __future__ import annotations

import asyncio
import time

import click

from gong_async.bulk.error_scope import requested_stop
from gong_async.bulk.store.job_file import JobFile, find_job
from gong_async.bulk.store.journal import Journal
from gong_async.cli.bulk.wording import counts, name_of
from gong_async.cli.diagnostics import EPILOG, Diagnostics
from gong_async.cli.options import job_argument

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
