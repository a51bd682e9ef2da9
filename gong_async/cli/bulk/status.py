"""`gong-async bulk status` and `list`: how jobs stand, whoever runs them."""

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
from gong_async.cli.diagnostics import Diagnostics, one_line
from gong_async.cli.exits import EPILOG, Exit
from gong_async.cli.options import job_argument
from gong_async.errors import JournalError

_LOOK_SECONDS = 1.0
_BEGIN_SECONDS = 5.0
"""For which a job that is planned is taken to be about to begin."""

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.command(epilog=EPILOG)
@job_argument
@click.option("--follow", is_flag=True, help="Watch it until it stops; exit as it does.")
@_AS_JSON
@click.pass_obj
def status(diagnostics: Diagnostics, /, *, name: str, follow: bool, as_json: bool) -> Exit:
    """Tell how JOB stands: its id, the beginning of it, or the path of its journal.

    Works from any terminal, while the job runs and afterwards, and asks nothing of Gong.
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
    """List the jobs of this user, the oldest first. With --json, one object a line."""
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
        diagnostics.note("list", "There are no jobs")


def _follow(job: JobFile, diagnostics: Diagnostics) -> Exit:
    """Show how the job stands until nobody runs it any more."""
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
        reported["goes on"] = _until(found.resume_at)
    for name, items in tally(found).items():
        if items or name == "done":
            reported[COUNTS[name]] = f"{items:,}"
    if found.began_at is not None and found.state != "interrupted":
        began = f"run {found.runs} since {moment(found.began_at)}"
        reported["pace"] = f"{found.rate:.1f} a second, {began}"
    if found.finishes_at is not None:
        reported["finishes"] = _until(found.finishes_at)
    return {**reported, "journal": str(found.path)}


def _until(when: datetime) -> str:
    return f"{moment(when.astimezone(UTC))}, in {duration(seconds_to(when) or 0.0)}"
