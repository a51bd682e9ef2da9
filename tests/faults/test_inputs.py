"""J. Inputs: F133 to F147. What is read from files is tested in `tests/bulk/test_inputs.py`."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from faults.always import ACCESS_KEY_SECRET, leaks, trial
from faults.operations import MEETING_ID, ORGANIZER, Operation, change, update
from faults.peer import Peer
from gong_async import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    GongClient,
    Invitee,
    Limits,
    MeetingChange,
    MeetingUpdate,
    ValidationError,
)

pytestmark = pytest.mark.looptime

REFUSED = "ValidationError None None known after 0"
PARALLEL = Limits(per_second=None, per_day=None, max_in_flight=8)
START = datetime(2026, 11, 24, 15, tzinfo=UTC)


def meeting(**fields: Any) -> MeetingUpdate:
    """Return an update with some fields of its own."""
    given: dict[str, Any] = {
        "start_time": START,
        "end_time": START + timedelta(hours=1),
        "organizer_email": ORGANIZER,
        "invitees": [],
        **fields,
    }
    return MeetingUpdate(**given)


def updating(id_: Any, **fields: Any) -> Operation:
    """Return an update that may be refused while it is made."""

    async def call(gong: GongClient) -> Any:
        return await gong.meetings.update(id_, meeting(**fields))

    return Operation("update", call)


def deleting(id_: Any) -> Operation:
    """Return a deletion."""
    return Operation("delete", lambda gong: gong.meetings.delete(id_, organizer_email=ORGANIZER))


ODD_IDS = [
    "", " 1", "1 ", "1\n", "1/../2", "..", ".", "1?x", "1#x", "%2e", "1%2f2", "-1", "+1", "0x1",
    "٣", "\uff11", "1.0", "1e5", "1_0", "9" * 21, "\0", "1\r\nX: y", "\ud800", None, True, 1.0,
    Decimal(1), b"1", -1, 10**20, [], object(),
]  # fmt: skip


def shown(value: object) -> str:
    """Name a parameter in ASCII, and alike in every process."""
    return "object" if type(value) is object else ascii(value)


@pytest.mark.parametrize("id_", ODD_IDS, ids=shown)
@pytest.mark.parametrize("make", [updating, deleting])
async def test_f133_f135_what_is_no_id(make: Any, id_: Any) -> None:
    """An id that is not 1 to 20 digits never leaves: it could be another meeting's path."""
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(make(id_))
        seen = len(peer.seen)

    assert str(verdict) == REFUSED
    assert seen == 0


class Index:
    """A number of some other library."""

    def __index__(self) -> int:
        return 12345

    def __repr__(self) -> str:
        return "Index"


@pytest.mark.parametrize(
    ("id_", "sent"),
    [
        ("9" * 20, "9" * 20),
        ("1", "1"),
        ("0012", "0012"),
        (7782342274025937895, MEETING_ID),
        (10**20 - 1, "9" * 20),
        (Index(), "12345"),
        (0, "0"),
    ],
    ids=ascii,
)
async def test_f134_f135_ids_keep_every_digit(id_: Any, sent: str) -> None:
    """An id goes out as it is, however long, and comes back so."""
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(updating(id_))
        targets = [seen.target for seen in peer.seen]

    assert targets == [f"/v2/meetings/{sent}"]
    assert verdict.result is not None
    assert getattr(verdict.result, "meeting_id", None) == sent


async def test_f136_one_meeting_twice_in_a_batch() -> None:
    """Changes of one meeting are never under way together and land in their order."""
    under_way: dict[str, int] = {}
    most = 0

    async def act(exchange: Any) -> None:
        nonlocal most
        target = exchange.seen.target
        under_way[target] = under_way.get(target, 0) + 1
        most = max(most, under_way[target])
        await asyncio.sleep(0.5)
        under_way[target] -= 1
        await honest(exchange)

    async with Peer() as peer, trial(peer, limits=PARALLEL) as case:
        honest, peer.always = peer.always, act
        changes = [
            change(meeting_id=str(1 + number % 3), title=f"title {number}") for number in range(30)
        ]
        outcomes = [outcome async for outcome in case.gong.update_many(changes)]
        titles: dict[str, list[str]] = {}
        for _, target, body in peer.applied:
            titles.setdefault(target, []).append(json.loads(body)["title"])

    assert all(outcome.ok for outcome in outcomes)
    assert most == 1
    assert titles["/v2/meetings/1"] == [f"title {number}" for number in range(0, 30, 3)]


BERLIN = ZoneInfo("Europe/Berlin")

BAD_TIMES: dict[str, dict[str, Any]] = {
    "naive": {"start_time": datetime(2026, 11, 24, 15)},  # noqa: DTZ001 - the fault
    "text": {"start_time": "2026-11-24T15:00:00Z"},
    "number": {"start_time": 1_795_532_400},
    "end before start": {"end_time": START - timedelta(seconds=1)},
    "no length": {"end_time": START},
    "no length but a fraction": {"end_time": START + timedelta(microseconds=5)},
    "seconds in the offset": {
        "start_time": START.astimezone(timezone(timedelta(hours=1, seconds=30)))
    },
    "the hour that comes twice": {
        "start_time": datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        "end_time": datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN, fold=0),
    },
}


