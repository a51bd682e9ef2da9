"""`Retry-After` in every form that servers and proxies send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async._wire.response import PROBE_WAIT, parse_retry_after
from gong_async.errors import LONGEST_WAIT

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"  # the server's clock is two hours behind ours


def parse(*values: str, date: str | None = None) -> float | None:
    """Parse the headers of one answer that came at noon."""
    return parse_retry_after(values, date=date, now=NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("30", 30.0),
        ("007", 7.0),
        (" 30 ", 30.0),
        ("1.5", 1.5),
        ("86400", 86_400.0),
    ],
)
def test_takes_seconds(value: str, seconds: float) -> None:
    """Seconds are taken as they are, a fraction too."""
    assert parse(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-5",
        "+5",
        "1_0",
        "1e3",
        "0x10",
        "٣",
        "²",
        "\uff11\uff10",
        "1.",
        ".5",
        "1,5",
        "nan",
        "NaN",
        "inf",
        "Infinity",
        "2 seconds",
        "soon",
        "5, 10",
        "\x00",
        "Foo, 99 Bar 9999 99:99:99 GMT",
        "Sun, 32 Nov 2026 10:00:00 GMT",
        "Sun, 22 Nov 99999 10:00:00 GMT",
        "2026-11-22T10:00:00Z",
    ],
)
def test_ignores_what_is_not_valid(value: str) -> None:
    """What only looks like a number, or like a date, counts as no header at all."""
    assert parse(value) is None


def test_no_header_is_no_wait() -> None:
    """Without a header there is no demand."""
    assert parse() is None


@pytest.mark.parametrize(
    "value",
    [
        "86401",
        "86400.5",
        "1795721000",
        "1795721000000",
        "315360001",
        "9" * 13,
        "9" * 5000,
        "9" * 5000 + ".5",
    ],
)
def test_a_wait_beyond_a_day_is_a_short_one(value: str) -> None:
    """An instant in place of a duration, or five thousand digits: the next call tries soon."""
    assert parse(value) == PROBE_WAIT


@pytest.mark.parametrize("value", ["86399", "86400", "86400.0"])
def test_a_day_is_obeyed(value: str) -> None:
    """A day's quota may be used up at its very beginning."""
    assert parse(value) == float(value) <= LONGEST_WAIT


def test_beside_a_believable_wait_an_absurd_one_does_not_count() -> None:
    """The longest that is obeyed counts."""
    assert parse("1795721000", "7200") == 7200.0


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 22 Nov 2026 10:01:00 GMT",
        "Sunday, 22-Nov-26 10:01:00 GMT",
        "Sun Nov 22 10:01:00 2026",
        "Sun, 22 Nov 2026 10:01:00 +0000",
        "Sun, 22 Nov 2026 11:01:00 +0100",
    ],
)
def test_counts_a_date_from_the_servers_own_clock(value: str) -> None:
    """A wrong clock on either side does not matter when the answer carries its date."""
    assert parse(value, date=DATE) == 60.0


@pytest.mark.parametrize("date", [None, "yesterday", ""])
def test_counts_a_date_from_now_without_a_servers_clock(date: str | None) -> None:
    """Without a readable Date our own clock has to do."""
    assert parse("Sun, 22 Nov 2026 12:01:00 GMT", date=date) == 60.0


def test_a_date_gone_by_is_no_wait() -> None:
    """A date in the past means now, never less."""
    assert parse("Sun, 22 Nov 2026 09:00:00 GMT", date=DATE) == 0.0


@pytest.mark.parametrize(
    "value", ["Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 24 Nov 2026 10:00:00 GMT"]
)
def test_a_date_beyond_a_day_is_a_short_wait(value: str) -> None:
    """The year 9999 is nothing to wait for."""
    assert parse(value, date=DATE) == PROBE_WAIT


@pytest.mark.parametrize("values", [("3", "10"), ("10", "3"), ("soon", "10"), ("10", "-1")])
def test_the_longest_valid_header_counts(values: tuple[str, str]) -> None:
    """Of two headers the longer wait is kept; one that is not valid does not spoil the other."""
    assert parse(*values) == 10.0


@given(st.lists(st.text(max_size=60), max_size=3), st.none() | st.text(max_size=40))
@settings(deadline=None)
def test_never_fails(values: list[str], date: str | None) -> None:
    """Whatever a server sends, the answer is nothing or a sane number of seconds."""
    seconds = parse(*values, date=date)

    assert seconds is None or 0.0 <= seconds <= LONGEST_WAIT
