"""E. Content: F56 to F79."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from faults.acts import Raw, Truth, http, json_errors
from faults.always import SPELLINGS, leaks, trial
from faults.line import Then
from faults.operations import (
    CREATE,
    DELETE,
    MEETING_ID,
    STATUS,
    UPDATE,
    Operation,
    each_operation,
    update_and_create,
)
from faults.peer import Act, Exchange, Peer, scripted

pytestmark = pytest.mark.looptime

PAGE = (
    b"<!doctype html><html><head><title>Sign in</title></head><body>"
    + b"<p>Please sign in.</p>" * 50
    + b"</body></html>"
)
CUT = "ProtocolError cut"
MEBIBYTE = 1024 * 1024


def _in_doubt(operation: Operation, flaw: str, kind: str = "ProtocolError") -> str:
    """Return how a call ends that is not repeated because that would not help."""
    outcome = "unknown" if operation.writes else "known"
    return f"{kind} {flaw} maybe {outcome} after 1"


def _page(status: str, content_type: str | None = "text/html; charset=utf-8") -> Raw:
    return Raw(http(PAGE, status=status, content_type=content_type), then="keep")


def _said(body: bytes | str, status: str = "200 OK", *headers: str) -> Raw:
    data = body.encode() if isinstance(body, str) else body
    return Raw(http(data, status=status, headers=headers), then="keep")


def _rewritten(
    change: Callable[[bytes], bytes], *headers: str, content_type: str | None = "application/json"
) -> Act:
    """Answer the truth, with its bytes changed."""

    async def act(exchange: Exchange) -> None:
        body = change(await exchange.truth())
        data = http(body, headers=headers, content_type=content_type)
        await Raw(data, then="keep")(exchange)

    return act


@each_operation
@pytest.mark.parametrize("content_type", ["text/html", "application/json", None])
async def test_f56_web_page_as_success(operation: Operation, content_type: str | None) -> None:
    """A 200 with a web page is no success; the error shows what came, and not all of it."""
    async with scripted([_page("200 OK", content_type)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "content")
    assert (content_type or "no content type") in verdict.failure.message
    assert "Sign in" in verdict.failure.message
    assert len(verdict.failure.message) < 400


@each_operation
@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("403 Forbidden", "PermissionDeniedError 403 answered known after 1"),
        ("404 Not Found", "NotFoundError 404 answered known after 1"),
        ("400 Bad Request", "BadRequestError 400 answered known after 1"),
    ],
    ids=["403", "404", "400"],
)
async def test_f57_web_page_as_refusal(
    operation: Operation, status: str, expected: str, content_type: str
) -> None:
    """A web page with a status is an error of that status, whatever it is labelled as."""
    async with scripted([_page(status, content_type)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == expected
    assert verdict.failure.errors == ()
    assert "Sign in" in verdict.failure.message


@each_operation
@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable"])
async def test_f57_web_page_as_failure(operation: Operation, status: str) -> None:
    """A gateway's page is repeated like any 5xx, and waits as its header says."""
    act = Raw(http(PAGE, status=status, headers=["Retry-After: 7"], content_type="text/html"))
    async with scripted([act]) as peer, trial(peer, reachable=False) as case:
        verdict = await case.run(operation)

    code = status[:3]
    assert str(verdict) == (
        "ok after 2" if operation.repeatable else f"ServerError {code} answered unknown after 1"
    )
    assert verdict.seconds >= (7 if operation.repeatable else 0)


