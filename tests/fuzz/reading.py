"""What an answer says, read by code that has nothing in common with the library.

Strict where it counts: the status, how long the body is, that it is whole, and that it is JSON.
Lenient where nothing depends on it: line ends, and headers that are about something else.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, NoReturn

from attrs import frozen

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?", re.DOTALL)
_LINE = re.compile(rb"\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_ENDS = re.compile(rb"(?:[^\r\n]+\r?\n)*\r?\n")
_MOST_INTERIM = 10


class UnreadableError(Exception):
    """No complete answer stands in these bytes."""


@frozen
class Reading:
    """A complete answer."""

    status: int
    body: bytes
    rest: bytes
    """What comes behind it."""
    ends: bool
    """Whether nothing but the end of the connection ends it."""


def read(data: bytes) -> Reading:
    """Read the first final answer.

    Raises:
        UnreadableError: there is none, or none that is complete.
    """
    for _ in range(_MOST_INTERIM):
        status, headers, data = _head(data)
        if status >= 200:
            break
    if status in {204, 304}:
        return Reading(status, b"", data, ends=False)
    body, rest, ends = _body(headers, data)
    encodings = b",".join(headers.get(b"content-encoding", [])).strip().lower()
    return Reading(status, _unpacked(encodings, body), rest, ends)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        UnreadableError: there is none.
    """
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UnreadableError("no object")
    return found


def _head(data: bytes) -> tuple[int, dict[bytes, list[bytes]], bytes]:
    lines: list[bytes] = []
    data = data.lstrip(b"\r\n")
    while True:
        end = _LINE.search(data)
        if end is None:
            raise UnreadableError("the head is cut")
        line, data = data[: end.start()], data[end.end() :]
        if not line:
            break
        lines.append(line)
    found = _STATUS.fullmatch(lines[0]) if lines else None
    if found is None:
        raise UnreadableError("no status line")
    headers: dict[bytes, list[bytes]] = {}
    for line in _unfolded(lines[1:]):
        name, _, value = line.partition(b":")
        headers.setdefault(name.strip(b" \t").lower(), []).append(value.strip(b" \t"))
    return int(found[1]), headers, data


def _unfolded(lines: list[bytes]) -> list[bytes]:
    whole: list[bytes] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and whole:
            whole[-1] += line
        else:
            whole.append(line)
    return whole


def _body(headers: dict[bytes, list[bytes]], data: bytes) -> tuple[bytes, bytes, bool]:
    codings = headers.get(b"transfer-encoding", [])
    lengths = headers.get(b"content-length", [])
    if codings and lengths:
        raise UnreadableError("two framings")
    if codings:
        if b",".join(codings).lower() != b"chunked":
            raise UnreadableError("an unknown transfer coding")
        return (*_unchunked(data), False)
    if not lengths:
        return data, b"", True
    if len(set(lengths)) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise UnreadableError("an unclear length")
    length = int(lengths[0])
    if len(data) < length:
        raise UnreadableError("the body is cut")
    return data[:length], data[length:], False


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size = _CHUNK.match(data)
        if size is None:
            raise UnreadableError("no chunk")
        length, data = int(size[1], 16), data[size.end() :]
        if not length:
            break
        body, data = body + data[:length], data[length:]
        end = re.match(rb"\r?\n", data)
        if end is None:
            raise UnreadableError("a chunk without an end")
        data = data[end.end() :]
    end = _ENDS.match(data)
    if end is None:
        raise UnreadableError("the last chunk is cut")
    return body, data[end.end() :]


def _unpacked(encoding: bytes, body: bytes) -> bytes:
    if encoding in {b"", b"identity"} or not body:
        return body
    if encoding not in {b"gzip", b"x-gzip"}:
        raise UnreadableError("an unknown encoding")
    plain = b""
    while body:
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            plain += stream.decompress(body)
        except zlib.error as error:
            raise UnreadableError(f"no gzip: {error}") from None
        if not stream.eof:
            raise UnreadableError("the gzip is cut")
        body = stream.unused_data
    return plain


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
