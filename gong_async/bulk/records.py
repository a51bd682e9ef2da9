"""The records of a bulk job: options, items, plan and status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gong_async._settings.values import a_flag, a_number
from gong_async.errors import GongError

ItemState = Literal["pending", "in_flight", "succeeded", "failed", "in_doubt", "skipped"]
"""State of an item: not sent, perhaps on the wire, acknowledged, rejected, outcome unknown, or left
out."""

JobState = Literal[
    "planning", "planned", "running", "waiting", "paused", "cancelled", "completed", "interrupted"
]
"""State of a job. `waiting` can resume at `resume_at`; `paused` needs action by a person;
`interrupted` means that its process died, its client was closed, or its reader stopped."""

SkipReason = Literal["superseded", "unchanged", "organizer", "cancelled"]
"""Why an item was skipped: the job has a later change of the same meeting, Gong has already
acknowledged this state, the organizer's meetings cannot be updated, or the job was cancelled."""


MEANINGS: Mapping[str, tuple[str, str]] = {
    "succeeded": ("succeeded", "Gong acknowledged the update."),
    "failed": ("failed", "Gong rejected the update."),
    "in_doubt": ("in doubt", "No answer came. The update may have been applied."),
    "organizer": ("skipped", "Gong cannot update the meetings of this organizer."),
    "superseded": ("superseded", "This job has a later change of the same meeting."),
    "unchanged": ("unchanged", "Gong has acknowledged this update before."),
    "cancelled": ("cancelled", "The job was cancelled before it was sent."),
    "in_flight": ("in flight", "Sent; the answer is outstanding."),
    "pending": ("pending", "Not sent yet."),
}
"""Label and meaning of item states and skip reasons; "skipped" is for an organizer."""


@frozen(kw_only=True)
class BulkOptions:
    """Options of a bulk job, stored in its journal.

    Raises:
        ConfigurationError: a value is out of range.
    """

    keep_order: bool = field(default=False, validator=a_flag)
    """Send all changes of a meeting in order. By default, only the last is sent: the final state
    is the same, with fewer calls."""
    skip_unchanged: bool = field(default=True, validator=a_flag)
    """Skip a change that equals the meeting's last acknowledged update in the ledger of this
    machine. The ledger does not know of changes made elsewhere since then."""
    check_organizers: bool = field(default=True, validator=a_flag)
    """Ask Gong whose meetings can be updated, 100 organizers per call, and skip the others."""
    max_failure_ratio: float | None = field(default=0.5, validator=a_number(above=0, optional=True))
    """Pause when more than this fraction of the last 100 updates failed (of at least 20); None
    for no limit."""
    resend_in_doubt_within: float = field(
        default=86_400.0, validator=a_number(above=0, infinite=True)
    )
    """Seconds within which a resumed job resends an update whose outcome is unknown. Older ones
    stay in doubt, because the meeting may have been changed since."""
    max_in_flight: int = field(default=8, validator=a_number(whole=True, above=0))
    """Maximum number of updates in flight."""
    drain_seconds: float = field(default=30.0, validator=a_number(above=0, infinite=True))
    """Seconds that updates in flight may take to finish when the job stops."""


@frozen(kw_only=True)
class BulkItem:
    """One change of a bulk job, as recorded in the journal."""

    index: int
    """Index in the source, from 0."""
    line: int | None
    """Line in the input file, if any."""
    meeting_id: str
    state: ItemState
    reason: SkipReason | None = None
    """Why it was skipped."""
    attempts: int = 0
    """Requests sent for it, over all runs of the job."""
    status: int | None = None
    """HTTP status of the last response."""
    request_id: str | None = None
    """Gong's id of the last request."""
    error: str | None = None
    """Class of the last error."""
    message: str | None = None
    """Message of the last error."""
    errors: tuple[str, ...] = ()
    """Error messages from Gong."""
    fix_url: str | None = None
    """Where the organizer's settings can be fixed, if Gong provides it."""
    seconds_waited: float = 0.0
    """Seconds that its last run waited for permits and between attempts."""
    seconds_on_wire: float = 0.0
    cause: GongError | None = field(default=None, eq=False, repr=False)
    """The exception, if it was just raised; the journal does not store it."""

    @property
    def ok(self) -> bool:
        """Whether Gong acknowledged it."""
        return self.state == "succeeded"


@frozen(kw_only=True)
class Forecast:
    """Estimated cost of a job, at the currently known quota."""

    requests: int
    """Remaining requests, without retries."""
    seconds: float
    """Seconds until the last of them, including waits for the daily quota."""
    finishes_at: datetime
    per_second: float | None
    """The assumed rate."""
    left_today: int | None
    """Remaining daily calls that the job may use."""

    @property
    def days(self) -> float:
        """`seconds` in days."""
        return self.seconds / 86_400.0


@frozen(kw_only=True)
class BulkPlan:
    """What a job will send, and a forecast."""

    items: int
    """Changes in the source."""
    to_send: int
    skipped: Mapping[SkipReason, int] = field(hash=False)
    """Skipped changes by reason."""
    organizers: int
    """Organizers of the changes to send."""
    check_requests: int
    """Requests needed to check the organizers."""
    forecast: Forecast


@frozen(kw_only=True)
class BulkStatus:
    """Status of a job."""

    id: str
    path: Path
    state: JobState
    reason: str | None
    """Why it stopped, as text; None while it runs or when it is completed."""
    resume_at: datetime | None
    """When a waiting job can resume."""
    origin: str
    """The API that it was planned for."""
    planned_at: datetime
    total: int
    counts: Mapping[ItemState, int] = field(hash=False)
    """Items by state, with every state as a key."""
    skipped: Mapping[SkipReason, int] = field(hash=False)
    runs: int
    """Number of runs."""
    pid: int | None
    """The process that runs it, if any."""
    began_at: datetime | None
    """Start of the current or last run."""
    ended_in_run: int
    """Items that ended in that run."""
    seconds: float
    """Duration of the current or last run, in seconds."""
    finishes_at: datetime | None
    """Estimated end of the running job, including waits for the daily quota."""

    @property
    def left(self) -> int:
        """Items without an outcome yet."""
        return self.counts["pending"] + self.counts["in_flight"]

    @property
    def ended(self) -> int:
        """Items that were sent and have an outcome."""
        return self.counts["succeeded"] + self.counts["failed"] + self.counts["in_doubt"]

    @property
    def rate(self) -> float:
        """Items per second in the current or last run."""
        return self.ended_in_run / self.seconds if self.seconds > 0 else 0.0


def tally(status: BulkStatus) -> dict[str, int]:
    """Return the number of items by state, and of skipped items by reason, as in `MEANINGS`."""
    counted = {str(name): items for name, items in status.counts.items()}
    counted |= {str(name): items for name, items in status.skipped.items()}
    return {name: counted[name] for name in MEANINGS}


def moment(when: datetime) -> str:
    """Format a time in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def number_of(count: int, thing: str) -> str:
    """Format a count with its noun."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
