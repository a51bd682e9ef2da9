"""A job's items as files."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, Invitee, JournalError
from gong_async.bulk.reports.export import Format, export, failed_rows, write_atomically
from gong_async.bulk.reports.purge import purge
from gong_async.bulk.store.job_file import JobFile
from gong_async.inputs.reader import read_changes
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


def objects(job: JobFile) -> list[dict[str, Any]]:
    """Return the JSON export as objects."""
    return [json.loads(line) for line in export(job, "jsonl")]


def rows(job: JobFile) -> list[dict[str, str]]:
    """Return the CSV export as rows."""
    return list(csv.DictReader(export(job, "csv"), strict=True))


def say(job: JobFile, text: str) -> None:
    """Let the first item's error say so."""
    with job.writing() as connection:
        connection.execute("UPDATE item SET state = 'failed', message = ?", (text,))


async def test_a_line_for_each_item(fake: FakeGong, jobs: Jobs, tmp_path: Path) -> None:
    """Items are in the order of the source, with Gong's messages."""
    file = tmp_path / "changes.jsonl"
    rows_in = [{"meetingId": change(n).meeting_id, **RAW} for n in (0, 1, 1)]
    file.write_text("\n\n".join(map(json.dumps, rows_in)))
    fake.missing_meetings.add(change(0).meeting_id)

    failed, superseded, done = objects(await jobs.run(read_changes(file)))

    (refused,) = (request for request in fake.received if request.status == 404)
    assert failed == {
        "index": 0,
        "line": 1,
        "meeting_id": change(0).meeting_id,
        "state": "failed",
        "reason": None,
        "attempts": 1,
        "status": 404,
        "request_id": failed["request_id"],
        "error": "NotFoundError",
        "message": "Gong answered 404 Not Found: The given meeting ID was not found.",
        "errors": ["The given meeting ID was not found."],
        "fix_url": None,
        "seconds_waited": failed["seconds_waited"],
        "seconds_on_wire": failed["seconds_on_wire"],
    }
    assert refused.meeting_id == failed["meeting_id"] and failed["request_id"]
    assert (superseded["line"], superseded["state"], superseded["reason"]) == (
        3,
        "skipped",
        "superseded",
    )
    assert (done["line"], done["state"], done["status"], done["attempts"]) == (
        5,
        "succeeded",
        200,
        1,
    )
    assert done["seconds_on_wire"] > 0


RAW = {
    "startTime": "2026-11-24T15:00:00Z",
    "endTime": "2026-11-24T16:00:00Z",
    "organizerEmail": "dana@example.com",
    "invitees": [],
}


async def test_some_states_only(fake: FakeGong, jobs: Jobs) -> None:
    """States that are named leave out the others."""
    fake.missing_meetings.add(change(1).meeting_id)
    job = await jobs.run([change(0), change(1), change(2)])

    failed, done = export(job, "jsonl", {"failed"}), export(job, "csv", {"succeeded"})

    assert [json.loads(line)["index"] for line in failed] == [1]
    assert len(list(done)) == 3


async def test_a_skipped_item_has_the_link_to_fix_it(fake: FakeGong, jobs: Jobs) -> None:
    """Each meeting of an organizer that cannot be updated has Gong's message and link."""
    fake.add_user(
        "dana@example.com",
        valid=False,
        user_facing_error="The calendar is gone",
        fix_url="https://app.gong.io/fix",
    )
    job = await jobs.run([change(0)])

    (item,) = objects(job)

    assert (item["reason"], item["message"], item["fix_url"], item["attempts"]) == (
        "organizer",
        "The calendar is gone",
        "https://app.gong.io/fix",
        0,
    )


