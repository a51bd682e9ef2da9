"""What a campaign amounts to: where the deaths hit, what was repeated and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from crash.checker import Violation
from crash.evidence import Evidence, Life, Request
from crash.item_rules import final, repeated
from crash.journal_view import JournalView

KeyT = TypeVar("KeyT")

_SHOWN = 3

STAGES = ("start", "planning", "between", "intent", "wire", "result", "ended", "report")
"""Where a death may hit: before anything was written, while the changes are taken in, with nothing
under way, with an intent whose request had not arrived, with a request unanswered, with an answer
unwritten, after the end, in the report."""


def stages_of(evidence: Evidence, life: Life) -> set[str]:
    """Return where a death hit; with several items under way that may be several places."""
    view = life.after
    if life.kind == "report":
        return {"report"}
    if view is None:
        return {"start"}
    if not view.planned:
        return {"planning"}
    run = next((number for number, pid, _ in view.runs if pid == life.pid), None)
    if run is None:
        return {"start"}
    if view.header.get("state") != "running":
        return {"ended"}
    return _under_way(evidence, life, view, run) or {"between"}


def _under_way(evidence: Evidence, life: Life, view: JournalView, run: int) -> set[str]:
    """Return how far the items had come that were under way at a death."""
    sent: dict[str, list[Request]] = {}
    for request in evidence.requests:
        if request.life == life.number and request.operation == "updateMeeting":
            sent.setdefault(request.meeting_id or "", []).append(request)
    found = set()
    for item in view.in_state("in_flight"):
        announced = sum(row.index == item.index and row.run == run for row in view.attempts)
        arrived = sent.get(item.meeting_id, [])
        if len(arrived) < announced:
            found.add("intent")
        elif arrived[-1].clear and (arrived[-1].ended or life.ended) < life.ended:
            found.add("result")
        else:
            found.add("wire")
    return found


@dataclass
class Tally:
    """Figures of many jobs."""

    jobs: int = 0
    lives: int = 0
    kills: int = 0
    items: int = 0
    requests: int = 0
    prefixes: int = 0
    prefixes_resumed: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    doubts: list[str] = field(default_factory=list)
    violations: list[tuple[int, Violation]] = field(default_factory=list)

    def add(self, evidence: Evidence, violations: list[Violation]) -> None:
        """Take a job in."""
        self.jobs += 1
        self.lives += len(evidence.lives)
        self.requests += len(evidence.requests)
        self.prefixes += evidence.prefixes_tried
        self.prefixes_resumed += evidence.prefixes_resumed
        for life in evidence.lives:
            if life.killed:
                self.kills += 1
                self.stages.update(stages_of(evidence, life))
                self.deaths[life.point.partition(":")[0].partition("+")[0]] += 1
        view = final(evidence)
        self.items += len(view.items)
        for item in view.items.values():
            self.states[item.reason or item.state] += 1
            if item.state == "in_doubt":
                status = f"{item.status} {item.message}"
                self.doubts.append(f"{evidence.seed}:{item.meeting_id} ({status[:60]})")
        self.causes.update(cause or "NO CAUSE" for _, cause in repeated(evidence))
        self.violations += [(evidence.seed, violation) for violation in violations]

    def __str__(self) -> str:
        jobs = f"{self.jobs:,} jobs, {self.items:,} items"
        lines = [
            f"{jobs}, {self.requests:,} requests, {self.lives:,} processes",
            f"{self.kills:,} kills: {_summary(self.deaths)}",
            f"  hit (one may hit several): {_summary({s: self.stages[s] for s in STAGES})}",
            f"items: {_summary(self.states)}",
            f"applied again: {sum(self.causes.values()):,}: {_summary(self.causes) or 'none'}",
            f"cut journals: {self.prefixes:,} looked at, {self.prefixes_resumed:,} resumed",
            f"in doubt at the end: {len(self.doubts):,}",
            *(f"  job {doubt}" for doubt in self.doubts),
            f"violations: {len(self.violations):,}",
            *self._violations(),
        ]
        return "\n".join(lines)

    def _violations(self) -> Iterator[str]:
        """Yield the first few of each job and invariant."""
        seen: Counter[tuple[int, str]] = Counter()
        for seed, violation in self.violations:
            seen[seed, violation.invariant] += 1
            if seen[seed, violation.invariant] <= _SHOWN:
                yield f"  seed {seed}: {violation}"


def _summary(counts: dict[KeyT, int]) -> str:
    ordered = counts.most_common() if isinstance(counts, Counter) else counts.items()
    return ", ".join(f"{name} {count:,}" for name, count in ordered)
