"""What the fake records of the requests that reach it, and what can be read of it."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from gong_async.testing.connections import Connections
from gong_async.testing.operations import Operation
from gong_async.testing.quotas import FakeQuota

NO_ANSWER = 0
"""The status that counts requests without a response."""


@frozen(kw_only=True)
class ReceivedRequest:
    """One request as it reached the server.

    Attributes:
        index: Its place among all requests, from 0.
        at: When its headers arrived, in seconds of the server's loop.
        path: As sent, with the prefix and without the query.
        query: The last value of every name.
        parameters: Every name of the query with its value, in the order of the query.
        headers: Under lower-case names; of `authorization` only the scheme is kept.
        body: The bytes; empty until they were read.
        json: The body as read from JSON; None when it is not JSON.
        meeting_id: The id in the path, if there is one.
        status: The status answered; None when none was, or not yet.
        fault: The name of the scripted fault that struck, if one did.
        connection: The number of the TCP connection, from 1.
    """

    index: int
    at: float
    method: str
    path: str
    query: Mapping[str, str] = field(hash=False)
    headers: Mapping[str, str] = field(hash=False)
    operation: Operation
    meeting_id: str | None
    connection: int
    parameters: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    json: Any = field(default=None, hash=False)
    status: int | None = None
    fault: str | None = None


@frozen(kw_only=True)
class Applied:
    """One change that took effect.

    Attributes:
        meeting_id: The id in the path, or the one that was given to a new meeting.
        body: The request's body as read from JSON.
        raw: The same body, byte for byte.
        sha256: The digest of `raw`, in hexadecimal.
        at: When it took effect, in seconds of the server's loop.
        request: The index of the request that caused it.
    """

    operation: Operation
    meeting_id: str
    body: Mapping[str, Any] = field(hash=False)
    raw: bytes
    sha256: str
    at: float
    request: int


class Recording:
    """Requests and changes in order, all of them or only the last; the counts of all, always.

    `keep` is "all", "last:N" or "counts".
    """

    def __init__(self, keep: str) -> None:
        self._most = _most(keep)
        self._requests: OrderedDict[int, ReceivedRequest] = OrderedDict()
        self._changes: OrderedDict[int, Applied] = OrderedDict()
        self.arrivals: int = 0
        self.applied_count: int = 0
        self.by_status: Counter[int] = Counter()
        self.by_operation: Counter[tuple[Operation, int]] = Counter()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The remembered requests; a copy, safe to read from another thread."""
        return list(self._requests.values())

    @property
    def changes(self) -> list[Applied]:
        """The remembered changes; a copy, safe to read from another thread."""
        return list(self._changes.values())

    def arrived(self, request: ReceivedRequest) -> None:
        """Remember a request whose headers are in."""
        self.arrivals += 1
        self._requests[request.index] = request
        _trim(self._requests, self._most)

    def learned(self, request: ReceivedRequest, **more: Any) -> ReceivedRequest:
        """Fill in what is known of a request by now."""
        fuller = evolve(request, **more)
        if fuller.index in self._requests:
            self._requests[fuller.index] = fuller
        return fuller

    def finished(self, request: ReceivedRequest, status: int | None) -> None:
        """Fill in what was answered, and count it."""
        self.learned(request, status=status)
        self.by_status[status or NO_ANSWER] += 1
        self.by_operation[request.operation, status or NO_ANSWER] += 1

    def applied(self, request: ReceivedRequest, *, meeting_id: str, at: float) -> None:
        """Remember a change that took effect."""
        number = self.applied_count
        self.applied_count += 1
        if not self._most:
            return
        self._changes[number] = Applied(
            operation=request.operation,
            meeting_id=meeting_id,
            body=request.json,
            raw=request.body,
            sha256=hashlib.sha256(request.body).hexdigest(),
            at=at,
            request=request.index,
        )
        _trim(self._changes, self._most)


def _trim(kept: OrderedDict[int, Any], most: float) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _most(keep: str) -> float:
    name, _, number = keep.partition(":")
    if keep == "all":
        return float("inf")
    if keep == "counts":
        return 0
    if name == "last" and number.isascii() and number.isdigit() and int(number):
        return int(number)
    raise ValueError(f'record must be "all", "last:N" or "counts", not {keep!r}')


class Observed:
    """Counts and records; may be read from any thread."""

    quota: FakeQuota
    _recording: Recording
    _connections: Connections

    @property
    def received(self) -> list[ReceivedRequest]:
        """A copy of all requests that arrived, in order, rejected ones included."""
        return self._recording.requests

    @property
    def applied(self) -> list[Applied]:
        """Every change that took effect, in order; a copy."""
        return self._recording.changes

    @property
    def received_count(self) -> int:
        """How many requests arrived, whatever is remembered of them."""
        return self._recording.arrivals

    @property
    def applied_count(self) -> int:
        """How many changes took effect, whatever is remembered of them."""
        return self._recording.applied_count

    @property
    def counts(self) -> Counter[int]:
        """How many requests got each status; 0 counts those without a response."""
        return self._recording.by_status

    @property
    def counts_by_operation(self) -> Counter[tuple[Operation, int]]:
        """The same, by operation and status."""
        return self._recording.by_operation

    @property
    def quota_refusals(self) -> int:
        """How many requests were throttled."""
        return self.quota.refusals

    @property
    def connections_open(self) -> int:
        """TCP connections open now."""
        return self._connections.open

    @property
    def connections_peak(self) -> int:
        """The most TCP connections that were open at a time."""
        return self._connections.peak

    @property
    def connections_total(self) -> int:
        """TCP connections accepted so far."""
        return self._connections.total
