"""How many machine instructions an update costs: ours beside plain aiohttp, counted by callgrind.

    python benchmarks/instructions.py [--only NAME ...] [--in-flight 1] [--calls 100 600]
    python benchmarks/instructions.py --profile NAME

Instructions are counted and not timed, so that the figures repeat on a busy machine. Each client
runs twice under valgrind, with few and with many calls: the difference is what the further calls
cost, without start-up. The server runs in a process that is not counted. The clients and their
meetings are those of `call.py`, and so is what stands inside of a call.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import platform
import pstats
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from call_worker import Batch
from call_workers import Child
from clients.catalog import BASE, CLIENTS

RESULTS = Path(__file__).parent / "results"
USUAL = [name for name, entry in CLIENTS.items() if entry.ours or name == BASE]
_COLLECTED = re.compile(r"Collected *: *([0-9]+)")


def drive(name: str, url: str, calls: int, in_flight: int) -> None:
    """Let a client make so many calls."""
    asyncio.run(Batch(CLIENTS[name], url, calls, in_flight).measure())


def counted(name: str, url: str, calls: int, in_flight: int) -> int:
    """Return the instructions of a whole process that makes these calls."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += [__file__, "--drive", name, url, str(calls), str(in_flight)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return int(found[1])


def measure(names: list[str], url: str, calls: tuple[int, int], in_flight: int) -> dict[str, int]:
    """Return the instructions that each client takes for a call."""
    few, many = calls
    figures: dict[str, int] = {}
    for name in names:
        further = counted(name, url, many, in_flight) - counted(name, url, few, in_flight)
        figures[name] = round(further / (many - few))
        print(f"{name:12} {figures[name]:>10,} a call", file=sys.stderr)
    return figures


def write(figures: dict[str, int], calls: tuple[int, int], in_flight: int, folder: Path) -> None:
    """Print the figures as a table; write them, if they are complete, there and as JSON."""
    base = figures.get(BASE)
    rows = ["| client | instructions a call | beside plain aiohttp |", "|---|---:|---:|"]
    for name, figure in figures.items():
        ratio = f"{figure / base:.3f}" if base else ""
        rows.append(f"| {CLIENTS[name].title} | {figure:,} | {ratio} |")
    versions = {"python": platform.python_version(), "aiohttp": version("aiohttp")}
    versions["orjson"] = version("orjson") if find_spec("orjson") else "none"
    about = ", ".join(f"{name} {number}" for name, number in versions.items())
    about = f"{about} (for ours alone), {in_flight} in flight"
    table = "\n".join(rows)
    print(f"{table}\n\n{about}")
    if not figures.keys() >= set(USUAL):
        return  # a part of the table must not replace the whole
    folder.mkdir(parents=True, exist_ok=True)
    text = (
        f"# Instructions of an update\n\n{table}\n\n{about}. `python benchmarks/instructions.py`\n"
    )
    folder.joinpath("instructions.md").write_text(text, encoding="utf-8")
    ratios = {name: round(figure / base, 4) for name, figure in figures.items()} if base else {}
    found = {**versions, "calls": calls, "in_flight": in_flight}
    found |= {"instructions": figures, "ratios": ratios}
    folder.joinpath("instructions.json").write_text(json.dumps(found, indent=2) + "\n")


def profile(name: str, url: str, calls: int, in_flight: int) -> None:
    """Print the functions in which a client spends its time, as cProfile sees them."""
    profiler = cProfile.Profile()
    drive(name, url, 1, in_flight)
    profiler.runcall(drive, name, url, calls, in_flight)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def main() -> None:
    """Count, or do the task that is counted."""
    if sys.argv[1:2] == ["--drive"]:
        name, address, number, together = sys.argv[2:]
        drive(name, address, int(number), int(together))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=CLIENTS, default=USUAL)
    parser.add_argument("--calls", nargs=2, type=int, default=(100, 600), metavar="N")
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that is written")
    parser.add_argument("--profile", choices=CLIENTS, help="profile this one, without valgrind")
    options = parser.parse_args()
    calls = (options.calls[0], options.calls[1])
    with Child("call_server.py") as server:
        url = server.hear()
        if options.profile:
            profile(options.profile, url, 10 * calls[1], options.in_flight)
            return
        if shutil.which("valgrind") is None:
            parser.error(
                "valgrind is missing; install it: apt install valgrind, dnf install valgrind"
            )
        figures = measure(options.only, url, calls, options.in_flight)
    write(figures, calls, options.in_flight, options.results)


if __name__ == "__main__":
    main()