@each_operation
@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "nonsense", "", None])
async def test_f58_label_does_not_matter(operation: Operation, content_type: str | None) -> None:
    """JSON is a success under any label, or none."""
    async with scripted([Truth(content_type=content_type)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@each_operation
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
async def test_f59_other_encodings_of_unicode(operation: Operation, encoding: str) -> None:
    """JSON may come with a mark of its byte order, or in UTF-16 or 32: it says so itself."""
    act = _rewritten(lambda body: body.decode().encode(encoding))
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@each_operation
@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=klingon", "application/json; charset=utf-16", 'a/b; charset="'],
)
async def test_f59_charset_does_not_matter(operation: Operation, content_type: str) -> None:
    """The charset of the label is nothing that JSON knows of."""
    async with scripted([Truth(content_type=content_type)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@each_operation
@pytest.mark.parametrize(
    "body", [b'{"requestId":"\xff\xfe\xc3"}', b"\xff\xfe\x00", b'{"a":"\xed\xa0\x80"}']
)
async def test_f59_bad_utf_8(operation: Operation, body: bytes) -> None:
    """Bytes that are no text are a broken answer, and the error can be shown and written."""
    async with Peer(always=_said(body)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict).startswith("ProtocolError")
    assert str(verdict.failure).encode()


@each_operation
@pytest.mark.parametrize("where", ["requestId", "unknownField", "errors"])
async def test_f59_lone_surrogates(operation: Operation, where: str) -> None:
    """Half a character from Gong breaks nothing that is written with it."""
    status = "400 Bad Request" if where == "errors" else "200 OK"

    async def act(exchange: Exchange) -> None:
        payload = {**json.loads(await exchange.truth()), where: "half \ud83d"}
        await _said(json.dumps(payload), status)(exchange)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        written = (
            str(verdict.error) + repr(verdict.result) + str(getattr(verdict.result, "extra", ""))
        )

    assert verdict.attempts == 1
    assert written.encode()


@each_operation
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
async def test_f60_no_number(operation: Operation, constant: str) -> None:
    """NaN and its like are not JSON, and never become a value."""
    body = f'{{"requestId":"r","meetingId":"{MEETING_ID}","users":[],"x":{constant}}}'
    async with scripted([_said(body)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "content")


async def test_f61_equal_keys() -> None:
    """Of two equal keys the last is compared with the request, and the last is what one gets."""
    right_last = f'{{"requestId":"r","meetingId":"999","meetingId":"{MEETING_ID}"}}'
    wrong_last = f'{{"requestId":"r","meetingId":"{MEETING_ID}","meetingId":"999"}}'
    async with scripted([_said(right_last), _said(wrong_last)]) as peer, trial(peer) as case:
        right, wrong = await case.run(UPDATE), await case.run(UPDATE)

    assert getattr(right.result, "meeting_id", None) == MEETING_ID
    assert str(wrong) == "ProtocolError mismatch maybe unknown after 1"


@each_operation
@pytest.mark.parametrize("place", ["known", "unknown"])
async def test_f62_number_of_5000_digits(operation: Operation, place: str) -> None:
    """A number without measure is a broken answer."""
    digits = "7" * 5000
    key = "meetingId" if place == "known" else "someNumber"
    async with Peer(always=_said(f'{{"{key}":{digits}}}')) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.lost(CUT, attempts=2 if operation.writes else 4)


@each_operation
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize("depth", [500, 900, 5_000, 100_000])
@pytest.mark.parametrize("innermost", ['"x"', '"\\ud83d"'], ids=["plain", "surrogate"])
async def test_f63_deep_nesting(
    operation: Operation, status: str, depth: int, innermost: str
) -> None:
    """Nesting of any depth ends in a result or in an error of ours, and not in a crash."""
    nested = "[" * depth + innermost + "]" * depth
    body = f'{{"requestId":"r","meetingId":"{MEETING_ID}","users":[],"errors":{nested}}}'
    async with Peer(always=_said(body, status)) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    kind = str(verdict).split()[0]
    assert kind == ("BadRequestError" if status.startswith("400") else "ProtocolError")


@each_operation
async def test_f64_json_breaks_off(operation: Operation) -> None:
    """JSON that breaks off under the right length is a lost answer."""
    async with scripted([_rewritten(lambda body: body[:-5])]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost(CUT)


WRONG_SHAPES = {
    "list": "[]",
    "null": "null",
    "string": '"ok"',
    "number": "42",
    "true": "true",
}


@each_operation
@pytest.mark.parametrize("shape", WRONG_SHAPES)
async def test_f65_not_an_object(operation: Operation, shape: str) -> None:
    """JSON that is no object is no answer of Gong's."""
    async with scripted([_said(WRONG_SHAPES[shape])]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "shape")


@pytest.mark.parametrize(
    ("operation", "body", "path"),
    [
        (CREATE, '{"requestId":"r"}', "$.meetingId"),
        (CREATE, '{"requestId":"r","meetingId":null}', "$.meetingId"),
        (CREATE, '{"requestId":"r","meetingId":{}}', "$.meetingId"),
        (CREATE, '{"requestId":"r","meetingId":true}', "$.meetingId"),
        (
            CREATE,
            '{"requestId":"r","meetingId":"1","additionalInvitees":7}',
            "$.additionalInvitees",
        ),
        (
            CREATE,
            '{"requestId":"r","meetingId":"1","additionalInvitees":[7]}',
            "$.additionalInvitees[0]",
        ),
        (
            STATUS,
            '{"requestId":"r","users":[{"email":"a@b.c","exists":"yes","valid":true}]}',
            "$.users[0].exists",
        ),
        (STATUS, '{"requestId":"r","users":{}}', "$.users"),
        (
            DELETE,
            f'{{"requestId":"r","meetingId":"{MEETING_ID}","organizerEmail":[]}}',
            "$.organizerEmail",
        ),
    ],
)
async def test_f65_wrong_inner_types(operation: Operation, body: str, path: str) -> None:
    """What we rely on must be there and of its type; the error says where it is not."""
    async with scripted([_said(body)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "shape", "DecodeError")
    assert path in str(verdict.failure)


@each_operation
@pytest.mark.parametrize(
    "body",
    ["[]", "null", '"no"', "7", '{"errors":7}', '{"errors":{"a":1}}', '{"errors":[null,{},[]]}',
     '{"requestId":7}', '{"errors":"text"}'],
)  # fmt: skip
async def test_f65_wrong_shapes_never_mask_a_status(operation: Operation, body: str) -> None:
    """Whatever the body of an error is, its status is what counts."""
    async with scripted([_said(body, "409 Conflict")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ConflictError 409 answered known after 1"
    assert all(isinstance(text, str) for text in verdict.failure.errors)


async def test_f66_id_as_a_number() -> None:
    """An id of 20 digits that comes as a number keeps every one of them."""
    body = '{"requestId":"r","meetingId":99999999999999999999}'
    async with scripted([_said(body)]) as peer, trial(peer) as case:
        verdict = await case.run(CREATE)

    assert getattr(verdict.result, "meeting_id", None) == "99999999999999999999"


@pytest.mark.parametrize("operation", [UPDATE, DELETE], ids=str)
async def test_f66_echo_as_a_number(operation: Operation) -> None:
    """An echo that comes as a number is the same id, and comes back as text."""
    async with (
        scripted([_said(f'{{"requestId":"r","meetingId":{MEETING_ID}}}')]) as peer,
        trial(peer) as case,
    ):
        verdict = await case.run(operation)

    assert getattr(verdict.result, "meeting_id", None) == MEETING_ID


@each_operation
async def test_f67_unknown_fields(operation: Operation) -> None:
    """New fields of a newer Gong are no error, and can be had."""
    act = _rewritten(lambda body: body[:-1] + b',"brandNew":{"a":[1,2]}}')
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert verdict.result
    assert verdict.result.extra == {"brandNew": {"a": [1, 2]}}


@each_operation
async def test_f68_success_with_errors(operation: Operation) -> None:
    """A 200 that reports errors is no success."""
    act = _rewritten(lambda body: body[:-1] + b',"errors":["the organizer is unknown"]}')
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "content")
    assert "the organizer is unknown" in str(verdict.failure)


IN_PLACE_OF_A_SUCCESS = {
    "maintenance": '{"message":"down for maintenance"}',
    "login": '{"login":true}',
    "empty_object": '{"status":"ok"}',
    "no_request_id": f'{{"meetingId":"{MEETING_ID}","users":[]}}',
    "null_request_id": f'{{"requestId":null,"meetingId":"{MEETING_ID}","users":[]}}',
    "empty_request_id": f'{{"requestId":"","meetingId":"{MEETING_ID}","users":[]}}',
    "blank_request_id": f'{{"requestId":" ","meetingId":"{MEETING_ID}","users":[]}}',
    "number_for_request_id": f'{{"requestId":7,"meetingId":"{MEETING_ID}","users":[]}}',
    "list_for_request_id": f'{{"requestId":["r"],"meetingId":"{MEETING_ID}","users":[]}}',
    "one_level_down": f'{{"data":{{"requestId":"r","meetingId":"{MEETING_ID}","users":[]}}}}',
    "in_a_list": f'[{{"requestId":"r","meetingId":"{MEETING_ID}","users":[]}}]',
    "other_case": f'{{"requestid":"r","MeetingId":"{MEETING_ID}"}}',
    "email_and_more": '{"organizerEmail":"dana@example.com","message":"queued"}',
    "email_and_meeting": f'{{"organizerEmail":"dana@example.com","meetingId":"{MEETING_ID}"}}',
    "email_of_another_type": '{"organizerEmail":true}',
}


@each_operation
@pytest.mark.parametrize("answer", IN_PLACE_OF_A_SUCCESS)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
async def test_f56_json_that_is_not_gongs(
    operation: Operation, answer: str, content_type: str
) -> None:
    """A 2xx whose JSON lacks what Gong's successes have is none: the outcome is unknown."""
    data = http(IN_PLACE_OF_A_SUCCESS[answer].encode(), content_type=content_type)
    async with scripted([Raw(data, then="keep")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "shape")
    assert "(" + content_type in verdict.failure.message or answer == "in_a_list"


@pytest.mark.parametrize("body", ["{}", '{"organizerEmail":"dana@example.com"}'])
async def test_f56_deletion_may_repeat_the_email_alone(body: str) -> None:
    """Gong's documented answer to a deletion has no request id."""
    async with scripted([_said(body)]) as peer, trial(peer) as case:
        verdict = await case.run(DELETE)

    assert str(verdict) == "ok after 1"
    assert getattr(verdict.result, "meeting_id", None) == MEETING_ID


@pytest.mark.parametrize("operation", [UPDATE, CREATE, STATUS], ids=str)
@pytest.mark.parametrize("body", ["{}", '{"organizerEmail":"dana@example.com"}'])
async def test_f56_nothing_else_may(operation: Operation, body: str) -> None:
    """What is enough for a deletion is enough for nothing else."""
    async with scripted([_said(body)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "shape")


@update_and_create
@pytest.mark.parametrize("given", ["", ',"meetingId":null'])
async def test_f56_success_without_a_meeting(operation: Operation, given: str) -> None:
    """An update and a creation name the meeting."""
    async with scripted([_said(f'{{"requestId":"r"{given}}}')]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict).endswith("Error shape maybe unknown after 1")
    assert "meetingId" in verdict.failure.message


@each_operation
@pytest.mark.parametrize("errors", ["[]", "null"])
async def test_f68_success_without_errors(operation: Operation, errors: str) -> None:
    """An empty list of errors, or null, reports none."""
    act = _rewritten(lambda body: body[:-1] + b',"errors":' + errors.encode() + b"}")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


@each_operation
@pytest.mark.parametrize("errors", ['[""]', "[null]", '"no"', '""', "{}", '{"a":1}', "0", "false"])
async def test_f68_errors_of_another_type(operation: Operation, errors: str) -> None:
    """Anything else in their place is no success."""
    act = _rewritten(lambda body: body[:-1] + b',"errors":' + errors.encode() + b"}")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "content")


@pytest.mark.parametrize("operation", [UPDATE, DELETE], ids=str)
@pytest.mark.parametrize(
    "given",
    [
        '"999"',
        "999",
        '""',
        f'"{MEETING_ID} "',
        '["x"]',
        "false",
        "{}",
        "-1",
        "7782342274025937895.0",
    ],
)
async def test_f69_another_meeting(operation: Operation, given: str) -> None:
    """A success for another meeting is in doubt, and no connection of that time is used again."""
    act = _said(f'{{"requestId":"r","meetingId":{given}}}')
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await case.run(operation)
        lines = [seen.line.number for seen in peer.seen]

    assert str(verdict) == "ProtocolError mismatch maybe unknown after 1"
    assert lines == [1, 2]


@each_operation
async def test_f70_endless_list_of_errors(operation: Operation) -> None:
    """Of endless errors twenty are kept, each capped, and the rest is counted."""
    act = _said(json_errors(*["e" * 600] * 1000), "400 Bad Request")
    many = _said(json_errors(*["no"] * 100_000), "400 Bad Request")
    async with scripted([act, many]) as peer, trial(peer) as case:
        long, short = await case.run(operation), await case.run(operation)

    assert len(long.failure.errors) == 20
    assert max(map(len, long.failure.errors)) == 500
    assert getattr(long.failure, "errors_omitted", 0) == 980
    assert getattr(short.failure, "errors_omitted", 0) == 99_980
    assert len(str(long.failure)) < 1_200


ATTACKS = {
    "line_breaks": "a\r\nERROR root: forged\u2028line",
    "terminal": "\x1b]0;title\x07\x1b[2J\x9b31m",
    "direction": "abc\u202egnp.exe",
    "formula": '=HYPERLINK("http://x")',
}


@each_operation
@pytest.mark.parametrize("attack", ATTACKS)
async def test_f71_hostile_text(operation: Operation, attack: str) -> None:
    """Text from outside cannot break a line, move a cursor or turn the direction."""
    act = _said(json_errors(ATTACKS[attack]), "400 Bad Request")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict.failure).isprintable()
    assert all(text.isprintable() for text in verdict.failure.errors)


@pytest.mark.parametrize("operation", [UPDATE, DELETE], ids=str)
@pytest.mark.parametrize("status", ["400 X", "409 X", "401 X", "302 X", "200 X", "206 X"])
@pytest.mark.parametrize("labelled", ["json", "html", "headers", "fields", "nested", "id"])
async def test_f71_echo_of_the_credential(operation: Operation, status: str, labelled: str) -> None:
    """An answer that repeats our credential, in whatever spelling, does not reveal it."""
    spellings = sorted(SPELLINGS)
    spelled = " ".join(spellings)
    fields = {
        "userFacingError": spelled,
        "fixUrl": spelled,
        "helpUrl": spelled,
        "requestId": spelled,
    }
    body = {
        "json": json.dumps({"errors": spellings}).encode(),
        "html": b"<html>" + spelled.encode(),
        "headers": b"no",
        "fields": json.dumps({"errors": [spelled], **fields}).encode(),
        "nested": json.dumps({"errors": [{"said": spellings}]}).encode(),
        "id": json.dumps({"meetingId": spelled, "requestId": spelled}).encode(),
    }[labelled]
    headers = [f"x-traceid: {spelled}", f"Location: https://{spellings[0]}@x.example/"]
    data = http(body, status=status, headers=headers, content_type=f"text/{spellings[1]}")
    async with Peer(always=Raw(data, then="keep")) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert not leaks(str(verdict.failure))


@each_operation
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "identity"])
async def test_f72_compressed(operation: Operation, encoding: str) -> None:
    """Compression that we offered is undone."""
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "deflate": zlib.compress,
        "identity": bytes,
    }
    pack = packers[encoding]
    act = _rewritten(pack, f"Content-Encoding: {encoding}")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(bytes(MEBIBYTE)) for _ in range(size // MEBIBYTE)]
    return b"".join(parts) + packer.flush()


BOMB = _bomb(256 * MEBIBYTE)


@each_operation
async def test_f73_bomb(operation: Operation) -> None:
    """A bomb is stopped at 8 MiB of what it unpacks to."""
    act = _said(BOMB, "200 OK", "Content-Encoding: gzip")
    async with Peer(always=act) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        most = await case.peak_memory(operation)

    assert str(verdict) == operation.lost(CUT, attempts=2 if operation.writes else 4)
    assert most < 32 * MEBIBYTE


@update_and_create
async def test_f73_bomb_in_an_error(operation: Operation) -> None:
    """A bomb in an error's body does not hide its status, and is stopped at 1 MiB."""
    act = _said(BOMB, "404 Not Found", "Content-Encoding: gzip")
    async with scripted([act, act]) as peer, trial(peer) as case:
        most = await case.peak_memory(operation)
        peer.acts.clear()
        peer.acts.append(act)
        verdict = await case.run(operation)

    assert str(verdict) == "NotFoundError 404 answered known after 1"
    assert most < 32 * MEBIBYTE


def _damaged(body: bytes) -> bytes:
    packed = bytearray(gzip.compress(body))
    packed[15] ^= 0xFF
    packed[-6] ^= 0xFF
    return bytes(packed)


@each_operation
@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (_damaged, "gzip"),
        (lambda body: gzip.compress(body)[:-20], "gzip"),
        (bytes, "gzip"),
        (bytes, "deflate"),
        (lambda _: b"\x1f\x8b", "gzip"),
    ],
    ids=["damaged", "cut", "false_gzip", "false_deflate", "stub"],
)
async def test_f74_broken_compression(
    operation: Operation, change: Callable[[bytes], bytes], encoding: str
) -> None:
    """What cannot be unpacked is a lost answer, and not a short success."""
    act = _rewritten(change, f"Content-Encoding: {encoding}")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) in {operation.once_lost(CUT), operation.once_lost("ProtocolError not_http")}


@each_operation
@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "martian", "gzip, martian"])
async def test_f74_compression_that_we_never_offered(operation: Operation, encoding: str) -> None:
    """A compression that was not requested is no response, and not Gong's 400."""
    act = _rewritten(lambda _: b"\x8b\x03\x80\x00\xff", f"Content-Encoding: {encoding}")
    async with Peer(always=act) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict).startswith("ProtocolError")
    assert verdict.failure.status != 400
    assert verdict.attempts <= (2 if operation.writes else 4)


