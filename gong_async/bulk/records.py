"""The records of a bulk job: its options, its items, how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gong_async._settings import a_flag, a_number
from gong_async.errors import GongError

ItemState = Literal["planned", "sent", "done", "failed", "in_doubt", "skipped"]
"""What is known of an item: nothing was sent yet, a request may be on its way, applied, refused,
perhaps applied, or left out on purpose."""

JobState = Literal[
    "planning", "planned", "running", "paused", "parked", "finished", "cancelled", "interrupted"
]
"""How a job stands. `parked` waits for a time (`resume_at`), `paused` for a person; `interrupted`
is a job whose process has died, whose client was closed, or whose reader went away."""

SkipReason = Literal["superseded", "unchanged", "organizer", "cancelled"]
"""Why an item was left out: a later change of the same meeting is in the job, Gong has this state
already, the organizer's meetings cannot be updated, or the job was cancelled."""


@frozen(kw_only=True)
class BulkOptions:
    """How a bulk job does its work; kept in its journal.

    Raises:
        ConfigurationError: a number cannot be meant.
    """

    keep_order: bool = field(default=False, validator=a_flag)
    """Send every change of a meeting that occurs several times, in order. Otherwise only the last
    is sent, which leaves the meeting in the same state for fewer calls."""
    skip_unchanged: bool = field(default=True, validator=a_flag)
    """Leave out what equals the last update of that meeting that Gong acknowledged to a bulk job
    on this machine. Changes that were made elsewhere since are not known to it."""
    check_organizers: bool = field(default=True, validator=a_flag)
    """Ask Gong, 100 organizers a call, whose meetings can be updated, and set the others aside."""
    max_failure_ratio: float | None = field(default=0.5, validator=a_number(above=0, optional=True))
    """Pause when more than this share of the last 100 updates failed (of at least 20); None for
    no such limit."""
    resend_in_doubt_within: float = field(
        default=86_400.0, validator=a_number(above=0, infinite=True)
    )
    """Seconds for which an update whose outcome is unknown is sent again when the job goes on.
    Older ones stay in doubt: somebody may have changed the meeting since."""
    max_in_flight: int = field(default=8, validator=a_number(whole=True, above=0))
    """Updates under way at the same time."""
    drain_seconds: float = field(default=30.0, validator=a_number(above=0, infinite=True))
    """Seconds that updates under way are given to end when the job stops."""


@frozen(kw_only=True)
class BulkItem:
    """One change of a bulk job, as the journal has it."""

    place: int
    """Place in the source, from 0."""
    line: int | None
    """Line of the file that it came from, if it came from one."""
    meeting_id: str
    state: ItemState
    reason: SkipReason | None = None
    """Why it was skipped."""
    attempts: int = 0
    """Requests that went out for it, over all runs of the job."""
    status: int | None = None
    """HTTP status of the last answer."""
    request_id: str | None = None
    """Gong's id of the last request."""
    error: str | None = None
    """Class of the last error."""
    message: str | None = None
    """What the last error said."""
    errors: tuple[str, ...] = ()
    """Gong's own words."""
    fix_url: str | None = None
    """Where the organizer's settings can be set right, if Gong said so."""
    seconds_waited: float = 0.0
    """Seconds that its last run waited for turns and between attempts."""
    seconds_on_wire: float = 0.0
    cause: GongError | None = field(default=None, eq=False, repr=False)
    """The error itself, where it was just raised; the journal does not keep it."""

    @property
    def ok(self) -> bool:
        """Whether Gong acknowledged it."""
        return self.state == "done"


@frozen(kw_only=True)
class Forecast:
    """What a job will cost, at the quota known now."""

    requests: int
    """Requests that are left, without repetitions."""
    seconds: float
    """Seconds until the last of them, waits for the day's quota included."""
    finishes_at: datetime
    per_second: float | None
    """The pace that this is based on."""
    left_today: int | None
    """Calls of today that the job may use."""

    @property
    def days(self) -> float:
        """The seconds as days."""
        return self.seconds / 86_400.0


@frozen(kw_only=True)
class BulkPlan:
    """What a job will do: nothing was sent for it."""

    items: int
    """Changes in the source."""
    to_send: int
    skipped: Mapping[SkipReason, int] = field(hash=False)
    """Changes that need no request, by the reason."""
    organizers: int
    """Organizers of the changes to send."""
    check_requests: int
    """Requests that asking for the organizers costs."""
    forecast: Forecast


@frozen(kw_only=True)
class BulkStatus:
    """How a job stands."""

    id: str
    path: Path
    state: JobState
    reason: str | None
    """Why it stopped, in words; None while it runs or when it is finished."""
    resume_at: datetime | None
    """When a parked job can go on."""
    origin: str
    """The API that it was planned for."""
    planned_at: datetime
    total: int
    counts: Mapping[ItemState, int] = field(hash=False)
    """Items by state; all states are there."""
    skipped: Mapping[SkipReason, int] = field(hash=False)
    runs: int
    """How often it was started."""
    pid: int | None
    """The process that runs it, if one does."""
    began_at: datetime | None
    """When the present or last run began."""
    finished_in_run: int
    """Items that came to an end in that run."""
    seconds: float
    """Seconds that the present or last run has taken."""
    finishes_at: datetime | None
    """When the running job will be through, quota of the day included."""

    @property
    def left(self) -> int:
        """Items that nothing is known of yet."""
        return self.counts["planned"] + self.counts["sent"]

    @property
    def ended(self) -> int:
        """Items that were sent and have come to an end."""
        return self.counts["done"] + self.counts["failed"] + self.counts["in_doubt"]

    @property
    def rate(self) -> float:
        """Items a second in the present or last run."""
        return self.finished_in_run / self.seconds if self.seconds > 0 else 0.0
