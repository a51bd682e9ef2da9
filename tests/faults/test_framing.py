"""D. HTTP framing: F37 to F55. Run with aiohttp's C parser and with its pure-Python one."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import http_parser

from faults.acts import Raw, Truth, http
from faults.always import TIMEOUT, Verdict, trial
from faults.line import Then
from faults.operations import (
    DELETE,
    MEETING_ID,
    UPDATE,
    Operation,
    each_operation,
    update_and_create,
)
from faults.peer import Act, Exchange, Peer, scripted
from gong_async._transport import pool

pytestmark = pytest.mark.looptime

PURE_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
"""Whether aiohttp runs without its C parser, which takes some things differently."""

NOT_HTTP = "ProtocolError not_http"
CUT = "ProtocolError cut"
LOST = "APIConnectionError lost"
OK = b'{"requestId":"r","meetingId":"%s"}' % MEETING_ID.encode()


def _is_no_400(verdict: Verdict) -> bool:
    """Whether an error keeps apart what Gong said and what could not be read."""
    return verdict.error is None or verdict.error.status != 400


@each_operation
@pytest.mark.parametrize(
    "lead",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 3600\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ],
    ids=["100", "100_fifty_times", "103_with_retry_after", "102_and_103"],
)
async def test_f37_interim_answers(operation: Operation, lead: bytes) -> None:
    """Interim answers are passed over, with whatever they ask for."""
    async with scripted([Truth(lead=lead)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"
    assert verdict.seconds < 0.1


async def _hint_forever(exchange: Exchange) -> None:
    await exchange.read()
    while True:
        await exchange.line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(0.05)


@each_operation
async def test_f38_endless_interim_answers(operation: Operation) -> None:
    """Interim answers without end are ended by the attempt's time."""
    async with scripted([_hint_forever]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost("APITimeoutError headers")
    assert verdict.seconds >= TIMEOUT


@each_operation
@pytest.mark.parametrize("then", ["hold", "close"])
async def test_f39_switching_protocols(operation: Operation, then: Then) -> None:
    """A 101 that was not requested is no success, and ends the connection."""
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n\x00"
    async with scripted([Raw(data, then=then)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    assert "ProtocolError unexpected maybe" in str(verdict)
    assert verdict.attempts == 1
    assert verdict.seconds < 0.1
    assert lines == [1, 2]


@each_operation
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(Truth(length=9_999, then="close"), id="f40_length_of_more"),
        pytest.param(
            Raw(http(b"28\r\n" + b"x" * 40, headers=["Transfer-Encoding: chunked"], length=None)),
            id="f41_chunks_without_end",
        ),
    ],
)
async def test_f40_f41_body_shorter_than_promised(operation: Operation, act: Act) -> None:
    """A body that ends before its time is no answer, whether or not its JSON looks whole."""
    async with Peer(always=act) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.lost(CUT, attempts=2 if operation.writes else 4)


@each_operation
async def test_f41_whole_json_in_chunks_without_end(operation: Operation) -> None:
    """That the JSON parses does not make a body whole."""

    async def act(exchange: Exchange) -> None:
        body = await exchange.truth()
        chunk = b"%x\r\n%s\r\n" % (len(body), body)
        data = http(chunk, headers=["Transfer-Encoding: chunked"], length=None)
        await Raw(data)(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost(CUT)


def _chunked(body: bytes, *headers: str) -> bytes:
    return http(body, headers=["Transfer-Encoding: chunked", *headers], length=None)


@each_operation
@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}garbage\r\n0\r\n\r\n",
        b"fffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"\r\n\r\n",
    ],
    ids=["letters", "negative", "0x", "longer_chunk", "overflow", "empty"],
)
async def test_f42_bad_chunk_size(operation: Operation, body: bytes) -> None:
    """Broken chunks are a broken answer, and not Gong's 400."""
    async with scripted([Raw(_chunked(body))]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) in {operation.once_lost(CUT), operation.once_lost(NOT_HTTP)}
    assert _is_no_400(verdict)


