"""Updates 400 meetings in a make-believe Gong on this machine, with some things going wrong.

Everything but Gong is real: the file, the command, the sockets, the limit. Run it with `make demo`.
It ends with 0 when all went as told.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import frozen
from make_meetings import BROKEN_ORGANIZER, FILE

from gong_async.testing import FakeGong, Fault

HOME = Path(__file__).parents[2]
RECORD = HOME / "build" / "demo-outcomes.jsonl"
ALLOWED, USED = 50, 40
"""Calls a second that the make-believe Gong allows, and those that the command uses."""
DELETED, LOST, STUMBLED = 57, 130, 310
"""Places in the file: a meeting that is gone, a lost answer, an error that passes."""

_SOME_FAILED = 1


@frozen
class Story:
    """What is in the file, and which of it goes wrong."""

    rows: list[dict[str, str]]

    @property
    def broken(self) -> int:
        """The place of the row whose organizer's settings are broken."""
        organizers = [row["organizer_email"] for row in self.rows]
        return organizers.index(BROKEN_ORGANIZER)

    @property
    def refused(self) -> set[str]:
        """The meetings that Gong refuses to update."""
        return {self.meeting(DELETED), self.meeting(self.broken)}

    def meeting(self, place: int) -> str:
        """Return the id of the meeting at a place of the file."""
        return self.rows[place]["meeting_id"]

    def tell(self) -> None:
        """Say what will happen. The first row stands in line 2."""
        minutes = len(self.rows) / 3 / 60
        print(
            f"{len(self.rows)} meetings of {FILE.relative_to(HOME)} go to a make-believe Gong\n"
            f"on this machine. Gong allows 3 calls a second, {minutes:.1f} minutes for this file;\n"
            f"this one allows {ALLOWED}, and {USED} are used, so that you need not wait.\n"
            "Four things go wrong on purpose:\n"
            "\n"
            f"  line {DELETED + 2}: the meeting was deleted in Gong (404)\n"
            f"  line {LOST + 2}: Gong applies the update, but its answer is lost on the way\n"
            f"  line {self.broken + 2}: the organizer's calendar is not connected to Gong (409)\n"
            f"  line {STUMBLED + 2}: Gong stumbles once (500)\n",
            flush=True,
        )

    def play(self, fake: FakeGong) -> None:
        """Teach the make-believe Gong what goes wrong."""
        fake.missing_meetings.add(self.meeting(DELETED))
        fake.add_user(
            BROKEN_ORGANIZER,
            valid=False,
            user_facing_error="Your calendar is no longer connected to Gong.",
            fix_url="https://app.gong.example/settings/calendar",
        )
        fake.script(Fault.drop_after(), on=self.meeting(LOST))
        fake.script(Fault.status(500, errors=("Something broke",)), on=self.meeting(STUMBLED))


def main() -> int:
    """Tell the story, run it, and check that it went as told."""
    with FILE.open(encoding="utf-8", newline="") as file:
        story = Story(list(csv.DictReader(file)))
    with FakeGong.serve_in_thread(per_second=ALLOWED, latency=0.05) as fake:
        story.play(fake)
        story.tell()
        began = time.monotonic()
        code = run_command(fake)
        seconds = time.monotonic() - began
        wrong = [*check_outcomes(story, refusals=fake.quota_refusals), *check_fake(story, fake)]
    if code != _SOME_FAILED:
        wrong.append(f"the command ended with {code}, not with {_SOME_FAILED} (some failed)")
    if wrong:
        print("\nThis did not go as told:", *wrong, sep="\n  ")
        return 1
    conclude(seconds)
    return 0


