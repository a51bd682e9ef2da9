"""The TLS context, and the progress of its handshake."""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from typing import Any

from gong_async._wire import AttemptProgress

connecting: ContextVar[AttemptProgress | None] = ContextVar("gong_async_connecting", default=None)
"""The attempt that a new connection is made for."""


class _TLSContext(ssl.SSLContext):
    """Distinguishes the handshake from the connect, which aiohttp does not."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        progress = connecting.get()
        if progress is not None and progress.phase == "connect":
            progress.phase = "tls"
        return super().wrap_bio(*args, **kwargs)


def tls_context() -> ssl.SSLContext:
    """Return a context with the machine's CA certificates."""
    context = _TLSContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context
