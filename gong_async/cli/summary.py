"""What is told at the end of a bulk run: the counts, the errors, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from gong_async.bulk.report import Report
from gong_async.cli.diagnostics import Diagnostics
from gong_async.cli.exits import Exit
from gong_async.cli.job import Job
from gong_async.cli.progress import duration

_WHEN = "%Y-%m-%d %H:%M:%SZ"


@frozen(kw_only=True)
class Summary:
    """The end of a run."""

    job: Job
    file: str
    record: str | None
    """The file with the outcomes; None for stdout."""
    skipped: int
    """Rows that an earlier run has done."""

    @property
    def exit(self) -> Exit:
        """How the command ends."""
        report = self.job.report
        if self.job.error is not None or self.job.unwritten or report.not_sent:
            return Exit.RESUMABLE
        if self.job.stopped is not None and report.in_doubt:
            return Exit.RESUMABLE
        return Exit.FAILED if report.failed or report.in_doubt else Exit.DONE

    def tell(self, diagnostics: Diagnostics) -> None:
        """Write it."""
        report = self.job.report
        retry_at = self.job.retry_at
        diagnostics.note(
            "report",
            "\n".join([self._counts(report), *self._errors(report), *self._next(report)]),
            total=report.total,
            done=report.done,
            failed=report.failed,
            in_doubt=report.in_doubt,
            not_sent=report.not_sent,
            skipped=self.skipped,
            retries=report.retries,
            seconds=round(report.seconds, 3),
            errors={text: group.rows for text, group in report.errors.items()},
            stopped=self.job.stopped,
            retry_at=retry_at and retry_at.isoformat(timespec="seconds"),
            exit=int(self.exit),
        )

    def _counts(self, report: Report) -> str:
        parts = [f"{report.done:,} done", f"{report.failed:,} failed"]
        if report.in_doubt:
            parts.append(f"{report.in_doubt:,} in doubt")
        if report.not_sent:
            parts.append(f"{report.not_sent:,} not sent")
        if report.retries:
            parts.append(f"{report.retries:,} requests repeated")
        if self.skipped:
            parts.append(f"{self.skipped:,} more were done in an earlier run")
        took = f"in {duration(report.seconds)}, {report.rate:.1f} rows a second"
        return f"{report.total:,} rows {took}: {', '.join(parts)}"

    def _errors(self, report: Report) -> Iterator[str]:
        for text, group in sorted(report.errors.items(), key=lambda item: -item[1].rows):
            line = self.job.rows[group.first].line
            where = f"line {line}" if group.rows == 1 else f"{group.rows:,} rows, first line {line}"
            yield f"  {where}: {text}"
            if group.hint:
                yield f"    {group.hint}"

    def _next(self, report: Report) -> Iterator[str]:
        if self.job.stopped is not None and self.exit is Exit.RESUMABLE:
            yield f"Stopped: {self.job.stopped}"
        if self.job.error is not None and self.job.error.hint:
            yield f"  {self.job.error.hint}"
        if self.job.unwritten:
            yield f"{self.job.unwritten:,} outcomes could not be written; those rows are sent again"
        if report.in_doubt:
            yield (
                "In doubt: Gong may have applied these rows. Sending them again is safe, "
                "because an update replaces the whole meeting"
            )
        left = report.failed + report.in_doubt + report.not_sent
        if not left:
            yield "Nothing is left to do"
            return
        correct = f"correct the failed rows in {self.file}, then " if report.failed else ""
        when = f" from {self.job.retry_at:{_WHEN}} on" if self.job.retry_at else ""
        again = f"gong-async bulk run {self.file} --resume-from {self.record or 'OUTCOMES.jsonl'}"
        more = f" --output {self.record}" if self.record else ""
        yield f"Next: {correct}run{when}: {again}{more}"
        if self.record is None:
            yield "  OUTCOMES.jsonl is the file in which you kept what was written to stdout"
        yield "  Rows that are done and have not changed are skipped"
