"""`gong-async bulk plan`: a dry run of a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import click

from gong_async._client import GongClient
from gong_async._redact import Redactor
from gong_async.bulk.records import BulkOptions, BulkPlan, SkipReason, moment, number_of
from gong_async.bulk.reports.differences import Difference, differences
from gong_async.bulk.store.job_file import SUFFIX, JobFile, ledger_path
from gong_async.cli.bulk.input import InputOptions, input_options, plan_from
from gong_async.cli.bulk.wording import duration
from gong_async.cli.client import client_options, connect, given
from gong_async.cli.diagnostics import EPILOG, Diagnostics, one_line
from gong_async.cli.interrupts import interruptible
from gong_async.cli.options import FILE, content_options, limit_options
from gong_async.inputs.reader import Inputs
from gong_async.limits.types import Limits

_MOST_SHOWN = 200
_PAGE = 500
_REASONS: Mapping[SkipReason, str] = {
    "superseded": "skipped: a later row of the file has the same meeting",
    "unchanged": "skipped: Gong acknowledged the same update in an earlier job",
}


@click.command(epilog=EPILOG)
@click.argument("file", type=FILE)
@click.option("--diff", is_flag=True, help="Show the changes field by field, as far as known.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Format of the plan on stdout.  [default: text]",
)
@input_options
@content_options
@limit_options
@client_options
@click.pass_obj
def plan(
    diagnostics: Diagnostics,
    /,
    *,
    file: Path,
    diff: bool,
    form: str,
    reading: InputOptions,
    keep_order: bool,
    skip_unchanged: bool,
    check_organizers: bool,
    **client_values: Any,
) -> None:
    """Show what sending FILE would do: requests, duration, and skipped rows with reasons.

    It makes no API call and stores nothing. The current state of meetings is known only from
    earlier jobs on this machine.
    """
    options = BulkOptions(
        keep_order=keep_order, skip_unchanged=skip_unchanged, check_organizers=check_organizers
    )
    as_json = form == "json"
    show_plan(diagnostics, reading.open(file), options, as_json=as_json, diff=diff, **client_values)


def show_plan(
    diagnostics: Diagnostics,
    inputs: Inputs,
    options: BulkOptions,
    *,
    as_json: bool = False,
    diff: bool = False,
    base_url: str | None,
    timeout: float | None,
    **limit_values: float | None,
) -> None:
    """Plan a file in a journal that is removed again, and print the plan."""
    limits = Limits(**given(**limit_values))
    gong = connect(limits=limits, **given(base_url=base_url, timeout=timeout))
    as_json = as_json or diagnostics.as_json
    show = _Show(diagnostics, file=inputs.path, limits=limits, diff=diff, as_json=as_json)

    async def work() -> None:
        async with gong:
            await interruptible(_plan(gong, inputs, options, show))

    asyncio.run(work())


async def _plan(gong: GongClient, inputs: Inputs, options: BulkOptions, show: _Show) -> None:
    with TemporaryDirectory(prefix="gong-async-") as folder:
        # A plan must not create a ledger.
        ledger = ledger_path()
        state = None if ledger.exists() else folder
        journal = Path(folder, f"plan{SUFFIX}")
        job = gong.bulk(inputs, journal=journal, options=options, state_dir=state)
        plan = await plan_from(inputs, job, show.diagnostics)
        show.plan(plan)
        if not show.diff:
            return
        found = differences(JobFile(journal), ledger)
        for number, _ in enumerate(show.differences(found)):
            if number % _PAGE == 0:
                await asyncio.sleep(0)  # let signal handlers run


@attrs.frozen
class _Show:
    diagnostics: Diagnostics
    file: Path = attrs.field(kw_only=True)
    limits: Limits = attrs.field(kw_only=True)
    diff: bool = attrs.field(kw_only=True)
    as_json: bool = attrs.field(kw_only=True)

    def plan(self, plan: BulkPlan) -> None:
        """Print the plan."""
        if self.as_json:
            known = attrs.asdict(plan)
            known["forecast"] |= {
                "days": round(plan.forecast.days, 3),
                "seconds": round(plan.forecast.seconds, 3),
                "finishes_at": plan.forecast.finishes_at.isoformat(timespec="seconds"),
            }
            click.echo(json.dumps(known))
            return
        for name, text in self._describe(plan).items():
            click.echo(one_line(f"{name:<12}{text}"))

    def differences(self, found: Iterator[Difference]) -> Iterator[None]:
        """Print the differences; yield after each."""
        fields = unknown = 0
        for difference in found:
            unknown += difference.field == "*"
            fields += difference.field != "*"
            self._difference(difference)
            yield
        text = f"{number_of(fields, 'field')} will change, compared with earlier jobs"
        if unknown:
            text += f"; {number_of(unknown, 'meeting')} unknown to earlier jobs"
        self.diagnostics.note("diff", text, fields=fields, unknown=unknown)

    def _difference(self, difference: Difference) -> None:
        if self.as_json:
            click.echo(json.dumps(attrs.asdict(difference)))
            return
        where = f"line {difference.line}, meeting {difference.meeting_id}"
        if difference.field == "*":
            click.echo(f"{where}: unknown to earlier jobs")
            return
        before, after = _shown(difference.before), _shown(difference.after)
        click.echo(one_line(f"{where}, {difference.field}: {before} -> {after}"))

    def _describe(self, plan: BulkPlan) -> Mapping[str, str]:
        forecast, per_day = plan.forecast, self.limits.per_day
        reported = {"changes": f"{plan.items:,} in {self.file.name}"}
        for reason, text in _REASONS.items():
            if skipped := plan.skipped.get(reason):
                reported[reason] = f"{skipped:,} {text}"
        reported["to send"] = f"{plan.to_send:,}"
        asked = f"{number_of(plan.check_requests, 'request')} to check them"
        reported["organizers"] = f"{plan.organizers:,}, {asked}"
        reported["requests"] = f"{forecast.requests:,}, without retries"
        left = "" if forecast.left_today is None else f", {forecast.left_today:,} left today"
        rate = "unlimited" if forecast.per_second is None else f"{forecast.per_second:.2f}"
        reported["quota"] = f"{rate} per second, {per_day:,} per day{left}"
        reported["takes"] = f"{duration(forecast.seconds)} ({forecast.days:.1f} days)"
        reported["finishes"] = f"{moment(forecast.finishes_at)}, if started now"
        return reported


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return Redactor()(json.dumps(value, ensure_ascii=False), _MOST_SHOWN)
