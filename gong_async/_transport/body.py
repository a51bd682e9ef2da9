"""Reads a response: rejects invalid ones, and limits the size of head and body."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, StreamReader
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING
from multidict import MultiMapping

from gong_async.errors import ProtocolError

BODY_LIMIT = 8 * 1024 * 1024
"""Bytes of the body of a success at most, decompressed."""
ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of the body of any other response at most, decompressed."""

HEADER_LIMIT = 64 * 1024
"""Bytes of one header at most, name and value."""
HEAD_LIMIT = 256 * 1024
"""Bytes of all headers of a response at most, names and values."""
HEADER_COUNT = 128
"""Headers of a response at most."""
# What aiohttp's parsers are given, so that neither refuses what is within our bounds. They count
# differently: one a name together with the name before it, the other the colon, blanks and the
# status line. `check_head` is exact.
PARSER_LINE_LIMIT = 2 * HEADER_LIMIT + 16
PARSER_HEADER_COUNT = HEADER_COUNT + 8

_VERSIONS = frozenset({HttpVersion10, HttpVersion11})
_CHUNK = 64 * 1024
MISDIRECTED_REQUEST = 421
"""The status after which a connection is not used again."""
_SWITCHING_PROTOCOLS = 101
_SUCCESSES = range(200, 300)
_ZLIB = 8  # what the first byte of zlib's own format ends with


def check_head(version: HttpVersion | None, raw_headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Reject a head beyond our limits, whichever parser has read it.

    Raises:
        ProtocolError: it is too large, or of another version of HTTP.
    """
    if version not in _VERSIONS:
        raise ProtocolError("Gong's answer is not HTTP/1.1", flaw="not_http")
    size = 0
    for name, value in raw_headers:
        size += len(name) + len(value)
    if size > HEADER_LIMIT and (
        size > HEAD_LIMIT
        or any(len(name) + len(value) > HEADER_LIMIT for name, value in raw_headers)
    ):
        raise ProtocolError("Gong's answer has headers of too many bytes", flaw="not_http")
    if len(raw_headers) > HEADER_COUNT:
        raise ProtocolError(f"Gong's answer has more than {HEADER_COUNT} headers", flaw="not_http")


async def read(
    status: int, headers: MultiMapping[str], content: StreamReader, *, request_left: bool
) -> tuple[bytes, bool]:
    """Read a body up to its cap; return it, and whether it is all there was.

    A success needs the whole of its body. Of any other answer the status counts, and what there
    is of a body is enough to show.

    Raises:
        ProtocolError: this cannot be the answer to our request, or a success lacks its body.
    """
    success = status in _SUCCESSES
    if status == _SWITCHING_PROTOCOLS:
        msg = "Gong's answer switches to a protocol that was not requested"
        raise ProtocolError(msg, flaw="unexpected", status=status)
    if success and not request_left:
        msg = "Gong's success arrived before the request was sent, so it belongs to another one"
        raise ProtocolError(msg, flaw="unexpected", status=status)
    limit = BODY_LIMIT if success else ERROR_BODY_LIMIT
    lengths = headers.getall(CONTENT_LENGTH, ())
    plain = not (TRANSFER_ENCODING in headers or CONTENT_ENCODING in headers or len(lengths) > 1)
    body = bytearray()
    try:
        if plain and content.is_eof() and not content.exception():
            whole = content.read_nowait()  # usually the body arrives with the head
            if len(whole) <= limit:
                return whole, True
            problem = _too_large(limit)
        else:
            problem = await _fill(body, headers, content, limit)
    except (aiohttp.ClientError, OSError):
        if success:
            raise
        problem = "broke off"
    if problem and success:
        body.clear()  # an error keeps the frames that it came through
        raise ProtocolError(f"Gong's answer {problem}", flaw="cut", status=status)
    return bytes(body), not problem


async def _fill(
    body: bytearray, headers: MultiMapping[str], content: StreamReader, limit: int
) -> str:
    """Read the decompressed body into `body`; return the problem, or an empty string."""
    # aiohttp goes by the last coding and lets the others pass, and its Python parser also takes
    # several lengths.
    codings = ", ".join(headers.getall(TRANSFER_ENCODING, ()))
    lengths = headers.getall(CONTENT_LENGTH, ())
    if codings.lower() not in {"", "chunked"} or len(lengths) > (0 if codings else 1):
        return "has an unclear end"
    unpacker = _Unpacker(", ".join(headers.getall(CONTENT_ENCODING, ())))
    arrived = 0
    while chunk := await _next_chunk(content):
        arrived += len(chunk)
        try:
            for piece in unpacker.unpack(chunk):
                body += piece
                if max(arrived, len(body)) > limit:
                    return _too_large(limit)
        except zlib.error:
            return "cannot be decompressed"
    return "" if unpacker.complete else "was cut short"


async def _next_chunk(content: StreamReader) -> bytes:
    """Return the next bytes of a body, empty at its end.

    aiohttp's Python parser lets errors through that its documentation does not name.
    """
    try:
        return await content.read(_CHUNK)
    except (aiohttp.ClientError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - any of them ends the body
        problem = type(error).__name__
    raise aiohttp.ClientPayloadError(problem)


def _too_large(limit: int) -> str:
    return f"is larger than {limit:,} bytes"


class _Unpacker:
    """Decodes a Content-Encoding piecewise, so that decompression stops at the limit."""

    def __init__(self, encoding: str) -> None:
        self._format = encoding.strip(" \t").lower()
        self._stream: Any = None
        self.complete = True

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` holds, in pieces of a bounded size, at least one.

        Raises:
            zlib.error: this is not what the header says, or something that we never offered.
        """
        if self._format in {"", "identity"}:
            yield data
            return
        while True:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._window(data))
            piece = self._stream.decompress(data, _CHUNK)
            yield piece
            self.complete = self._stream.eof
            data = self._stream.unused_data if self.complete else self._stream.unconsumed_tail
            if self.complete:
                self._stream = None  # gzip may consist of several parts
            if not data and (self.complete or len(piece) < _CHUNK):
                return

    def _window(self, data: bytes) -> int:
        match self._format:
            case "gzip" | "x-gzip":
                return 16 + zlib.MAX_WBITS
            case "deflate":
                # Some servers send deflate without the zlib header.
                return zlib.MAX_WBITS if data[:1] and data[0] & 0x0F == _ZLIB else -zlib.MAX_WBITS
            case _:
                msg = "unknown encoding"
                raise zlib.error(msg)
