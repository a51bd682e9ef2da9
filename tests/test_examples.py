"""The examples do what they say, against a fake Gong, started as a reader would start them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gong_async.testing import FakeGong, Fault

EXAMPLES = Path(__file__).parent.parent / "examples"
MEETING = "7782342274025937895"

HEADER = "gong_id,begins,ends,host,guests,subject\n"
GOOD_ROW = (
    "778234227402593789{n},2026-11-24T15:00:00+01:00,2026-11-24T15:45:00+01:00,"
    "dana@example.com,lee@customer.example ana@customer.example,Renewal\n"
)
WISH = {
    "start": "2026-11-24T15:00:00+01:00",
    "minutes": 45,
    "organizer": "dana@example.com",
    "guests": ["lee@customer.example"],
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGong]:
    """Run a fake Gong without a pace, and let the environment point to it."""
    with FakeGong.serve_in_thread(per_second=None) as fake:
        monkeypatch.setenv("GONG_BASE_URL", fake.url)
        monkeypatch.setenv("GONG_ACCESS_KEY", fake.access_key)
        monkeypatch.setenv("GONG_ACCESS_KEY_SECRET", fake.access_key_secret)
        monkeypatch.delenv("GONG_BEARER_TOKEN", raising=False)
        monkeypatch.setenv("GONG_STATE_DIR", str(tmp_path / "state"))
        yield fake


def command(name: str, *arguments: str | Path) -> list[str]:
    """Return the command that starts an example."""
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Start an example and wait for its end."""
    return subprocess.run(
        command(name, *arguments), capture_output=True, text=True, check=False, timeout=60
    )


def test_every_example_is_tested() -> None:
    """No example stands here that this file does not start."""
    tests = Path(__file__).read_text(encoding="utf-8")

    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tests] == []


def test_create_meeting(fake: FakeGong) -> None:
    """It creates one meeting, and says what to put into the invitation."""
    ended = run("create_meeting.py", "dana@example.com")

    assert ended.returncode == 0, ended.stderr
    assert [change.body["organizerEmail"] for change in fake.applied] == ["dana@example.com"]
    assert fake.applied[0].meeting_id in ended.stdout
    assert "invite assistant@gong.example too" in ended.stdout


def test_create_meeting_reports_what_gong_says_against_the_organizer(fake: FakeGong) -> None:
    """It shows the organizer's fault, and ends with 1."""
    fake.add_user("dana@example.com", valid=False, user_facing_error="No consent page.")

    ended = run("create_meeting.py", "dana@example.com")

    assert ended.returncode == 1
    assert "Gong warns: No consent page." in ended.stderr
    assert fake.applied == []


def test_update_one(fake: FakeGong) -> None:
    """It sends one whole replacement."""
    ended = run("update_one.py", MEETING)

    assert ended.returncode == 0, ended.stderr
    assert f"updated {MEETING}" in ended.stdout
    assert [(change.meeting_id, change.body["title"]) for change in fake.applied] == [
        (MEETING, "Renewal")
    ]


def test_update_one_of_an_unknown_meeting(fake: FakeGong) -> None:
    """It says that nothing was updated."""
    fake.missing_meetings.add(MEETING)

    ended = run("update_one.py", MEETING)

    assert ended.returncode == 1
    assert ended.stderr.startswith("not updated: Gong answered 404")


def test_update_one_whose_answers_are_lost(fake: FakeGong) -> None:
    """It does not claim to know what it cannot know."""
    fake.script(Fault.truncate(), times=2)

    ended = run("update_one.py", MEETING)

    assert ended.returncode == 1
    assert ended.stderr.startswith("perhaps updated: ")


def test_bulk_import(fake: FakeGong, tmp_path: Path) -> None:
    """It updates every meeting of the file, names the one that failed, and sends nothing twice."""
    file = tmp_path / "bookings.csv"
    file.write_text(HEADER + "".join(GOOD_ROW.format(n=n) for n in range(3)))
    fake.missing_meetings.add(MEETING[:-1] + "1")

    ended = run("bulk_import.py", file)
    sent = len(fake.received)
    again = run("bulk_import.py", file)

    assert ended.returncode == 1
    assert ended.stdout == again.stdout == "completed: 2 succeeded, 1 failed\n"
    assert len(fake.received) == sent == 4
    assert ended.stderr.startswith("row 2: Gong answered 404")
    assert {change.meeting_id for change in fake.applied} == {
        MEETING[:-1] + "0",
        MEETING[:-1] + "2",
    }


def test_bulk_import_checks_the_whole_file_first(fake: FakeGong, tmp_path: Path) -> None:
    """A fault in the last line is found before anything is sent, and its line is named."""
    file = tmp_path / "bookings.csv"
    file.write_text(HEADER + GOOD_ROW.format(n=1) + GOOD_ROW.format(n="E+18"))

    ended = run("bulk_import.py", file)

    assert ended.returncode == 2
    assert ended.stderr.startswith("bookings.csv, line 3: meeting_id: ")
    assert fake.received == []


