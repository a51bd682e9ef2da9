"""Backends that are shut down under load: jobs are paused in good order, and resumed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.server_process import OracleProcess

from shutdowns.campaign import Plan, make_plan, run_scenario
from shutdowns.servers import KINDS, Kind
from shutdowns.work import STYLES, Style

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is of POSIX")


@pytest.fixture(scope="module")
def oracle() -> Iterator[OracleProcess]:
    """Start the server's side."""
    with OracleProcess() as oracle:
        yield oracle


def test_a_client_closed_under_a_job_loses_nothing(oracle: OracleProcess, tmp_path: Path) -> None:
    """`close()` in a task, in a process of its own; the next process goes on."""
    plan = Plan(seed=1, kind="task", style="close", faults=False, shutdowns=1, items=20)
    report = run_scenario(plan, oracle, tmp_path / "scenario")

    assert report.problems == []
    assert report.shutdowns == 1


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_shutdowns_under_load(
    oracle: OracleProcess, tmp_path: Path, kind: Kind, style: Style
) -> None:
    """48 shutdowns: every meeting was updated, none failed, none doubled without a cause."""
    seed = KINDS.index(kind) + len(KINDS) * STYLES.index(style)
    report = run_scenario(
        Plan(seed=seed, kind=kind, style=style, faults=seed % 2 == 1), oracle, tmp_path / "scenario"
    )

    assert report.problems == []
    assert report.shutdowns > 0


def test_every_kind_and_style_is_tried() -> None:
    """The seeds cover all kinds, styles and faults."""
    plans = [make_plan(seed) for seed in range(24)]

    assert len({(plan.kind, plan.style, plan.faults) for plan in plans}) == 24
