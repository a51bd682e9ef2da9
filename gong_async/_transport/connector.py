"""The connectors that the client opens: TLS, time limits, and the progress of a handshake."""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from typing import Any

import aiohttp

from gong_async._wire import AttemptProgress

CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15.0  # below the idle time of the usual load balancers (60 s and more)

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


def make_connector(limit: int, tls: ssl.SSLContext | None, *, fresh: bool) -> aiohttp.BaseConnector:
    """Return a connector with at most `limit` connections; `fresh` ones serve one request each."""
    return aiohttp.TCPConnector(
        limit=limit,
        ssl=tls or True,
        resolver=aiohttp.ThreadedResolver(),
        force_close=fresh,
        keepalive_timeout=None if fresh else _KEEPALIVE_SECONDS,
    )
