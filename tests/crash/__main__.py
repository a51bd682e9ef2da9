"""The long run: `python -m crash --kills 500 --seed 1`, with this folder's parent on the path."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from crash.campaign import Plan, run_job
from crash.checker import check
from crash.server_process import OracleProcess
from crash.tallies import Tally

_LIMITED = Plan(
    seed=0,
    items=40,
    kills=6,
    limit=10.0,
    strict_limit=True,
    faults={"refused": 0.03, "drop_after": 0.03, "reset_before": 0.02, "slow": 0.2},
)
"""Every eighth job has a limit that counts, and refusals."""
_EIGHTH = 8


def main() -> int:
    """Kill jobs until there were enough kills; return 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many at the least")
    parser.add_argument("--seed", type=int, default=1, help="of the first job")
    given = parser.parse_args()
    tally, seed, began = Tally(), given.seed, time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="crash-"))
    with OracleProcess() as oracle:
        while tally.kills < given.kills:
            plan = replace(_LIMITED, seed=seed) if seed % _EIGHTH == 0 else Plan(seed=seed)
            folder = root / f"{seed}"
            evidence = run_job(oracle, plan, folder)
            violations = check(evidence)
            tally.add(evidence, violations)
            if not violations:
                shutil.rmtree(folder)
            _say(
                f"seed {seed}: {tally.kills:,} of {given.kills:,} kills, "
                f"{len(tally.violations):,} violations, {time.monotonic() - began:,.0f} s"
            )
            seed += 1
    _say(str(tally))
    if not tally.violations:
        root.rmdir()
        return 0
    _say(f"kept: {root}")
    return 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
