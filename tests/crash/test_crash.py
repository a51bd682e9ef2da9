"""Jobs that are killed, and breakages that have to be found."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from crash.breaks import BREAKS
from crash.campaign import Plan, run_job
from crash.checker import INVARIANTS, check
from crash.lives import UNLIMITED, Death
from crash.server_process import OracleProcess

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")

INDEPENDENT = ("checker", "evidence", "item_rules", "journal_view", "manifest", "process_rules")


def broken(
    breakage: str,
    *,
    deaths: tuple[Death, ...] = (),
    items: int = 60,
    prefixes: int = 0,
    idle: bool = False,
    limit: float = UNLIMITED,
    strict_limit: bool = False,
    faults: Mapping[str, float] | None = None,
) -> Plan:
    """Plan a short job with a broken library, without anything that it does not need."""
    return Plan(
        seed=1,
        items=items,
        limit=limit,
        strict_limit=strict_limit,
        faults=faults or {},
        breakage=breakage,
        deaths=deaths,
        calm=False,
        idle=idle,
        report=False,
        prefixes=prefixes,
    )


CONTROLS = [
    ("I1", broken("lose-result")),
    ("I1", broken("report-early", deaths=tuple(Death(f"commit-in:{n}") for n in (12, 14, 9, 11)))),
    ("I2", broken("done-unsent")),
    ("I3", broken("timeout-is-failed", faults={"wrong id": 0.3})),
    ("I4", broken("resend-done", deaths=(Death("answer:20"),))),
    ("I4", broken("double-send-on-resume", deaths=(Death("answer:20"),))),
    ("I5", broken("wrong-bytes")),
    ("I6", broken("overlap", faults={"slow": 1.0})),
    ("I7", broken("no-limit", limit=20.0, strict_limit=True)),
    ("I8", broken("ignore-retry-after", limit=50.0, faults={"refused": 0.05})),
    ("I9", broken("torn-orders", deaths=(Death("answer:40"),), prefixes=40)),
    ("I10", broken("resend-finished", idle=True)),
    ("I11", broken("leak-secret")),
    ("I11", broken("print-secret")),
    ("I12", broken("skip-intent")),
    ("I12", broken("late-intent")),
    ("I12", broken("skip-announce", faults={"drop_after": 0.3})),
    ("I13", broken("leak-memory")),
    ("I13", broken("leak-files")),
]


ALWAYS = ("lose-result", "resend-done", "wrong-bytes", "skip-intent", "leak-files")
"""Breakages that are tried in every run of the tests."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[OracleProcess]:
    """Start the server's side."""
    with OracleProcess() as oracle:
        yield oracle


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.full)])
def test_deaths_do_no_harm(oracle: OracleProcess, tmp_path: Path, seed: int) -> None:
    """A job that is killed at any time keeps every invariant."""
    evidence = run_job(oracle, Plan(seed=seed, items=80, kills=4), tmp_path / "job")

    assert check(evidence) == []


@pytest.mark.full
def test_limits_outlive_the_dead(oracle: OracleProcess, tmp_path: Path) -> None:
    """The limit and the refusals hold for all processes of a job together."""
    plan = Plan(
        seed=3,
        items=16,
        limit=12,
        strict_limit=True,
        faults={"refused": 0.05, "drop_after": 0.05},
        deaths=[Death(after=0.2), Death(after=0.6)],
        prefixes=0,
        report=False,
    )
    evidence = run_job(oracle, plan, tmp_path / "job")

    assert check(evidence) == []


@pytest.mark.parametrize(
    ("invariant", "plan"),
    [
        pytest.param(
            name,
            plan,
            id=f"{name}-{plan.breakage}",
            marks=() if plan.breakage in ALWAYS else pytest.mark.full,
        )
        for name, plan in CONTROLS
    ],
)
def test_breakages_are_found(
    oracle: OracleProcess, tmp_path: Path, invariant: str, plan: Plan
) -> None:
    """A library that is broken on purpose is found out, by the invariant that it breaks."""
    evidence = run_job(oracle, plan, tmp_path / "job")

    assert invariant in {violation.invariant for violation in check(evidence)}


def test_every_invariant_has_a_control() -> None:
    """Each invariant has shown that it can fail, and each breakage is tried."""
    assert {invariant for invariant, _ in CONTROLS} == set(INVARIANTS)
    assert {plan.breakage for _, plan in CONTROLS} == set(BREAKS)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_checker_knows_nothing_of_the_library(name: str) -> None:
    """The checker reads with plain SQL: neither it nor what it imports imports the library."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    modules = {
        module
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert not [module for module in modules if module.partition(".")[0] == "gong_async"]
    assert {m for m in modules if m.startswith("crash")} <= {f"crash.{n}" for n in INDEPENDENT}
