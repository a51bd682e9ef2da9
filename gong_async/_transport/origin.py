"""A server, the connections to it, and what is the same in every request to it."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp import BaseConnector
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from attrs import define, field
from yarl import URL

from gong_async._secret import Secret
from gong_async._transport.tls import connecting
from gong_async._wire import Progress, Request

CONNECT_SECONDS = 10.0
_BODILESS = frozenset({"GET", "HEAD"})


class _Place(aiohttp.ClientRequest):
    """Tells aiohttp's pool where to connect to; it is never sent."""

    _key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        """What tells the connections to this place from others; the same for every request."""
        if self._key is None:
            self._key = super().connection_key
        return self._key


@define(eq=False)
class Origin:
    """Connects to one server, and writes requests to it."""

    url: str
    connector: BaseConnector
    _place: _Place = field(init=False, repr=False)
    _headers: Mapping[str, str] | None = field(default=None, init=False, repr=False)
    _lines: str = field(default="", init=False, repr=False)
    """Those headers as they are sent."""
    _timeout: aiohttp.ClientTimeout | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._place = _Place("GET", URL(self.url, encoded=True))

    async def connect(self, timeout: float, progress: Progress) -> Connection:
        """Return a connection on which nothing waits that nobody asked for.

        aiohttp would take it for the answer to the next request, whatever that asks.

        Raises:
            aiohttp.ClientError: there is no connection.
            TimeoutError: there was none in time.
        """
        if self._timeout is None or self._timeout.connect != timeout:
            self._timeout = aiohttp.ClientTimeout(
                connect=timeout,
                sock_connect=min(timeout, CONNECT_SECONDS),
                ceil_threshold=timeout + 1,
            )
        while True:
            token = connecting.set(progress)
            try:
                connection = await self.connector.connect(self._place, [], self._timeout)
            finally:
                connecting.reset(token)
            protocol = connection.protocol
            if protocol is None or not protocol.is_connected():
                connection.close()
                raise aiohttp.ClientConnectionResetError
            if not protocol.should_close:
                return connection
            connection.close()
            progress.phase = "connect"

    def head(self, request: Request, authorization: Secret) -> bytes:
        """Return everything that goes before the body.

        Raises:
            ValueError: something in it would end a line, or is not ASCII.
        """
        if request.headers is not self._headers:
            self._lines = self._fixed_lines(request)
            self._headers = request.headers
        target = request.url[len(self.url) :] or "/"
        # No name for what shows the credential: a traceback holds the locals of every frame.
        if not (target.isprintable() and authorization.reveal().isprintable()):
            raise ValueError("what goes into a line of the head would end it")
        length = ""
        if request.body is not None or request.method not in _BODILESS:
            length = f"Content-Length: {len(request.body or b'')}\r\n"
        return (
            f"{request.method} {target} HTTP/1.1\r\n{self._lines}{length}"
            f"Authorization: {authorization.reveal()}\r\n\r\n"
        ).encode("ascii")

    def _fixed_lines(self, request: Request) -> str:
        headers = {"Host": self._place.headers["Host"], **request.headers}
        if self.connector.force_close:
            headers["Connection"] = "close"
        if not all(f"{name}{value}".isprintable() for name, value in headers.items()):
            raise ValueError("a header would end its line")
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def origin_of(url: str) -> str:
    """Return the part of a URL that tells the server."""
    end = url.find("/", url.index("//") + 2)
    return url if end < 0 else url[:end]
