"""Waits on this machine for the browser that Gong sends back."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from gong_async import ConfigurationError, Secret

HOST = "127.0.0.1"
PATH = "/callback"

_LONGEST_HEAD = 16 * 1024
_HEAD_SECONDS = 10.0
_HEADERS = (
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)


class Denied(Exception):  # noqa: N818 - an answer, not a fault
    """The administrator has said no, or Gong has; in Gong's words."""


@define(eq=False)
class Loopback:
    """A page on this machine that takes one redirect, with the right `state`, and nothing else."""

    state: Secret
    port: int
    _code: asyncio.Future[Secret] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._code = asyncio.get_running_loop().create_future()

    @property
    def redirect_uri(self) -> str:
        """Where Gong shall send the browser; the application must be registered with it."""
        return redirect_uri(self.port)

    async def code(self, *, within: float) -> Secret:
        """Return the code that came with the redirect.

        Raises:
            Denied: an error came in its place.
            TimeoutError: nobody came.
        """
        async with asyncio.timeout(within):
            return await self._code

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, text = self._answer(head.decode("latin-1"))
            body = f"{text}\n".encode()
            length = f"Content-Length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{_HEADERS}{length}\r\n".encode() + body)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was, the browser comes again
        finally:
            writer.close()

    def _answer(self, head: str) -> tuple[str, str]:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        target = rest.partition(" ")[0]
        hosts = [line[5:].strip() for line in lines if line.lower().startswith("host:")]
        # Another name for this machine would be a page of somebody else's that looks in here.
        if hosts not in ([f"{HOST}:{self.port}"], [f"localhost:{self.port}"]):
            return "421 Misdirected Request", "This page is not here."
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if method != "GET" or path != PATH:
            return "404 Not Found", "There is nothing here."
        return self._take(query)

    def _take(self, query: dict[str, list[str]]) -> tuple[str, str]:
        given = query.get("state", [""])[-1]
        if not hmac.compare_digest(given.encode(), self.state.reveal().encode()):
            # Anybody can send a browser here; only who was asked to knows the state.
            return "400 Bad Request", "This is not the answer to the login that was begun."
        if self._code.done():
            return "410 Gone", "This login has been answered already."
        if error := query.get("error"):
            self._code.set_exception(
                Denied(" ".join([*error, *query.get("error_description", ())]))
            )
            return "200 OK", "Gong did not approve. You may close this page."
        if not (code := query.get("code", [""])[-1]):
            return "400 Bad Request", "There is no code in this answer."
        self._code.set_result(Secret(code))
        return "200 OK", "The answer has arrived; see the terminal. You may close this page."


def redirect_uri(port: int) -> str:
    """Return where Gong shall send the browser."""
    return f"http://{HOST}:{port}{PATH}"


@asynccontextmanager
async def listening(state: Secret, port: int) -> AsyncIterator[Loopback]:
    """Open the page on this machine.

    Raises:
        ConfigurationError: the port cannot be had.
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
        f"port {port} of this machine cannot be listened on: {problem}; "
        "give another one with --port, and register its redirect URI at Gong"
    )