@update_and_create
async def test_f74_many_members(operation: Operation) -> None:
    """A stream of 20,000 tiny parts is an answer or an error, soon."""
    act = _rewritten(
        lambda body: b"".join(gzip.compress(b" ") for _ in range(20_000)) + gzip.compress(body),
        "Content-Encoding: gzip",
    )
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) in {
        "ok after 1",
        operation.once_lost(CUT),
        operation.once_lost("ProtocolError not_http"),
    }


async def _flood(exchange: Exchange, status: str, length: str | None) -> None:
    await exchange.read()
    await exchange.line.send(http(b"", status=status, length=length))
    block = b" " * 65_536
    for _ in range(4096):
        await exchange.line.send(block)


@each_operation
@pytest.mark.parametrize("length", [str(256 * MEBIBYTE), None], ids=["256_MiB", "endless"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("404 Not Found", "NotFoundError 404 answered known after 1"),
        ("200 OK", ""),
        ("502 Bad Gateway", ""),
    ],
    ids=["404", "200", "502"],
)
async def test_f75_huge_body(
    operation: Operation, status: str, expected: str, length: str | None
) -> None:
    """A body without measure is stopped; the status of an error is kept."""

    async def act(exchange: Exchange) -> None:
        await _flood(exchange, status, length)

    async with scripted([act, act]) as peer, trial(peer) as case:
        most = await case.peak_memory(operation)
        peer.acts.clear()
        peer.acts.append(act)
        verdict = await case.run(operation)

    failure = {"200 OK": operation.once_lost(CUT)}.get(status, expected)
    if status.startswith("502"):
        failure = (
            "ok after 2" if operation.repeatable else "ServerError 502 answered unknown after 1"
        )
    assert str(verdict) == failure
    assert most < 32 * MEBIBYTE


