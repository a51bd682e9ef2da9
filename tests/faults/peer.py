"""A server that misbehaves: it does with each connection and each request what its scripts say."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from attrs import Factory, define, field, frozen

from faults.line import Line
from gong_async import Secret

NEW_MEETING_ID = "8000000000000000001"


@frozen(eq=False, repr=False)
class Seen:
    """A request whose headers have arrived. It holds the credential and so shows nothing."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    at: float
    line: Line

    def header(self, name: str) -> str | None:
        """Return the value of a header, None without one."""
        return dict(self.headers).get(name.lower())

    def is_from(self, authorization: Secret) -> bool:
        """Whether the request carries this credential."""
        return self.header("authorization") == authorization.reveal()


@define(eq=False, repr=False)
class Exchange:
    """A request and the connection to answer it on."""

    peer: Peer
    line: Line
    seen: Seen
    _body: bytes | None = None

    async def read(self) -> bytes:
        """Read the request's body."""
        if self._body is None:
            length = int(self.seen.header("content-length") or 0)
            self._body = await self.line.reader.readexactly(length)
        return self._body

    async def apply(self) -> None:
        """Carry the request out, and take it into the record."""
        self.peer.applied.append((self.seen.method, self.seen.target, await self.read()))

    async def apply_later(self, seconds: float) -> None:
        """Carry the request out after a while, whatever becomes of the connection."""
        await self.read()

        async def apply() -> None:
            await asyncio.sleep(seconds)
            await self.apply()

        self.peer.spawn(apply())

    async def truth(self) -> bytes:
        """Return what Gong would say after it has carried the request out."""
        return json.dumps(truth(self.seen, await self.read())).encode()


Act = Callable[[Exchange], Awaitable[None]]
"""What becomes of one request. The connection is served on unless it was closed."""

Greeting = Callable[["Peer", Line], Awaitable[None]]
"""What becomes of one connection, from its first moment on."""

Asleep = Literal["refusing", "dropping"]
"""What a server that is not there yet does: refuse connections, or leave them without a word."""


def truth(seen: Seen, body: bytes) -> Mapping[str, Any]:
    """Return the payload of Gong's answer to a request that it has carried out."""
    said = {"requestId": "4al018gzaztcr8nbukw"}
    sent: Any = json.loads(body) if body else {}
    if seen.target.endswith("/integration/status"):
        users = [{"email": email, "exists": True, "valid": True} for email in sent["emails"]]
        return {**said, "users": users}
    if seen.method == "POST":
        url = f"https://gong.example/{NEW_MEETING_ID}"
        return {**said, "meetingId": NEW_MEETING_ID, "meetingUrl": url}
    return {**said, "meetingId": seen.target.rpartition("/")[2]}


async def behave(exchange: Exchange) -> None:
    """Carry out and answer well."""
    await exchange.apply()
    body = await exchange.truth()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    await exchange.line.send(head.encode() + b"\r\n" + body)


async def serve(peer: Peer, line: Line) -> None:
    """Serve requests until the connection is closed, each as the script says."""
    await serve_as(peer, line, peer.tls)


async def serve_as(peer: Peer, line: Line, tls: ssl.SSLContext | None) -> None:
    """Serve with a certificate of choice."""
    await line.open(tls)
    while not line.writer.is_closing():
        head = await line.reader.readuntil(b"\r\n\r\n")
        seen = peer.see(head, line)
        await peer.next_act()(Exchange(peer, line, seen))


def _tcp_socket() -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off: it waits in real time.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _queue(acts: Iterable[Act]) -> deque[Act]:
    return deque(acts)


@define(eq=False, repr=False)
class Peer:
    """A raw server on a socket of this machine. Use it as an async context manager.

    `acts` and `greetings` are used up one by one; then `always` and `welcome` hold.
    """

    acts: deque[Act] = field(converter=_queue, factory=deque)
    greetings: deque[Greeting] = field(factory=deque)
    always: Act = behave
    welcome: Greeting = serve
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    asleep: Asleep | None = None
    seen: list[Seen] = field(factory=list, init=False)
    applied: list[tuple[str, str, bytes]] = field(factory=list, init=False)
    lines: list[Line] = field(factory=list, init=False)
    arrivals: list[float] = field(factory=list, init=False)
    open: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    _emptied: asyncio.Event = field(factory=asyncio.Event, init=False)
    _listener: socket.socket = field(factory=_tcp_socket, init=False)
    _fillers: list[socket.socket] = field(factory=list, init=False)
    _filled: set[Any] = field(factory=set, init=False)
    _tasks: set[asyncio.Task[None]] = field(default=Factory(set[asyncio.Task[None]]), init=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def opened(self) -> int:
        """Connections so far."""
        return len(self.lines)

    @property
    def contacts(self) -> int:
        """Times that a client came: requests, and connections that carried none."""
        return len(self.seen) + sum(not line.requests for line in self.lines)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What it is doing."""
        return set(self._tasks)

    def next_act(self) -> Act:
        """Return what becomes of the next request."""
        return self.acts.popleft() if self.acts else self.always

    def see(self, head: bytes, line: Line) -> Seen:
        """Take a request into the record."""
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = tuple(_header(text) for text in lines if text)
        seen = Seen(method, target, headers, asyncio.get_running_loop().time(), line)
        line.requests += 1
        self.seen.append(seen)
        return seen

    def mend(self) -> None:
        """Be an honest server from now on."""
        self.acts.clear()
        self.greetings.clear()
        self.always, self.welcome = behave, serve
        if self.asleep:
            self._wake()

    async def empty(self) -> None:
        """Wait until no connection is open."""
        await self._emptied.wait()

    async def __aenter__(self) -> Self:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that a server that does not read stops the client soon.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._listener.bind((self.host, self.port))
        self._listener.setblocking(False)  # noqa: FBT003
        self.port = self._listener.getsockname()[1]
        match self.asleep:
            case None:
                self._wake()
            case "dropping":
                self._fill_backlog()
            case "refusing":
                pass  # bound, so no other program's, but not listening
        self._emptied.set()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._fillers):
            sock.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self) -> None:
        self.asleep = None
        for filler in self._fillers:
            filler.close()
        self._listener.listen(64)
        self.spawn(self._accept())

    def _fill_backlog(self) -> None:
        """Fill the queue of connections, so that the kernel drops the next handshakes."""
        self._listener.listen(0)
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003
            filler.connect_ex((self.host, self.port))
            self._filled.add(filler.getsockname())
            self._fillers.append(filler)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, address = await loop.sock_accept(self._listener)
            if address in self._filled:
                sock.close()
                continue
            line = Line(self.opened + 1, sock)
            self.lines.append(line)
            self.arrivals.append(loop.time())
            self.open += 1
            self._emptied.clear()
            self.peak = max(self.peak, self.open)
            self.spawn(self._host(line))

    async def _host(self, line: Line) -> None:
        greeting = self.greetings.popleft() if self.greetings else self.welcome
        try:
            await greeting(self, line)
        except (OSError, EOFError):
            pass  # the client has hung up, or we have: both are what these tests are about
        finally:
            await line.hang_up()
            self.open -= 1
            if not self.open:
                self._emptied.set()

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something go on beside everything else."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.lower(), value.strip()


def scripted(acts: Iterable[Act] = (), **options: Any) -> Peer:
    """Return a peer that does with its first requests what `acts` say."""
    return Peer(acts, **options)
