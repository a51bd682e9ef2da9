"""A report on a bulk job as one HTML page, which loads nothing and runs only its own script.

`page.html` is the frame: a line of it that begins with `@@` is replaced by a part of the report.
Foreign text reaches the page through `_text` and `_link` only.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from attrs import define, field

from gong_async._redact import Redactor
from gong_async._storage.package_data import package_text
from gong_async.bulk.records import MEANINGS, moment, number_of
from gong_async.bulk.reports.overview import (
    DAY,
    Overview,
    ReportedItem,
    ReportSource,
    Usage,
    doubt_advice,
    length,
    next_steps,
    place_of,
    unit,
    usage_sentences,
)
from gong_async.bulk.store.job_file import JobFile

_CHUNK = 500
"""Items in one table; a browser lays out, and prints, only the tables that are open."""
_MOST_LISTED = 1_000
"""Items in doubt that are listed with what to do; the table of items has all of them."""
_LONGEST = 2_000
_TALL = 100
"""Height of the chart, in its own units; an interval is one wide."""
_MOST_ABOVE = 4
"""How many times the highest bar the quota may be to be drawn."""
_COLORS = {"succeeded": "good", "failed": "bad", "in_doubt": "doubt"}
_CELLS = {"succeeded": "", "failed": " class=f", "in_doubt": " class=d"}
_STATES = {"completed": "good", "cancelled": "bad", "interrupted": "bad"}


def html_page(job: JobFile, *, personal: bool = False) -> Iterator[str]:
    """Yield the page piece by piece, in constant memory; the same journal gives the same page.

    Args:
        job: the journal.
        personal: include titles, addresses and organizers.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        page = _Page(ReportSource(job, connection, personal))
        parts = page.parts()
        for line in package_text(__package__, "page.html").splitlines():
            if line.startswith("@@"):
                yield from parts[line[2:]]()
            else:
                yield line