@each_operation
@pytest.mark.parametrize("status", [200, 400, 404, 409, 429, 500, 302])
async def test_f76_every_answer_is_let_go(operation: Operation, status: int) -> None:
    """With a single connection allowed, fifty answers of any kind leave it free for the next."""
    body = json_errors("no")
    headers = ["Retry-After: 0"]
    act = Raw(http(body, status=f"{status} X", headers=headers), then="keep")
    async with Peer(always=act) as peer, trial(peer) as case:
        for _ in range(10):
            await case.run(operation)
        peak = peer.peak

    assert peak <= 2


BROKEN_BODIES = {
    "shorter": http(b'{"errors":["no', status="404 Not Found", length=999),
    "longer_than_said": http(b'{"errors":["no"]}garbage', status="404 Not Found", length=17),
    "chunks_without_end": http(
        b"3\r\nno", status="404 X", headers=["Transfer-Encoding: chunked"], length=None
    ),
    "bad_chunk": http(
        b"zz\r\nno", status="404 X", headers=["Transfer-Encoding: chunked"], length=None
    ),
    "false_gzip": http(b"no", status="404 X", headers=["Content-Encoding: gzip"]),
    "cut_gzip": http(gzip.compress(b"no")[:-9], status="404 X", headers=["Content-Encoding: gzip"]),
    "unknown_coding": http(b"no", status="404 X", headers=["Content-Encoding: br"]),
}


