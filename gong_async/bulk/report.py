"""How a bulk run stands: counts as one frozen value, for a progress bar, a log, or the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from gong_async.bulk.engine import Outcome
from gong_async.errors import Delivery, GongError

State = Literal["done", "failed", "in_doubt", "not_sent"]
"""What became of one row: applied, refused, perhaps applied, or never sent."""

_MOST_GROUPS = 50
_OTHERS = "other errors"
_VARYING = (
    (re.compile(r"\S+@\S+"), "<email>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*"), "<time>"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f][0-9a-f-]{7,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d{4,}"), "<id>"),
)


@frozen(kw_only=True)
class ErrorGroup:
    """Rows that failed for the same reason."""

    rows: int
    first: int
    """Place in the source of the first of them that was told, from 0."""
    hint: str
    """What to do next, as a sentence for people; may be empty."""


@frozen(kw_only=True)
class Report:
    """The counts of a bulk run at one moment; `count` returns the next."""

    total: int | None = None
    """Rows in all; None if nobody knows."""
    done: int = 0
    failed: int = 0
    in_doubt: int = 0
    not_sent: int = 0
    retries: int = 0
    """Requests beyond the first of each row."""
    seconds: float = 0.0
    """Since the beginning."""
    errors: Mapping[str, ErrorGroup] = field(factory=dict)
    """Rows without success, by the error's text without ids, times and addresses."""

    @property
    def finished(self) -> int:
        """Rows that were sent and have come to an end."""
        return self.done + self.failed + self.in_doubt

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return self.finished / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the rate so far; None if nobody can say."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.finished - self.not_sent) / self.rate

    def count(self, outcome: Outcome[Any, Any], *, seconds: float) -> Report:
        """Return the report with one outcome more, `seconds` after the beginning."""
        state = state_of(outcome)
        errors = self.errors
        if outcome.error is not None:
            errors = _grouped(errors, outcome.error, outcome.index)
        return evolve(
            self.add(state),
            retries=self.retries + max(0, outcome.attempts - 1),
            seconds=seconds,
            errors=errors,
        )

    def add(self, state: State, rows: int = 1) -> Report:
        """Return the report with `rows` more that ended as `state`."""
        counts: dict[str, Any] = {state: getattr(self, state) + rows}
        return evolve(self, **counts)

    def at(self, seconds: float) -> Report:
        """Return the same counts, `seconds` after the beginning."""
        return evolve(self, seconds=seconds)


def state_of(outcome: Outcome[Any, Any]) -> State:
    """Return what became of the row that `outcome` tells of."""
    error = outcome.error
    if error is None:
        return "done"
    if error.outcome_unknown:
        return "in_doubt"
    if outcome.attempts == 0 and error.delivery is Delivery.NOT_SENT:
        return "not_sent"
    return "failed"


def normalised(error: GongError) -> str:
    """Return the error's kind and message without what differs from row to row."""
    message = error.message
    for pattern, placeholder in _VARYING:
        message = pattern.sub(placeholder, message)
    return f"{type(error).__name__}: {message}"


def _grouped(
    errors: Mapping[str, ErrorGroup], error: GongError, index: int
) -> Mapping[str, ErrorGroup]:
    text = normalised(error)
    hint = error.hint
    if text not in errors and len(errors) >= _MOST_GROUPS:
        # A server that words every refusal anew must not make this grow without end.
        text, hint = _OTHERS, ""
    group = errors.get(text) or ErrorGroup(rows=0, first=index, hint=hint)
    return {**errors, text: evolve(group, rows=group.rows + 1)}