@define
class _Page:
    """The parts of the page."""

    source: ReportSource
    overview: Overview = field(init=False)
    style: str = field(init=False)
    script: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.overview = self.source.overview()
        self.style = package_text(__package__, "page.css")
        self.script = package_text(__package__, "page.js")

    def parts(self) -> dict[str, Callable[[], Iterator[str]]]:
        """Return them by name."""
        return {
            "policy": self._policy,
            "title": self._title,
            "style": lambda: iter([f"<style>{self.style}</style>"]),
            "header": self._header,
            "asked": self._asked,
            "happened": self._happened,
            "next": self._next,
            "requests": self._requests,
            "causes": self._causes,
            "organizers": self._organizers,
            "doubt": self._doubt,
            "items": self._items,
            "footer": self._footer,
            "script": lambda: iter([f"<script>{self.script}</script>"]),
        }

    def _policy(self) -> Iterator[str]:
        policy = (
            f"default-src 'none'; style-src {_source(self.style)}; "
            f"script-src {_source(self.script)}; base-uri 'none'; form-action 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'

    def _title(self) -> Iterator[str]:
        status = self.overview.status
        yield f"<title>Bulk job {_text(status.id)}: {status.state}</title>"

    def _header(self) -> Iterator[str]:
        status, counts = self.overview.status, self.overview.counts
        color = _STATES.get(status.state, "doubt")
        state = f'<span class="state {color}">{status.state}</span>'
        yield f"<h1>Bulk job {_text(status.id)} {state}</h1>"
        done = f"{counts['succeeded']:,} of {number_of(status.total, 'change')} succeeded"
        rest = [
            f"{counts[name]:,} {MEANINGS[name][0]}"
            for name in MEANINGS
            if counts[name] and name != "succeeded"
        ]
        yield f'<p class="lead">{"; ".join([done, ", ".join(rest)] if rest else [done])}.</p>'
        if self.overview.reason and status.state != "completed":
            yield f"<p>Reason: {_text(self.overview.reason)}</p>"
        yield f'<p class="soft">As of {moment(self.overview.as_of)}. All times are UTC.</p>'
        if self.source.personal:
            yield (
                '<p class="notice">This page contains personal data: titles, addresses and '
                "organizers. Share it only with people who may see them.</p>"
            )
        links = {
            "next": "Next steps",
            "requests": "Requests",
            "causes": "Problems",
            "organizers": "Organizers",
            "doubt": "In doubt",
            "items": "Items",
        }
        entries = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text in links.items())
        yield f'<nav aria-label="Sections"><ul>{entries}</ul></nav>'

    def _asked(self) -> Iterator[str]:
        overview, options = self.overview, self.overview.options
        scope = (
            f"Update {number_of(overview.meetings, 'meeting')} of "
            f"{number_of(overview.organizers, 'organizer')}: "
            f"{number_of(overview.status.total, 'change')}"
        )
        yield '<dl class="facts">'
        yield f"<dt>Task</dt><dd>{scope}</dd>"
        yield f"<dt>Gong</dt><dd>{_text(overview.status.origin)}</dd>"
        yield f"<dt>Planned</dt><dd>{moment(overview.status.planned_at)}</dd>"
        if options.keep_order:
            order = "Every change of a meeting is sent, in order"
        else:
            order = "Of several changes of a meeting, only the last is sent"
        rules = [order]
        if options.skip_unchanged:
            rules.append("updates that Gong has acknowledged before are skipped")
        if options.check_organizers:
            rules.append("organizers are checked first")
        yield f"<dt>Rules</dt><dd>{'; '.join(rules)}</dd></dl>"

    def _happened(self) -> Iterator[str]:
        yield '<dl class="tiles">'
        for name, items in self.overview.counts.items():
            if items or name in {"succeeded", "failed"}:
                label, meaning = MEANINGS[name]
                color = _COLORS.get(name, "skip") if items else "soft"
                yield (
                    f'<div class="{color}"><dt>{label}</dt><dd class="number">{items:,}</dd>'
                    f'<dd class="meaning">{meaning}</dd></div>'
                )
        yield "</dl>"
        if not self.overview.runs:
            yield "<p>The job has not run yet.</p>"
            return
        head = _head("Run", "Began", "Ended", "Duration", "Items", "Requests")
        yield f'<table class="stack"><caption>Runs of the job</caption>{head}<tbody>'
        for run in self.overview.runs:
            ended, took = "not recorded", ""
            if run.ended_at is not None:
                ended, took = (
                    moment(run.ended_at),
                    length(round((run.ended_at - run.began_at).total_seconds())),
                )
            yield (
                f'<tr><th scope="row" data-label="Run">{run.number}</th>'
                + _cell("Began", moment(run.began_at))
                + _cell("Ended", ended)
                + _cell("Duration", took)
                + _cell("Items", f"{run.items:,}")
                + _cell("Requests", f"{run.requests:,}")
                + "</tr>"
            )
        yield "</tbody></table>"

    def _next(self) -> Iterator[str]:
        steps = [_code_in(_text(step)) for step in next_steps(self.overview)]
        yield f'<ul class="steps">{"".join(f"<li>{step}</li>" for step in steps)}</ul>'

    def _requests(self) -> Iterator[str]:
        overview = self.overview
        yield from (f"<p>{sentence}</p>" for sentence in usage_sentences(overview))
        if overview.usage is not None:
            yield from _rate_chart(overview.usage, overview.quota)
            if len(overview.usage.intervals) * overview.usage.seconds > DAY // 4:
                yield from _day_chart(overview.usage, overview.per_day)
            yield from _usage_table(overview.usage)

    def _causes(self) -> Iterator[str]:
        if not self.overview.causes:
            yield "<p>No item failed, is in doubt, or was skipped because of its organizer.</p>"
        for cause in self.overview.causes:
            kind, message = cause.group.kind_and_message
            yield '<article class="cause">'
            yield f"<h3>{number_of(cause.group.items, 'item')}: {_text(kind)}</h3>"
            if message:
                yield f"<blockquote>{_text(message)}</blockquote>"
            if cause.group.hint:
                yield f"<p>{_code_in(_text(cause.group.hint))}</p>"
            if cause.fix_url:
                yield f"<p>Correct it at {_link(cause.fix_url)}</p>"
            where = (
                f"item {cause.group.first + 1:,}" if cause.line is None else f"line {cause.line:,}"
            )
            first = "First: " if cause.group.items > 1 else ""
            yield f'<p class="soft">{first}{where}, meeting {_text(cause.meeting_id)}</p></article>'

    def _organizers(self) -> Iterator[str]:
        organizers = self.source.organizers()
        first = next(organizers, None)
        if first is None:
            yield "<p>No organizer was skipped.</p>"
            return
        yield (
            "<p>Gong cannot update the meetings of these organizers. Forward this list: each has "
            "to correct their settings in Gong. Then run the skipped changes again.</p>"
        )
        if not self.source.personal:
            yield "<p>Addresses are left out; <code>--with-personal-data</code> includes them.</p>"
        head = _head("Organizer", "Items", "Gong says", "Correct it at")
        yield f'<table class="stack"><caption>Organizers</caption>{head}<tbody>'
        for organizer in (first, *organizers):
            name = organizer.email or f"organizer {organizer.number}"
            link = "" if organizer.fix_url is None else _link(organizer.fix_url)
            yield (
                f'<tr><th scope="row">{_text(name)}</th>'
                + _cell("Items", f"{organizer.items:,}")
                + _cell("Gong says", _text(organizer.problem))
                + _cell("Correct it at", link)
                + "</tr>"
            )
        yield "</tbody></table>"

    def _doubt(self) -> Iterator[str]:
        items = self.source.items("in_doubt")
        first = next(items, None)
        if first is None:
            yield "<p>No item is in doubt.</p>"
            return
        yield from (f"<p>{_code_in(_text(text))}</p>" for text in doubt_advice(self.overview))
        head = _head(self._name_of_place(), "Meeting", "Last request", "Requests", "Request id")
        yield f'<table class="stack"><caption>Items in doubt</caption>{head}<tbody>'
        for item in (first, *islice(items, _MOST_LISTED - 1)):
            last = "" if item.last_at is None else moment(item.last_at)
            yield (
                f'<tr><th scope="row" data-label="{self._name_of_place()}">{place_of(item)}</th>'
                + _cell("Meeting", _text(item.meeting_id))
                + _cell("Last request", last)
                + _cell("Requests", f"{item.attempts:,}")
                + _cell("Request id", _text(item.request_id or ""))
                + "</tr>"
            )
        yield "</tbody></table>"
        if (more := self.overview.counts["in_doubt"] - _MOST_LISTED) > 0:
            yield f"<p>And {more:,} more; choose the state in the table of items.</p>"

    def _items(self) -> Iterator[str]:
        total, counts = self.overview.status.total, self.overview.counts
        if not total:
            yield "<p>The job has no items.</p>"
            return
        states = {MEANINGS[name][0]: items for name, items in counts.items() if items}
        options = "".join(
            f'<option value="{label}">{label} ({items:,})</option>'
            for label, items in states.items()
        )
        yield (
            '<div class="controls" id="item-controls" hidden>'
            '<label for="item-query">Search<input type="search" id="item-query" '
            'autocomplete="off" spellcheck="false"></label>'
            '<label for="item-state">State<select id="item-state">'
            f'<option value="">all ({total:,})</option>{options}</select></label></div>'
            '<output id="item-count" for="item-query item-state"></output>'
            '<div id="item-results" hidden></div>'
        )
        many = total > _CHUNK
        if many:
            yield '<p class="paper">The table of items is not printed.</p>'
        yield f'<div id="item-list"{" class=many" if many else ""}>'
        items = self.source.items()
        start = 0
        while chunk := list(islice(items, _CHUNK)):
            yield from self._chunk(chunk, start, opened=start == 0)
            start += len(chunk)
        yield "</div>"

    def _chunk(self, chunk: list[ReportedItem], start: int, *, opened: bool) -> Iterator[str]:
        found = Counter(item.state for item in chunk)
        states = ", ".join(
            f"{found[name]:,} {MEANINGS[name][0]}" for name in MEANINGS if found[name]
        )
        span = f"Items {start + 1:,} to {start + len(chunk):,}"
        personal = ("Title", "Organizer", "Starts") if self.source.personal else ()
        names = ("Meeting", "State", *personal, "Answer", "Requests", "Last request", "Request id")
        head = _head(self._name_of_place(), *names)
        kind = " lines" if self.overview.has_lines else ""
        kind += " personal" if self.source.personal else ""
        yield f"<details class=chunk{' open' if opened else ''}><summary>{span}: {states}</summary>"
        yield f'<table class="items stack{kind}"><caption>{span}</caption>{head}<tbody>'
        yield "".join(map(self._row, chunk)) + "</tbody></table></details>"

    def _row(self, item: ReportedItem) -> str:
        answer = "" if item.status is None else str(item.status)
        if item.message:
            answer = _text(item.message)
        last = "" if item.last_at is None else moment(item.last_at)
        personal = (item.title, item.organizer, item.starts) if self.source.personal else ()
        # HTML closes these tags itself; closing them here would make the page a third longer. The
        # line ends where no cell takes it for its content.
        return "".join(
            (
                f"<tr>\n<th scope=row>{place_of(item)}<td>{_text(item.meeting_id)}",
                f"<td{_CELLS.get(item.state, ' class=k')}>{MEANINGS[item.state][0]}",
                *(f"<td>{_text(text or '')}" for text in personal),
                f"<td>{answer}<td>{item.attempts or ''}<td>{last}",
                f"<td>{_text(item.request_id or '')}",
            )
        )

    def _name_of_place(self) -> str:
        return "Line" if self.overview.has_lines else "Item"

    def _footer(self) -> Iterator[str]:
        overview = self.overview
        yield f"<p>Planned by gong_async {_text(overview.planned_by)}. "
        if overview.purged:
            yield "The contents of this job were purged. "
        if not self.source.personal:
            yield "Titles, addresses and organizers are left out."
        yield "</p>"


