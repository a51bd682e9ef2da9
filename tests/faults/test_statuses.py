"""F. Status codes and Retry-After: F80 to F92."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from faults.acts import Raw, http, json_errors
from faults.always import Probe, trial
from faults.operations import (
    CREATE,
    DELETE,
    STATUS,
    UPDATE,
    Operation,
    change,
    each_operation,
    update,
    update_and_create,
)
from faults.peer import Act, Exchange, Peer, behave, scripted
from gong_async import GongError, Limits, RateLimitError, RetryPolicy

pytestmark = pytest.mark.looptime


def _answer(status: int, *headers: str, applies: bool = False, body: bytes | None = None) -> Raw:
    said = json_errors("no") if body is None else body
    data = http(said, status=f"{status} X", headers=headers)
    return Raw(data, then="keep", applies=applies)


def _pauses(peer: Peer) -> list[float]:
    """Return the seconds between the requests that a server saw."""
    return [later.at - first.at for first, later in pairwise(peer.seen)]


@each_operation
@pytest.mark.parametrize("seconds", [1, 7, 45])
async def test_f80_refused_by_the_limit(operation: Operation, seconds: int) -> None:
    """A 429 is waited out, never too short, and repeated whatever the method."""
    async with scripted([_answer(429, f"Retry-After: {seconds}")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        (pause,) = _pauses(peer)
        applied = len(peer.applied)

    assert str(verdict) == "ok after 2"
    assert seconds <= pause <= seconds + 1.1
    assert applied == 1


async def test_f80_everybody_waits() -> None:
    """The whole client pauses after a 429, and then one call goes first."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=5)
    acts = [_answer(429, "Retry-After: 30")]
    async with scripted(acts) as peer, trial(peer, limits=limits) as case:
        calls = [update(meeting_id=str(number)) for number in range(9)]
        first = asyncio.ensure_future(calls[0].call(case.gong))
        await asyncio.sleep(1)
        await asyncio.gather(first, *(later.call(case.gong) for later in calls[1:]))
        times = [seen.at - peer.seen[0].at for seen in peer.seen]

    assert len(times) == 10
    assert min(times[1:]) >= 30


