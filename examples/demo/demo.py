"""Updates 400 meetings in a fake Gong on this machine, with a kill -9 in the middle.

Everything but Gong is real: the file, the command, the sockets, the limit, the journal, the kill.
Run it with `make demo`. It exits with 0 if everything went as expected.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import define, frozen
from make_meetings import BROKEN_ORGANIZER, FILE

from gong_async.testing import FakeGong, Fault

HOME = Path(__file__).parents[2]
STATE = HOME / "build" / "demo"
JOURNAL = STATE / "job.sqlite3"
PAGE = STATE / "report.html"
ALLOWED, USED = 50, 40
"""Calls a second that the fake Gong allows, and those that the command uses."""
DELETED, LOST, STUMBLED = 57, 130, 310
"""Places in the file: a meeting that is gone, a lost answer, an error that passes."""
KILLED_AFTER = 180
"""Updates after which the command is killed."""

IN_FLIGHT = 8
"""Updates that the command has under way at most, when it is killed."""

_SOME_FAILED = 1


@frozen
class Story:
    """What is in the file, and which of it goes wrong."""

    rows: list[dict[str, str]]

    @property
    def broken(self) -> int:
        """Index of the row whose organizer's settings are broken."""
        organizers = [row["organizer_email"] for row in self.rows]
        return organizers.index(BROKEN_ORGANIZER)

    @property
    def refused(self) -> set[str]:
        """The meetings that are not updated."""
        return {self.meeting(DELETED), self.meeting(self.broken)}

    def meeting(self, index: int) -> str:
        """Return the id of the meeting of a row."""
        return self.rows[index]["meeting_id"]

    def emit(self) -> None:
        """Say what will happen. The first row stands in line 2."""
        minutes = len(self.rows) / 3 / 60
        print(
            f"{len(self.rows)} meetings of {FILE.relative_to(HOME)} go to a fake Gong\n"
            f"on this machine. Gong allows 3 calls a second, {minutes:.1f} minutes for this file;\n"
            f"this one allows {ALLOWED}, and {USED} are used, so that you need not wait.\n"
            "Five things go wrong on purpose:\n"
            "\n"
            f"  line {self.broken + 2}: the organizer's calendar is not connected to Gong\n"
            f"  line {DELETED + 2}: the meeting was deleted in Gong (404)\n"
            f"  line {LOST + 2}: Gong applies the update, but its answer is lost on the way\n"
            f"  after {KILLED_AFTER} updates: the command is killed with kill -9\n"
            f"  line {STUMBLED + 2}: Gong stumbles once (500)\n",
            flush=True,
        )

    def play(self, fake: FakeGong) -> None:
        """Teach the fake Gong what goes wrong."""
        fake.missing_meetings.add(self.meeting(DELETED))
        fake.add_user(
            BROKEN_ORGANIZER,
            valid=False,
            user_facing_error="Your calendar is no longer connected to Gong.",
            fix_url="https://app.gong.example/settings/calendar",
        )
        fake.script(Fault.drop_after(), on=self.meeting(LOST))
        fake.script(Fault.status(500, errors=("Something broke",)), on=self.meeting(STUMBLED))


@define
class Terminal:
    """Runs commands as anybody would; their bars and reports go to this terminal."""

    fake: FakeGong

    def run(self, *words: object) -> int:
        """Run a command to its end, and return its exit code."""
        return self._start(*words).wait()

    def run_and_kill(self, *words: object) -> None:
        """Run a command, and kill it when enough was applied."""
        process = self._start(*words)
        while process.poll() is None and self.fake.applied_count < KILLED_AFTER:
            time.sleep(0.01)
        process.kill()
        process.wait()
        # The bar that it drew had hidden the cursor.
        print("\033[?25h" if sys.stderr.isatty() else "", f"\n$ kill -9 {process.pid}", sep="")

    def _start(self, *words: object) -> subprocess.Popen[bytes]:
        reported = [
            os.path.relpath(word, HOME) if isinstance(word, Path) else word for word in words
        ]
        arguments = [str(word) for word in reported]
        print("\n$ gong-async", *arguments, flush=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GONG_")} | {
            "GONG_BASE_URL": self.fake.url,
            "GONG_ACCESS_KEY": self.fake.access_key,
            "GONG_ACCESS_KEY_SECRET": self.fake.access_key_secret,
            "GONG_STATE_DIR": str(STATE),
        }
        command = [sys.executable, "-m", "gong_async", *arguments]
        return subprocess.Popen(command, cwd=HOME, env=environment)  # noqa: S603


