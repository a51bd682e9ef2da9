"""The long run: `python -m cancellations --count 2000`, with this folder's parent on the path."""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from crash.server_process import OracleProcess

from cancellations.campaign import run_case
from cancellations.cases import make_case

_EVERY = 100


def main() -> int:
    """Interrupt operations; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="cancellations", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--subject", choices=["update", "update_many", "run", "plan"])
    parser.add_argument("--way", help="see `cases.Way`")
    given = parser.parse_args()
    began, tried, wrong = time.monotonic(), Counter[str](), Counter[str]()
    under_way = 0
    root = Path(tempfile.mkdtemp(prefix="cancellations-"))
    with OracleProcess() as oracle:
        run_case(make_case(0, subject="run", way="cancel"), oracle, root / "warm")
        gc.collect()
        gc.freeze()  # what is there now need not be looked through after every case
        for seed in range(given.seed, given.seed + given.count):
            case = make_case(seed, subject=given.subject, way=given.way)
            result = run_case(case, oracle, root / str(seed))
            under_way += result.interrupted
            tried[f"{case.subject}, {case.way}"] += 1
            if result.problems:
                wrong[f"{case.subject}, {case.way}"] += 1
                _say(f"{case}", *(f"    {problem}" for problem in result.problems[:8]))
            else:
                shutil.rmtree(root / str(seed))
            if (done := seed - given.seed + 1) % _EVERY == 0:
                took = time.monotonic() - began
                _say(f"{done:,} of {given.count:,}, {wrong.total():,} wrong, {took:,.0f} s")
    shutil.rmtree(root / "warm")
    for name, count in sorted(tried.items()):
        _say(f"{name:<22} {count:>5} tried {wrong[name]:>5} wrong")
    _say(
        f"{tried.total():,} seeds, {under_way:,} interrupted under way, "
        f"{wrong.total():,} wrong, {time.monotonic() - began:,.0f} s"
    )
    if not wrong:
        root.rmdir()
        return 0
    _say(f"kept: {root}")
    return 1


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
