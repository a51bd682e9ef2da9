"""What reports say of a bulk job, read from its journal, and the summary of it for a ticket."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import field, frozen

from gong_async._redact import Redactor
from gong_async.bulk.records import (
    MEANINGS,
    BulkOptions,
    BulkStatus,
    moment,
    number_of,
    tally,
)
from gong_async.bulk.reports.groups import ErrorGroup, anonymous, impersonal, read_groups
from gong_async.bulk.store.job_file import JobFile
from gong_async.limits.types import Limits

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

DAY = 86_400
_LEAST_INTERVALS, _MOST_INTERVALS = 10, 96
_INTERVALS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, DAY)
"""Lengths of an interval of the chart, in seconds."""

_URL_SIGNS = re.compile(r"[!#-;=?-Z_a-z~]+", re.ASCII)
"""What a URL consists of, without what ends a link in Markdown."""

_MOST_LISTED = 50
"""Organizers and items in doubt that a ticket lists."""
_LONGEST_CODE = 1_000
_MINUTE = 60
_HOUR = 3_600
_ENDED = frozenset({"completed", "cancelled"})
_UNITS = ((DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s"))

_FIGURES = (
    "SELECT (SELECT count(DISTINCT meeting_id) FROM item), (SELECT count(*) FROM organizer), "
    "(SELECT count(line) FROM item), (SELECT count(*) FROM attempt), "
    "(SELECT max(coalesce(ended_at, sent_at)) FROM attempt), "
    "(SELECT max(coalesce(ended_at, began_at)) FROM run)"
)
_RUNS = (
    "SELECT number, began_at, ended_at, items, "
    "(SELECT count(*) FROM attempt WHERE attempt.run = run.number) FROM run ORDER BY number"
)
_SPAN = "SELECT min(sent_at), max(sent_at) FROM attempt"
_USAGE = (
    "SELECT CAST((sent_at - :first) / :seconds AS INTEGER), count(*), "
    "coalesce(sum(status BETWEEN 200 AND 299), 0), coalesce(sum(status = 429), 0), max(in_day) "
    # A success is recorded with the item only.
    "FROM (SELECT attempt.sent_at, CASE WHEN item.state = 'succeeded' "
    "AND attempt.number = item.attempts THEN item.status ELSE attempt.status END AS status, "
    "count(*) OVER (ORDER BY attempt.sent_at RANGE BETWEEN 86400 PRECEDING AND CURRENT ROW) "
    "AS in_day FROM attempt JOIN item USING (item_index)) GROUP BY 1 ORDER BY 1"
)
_FIX = (
    "SELECT line, meeting_id, "
    "CASE WHEN reason = 'organizer' OR error = 'ConflictError' THEN fix_url END "
    "FROM item JOIN organizer ON organizer.number = item.organizer WHERE item_index = ?"
)
_ORGANIZERS = (
    "SELECT number, email, problem, fix_url, count(*) "
    "FROM organizer JOIN item ON item.organizer = organizer.number "
    "WHERE problem IS NOT NULL AND (item.reason = 'organizer' OR item.error = 'ConflictError') "
    "GROUP BY number ORDER BY count(*) DESC, number"
)
_ITEMS = (
    "SELECT item_index, line, meeting_id, state, reason, attempts, status, request_id, "
    "CASE WHEN reason = 'organizer' THEN coalesce(problem, message) ELSE message END, "
    "coalesce(ended_at, sent_at), body, email "
    "FROM item JOIN organizer ON organizer.number = item.organizer "
    "LEFT JOIN content USING (item_index) {}ORDER BY item_index"
)


@frozen(kw_only=True)
class RunRecord:
    """One run of a job."""

    number: int
    began_at: datetime
    ended_at: datetime | None
    items: int
    """Items that ended in it."""
    requests: int


@frozen(kw_only=True)
class Interval:
    """The requests that were sent in one interval of time."""

    accepted: int = 0
    throttled: int = 0
    other: int = 0
    """Rejected, or without an answer."""
    in_day: int = 0
    """The most requests that any 24 hours had that end in the interval."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.accepted + self.throttled + self.other


@frozen(kw_only=True)
class Usage:
    """The requests of a job over time, in intervals of one length."""

    begins_at: datetime
    seconds: int
    """Length of an interval."""
    intervals: tuple[Interval, ...]

    @property
    def ends_at(self) -> datetime:
        """End of the last interval."""
        end = self.begins_at.timestamp() + self.seconds * len(self.intervals)
        return datetime.fromtimestamp(end, UTC)


@frozen(kw_only=True)
class Cause:
    """A group of errors, and where to look first."""

    group: ErrorGroup
    line: int | None
    """Line of the first item, if it came from a file."""
    meeting_id: str
    fix_url: str | None


