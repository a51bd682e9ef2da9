"""What it costs to start: processor time of fresh interpreters, and what they have loaded.

    python benchmarks/imports.py [--rounds 15]

The programs take turns, each in an interpreter of its own, and medians count. The exit code is 1
if the client costs more than 60 ms above aiohttp, the help of the command line more than 200 ms in
all, or if one of them loads what it has no use for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, frozen, make_class

from gong_async.models._shared import optional_text
from gong_async.models.converter import make_converter, to_json

RESULTS = Path(__file__).parent / "results"
IMPORTS = (
    "pass",
    "import gong_async",
    "import aiohttp",
    "from gong_async import GongClient",
)
# Without an end in good order, which costs more the more there is, and is no part of an import.
PROGRAMS = {f"`{code}`": ["-c", f"{code}\nimport os\nos._exit(0)"] for code in IMPORTS}
PROGRAMS["`gong-async --help`"] = ["-m", "gong_async", "--help"]
AIOHTTP, CLIENT, HELP = list(PROGRAMS)[2:]
MOST_ABOVE_AIOHTTP = 0.060
MOST_FOR_HELP = 0.200
NOT_BY_CLIENT = {"rich", "click", "redis", "opentelemetry", "sqlite3"}
NOT_BY_HELP = {"aiohttp"}
MODELS = 200
PYTHON = (sys.executable, "-P")
"""Not from where it is called: another commit's package may be the one that is measured."""
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Installed packages have their compiled code beside them; ours has, too, after the first round."""


@frozen
class Models:
    """What models cost, in seconds each."""

    definition: float
    """To define one."""
    converter: float
    """Of a new converter, shared among all that are defined: nothing is made for them."""
    first_use: float
    """To write one for the first time, when its code is generated."""
    use: float
    """To write one again."""


def processor_seconds(arguments: list[str]) -> float:
    """Run a program in a fresh interpreter; return the processor time that it took."""
    command = [*PYTHON, *arguments]
    process = subprocess.Popen(
        command, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return usage.ru_utime + usage.ru_stime


def loaded(arguments: list[str]) -> set[str]:
    """Return the packages that a program loads."""
    command = [*PYTHON, "-X", "importtime", *arguments]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=True)
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def measure(rounds: int) -> dict[str, float]:
    """Return the median of each program."""
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(rounds + 1):
        for name, arguments in PROGRAMS.items():
            seconds = processor_seconds(arguments)
            if number:  # the first round writes what Python keeps of compiled code
                found[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def each(act: Callable[[int], Any]) -> float:
    """Return the processor time of an act, on average over as many as there are models."""
    began = time.process_time()
    for number in range(MODELS):
        act(number)
    return (time.process_time() - began) / MODELS


def measure_models() -> Models:
    """Define models of seven fields, and write each twice."""
    optional: Any = str | None
    fields = {
        f"field_number_{number}": field(default=None, validator=optional_text, type=optional)
        for number in range(7)
    }
    models: list[type[Any]] = []
    definition = each(
        lambda number: models.append(
            make_class(f"Model{number}", dict(fields), frozen=True, kw_only=True, slots=True)
        )
    )
    converter = make_converter()
    return Models(
        definition=definition,
        converter=each(lambda _: make_converter()) / MODELS,
        first_use=each(lambda number: to_json(converter, models[number]())),
        use=each(lambda number: to_json(converter, models[number]())),
    )


def report(medians: dict[str, float], models: Models, rounds: int) -> str:
    """Return all figures as tables."""
    lines = ["| program | processor time |", "|---|---:|"]
    lines += [f"| {name} | {1000 * seconds:.0f} ms |" for name, seconds in medians.items()]
    above = medians[CLIENT] - medians[AIOHTTP]
    lines += [f"| the client above aiohttp | {1000 * above:.0f} ms |", ""]
    lines += [f"| one of {MODELS} models of 7 fields | processor time |", "|---|---:|"]
    lines += [
        f"| to define it | {1e6 * models.definition:.0f} us |",
        f"| in a new converter, before it is used | {1e6 * models.converter:.2f} us |",
        f"| to write it for the first time | {1e6 * models.first_use:.0f} us |",
        f"| to write it again | {1e6 * models.use:.1f} us |",
    ]
    about = f"Python {platform.python_version()}, medians of {rounds} rounds."
    return "\n".join([*lines, "", f"{about} `python benchmarks/imports.py`"])


def main() -> int:
    """Measure, print, write, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    medians, models = measure(options.rounds), measure_models()
    text = report(medians, models, options.rounds)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "imports.md").write_text(f"# The cost of starting\n\n{text}\n", encoding="utf-8")
    figures: dict[str, Any] = {
        "python": platform.python_version(),
        "rounds": options.rounds,
        "seconds": medians,
        "above_aiohttp": medians[CLIENT] - medians[AIOHTTP],
        "model": {name: getattr(models, name) for name in Models.__annotations__},
    }
    (RESULTS / "imports.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    needless = {
        CLIENT: NOT_BY_CLIENT & loaded(PROGRAMS[CLIENT]),
        HELP: NOT_BY_HELP & loaded(PROGRAMS[HELP]),
    }
    for name, packages in needless.items():
        print(f"{name} loads without need: {', '.join(sorted(packages)) or 'nothing'}")
    above = medians[CLIENT] - medians[AIOHTTP]
    too_slow = above > MOST_ABOVE_AIOHTTP or medians[HELP] > MOST_FOR_HELP
    return int(too_slow or any(needless.values()))


if __name__ == "__main__":
    sys.exit(main())
