"""Lets one victim live: starts it, watches it, kills it in time, keeps what it left."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crash.evidence import Kind, Life
from crash.journal_view import read_journal
from crash.server_process import ACCESS_KEY, ACCESS_KEY_SECRET, environment

_STEP = 0.01
_LONGEST = 60.0
_REPORT = ("--format", "jsonl", "--output")
UNLIMITED = 10_000.0
_PARTS = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Death:
    """How a process dies: by itself at a point, or from outside after some seconds."""

    point: str = ""
    after: float | None = None
    from_start: bool = False
    """Count the seconds from the start of the process; else from the beginning of its work."""

    def __str__(self) -> str:
        if self.after is None:
            return self.point
        return f"{'start' if self.from_start else 'work'}+{self.after:.4f}"


NATURAL = Death()


@dataclass
class Stage:
    """The files of a job, and how its processes are started."""

    folder: Path
    url: str
    limit: float = UNLIMITED
    """Calls a second."""
    breakage: str = ""
    first: int = 1
    """Number of the first life."""
    lives: list[Life] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.folder / "job.sqlite3"

    @property
    def ledger(self) -> Path:
        """The ledger, where the library keeps it."""
        return self.folder / "state" / "ledger.sqlite3"

    @property
    def input(self) -> Path:
        """The file of changes."""
        return self.folder / "changes.jsonl"

    @property
    def again(self) -> Path:
        """The changes of a second job."""
        return self.folder / "again.jsonl"

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / "report.jsonl"

    def live(self, kind: Kind, death: Death = NATURAL, *, strict: bool = False) -> Life:
        """Start a victim and see it end; `strict` is in Python's development mode."""
        number = len(self.lives) + self.first
        life = Life(number, kind, str(death))
        self.lives.append(life)
        sending = ["--per-second", f"{self.limit:g}", "--timeout", "0.5"]
        commands = {
            "run": ["run", str(self.input), "--journal", str(self.journal), *sending],
            "resume": ["resume", str(self.journal), *sending],
            "again": ["run", str(self.again), "--journal", f"{self.journal}.again", *sending],
            "report": ["report", str(self.journal), *_REPORT, str(self.report)],
        }
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as reported:
            heard, begun = os.pipe()
            flags = ["-X", "dev"] if strict else []
            process = subprocess.Popen(
                [sys.executable, *flags, "-m", "crash.victim", "bulk", *commands[kind]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(begun, reported.fileno()),
                env={
                    **environment(),
                    "GONG_ACCESS_KEY": ACCESS_KEY,
                    "GONG_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET,
                    "GONG_BASE_URL": self.url,
                    "GONG_STATE_DIR": str(self.folder / "state"),
                    "CRASH_LIFE": str(number),
                    "CRASH_POINT": death.point,
                    "CRASH_BREAK": self.breakage,
                    "CRASH_BEGUN": str(begun),
                    "CRASH_REPORTED": str(reported.fileno()),
                },
                cwd=self.folder,
            )
            os.close(begun)
            life.pid = process.pid
            try:
                _attend(process, life, heard, death)
            finally:
                os.close(heard)
            reported.seek(0)
            for line in reported.read().decode().splitlines():
                index, state = line.split()
                life.reported.append((int(index), state))
            output.seek(0)
            life.output = output.read().decode(errors="replace")
        self._keep(life)
        return life

    def _keep(self, life: Life) -> None:
        """Copy what the process left, and read the copy: the files themselves stay untouched."""
        life.kept = kept = self.folder / "kept" / f"{life.number:03}"
        kept.mkdir(parents=True)
        for source in (self.journal, self.ledger):
            for part in _PARTS:
                with suppress(FileNotFoundError):
                    shutil.copy(source.with_name(source.name + part), kept)
        reading = kept / "read"
        reading.mkdir()
        for file in kept.glob("job.sqlite3*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, reading)
        life.after = read_journal(reading / self.journal.name)
        shutil.rmtree(reading)


def _attend(process: subprocess.Popen[bytes], life: Life, heard: int, death: Death) -> None:
    """Watch a process until it ends; kill it in time."""
    began = time.monotonic()
    kill_at = began + death.after if death.after is not None and death.from_start else None
    listening = True
    while process.poll() is None:
        now = time.monotonic()
        if kill_at is not None and now >= kill_at:
            _measure(life)
            process.kill()
            process.wait()
            break
        if now - began > _LONGEST:
            process.kill()
            process.wait()
            raise AssertionError(f"life {life.number} ({life.kind}, {life.point}) did not end")
        wait = _STEP if kill_at is None else max(0.0, min(_STEP, kill_at - now))
        if listening and select.select([heard], [], [], wait)[0]:
            listening = False
            if death.after is not None and kill_at is None and os.read(heard, 1):
                kill_at = time.monotonic() + death.after
        elif not listening:
            time.sleep(wait)
        _measure(life)
    life.ended = time.monotonic()
    life.exit_code = process.returncode
    life.killed = process.returncode == -signal.SIGKILL


def _measure(life: Life) -> None:
    """Look at the memory and the files of a living process, where the system reports them."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{life.pid}/status").read_text(encoding="ascii")
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        life.most_memory = max(life.most_memory, peak)
        life.most_files = max(life.most_files, len(os.listdir(f"/proc/{life.pid}/fd")))  # noqa: PTH208
