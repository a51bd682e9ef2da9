"""The only door to the network: aiohttp's sessions, timeouts, and the body under a cap."""

from __future__ import annotations

from aiohttp import BaseConnector, ClientSession

from gong_async._transport.pool import SessionPool
from gong_async._transport.transport import Transport

__all__ = ["BaseConnector", "ClientSession", "SessionPool", "Transport"]
