"""`Retry-After` in every form that servers and proxies send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async._retry_after import FOREVER, parse_retry_after

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


@pytest.mark.parametrize("value", ["315360001", "9" * 13, "9" * 5000, "9" * 5000 + ".5"])
def test_caps_absurd_numbers(value: str) -> None:
    """Ten years and five thousand digits are told as one longest wait, without an error."""
    seconds = parse(value)

    assert seconds is not None
    assert 315_360_000 < seconds <= FOREVER


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


def test_a_date_in_the_last_year_of_the_calendar_is_capped() -> None:
    """The year 9999 is told as the longest wait."""
    assert parse("Fri, 31 Dec 9999 23:59:59 GMT", date=DATE) == FOREVER


@pytest.mark.parametrize("values", [("3", "10"), ("10", "3"), ("soon", "10"), ("10", "-1")])
def test_the_longest_valid_header_counts(values: tuple[str, str]) -> None:
    """Of two headers the longer wait is kept; one that is not valid does not spoil the other."""
    assert parse(*values) == 10.0


@given(st.lists(st.text(max_size=60), max_size=3), st.none() | st.text(max_size=40))
@settings(deadline=None)
def test_never_fails(values: list[str], date: str | None) -> None:
    """Whatever a server sends, the answer is nothing or a sane number of seconds."""
    seconds = parse(*values, date=date)

    assert seconds is None or 0.0 <= seconds <= FOREVER
