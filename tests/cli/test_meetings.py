"""`gong-async meetings`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
ID = "7782342274025937895"
TIMES = ("--start", "2026-11-24T15:00:00+01:00", "--end", "2026-11-24T15:45:00+01:00")
ORGANIZER = ("--organizer", "dana@example.com")
BODY: dict[str, Any] = {
    "startTime": "2026-11-24T15:00:00+01:00",
    "endTime": "2026-11-24T15:45:00+01:00",
    "organizerEmail": "dana@example.com",
    "invitees": [],
}


def test_update(invoke: Invoke, fake: FakeGong) -> None:
    """The options become the body, and the result is printed as JSON."""
    invitees = ("--invitee", "lee@x.example", "--invitee", "Ana <ana@x.example>")
    more = ("--title", "Renewal", "--external-id", "7JEH", "--provider", "zoom")

    done = invoke("meetings", "update", ID, *TIMES, *ORGANIZER, *invitees, *more)

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["meeting_id"] == ID
    assert fake.applied[0].meeting_id == ID
    assert fake.applied[0].body == {
        **BODY,
        "invitees": [
            {"email": "lee@x.example"},
            {"email": "ana@x.example", "displayName": "Ana"},
        ],
        "title": "Renewal",
        "externalId": "7JEH",
        "provider": "zoom",
    }


def test_update_from_json(invoke: Invoke, fake: FakeGong, tmp_path: Path) -> None:
    """The body may come from a file, over as many lines as it likes."""
    path = tmp_path / "meeting.json"
    path.write_text(json.dumps({**BODY, "meetingId": ID}, indent=2), encoding="utf-8-sig")

    done = invoke("meetings", "update", ID, "--json", path)

    assert done.exit_code == 0, done.stderr
    assert fake.applied[0].body == BODY


def test_update_from_stdin(invoke: Invoke, fake: FakeGong) -> None:
    """A dash stands for stdin."""
    done = invoke("meetings", "update", ID, "--json", "-", input=json.dumps(BODY))

    assert done.exit_code == 0, done.stderr
    assert fake.applied[0].body == BODY


def test_create(invoke: Invoke, fake: FakeGong) -> None:
    """A new meeting's id and link are printed."""
    done = invoke("meetings", "create", *TIMES, *ORGANIZER)

    created = json.loads(done.stdout)
    assert done.exit_code == 0
    assert created["meeting_id"] == fake.applied[0].meeting_id
    assert created["meeting_url"].startswith("https://")


def test_delete(invoke: Invoke, fake: FakeGong) -> None:
    """A deletion says whether the meeting was gone already."""
    done = invoke("meetings", "delete", ID, *ORGANIZER)

    assert json.loads(done.stdout)["already_gone"] is False
    assert fake.applied[0].operation == "deleteMeeting"


def test_status(invoke: Invoke, fake: FakeGong) -> None:
    """The status of each organizer is printed."""
    fake.add_user("lee@example.com", valid=False)

    done = invoke("meetings", "status", "dana@example.com", "lee@example.com")

    assert [user["valid"] for user in json.loads(done.stdout)["users"]] == [True, False]


@pytest.mark.parametrize("blanks", [" {}", "{} ", "{}\u00a0", "\t{}\n"])
def test_blanks_around_values_are_left_out_by_all_commands(
    invoke: Invoke, fake: FakeGong, blanks: str
) -> None:
    """As in files: what is pasted from a table often has some."""
    email, id_ = blanks.format("dana@example.com"), blanks.format(ID)
    for words in (
        ("update", id_, *TIMES, "--organizer", email),
        ("delete", id_, "--organizer", email),
        ("status", email),
    ):
        assert invoke("meetings", *words).exit_code == 0
    update, delete, status = (json.loads(request.body) for request in fake.received)

    assert update["organizerEmail"] == delete["organizerEmail"] == "dana@example.com"
    assert status["emails"] == ["dana@example.com"]


def test_output_is_ascii(invoke: Invoke, fake: FakeGong) -> None:
    """Nothing that Gong answers can steer the terminal."""
    fake.add_user("lee@example.com", user_facing_error="\x1b[2J\u202e\x9b")

    done = invoke("meetings", "status", "lee@example.com")

    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert json.loads(done.stdout)["users"][0]["user_facing_error"] == "\x1b[2J\u202e\x9b"


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (("update", "7.78E+18", *TIMES, *ORGANIZER), "what a spreadsheet made of an id"),
        (("update", "x", *TIMES, *ORGANIZER), "expected 1 to 20 digits"),
        (
            ("update", ID, *ORGANIZER),
            "--start, --end missing; set them, or pass the meeting as --json",
        ),
        (("update", ID, *TIMES, "--organizer", "dana"), "organizer_email: expected exactly one @"),
        (("update", ID, *TIMES, *ORGANIZER, "--invitee", "x"), "invitees[0]: expected exactly"),
        (("update", ID, *TIMES[2:], *ORGANIZER, "--start", "now"), "start_time: not an ISO-8601"),
        (("delete", ID, "--organizer", "dana"), "organizer_email: expected exactly one @"),
        (("delete", ID), "--organizer"),
        (("status", "dana"), "expected exactly one @"),
        (("status",), "EMAIL"),
        (("update", ID, "--json", "-", *ORGANIZER), "cannot be combined"),
    ],
)
def test_wrong_input(invoke: Invoke, fake: FakeGong, words: tuple[str, ...], reported: str) -> None:
    """Wrong input ends with 2 before anything is sent."""
    done = invoke("meetings", *words)

    assert done.exit_code == 2
    assert reported in done.stderr
    assert fake.received == []


@pytest.mark.parametrize(
    ("words", "body", "reported"),
    [
        (("update", ID), "{", "not JSON"),
        (("update", ID), "[]", "not an object"),
        (("update", ID), json.dumps({**BODY, "meetingId": "1"}), "differs from ID"),
        (("update", ID), json.dumps({**BODY, "meetingId": "7.78E+18"}), "made of an id"),
        (("update", ID), json.dumps({**BODY, "meetingId": True}), "true or false"),
        (("create",), json.dumps({**BODY, "meetingId": "1"}), "not allowed for a new meeting"),
        (("create",), json.dumps({**BODY, "name": "x"}), "the key 'name' is not known"),
        (("create",), json.dumps({**BODY, "startTime": 5}), "start_time: expected text such as"),
        (("create",), json.dumps({**BODY, "startTime": BODY["endTime"]}), "end after it starts"),
    ],
)
def test_wrong_json(
    invoke: Invoke, fake: FakeGong, words: tuple[str, ...], body: str, reported: str
) -> None:
    """So does a wrong document."""
    done = invoke("meetings", *words, "--json", "-", input=body)

    assert done.exit_code == 2
    assert reported in done.stderr
    assert fake.received == []


def test_base_url_and_timeout(invoke: Invoke, fake: FakeGong, environment: dict[str, str]) -> None:
    """Options go before the environment."""
    environment["GONG_BASE_URL"] = "https://elsewhere.invalid"

    done = invoke("meetings", "status", "a@x.example", "--base-url", fake.url, "--timeout", "5")

    assert done.exit_code == 0, done.stderr


def test_a_wrong_timeout(invoke: Invoke) -> None:
    """A timeout that cannot be meant is wrong usage."""
    done = invoke("meetings", "status", "a@x.example", "--timeout", "0")

    assert done.exit_code == 2
    assert "timeout must be above 0" in done.stderr