def run_command(fake: FakeGong) -> int:
    """Run the command as anybody would; its bar and its report go to this terminal."""
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.unlink(missing_ok=True)
    command = ["bulk", "run", FILE, "--output", RECORD, "--per-second", USED]
    words = [
        os.path.relpath(word, HOME) if isinstance(word, Path) else str(word) for word in command
    ]
    print("$ gong-async", *words, flush=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GONG_")} | {
        "GONG_BASE_URL": fake.url,
        "GONG_ACCESS_KEY": fake.access_key,
        "GONG_ACCESS_KEY_SECRET": fake.access_key_secret,
        "GONG_STATE_DIR": "build/demo-state",
    }
    arguments = [sys.executable, "-m", "gong_async", *words]
    return subprocess.run(arguments, cwd=HOME, env=environment, check=False).returncode  # noqa: S603


def check_outcomes(story: Story, *, refusals: int) -> list[str]:
    """Hold what the command told against the story."""
    if not RECORD.exists():
        return ["no outcomes were written"]
    lines = RECORD.read_text(encoding="utf-8").splitlines()
    outcomes: dict[str, Any] = {told["meeting_id"]: told for told in map(json.loads, lines)}
    wrong: list[str] = []
    for place, row in enumerate(story.rows):
        told = outcomes.get(row["meeting_id"], {"state": "missing", "attempts": 0})
        state = "failed" if row["meeting_id"] in story.refused else "done"
        attempts = 2 if place in {LOST, STUMBLED} else 1
        # On a machine that is busy with other things, requests may arrive in a bunch, and the limit
        # refuse some; the command waits and repeats them.
        if told["state"] != state or not attempts <= told["attempts"] <= attempts + refusals:
            wrong.append(f"line {place + 2} is {told['state']} after {told['attempts']} attempts")
    return wrong


def check_fake(story: Story, fake: FakeGong) -> list[str]:
    """Hold what the make-believe Gong has seen against the story, and tell it."""
    applied = Counter(change.meeting_id for change in fake.applied)
    titles = {change.meeting_id: change.body.get("title") for change in fake.applied}
    starts = {change.meeting_id: change.body.get("startTime") for change in fake.applied}
    wrong: list[str] = []
    for place, row in enumerate(story.rows):
        id_ = row["meeting_id"]
        expected = 0 if id_ in story.refused else 2 if place == LOST else 1
        if applied[id_] != expected:
            wrong.append(f"line {place + 2} was applied {applied[id_]} times, not {expected}")
        start = row["start_time"].replace("+00:00", "Z")
        if expected and (titles.get(id_), starts.get(id_)) != (row["title"], start):
            wrong.append(f"line {place + 2} was applied with other content")
    once = sum(count == 1 for count in applied.values())
    answers = ", ".join(
        f"{count} with {status or 'no answer'}" for status, count in sorted(fake.counts.items())
    )
    print(
        "\nWhat the make-believe Gong has counted itself:\n"
        f"  {fake.received_count} requests ({answers})\n"
        f"  {busiest_second(fake)} in the busiest second, {fake.quota_refusals} beyond the limit\n"
        f"  {once} meetings updated once, with the title and time of the file\n"
        f"  {len(applied) - once} updated twice with the same content: its answer was lost, so\n"
        "    it was sent again; an update replaces the meeting, the second changes nothing\n"
        f"  {len(story.rows) - len(applied)} not updated: the deleted one, the one without calendar"
    )
    return wrong


def busiest_second(fake: FakeGong) -> int:
    """Return the most arrivals in any second, wherever it begins."""
    arrivals = [request.at for request in fake.received]
    return max((sum(at <= other < at + 1 for other in arrivals) for at in arrivals), default=0)


def conclude(seconds: float) -> None:
    """Say how to go on from here."""
    command = os.path.relpath(Path(sys.executable).with_name("gong-async"))
    print(
        f"\nAll went as told, in {seconds:.0f} s. {RECORD.relative_to(HOME)} tells of each row.\n"
        "\n"
        "With your own Gong, whose API settings page shows the key and the base URL:\n"
        "  export GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=...\n"
        "  export GONG_BASE_URL=https://...\n"
        f"  {command} bulk run meetings.csv --output outcomes.jsonl"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