def main() -> int:
    """Print what will happen, run it, and check the outcome."""
    with FILE.open(encoding="utf-8", newline="") as file:
        story = Story(list(csv.DictReader(file)))
    shutil.rmtree(STATE, ignore_errors=True)
    with FakeGong.serve_in_thread(per_second=ALLOWED, latency=0.05) as fake:
        story.play(fake)
        story.emit()
        began = time.monotonic()
        terminal = Terminal(fake)
        pace = ("--per-second", USED)
        terminal.run("bulk", "plan", FILE, *pace)
        terminal.run_and_kill("bulk", "run", FILE, "--journal", JOURNAL, *pace)
        terminal.run("bulk", "status", JOURNAL)
        code = terminal.run("bulk", "resume", JOURNAL, *pace)
        items = STATE / "items.jsonl"
        terminal.run("bulk", "report", JOURNAL, "--format", "jsonl", "--output", items)
        terminal.run("bulk", "report", JOURNAL, "--format", "html", "--output", PAGE)
        seconds = time.monotonic() - began
        wrong = [*check_items(story, items), *check_fake(story, fake)]
    if code != _SOME_FAILED:
        wrong.append(f"the job ended with {code}, not with {_SOME_FAILED} (not all went through)")
    if wrong:
        print("\nNot as expected:", *wrong, sep="\n  ")
        return 1
    conclude(seconds)
    return 0


def check_items(story: Story, file: Path) -> list[str]:
    """Compare the command's report with what is expected."""
    if not file.exists():
        return ["no report was written"]
    lines = file.read_text(encoding="utf-8").splitlines()
    items: dict[str, Any] = {
        reported["meeting_id"]: reported for reported in map(json.loads, lines)
    }
    states = {story.meeting(DELETED): "failed", story.meeting(story.broken): "skipped"}
    wrong: list[str] = []
    for index, row in enumerate(story.rows):
        reported = items.get(row["meeting_id"], {"state": "missing"})
        if reported["state"] != states.get(row["meeting_id"], "succeeded"):
            wrong.append(f"line {index + 2} is {reported['state']}")
    return wrong


def check_fake(story: Story, fake: FakeGong) -> list[str]:
    """Compare the fake Gong's records with what is expected, and print them."""
    applied: dict[str, list[str]] = {}
    last: dict[str, tuple[Any, Any]] = {}
    for change in fake.applied:
        applied.setdefault(change.meeting_id, []).append(change.sha256)
        last[change.meeting_id] = change.body.get("title"), change.body.get("startTime")
    wrong: list[str] = []
    for index, row in enumerate(story.rows):
        id_ = row["meeting_id"]
        times = applied.get(id_, [])
        if bool(times) is (id_ in story.refused):
            wrong.append(f"line {index + 2} was applied {len(times)} times")
        if len(set(times)) > 1:
            wrong.append(f"line {index + 2} was applied with different contents")
        start = row["start_time"].replace("+00:00", "Z")
        if times and last[id_] != (row["title"], start):
            wrong.append(f"line {index + 2} was applied with other content")
    counts = Counter(len(times) for times in applied.values())
    answers = ", ".join(
        f"{count} with {status or 'no answer'}" for status, count in sorted(fake.counts.items())
    )
    print(
        "\nWhat the fake Gong has counted itself:\n"
        f"  {fake.received_count} requests ({answers})\n"
        f"  {busiest_second(fake)} in the busiest second, {fake.quota_refusals} beyond the limit\n"
        f"  {counts[1]} meetings updated once, with the title and time of the file\n"
        f"  {len(applied) - counts[1]} updated twice with the same content: the answer was lost, "
        "or the\n    command was killed before it had come; the second changes nothing\n"
        f"  {len(story.rows) - len(applied)} not updated: the deleted one, the one without calendar"
    )
    if len(applied) - counts[1] > 1 + IN_FLIGHT:
        wrong.append("more meetings were updated twice than answers were lost")
    return wrong


def busiest_second(fake: FakeGong) -> int:
    """Return the most arrivals in any second, wherever it begins."""
    arrivals = [request.at for request in fake.received]
    return max((sum(at <= other < at + 1 for other in arrivals) for at in arrivals), default=0)


def conclude(seconds: float) -> None:
    """Say how to go on from here."""
    command = os.path.relpath(Path(sys.executable).with_name("gong-async"))
    print(
        f"\nAs expected, in {seconds:.0f} s: killed in the middle, and nothing was lost.\n"
        f"{JOURNAL.relative_to(HOME)} holds what was sent and answered,\n"
        f"{PAGE.relative_to(HOME)} is a report on it: open it in a browser.\n"
        "\n"
        "With your own Gong, whose API settings page shows the key and the base URL:\n"
        "  export GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=...\n"
        "  export GONG_BASE_URL=https://...\n"
        f"  {command} bulk plan meetings.csv\n"
        f"  {command} bulk run meetings.csv"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
