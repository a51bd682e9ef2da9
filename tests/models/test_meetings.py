"""Meetings as they are written: what is refused before I/O, and what is sent exactly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs.exceptions import FrozenInstanceError

from gong_async import (
    GongClient,
    Invitee,
    MeetingChange,
    MeetingUpdate,
    NewMeeting,
    ValidationError,
)
from gong_async.models.converter import make_converter, to_json
from gong_async.testing import FakeGong

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def update(**changes: Any) -> MeetingUpdate:
    """Make an update that is fine but for `changes`."""
    fine: dict[str, Any] = {
        "start_time": START,
        "end_time": START + HOUR,
        "organizer_email": "dana@example.com",
        "invitees": [Invitee(email="lee@customer.example")],
    }
    return MeetingUpdate(**{**fine, **changes})


def zone(**offset: float) -> timezone:
    """Make a zone of a fixed offset."""
    return timezone(timedelta(**offset))


class Nowhere(tzinfo):
    """A zone that does not know its offset, so that its times are naive."""

    def utcoffset(self, _: datetime | None) -> None:
        """Not known."""

    def dst(self, _: datetime | None) -> None:
        """Not known."""

    def tzname(self, _: datetime | None) -> None:
        """Not known."""


@pytest.mark.parametrize("field", ["start_time", "end_time"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (datetime(2026, 11, 24, 15, 0), "no zone"),  # noqa: DTZ001 - this is the fault
        (datetime(2026, 11, 24, 15, 0, tzinfo=Nowhere()), "no zone"),
        (datetime(2026, 11, 24, 15, 0, tzinfo=zone(hours=1, seconds=1)), "whole number of minutes"),
        (datetime(2026, 11, 24, 15, 0, tzinfo=zone(microseconds=1)), "whole number of minutes"),
        (datetime(1890, 1, 1, tzinfo=BERLIN), "whole number of minutes"),
        (date(2026, 11, 24), "got date"),
        ("2026-11-24T15:00:00Z", "got str"),
        ("2026-12-31T23:59:60Z", "got str"),
        (1_795_532_400, "got int"),
        (None, "got NoneType"),
    ],
)
def test_refuses_a_time_that_is_not_clear(field: str, value: object, problem: str) -> None:
    """No zone is guessed and no text is taken; the message names the field and the fault."""
    with pytest.raises(ValidationError, match=rf"^{field}: .*{problem}"):
        update(**{field: value})


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, START),
        (START, START - HOUR),
        (START, START + timedelta(microseconds=999_999)),
        (START, (START + HOUR).replace(tzinfo=zone(hours=1))),
        # Clocks go back: 02:15 comes twice, and the second one is after 02:30 of the first.
        (
            datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1),
            datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
        ),
    ],
)
def test_refuses_a_meeting_that_does_not_end_after_it_starts(
    start: datetime, end: datetime
) -> None:
    """Instants are compared, in the whole seconds that are sent, not the faces of clocks."""
    with pytest.raises(ValidationError, match=r"^end_time: the meeting must end after it starts"):
        update(start_time=start, end_time=end)


@pytest.mark.parametrize(
    ("start", "end", "sent"),
    [
        (START, START + timedelta(seconds=1), ("2026-11-24T15:00:00Z", "2026-11-24T15:00:01Z")),
        (
            START.replace(microsecond=999_999),
            START.replace(second=1, microsecond=1),
            ("2026-11-24T15:00:00Z", "2026-11-24T15:00:01Z"),
        ),
        (
            datetime(2026, 11, 24, 15, 0, tzinfo=BERLIN),
            datetime(2026, 11, 24, 15, 45, tzinfo=ZoneInfo("America/St_Johns")),
            ("2026-11-24T15:00:00+01:00", "2026-11-24T15:45:00-03:30"),
        ),
        (
            datetime(2026, 11, 24, 15, 0, tzinfo=ZoneInfo("UTC")),
            datetime(2026, 11, 24, 15, 0, tzinfo=ZoneInfo("Atlantic/Azores")),
            ("2026-11-24T15:00:00Z", "2026-11-24T15:00:00-01:00"),
        ),
        # Clocks go back, so that the end is earlier on the clock's face.
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
            datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1),
            ("2026-10-25T02:30:00+02:00", "2026-10-25T02:15:00+01:00"),
        ),
        (
            datetime(2026, 3, 29, 1, 59, tzinfo=BERLIN),
            datetime(2026, 3, 29, 3, 0, tzinfo=BERLIN),
            ("2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"),
        ),
        (
            datetime(1, 1, 1, tzinfo=zone(hours=14)),
            datetime(1, 1, 1, 0, 1, tzinfo=zone(hours=14)),
            ("0001-01-01T00:00:00+14:00", "0001-01-01T00:01:00+14:00"),
        ),
        (
            datetime(9999, 12, 31, 23, 58, tzinfo=zone(hours=-12)),
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=zone(hours=-12)),
            ("9999-12-31T23:58:00-12:00", "9999-12-31T23:59:59-12:00"),
        ),
    ],
)
async def test_sends_times_with_their_offset(
    start: datetime, end: datetime, sent: tuple[str, str], gong: GongClient, fake_gong: FakeGong
) -> None:
    """ISO-8601 with `Z` or an offset, without fractions, from the first year to the last."""
    await gong.meetings.update("42", update(start_time=start, end_time=end))

    assert (fake_gong.received[0].json["startTime"], fake_gong.received[0].json["endTime"]) == sent


EMAILS: dict[str, Callable[[str], object]] = {
    "organizer_email": lambda bad: update(organizer_email=bad),
    "email": lambda bad: Invitee(email=bad),
}


@pytest.mark.parametrize("field", EMAILS)
@pytest.mark.parametrize(
    "bad",
    [
        "", "dana", "@", "dana@", "@example.com", "dana@@example.com", "dana@b@example.com",
        " dana@example.com", "dana@example.com ", "da na@example.com", "dana@exam ple.com",
        "dana@example.com\n", "dana@example.com\r\nBcc: eve@example.com", "da\x00na@example.com",
        "dana\t@example.com", "dana@example.com\x7f", "dana@example.com\x85",
        "da\u00a0na@example.com", "dana@example\u2028.com", "dana@example\u3000.com",
        "\ud800@example.com", 7, b"dana@example.com",
        # What cannot be seen.
        "dana\u200b@example.com", "\ufeffdana@example.com", "da\u00adna@example.com",
        "dana@example.com\u200e", "dana\u202e@example.com", "dana@exa\u2060mple.com",
        "dana\u3164@example.com", "dana\ufe0f@example.com", "dana\u2800@example.com",
        "dana\u034f@example.com", "dana\ue000@example.com", "dana\uffff@example.com",
        # What belongs around addresses.
        "mailto:dana@example.com", "MAILTO:dana@example.com", "dana@example.com;",
        ",dana@example.com",
        "<dana@example.com>", "dana@example.com>", "Dana<dana@example.com>", '"dana@example.com"',
        "'dana@example.com'", "\u201cdana@example.com\u201d", "o\u2019neil@example.com",
        "dana@example.com,lee@example.com", "dana@example.com;lee@example.com",
        "dana(work)@example.com", "dana@example.com(work)",
        "dana@example.com\uff1b", "dana\uff20example.com",
        "dana@[example.com",
        "dana@example.com?subject=x", "dana@example.com/", "da\\na@example.com",
        'da"na@example.com',
        # Parts that are missing, dots and hyphens in wrong places, and lengths.
        ".dana@example.com", "dana.@example.com", "da..na@example.com", "dana@.example.com",
        "dana@example.com.", "dana@example..com", "dana@-example.com", "dana@example-.com",
        "dana@exam_ple.com", "dana@example\uff0ecom", "dana@\u0301example.com", '""@example.com',
        "d" * 65 + "@example.com", "dana@" + "e" * 64, "\u00e4" * 33 + "@example.com",
        "dana@" + "e.example." * 25 + "com", "dana@" + "\u00fc\u00e4" * 30,
    ],
    ids=ascii,
)  # fmt: skip
def test_refuses_what_is_no_email(field: str, bad: Any) -> None:
    """Nothing that no mail system takes, and nothing that only surrounds an address."""
    with pytest.raises(ValidationError, match=rf"^{field}: ") as caught:
        EMAILS[field](bad)

    assert str(bad) not in str(caught.value) or len(bad) < 2, "the address is not shown"


@pytest.mark.parametrize(
    "email",
    [
        "dana@example.com",
        "Dana.O'Neil+gong@EXAMPLE.com",
        "dänä@example.com",
        "用户@例え.jp",
        "dana@münchen.example",
        f"{'d' * 64}@{'e' * 63}.example",
        "dana@localhost",
        '"dana"@example.com',
        "dana@[192.0.2.1]",
        "dana@[IPv6:2001:db8::1]",
        "_dana-@xn--mnchen-3ya.example",
        "{!#$%&'*+/=?^_`|}~-@example.com",
        '"da..na."@example.com',
        "d\u0430na@example.com",
        "\u0434\u0430\u043d\u0430@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444",
        "e\u0301@l\u00b7l.example",
        "\U0001f600@example.com",
    ],
)
async def test_sends_a_plausible_email_as_it_is(
    email: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Case and scripts, look-alikes among them, are Gong's business: nothing is changed."""
    await gong.meetings.update(
        "42", update(organizer_email=email, invitees=[Invitee(email=email)] * 2)
    )

    sent = fake_gong.received[0].json
    assert sent["organizerEmail"] == email
    assert sent["invitees"] == [{"email": email}] * 2


