"""Thousands of damaged answers, and proof that the judge of them can say no."""

from __future__ import annotations

import pytest

from fuzz.cases import Case, case
from fuzz.reading import UnreadableError, read
from fuzz.run import false_success, run
from gong_async import UpdatedMeeting

SEED = 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.full)])
async def test_damaged_answers(count: int) -> None:
    """No hang, no crash, no error of others, no false success; and no connection is left open."""
    tally = await run(SEED, range(count))

    assert tally.wrong == []
    assert tally.complaints == []
    assert tally.left_open == 0
    assert sum(tally.ends.values()) == count
    assert tally.ends["ok"] > count / 10
    assert len(tally.ends) > 8
    assert min(tally.accidents.values()) > count / 20


def test_cases_can_be_had_again() -> None:
    """The same seed and number make the same case, so that a finding can be looked into."""
    assert case(7, 42) == case(7, 42)
    assert case(7, 42) != case(8, 42)


def _answered(answer: bytes) -> Case:
    return Case(7, "update", answer, "close", ())


def _http(body: bytes, *, head: bytes = b"HTTP/1.1 200 OK", length: int | None = None) -> bytes:
    return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, length or len(body), body)


GOOD = _answered(b"").meeting_id


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_http(b'{"meetingId":"%b"}' % GOOD.encode()), ""),
        (_http(b'{"requestId":"r"}'), ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "no JSON"),
        (_http(b'{"meetingId":"1"}'), "it is about meeting 1"),
        (_http(b'{"errors":["no"]}'), "it reports errors"),
        (_http(b"{}", head=b"HTTP/1.1 404 Not Found"), "the status is 404"),
        (_http(b"{}", head=b"HTTP/1.1 999"), "the status is 999"),
        (_http(b"[]"), "no object"),
        (_http(b"{}", length=3), "the body is cut"),
        (_http(b"{NaN}"), "no JSON"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "no chunk"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "the head is cut"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no status line"),
    ],
)
def test_the_judge(answer: bytes, why: str) -> None:
    """A success is accepted only for bytes that say so."""
    result = UpdatedMeeting(meeting_id=GOOD)

    assert false_success(_answered(answer), result).startswith(why)
    assert bool(false_success(_answered(answer), result)) is bool(why)


def test_the_judge_compares_what_was_returned() -> None:
    """The right bytes with another result are a false success, too."""
    answer = _http(b'{"meetingId":"%b"}' % GOOD.encode())

    assert false_success(_answered(answer), UpdatedMeeting(meeting_id="1"))


def test_the_reader_stops_where_an_answer_ends() -> None:
    """What comes behind it is not part of it."""
    reading = read(_http(b"{}") + b"surplus")

    assert (reading.body, reading.rest) == (b"{}", b"surplus")
    with pytest.raises(UnreadableError):
        read(b"")