@pytest.mark.parametrize("name", BAD_TIMES)
async def test_f137_f138_times_that_are_refused(name: str) -> None:
    """A time without a zone is not guessed at, and a meeting ends after it starts."""
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(updating("1", **BAD_TIMES[name]))
        seen = len(peer.seen)

    assert str(verdict) == REFUSED
    assert seen == 0


@pytest.mark.parametrize(
    ("start", "sent"),
    [
        (START, "2026-11-24T15:00:00Z"),
        (START.replace(microsecond=999_999), "2026-11-24T15:00:00Z"),
        (START.astimezone(BERLIN), "2026-11-24T16:00:00+01:00"),
        (datetime(2026, 7, 1, 12, tzinfo=BERLIN), "2026-07-01T12:00:00+02:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "2026-10-25T02:30:00+01:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=0), "2026-10-25T02:30:00+02:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, tzinfo=UTC), "9999-12-31T00:00:00Z"),
        (
            datetime(2026, 1, 1, tzinfo=timezone(-timedelta(hours=11, minutes=30))),
            "2026-01-01T00:00:00-11:30",
        ),
    ],
    ids=str,
)
async def test_f138_times_as_they_are_sent(start: datetime, sent: str) -> None:
    """The same time is always written in the same way: ISO-8601 with its offset."""
    async with Peer() as peer, trial(peer) as case:
        end = start.replace(hour=23) if start.year == 9999 else start + timedelta(hours=5)
        verdict = await case.run(updating("1", start_time=start, end_time=end))
        body = json.loads(peer.applied[0][2])

    assert verdict.error is None
    assert body["startTime"] == sent


BAD_EMAILS = ["", "a", "a@b@c", "@x.example", "a@", "a b@x.example", " a@x.example",
              "a@x.example\n",
              "a@x.example\r\nBcc: all@x.example", "a\0@x.example", "a\ud800@x.example",
              "a\u2028@x.example", "a\u200b@x.example", "mailto:a@x.example", "a@x.example;",
              "<a@x.example>", "a@" + "x" * 400, None, 5]  # fmt: skip


@pytest.mark.parametrize("email", BAD_EMAILS, ids=ascii)
async def test_f139_emails_that_are_refused(email: Any) -> None:
    """What no mail system takes is refused before it leaves, without repeating it."""
    async with Peer() as peer, trial(peer) as case:
        verdicts = [str(await case.run(updating("1", organizer_email=email)))]
        if email is not None:
            invited = Operation("update", lambda gong: _inviting(gong, email))
            verdicts.append(str(await case.run(invited)))
        seen = len(peer.seen)

    assert set(verdicts) == {REFUSED}
    assert seen == 0


async def _inviting(gong: GongClient, *emails: Any) -> Any:
    return await gong.meetings.update(
        "1", meeting(invitees=[Invitee(email=email) for email in emails])
    )


@pytest.mark.parametrize(
    "email",
    ["Dana@Example.COM", "łé@x.example", "a@bücher.example", "a+b@x.example"],
    ids=ascii,
)
async def test_f139_emails_are_sent_unchanged(email: str) -> None:
    """No folding of case, no IDNA behind one's back; twice the same goes out twice."""
    inviting = Operation("update", lambda gong: _inviting(gong, email, email))
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(inviting)
        body = json.loads(peer.applied[0][2])

    assert verdict.error is None
    assert body["invitees"] == [{"email": email}, {"email": email}]


@pytest.mark.parametrize(
    "title",
    ["", "a\0b\x1b[31m", "line\r\nbreak", "\u202egnirts", "=1+1", "🎉", "x" * 1_000_000],
    ids=lambda title: ascii(title[:20]),
)
async def test_f140_titles_are_sent_exactly(title: str) -> None:
    """Whatever can be sent as JSON is sent as it is."""
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(updating("1", title=title))
        body = json.loads(peer.applied[0][2])

    assert verdict.error is None
    assert body["title"] == title


@pytest.mark.parametrize("field", ["title", "external_id", "provider", "organizer_email"])
@pytest.mark.parametrize("value", ["a\ud800b", 5, b"bytes"], ids=ascii)
async def test_f140_text_that_is_none(field: str, value: Any) -> None:
    """A lone surrogate cannot be sent, and nothing is made into text behind one's back."""
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(updating("1", **{field: value}))
        seen = len(peer.seen)

    assert str(verdict) == REFUSED
    assert isinstance(verdict.failure, ValidationError)
    assert verdict.failure.field == field
    assert seen == 0


