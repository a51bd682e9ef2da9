"""The long run: `python -m shutdowns --count 50`, with this folder's parent on the path."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from crash.server_process import OracleProcess

from shutdowns.campaign import Report, forget, make_plan, run_scenario
from shutdowns.servers import KINDS
from shutdowns.work import STYLES


def main() -> int:
    """Shut backends down until there were enough; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="shutdowns", description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="how many shutdowns at the least")
    parser.add_argument("--seed", type=int, default=1, help="of the first scenario")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--style", choices=STYLES)
    given = parser.parse_args()
    seed, began, total, kinds = given.seed, time.monotonic(), Report(), Counter[str]()
    root = Path(tempfile.mkdtemp(prefix="shutdowns-"))
    with OracleProcess() as oracle:
        while total.shutdowns < given.count:
            plan = make_plan(seed)
            plan = replace(plan, kind=given.kind or plan.kind, style=given.style or plan.style)
            folder = root / str(seed)
            report = run_scenario(plan, oracle, folder)
            kinds[plan.kind] += report.shutdowns
            _add(total, report)
            took = time.monotonic() - began
            _say(f"{plan}: {total.shutdowns} of {given.count} shutdowns, {took:,.0f} s")
            _say(*(f"    {problem}" for problem in report.problems[:12]))
            if not report.problems:
                forget(folder)
            seed += 1
    _say(
        f"{total.shutdowns} shutdowns ({_counts(kinds)}), {total.items:,} items, "
        f"{total.clicks:,} interactive updates, {total.requests:,} requests",
        f"jobs after a shutdown: {_counts(total.states)}",
        f"sent again: {_counts(total.repeated) or 'none'}",
        f"violations: {len(total.problems):,}",
    )
    if not total.problems:
        root.rmdir()
        return 0
    _say(f"kept: {root}")
    return 1


def _add(total: Report, report: Report) -> None:
    total.shutdowns += report.shutdowns
    total.items += report.items
    total.requests += report.requests
    total.clicks += report.clicks
    total.states += report.states
    total.repeated += report.repeated
    total.problems += report.problems


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
