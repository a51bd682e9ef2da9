"""I9: copies of the journal whose log is cut at any byte are whole, and a job goes on from them.

The library's journal is a SQLite file with a write-ahead log. What of the log has been taken over
into the file was durable before, and is not lost; behind that the log may end anywhere, with or
without zeros in place of what is missing. Such a copy is accepted and consistent: SQLite's own
check, tallies, attempts. A resume from it keeps I1 to I5; what it has forgotten is sent again, and
of the items that it knows as done none is. A copy from within the planning is made anew.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from pathlib import Path

from crash.evidence import Evidence
from crash.journal_view import FINAL, JournalView, problems, read_journal
from crash.lives import Stage
from crash.server_process import OracleProcess

_WAL_HEADER = 32
_FRAME_HEADER = 24
_BACKFILL_TRIED = 128
"""Where the shared memory says how much of the log was, or was being, taken over."""
_FIRST_LIFE = 1000


def try_prefixes(
    oracle: OracleProcess, stage: Stage, evidence: Evidence, chance: random.Random, cuts: int
) -> None:
    """Look at cut copies of what each death has left, and go on from one of them."""
    copies: list[Path] = []
    for life in [life for life in stage.lives if life.killed and life.kept is not None]:
        assert life.kept is not None
        for number in range(cuts):
            target = stage.folder / "cut" / f"{life.number:03}-{number}"
            if not _cut(life.kept, target, chance):
                break
            copies.append(target)
            evidence.prefixes_tried += 1
            for found in _look(target):
                evidence.prefixes.append(f"{target.name}: {found}")
    if copies and not evidence.prefixes:
        chosen = chance.choice(copies)
        evidence.prefixes_resumed += 1
        for found in _go_on(oracle, stage, evidence, chosen):
            evidence.prefixes.append(f"{chosen.name}, resumed: {found}")
    shutil.rmtree(stage.folder / "cut", ignore_errors=True)


def _cut(kept: Path, target: Path, chance: random.Random) -> bool:
    """Make a copy with a shorter log; return False if there is no log."""
    log = kept / "job.sqlite3-wal"
    if not log.exists() or log.stat().st_size <= _WAL_HEADER:
        return False
    least = _least(kept / "job.sqlite3", kept / "job.sqlite3-shm")
    whole = log.read_bytes()
    at = chance.randint(min(least, len(whole)), len(whole))
    target.mkdir(parents=True)
    (target / "state").mkdir(mode=0o700)
    shutil.copy(kept / "job.sqlite3", target)
    lost = b"\0" * chance.choice([0, 0, len(whole) - at])
    (target / log.name).write_bytes(whole[:at] + lost)
    for part in ("", "-wal"):
        ledger = kept / f"ledger.sqlite3{part}"
        if ledger.exists():
            shutil.copy(ledger, target / "state")
    return True


def _least(file: Path, shared: Path) -> int:
    """Return how much of the log is safe: a part of it is in the file already."""
    data = shared.read_bytes() if shared.exists() else b""
    frames = int.from_bytes(data[_BACKFILL_TRIED : _BACKFILL_TRIED + 4], sys.byteorder)
    page = int.from_bytes(file.read_bytes()[16:18], "big") if file.stat().st_size else 0
    return _WAL_HEADER + frames * (_FRAME_HEADER + (page if page > 1 else 65_536))


def _look(target: Path) -> list[str]:
    reading = target / "reading"
    reading.mkdir()
    for file in target.glob("job.sqlite3*"):
        shutil.copy(file, reading)
    try:
        view = read_journal(reading / "job.sqlite3")
    except sqlite3.Error as error:
        return [f"it cannot be read: {error}"]
    finally:
        shutil.rmtree(reading)
    return [] if view is None else problems(view)


def _go_on(oracle: OracleProcess, stage: Stage, evidence: Evidence, target: Path) -> list[str]:
    """Resume from a copy, and check I1 to I5 for what comes of it."""
    before = read_journal(target / "job.sqlite3")
    shutil.copy(stage.input, target)
    other = Stage(target, stage.url, stage.limit, stage.breakage, first=_FIRST_LIFE)
    life = other.live("resume" if before is not None and before.planned else "run")
    seen = Evidence(
        seed=evidence.seed,
        manifest=evidence.manifest,
        journal=other.journal,
        ledger=other.ledger,
        folder=target,
        secrets=[],
        per_second=None,
    )
    seen.requests, seen.applied = oracle.record()
    view = life.after
    if view is None or life.exit_code not in {0, 1}:
        return [f"it was refused, exit {life.exit_code}: {life.output[-300:]}"]
    return [*problems(view), *_compare(before, view, seen, life.number)]


def _compare(before: JournalView | None, view: JournalView, seen: Evidence, life: int) -> list[str]:
    found = []
    effects = seen.effects()
    sent: dict[str, int] = {}
    for request in seen.requests:
        if request.life == life and request.operation == "updateMeeting":
            sent[request.meeting_id or ""] = sent.get(request.meeting_id or "", 0) + 1
    for item in view.items.values():
        was = before.items[item.index].state if before and before.planned else "pending"
        where = f"item {item.index} ({was}, now {item.state})"
        now = sent.get(item.meeting_id, 0) if item.reason != "superseded" else 0
        if item.state not in FINAL:
            found.append(f"{where} did not come to its end")
        if item.state == "succeeded":
            done = effects.get(item.meeting_id, [])
            if not done or done[-1].sha != item.digest.lower():
                found.append(f"{where} was not applied with its bytes")
        if item.state == "failed" and item.meeting_id in effects:
            found.append(f"{where} was applied")
        if now > (0 if was in {"succeeded", "failed", "skipped"} else 1):
            found.append(f"{where} was sent {now} times")
    return found