def _holding_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, Decimal(1), b"x", object(), {1, 2}, "\ud800",
     datetime(2026, 1, 1), _holding_itself(), {"a": {"b": math.nan}}],  # noqa: DTZ001
    ids=lambda value: type(value).__name__,
)  # fmt: skip
async def test_f141_values_without_a_json_form(value: Any) -> None:
    """What JSON cannot hold is refused before it leaves."""

    async def call(gong: GongClient) -> Any:
        return await gong.request("PUT /v2/meetings/{id}", path={"id": "1"}, body={"value": value})

    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(Operation("request", call))
        seen = len(peer.seen)

    assert str(verdict) == REFUSED
    assert seen == 0


@pytest.mark.parametrize("number", [0, 1])
async def test_f142_an_empty_batch_and_one_item(number: int) -> None:
    """Nothing to do sends nothing; one item is a batch."""
    async with Peer() as peer, trial(peer, limits=PARALLEL) as case:
        outcomes = [each async for each in case.gong.update_many([change()] * number)]
        seen = len(peer.seen)

    assert (len(outcomes), seen) == (number, number)


async def test_f143_a_source_that_raises() -> None:
    """Everything before has its outcome, then the source's own error comes through."""

    def source() -> Iterator[MeetingChange]:
        for number in range(7):
            yield change(meeting_id=str(number))
        raise ZeroDivisionError

    outcomes: list[Any] = []
    async with Peer() as peer, trial(peer, limits=PARALLEL) as case:

        async def consume() -> None:
            async for outcome in case.gong.update_many(source()):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

        with pytest.raises(ZeroDivisionError):
            await consume()
        seen = len(peer.seen)

    assert [outcome.ok for outcome in outcomes] == [True] * 7
    assert seen == 7


BAD_URLS = ["http://api.gong.io", "ftp://api.gong.io", "api.gong.io", "", "https://",
            "https://key:secret@api.gong.io", "https://api.gong.io?x=1", "https://api.gong.io#x",
            "https://api.gong.io:0", "https://api.gong.io:99999", "https://api.gong.io/a/../b",
            "https://api.gong.io//a", "https://api gong.io", "https://api.gong.io\n",
            "https://[::1", "https://key:se/cret@api.gong.io", "https://ex\u2028ample.com", "http://127.0.0.1.example.com",
            "https://api.gong.io/%2e%2e/x", "javascript:alert(1)"]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS, ids=ascii)
def test_f144_base_urls_that_are_refused(url: str) -> None:
    """What cannot be trusted with a credential is refused when the client is built."""
    with pytest.raises(ConfigurationError) as caught:
        GongClient(BearerAuth("a-token"), base_url=url)

    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
@pytest.mark.parametrize("path", ["", "/gateway/gong"])
async def test_f144_a_base_url_is_a_prefix(path: str, suffix: str) -> None:
    """Slashes at the end and a pasted `/v2` make no difference; a path is kept."""
    async with Peer() as peer, trial(peer, base_url=f"{peer.url}{path}{suffix}") as case:
        await case.run(update())
        targets = [seen.target for seen in peer.seen]

    assert targets == [f"{path}/v2/meetings/{MEETING_ID}"]


BAD_CREDENTIALS = ["", " ", "a\n", " a", "'a'", '"a"', "ä", "a\0b", "a\x7fb", "\ud800", None, 5]


@pytest.mark.parametrize("value", BAD_CREDENTIALS, ids=ascii)
def test_f145_credentials_that_are_refused(value: Any) -> None:
    """A credential that was copied badly is refused by its name, and never shown."""
    for build in (
        lambda: BasicAuth(value, ACCESS_KEY_SECRET),
        lambda: BasicAuth("a-key", value),
        lambda: BearerAuth(value),
    ):
        with pytest.raises(ConfigurationError) as caught:
            build()

        assert not leaks(str(caught.value))


def test_f145_a_colon_belongs_to_the_secret_alone() -> None:
    """RFC 7617 ends the key at the first colon."""
    with pytest.raises(ConfigurationError):
        BasicAuth("a:b", "secret")

    assert BasicAuth("a", "b:c:d").fingerprint


@pytest.mark.parametrize("agent", ["a\r\nAuthorization: Basic eDp5", "a\nb", "a\0", "", "ä"])
def test_f146_user_agents_that_are_refused(agent: str) -> None:
    """No header can be smuggled in by way of another."""
    with pytest.raises(ConfigurationError):
        GongClient(BearerAuth("a-token"), user_agent=agent)


async def test_f147_ten_thousand_invitees() -> None:
    """One request with all of them."""
    people = [Invitee(email=f"person-{number}@x.example") for number in range(10_000)]
    async with Peer() as peer, trial(peer) as case:
        verdict = await case.run(updating("1", invitees=people))
        bodies = [json.loads(body) for _, _, body in peer.applied]

    assert verdict.error is None
    assert len(bodies) == 1
    assert len(bodies[0]["invitees"]) == 10_000
