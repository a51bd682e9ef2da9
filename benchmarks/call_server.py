"""A server that does the least an update needs, so that the client is what is measured.

    python benchmarks/call_server.py [--core 1]

Prints its address, serves until its standard input is closed. `GET /seen` returns how many updates
came in, over how many connections, and the body of the last one, so that no client is measured that
sends something else, or less at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import re
import sys
from importlib.util import find_spec
from itertools import count
from typing import cast

REQUEST_ID = b"4al018gzaztcr8nbukw"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_UPDATE = b"PUT /v2/meetings/"
_STATUS = b"POST /v2/meetings/integration/status "
_SEEN = b"GET /seen "
_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/json;charset=UTF-8\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: keep-alive\r\n"
    b"x-traceid: " + REQUEST_ID + b"\r\n"
    b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n%s"
)
_BODY = b'{"requestId":"' + REQUEST_ID + b'","meetingId":"%s"}'
_REFUSAL = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Seen:
    """What has come in."""

    def __init__(self) -> None:
        self.updates = 0
        self.body = b"null"
        self.connections: set[int] = set()
        """Those that brought updates since the last request for them."""


class Acknowledgement(asyncio.Protocol):
    """Reads the end of the head, the length and the meeting's id, and says yes."""

    def __init__(self, seen: Seen, number: int) -> None:
        self._seen = seen
        self._unread = b""
        self._number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only look like it

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._unread += data
        while (head_end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:head_end]
            length = _LENGTH.search(head)
            start = head_end + 4
            end = start + (int(length[1]) if length else 0)
            if len(self._unread) < end:
                return
            body, self._unread = self._unread[start:end], self._unread[end:]
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(_UPDATE):
            self._seen.updates += 1
            self._seen.body = body
            self._seen.connections.add(self._number)
            answer = _BODY % head[len(_UPDATE) : head.index(b" ", len(_UPDATE))]
        elif head.startswith(_STATUS):
            users = [
                {"email": email, "exists": True, "valid": True}
                for email in json.loads(body)["emails"]
            ]
            answer = json.dumps({"requestId": REQUEST_ID.decode(), "users": users}).encode()
        elif head.startswith(_SEEN):
            seen = self._seen
            answer = b'{"updates":%d,"connections":%d,"body":%s}' % (
                seen.updates,
                len(seen.connections),
                seen.body,
            )
            seen.connections.clear()
        else:
            return _REFUSAL
        return _HEAD % (len(answer), answer)


async def serve() -> None:
    """Serve until standard input is closed."""
    seen, numbers = Seen(), count()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Acknowledgement(seen, next(numbers)), "127.0.0.1", 0, backlog=1_024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Go to the core that was given, and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--core", type=int, help="run on this core only")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    loops = importlib.import_module("uvloop" if find_spec("uvloop") else "asyncio")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
