"""The scripted faults, as a bare socket sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
import pytest_asyncio
from attrs import frozen

from gong_async.testing import FAULT_NAMES, FakeGong, Fault, FaultRule, Operation, parse_fault
from gong_async.testing.faults import FORGED_RESPONSE, NOT_HTTP

MEETING = (
    b'{"startTime":"2026-03-01T10:00:00Z","endTime":"2026-03-01T10:30:00Z",'
    b'"invitees":[],"organizerEmail":"organizer@example.com"}'
)
ORGANIZER = b'{"organizerEmail":"organizer@example.com"}'


@frozen
class Heard:
    """What came back, and how it ended."""

    data: bytes
    end: Literal["closed", "reset", "silence"]

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.data.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        """The status line and the headers."""
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """What follows the headers."""
        return self.data.partition(b"\r\n\r\n")[2]


@frozen
class Line:
    """One connection to the fake, without any HTTP library."""

    fake: FakeGong
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(
        self,
        method: str = "PUT",
        path: str = "/v2/meetings/42",
        body: bytes = MEETING,
        *,
        connection: str = "keep-alive",
    ) -> None:
        """Send a request and do not wait."""
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: fake",
            f"Authorization: {self.fake.authorization}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Connection: {connection}",
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def hear(self, seconds: float) -> Heard:
        """Read until the connection ends, or for so many seconds."""
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while block := await self.reader.read(65536):
                    data += block
        except ConnectionResetError:
            return Heard(data, "reset")
        except TimeoutError:
            return Heard(data, "silence")
        return Heard(data, "closed")


@asynccontextmanager
async def call(fake: FakeGong) -> AsyncIterator[Line]:
    """Open a connection to the fake."""
    reader, writer = await asyncio.open_connection(*fake.url.removeprefix("http://").split(":"))
    try:
        yield Line(fake, reader, writer)
    finally:
        writer.close()


async def one(fake: FakeGong, fault: Fault, *, seconds: float = 5) -> Heard:
    """Send one update that is struck by a fault, on a connection of its own."""
    fake.script(fault)
    async with call(fake) as line:
        line.send(connection="close")
        return await line.hear(seconds)


async def struck(fake: FakeGong, requests: int, *, meeting_id: str = "42") -> list[int]:
    """Send updates one after another; return the places of those that were struck, from 1."""
    async with call(fake) as line:
        for _ in range(requests):
            line.send(path=f"/v2/meetings/{meeting_id}")
            head = await line.reader.readuntil(b"\r\n\r\n")
            length = next(h for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
            await line.reader.readexactly(int(length.partition(b":")[2]))
    requests_seen = fake.received[-requests:]
    return [place for place, request in enumerate(requests_seen, 1) if request.fault is not None]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """A fake without limits."""
    async with FakeGong(per_second=None, per_day=None, seed=1) as fake:
        yield fake


@pytest.mark.parametrize(
    ("fault", "end", "applied"),
    [
        (Fault.drop_before(), "closed", 0),
        (Fault.drop_after(), "closed", 1),
        (Fault.reset_before(), "reset", 0),
        (Fault.reset_after(), "reset", 1),
    ],
)
async def test_a_lost_answer(fake: FakeGong, fault: Fault, end: str, applied: int) -> None:
    """The connection ends without a byte: closed or reset, before or after the change."""
    heard = await one(fake, fault)

    assert (heard.data, heard.end) == (b"", end)
    assert len(fake.applied) == applied
    assert (fake.received[0].status, fake.received[0].fault) == (None, fault.name)
    assert fake.counts == {0: 1}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v2/meetings", MEETING),
        ("PUT", "/v2/meetings/42", MEETING),
        ("DELETE", "/v2/meetings/42", ORGANIZER),
        ("POST", "/v2/meetings/integration/status", b"{}"),
        ("GET", "/v2/users", b""),
    ],
)
@pytest.mark.parametrize("name", FAULT_NAMES)
async def test_every_fault_strikes_every_operation(
    fake: FakeGong, name: str, method: str, path: str, body: bytes
) -> None:
    """No fault breaks the fake itself, whatever it strikes; the next request is served."""
    fake.script(parse_fault(f"{name}=0.01" if name in ("latency", "applied_late") else name).fault)
    async with call(fake) as line:
        line.send(method, path, body, connection="close")
        await line.hear(0.05)
    async with call(fake) as line:
        line.send("GET", "/v2/users", b"")
        after = await line.reader.readline()

    assert fake.received[0].fault == name
    assert after.startswith(b"HTTP/1.1 200 ")


@pytest.mark.looptime
@pytest.mark.parametrize(("apply", "applied"), [(False, 0), (True, 1)])
async def test_a_stall_without_end(apply: bool, applied: int) -> None:  # noqa: FBT001
    """Nothing is ever answered; whether the change takes effect is scripted."""
    async with FakeGong(per_second=None) as fake:
        heard = await one(fake, Fault.stall(apply=apply), seconds=3600)

    assert (heard.data, heard.end) == (b"", "silence")
    assert len(fake.applied) == applied


@pytest.mark.looptime
@pytest.mark.parametrize(("apply", "applied_at"), [(False, 5.0), (True, 0.0)])
async def test_a_stall_that_ends(apply: bool, applied_at: float) -> None:  # noqa: FBT001
    """The answer comes late; the change takes effect on arrival or just before the answer."""
    async with FakeGong(per_second=None) as fake:
        heard = await one(fake, Fault.stall(5, apply=apply), seconds=6)

    assert heard.status == 200
    assert fake.applied[0].at - fake.received[0].at == pytest.approx(applied_at, abs=0.1)


@pytest.mark.looptime
async def test_a_late_change_does_not_need_its_caller() -> None:
    """A caller who gives up after a second cannot stop a change that comes after five."""
    async with FakeGong(per_second=None) as fake:
        heard = await one(fake, Fault.stall(5), seconds=1)
        before = len(fake.applied)
        await asyncio.sleep(5)

    assert (heard.end, before, len(fake.applied)) == ("silence", 0, 1)


@pytest.mark.looptime
async def test_a_change_after_the_error() -> None:
    """The gateway gives up with 504, and the change takes effect afterwards."""
    async with FakeGong(per_second=None) as fake:
        heard = await one(fake, Fault.applied_late(3, status=504), seconds=1)
        before = len(fake.applied)
        await asyncio.sleep(3)

    assert (heard.status, before, len(fake.applied)) == (504, 0, 1)


@pytest.mark.looptime
async def test_latency() -> None:
    """The call takes so long, and is otherwise well."""
    async with FakeGong(per_second=None) as fake:
        early = await one(fake, Fault.latency(2), seconds=1.9)
        well = await one(fake, Fault.latency(2), seconds=2.1)

    assert (early.data, well.status) == (b"", 200)


@pytest.mark.looptime
async def test_a_slow_drip() -> None:
    """The answer arrives whole, a few bytes at a time, beginning with the status line."""
    async with FakeGong(per_second=None) as fake:
        fake.script(Fault.slow_drip(4, interval=1.0))
        loop = asyncio.get_running_loop()
        async with call(fake) as line:
            start = loop.time()
            line.send()
            first = await line.reader.read(100)
            rest = await line.hear(1000)
            took = loop.time() - start

    heard = Heard(first + rest.data, rest.end)
    assert (first, heard.end) == (b"HTTP", "closed")
    assert json.loads(heard.body)["meetingId"] == "42"
    assert took == pytest.approx(-(-len(heard.data) // 4), abs=1.1)


async def test_a_truncated_body(fake: FakeGong) -> None:
    """The headers promise more than comes before the connection is closed."""
    heard = await one(fake, Fault.truncate(7))
    promised = int(heard.head.lower().partition(b"content-length: ")[2].split()[0])

    assert (heard.status, heard.body, heard.end) == (200, b'{"reque', "closed")
    assert promised > 7
    assert len(fake.applied) == 1


async def test_a_status_in_the_envelope(fake: FakeGong) -> None:
    """Any status in Gong's envelope, with the trace header; the change does not take effect."""
    heard = await one(fake, Fault.status(500, errors=("Internal server error occurred",)))
    payload = json.loads(heard.body)

    assert heard.status == 500
    assert payload["errors"] == ["Internal server error occurred"]
    assert f"x-traceid: {payload['requestId']}".encode() in heard.head
    assert fake.applied == []


