"""Cases: valid answers, and what is left of them after accidents. All from seed and number."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Literal

from attrs import frozen

Kind = Literal["update", "create", "delete", "status"]
Ending = Literal["keep", "close", "reset", "hold"]

KINDS: tuple[Kind, ...] = ("update", "create", "delete", "status")
FIRST_ID = 7_782_342_274_000_000_000


@frozen
class Case:
    """One call, and the bytes that it is answered with."""

    number: int
    kind: Kind
    answer: bytes
    ending: Ending
    """What becomes of the connection, if the answer leaves it open at all."""
    accidents: tuple[str, ...]

    @property
    def meeting_id(self) -> str:
        """The meeting that the call is about; no two cases have the same."""
        return str(FIRST_ID + self.number)

    @property
    def email(self) -> str:
        """The organizer, by whom the server knows the case."""
        return email_of(self.number)


def email_of(number: int) -> str:
    """Return the organizer of a case."""
    return f"case-{number}@example.com"


def case(seed: int, number: int) -> Case:
    """Return a case; the same one for the same two numbers."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(KINDS)
    answer = _valid(rng, kind, number)
    accidents: list[str] = []
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))):
        name, answer = damage(rng, answer)
        accidents.append(name)
    ending: Ending = rng.choices(("keep", "close", "reset", "hold"), (900, 96, 3, 1))[0]
    return Case(number, kind, answer, ending, tuple(accidents))


def damage(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Return the name of an accident, and what it makes of some bytes."""
    accident = rng.choice(_ACCIDENTS)
    return accident.__name__.strip("_"), accident(rng, data)


def _valid(rng: random.Random, kind: Kind, number: int) -> bytes:
    status, headers, body = rng.choice(_ANSWERS)(rng, kind, number)
    lines = [f"HTTP/1.1 {status}", "Date: Sun, 22 Nov 2026 12:00:00 GMT", *headers]
    encoding = rng.choice(("", "", "", "gzip"))
    if encoding and body:
        lines.append("Content-Encoding: gzip")
        body = gzip.compress(body, mtime=0)
    frame = rng.choice(("length", "length", "length", "chunks", "close"))
    if status.startswith("204"):
        return _head(lines)
    if frame == "chunks":
        return _head([*lines, "Transfer-Encoding: chunked"]) + _chunks(rng, body)
    if frame == "close":
        return _head([*lines, "Connection: close"]) + body
    return _head([*lines, f"Content-Length: {len(body)}"]) + body


def _head(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def _chunks(rng: random.Random, body: bytes) -> bytes:
    middle = rng.randint(0, len(body))
    parts = [part for part in (body[:middle], body[middle:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


_Answer = tuple[str, list[str], bytes]
_JSON = "Content-Type: application/json;charset=UTF-8"
_TRACE = "X-TraceId: 4al018gzaztcr8nbukw"


def _success(rng: random.Random, kind: Kind, number: int) -> _Answer:
    said: dict[str, object] = {"requestId": "4al018gzaztcr8nbukw"}
    id_: object = str(FIRST_ID + number)
    if rng.random() < 0.2:
        id_ = FIRST_ID + number
    match kind:
        case "update":
            said |= {"meetingId": id_}
        case "create":
            people = [{"email": "lee@customer.example", "displayName": "Łé"}]
            said |= {"meetingId": id_, "meetingUrl": "https://gong.example/1"}
            said |= {"additionalInvitees": people}
        case "delete":
            said |= {"meetingId": id_, "organizerEmail": email_of(number)}
        case "status":
            users = [{"email": email_of(number), "exists": True, "valid": False}]
            said |= {"users": users}
    return "200 OK", [_JSON, _TRACE], json.dumps(said, ensure_ascii=False).encode()


def _no_content(rng: random.Random, kind: Kind, number: int) -> _Answer:
    return "204 No Content", [_TRACE], b""


def _refusal(rng: random.Random, kind: Kind, number: int) -> _Answer:
    status = rng.choice(
        ("400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "409 Conflict")
    )
    said = {
        "requestId": "4al018gzaztcr8nbukw",
        "errors": ["The organizer is not known", f"meeting {FIRST_ID + number}"],
        "userFacingError": "Turn the consent page on",
        "fixUrl": "https://app.gong.io/settings",
    }
    return status, [_JSON, _TRACE], json.dumps(said).encode()


def _too_many(rng: random.Random, kind: Kind, number: int) -> _Answer:
    wait = rng.choice(("1", "3600", "Sun, 22 Nov 2026 12:00:30 GMT"))
    return "429 Too Many Requests", [_JSON, f"Retry-After: {wait}"], b'{"errors":["slow down"]}'


def _failure(rng: random.Random, kind: Kind, number: int) -> _Answer:
    status = rng.choice(("500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"))
    page = b"<!doctype html><html><body><h1>Sorry</h1></body></html>"
    return status, ["Content-Type: text/html; charset=utf-8", "Retry-After: 7"], page


_ANSWERS: tuple[Callable[[random.Random, Kind, int], _Answer], ...] = (
    *(6 * (_success,)),
    _no_content,
    _refusal,
    _too_many,
    _failure,
)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _flip(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _overwrite(rng: random.Random, data: bytes) -> bytes:
    start, stop = _slice(rng, data)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def _duplicate(rng: random.Random, data: bytes) -> bytes:
    start, stop = _slice(rng, data)
    if rng.random() < 0.2:
        start, stop = 0, len(data)
    return data[:stop] + data[start:stop] + data[stop:]


def _drop(rng: random.Random, data: bytes) -> bytes:
    start, stop = _slice(rng, data)
    return data[:start] + data[stop:]


def _reorder(rng: random.Random, data: bytes) -> bytes:
    one, two, three = sorted(rng.randint(0, len(data)) for _ in range(3))
    return data[:one] + data[two:three] + data[one:two] + data[three:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.choice(_ODDITIES) + data[place:]


def _slice(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64)))


_ODDITIES = (
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
    b" ",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"0\r\n\r\n",
    b'"errors":["no"],',
    b'"meetingId":"1",',
    b"NaN",
    b"\\ud800",
    b"[" * 3000,
    b"9" * 5000,
)

_ACCIDENTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _cut,
    _flip,
    _flip,
    _overwrite,
    _duplicate,
    _drop,
    _reorder,
    _insert,
)
