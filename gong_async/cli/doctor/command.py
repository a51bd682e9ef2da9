"""`gong-async doctor`: diagnoses the setup of this machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import attrs
import click
from attrs import frozen

from gong_async._redact import Redactor
from gong_async.bulk.records import number_of
from gong_async.cli.diagnostics import EPILOG, Diagnostics, Exit
from gong_async.cli.doctor.environment import (
    Target,
    check_aiohttp,
    check_installation,
    check_proxies,
    check_variables,
    find_target,
    secrets,
)
from gong_async.cli.doctor.findings import Diagnosis, has_marks
from gong_async.cli.doctor.state import check_state
from gong_async.models._shared import check_email

_CONFIGURATION = frozenset({"credential", "base URL"})


@click.command(epilog=EPILOG)
@click.option(
    "--base-url", metavar="URL", help="Base URL of your company's API.  [env: GONG_BASE_URL]"
)
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="Timeout of the call.  [default: 30]"
)
@click.option(
    "--email", metavar="EMAIL", help="Gong user to ask about; by default a nonexistent one."
)
@click.option("--offline", is_flag=True, help="Check this machine only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(
    diagnostics: Diagnostics,
    /,
    *,
    base_url: str | None,
    timeout: float | None,
    email: str | None,
    offline: bool,
    as_json: bool,
) -> Exit:
    """Check installation, credential, network, clock, state directory and quota.

    It makes one API call, which reads a user's status and counts towards the daily quota; with
    --offline, none. The exit code is 0 without problems, 1 with a problem, and 2 without a usable
    credential or base URL.
    """
    if email is not None:
        check_email("--email", email)
    examination = Examination(base_url=base_url, timeout=timeout, email=email, offline=offline)
    redact = Redactor(secrets())
    findings = (finding.clean(redact) for finding in examination.findings())
    if as_json or diagnostics.as_json:
        found = list(findings)
        reported = {"exit": int(_exit(found)), "findings": [attrs.asdict(one) for one in found]}
        click.echo(json.dumps(reported, indent=2))
        return _exit(found)
    found, marks = [], has_marks()
    for finding in findings:
        click.echo(finding.lines(marks=marks))
        found.append(finding)
    click.echo(_summary(found))
    return _exit(found)


@frozen(kw_only=True)
class Examination:
    """The checks, in order."""

    base_url: str | None
    timeout: float | None
    email: str | None
    offline: bool

    def findings(self) -> Iterator[Diagnosis]:
        """Run the checks in order; skip those whose prerequisites failed."""
        yield from check_installation()
        usable = True
        for finding in check_aiohttp():
            yield finding
            usable = usable and finding.level != "problem"
        yield from check_variables()
        credential, login = None, None
        if usable:
            # Not at the top, like those below: they import aiohttp.
            from gong_async.cli.doctor.probe import find_credential  # noqa: PLC0415

            credential, login = find_credential()
            yield credential
        target, reported = find_target(self.base_url, login=login)
        yield reported
        yield from check_proxies()
        # Before the call, which writes there.
        yield from check_state()
        if usable and target is not None and reported.level != "problem":
            may_call = credential is not None and credential.level != "problem"
            yield from self._reach(target, may_call=may_call)

    def _reach(self, target: Target, *, may_call: bool) -> Iterator[Diagnosis]:
        from gong_async.cli.doctor.network import check_network  # noqa: PLC0415
        from gong_async.cli.doctor.probe import Probe  # noqa: PLC0415

        reached = not self.offline
        for finding in check_network(target) if reached else ():
            yield finding
            reached = reached and finding.level != "problem"
        if may_call:
            probe = Probe(
                target=target, base_url=self.base_url, timeout=self.timeout, email=self.email
            )
            yield from probe.run(call=reached)


def _exit(findings: list[Diagnosis]) -> Exit:
    wrong = {finding.check for finding in findings if finding.level == "problem"}
    if wrong & _CONFIGURATION:
        return Exit.USAGE
    return Exit.FAILED if wrong else Exit.DONE


def _summary(findings: list[Diagnosis]) -> str:
    counted = Counter(finding.level for finding in findings)
    notes = f", {number_of(counted['note'], 'note')}" if counted["note"] else ""
    if counted["problem"]:
        return f"{number_of(counted['problem'], 'problem')}{notes}"
    return f"No problems{notes}"
