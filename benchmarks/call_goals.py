"""The goals for the figures of `call.py`."""

from __future__ import annotations

from typing import Any, NamedTuple


class Goal(NamedTuple):
    """A bound of a ratio of two figures."""

    text: str
    ours: str
    than: str
    in_flight: int
    figure: str
    most: float | None = None
    least: float | None = None


GOALS = (
    Goal("`meetings.update`, CPU", "update", "aiohttp", 1, "cpu", most=1.00),
    Goal("`meetings.update`, CPU", "update", "aiohttp", 10, "cpu", most=0.95),
    Goal("`meetings.update`, CPU", "update", "aiohttp", 100, "cpu", most=0.95),
    Goal("`update_many`, CPU", "update_many", "aiohttp", 10, "cpu", most=0.95),
    Goal("`update_many`, CPU", "update_many", "aiohttp", 100, "cpu", most=0.95),
    Goal("`BulkJob`, CPU", "bulk", "aiohttp", 10, "cpu", most=1.25),
    Goal("`BulkJob`, CPU", "bulk", "aiohttp", 100, "cpu", most=1.25),
    Goal("CPU of httpx by ours", "httpx", "update", 10, "cpu", least=5.0),
    Goal("CPU of the generated client by ours", "generated", "update", 10, "cpu", least=2.0),
    Goal("`meetings.update` on uvloop, rate", "update+uvloop", "aiohttp", 10, "rate", least=1.2),
    Goal("`meetings.update` on uvloop, rate", "update+uvloop", "aiohttp", 100, "rate", least=1.2),
    Goal("`update_many` on uvloop, rate", "update_many+uvloop", "aiohttp", 10, "rate", least=1.2),
    Goal("`update_many` on uvloop, rate", "update_many+uvloop", "aiohttp", 100, "rate", least=1.2),
)
_RATIOS = {"cpu": "cpu_ratio", "rate": "throughput_ratio"}


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each goal whose clients were measured, what was found, and whether it holds."""
    by_key = {(row["client"], row["in_flight"]): row for row in rows}
    judged = []
    for goal in GOALS:
        ours = by_key.get((goal.ours, goal.in_flight))
        than = by_key.get((goal.than, goal.in_flight))
        if ours is None or than is None:
            continue
        found = ours[_RATIOS[goal.figure]] / than[_RATIOS[goal.figure]]
        judged.append(
            {
                "goal": goal.text,
                "in_flight": goal.in_flight,
                "bound": f"<= {goal.most:.2f}" if goal.most else f">= {goal.least:.2f}",
                "found": round(found, 3),
                "holds": found <= goal.most if goal.most else found >= (goal.least or 0.0),
            }
        )
    return judged