async def test_the_last_word_on_an_organizer_counts(fake: FakeGong, jobs: Jobs) -> None:
    """An item with an earlier error of its own has the organizer's message."""
    fake.add_user("dana@example.com", valid=False, user_facing_error="The calendar is gone")
    job = await jobs.run([change(0)])
    with job.writing() as connection:
        connection.execute("UPDATE item SET error = 'RateLimitError', message = 'too many'")

    (item,) = objects(job)

    assert item["message"] == "The calendar is gone"


async def test_csv_has_the_same_as_json(fake: FakeGong, jobs: Jobs) -> None:
    """Both formats have the same values; in CSV, None is empty."""
    fake.missing_meetings.add(change(1).meeting_id)
    job = await jobs.run([change(0), change(1)])

    reported = [
        {name: "; ".join(v) if isinstance(v, list) else "" if v is None else str(v) for name, v in
         item.items()}
        for item in objects(job)
    ]  # fmt: skip
    assert rows(job) == reported


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\uff1d1+1",
        "\uff0b1",
        "\uff0d1",
        "\uff20SUM(A1)",
        "  =1+1",
        "\u3000=1+1",
        "\u2212=1",
    ],
)
async def test_a_cell_cannot_begin_a_formula(jobs: Jobs, text: str) -> None:
    """What a spreadsheet would calculate is made text, whatever form its sign has."""
    job = await jobs.run([change(0)])
    say(job, text)

    ((row),) = rows(job)

    assert "'" in row["message"]
    assert row["message"].lstrip().startswith("'")
    assert row["message"].replace("'", "") == text


@pytest.mark.parametrize("text", ["=1+1", "'=1+1", "''=1", " '@x", "'", "a,'=1;-2", "it's", "1-1"])
async def test_a_cell_can_be_read_back(jobs: Jobs, text: str) -> None:
    """Taking away one apostrophe before each sign gives the text back, as the docs say."""
    job = await jobs.run([change(0)])
    say(job, text)

    ((row),) = rows(job)

    signs = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
    assert re.sub(rf"((?:^|[,;|\"])\s*)'(?='*[{signs}])", r"\1", row["message"]) == text


@pytest.mark.parametrize("text", ['x";=1+1', "x,=1+1", 'x" ;  -1', "x|@SUM(A1)"])
async def test_no_cell_begins_inside_of_another(jobs: Jobs, text: str) -> None:
    """A program that expects another separator finds no formula behind it either."""
    job = await jobs.run([change(0)])
    say(job, text)

    line = list(export(job, "csv"))[1]

    pieces = [piece.strip(' "') for piece in line.replace(";", ",").replace("|", ",").split(",")]
    assert not [piece for piece in pieces if piece[:1] in {"=", "+", "-", "@"}]


