"""What can be read off a fake, while it runs and after."""

from __future__ import annotations

from collections import Counter

from gong_async.testing.connections import Connections
from gong_async.testing.operations import Operation
from gong_async.testing.quotas import FakeQuota
from gong_async.testing.recording import Applied, ReceivedRequest, Recording


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