def _rate_chart(usage: Usage, quota: float | None) -> Iterator[str]:
    most = max(interval.requests for interval in usage.intervals)
    top = most if quota is None or quota > _MOST_ABOVE * most else max(quota, most)
    bars: list[str] = []
    for place, interval in enumerate(usage.intervals):
        below = 0.0
        for kind in ("accepted", "other", "throttled"):
            height = getattr(interval, kind) / top * _TALL
            if height:
                below += height
                bars.append(
                    f'<rect class="{kind}" x="{place + 0.05:g}" y="{_TALL - below:.5g}" '
                    f'width="0.9" height="{height:.5g}"/>'
                )
    shown = quota if quota is not None and quota <= top else None
    label = f"Requests per {unit(usage.seconds)}"
    legend = {
        "accepted": "acknowledged",
        "other": "rejected or without an answer",
        "throttled": "throttled (429)",
    }
    entries = [
        f'<li><span class="swatch {kind}"></span>{text}</li>'
        for kind, text in legend.items()
        if any(getattr(interval, kind) for interval in usage.intervals)
    ]
    if shown is not None:
        text = f"quota: {shown:,.10g} per {unit(usage.seconds)}"
        entries.append(f'<li><span class="swatch quota"></span>{text}</li>')
    yield from _chart(usage, label, "".join(bars), top=top, quota=shown, legend=entries)


