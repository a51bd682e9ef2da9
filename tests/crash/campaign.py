"""One job from its plan to its end, over as many deaths as it takes."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crash.evidence import Evidence, Kind
from crash.journal_view import JournalView
from crash.lives import Death, Stage
from crash.manifest import make_manifest
from crash.prefixes import try_prefixes
from crash.server_process import ACCESS_KEY, ACCESS_KEY_SECRET, OracleProcess

_MOST_ROUNDS = 5
_RESUMABLE = 75
_LATE = 0.6
"""Seconds in which the server comes to an end with what the dead have sent."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a job is treated."""

    seed: int
    items: int = 200
    kills: int = 20
    """Kills at the most: a job that comes to its end is let go."""
    limit: float = 200.0
    """Calls a second that the victim keeps to."""
    strict_limit: bool = False
    """Whether the limit is the company's, and kept to for certain."""
    faults: Mapping[str, float] | None = None
    """Shares of the updates that go wrong, by the fault's name; None for the usual ones."""
    breakage: str = ""
    prefixes: int = 4
    """Cut copies of the journal to look at, for each death; one of all goes on."""
    report: bool = True
    idle: bool = True
    """Whether to go on with the job when it is finished, and to run what is done once more."""
    calm: bool = True
    """Whether nothing goes wrong any more in the last round."""
    deaths: Sequence[Death] | None = None
    """How the first processes die; None leaves it to chance."""


def run_job(oracle: OracleProcess, plan: Plan, folder: Path) -> Evidence:
    """Run a job, kill it, let it go on; return all that was seen."""
    chance = random.Random(plan.seed)
    folder.mkdir(parents=True)
    (folder / "state").mkdir(mode=0o700)
    manifest = make_manifest(chance, plan.items)
    stage = Stage(folder, "", plan.limit, plan.breakage)
    manifest.write(stage.input)
    stage.url = oracle.open(
        seed=plan.seed,
        journal=str(stage.journal),
        missing=sorted(manifest.missing),
        barred=sorted(manifest.barred),
        faults=plan.faults,
    )
    evidence = Evidence(
        seed=plan.seed,
        manifest=manifest,
        journal=stage.journal,
        ledger=stage.ledger,
        folder=folder,
        secrets=[ACCESS_KEY, ACCESS_KEY_SECRET, f"{ACCESS_KEY}:{ACCESS_KEY_SECRET}"],
        per_second=plan.limit if plan.strict_limit else None,
        lives=stage.lives,
        calm=plan.calm,
    )
    kills = 0
    while kills < (plan.kills if plan.deaths is None else len(plan.deaths)):
        view = _last_view(stage)
        death = _death(chance, view) if plan.deaths is None else plan.deaths[kills]
        life = stage.live(_next_kind(view), death)
        kills += life.killed
        if not life.killed and life.exit_code != _RESUMABLE:
            break
    if plan.calm:
        oracle.calm()
    for _ in range(_MOST_ROUNDS):
        life = stage.live(_next_kind(_last_view(stage)), strict=not plan.breakage)
        if life.exit_code != _RESUMABLE:
            break
    evidence.last_work = life.number
    if plan.report:
        _report(stage, evidence, chance)
    if plan.idle:
        time.sleep(_LATE)
        evidence.idle_resume = stage.live("resume").number
    evidence.requests, evidence.applied = oracle.record()
    if plan.idle:
        view = _last_view(stage)
        done = (
            {item.meeting_id for item in view.in_state("succeeded")} if view is not None else set()
        )
        manifest.write(stage.again, only=done)
        number = stage.live("again").number
        evidence.again = [seen for seen in oracle.record()[0] if seen.life == number]
    if plan.prefixes:
        try_prefixes(oracle, stage, evidence, chance, plan.prefixes)
    return evidence


def _last_view(stage: Stage) -> JournalView | None:
    return stage.lives[-1].after if stage.lives else None


def _next_kind(view: JournalView | None) -> Kind:
    """Say how a person would go on: a job that was not planned to its end is run anew."""
    return "resume" if view is not None and view.planned else "run"


def _death(chance: random.Random, view: JournalView | None) -> Death:
    """Draw a death: at a time, or at a step."""
    planned = view is not None and view.planned
    draw = chance.random()
    if draw < (0.55 if planned else 0.3):
        return Death(after=_log_uniform(chance, 0.001, 5.0))
    if draw < (0.6 if planned else 0.45):
        return Death(after=_log_uniform(chance, 0.2, 0.8), from_start=True)
    if not planned:
        step = chance.choice(["before", "in", "after"])
        return Death(f"commit-{step}:{chance.randint(1, 6)}")
    most = 60
    number = round(_log_uniform(chance, 1, most))
    match chance.choice(["commit", "commit", "intent", "wire", "answer"]):
        case "commit":
            return Death(f"commit-{chance.choice(['before', 'in', 'after'])}:{number}")
        case "wire":
            return Death(f"wire:{number}:{chance.uniform(0.0002, 0.006):.4f}")
        case name:
            return Death(f"{name}:{number}")


def _report(stage: Stage, evidence: Evidence, chance: random.Random) -> None:
    """Write the report, die in it, and write it again."""
    stage.live("report", Death(f"report-{chance.choice(['before', 'after'])}:1"))
    if stage.report.exists():
        _rows(stage.report)  # never half of it
    stage.live("report")
    evidence.report = _rows(stage.report)


def _rows(path: Path) -> list[dict[str, object]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _log_uniform(chance: random.Random, least: float, most: float) -> float:
    return math.exp(chance.uniform(math.log(least), math.log(most)))