async def test_f80_one_call_probes() -> None:
    """After the wait a single call is sent; the others follow when it was not refused again."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=5)

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(2)
        await behave(exchange)

    acts: list[Act] = [_answer(429, "Retry-After: 5"), slow]
    async with scripted(acts) as peer, trial(peer, limits=limits) as case:
        first = asyncio.ensure_future(UPDATE.call(case.gong))
        await asyncio.sleep(1)
        others = [update(meeting_id=str(number)).call(case.gong) for number in range(4)]
        await asyncio.gather(first, *others)
        probe, *rest = [seen.at for seen in peer.seen[1:]]

    assert min(rest) >= probe + 2


@each_operation
async def test_f80_refusals_are_no_attempts(operation: Operation) -> None:
    """Ten refusals are sat out; the call still has all its attempts."""
    acts = [_answer(429, "Retry-After: 1")] * 10
    async with scripted(acts) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 11"


@each_operation
async def test_f80_refusals_have_an_end(operation: Operation) -> None:
    """A limit that refuses for ever is reported in the end, with when to come back."""
    async with Peer(always=_answer(429, "Retry-After: 1")) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "RateLimitError 429 answered known after 11"
    assert isinstance(verdict.failure, RateLimitError) and verdict.failure.retry_at


IGNORED = (
    "",
    "-5",
    "2 seconds",
    "soon",
    "٣",
    "1_0",
    "NaN",
    "inf",
    "+3",
    "0x10",
    "1e3",
    "1,5",
    "--",
)


@update_and_create
@pytest.mark.parametrize("value", [None, *IGNORED])
async def test_f81_wait_that_says_nothing(operation: Operation, value: str | None) -> None:
    """A header that is none is ignored: our own wait, of a second at least."""
    headers = [] if value is None else [f"Retry-After: {value}"]
    async with scripted([_answer(429, *headers)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        (pause,) = _pauses(peer)

    assert str(verdict) == "ok after 2"
    assert 1 <= pause <= 1.5


@update_and_create
@pytest.mark.parametrize(("value", "least"), [("0", 0.0), ("1.5", 1.5), ("007", 7.0), (" 3 ", 3.0)])
async def test_f81_odd_but_clear_wait(operation: Operation, value: str, least: float) -> None:
    """Zero, fractions, leading zeros and blanks are clear enough."""
    async with scripted([_answer(429, f"Retry-After: {value}")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        (pause,) = _pauses(peer)

    assert str(verdict) == "ok after 2"
    assert least <= pause <= least + 1.1


@each_operation
@pytest.mark.parametrize(
    "value", ["315360000", "9" * 5000, "61", "99999999999999999999.5"],
    ids=["ten_years", "5000_digits", "a_minute_and_a_second", "huge_fraction"],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
async def test_f82_wait_beyond_max_wait(operation: Operation, status: int, value: str) -> None:
    """A wait that is too long raises an error at once, with its length."""
    async with (
        scripted([_answer(status, f"Retry-After: {value}")]) as peer,
        trial(peer, works_on=status != 429) as case,
    ):
        verdict = await case.run(operation)

    assert verdict.attempts == 1
    assert verdict.seconds < 0.1
    assert getattr(verdict.failure, "retry_after", 0.0) >= 61


async def test_f82_the_next_call_gets_the_same() -> None:
    """While such a wait holds, no call is sent: each fails at once with the time to retry."""
    async with (
        scripted([_answer(429, "Retry-After: 7200")]) as peer,
        trial(peer, works_on=False) as case,
    ):
        await case.run(UPDATE)
        await asyncio.sleep(3600)
        verdict = await case.run(UPDATE)
        await asyncio.sleep(3602)
        later = await case.run(UPDATE)

    assert str(verdict) == "RateLimitError 429 not_sent known after 0"
    assert getattr(verdict.failure, "retry_after", 0.0) == pytest.approx(3600, abs=3)
    assert str(later) == "ok after 1"


@pytest.mark.parametrize("asked", ["1795721000", "315360000", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_f82_an_absurd_wait_is_reported_and_probed(asked: str) -> None:
    """What is longer than a day is not obeyed: five minutes later a call tries, and it is over."""
    async with (
        scripted([_answer(429, f"Retry-After: {asked}")]) as peer,
        trial(peer, works_on=False) as case,
    ):
        first = await case.run(UPDATE)
        await asyncio.sleep(200)
        second = await case.run(UPDATE)
        await asyncio.sleep(102)
        later = [str(await case.run(UPDATE)) for _ in range(2)]

    assert getattr(first.failure, "retry_after", 0.0) == 300
    assert f"ignoring Retry-After {asked}, more than a day" in str(first.failure)
    assert str(second) == "RateLimitError 429 not_sent known after 0"
    assert later == ["ok after 1"] * 2


async def test_f82_deadline_beats_a_long_wait() -> None:
    """A wait that would outlast the call's deadline is not begun."""
    policy = RetryPolicy(deadline=10.0)
    async with (
        scripted([_answer(503, "Retry-After: 30")]) as peer,
        trial(peer, retry=policy) as case,
    ):
        verdict = await case.run(UPDATE)

    assert str(verdict) == "ServerError 503 answered unknown after 1"
    assert verdict.seconds < 0.1


NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def _http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


RFC_850 = f"{NOW + timedelta(seconds=20):%A, %d-%b-%y %H:%M:%S} GMT"
ASCTIME = f"{NOW + timedelta(seconds=20):%a %b %d %H:%M:%S %Y}"


@update_and_create
@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (_http_date(20), 20, 21.1),
        (_http_date(-3600), 0, 1.1),
        (RFC_850, 20, 21.1),
        (ASCTIME, 20, 21.1),
        ("Fri, 99 Foo 2031 07:08:29 GMT", 1, 1.5),
        ("Tue, 06 May 2031", 1, 1.5),
    ],
    ids=["future", "past", "rfc_850", "asctime", "invalid", "half"],
)
async def test_f83_wait_until_a_date(
    operation: Operation, value: str, least: float, most: float
) -> None:
    """A date counts from the answer's own: the local clock, years off here, does not matter."""
    act = _answer(429, f"Retry-After: {value}", f"Date: {_http_date(0)}")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        (pause,) = _pauses(peer)

    assert str(verdict) == "ok after 2"
    assert least <= pause <= most


