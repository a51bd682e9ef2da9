"""One connection of the misbehaving server."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Literal

from attrs import define, field

_LINGER_ZERO = struct.pack("ii", 1, 0)
_BLOCK = 64 * 1024

Then = Literal["keep", "close", "abort", "reset", "half_close", "hold"]
"""What to do with a connection: serve on, say goodbye, leave without a TLS goodbye, reset it, end
our side only, or fall silent."""


@define(eq=False, repr=False)
class Line:
    """One accepted connection. Nothing is read from it, and no TLS spoken, before `open`."""

    number: int
    sock: socket.socket
    requests: int = 0
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False)

    @property
    def reader(self) -> asyncio.StreamReader:
        """Where the client's bytes arrive."""
        assert self._reader is not None
        return self._reader

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Where ours leave."""
        assert self._writer is not None
        return self._writer

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Start to read, after a TLS handshake if there is a context."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, self.sock, ssl=tls)
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def send(self, data: bytes) -> None:
        """Send bytes, no faster than the client takes them."""
        for start in range(0, len(data), _BLOCK):
            self.writer.write(data[start : start + _BLOCK])
            await self.writer.drain()

    async def end(self, then: Then) -> None:
        """Do with the connection what `then` says."""
        match then:
            case "keep":
                return
            case "close":
                self.writer.close()
            case "abort":
                self.writer.transport.abort()
            case "reset":
                self.reset()
            case "half_close":
                self.writer.write_eof()
                await self.gone()
            case "hold":
                await self.gone()

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        # The socket of a transport is a proxy of ours: the option reaches the same connection.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        if self._writer is None:
            self.sock.close()
        else:
            self._writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed its side; what it still sends is thrown away."""
        while await self.reader.read(_BLOCK):
            pass

    async def hang_up(self) -> None:
        """Let go of everything."""
        if self._writer is None:
            self.sock.close()
            return
        self._writer.transport.abort()
        await asyncio.sleep(0)
