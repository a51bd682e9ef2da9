"""The invariants I1 to I13, each checked against the server's record.

Nothing of the library is imported: the journal and the ledger are read with plain SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crash.evidence import Evidence
from crash.item_rules import (
    bytes_are_the_same,
    done_was_applied,
    every_item_has_one_final_state,
    failed_was_refused,
    nothing_is_applied_in_vain,
)
from crash.process_rules import (
    attempts_do_not_overlap,
    every_request_was_announced,
    finished_is_finished,
    limit_is_kept,
    no_secret_is_written,
    prefixes_are_accepted,
    refusals_are_heeded,
    resources_are_bounded,
)

INVARIANTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I1": every_item_has_one_final_state,
    "I2": done_was_applied,
    "I3": failed_was_refused,
    "I4": nothing_is_applied_in_vain,
    "I5": bytes_are_the_same,
    "I6": attempts_do_not_overlap,
    "I7": limit_is_kept,
    "I8": refusals_are_heeded,
    "I9": prefixes_are_accepted,
    "I10": finished_is_finished,
    "I11": no_secret_is_written,
    "I12": every_request_was_announced,
    "I13": resources_are_bounded,
}


@dataclass(frozen=True)
class Violation:
    """What must not be."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation of every invariant."""
    return [Violation(name, what) for name, rule in INVARIANTS.items() for what in rule(evidence)]
