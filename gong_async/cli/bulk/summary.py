"""Summary of a job: its counts, grouped errors, and next commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from gong_async.bulk.records import BulkStatus, moment, number_of
from gong_async.bulk.reports.groups import ErrorGroup, error_groups
from gong_async.bulk.store.job_file import JobFile
from gong_async.cli.bulk.wording import counts, duration, facts, name_of
from gong_async.cli.diagnostics import Exit, one_line

_BULK = "gong-async bulk"
_FIRST = (
    "SELECT line, CASE WHEN reason = 'organizer' OR error = 'ConflictError' THEN fix_url END "
    "FROM item JOIN organizer ON organizer.number = item.organizer WHERE item_index = ?"
)
_ENDED = frozenset({"completed", "cancelled"})
_BEFORE = {
    "resume": "Next, to resend items in doubt",
    "report": "Next, to write failed items to a file",
    "run": "  and, once corrected",
}


def exit_of(status: BulkStatus) -> Exit:
    """Return the exit code for a job in this state."""
    if status.state not in _ENDED:
        return Exit.RESUMABLE
    wrong = status.ended - status.counts["succeeded"] + status.counts["in_flight"]
    left_out = status.skipped["organizer"] + status.skipped["cancelled"]
    return Exit.FAILED if wrong or left_out else Exit.DONE


@frozen(kw_only=True)
class Summary:
    """Counts, errors and next commands of a job."""

    status: BulkStatus
    groups: Sequence[ErrorGroup]
    firsts: Mapping[int, tuple[int | None, str | None]]
    """Line and fix link of each group's first item, by the item's index."""
    purged: bool = False
    """Whether its contents were purged."""
    options: str = ""
    """Options of the run, to repeat in the next command."""

    @classmethod
    def of(cls, job: JobFile, *, options: str = "") -> Summary:
        """Read it from a journal.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        groups = error_groups(job)
        with job.reading() as connection:
            found = ((group.first, connection.execute(_FIRST, (group.first,))) for group in groups)
            firsts = {index: rows.fetchone() for index, rows in found}
        return cls(
            status=job.status(),
            groups=groups,
            firsts=firsts,
            purged="purged_at" in job.header(),
            options=options,
        )

    @property
    def exit(self) -> Exit:
        """Exit code of the command."""
        return exit_of(self.status)

    def lines(self) -> list[str]:
        """Format it as lines of text."""
        status = self.status
        who = f" in process {status.pid}" if self._runs else ""
        lines = [f"Job {status.id} {status.state}{who}: {counts(status)}"]
        if status.runs and status.state != "interrupted":
            took = f"{duration(status.seconds)}, {status.rate:.1f} per second"
            sent = number_of(status.ended_in_run, "change")
            lines.append(f"Run {status.runs}: {sent} in {took}")
        return [*map(one_line, [*lines, *self._errors(), *self._next()])]

    def facts(self) -> dict[str, Any]:
        """Return it for JSON output."""
        return {
            **facts(self.status),
            "errors": {group.text: group.items for group in self.groups},
            "next": self._commands(),
            "exit": int(self.exit),
        }

    @property
    def _runs(self) -> bool:
        return self.status.pid is not None

    def _errors(self) -> Iterator[str]:
        for group in self.groups:
            line, link = self.firsts[group.first]
            where = f"item {group.first + 1:,}" if line is None else f"line {line}"
            if group.items > 1:
                where = f"{number_of(group.items, 'item')}, first {where}"
            yield f"  {where}: {group.text}"
            if group.hint:
                yield f"    {group.hint}"
            if link:
                yield f"    {'first one, ' if group.items > 1 else ''}fix it at: {link}"

    def _next(self) -> Iterator[str]:
        status, commands = self.status, self._commands()
        if self._runs:
            yield f"Watch it: {commands[0]}"
        elif status.state not in _ENDED:
            if status.reason is not None:
                yield f"Stopped: {status.reason}"
            at = status.resume_at if status.state == "waiting" else None
            when = "" if at is None else f"from {moment(at)} on, or now with --wait: "
            yield f"Next: {when}{commands[0]}"
        elif self.purged:
            yield "Contents were purged: nothing can be resent"
        elif not commands:
            yield "Nothing left to do"
        for command in commands if status.state in _ENDED else ():
            yield f"{_BEFORE.get(command.split()[2], 'Next')}: {command}"

    def _commands(self) -> list[str]:
        """Return the next commands for the job."""
        status, name = self.status, name_of(self.status)
        resume = f"{_BULK} resume {name}{self.options}"
        if self._runs:
            return [f"{_BULK} status {name} --follow"]
        if status.state not in _ENDED:
            return [resume]
        commands: list[str] = []
        if self.purged:
            return commands
        if status.counts["in_doubt"] and status.state == "completed":
            commands.append(resume)
        if status.counts["failed"] or status.skipped["organizer"]:
            commands.append(f"{_BULK} report {name} --failed failed.jsonl")
            commands.append(f"{_BULK} run failed.jsonl{self.options}")
        return commands
