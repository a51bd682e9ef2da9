"""The protocol of transports, as the pipeline uses them, and a transport that measures."""

from __future__ import annotations

import time
from typing import Protocol

from attrs import define, field

from gong_async._redact import Secret
from gong_async._wire import AttemptProgress, Request, Response
from gong_async._wire.response import http_date


class Transport(Protocol):
    """Sends one request once."""

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: AttemptProgress
    ) -> Response:
        """Send `request` once and return the whole response, whatever its status."""
        ...

    def discard_connections(self) -> None:
        """Ensure that no later request uses a connection that is open now."""
        ...


@define(eq=False)
class MeasuredTransport:
    """Counts the requests of a transport, and measures the clock offset from the `Date` header."""

    transport: Transport
    asked: int = field(default=0, init=False)
    ahead: float | None = field(default=None, init=False)
    """Seconds that this machine's clock is ahead of the server's; None without a response."""

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: AttemptProgress
    ) -> Response:
        """Send, and measure the clock offset."""
        self.asked += 1
        began = time.time()
        response = await self.transport.send(
            request, authorization, timeout=timeout, progress=progress
        )
        there = http_date(response.headers.get("Date", ""))
        if there is not None:
            # `Date` has whole seconds: on average the true time is half a second later.
            self.ahead = (began + time.time()) / 2 - (there.timestamp() + 0.5)
        return response

    def discard_connections(self) -> None:
        """Keep later requests off the connections that are open now."""
        self.transport.discard_connections()
