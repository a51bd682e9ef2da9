"""`gong-async bulk status` and `list`: states of jobs, read from their journals."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import click

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import JobFile, find_job, list_jobs
from gong_async.cli.bulk.progress import make_progress
from gong_async.cli.bulk.snapshot import RateMeter, seconds_to
from gong_async.cli.bulk.summary import Summary
from gong_async.cli.bulk.wording import COUNTS, counts, duration, facts, moment, tally
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
            reported[COUNTS[name]] = f"{items:,}"
    if found.began_at is not None and found.state != "interrupted":
        began = f"run {found.runs} since {moment(found.began_at)}"
        reported["rate"] = f"{found.rate:.1f} per second, {began}"
    if found.finishes_at is not None:
        reported["finishes"] = _until(found.finishes_at)
    return {**reported, "journal": str(found.path)}


def _until(when: datetime) -> str:
    return f"{moment(when.astimezone(UTC))}, in {duration(seconds_to(when) or 0.0)}"
