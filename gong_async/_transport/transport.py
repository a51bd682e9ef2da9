"""The protocol of transports, as the pipeline uses them."""

from __future__ import annotations

from typing import Protocol

from gong_async._redact import Secret
from gong_async._wire import AttemptProgress, Request, Response


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
