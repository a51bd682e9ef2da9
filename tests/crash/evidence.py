"""What was seen of one job from outside: at the server, in its files, at its processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crash.journal_view import JournalView
from crash.manifest import Manifest

Kind = Literal["run", "resume", "report", "again"]

_CLEAR_FAULTS = frozenset({None, "latency", "rate_limited"})
"""What leaves the answer whole, and nothing in doubt."""
_REQUEST_TIMEOUT = 408
_CLIENT_ERRORS = 400
_SERVER_ERRORS = 500


@dataclass(frozen=True)
class Request:
    """A request as it reached the server. Times are of the machine's steady clock."""

    index: int
    life: int
    """The process that sent it, by its number."""
    operation: str
    meeting_id: str | None
    connection: int
    at: float
    ended: float | None
    """When it was answered, or its connection was gone, whichever came first."""
    lost: bool
    """Whether its connection was gone before the answer."""
    status: int | None
    fault: str | None
    sha: str
    announced: int | None
    """Attempts of this meeting that the journal held when the request arrived."""
    expected: int
    """Requests of this meeting that had arrived by then, this one among them."""

    @property
    def clear(self) -> bool:
        """Whether it was answered in a way that leaves nothing unknown."""
        if self.lost or self.status is None or self.fault not in _CLEAR_FAULTS:
            return False
        return self.status < _SERVER_ERRORS and self.status != _REQUEST_TIMEOUT

    @property
    def refused(self) -> bool:
        """Whether the status alone says that it was not applied, whatever became of the rest."""
        if self.lost or self.status is None or self.status == _REQUEST_TIMEOUT:
            return False
        return _CLIENT_ERRORS <= self.status < _SERVER_ERRORS


@dataclass(frozen=True)
class Applied:
    """A change that took effect at the server."""

    request: int
    meeting_id: str
    sha: str
    body: dict[str, Any]
    at: float


@dataclass
class Life:
    """One process that worked on the job, from its start to its end."""

    number: int
    kind: Kind
    point: str
    """Where it was instructed to die; empty for nowhere."""
    pid: int = 0
    killed: bool = False
    exit_code: int | None = None
    ended: float = 0.0
    reported: list[tuple[int, str]] = field(default_factory=list)
    """Indexes and states of the items whose outcome its caller got."""
    output: str = ""
    most_memory: int = 0
    """Bytes, at the most."""
    most_files: int = 0
    """Open files, at the most."""
    after: JournalView | None = None
    """The journal as the process left it; None if there was none."""
    kept: Path | None = None
    """A copy of the files as the process left them."""


@dataclass
class Evidence:
    """All that is known of a job when it is over."""

    seed: int
    manifest: Manifest
    journal: Path
    ledger: Path
    folder: Path
    """Everything that the job's processes wrote."""
    secrets: list[str]
    per_second: float | None
    """The limit that the company has; None for none that matters."""
    lives: list[Life] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    last_work: int = 0
    """Number of the last life that worked on the job."""
    idle_resume: int | None = None
    """Number of the life that was asked to go on with the finished job."""
    again: list[Request] | None = None
    """What another job sent, of what this one had done."""
    calm: bool = True
    """Whether nothing went wrong any more in the last round."""
    prefixes: list[str] = field(default_factory=list)
    """What was wrong with cut copies of the journal, see `prefixes`."""
    prefixes_tried: int = 0
    prefixes_resumed: int = 0
    report: list[dict[str, Any]] | None = None
    """The report's rows, as JSON; None if there was none."""

    def life(self, number: int) -> Life:
        """Return a life by its number."""
        return next(life for life in self.lives if life.number == number)

    def updates(self) -> dict[str, list[Request]]:
        """Return the updates that arrived, by meeting, in order."""
        found: dict[str, list[Request]] = {}
        for request in self.requests:
            if request.operation == "updateMeeting":
                found.setdefault(request.meeting_id or "", []).append(request)
        return found

    def effects(self) -> dict[str, list[Applied]]:
        """Return what took effect, by meeting, in order."""
        found: dict[str, list[Applied]] = {}
        for change in self.applied:
            found.setdefault(change.meeting_id, []).append(change)
        return found
