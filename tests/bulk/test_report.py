"""The counts of a bulk run."""

from __future__ import annotations

from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from gong_async import (
    APIConnectionError,
    DailyQuotaExceededError,
    Delivery,
    GongError,
    NotFoundError,
    Outcome,
    RateLimitError,
)
from gong_async.bulk.report import Report, State, normalised, state_of


def outcome(
    error: GongError | None = None, *, index: int = 0, attempts: int = 1
) -> Outcome[Any, Any]:
    """Make the outcome of one row."""
    result = None if error else object()
    return Outcome(index=index, change=None, result=result, error=error, attempts=attempts)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (outcome(), "done"),
        (outcome(NotFoundError("x", delivery=Delivery.ANSWERED)), "failed"),
        (outcome(APIConnectionError("x", outcome_unknown=True)), "in_doubt"),
        (
            outcome(DailyQuotaExceededError("x", delivery=Delivery.NOT_SENT), attempts=0),
            "not_sent",
        ),
        (outcome(RateLimitError("x", delivery=Delivery.NOT_SENT), attempts=0), "not_sent"),
        (outcome(APIConnectionError("x", delivery=Delivery.NOT_SENT), attempts=4), "failed"),
    ],
)
def test_states(told: Outcome[Any, Any], state: State) -> None:
    """What became of a row is read from its outcome."""
    assert state_of(told) == state


def test_counts() -> None:
    """Each outcome is counted once, and repeated requests beside it."""
    report = Report(total=4)
    for told in (
        outcome(attempts=3),
        outcome(NotFoundError("a")),
        outcome(APIConnectionError("b", outcome_unknown=True), attempts=4),
    ):
        report = report.count(told, seconds=2.0)

    assert (report.done, report.failed, report.in_doubt, report.retries) == (1, 1, 1, 5)
    assert report.finished == 3


def test_rate_and_time_left() -> None:
    """The rate is that of the rows that were sent; the time left follows from it."""
    report = Report(total=10, done=3, failed=1, not_sent=2, seconds=2.0)

    assert report.rate == 2.0
    assert report.seconds_left == 2.0


@pytest.mark.parametrize("report", [Report(), Report(total=3), Report(done=1, seconds=1)])
def test_nobody_knows_the_time_left(report: Report) -> None:
    """Before the first outcome, or without a total, no time is promised."""
    assert report.seconds_left is None


def test_errors_are_grouped() -> None:
    """Errors that differ in ids, addresses and times alone are one group, with its first row."""
    report = Report()
    for index, text in enumerate(
        (
            "No meeting 7782342274025937895 of dana@example.com until 2026-11-24 15:00:00Z",
            "No meeting 7782342274025937896 of lee@example.com until 2026-11-25 16:00:01Z",
            "Trace 4ab1-0f9c7d2e44 is lost",
        )
    ):
        report = report.count(outcome(NotFoundError(text), index=index + 5), seconds=1)

    assert {text: (group.rows, group.first) for text, group in report.errors.items()} == {
        "NotFoundError: No meeting <id> of <email> until <time>": (2, 5),
        "NotFoundError: Trace <id> is lost": (1, 7),
    }


def test_plain_words_are_kept() -> None:
    """Status codes, small numbers and words stay readable."""
    text = "Gong answered 404 Not Found: deadbeef after 4 attempts in 30.5 s"

    assert normalised(NotFoundError(text)) == f"NotFoundError: {text}"


def test_groups_do_not_grow_without_end() -> None:
    """A server that words every refusal anew fills no memory."""
    report = Report()
    for number in range(1000):
        word = "".join(chr(ord("g") + int(digit)) for digit in str(number))
        report = report.count(outcome(NotFoundError(word)), seconds=1)

    assert len(report.errors) == 51
    assert report.errors["other errors"].rows == 950


def test_a_report_does_not_change() -> None:
    """Counting gives a new report; the old one stays, so that it can be shown at any time."""
    before = Report(total=1)

    after = before.count(outcome(NotFoundError("x")), seconds=1)

    assert (before.failed, dict(before.errors), after.failed) == (0, {}, 1)
    with pytest.raises(FrozenInstanceError):
        before.failed = 1  # type: ignore[misc]
