"""Local HTTP page that receives the OAuth redirect."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from attrs import define, field

from gong_async._redact import Redactor, Secret
from gong_async.errors import ConfigurationError

HOST = "127.0.0.1"
PATH = "/callback"

_LONGEST_HEAD = 16 * 1024
_MOST_CHUNKS = 64
_HEAD_SECONDS = 10.0
_MOST_FIELDS = 50
# What a browser sends: GET, an absolute path, complete escapes, and headers.
_REQUEST = re.compile(
    r"GET (?P<path>/(?!/)(?:[!\"$&->@-~]|%[0-9A-Fa-f]{2})*)"
    r"(?:\?(?P<query>(?:[!\"$&-~]|%[0-9A-Fa-f]{2})*))? HTTP/1\.[0-9]\r\n"
    r"(?P<headers>(?:[!#-'*+.0-9A-Z^-z|~-]+:[^\r\n\0]*\r\n)+)\r\n"
)
_HOST = re.compile(r"(?mi)^host:[ \t]*([^\r\n]*?)[ \t]*\r$")
_HEADERS = (
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)


class Denied(Exception):  # noqa: N818 - an answer, not a fault
    """Authorization was denied; the message is Gong's."""


@define(eq=False)
class Loopback:
    """Page that accepts one redirect with the right `state`, and nothing else."""

    state: Secret
    port: int
    _code: asyncio.Future[Secret] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._code = asyncio.get_running_loop().create_future()

    @property
    def redirect_uri(self) -> str:
        """Redirect URI, which must be registered for the application."""
        return redirect_uri(self.port)

    async def code(self, *, within: float) -> Secret:
        """Return the authorization code of the redirect.

        Raises:
            Denied: the redirect carried an error.
            TimeoutError: no redirect arrived in time.
        """
        async with asyncio.timeout(within):
            return await self._code

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            status, text = self._answer(await _head(reader))
            body = f"{text}\n".encode()
            length = f"Content-Length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{_HEADERS}{length}\r\n".encode() + body)
            await writer.drain()
        except OSError:
            pass  # a browser retries
        finally:
            writer.close()

    def _answer(self, head: str | None) -> tuple[str, str]:
        found = None if head is None else _REQUEST.fullmatch(head)
        hosts = [] if found is None else _HOST.findall(found["headers"])
        if found is None or len(hosts) != 1:
            return "400 Bad Request", "Not a request of a browser."
        # Another host name may be DNS rebinding by a foreign page.
        if hosts[0].lower() not in {f"{HOST}:{self.port}", f"localhost:{self.port}"}:
            return "421 Misdirected Request", "Wrong host name."
        if found["path"] != PATH:
            return "404 Not Found", "Not found."
        try:
            query = parse_qs(found["query"] or "", errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:  # not UTF-8, or too many
            return "400 Bad Request", "Not the response to this login."
        return self._take(query)

    def _take(self, query: dict[str, list[str]]) -> tuple[str, str]:
        given = query.get("state", [""])[-1]
        if not hmac.compare_digest(given.encode(), self.state.reveal().encode()):
            # Anybody can send a browser here; only who was asked to knows the state.
            return "400 Bad Request", "Not the response to this login."
        if self._code.done():
            return "410 Gone", "This login is already complete."
        if error := query.get("error"):
            said = " ".join([*error, *query.get("error_description", ())])
            # Untrusted text: escaped for one line of a terminal.
            self._code.set_exception(Denied(Redactor()(said)))
            return "200 OK", "Authorization was denied. You may close this page."
        if not (code := query.get("code", [""])[-1]):
            return "400 Bad Request", "The response has no code."
        self._code.set_result(Secret(code))
        return "200 OK", "Login received; see the terminal. You may close this page."


async def _head(reader: asyncio.StreamReader) -> str | None:
    """Return the request head; None if it is too long or incomplete."""
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            try:
                return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except asyncio.LimitOverrunError:
                # Unread data would reset the connection on close, and the response would be lost.
                for _ in range(_MOST_CHUNKS):
                    chunk = await reader.read(_LONGEST_HEAD)
                    if not chunk or chunk.endswith(b"\r\n\r\n"):
                        break
    except (asyncio.IncompleteReadError, TimeoutError):
        pass
    return None


def redirect_uri(port: int) -> str:
    """Return the redirect URI of a port."""
    return f"http://{HOST}:{port}{PATH}"


@asynccontextmanager
async def listening(state: Secret, port: int) -> AsyncIterator[Loopback]:
    """Serve the page on this machine.

    Raises:
        ConfigurationError: the port is not available.
    """
    page = Loopback(state, port)
    try:
        server = await asyncio.start_server(page.serve, HOST, port, limit=_LONGEST_HEAD)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        page.port = server.sockets[0].getsockname()[1]
        async with server:
            yield page
        return
    raise ConfigurationError(
        f"cannot listen on port {port}: {problem}; "
        "set another one with --port, and register its redirect URI at Gong"
    )