@pytest.mark.parametrize(
    "text", ["\t=1+1", "\r=1+1", "\n=1+1", "a\r\nb", "\x1b[2Jgone", "\u202eabc"]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_a_line_is_one_line(jobs: Jobs, text: str, kind: Format) -> None:
    """No text ends a line, steers a terminal, or turns the direction of reading."""
    job = await jobs.run([change(0)])
    say(job, text)

    lines = "".join(export(job, kind))

    assert lines.isprintable()


async def test_json_keeps_a_text_as_it_is(jobs: Jobs) -> None:
    """Who reads JSON gets back exactly what was said."""
    text = "=1+1\t\r\n\x1b[2J\x7f\u202eŁé \U0001f600"
    job = await jobs.run([change(0)])
    say(job, text)

    (item,) = objects(job)

    assert item["message"] == text


async def test_a_cell_has_an_end(jobs: Jobs) -> None:
    """No cell is longer than spreadsheets take."""
    job = await jobs.run([change(0)])
    say(job, "x" * 100_000)

    (row,) = rows(job)

    assert len(row["message"]) == 32_000


async def test_what_failed_is_input_of_the_next_run(
    fake: FakeGong, jobs: Jobs, tmp_path: Path
) -> None:
    """Failed and set-aside changes are read back as they were, in their order, and no others."""
    fake.add_user("lee@example.com", valid=False)
    guests = [Invitee(email="ana@x.example"), Invitee(display_name="Łé; \u2028\x7f", first_name="")]
    refused = change(1, title="", invitees=guests, provider="zoom", external_id="\U0001f600")
    aside = change(2, organizer_email="lee@example.com", title=None)
    fake.missing_meetings.add(refused.meeting_id)
    job = await jobs.run([change(0), aside, refused])

    file = tmp_path / "failed.jsonl"
    written = write_atomically(file, failed_rows(job))

    assert list(read_changes(file)) == [aside, refused]
    assert written == 2


async def test_the_next_run_sends_the_same_bytes(
    fake: FakeGong, jobs: Jobs, tmp_path: Path
) -> None:
    """What failed is sent again byte for byte, once what was wrong has been set right."""
    fake.missing_meetings.add(change(0).meeting_id)
    job = await jobs.run([change(0, invitees=[Invitee(display_name="Łé")])])
    file = tmp_path / "failed.jsonl"
    write_atomically(file, failed_rows(job))
    fake.missing_meetings.clear()

    await jobs.run(read_changes(file))

    first, second = (request for request in fake.received if request.meeting_id)
    assert (first.status, second.status) == (404, 200)
    assert first.body == second.body


async def test_a_later_change_is_not_undone(fake: FakeGong, jobs: Jobs) -> None:
    """A change that failed is no input of the next run if a later one of its meeting went well."""
    fake.script(Fault.status(400), on="updateMeeting")
    options = BulkOptions(keep_order=True, max_failure_ratio=None)
    job = await jobs.run([change(0, title="old"), change(0, title="new")], options=options)

    assert [item["state"] for item in objects(job)] == ["failed", "succeeded"]
    assert list(failed_rows(job)) == []


async def test_what_was_purged_is_not_written(fake: FakeGong, jobs: Jobs) -> None:
    """After a purge the export raises, and does not write an empty file."""
    fake.missing_meetings.add(change(0).meeting_id)
    job = await jobs.run([change(0)])
    purge(job, jobs.ledger)

    with pytest.raises(JournalError, match="were purged"):
        failed_rows(job)


def test_a_file_is_for_its_owner(tmp_path: Path) -> None:
    """What is written can be read by this user alone, also in place of an open file."""
    file = tmp_path / "report.jsonl"
    file.write_text("old")
    file.chmod(0o644)

    written = write_atomically(file, ["a", "Łé"])

    assert written == 2
    assert file.read_bytes() == "a\nŁé\n".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_is_whole_or_unchanged(tmp_path: Path) -> None:
    """Lines that break off leave the earlier file, and nothing beside it."""
    file = tmp_path / "report.jsonl"
    file.write_text("old")

    def broken() -> Iterator[str]:
        yield "new"
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        write_atomically(file, broken())

    assert file.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.jsonl"]


@pytest.mark.skipif(os.name != "posix", reason="a directory cannot be synced there")
def test_a_file_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is synced before the rename, and the rename before the function returns."""
    file = tmp_path / "report.jsonl"
    synced: list[tuple[bool, int, bool]] = []

    def fsync(opened: int) -> None:
        status = os.fstat(opened)
        is_directory = stat.S_ISDIR(status.st_mode)
        synced.append((is_directory, 0 if is_directory else status.st_size, file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(file, ["abc"])

    assert synced == [(False, 4, False), (True, 0, True)]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Where a link leads is replaced, not the link."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)

    write_atomically(link, ["a"])

    assert link.is_symlink()
    assert target.read_text() == "a\n"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no /dev/null")
def test_a_device_stays_a_device() -> None:
    """What is no file is written to, and not replaced."""
    assert write_atomically(Path("/dev/null"), ["a"]) == 1
    assert Path("/dev/null").is_char_device()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A file that cannot be created raises the system's error."""
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "report.jsonl", ["a"])