@pytest.mark.parametrize("date", [None, "yesterday", "Date: x"])
async def test_f83_date_without_a_clock_to_compare(date: str | None) -> None:
    """Without a usable date in the answer the local clock stands in."""
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    headers = [f"Retry-After: {until}", *([] if date is None else [f"Date: {date}"])]
    async with scripted([_answer(429, *headers)]) as peer, trial(peer) as case:
        await case.run(UPDATE)
        (pause,) = _pauses(peer)

    assert 37 <= pause <= 42


async def test_f83_year_9999() -> None:
    """The end of the calendar is a wait like any other that is too long."""
    act = _answer(429, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", f"Date: {_http_date(0)}")
    async with scripted([act]) as peer, trial(peer, works_on=False) as case:
        verdict = await case.run(UPDATE)

    assert str(verdict) == "RateLimitError 429 answered known after 1"
    assert verdict.seconds < 0.1


async def test_f84_two_headers() -> None:
    """Of several headers the longest valid wait counts."""
    headers = ["Retry-After: 3", "Retry-After: 9", "Retry-After: soon"]
    async with scripted([_answer(429, *headers)]) as peer, trial(peer) as case:
        await case.run(UPDATE)
        (pause,) = _pauses(peer)

    assert 9 <= pause <= 10.1


@pytest.mark.parametrize("operation", [UPDATE, DELETE, STATUS], ids=str)
@pytest.mark.parametrize("status", [503, 500, 502, 529])
async def test_f84_on_a_failure(operation: Operation, status: int) -> None:
    """On a 5xx the header is honoured too, by this call alone."""
    async with scripted([_answer(status, "Retry-After: 9")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        (pause,) = _pauses(peer)

    assert str(verdict) == "ok after 2"
    assert 9 <= pause <= 10.1


@each_operation
@pytest.mark.parametrize("status", [400, 404])
async def test_f84_on_a_refusal(operation: Operation, status: int) -> None:
    """On a refusal the header changes nothing: there is nothing to wait for."""
    async with scripted([_answer(status, "Retry-After: 5")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        after = await case.run(operation)

    assert verdict.attempts == 1
    assert str(after) == "ok after 1"
    assert after.seconds < 0.1


@each_operation
async def test_f84_on_a_success(operation: Operation) -> None:
    """On a success the header changes nothing."""

    async def act(exchange: Exchange) -> None:
        body = await exchange.truth()
        await Raw(http(body, headers=["Retry-After: 50"]), then="keep")(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdicts = [await case.run(operation) for _ in range(2)]

    assert [str(verdict) for verdict in verdicts] == ["ok after 1"] * 2
    assert sum(verdict.seconds for verdict in verdicts) < 0.1


@each_operation
async def test_f85_request_timeout(operation: Operation) -> None:
    """A 408 may have raced our request: repeated if harmless, else in doubt."""
    act = Raw(http(status="408 Request Timeout", headers=["Connection: close"]), applies=False)
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == (
        "ok after 2"
        if operation.repeatable
        else "RequestRejectedError 408 answered unknown after 1"
    )


@each_operation
@pytest.mark.parametrize("applies", [True, False], ids=["f86_applied", "f87_not_applied"])
async def test_f86_f87_internal_error(operation: Operation, *, applies: bool) -> None:
    """A 500 says nothing of what was done: repeated if harmless, else applied once at the most."""
    async with scripted([_answer(500, applies=applies)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = list(peer.applied)

    assert str(verdict) == (
        "ok after 2" if operation.repeatable else "ServerError 500 answered unknown after 1"
    )
    assert len(set(applied)) <= 1
    assert operation.repeatable or len(applied) == applies


@each_operation
@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, *range(520, 531), 599])
async def test_f87_f88_failure_that_stays(operation: Operation, status: int) -> None:
    """A failure that stays ends after four attempts, a creation's after one and in doubt."""
    async with Peer(always=_answer(status)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    outcome = "unknown" if operation.writes else "known"
    attempts = 4 if operation.repeatable else 1
    assert str(verdict) == f"ServerError {status} answered {outcome} after {attempts}"


@each_operation
@pytest.mark.parametrize("status", [501, 505])
async def test_f88_failure_that_never_heals(operation: Operation, status: int) -> None:
    """What a server does not know how to do it will not know in a moment."""
    async with Peer(always=_answer(status)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert verdict.attempts == 1


async def test_f88_creation_is_not_repeated_after_a_polite_503() -> None:
    """A proxy may say 503 with a wait after it has passed the request on: a creation stays once."""
    act = _answer(503, "Retry-After: 1", applies=True)
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(CREATE)
        applied = len(peer.applied)

    assert str(verdict) == "ServerError 503 answered unknown after 1"
    assert applied == 1


@each_operation
async def test_f89_forbidden(operation: Operation) -> None:
    """A 403 is not repeated; that a bulk run stops after several is the command line's."""
    async with Peer(always=_answer(403)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "PermissionDeniedError 403 answered known after 1"


REFUSALS = (400, 402, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 422, 426, 428, 431, 451)


@each_operation
@pytest.mark.parametrize("status", REFUSALS)
async def test_f90_refusal(operation: Operation, status: int) -> None:
    """A refusal is final: one request, a known outcome, Gong's words."""
    async with Peer(always=_answer(status)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert f"{status} answered known after 1" in str(verdict)
    assert verdict.failure.errors == ("no",)


@each_operation
@pytest.mark.parametrize("status", [421, 423, 425])
async def test_f90_not_processed_by_definition(operation: Operation, status: int) -> None:
    """Statuses that say "I did not begin" are repeated whatever the method."""
    async with scripted([_answer(status)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 2"


async def test_f90_misdirected_is_repeated_elsewhere() -> None:
    """A 421 means "not on this connection": the repetition takes another."""
    async with scripted([_answer(421)]) as peer, trial(peer) as case:
        await case.run(UPDATE)
        lines = [seen.line.number for seen in peer.seen]

    assert lines == [1, 2]


async def test_f90_conflict_speaks_gongs_words() -> None:
    """A 409 brings along what an administrator has to read."""
    body = (
        b'{"requestId":"r-1","errors":["Consent page is disabled"],'
        b'"userFacingError":"Ask your admin","fixUrl":"https://fix.example","helpUrl":"https://h"}'
    )
    async with scripted([_answer(409, body=body)]) as peer, trial(peer) as case:
        verdict = await case.run(UPDATE)
        facts = vars(verdict.failure)

    assert facts["user_facing_error"] == "Ask your admin"
    assert (facts["fix_url"], facts["help_url"]) == ("https://fix.example", "https://h")
    assert "Consent page is disabled" in str(verdict.failure)
    assert facts["request_id"] == "r-1"


async def test_f90_other_items_go_on() -> None:
    """In bulk, a rejected item stops no other."""
    refused = [3, 7, 11]

    async def act(exchange: Exchange) -> None:
        number = int(exchange.seen.target.rpartition("/")[2])
        await (_answer(404)(exchange) if number in refused else behave(exchange))

    changes = [change(meeting_id=str(number)) for number in range(15)]
    async with Peer(always=act) as peer, trial(peer) as case:
        outcomes = [outcome async for outcome in case.gong.update_many(changes)]

    assert sorted(outcome.index for outcome in outcomes if not outcome.ok) == refused
    assert len(outcomes) == 15


async def _herd(case: Probe, size: int) -> list[float]:
    """Make many calls at once, of which the first is refused; return when they went out."""
    calls = [update(meeting_id=str(number)).call(case.gong) for number in range(size)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert not [end for end in ends if isinstance(end, GongError)]
    return [seen.at for seen in case.peer.seen]


@pytest.mark.parametrize("per_second", [3, 10])
async def test_f92_herd(per_second: int) -> None:
    """Many calls that waited for one refusal are let go one by one, at the pace of the limit."""
    limits = Limits(per_second=per_second, per_day=None, max_in_flight=16)
    acts = [_answer(429, "Retry-After: 20")]
    async with scripted(acts) as peer, trial(peer, limits=limits) as case:
        times = await _herd(case, 60)
        # Calls that were in flight when the 429 came do not count.
        held = [time for time in times if time >= times[0] + 20]

    in_any_second = zip(held, held[per_second:], strict=False)
    assert len(times) == 61
    assert not [time for time in times if times[0] + 1 < time < times[0] + 20]
    assert all(later - first >= 1 for first, later in in_any_second)


async def test_f92_programs_do_not_come_back_together() -> None:
    """Clients that got the same wait come back spread out, and none of them early."""
    waits = []
    random.seed(7)
    for _ in range(12):
        async with scripted([_answer(429, "Retry-After: 8")]) as peer, trial(peer) as case:
            await case.run(UPDATE)
            waits += _pauses(peer)[:1]

    assert min(waits) >= 8
    assert max(waits) - min(waits) > 0.3
