"""How many machine instructions an update costs: ours beside plain aiohttp, counted by callgrind.

    python benchmarks/instructions.py [--only NAME ...] [--in-flight 1] [--calls 100 600]
    python benchmarks/instructions.py --profile NAME

Instructions are counted and not timed, so that the figures repeat on a busy machine. Each client
runs twice under valgrind, with few and with many calls: the difference is what the further calls
cost, without start-up. The server runs in a process that is not counted. Whatever a call needs is
made within it: the dict and its times for plain aiohttp, the `MeetingUpdate` for ours.
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

import aiohttp
from answering import answering
from updating import DRIVES, Task

RESULTS = Path(__file__).parent / "results"
WARM_UP = 20
"""Calls before the first that counts: connections, hooks that are made at first use."""
_COLLECTED = re.compile(r"Collected *: *([0-9]+)")


NAMES = {
    "plain": "plain aiohttp",
    "update": "`meetings.update`",
    "update_many": "`update_many`",
    "bulk": "`BulkJob`, planned and run",
}


async def drive(name: str, task: Task) -> None:
    """Let a client do its task."""
    await DRIVES[name](task)


def counted(name: str, task: Task) -> int:
    """Return the instructions of a whole process that does this task."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += [__file__, "--drive", name, task.url, str(task.calls), str(task.in_flight)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return int(found[1])


def measure(names: list[str], url: str, calls: tuple[int, int], in_flight: int) -> dict[str, int]:
    """Return the instructions that each client takes for a call."""
    few, many_calls = (WARM_UP + number for number in calls)
    figures: dict[str, int] = {}
    for name in names:
        start = counted(name, Task(url, few, in_flight))
        end = counted(name, Task(url, many_calls, in_flight))
        figures[name] = round((end - start) / (many_calls - few))
        print(f"{name:12} {figures[name]:>10,} a call", file=sys.stderr)
    return figures


def write(figures: dict[str, int], calls: tuple[int, int], in_flight: int, folder: Path) -> None:
    """Print the figures as a table; write them, if they are complete, there and as JSON."""
    base = figures.get("plain")
    rows = ["| client | instructions a call | beside plain aiohttp |", "|---|---:|---:|"]
    for name, figure in figures.items():
        ratio = f"{figure / base:.3f}" if base else ""
        rows.append(f"| {NAMES[name]} | {figure:,} | {ratio} |")
    versions = {"python": platform.python_version(), "aiohttp": aiohttp.__version__}
    versions["orjson"] = version("orjson") if find_spec("orjson") else "none"
    about = ", ".join(f"{name} {number}" for name, number in versions.items())
    about = f"{about} (for ours alone), {in_flight} in flight"
    table = "\n".join(rows)
    print(f"{table}\n\n{about}")
    if figures.keys() != DRIVES.keys():
        return  # a part of the table shall not stand where the whole was
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

    async def run() -> None:
        await DRIVES[name](Task(url, WARM_UP, in_flight))
        profiler.enable()
        await DRIVES[name](Task(url, calls, in_flight))
        profiler.disable()

    asyncio.run(run())
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def main() -> None:
    """Count, or do the task that is counted."""
    if sys.argv[1:2] == ["--drive"]:
        name, address, number, together = sys.argv[2:]
        asyncio.run(drive(name, Task(address, int(number), int(together))))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=DRIVES, default=list(DRIVES))
    parser.add_argument("--calls", nargs=2, type=int, default=(100, 600), metavar="N")
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that is written")
    parser.add_argument("--profile", choices=DRIVES, help="profile this one, without valgrind")
    options = parser.parse_args()
    calls = (options.calls[0], options.calls[1])
    with answering() as url:
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
