"""What an update costs: processor time, requests a second, latency, memory; ours beside others.

    python benchmarks/call.py [--rounds 9] [--updates 1000] [--only NAME ...] [--quick]

Each client runs in a process of its own, under asyncio's loop or uvloop's, on one core; a server
that only says yes runs on another. Only one client works at a time; in each round each has its turn
with 1, 10 and 100 updates in flight. A ratio is taken within a round, to plain aiohttp on asyncio's
loop; a figure is the median of the rounds. Processor time is that of the client's process, all its
threads, the kernel included. What stands inside of it: making the body of the update from what a
program knows of a meeting (for those who have models: making the model, with its validation), the
call, and reading the answer.

Writes `call.json`, `call.md` and the plot `call.svg`, if all clients were measured.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import call_report
from call_goals import goals
from call_workers import Workers, cores, generate
from clients.catalog import BASE, CLIENTS, ON_UVLOOP
from clients.meeting import by_hand, make_meetings

IN_FLIGHT = (1, 10, 100)
UVLOOP = "+uvloop"
LABELS = (*CLIENTS, *(name + UVLOOP for name in ON_UVLOOP))
RESULTS = Path(__file__).parent / "results"
VERSIONS = ("aiohttp", "uvloop", "httpx", "niquests", "requests", "pydantic", "orjson")

Rounds = dict[tuple[str, int], list[dict[str, Any]]]
"""The figures of each round, by client and number in flight."""


def start(workers: Workers, labels: list[str]) -> None:
    """Start the clients, and see that all of them send the same."""
    if "generated" in labels:
        generate()
    wanted = by_hand(make_meetings(1)[0])
    for label in labels:
        workers.start(label, label.removesuffix(UVLOOP), uvloop=label.endswith(UVLOOP))
        workers.measure(label, updates=1, in_flight=1)
        if (sent := _times_parsed(workers.seen()["body"])) != _times_parsed(wanted):
            raise SystemExit(f"{label} sends {sent}")


def measure(workers: Workers, labels: list[str], rounds: int, updates: int) -> Rounds:
    """Let each have its turn in each round; who comes first changes from round to round."""
    found: Rounds = {(label, number): [] for number in IN_FLIGHT for label in labels}
    for permit in range(rounds):
        print(f"round {permit + 1} of {rounds}", file=sys.stderr)
        first = permit % len(labels)
        for number in IN_FLIGHT:
            for label in labels[first:] + labels[:first]:
                found[label, number].append(workers.measure(label, updates, number))
    return found


def summarize(found: Rounds) -> list[dict[str, Any]]:
    """Return the medians, and those of the ratios to plain aiohttp in the same round."""
    rows = []
    for (label, number), figures in found.items():
        base = found[BASE, number]
        row = {
            "client": label,
            "in_flight": number,
            "cpu_ratio": _ratio(figures, base, "cpu_us"),
            "throughput_ratio": _ratio(figures, base, "per_second"),
            "cpu_us_rounds": [round(each["cpu_us"], 1) for each in figures],
        }
        for name in ("cpu_us", "per_second", "p50_ms", "p99_ms"):
            if name in figures[0]:
                row[name] = round(median(each[name] for each in figures), 3)
        row["connections"] = round(median(each["connections"] for each in figures))
        row["peak_mb"] = round(max(each["peak_mb"] for each in figures), 1)
        rows.append(row)
    return rows


def about(rounds: int, updates: int) -> dict[str, Any]:
    """Return what one has to know to measure the same again."""
    client, server = cores()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "client_core": client,
        "server_core": server,
        "versions": {name: _version(name) for name in VERSIONS},
        "journal": "memory (/dev/shm)" if Path("/dev/shm").is_dir() else "a temporary folder",
        "rounds": rounds,
        "updates": updates,
        "day": datetime.now().astimezone().date().isoformat(),
    }


def _ratio(figures: list[dict[str, Any]], base: list[dict[str, Any]], name: str) -> float:
    pairs = zip(figures, base, strict=True)
    ratios: list[float] = [ours[name] / theirs[name] for ours, theirs in pairs]
    return round(median(ratios), 3)


def _times_parsed(body: dict[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(body[name]) for name in ("startTime", "endTime")}
    return body | times


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Measure, print, and write what is complete."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, help="a round, a client; 1,000 unless quick")
    parser.add_argument("--only", nargs="+", choices=LABELS, help="these, and plain aiohttp")
    parser.add_argument("--quick", action="store_true", help="few updates; without the others")
    parser.add_argument("--results", type=Path, help="write there, complete or not")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    labels = list(LABELS)
    if options.quick:
        labels = [name for name, entry in CLIENTS.items() if entry.ours]
    if options.only:
        labels = options.only
    labels = list(dict.fromkeys([BASE, *labels]))
    updates = options.updates or (300 if options.quick else 1_000)
    client_core, server_core = cores()
    if client_core is None or client_core == server_core:
        print("client and server share their cores: throughput means little", file=sys.stderr)

    with Workers() as workers:
        start(workers, labels)
        rows = summarize(measure(workers, labels, options.rounds, updates))
    result = {"about": about(options.rounds, updates), "figures": rows, "goals": goals(rows)}
    print(call_report.as_text(result))
    folder = options.results or (RESULTS if set(labels) == set(LABELS) else None)
    if folder is not None:
        call_report.write(result, folder)
        print(f"written to {folder}")


if __name__ == "__main__":
    main()