async def test_refuses_a_bad_email_before_anything_is_sent(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """Emails that are plain arguments are checked too, and named by their place."""
    with pytest.raises(ValidationError, match=r"^organizer_email: "):
        await gong.meetings.delete("42", organizer_email="dana")
    with pytest.raises(ValidationError, match=r"^emails\[1\]: "):
        await gong.meetings.integration_status(["dana@example.com", "lee"])
    with pytest.raises(ValidationError, match=r"^emails: .*one string"):
        await gong.meetings.integration_status("dana@example.com")
    for wrong in (None, 5, b"dana@example.com", ["dana@example.com;"], ["mailto:dana@example.com"]):
        with pytest.raises(ValidationError, match=r"^emails"):
            await gong.meetings.integration_status(wrong)  # type: ignore[arg-type]

    assert fake_gong.received_count == 0


@pytest.mark.parametrize(
    "title",
    [
        "",
        " ",
        "\x00\x01\x1b[31m\x7f\x9b",
        "line\r\nbreak\ttab\u2028\u2029",
        "\u202egnilevel\u202c \u200b\ufeff",
        '=HYPERLINK("https://evil.example")',
        '\\"</script>\u0085',
        "日本語 🎉 \U0010ffff \ufffe",
        "e\u0301 ≠ é",
        "x" * 1_000_000,
        "ü" * 1_000_000,
    ],
    ids=lambda title: ascii(title)[:20],
)
async def test_sends_any_title_exactly(title: str, gong: GongClient, fake_gong: FakeGong) -> None:
    """Control characters, bidi overrides and a megabyte: what is given is what arrives."""
    await gong.meetings.update("42", update(title=title))

    assert fake_gong.received[0].json["title"] == title


@pytest.mark.parametrize("field", ["title", "external_id", "provider"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("ab\ud800", "position 2 is a lone surrogate"),
        ("\udfff", "position 0 is a lone surrogate"),
        (b"title", "expected text, got bytes"),
        (7, "expected text, got int"),
        (float("nan"), "expected text, got float"),
    ],
)
def test_refuses_text_that_cannot_be_sent(field: str, value: object, problem: str) -> None:
    """Lone surrogates cannot be written as UTF-8, and other types are no text."""
    with pytest.raises(ValidationError, match=rf"^{field}: .*{problem}"):
        update(**{field: value})


@pytest.mark.parametrize("field", ["display_name", "first_name", "last_name"])
def test_refuses_names_that_cannot_be_sent(field: str) -> None:
    """The names of invitees are checked like any text."""
    with pytest.raises(ValidationError, match=rf"^{field}: "):
        Invitee(email="lee@customer.example", **{field: "\ud800"})


@pytest.mark.parametrize(
    "invitee",
    [
        {},
        {"display_name": ""},
        {"first_name": "", "last_name": ""},
        {"display_name": " \t\u00a0\u200b\x00", "first_name": "\u3000"},
    ],
)
def test_refuses_an_invitee_without_a_name_or_address(invitee: dict[str, str]) -> None:
    """An invitee without email needs a name."""
    with pytest.raises(ValidationError, match=r"^email: an invitee needs"):
        Invitee(**invitee)


@pytest.mark.parametrize(
    ("invitees", "problem"),
    [
        ("lee@customer.example", r"^invitees: expected a list of Invitee, got str"),
        (b"lee", r"^invitees: expected a list of Invitee, got bytes"),
        (None, r"^invitees: expected a list of Invitee, got NoneType"),
        (Invitee(email="a@b"), r"^invitees: expected a list of Invitee, got Invitee"),
        ([Invitee(email="a@b"), "lee@b"], r"^invitees\[1\]: expected an Invitee, got str"),
        ([{"email": "lee@b"}], r"^invitees\[0\]: expected an Invitee, got dict"),
    ],
)
def test_refuses_invitees_of_another_kind(invitees: object, problem: str) -> None:
    """The message names the place in the list."""
    with pytest.raises(ValidationError, match=problem):
        update(invitees=invitees)


def test_takes_invitees_from_any_iterable() -> None:
    """A generator is read once, and the meeting does not change when its source does."""

    def people() -> Iterator[Invitee]:
        yield Invitee(email="a@example.com")
        yield Invitee(first_name="Lee")

    assert update(invitees=people()).invitees == (
        Invitee(email="a@example.com"),
        Invitee(first_name="Lee"),
    )


@pytest.mark.parametrize("operation", ["update", "create"])
@pytest.mark.parametrize("body", [None, {}, "42", 7])
async def test_refuses_anything_but_the_model(
    operation: str, body: Any, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A dict is not a meeting, and a new meeting is not an update."""
    call: dict[str, Callable[[], Any]] = {
        "update": lambda: gong.meetings.update("42", body),
        "create": lambda: gong.meetings.create(body),
    }
    with pytest.raises(ValidationError, match="expected a "):
        await call[operation]()

    assert fake_gong.received_count == 0


async def test_refuses_a_new_meeting_as_an_update(gong: GongClient, fake_gong: FakeGong) -> None:
    """The two look alike and mean different things."""
    new = NewMeeting(start_time=START, end_time=START + HOUR, organizer_email="a@b", invitees=[])

    with pytest.raises(ValidationError, match=r"^update: expected a MeetingUpdate, got NewMeeting"):
        await gong.meetings.update("42", new)  # type: ignore[arg-type]

    assert fake_gong.received_count == 0


def test_a_change_refuses_anything_but_an_update() -> None:
    """A line of a bulk update is checked where it is made, not when its turn comes."""
    with pytest.raises(ValidationError, match=r"^update: expected a MeetingUpdate, got dict"):
        MeetingChange(meeting_id="42", update={"title": "x"})  # type: ignore[arg-type]


def test_models_do_not_change() -> None:
    """What was checked stays as it was checked."""
    meeting = update()

    with pytest.raises(FrozenInstanceError):
        meeting.title = "other"  # type: ignore[misc]


def test_models_can_be_compared_and_hashed() -> None:
    """Equal meetings are one entry of a set."""
    assert len({update(), update(), update(title="other")}) == 2


def test_repr_shows_no_invitees() -> None:
    """The people of a meeting are not in its repr, which ends up in logs."""
    assert "customer.example" not in repr(update())


def work_for(invitees: int) -> int:
    """Count the calls that it takes to make and to write a meeting."""
    people = [Invitee(email=f"person{number}@example.com") for number in range(invitees)]
    converter = make_converter()
    to_json(converter, update())  # its code is generated at the first use
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        to_json(converter, update(invitees=people))
    finally:
        sys.setprofile(None)
    return calls


def test_ten_times_the_invitees_are_ten_times_the_work() -> None:
    """10,000 invitees take linear work."""
    assert work_for(10_000) < 11 * work_for(1_000)


async def test_sends_10_000_invitees_in_one_request(gong: GongClient, fake_gong: FakeGong) -> None:
    """A meeting is never split."""
    people = [Invitee(email=f"person{number}@example.com") for number in range(10_000)]

    await gong.meetings.update("42", update(invitees=people))

    assert fake_gong.received_count == 1
    assert len(fake_gong.received[0].json["invitees"]) == 10_000
    assert fake_gong.received[0].json["invitees"][-1] == {"email": "person9999@example.com"}