@update_and_create
@pytest.mark.parametrize(
    "flood",
    [
        b"22;" + b"x" * 1_000_000 + b"\r\n" + b" " * 34 + b"\r\n0\r\n\r\n",
        b"1;a=b\r\n \r\n" * 30_000 + b"0\r\n\r\n",
        b"2\r\n{}\r\n0\r\n" + b"Trailer: x\r\n" * 100_000 + b"\r\n",
        b"2\r\n{}\r\n0\r\nTrailer: " + b"x" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=["extension", "many_extensions", "many_trailers", "long_trailer"],
)
async def test_f43_chunk_flood(operation: Operation, flood: bytes) -> None:
    """Floods beside the body come to an end, with an error or not, and do not pile up."""
    async with scripted([Raw(_chunked(flood), then="keep")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert verdict.error is None or verdict.error.outcome_unknown
    assert _is_no_400(verdict)


@each_operation
@pytest.mark.parametrize("bad", [b"zz\r\nmore\r\n", b"-5\r\n", b"\r\n\r\n"], ids=ascii)
async def test_f42_bad_chunk_that_comes_late(operation: Operation, bad: bytes) -> None:
    """A framing that goes wrong while the body is read is an answer that was cut short.

    On a connection that is not kept aiohttp may say nothing: then the attempt's time ends it.
    """

    async def act(exchange: Exchange) -> None:
        body = await exchange.truth()
        head = http(headers=["Transfer-Encoding: chunked"], length=None)
        await exchange.apply()
        await exchange.line.send(head + b"%x\r\n%b\r\n" % (len(body), body))
        await asyncio.sleep(0.1)
        await exchange.line.send(bad)
        await exchange.line.end("close")

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    silent = "APITimeoutError body"
    assert str(verdict) in {operation.once_lost(kind) for kind in (NOT_HTTP, CUT, silent)}


@each_operation
@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", "Content-Length: 40"),
        ("Content-Length: -5",),
        ("Content-Length: 1e2",),
        ("Content-Length: 0x10",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length: +53",),
        ("Content-Length: 53, 54",),
        ("Content-Length: 53", "Transfer-Encoding: chunked"),
    ],
    ids=["two", "negative", "exponent", "hex", "huge", "sign", "list", "and_chunked"],
)
async def test_f44_odd_length(operation: Operation, headers: tuple[str, ...]) -> None:
    """An answer whose length is not clear is not believed, and its connection not used again."""
    act = Raw(http(OK, headers=headers, length=None), then="close")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    assert str(verdict) in {operation.once_lost(kind) for kind in (NOT_HTTP, CUT, LOST)}
    assert _is_no_400(verdict)
    assert lines.count(1) == 1


@each_operation
@pytest.mark.parametrize(
    "headers",
    [
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: nonsense", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
    ids=["unasked", "unknown", "twice"],
)
async def test_f44_odd_transfer_coding(operation: Operation, headers: tuple[str, ...]) -> None:
    """An answer in a coding that we never offered is not believed, whole as it may look."""

    async def act(exchange: Exchange) -> None:
        body = await exchange.truth()
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        await Raw(http(chunks, headers=headers, length=None), then="keep")(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    assert str(verdict) in {operation.once_lost(kind) for kind in (NOT_HTTP, CUT)}
    assert lines.count(1) == 1


@each_operation
async def test_f45_no_length_on_an_open_connection(operation: Operation) -> None:
    """A body that has neither a length nor an end is waited for as long as an attempt lasts."""
    act = Truth(length=None, then="hold")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost("APITimeoutError body")


@each_operation
@pytest.mark.parametrize("keep", [None, 12], ids=["whole", "cut"])
async def test_f46_http_1_0_until_closed(operation: Operation, keep: int | None) -> None:
    """HTTP/1.0 without a length: the end of the connection ends the body, JSON says if too soon."""

    async def act(exchange: Exchange) -> None:
        body = (await exchange.truth())[:keep]
        data = http(body, length=None).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        await Raw(data)(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == (operation.once_lost(CUT) if keep else "ok after 1")


@each_operation
@pytest.mark.parametrize(
    "data",
    [
        b'{"meetingId":"1"}',
        b"garbage\r\n\r\n",
        bytes(range(256)) * 8,
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
        b"220 mail.example ESMTP ready\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
    ],
    ids=["http_0.9", "text", "binary", "alert", "h2_frame", "smtp", "ssh", "http_2", "icy"],
)
async def test_f47_not_http(operation: Operation, data: bytes) -> None:
    """Something that is no HTTP server: repeated once at the most, with a word about it."""
    async with Peer(always=Raw(data)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    expected = {operation.lost(NOT_HTTP, attempts=2)}
    if PURE_PYTHON:
        expected |= {operation.lost(LOST, attempts=4)}
    assert str(verdict) in expected
    assert _is_no_400(verdict)
    assert "HTTP" in str(verdict.failure) or PURE_PYTHON


@each_operation
@pytest.mark.parametrize(
    "line",
    [
        "HTTP/1.1 abc OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 ٢٠٠ OK",
        "HTTP/x.y 200 OK",
        "HTTP/1.1",
        "HTTP 200 OK",
        "http/1.1 200 ok",
        "HTTP/9.9 200 OK",
    ],
)
async def test_f48_bad_status_line(operation: Operation, line: str) -> None:
    """A status line that is none: a broken answer, and not Gong's 400."""
    data = http(OK, headers=["Connection: close"]).replace(b"HTTP/1.1 200 OK", line.encode(), 1)
    async with scripted([Raw(data)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    allowed = {operation.once_lost(kind) for kind in (NOT_HTTP, LOST)}
    assert str(verdict) in allowed
    assert _is_no_400(verdict)


@each_operation
@pytest.mark.parametrize("status", ["200", "200 ", "200 Everything is fine"])
async def test_f48_reason_does_not_matter(operation: Operation, status: str) -> None:
    """Without a reason, or with any other, a 200 is a success."""
    async with scripted([Truth(status=status)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@each_operation
@pytest.mark.parametrize("kind", ["bare_lf", "folded", "blank_before_colon", "blank_name"])
async def test_f49_sloppy_lines(operation: Operation, kind: str) -> None:
    """Lines that no careful server sends are taken or refused; nothing hangs."""

    async def act(exchange: Exchange) -> None:
        data = http(await exchange.truth(), headers=["X-Folded: a"])
        data = {
            "bare_lf": data.replace(b"\r\n", b"\n"),
            "folded": data.replace(b"X-Folded: a", b"X-Folded: a\r\n b"),
            "blank_before_colon": data.replace(b"X-Folded:", b"X-Folded :"),
            "blank_name": data.replace(b"X-Folded:", b":"),
        }[kind]
        await Raw(data, then="keep")(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    allowed = {operation.once_lost(kind) for kind in (NOT_HTTP, LOST, CUT)} | {"ok after 1"}
    assert str(verdict) in allowed
    assert verdict.seconds < 2


ODD = {
    "controls": b"\x1b[31mred\x07",
    "latin_1": b"caf\xe9",
    "utf_8": "☃ \u202e".encode(),
    "broken_utf_8": b"\xff\xfe\xc3",
    "nul": b"a\x00b",
}


@each_operation
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["reason", "header", "content_type", "request_id"])
async def test_f50_odd_bytes_in_the_head(operation: Operation, odd: str, place: str) -> None:
    """Odd bytes in headers or in the reason break nothing that is shown or logged."""
    raw = ODD[odd]
    body = b"<html>an error page</html>"
    lines = {
        "reason": b"HTTP/1.1 404 " + raw + b"\r\nContent-Type: text/html",
        "header": b"HTTP/1.1 404 No\r\nContent-Type: text/html\r\nX-Any: " + raw,
        "content_type": b"HTTP/1.1 206 No\r\nContent-Type: text/" + raw,
        "request_id": b"HTTP/1.1 404 No\r\nContent-Type: text/html\r\nx-traceid: " + raw,
    }[place]
    data = lines + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with Peer(always=Raw(data, then="keep")) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        shown = str(verdict.failure) + repr(verdict.failure) + repr(vars(verdict.failure))

    assert shown.isprintable()
    assert shown.encode()
    assert str(verdict).split()[0] in {"NotFoundError", "ProtocolError", "APIConnectionError"}


PIECE = 16_384
"""Bytes of an answer that arrive at a time."""

BOUNDS = {
    "usual": ([8_200], True),
    "largest": ([65_536], True),
    "too_large": ([65_537], False),
    "all_largest": ([50_000] * 5, True),
    "all_too_large": ([60_000] * 5, False),
    "most": ([10] * 126, True),
    "too_many": ([10] * 127, False),
}
"""Sizes of headers beside the two that the answer has anyway, and whether they are taken."""


async def _with_headers(exchange: Exchange, sizes: list[int], place: str, *, pieces: bool) -> None:
    body = await exchange.truth()
    names = [f"X-{number:03}" for number in range(len(sizes))]
    if place == "name":
        headers = [f"{name}{'n' * (size - 6)}: v" for name, size in zip(names, sizes, strict=True)]
    else:
        blanks = " " * (65_536 if place == "blanks" else 1)
        headers = [
            f"{name}:{blanks}{'v' * (size - 5)}" for name, size in zip(names, sizes, strict=True)
        ]
    piece = PIECE if pieces else None
    await Raw(http(body, headers=headers), then="keep", piece=piece, interval=0)(exchange)


@update_and_create
@pytest.mark.parametrize(
    ("bound", "place"),
    [*((bound, place) for bound in BOUNDS for place in ("value", "name")), ("largest", "blanks")],
)
@pytest.mark.parametrize("pieces", [False, True], ids=["at_once", "in_pieces"])
@pytest.mark.parametrize("own", [True, False], ids=["own_connections", "session_of_the_caller"])
async def test_f51_bounds_on_headers(
    operation: Operation, bound: str, place: str, *, pieces: bool, own: bool
) -> None:
    """The bounds are ours, and the same with either parser and through any session."""
    sizes, taken = BOUNDS[bound]

    async def act(exchange: Exchange) -> None:
        await _with_headers(exchange, sizes, place, pieces=pieces)

    async with AsyncExitStack() as stack:
        session = None if own else await stack.enter_async_context(aiohttp.ClientSession())
        peer = await stack.enter_async_context(scripted([act]))
        case = await stack.enter_async_context(trial(peer, session=session, closes=own))
        verdict = await case.run(operation)

    assert str(verdict) == ("ok after 1" if taken else operation.once_lost(NOT_HTTP))


LENGTHS = {
    "two": ["Content-Length: {}", "Content-Length: 2"],
    "two_reversed": ["Content-Length: 2", "Content-Length: {}"],
    "two_alike": ["Content-Length: {}", "Content-Length: {}"],
    "other_case": ["content-length: {}", "CONTENT-LENGTH: 2"],
    "far_apart": ["Content-Length: {}", *["X-Any: a"] * 20, "Content-Length: 0"],
    "with_chunks": ["Content-Length: {}", "Transfer-Encoding: chunked"],
}


@each_operation
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("own", [True, False], ids=["own_connections", "session_of_the_caller"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_f44_two_lengths(
    operation: Operation, lengths: str, status: str, *, own: bool
) -> None:
    """Whichever of them is right, nothing behind them can be distinguished from the next answer."""

    async def act(exchange: Exchange) -> None:
        body = await exchange.truth()
        headers = [line.format(len(body)) for line in LENGTHS[lengths]]
        await Raw(http(body, status=status, headers=headers, length=None), then="keep")(exchange)

    async with AsyncExitStack() as stack:
        session = None if own else await stack.enter_async_context(aiohttp.ClientSession())
        peer = await stack.enter_async_context(scripted([act]))
        case = await stack.enter_async_context(trial(peer, session=session, closes=own))
        verdict = await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    allowed = {operation.once_lost(kind) for kind in (NOT_HTTP, CUT, LOST)}
    if status.startswith("404"):
        allowed.add("NotFoundError 404 answered known after 1")
    assert str(verdict) in allowed
    assert lines.count(1) == 1


@each_operation
@pytest.mark.parametrize(
    "upgrade", [[], ["Upgrade: websocket", "Connection: Upgrade"], ["Upgrade: h2c"]]
)
@pytest.mark.parametrize("own", [True, False], ids=["own_connections", "session_of_the_caller"])
async def test_f41_no_reuse_after_another_protocol(
    operation: Operation, upgrade: list[str], *, own: bool
) -> None:
    """After a 101 the protocol of the connection is unknown."""
    data = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *upgrade, "", ""]).encode()
    async with AsyncExitStack() as stack:
        session = None if own else await stack.enter_async_context(aiohttp.ClientSession())
        peer = await stack.enter_async_context(scripted([Raw(data, then="keep")]))
        case = await stack.enter_async_context(trial(peer, session=session, closes=own))
        await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    assert lines.count(1) == 1
    assert len(lines) >= 2


@update_and_create
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 1_000_000,
        b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(b"X-%d: y" % n for n in range(10_000)),
        b"HTTP/1.1 200 " + b"x" * 1_000_000,
        b"HTTP/1.1 404 " + b"x" * 4_000,
    ],
    ids=["header", "headers", "reason", "long_reason_of_an_error"],
)
async def test_f51_huge_head(operation: Operation, head: bytes) -> None:
    """A head without measure is refused, with a message of a sensible length."""
    data = head + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with Peer(always=Raw(data, then="keep")) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        most = await case.peak_memory(operation)

    assert str(verdict.failure.message).isprintable() and len(verdict.failure.message) <= 500
    assert _is_no_400(verdict)
    assert most < 32 * 1024 * 1024


@pytest.mark.parametrize("length", [None, len(OK)], ids=["no_length", "length"])
async def test_f52_no_content_with_content(length: int | None) -> None:
    """A 204 ends with its head; what comes behind it harms no later call."""

    async def act(exchange: Exchange) -> None:
        await exchange.apply()
        await exchange.line.send(http(b"", status="204 No Content", length=length))
        await asyncio.sleep(0.01)
        await exchange.line.send(OK)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(DELETE)
        await asyncio.sleep(0.1)
        later = [str(await case.run(DELETE)) for _ in range(2)]

    assert str(verdict) == "ok after 1"
    assert verdict.result and verdict.result.meta.status == 204
    assert later == ["ok after 1"] * 2


@pytest.mark.parametrize("operation", [UPDATE, DELETE], ids=str)
@pytest.mark.parametrize("length", [None, -1], ids=["no_length", "length"])
async def test_f52_no_content_with_content_at_once(
    operation: Operation, length: int | None
) -> None:
    """In one segment with its head, the body of a 204 may make it unreadable, but nothing else."""
    act = Raw(http(OK, status="204 No Content", length=length), then="keep")
    async with scripted([act]) as peer, trial(peer) as case:
        spoiled, *later = [str(await case.run(operation)) for _ in range(3)]

    believed = "ok after 1" if operation is DELETE else NO_BODY
    assert spoiled in {believed, operation.once_lost(NOT_HTTP)}
    assert later == ["ok after 1"] * 2


NO_BODY = "ProtocolError content maybe unknown after 1"


@each_operation
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "200 OK with blanks"])
async def test_f53_no_body(operation: Operation, status: str) -> None:
    """Without a body a deletion is a success; anything else may have been applied, or not."""
    body = b" \r\n" if "blanks" in status else b""
    act = Raw(http(body, status=status), then="keep")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    doubt = "unknown" if operation.writes else "known"
    assert str(verdict) == (
        "ok after 1" if operation is DELETE else f"ProtocolError content maybe {doubt} after 1"
    )


async def test_f53_no_body_has_no_request_id() -> None:
    """A success without a body names the meeting that was asked for, and no request id."""
    act = Raw(http(b"", status="204 No Content"), then="keep")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(DELETE)

    assert getattr(verdict.result, "meeting_id", None) == MEETING_ID
    assert verdict.result and verdict.result.request_id is None


@each_operation
async def test_f54_one_byte_per_segment(operation: Operation) -> None:
    """An answer in the smallest of pieces is an answer."""
    act = Truth(piece=1, interval=0.001)
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@pytest.mark.skipif(PURE_PYTHON, reason="this is the run that the test below starts")
@pytest.mark.full
@pytest.mark.parametrize("chosen", ["flood", "test"])
def test_f55_pure_python_parser(chosen: str) -> None:
    """Everything above holds with the parser that aiohttp has where it could not be compiled."""
    environ = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    options = ["-q", "-x", "--full", "-p", "no:cacheprovider", "-k", f"{chosen} or pure_python"]
    command = [sys.executable, "-m", "pytest", *options, __file__]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-4000:]
    assert re.search(r"\d+ passed, 2 skipped", run.stdout)  # only this test is skipped there


async def test_f55_pure_python_parser_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """An operator reads once, and only where it is so, that the weaker parser is at work."""
    pool._warn_of_aiohttp.cache_clear()
    for _ in range(2):
        async with scripted() as peer, trial(peer) as case:
            await case.run(UPDATE)

    reported = [record for record in caplog.records if "pure-Python parser" in record.message]
    assert len(reported) == (1 if PURE_PYTHON else 0)
