"""Whether the millionth update costs what the first one did: processor time and memory by count.

    python benchmarks/growth.py [--largest 1000000] [--largest-sent 100000] [--rounds 5]

Four ways: the engine of `update_many` alone and `BulkJob`, both with requests that are answered at
the next turn of the loop without being sent; and `update_many` and `BulkJob` against a server on
this machine. A million real requests take minutes, so what is sent ends at 100,000 unless more is
asked for; what grows with the number of items, engine and journal, is measured up to a million.
Journal and ledger lie in memory (/dev/shm) where there is some.

Each measurement has a process of its own, which makes 1,000 updates before it begins to count.
Planning a job is separate from running it; "first" and "last" are the first and the last tenth of
a run. Memory is by how much resident memory grew at the most, planning included. Small counts are
measured several times in turn, and the median is reported. 100 updates are in flight.

Writes `growth.json` and `growth.md`. The exit code is 1 if the largest run in a way grew by 50 MB
or more, or its last tenth cost over 10 % more than its first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from call_workers import Child, cores

RESULTS = Path(__file__).parent / "results"
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
OFTEN = 10_000
"""Up to so many, a measurement is made in each round; above, once."""
MOST_GROWTH = 50.0
MOST_RISE = 1.10
TITLES = {
    "engine": "engine of `update_many`, nothing sent",
    "job_nowhere": "`BulkJob`, nothing sent",
    "update_many": "`update_many`",
    "job": "`BulkJob`",
}
HEADER = (
    "| What | Updates | Plan, us | Run, us | Both, to the largest | First, us | Last, us |"
    " Last to first | Growth, MB |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)
Figures = dict[str, Any]


def measure(way: str, count: int, url: str) -> Figures:
    """Measure once, in a new process."""
    core, _ = cores()
    arguments = [] if core is None else ["--core", str(core)]
    with Child("growth_run.py", way, str(count), "--url", url, *arguments) as child:
        figures: Figures = json.loads(child.hear())
    return figures


def measure_all(counts: dict[str, list[int]], rounds: int, url: str) -> list[Figures]:
    """Measure every way with each of its counts; return the medians."""
    found: dict[tuple[str, int], list[Figures]] = {}
    for permit in range(rounds):
        for way, numbers in counts.items():
            for count in numbers:
                if permit and count > OFTEN:
                    continue
                print(f"round {permit + 1}: {way}, {count:,}", file=sys.stderr)
                found.setdefault((way, count), []).append(measure(way, count, url))
    names = ("plan_us", "cpu_us", "first_us", "last_us", "growth_mb")
    return [
        {"way": way, "count": count}
        | {name: round(median(each[name] for each in rows), 2) for name in names if name in rows[0]}
        for (way, count), rows in found.items()
    ]


def whole(row: Figures) -> float:
    """Return what an item costs, planning included."""
    return float(row.get("plan_us", 0.0) + row["cpu_us"])


def as_text(result: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows: list[Figures] = result["figures"]
    largest = {row["way"]: row for row in sorted(rows, key=lambda row: row["count"])}
    lines = [HEADER]
    for row in sorted(rows, key=lambda row: (list(TITLES).index(row["way"]), row["count"])):
        plan = f"{row['plan_us']:.1f}" if "plan_us" in row else ""
        cells = [
            TITLES[row["way"]],
            f"{row['count']:,}",
            plan,
            f"{row['cpu_us']:.1f}",
            f"{whole(row) / whole(largest[row['way']]):.2f}",
            f"{row['first_us']:.1f}",
            f"{row['last_us']:.1f}",
            f"{row['last_us'] / row['first_us']:.2f}",
            f"{row['growth_mb']:+.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    about = ", ".join(f"{name} {value}" for name, value in result["about"].items())
    return "\n".join([*lines, "", about[:1].upper() + about[1:] + "."])


def failures(rows: list[Figures]) -> list[str]:
    """Return what is not flat in the largest run of each way."""
    found = []
    for row in {row["way"]: row for row in sorted(rows, key=lambda row: row["count"])}.values():
        name = f"{TITLES[row['way']]}, {row['count']:,}"
        if row["growth_mb"] >= MOST_GROWTH:
            found.append(f"{name}: grew by {row['growth_mb']:.1f} MB")
        if row["last_us"] > MOST_RISE * row["first_us"]:
            found.append(f"{name}: the last tenth cost more than the first")
    return found


def main() -> int:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--largest-sent", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if min(options.largest, options.largest_sent) < COUNTS[0] or options.rounds < 1:
        parser.error(f"--largest and --largest-sent must be at least {COUNTS[0]:,}, --rounds 1")
    _, core = cores()
    counts = {way: [c for c in COUNTS if c <= _most(way, options)] for way in TITLES}
    with Child("call_server.py", *([] if core is None else ["--core", str(core)])) as server:
        rows = measure_all(counts, options.rounds, server.hear())
    about = {
        "python": platform.python_version(),
        "on": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "rounds": options.rounds,
        "day": datetime.now().astimezone().date().isoformat(),
    }
    result = {"about": about, "figures": rows}
    text = as_text(result)
    RESULTS.mkdir(exist_ok=True)
    RESULTS.joinpath("growth.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    page = f"# What the number of updates costs\n\n{text}\n"
    RESULTS.joinpath("growth.md").write_text(page, "utf-8")
    print(text)
    for failure in (found := failures(rows)):
        print(failure)
    return int(bool(found))


def _most(way: str, options: argparse.Namespace) -> int:
    sent = way in {"update_many", "job"}
    return int(options.largest_sent if sent else options.largest)


if __name__ == "__main__":
    sys.exit(main())
