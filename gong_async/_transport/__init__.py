"""The transport: aiohttp's connections, timeouts, and size limits of responses."""

from __future__ import annotations

from aiohttp import BaseConnector, ClientSession

from gong_async._transport.pool import SessionPool
from gong_async._transport.transport import MeasuredTransport, Transport

__all__ = ["BaseConnector", "ClientSession", "MeasuredTransport", "SessionPool", "Transport"]