@frozen(kw_only=True)
class StoppedOrganizer:
    """An organizer whose meetings Gong cannot update."""

    number: int
    email: str | None
    """None without personal data, and after a purge."""
    problem: str
    fix_url: str | None
    items: int


@frozen(kw_only=True)
class ReportedItem:
    """One item, as a report shows it; without personal data, the last three fields are None."""

    index: int
    line: int | None
    meeting_id: str
    state: str
    """Item state, or the reason why it was skipped: a key of `MEANINGS`."""
    attempts: int
    status: int | None
    request_id: str | None
    message: str | None
    last_at: datetime | None
    """When its last request ended, or was sent."""
    title: str | None = field(default=None, repr=False)
    organizer: str | None = field(default=None, repr=False)
    starts: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Overview:
    """The figures of a job."""

    status: BulkStatus
    reason: str | None
    options: BulkOptions
    planned_by: str
    as_of: datetime
    """Time of the last record in the journal."""
    meetings: int
    organizers: int
    has_lines: bool
    requests: int
    checks: int
    """Requests that asked about organizers. They are not part of `requests`."""
    per_second: float | None
    """The quota of the last run, or Gong's standard one; None for no limit."""
    per_day: int | None
    runs: tuple[RunRecord, ...]
    usage: Usage | None
    """None if no request was sent."""
    causes: tuple[Cause, ...]
    purged: bool

    @property
    def name(self) -> str:
        """The id of the job, as a word of a command."""
        return re.sub(r"[^\w.-]", "", self.status.id)

    @property
    def quota(self) -> float | None:
        """Requests that the quota allows in an interval of `usage`; None for no limit."""
        if self.usage is None or self.per_second is None:
            return None
        quota = self.per_second * self.usage.seconds
        return quota if self.per_day is None else min(quota, self.per_day)

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of items by state or skip reason, as in `MEANINGS`."""
        return tally(self.status)


@frozen
class ReportSource:
    """A snapshot of a job's journal, as a report reads it."""

    job: JobFile
    connection: Connection
    personal: bool
    """Whether addresses, names, titles and paths may occur in what it returns."""

    def overview(self) -> Overview:
        """Return the figures of the job."""
        status, connection = self.job.status(), self.connection
        header: dict[str, Any] = dict(connection.execute("SELECT name, value FROM job").fetchall())
        meetings, organizers, lines, requests, *times = connection.execute(_FIGURES).fetchone()
        quota = Limits()
        return Overview(
            status=status,
            reason=self._text(status.reason),
            options=BulkOptions(**json.loads(header.get("options", "{}"))),
            planned_by=str(header.get("planned_by", "")),
            as_of=max([status.planned_at, *(_time(wall) for wall in times if wall is not None)]),
            meetings=meetings,
            organizers=organizers,
            has_lines=bool(lines),
            requests=requests,
            checks=header.get("check_requests", 0),
            per_second=header.get("per_second", quota.per_second),
            per_day=header.get("per_day", quota.per_day),
            runs=tuple(_run(row) for row in connection.execute(_RUNS)),
            usage=_usage(connection),
            causes=tuple(self._causes()),
            purged="purged_at" in header,
        )

    def organizers(self) -> Iterator[StoppedOrganizer]:
        """Yield the organizers whose meetings Gong cannot update, the most items first."""
        for number, email, problem, fix_url, items in self.connection.execute(_ORGANIZERS):
            yield StoppedOrganizer(
                number=number,
                email=email if self.personal else None,
                problem=self._text(problem) or "",
                fix_url=self._link(fix_url),
                items=items,
            )

    def items(self, state: str | None = None) -> Iterator[ReportedItem]:
        """Yield the items in the order of the source, optionally only those in one state."""
        query = _ITEMS.format("" if state is None else "WHERE state = ? ")
        for row in self.connection.execute(query, () if state is None else (state,)):
            index, line, meeting_id, item_state, reason, attempts, status, request_id, *more = row
            message, last_at, body, email = more
            content = json.loads(body) if self.personal and body is not None else {}
            yield ReportedItem(
                index=index,
                line=line,
                meeting_id=meeting_id,
                state=reason or item_state,
                attempts=attempts,
                status=status,
                request_id=request_id,
                message=self._text(message, body),
                last_at=None if last_at is None else _time(last_at),
                title=content.get("title"),
                organizer=email if self.personal else None,
                starts=content.get("startTime", "").replace("T", " ") or None,
            )

    def _causes(self) -> Iterator[Cause]:
        for group in read_groups(self.connection, self.job.path, personal=self.personal):
            row = self.connection.execute(_FIX, (group.first,)).fetchone()
            line, meeting_id, fix_url = row
            yield Cause(group=group, line=line, meeting_id=meeting_id, fix_url=self._link(fix_url))

    def _text(self, text: str | None, body: bytes | None = None) -> str | None:
        if text is None or self.personal:
            return text
        return anonymous(text, body, self.job.path)

    def _link(self, url: str | None) -> str | None:
        """Return a link to an https site; without personal data, only without an address in it."""
        if url is None or not _is_web_link(url):
            return None
        return url if self.personal or impersonal(url, None) == url else None


