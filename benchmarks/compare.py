"""What has changed since another commit: the cost of updates, now and then.

    python benchmarks/compare.py [--rounds 15] [--updates 500] BASE

BASE is checked out into a temporary worktree of git. Both packages are measured by the benchmarks
of this one, in this environment, in turns; ratios are now by then, within a round. Instructions
are counted, too, where valgrind is. Writes `compare.json` and `compare.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from call import IN_FLIGHT, RESULTS
from call_workers import HERE, ROOT, Workers
from clients.catalog import CLIENTS

OURS = [name for name, entry in CLIENTS.items() if entry.ours]
COUNTING = HERE / "instructions.py"


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Check a revision out beside the repository; yield its folder."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder).resolve() / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(there), revision], check=True)
        try:
            yield there
        finally:
            subprocess.run([*git, "remove", "--force", str(there)], check=True)


def compare_calls(base: Path, rounds: int, updates: int) -> list[dict[str, Any]]:
    """Measure both in turns; return the medians and ratios of processor time."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with Workers() as workers:
        for name in OURS:
            workers.start(f"{name} then", name, uvloop=False, package=base)
            workers.start(f"{name} now", name, uvloop=False)
        for permit in range(rounds):
            print(f"round {permit + 1} of {rounds}", file=sys.stderr)
            for name in OURS:
                for number in IN_FLIGHT:
                    cpu = {}
                    for when in ("then", "now") if permit % 2 else ("now", "then"):
                        cpu[when] = workers.measure(f"{name} {when}", updates, number)["cpu_us"]
                    found.setdefault((name, number), []).append((cpu["then"], cpu["now"]))
    return [
        {
            "what": f"{CLIENTS[name].title}, {number} in flight, CPU us",
            "then": round(median(then for then, _ in pairs), 1),
            "now": round(median(now for _, now in pairs), 1),
            "ratio": round(median(now / then for then, now in pairs), 3),
        }
        for (name, number), pairs in found.items()
    ]


def compare_instructions(base: Path) -> list[dict[str, Any]]:
    """Count the instructions of both; nothing where they cannot be counted."""
    if not COUNTING.exists() or shutil.which("valgrind") is None:
        missing = "valgrind" if COUNTING.exists() else COUNTING.name
        print(f"instructions are not counted: {missing} is missing", file=sys.stderr)
        return []
    then, now = _instructions(base), _instructions(ROOT)
    return [
        {
            "what": f"{name}, instructions",
            "then": then[name],
            "now": now[name],
            "ratio": round(now[name] / then[name], 4),
        }
        for name in now
        if name in then
    ]


def _instructions(package: Path) -> dict[str, int]:
    environ = {**os.environ, "PYTHONPATH": str(package)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(COUNTING), "--results", folder]
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
        found = json.loads(Path(folder, "instructions.json").read_text(encoding="utf-8"))
    figures: dict[str, int] = found["instructions"]
    return figures


def as_table(rows: list[dict[str, Any]], revision: str) -> str:
    """Return the figures as Markdown."""
    lines = [f"| What | {revision} | now | now / then |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {row['what']} | {row['then']:,.0f} | {row['now']:,.0f} | {row['ratio']:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Check out, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("base", help="a revision of git")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with checked_out(options.base) as base:
        rows = compare_calls(base, options.rounds, options.updates)
        rows += compare_instructions(base)
    table = as_table(rows, options.base)
    print(table)
    options.results.mkdir(parents=True, exist_ok=True)
    found = json.dumps({"base": options.base, "figures": rows}, indent=1) + "\n"
    options.results.joinpath("compare.json").write_text(found, encoding="utf-8")
    page = f"# Now and then\n\n{table}\n"
    options.results.joinpath("compare.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