def _day_chart(usage: Usage, per_day: int | None) -> Iterator[str]:
    most = max(interval.in_day for interval in usage.intervals)
    top = most if per_day is None or per_day > _MOST_ABOVE * most else max(per_day, most)
    heights = [_TALL - interval.in_day / top * _TALL for interval in usage.intervals]
    line = " ".join(f"{place},{y:.5g} {place + 1},{y:.5g}" for place, y in enumerate(heights))
    area = f'<polygon class="accepted" points="0,{_TALL} {line} {len(heights)},{_TALL}"/>'
    shown = per_day if per_day is not None and per_day <= top else None
    entries = ['<li><span class="swatch accepted"></span>requests in the 24 hours before</li>']
    if shown is not None:
        entries.append(f'<li><span class="swatch quota"></span>quota: {shown:,} per day</li>')
    yield from _chart(usage, "Requests in 24 hours", area, top=top, quota=shown, legend=entries)


def _chart(
    usage: Usage, label: str, drawn: str, *, top: float, quota: float | None, legend: list[str]
) -> Iterator[str]:
    """Draw into a box that is stretched to the page; the texts around it keep their size."""
    wide = len(usage.intervals)
    if quota is not None:
        y = _TALL - quota / top * _TALL
        drawn += f'<line class="quota" x1="0" x2="{wide}" y1="{y:.5g}" y2="{y:.5g}"/>'
    begin, end = moment(usage.begins_at), moment(usage.ends_at)
    yield (
        f"<figure><figcaption>{label}</figcaption>"
        f'<div class="scale"><span>{top:,.10g}</span></div>'
        f'<svg viewBox="0 0 {wide} {_TALL}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}, from {begin} to {end}; the figures are in the table below">'
        f'{drawn}</svg><div class="axis"><span>{begin}</span><span>{end}</span></div>'
        f'<ul class="legend">{"".join(legend)}</ul></figure>'
    )


def _usage_table(usage: Usage) -> Iterator[str]:
    yield "<details><summary>The figures as a table</summary>"
    head = _head("From", "Acknowledged", "Rejected, or no answer", "Throttled", "In 24 hours")
    caption = f"Requests per {unit(usage.seconds)}"
    yield f'<table class="stack"><caption>{caption}</caption>{head}<tbody>'
    for place, interval in enumerate(usage.intervals):
        if interval.requests:
            begins = usage.begins_at + timedelta(seconds=usage.seconds * place)
            yield (
                f'<tr><th scope="row" data-label="From">{moment(begins)}</th>'
                + _cell("Acknowledged", f"{interval.accepted:,}")
                + _cell("Rejected, or no answer", f"{interval.other:,}")
                + _cell("Throttled", f"{interval.throttled:,}")
                + _cell("In 24 hours", f"{interval.in_day:,}")
                + "</tr>"
            )
    yield "</tbody></table></details>"


def _head(*names: str) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _cell(label: str, content: str) -> str:
    """Return a cell; `content` is HTML. The label is shown where the head has no room."""
    return f'<td data-label="{label}">{content}</td>'


def _text(text: str) -> str:
    """Return foreign text as HTML in ASCII, for an element or a quoted attribute."""
    if not text.isprintable() or len(text) > _LONGEST:
        text = Redactor()(text, _LONGEST)
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _link(url: str) -> str:
    """Return a link that leads to its text, without a trace of where it was followed from."""
    return f'<a href="{_text(url)}" rel="noopener noreferrer">{_text(url)}</a>'


def _code_in(text: str) -> str:
    """Return HTML with what is between backticks set as code."""
    return "".join(
        f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(text.split("`"))
    )


def _source(text: str) -> str:
    """Return the expression that permits exactly this text in a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