def _usage(connection: Connection) -> Usage | None:
    first, last = connection.execute(_SPAN).fetchone()
    if first is None:
        return None
    span = last - first
    fitting = (seconds for seconds in _INTERVALS if span / seconds < _MOST_INTERVALS)
    seconds = next(fitting, DAY * math.ceil(span / DAY / _MOST_INTERVALS))
    begin = math.floor(first / seconds) * seconds
    found = {
        index: Interval(
            accepted=accepted,
            throttled=throttled,
            other=requests - accepted - throttled,
            in_day=in_day,
        )
        for index, requests, accepted, throttled, in_day in connection.execute(
            _USAGE, {"first": begin, "seconds": seconds}
        )
    }
    intervals: list[Interval] = []
    for index in range(max(_LEAST_INTERVALS, max(found) + 1)):
        interval = found.get(index)
        if interval is None:
            # Nothing was sent, so the count only loses what is more than a day ago.
            earlier = intervals[-(DAY // seconds) :] if seconds <= DAY else []
            interval = Interval(in_day=sum(one.requests for one in earlier))
        intervals.append(interval)
    return Usage(begins_at=_time(begin), seconds=seconds, intervals=tuple(intervals))


def _run(row: tuple[Any, ...]) -> RunRecord:
    number, began_at, ended_at, items, requests = row
    return RunRecord(
        number=number,
        began_at=_time(began_at),
        ended_at=None if ended_at is None else _time(ended_at),
        items=items,
        requests=requests,
    )


def _is_web_link(url: str) -> bool:
    """Whether `url` leads to an https site, and has no sign in it that a URL cannot have."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and bool(host)
        and "@" not in parts.netloc
        and _URL_SIGNS.fullmatch(url) is not None
    )


def _time(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


def ticket(job: JobFile, *, personal: bool = False) -> Iterator[str]:
    """Yield the report line by line; the same journal gives the same lines.

    Foreign text is set as code, where it can neither format, link, mention nor hide anything.

    Args:
        job: the journal.
        personal: include addresses and organizers.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        source = ReportSource(job, connection, personal)
        overview = source.overview()
        yield from _figures(overview)
        yield from _causes(overview)
        yield from _organizers(source)
        yield from _doubts(source, overview)


def next_steps(overview: Overview) -> Iterator[str]:
    """Yield what is to be done now; commands are between backticks."""
    status, counts = overview.status, overview.counts
    name = f"gong-async bulk {{}} {overview.name}"
    if status.pid is not None:
        yield f"The job is running. Watch it with `{name.format('status')} --follow`."
    elif status.state not in _ENDED:
        when = ""
        if status.state == "waiting" and status.resume_at is not None:
            when = f" from {moment(status.resume_at)} on"
        yield f"The job has not ended. Continue it{when} with `{name.format('resume')}`."
    if counts["failed"]:
        yield f"Correct what failed ({number_of(counts['failed'], 'item')}); see the causes."
    if counts["organizer"]:
        yield "Forward the list of skipped organizers; each has to correct their settings in Gong."
    wrong = counts["failed"] or counts["organizer"]
    if wrong and status.state in _ENDED and not overview.purged:
        command = f"{name.format('report')} --failed failed.jsonl"
        yield f"Write those changes to a file with `{command}`, and run it as a new job."
    if counts["in_doubt"] and status.state == "completed":
        yield "Clear up the items in doubt; see below."
    if status.state in _ENDED and not (wrong or counts["in_doubt"]):
        yield "Nothing is left to do."


def doubt_advice(overview: Overview) -> Iterator[str]:
    """Yield what to do with items in doubt."""
    window = overview.options.resend_in_doubt_within
    within = f" if it was sent less than {length(round(window))} ago" if window < 100 * DAY else ""
    yield (
        "No answer to these updates came, so Gong may or may not have applied them. An update "
        "replaces the whole meeting, so sending the same one twice does no harm: "
        f"`gong-async bulk resume {overview.name}` sends each again{within}, unless a later "
        "change of the meeting was sent."
    )
    yield (
        "Compare the others with their meetings in Gong, and put those that differ into a new job."
    )


def usage_sentences(overview: Overview) -> Iterator[str]:
    """Yield how much of the quota was used."""
    usage = overview.usage
    if usage is None:
        yield "No update was sent."
    else:
        checks = f", and {overview.checks:,} to check organizers" if overview.checks else ""
        yield f"{number_of(overview.requests, 'request')} for updates{checks}."
        most = max(interval.requests for interval in usage.intervals)
        sentence = f"In the busiest {unit(usage.seconds)}: {most:,}"
        if overview.quota is not None:
            sentence += f" (quota: {overview.quota:,.10g})"
        in_day = max(interval.in_day for interval in usage.intervals)
        sentence += f"; within 24 hours: {in_day:,}"
        if overview.per_day is not None:
            sentence += f" (quota: {overview.per_day:,})"
        yield f"{sentence}."
        throttled = sum(interval.throttled for interval in usage.intervals)
        if throttled:
            yield f"Gong throttled {throttled:,} of them (429)."


def place_of(item: ReportedItem) -> str:
    """Return where an item is found in the source: its line, or its number."""
    return str(item.index + 1 if item.line is None else item.line)


def unit(seconds: int) -> str:
    """Format a duration as a unit of a rate, such as `hour` or `10 s`."""
    names = {1: "second", _MINUTE: "minute", _HOUR: "hour", DAY: "day"}
    return names.get(seconds) or length(seconds)


def length(seconds: int) -> str:
    """Format a duration with its two largest units, such as `1 h 30 min`."""
    parts: list[str] = []
    for size, unit in _UNITS:
        whole, seconds = divmod(seconds, size)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _figures(overview: Overview) -> Iterator[str]:
    status = overview.status
    yield f"## Bulk job {_code(status.id)}: {status.state}"
    yield ""
    yield f"As of {moment(overview.as_of)}; all times are UTC. Gong: {_code(status.origin)}."
    if overview.reason and status.state != "completed":
        yield f"Reason: {_code(overview.reason)}."
    yield ""
    yield "| Items | | |"
    yield "| ---: | --- | --- |"
    for name, items in overview.counts.items():
        if items or name in {"succeeded", "failed"}:
            yield f"| {items:,} | {MEANINGS[name][0]} | {MEANINGS[name][1]} |"
    yield ""
    for run in overview.runs:
        ended = "not recorded" if run.ended_at is None else moment(run.ended_at)
        yield (
            f"- Run {run.number}: {moment(run.began_at)} to {ended}, "
            f"{number_of(run.items, 'item')}, {number_of(run.requests, 'request')}"
        )
    yield from (f"- {sentence}" for sentence in usage_sentences(overview))
    yield from _section("What to do next")
    yield from (f"- {step}" for step in next_steps(overview))


def _causes(overview: Overview) -> Iterator[str]:
    if overview.causes:
        yield from _section("Problems by cause")
    for cause in overview.causes:
        yield f"- {number_of(cause.group.items, 'item')}: {_code(cause.group.text)}"
        if cause.group.hint:
            yield f"  - {cause.group.hint}"
        if cause.fix_url:
            yield f"  - Correct it at <{cause.fix_url}>"
        where = _where(cause.group.first, cause.line)
        yield f"  - First: {where}, meeting {_code(cause.meeting_id)}"


def _organizers(source: ReportSource) -> Iterator[str]:
    organizers = source.organizers()
    listed = list(islice(organizers, _MOST_LISTED))
    if listed:
        yield from _section("Skipped organizers")
    for organizer in listed:
        name = organizer.email or f"organizer {organizer.number}"
        line = f"- {_code(name)}, {number_of(organizer.items, 'item')}: {_code(organizer.problem)}"
        yield line + ("" if organizer.fix_url is None else f", <{organizer.fix_url}>")
    if more := sum(1 for _ in organizers):
        yield f"- and {more:,} more"


def _doubts(source: ReportSource, overview: Overview) -> Iterator[str]:
    items = list(islice(source.items("in_doubt"), _MOST_LISTED))
    if not items:
        return
    yield from _section("Items in doubt")
    for paragraph in doubt_advice(overview):
        yield paragraph
        yield ""
    for item in items:
        place = _where(item.index, item.line)
        last = "" if item.last_at is None else f", last request {moment(item.last_at)}"
        id_ = "" if item.request_id is None else f", request id {_code(item.request_id)}"
        yield f"- {place}: meeting {_code(item.meeting_id)}{last}{id_}"
    if (more := overview.counts["in_doubt"] - len(items)) > 0:
        yield f"- and {more:,} more"


def _where(index: int, line: int | None) -> str:
    return f"item {index + 1}" if line is None else f"line {line}"


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"### {title}"
    yield ""


def _code(text: str) -> str:
    """Return foreign text as code, which no sign in it can end."""
    text = Redactor()(text, _LONGEST_CODE)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text or '?'}`"
