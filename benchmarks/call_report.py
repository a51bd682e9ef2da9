"""The figures of `call.py`, as a table, as JSON and as a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clients.catalog import CLIENTS

HEADER = (
    "| Client | In flight | CPU, ratio | CPU, us | Requests/s | Rate, ratio | p50, ms | p99, ms |"
    " Peak, MB | Connections |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)
COLOURS = {1: "#9ecae1", 10: "#4292c6", 100: "#08519c"}


def title(label: str) -> str:
    """Return how people call a client."""
    name, plus, loop = label.partition("+")
    return CLIENTS[name].title + (f", {loop}" if plus else "")


def as_text(result: dict[str, Any]) -> str:
    """Return the tables as Markdown: clients, and goals."""
    rows = [_row(row) for row in result["figures"]]
    judged = [
        f"| {goal['goal']} | {goal['in_flight']} | {goal['bound']} | {goal['found']:.2f} |"
        f" {'yes' if goal['holds'] else 'no'} |"
        for goal in result["goals"]
    ]
    header = "| Goal | In flight | Bound | Found | Holds |\n| --- | ---: | ---: | ---: | --- |"
    return "\n".join([HEADER, *rows, "", header, *judged, "", _about(result["about"])])


def write(result: dict[str, Any], folder: Path) -> None:
    """Write `call.json`, `call.md` and `call.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    folder.joinpath("call.json").write_text(text, encoding="utf-8")
    page = f"# What an update costs\n\n{as_text(result)}\n"
    folder.joinpath("call.md").write_text(page, encoding="utf-8")
    _plot(result["figures"], folder / "call.svg")


def _row(row: dict[str, Any]) -> str:
    latency = [f"{row[name]:.2f}" if name in row else "" for name in ("p50_ms", "p99_ms")]
    cells = [
        title(row["client"]),
        str(row["in_flight"]),
        f"{row['cpu_ratio']:.2f}",
        f"{row['cpu_us']:.0f}",
        f"{row['per_second']:,.0f}",
        f"{row['throughput_ratio']:.2f}",
        *latency,
        f"{row['peak_mb']:.0f}",
        str(row["connections"]),
    ]
    return "| " + " | ".join(cells) + " |"


def _about(about: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {number or 'absent'}" for name, number in about["versions"].items()
    )
    if about["client_core"] == about["server_core"]:
        placed = "client and server shared their cores"
    else:
        placed = f"client on core {about['client_core']}, server on core {about['server_core']}"
    return (
        f"{about['day']}, Python {about['python']}, {about['system']}; {placed}; "
        f"medians of {about['rounds']} rounds of {about['updates']:,} updates; ratios to plain"
        f" aiohttp on asyncio's loop, within a round; journals in {about['journal']}; {versions}."
        " An update's latency in `update_many` counts from when it was pulled; that of a job cannot"
        " be seen from outside. The peak is that of the client's whole process."
    )


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - a quick look does without

    labels = list(dict.fromkeys(row["client"] for row in rows))
    numbers = sorted({row["in_flight"] for row in rows})
    figure = Figure(figsize=(9, 0.55 * len(labels) + 1.5), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(numbers)
    for place, number in enumerate(numbers):
        of_number = {row["client"]: row["cpu_ratio"] for row in rows if row["in_flight"] == number}
        heights = [index + place * height for index in range(len(labels))]
        ratios = [of_number[label] for label in labels]
        colour = COLOURS.get(number)
        bars = axes.barh(heights, ratios, height, color=colour, label=f"{number} in flight")
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.axvline(1.0, color="black", linewidth=0.8)
    middle = height * (len(numbers) - 1) / 2
    axes.set_yticks(
        [index + middle for index in range(len(labels))],
        [title(label).replace("`", "") for label in labels],
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("processor time of an update, plain aiohttp = 1 (less is better)")
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})