@pytest.mark.parametrize(
    "state",
    [
        "interrupted",
        pytest.param("planned", marks=pytest.mark.full),
        pytest.param("completed", marks=pytest.mark.full),
    ],
)
def test_bulk_import_of_a_file_that_was_edited(fake: FakeGong, tmp_path: Path, state: str) -> None:
    """It says so, sends nothing, and what it advises works: both of it."""
    file, rows = tmp_path / "bookings.csv", [GOOD_ROW.format(n=n) for n in range(3)]
    file.write_text(HEADER + "".join(rows))
    journal = tmp_path / "bookings.csv.job.sqlite3"
    cli = [sys.executable, "-m", "gong_async", "bulk"]
    if state == "interrupted":
        fake.script(Fault.status(401), nth=2)  # everything after it would be refused, too
    elif state == "planned":
        fake.script(Fault.status(401), nth=1)
    run("bulk_import.py", file)
    sent = len(fake.received)
    file.write_text(HEADER + "".join(rows).replace("Renewal", "Handover"))

    refused = run("bulk_import.py", file)
    nothing = len(fake.received) == sent
    subprocess.run([*cli, "resume", journal], capture_output=True, check=False, timeout=60)
    journal.unlink()
    again = run("bulk_import.py", file)

    assert (refused.returncode, refused.stdout, nothing) == (2, "", True)
    assert refused.stderr.startswith("bookings.csv has changed since its job was planned")
    assert f"gong-async bulk resume '{journal}'" in refused.stderr
    assert (again.returncode, again.stdout) == (0, "completed: 3 succeeded\n")
    assert [change.body["title"] for change in fake.applied[-3:]] == ["Handover"] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gong_id,begins\n778,2026-11-24T15:00:00Z\n", "bookings.csv has no column 'ends'"),
        (HEADER + "\udcff", "codec can't decode"),
        (
            HEADER + GOOD_ROW.format(n=1).replace("Renewal", '"' + "a" * 200_000 + '"'),
            "field larger",
        ),
        (None, "No such file"),
    ],
    ids=["no such column", "not UTF-8", "a large field", "no file"],
)
def test_bulk_import_of_what_is_no_such_file(
    fake: FakeGong, tmp_path: Path, text: str | None, words: str
) -> None:
    """It says what is wrong, in one line."""
    file = tmp_path / "bookings.csv"
    if text is not None:
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    ended = run("bulk_import.py", file)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert words in ended.stderr
    assert fake.received == []


def test_observe(fake: FakeGong) -> None:
    """It counts answers, retries and holds."""
    fake.script(Fault.rate_limited("0"))
    fake.script(Fault.status(503))

    ended = run("observe.py", MEETING)

    assert ended.returncode == 0, ended.stderr
    assert "answers: 200: 1, 429: 1, 503: 1" in ended.stdout
    assert "retries: 2" in ended.stdout


def ask(url: str, body: object) -> tuple[int, Any]:
    """PUT a JSON body; return the status and the JSON answer."""
    request = Request(url, data=json.dumps(body).encode(), method="PUT")
    with urlopen(request, timeout=30) as answer:
        return answer.status, json.load(answer)


def test_web_backend(fake: FakeGong) -> None:
    """It serves, moves a meeting, and ends cleanly when it is instructed to."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    service = subprocess.Popen(
        command("web_backend.py", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    with service:
        assert service.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:[0-9]+", service.stdout.readline())
            assert found is not None
            answered = ask(f"{found[0]}/meetings/{MEETING}", WISH)
        finally:
            service.send_signal(signal.SIGTERM)
        rest = service.stdout.read()

    assert answered == (200, {"meeting": MEETING, "request_id": answered[1]["request_id"]})
    assert fake.applied[0].body["endTime"] == "2026-11-24T15:45:00+01:00"
    assert (service.returncode, "Traceback" in rest) == (0, False)


def web_backend() -> web.Application:
    """Load the example and put its application together in this process."""
    spec = importlib.util.spec_from_file_location("web_backend", EXAMPLES / "web_backend.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: web.Application = module.make_app()
    return app


@pytest.mark.parametrize(
    ("fault", "meeting", "wish", "expected"),
    [
        (None, MEETING, {**WISH, "guests": ["no address"]}, (400, None)),
        (None, "seven", WISH, (400, None)),
        (Fault.status(404), MEETING, WISH, (404, None)),
        (Fault.rate_limited("30"), MEETING, WISH, (503, "31")),
        (Fault.conflict(), MEETING, WISH, (502, None)),
        (Fault.wrong_id(), MEETING, WISH, (504, None)),
    ],
    ids=["bad body", "bad id", "unknown meeting", "limit", "conflict", "outcome unknown"],
)
async def test_web_backend_refuses(
    fake: FakeGong,
    fault: Fault | None,
    meeting: str,
    wish: dict[str, Any],
    expected: tuple[int, str | None],
) -> None:
    """Each way to fail has a status from which the caller knows what to do next."""
    if fault is not None:
        fake.script(fault)

    async with TestClient(TestServer(web_backend())) as browser:
        answer = await browser.put(f"/meetings/{meeting}", json=wish)
        body = await answer.json()

    assert (answer.status, answer.headers.get("Retry-After")) == expected
    assert body["error"]
