"""The record of a bulk run: one JSON object a line, and what a later run learns from it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from attrs import define, field, frozen

from gong_async._convert import make_converter, to_json
from gong_async.bulk.engine import Outcome
from gong_async.bulk.findings import Finding, InputError
from gong_async.bulk.inputs import Inputs
from gong_async.bulk.report import State
from gong_async.cli.failures import facts
from gong_async.models.meetings import MeetingChange

_IN_DOUBT = ""
_PRIVATE = 0o600


@frozen
class Row:
    """One row of the input, and the digest of what it writes."""

    line: int
    change: MeetingChange
    digest: str


def make_rows(inputs: Inputs) -> list[Row]:
    """Return the rows of an input file."""
    converter = make_converter()
    return [
        Row(line, change, digest(to_json(converter, change.update)))
        for line, change in zip(inputs.lines, inputs.changes, strict=True)
    ]


def digest(body: bytes) -> str:
    """Return the SHA-256 of a body as canonical JSON: equal for equal content only."""
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def record(
    row: Row,
    state: State,
    *,
    outcome: Outcome[Any, Any] | None = None,
    more: Mapping[str, object] | None = None,
) -> str:
    """Return the line that tells what became of a row."""
    told: dict[str, object] = {
        "row": row.line,
        "meeting_id": row.change.meeting_id,
        "state": state,
        "status": None,
        "attempts": 0,
        "request_id": None,
        "error": None,
        "message": None,
        "errors": [],
        "retry_at": None,
    }
    if outcome is not None:
        told["attempts"] = outcome.attempts
        if outcome.error is not None:
            told |= facts(outcome.error) | {"message": outcome.error.message}
            del told["outcome_unknown"]
        elif outcome.result is not None:
            told["status"] = outcome.result.meta.status
            told["request_id"] = outcome.result.request_id
    # ASCII only: nothing in it can steer a terminal, and nothing in it can be cut in half.
    return json.dumps({**told, **(more or {}), "digest": row.digest})


@define
class Earlier:
    """What earlier runs applied to each meeting, in order."""

    _applied: dict[str, list[str]] = field(factory=dict)
    unreadable: int = 0
    """Lines that are no outcomes; the rows they stood for are sent again."""

    @classmethod
    def read(cls, path: Path) -> Earlier:
        """Read the outcomes of an earlier run, also of one that was killed.

        Raises:
            InputError: the file holds something else.
        """
        earlier = cls()
        known = 0
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.strip():
                    continue
                if earlier._take(line):
                    known += 1
                else:
                    earlier.unreadable += 1
        if earlier.unreadable and not known:
            raise InputError(path.name, [Finding(0, None, "holds no outcomes of a bulk run")])
        return earlier

    def done(self, rows: Sequence[Row]) -> set[int]:
        """Return the places of the rows that need not be sent again.

        Those are the first rows of each meeting that were the last to be applied to it. A row that
        is done is sent again if one before it must be: what stands last in the file has to win.
        """
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(row.change.meeting_id, []).append(place)
        return {
            place
            for meeting_id, theirs in places.items()
            for place in theirs[: self._covered(meeting_id, [rows[n].digest for n in theirs])]
        }

    def _covered(self, meeting_id: str, wanted: Sequence[str]) -> int:
        applied = self._applied.get(meeting_id, [])
        for count in range(min(len(applied), len(wanted)), 0, -1):
            if applied[-count:] == wanted[:count]:
                return count
        return 0

    def _take(self, line: str) -> bool:
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(found, Mapping):
            return False
        match found.get("meeting_id"), found.get("state"), found.get("digest"):
            case str() as meeting_id, "done", str() as content:
                self._applied.setdefault(meeting_id, []).append(content)
            case str() as meeting_id, "in_doubt", str():
                # Whatever was applied before, this may have replaced it.
                self._applied.setdefault(meeting_id, []).append(_IN_DOUBT)
            case str(), "failed" | "not_sent", str():
                pass
            case _:
                return False
        return True


def open_outcomes(path: Path, *, append: bool) -> TextIO:
    """Open a file for outcomes: a new one is for its owner only, and none is overwritten.

    Raises:
        FileExistsError: there is a file of that name, and something in it.
    """
    if path.exists() and not path.is_file():
        return path.open("w", encoding="utf-8")
    append = append or (path.exists() and path.stat().st_size == 0)
    flags = os.O_WRONLY | (os.O_APPEND if append else os.O_CREAT | os.O_EXCL)
    file = os.fdopen(os.open(path, flags, _PRIVATE), "a" if append else "w", encoding="utf-8")
    if append and not _ends_a_line(path):
        file.write("\n")
    return file


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def carried_over(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of rows that an earlier run has done."""
    for row in rows:
        more = {"message": "done in an earlier run", "carried_over": True}
        yield record(row, "done", more=more)