@each_operation
@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("kind", BROKEN_BODIES)
async def test_f75_broken_body_of_an_error(operation: Operation, kind: str, then: Then) -> None:
    """A status of an error stands, whatever is wrong with the body behind it."""

    async def act(exchange: Exchange) -> None:
        head, blank, body = BROKEN_BODIES[kind].partition(b"\r\n\r\n")
        await exchange.read()
        await exchange.line.send(head + b"\r\nConnection: close" + blank)
        await asyncio.sleep(0.01)
        await exchange.line.send(body)
        await asyncio.sleep(0.01)
        await exchange.line.end(then)

    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "NotFoundError 404 answered known after 1"


@each_operation
async def test_f75_silent_body_of_an_error(operation: Operation) -> None:
    """A status of an error stands, even when its body never comes."""
    act = Raw(http(b"{", status="404 Not Found", length=999), then="hold")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "NotFoundError 404 answered known after 1"


@each_operation
@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
async def test_f77_other_success(operation: Operation, status: str) -> None:
    """A 201 or 202 is a success that says which it was."""
    async with scripted([Truth(status=status)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"
    assert verdict.result and verdict.result.meta.status == int(status[:3])


@each_operation
@pytest.mark.parametrize("status", ["206 Partial Content", "203 Q", "226 IM Used", "299 Own"])
async def test_f77_success_out_of_protocol(operation: Operation, status: str) -> None:
    """Part of an answer, or an answer by another author, is no success."""
    async with scripted([Truth(status=status)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "unexpected")


@each_operation
async def test_f78_not_modified(operation: Operation) -> None:
    """A 304 answers no question that we asked."""
    act = Raw(http(b"", status="304 Not Modified", length=None), then="keep")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "unexpected")


@each_operation
@pytest.mark.parametrize("status", [418, 451, 499])
async def test_f79_unknown_refusal(operation: Operation, status: int) -> None:
    """An unknown 4xx is a rejection, and not retried."""
    async with Peer(always=_said("{}", f"{status} X")) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == f"RequestRejectedError {status} answered known after 1"


@each_operation
@pytest.mark.parametrize("status", [529, 599])
async def test_f79_unknown_failure(operation: Operation, status: int) -> None:
    """An unknown 5xx is a failure of the server, retried if harmless."""
    async with Peer(always=_said("{}", f"{status} X")) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    outcome = "unknown" if operation.writes else "known"
    attempts = 4 if operation.repeatable else 1
    assert str(verdict) == f"ServerError {status} answered {outcome} after {attempts}"


@each_operation
@pytest.mark.parametrize("status", [600, 999])
async def test_f79_status_out_of_range(operation: Operation, status: int) -> None:
    """A status that HTTP does not have is no answer."""
    async with scripted([_said("{}", f"{status} X")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == _in_doubt(operation, "unexpected")