async def test_a_status_with_a_body_of_any_kind(fake: FakeGong) -> None:
    """The body, its type and further headers can be set; the change may take effect anyway."""
    fault = Fault.status(
        503, headers={"Retry-After": "7"}, body=b"\xff", content_type="text/plain", apply=True
    )
    heard = await one(fake, fault)

    assert (heard.status, heard.body) == (503, b"\xff")
    assert b"Retry-After: 7" in heard.head
    assert b"Content-Type: text/plain" in heard.head
    assert len(fake.applied) == 1


@pytest.mark.parametrize("retry_after", ["30", "0", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", None])
async def test_a_rate_limit(fake: FakeGong, retry_after: str | None) -> None:
    """429 with any Retry-After, sensible or not, or without; the limits have no part in it."""
    heard = await one(fake, Fault.rate_limited(retry_after))
    sent = [line for line in heard.head.split(b"\r\n") if line.startswith(b"Retry-After: ")]

    assert heard.status == 429
    assert sent == ([] if retry_after is None else [f"Retry-After: {retry_after}".encode()])
    assert (fake.quota_refusals, fake.applied) == (0, [])


async def test_a_conflict(fake: FakeGong) -> None:
    """409 with the keys for an admin."""
    heard = await one(fake, Fault.conflict("Reconnect.", fix_url="https://fix"))
    payload = json.loads(heard.body)

    assert heard.status == 409
    assert payload["userFacingError"] == "Reconnect."
    assert (payload["fixUrl"], payload["helpUrl"]) == ("https://fix", "")


async def test_a_web_page(fake: FakeGong) -> None:
    """A gateway's page in place of JSON, with any status, even a good one."""
    heard = await one(fake, Fault.html(200))

    assert heard.status == 200
    assert heard.body.startswith(b"<!doctype html>")
    assert b"text/html" in heard.head
    assert fake.applied == []


async def test_a_redirect(fake: FakeGong) -> None:
    """The caller is sent elsewhere."""
    heard = await one(fake, Fault.redirect("http://other.example/x", status=307))

    assert (heard.status, heard.body) == (307, b"")
    assert b"Location: http://other.example/x" in heard.head


@pytest.mark.parametrize(("status", "applied"), [(200, 1), (204, 1), (502, 0)])
async def test_an_empty_answer(fake: FakeGong, status: int, applied: int) -> None:
    """No body at all; a good status means that the change took effect."""
    heard = await one(fake, Fault.empty(status))

    assert (heard.status, heard.body, len(fake.applied)) == (status, b"", applied)


async def test_an_answer_for_another_meeting(fake: FakeGong) -> None:
    """The change takes effect on the right meeting, but the answer names another."""
    heard = await one(fake, Fault.wrong_id("666"))

    assert json.loads(heard.body)["meetingId"] == "666"
    assert fake.applied[0].meeting_id == "42"


async def test_an_oversized_answer(fake: FakeGong) -> None:
    """The body is valid JSON of exactly so many bytes."""
    heard = await one(fake, Fault.oversized(3_000_001))

    assert len(heard.body) == 3_000_001
    assert json.loads(heard.body)["meetingId"] == "42"


@pytest.mark.parametrize(
    ("fault", "data", "end", "applied"),
    [
        (Fault.raw(), NOT_HTTP, "closed", 0),
        (Fault.raw(b"HTTP/1.1 200 OK\r\n", apply=True, then="keep"), b"HTTP/1.1 200 OK\r\n",
         "silence", 1),
        (Fault.raw(b"", then="reset"), b"", "reset", 0),
    ],
)  # fmt: skip
async def test_any_bytes(fake: FakeGong, fault: Fault, data: bytes, end: str, applied: int) -> None:
    """Whatever is scripted goes on the wire as it is, and the connection ends as scripted."""
    heard = await one(fake, fault, seconds=0.2)

    assert (heard.data, heard.end, len(fake.applied)) == (data, end, applied)


async def test_a_second_response(fake: FakeGong) -> None:
    """A good answer, a forged one a moment later, and the connection goes on serving."""
    fake.script(Fault.surplus())
    async with call(fake) as line:
        line.send()
        first = await line.reader.readuntil(b'"42"}')
        forged = await line.reader.readexactly(len(FORGED_RESPONSE))
        line.send(path="/v2/meetings/43")
        next_one = await line.reader.readuntil(b'"43"}')

    assert (Heard(first, "silence").status, forged) == (200, FORGED_RESPONSE)
    assert Heard(next_one, "silence").status == 200
    assert [request.connection for request in fake.received] == [1, 1]


async def test_faults_queue_up(fake: FakeGong) -> None:
    """Scripted one after the other, they strike one after the other, and then no more."""
    fake.script(Fault.status(500))
    fake.script(Fault.rate_limited(), times=2)
    fake.script(Fault.html())
    await struck(fake, 6)

    assert [request.status for request in fake.received] == [500, 429, 429, 502, 200, 200]


async def test_a_fault_on_a_meeting(fake: FakeGong) -> None:
    """Only requests about that meeting are struck."""
    fake.script(Fault.status(500), on="7")
    other = await struck(fake, 1, meeting_id="8")
    own = await struck(fake, 2, meeting_id="7")

    assert (other, own) == ([], [1])


async def test_a_fault_on_an_operation(fake: FakeGong) -> None:
    """Only requests for that operation are struck."""
    fake.script(Fault.status(500), on="listUsers")
    update = await struck(fake, 1)
    async with call(fake) as line:
        line.send("GET", "/v2/users", b"")
        first = await line.reader.readline()

    assert (update, first.split()[1]) == ([], b"500")


async def test_a_fault_on_the_nth_request(fake: FakeGong) -> None:
    """It strikes once, at its place among the matching requests."""
    fake.script(Fault.status(500), nth=3)

    assert await struck(fake, 6) == [3]


async def test_a_fault_on_every_nth_request(fake: FakeGong) -> None:
    """It strikes again and again, as long as `times` lasts."""
    fake.script(Fault.status(500), every=2, times=2)

    assert await struck(fake, 8) == [2, 4]


async def test_a_fault_without_end(fake: FakeGong) -> None:
    """It strikes until the script is cleared."""
    fake.script(Fault.status(500), times=None)
    before = await struck(fake, 3)
    fake.clear_script()

    assert (before, await struck(fake, 3)) == ([1, 2, 3], [])


async def test_a_refused_request_uses_up_no_fault(fake: FakeGong) -> None:
    """What the limits refuse is not struck; the fault waits for the next one."""
    fake.quota.per_day = 0
    fake.script(Fault.status(500))
    refused = await struck(fake, 2)
    fake.quota.per_day = None

    assert (refused, await struck(fake, 2)) == ([], [1])


async def test_chance_is_repeatable() -> None:
    """With the same seed, the same requests are struck; in the long run, the scripted share."""
    runs = list[list[int]]()
    for _ in range(2):
        rates = {"status": 0.2}
        async with FakeGong(per_second=None, fault_rates=rates, seed=5) as fake:
            runs.append(await struck(fake, 300))

    assert runs[0] == runs[1]
    assert len(runs[0]) == pytest.approx(60, abs=20)


async def test_rules_can_be_given_from_the_start() -> None:
    """As the command line does: what `parse_fault` reads goes into the constructor."""
    rules = [parse_fault("status=503@2"), parse_fault("rate_limited=9@4")]
    async with FakeGong(per_second=None, faults=rules) as fake:
        await struck(fake, 5)

    assert [request.status for request in fake.received] == [200, 503, 200, 429, 200]


def spellings() -> Iterator[tuple[str, FaultRule]]:
    """Pair every form of spelling with what it means."""
    yield "drop_after", FaultRule(fault=Fault.drop_after())
    yield "drop_after@3", FaultRule(fault=Fault.drop_after(), nth=3)
    yield "drop_after@5%", FaultRule(fault=Fault.drop_after(), share=0.05)
    yield "status=500@2%", FaultRule(fault=Fault.status(500), share=0.02)
    yield "status=500@0.5%", FaultRule(fault=Fault.status(500), share=0.005)
    yield "rate_limited=30@10", FaultRule(fault=Fault.rate_limited("30"), nth=10)
    yield "stall=5@1%", FaultRule(fault=Fault.stall(5), share=0.01)
    yield "stall", FaultRule(fault=Fault.stall())
    yield "latency=0.25", FaultRule(fault=Fault.latency(0.25))
    yield "html=403", FaultRule(fault=Fault.html(403))
    yield "wrong_id=7", FaultRule(fault=Fault.wrong_id("7"))
    yield (
        "redirect=https://a:b@c.example/",
        FaultRule(fault=Fault.redirect("https://a:b@c.example/")),
    )
    yield (
        "redirect=https://a@c.example/@2",
        FaultRule(fault=Fault.redirect("https://a@c.example/"), nth=2),
    )
    yield " truncate = 9 @ 2", FaultRule(fault=Fault.truncate(9), nth=2)


@pytest.mark.parametrize(("text", "rule"), list(spellings()))
def test_spelling(text: str, rule: FaultRule) -> None:
    """A fault, an argument, and when it strikes, in one word."""
    assert parse_fault(text) == rule


@pytest.mark.parametrize("name", FAULT_NAMES)
def test_every_fault_can_be_spelled(name: str) -> None:
    """Each has a name that stands alone, which is also the name in the record."""
    assert parse_fault(name).fault.name == name


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "drop_after"),
        ("explode", "known: status, rate_limited"),
        ("status=much", "much"),
        ("status=", "argument"),
        ("drop_after=5", "takes no argument"),
        ("drop_after@", "number or a percentage"),
        ("drop_after@x", "number or a percentage"),
        ("drop_after@1.5", "number or a percentage"),
        ("status=500@x", "argument"),
        ("drop_after@0", "count from 1"),
        ("drop_after@101%", "between 0 and 1"),
        ("latency=nan", "argument"),
        ("latency=-1", "argument"),
        ("slow_drip=0", "argument"),
    ],
)
def test_a_wrong_spelling_is_explained(text: str, word: str) -> None:
    """A mistake is answered with what would have been right."""
    with pytest.raises(ValueError, match=word):
        parse_fault(text)


@pytest.mark.parametrize("on", ["update", "", "12a"])
async def test_a_script_on_nothing_is_refused(fake: FakeGong, on: Operation) -> None:
    """What is neither a meeting's id nor an operation could never be struck."""
    with pytest.raises(ValueError, match="updateMeeting"):
        fake.script(Fault.html(), on=on)


def test_an_unknown_rate_is_refused() -> None:
    """A fault that does not exist has no rate."""
    with pytest.raises(ValueError, match="known:"):
        FakeGong(fault_rates={"explode": 0.5})
