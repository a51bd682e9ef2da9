"""What is known of aiohttp as it is loaded here."""

from __future__ import annotations

import aiohttp
from aiohttp import http_parser
from attrs import frozen


@frozen(kw_only=True)
class Facts:
    """Which aiohttp sends the requests."""

    version: str
    compiled: bool
    """Whether answers are read by the compiled parser."""


def facts() -> Facts:
    """Return what is loaded."""
    compiled = http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy
    return Facts(version=aiohttp.__version__, compiled=compiled)
