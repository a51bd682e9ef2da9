"""The clients under comparison, by name. Nothing of them is imported before it is measured."""

from __future__ import annotations

from typing import Literal, NamedTuple

Shape = Literal["one_by_one", "all_together", "blocking"]


class Entry(NamedTuple):
    """Where a client is, and how it is used: see `contract.py`."""

    title: str
    module: str
    name: str
    shape: Shape
    ours: bool = False
    pulls_as_it_sends: bool = True
    """Whether the time of a call can be measured from outside."""


CLIENTS = {
    "aiohttp": Entry("plain aiohttp", "by_aiohttp", "PlainAiohttp", "one_by_one"),
    "update": Entry("`meetings.update`", "ours", "Update", "one_by_one", ours=True),
    "update_many": Entry("`update_many`", "ours", "UpdateMany", "all_together", ours=True),
    "bulk": Entry(
        "`BulkJob`, planned and run",
        "ours",
        "Bulk",
        "all_together",
        ours=True,
        pulls_as_it_sends=False,
    ),
    "generated": Entry("openapi-generator", "by_generator", "Generated", "one_by_one"),
    "requests": Entry("requests, in threads", "by_requests", "Requests", "blocking"),
    "niquests": Entry("niquests", "by_niquests", "Niquests", "one_by_one"),
    "httpx": Entry("httpx", "by_httpx", "Httpx", "one_by_one"),
}
BASE = "aiohttp"
"""The client that the others are compared with."""
ON_UVLOOP = ("aiohttp", "update", "update_many", "bulk")
"""Clients that are measured under uvloop, too, as `NAME+uvloop`."""
