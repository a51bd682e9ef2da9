"""What a job is instructed to do: the rows of its file, and what Gong will say to each."""

from __future__ import annotations

import json
import random
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FIRST_ID = 7_300_000_000_000_000_001
_ORGANIZERS = 6


@dataclass(frozen=True)
class Row:
    """One line of the file."""

    line: int
    meeting_id: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """A file of changes, and which of them can succeed."""

    rows: list[Row]
    missing: set[str] = field(default_factory=set)
    """Meetings that do not exist: 404."""
    barred: set[str] = field(default_factory=set)
    """Organizers whose meetings cannot be updated; the check before the run finds them."""

    @property
    def last(self) -> dict[str, Row]:
        """The row that counts, for each meeting: the last one."""
        return {row.meeting_id: row for row in self.rows}

    def write(self, path: Path, *, only: AbstractSet[str] | None = None) -> None:
        """Write the file that the job reads; of some meetings only, if any are named."""
        rows = [row for row in self.rows if only is None or row.meeting_id in only]
        lines = (json.dumps({"meetingId": row.meeting_id, **row.body}) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def make_manifest(chance: random.Random, items: int) -> Manifest:
    """Make changes of about so many meetings; some occur twice, some are invalid."""
    ids = [str(_FIRST_ID + number) for number in range(items)]
    missing = {id_ for id_ in ids if chance.random() < 0.03}
    barred = f"organizer{_ORGANIZERS - 1}@example.com"
    again = [id_ for id_ in ids if chance.random() < 0.03]
    rows: list[Row] = []
    for line, id_ in enumerate([*ids, *again], start=1):
        # The barred one has few meetings, so that most of the file is sent.
        owner = chance.choice([*range(_ORGANIZERS - 1)] * 4 + [_ORGANIZERS - 1])
        body = {
            "startTime": f"2026-11-{1 + line % 28:02}T15:00:00Z",
            "endTime": f"2026-11-{1 + line % 28:02}T16:{line % 60:02}:00Z",
            "organizerEmail": f"organizer{owner}@example.com",
            "invitees": [{"email": f"guest{line}@example.com", "displayName": f"Łé {line}"}],
            "title": f"Review {line} of {chance.getrandbits(32):08x}",
        }
        rows.append(Row(line, id_, body))
    return Manifest(rows, missing, {barred})
