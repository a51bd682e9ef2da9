"""Times: an offset that is in use, whatever library made the `datetime`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import pytest

from gong_async import ConfigurationError, GongClient, Limits, MeetingUpdate, ValidationError
from gong_async.inputs.reader import InputError, read_changes
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
        "invitees": [],
    }
    return MeetingUpdate(**{**fine, **changes})


class PytzZone(tzinfo):
    """A zone as pytz makes them: one object for each offset, the first being local mean time."""

    def __init__(self, zone: str, offset: timedelta, name: str) -> None:
        self.zone, self.offset, self.name = zone, offset, name

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Return the offset of this object, whatever the date."""
        return self.offset

    def dst(self, _: datetime | None) -> timedelta:
        """Return that of this object."""
        return timedelta()

    def tzname(self, _: datetime | None) -> str:
        """Return that of this object."""
        return self.name

    def fromutc(self, utc: datetime) -> datetime:
        """Return the time of the right object for that instant."""
        there = utc.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone))
        offset = there.utcoffset()
        assert offset is not None
        return there.replace(tzinfo=PytzZone(self.zone, offset, there.tzname() or ""), fold=0)


def pytz_zone(zone: str, name: str, **offset: float) -> PytzZone:
    """Return one object of a zone of pytz."""
    return PytzZone(zone, timedelta(**offset), name)


class Minimal(tzinfo):
    """A zone of the caller's own, which answers only what it must."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Half past."""
        return timedelta(hours=5, minutes=30)

    def _unknown(self, _: datetime | None) -> NoReturn:
        raise NotImplementedError

    dst = tzname = _unknown


class Broken(Minimal):
    """A zone that fails."""

    def utcoffset(self, _: datetime | None) -> NoReturn:
        """Fail."""
        raise RuntimeError


class NotATime(datetime):
    """What pandas has for a missing time: a `datetime` that answers nothing."""

    def utcoffset(self) -> NoReturn:
        """Fail as pandas does."""
        msg = "NaTType does not support utcoffset"
        raise ValueError(msg)


class Timestamp(datetime):
    """A time of another library, as those of pandas: a `datetime`, and more."""

    nanosecond = 7

    def __sub__(self, other: Any) -> NoReturn:
        """Fail, as pandas does for times that are far apart."""
        raise OverflowError

    __rsub__ = __sub__


def named(value: object) -> str:
    """Return an id for a parameter, the same in all workers."""
    shown = repr(value)
    return type(value).__name__ if " at 0x" in shown else shown


def at(zone: tzinfo, *wall: int, fold: int = 0) -> datetime:
    """Return a time of a zone."""
    year, month, day, hour, minute = wall
    return datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold)


@pytest.mark.parametrize("field", ["start_time", "end_time"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        # pytz rounds local mean time to whole minutes.
        (pytz_zone("Europe/Berlin", "LMT", minutes=53), r"\+00:53 .*ZoneInfo\('Europe/Berlin'\)"),
        (pytz_zone("America/New_York", "LMT", hours=-4, minutes=-56), r"-04:56 .*localize"),
        (pytz_zone("Africa/Ndjamena", "LMT", hours=1), r"\+01:00 is local mean time"),
        (pytz_zone("Asia/Tokyo", "LMT", hours=9, minutes=18, seconds=59), "whole number of min"),
        # pytz leaves the offset alone when the month is replaced.
        (pytz_zone("Europe/Berlin", "CEST", hours=2), r"offset \+01:00, not \+02:00; .*localize"),
        (timezone(timedelta(minutes=53)), r"\+00:53 is not in use anywhere"),
        (timezone(-timedelta(hours=4, minutes=56)), r"-04:56 is not in use anywhere"),
        (timezone(timedelta(minutes=1)), r"\+00:01 is not in use anywhere"),
        (timezone(timedelta(hours=14, minutes=15)), r"\+14:15 is beyond 14 hours"),
        (timezone(-timedelta(hours=23, minutes=59)), r"-23:59 is beyond 14 hours"),
        (Broken(), "expected a time with a UTC offset, got datetime"),
    ],
    ids=named,
)
def test_refuses_an_offset_that_no_clock_shows(field: str, value: tzinfo, problem: str) -> None:
    """Such an offset is an accident, minutes or an hour off; the message has the right spelling."""
    with pytest.raises(ValidationError, match=rf"^{field}: .*{problem}"):
        update(**{field: at(value, 2026, 11, 24, 15, 0)})


@pytest.mark.parametrize(
    "zone",
    [
        pytz_zone("Europe/Berlin", "CET", hours=1),
        ZoneInfo("Asia/Kathmandu"),
        ZoneInfo("Pacific/Kiritimati"),
        timezone(-timedelta(hours=12)),
        timezone(timedelta(hours=14)),
        Minimal(),
    ],
    ids=named,
)
def test_takes_every_offset_in_use(zone: tzinfo) -> None:
    """Whole quarters of an hour up to 14 hours, from whatever library."""
    start = at(zone, 2026, 11, 24, 15, 0)

    assert update(start_time=start, end_time=start + HOUR).start_time is start


@pytest.mark.parametrize("field", ["start_time", "end_time"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (NotATime(1, 1, 1), "NotATime"),
        (NotATime(2026, 11, 24, tzinfo=UTC), "NotATime"),
        (date(2026, 11, 24), "date"),
        ("2026-11-24T15:00:00Z", "str"),
        (HOUR, "timedelta"),
        (1.5, "float"),
    ],
)
def test_refuses_what_is_no_time(field: str, value: object, kind: str) -> None:
    """Also what is a `datetime` by name only, as a missing time of pandas is."""
    with pytest.raises(ValidationError, match=rf"^{field}: expected a .* got {kind}$") as caught:
        update(**{field: value})

    assert caught.value.field == field


async def test_takes_a_time_of_another_library(gong: GongClient, fake_gong: FakeGong) -> None:
    """What `datetime` knows of it is sent."""
    start = Timestamp(2026, 11, 24, 15, 0, tzinfo=BERLIN)

    await gong.meetings.update("42", update(start_time=start, end_time=start + HOUR))

    assert fake_gong.received[0].json["startTime"] == "2026-11-24T15:00:00+01:00"
    with pytest.raises(ValidationError, match=r"^end_time: the meeting must end after it starts"):
        update(start_time=start, end_time=Timestamp(2026, 11, 24, 15, 0, 0, 9, tzinfo=BERLIN))


GAPS = [
    at(BERLIN, 2026, 3, 29, 2, 0),
    at(BERLIN, 2026, 3, 29, 2, 30),
    at(BERLIN, 2026, 3, 29, 2, 59, fold=1),
    at(ZoneInfo("Europe/London"), 2026, 3, 29, 1, 30),
    at(ZoneInfo("America/New_York"), 2026, 3, 8, 2, 30),
    at(ZoneInfo("Australia/Lord_Howe"), 2026, 10, 4, 2, 15),
    at(ZoneInfo("Pacific/Apia"), 2011, 12, 30, 12, 0),
    at(pytz_zone("Europe/Berlin", "CET", hours=1), 2026, 3, 29, 2, 30),
    at(pytz_zone("Europe/Berlin", "CEST", hours=2), 2026, 3, 29, 2, 30),
]
"""Times that no clock ever shows, the whole 30th of December in Samoa among them."""


@pytest.mark.parametrize("time", GAPS, ids=str)
def test_refuses_a_time_that_does_not_exist(time: datetime) -> None:
    """At either end, and before anything is said of the order of both."""
    problem = f"{time:%Y-%m-%d %H:%M}:00 does not exist in [A-Z]"
    with pytest.raises(ValidationError, match=f"^start_time: {problem}"):
        update(start_time=time, end_time=time + HOUR)
    with pytest.raises(ValidationError, match=f"^end_time: {problem}"):
        update(start_time=time.astimezone(UTC) - HOUR, end_time=time)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (at(BERLIN, 2026, 3, 29, 1, 59), at(BERLIN, 2026, 3, 29, 3, 0)),
        (at(BERLIN, 2026, 10, 25, 2, 30), at(BERLIN, 2026, 10, 25, 2, 30, fold=1)),
        (at(BERLIN, 2026, 7, 1, 2, 30, fold=1), at(BERLIN, 2026, 7, 1, 2, 31)),
        (
            at(ZoneInfo("America/New_York"), 9999, 12, 31, 22, 30),
            at(ZoneInfo("America/New_York"), 9999, 12, 31, 23, 30),
        ),
    ],
    ids=str,
)
def test_takes_times_beside_a_gap_and_those_that_come_twice(start: datetime, end: datetime) -> None:
    """A time that comes twice is the first of the two, and the second with `fold=1`."""
    assert update(start_time=start, end_time=end).end_time is end


def test_shows_the_offsets_where_a_meeting_ends_before_it_starts() -> None:
    """When the clock is set back in between, its face says the opposite."""
    start, end = at(BERLIN, 2026, 10, 25, 2, 15, fold=1), at(BERLIN, 2026, 10, 25, 2, 45)

    with pytest.raises(ValidationError, match=r"^end_time: the meeting must end.*\+01:00.*\+02:00"):
        update(start_time=start, end_time=end)


@pytest.mark.parametrize(
    "resets",
    [NotATime(1, 1, 1), date(2026, 11, 24), "2026-11-24", GAPS[0], START.replace(tzinfo=None)],
)
def test_limits_take_the_same_times(resets: Any) -> None:
    """The begin of Gong's day is a time like any other."""
    with pytest.raises(ConfigurationError, match=r"^Limits.day_resets: "):
        Limits(day_resets=resets)


HEADER = "meeting_id,start_time,end_time,organizer_email,invitees\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-11-24T15:00:00+00:53", "not in use anywhere"),
        ("2026-11-24T15:00:00-14:30", "beyond 14 hours"),
        ("2026-11-24T15:00:00+24:00", "beyond 14 hours"),
        ("2026-11-24T24:00:00Z", "not an ISO-8601 time"),
        ("2026-11-24\u200b15:00:00Z", "not an ISO-8601 time"),
        ("2026-11-24_15:00:00Z", "not an ISO-8601 time"),
        ("2026-11-24T15:00:00Z[Europe/Berlin]", "not an ISO-8601 time"),
        ("٢٠٢٦-11-24T15:00:00Z", "not an ISO-8601 time"),
        ("NaT", "not an ISO-8601 time"),
    ],
    ids=ascii,
)
def test_files_take_the_same_times(tmp_path: Path, text: str, problem: str) -> None:
    """A text is held against the same rules, on every version of Python."""
    file = tmp_path / "m.csv"
    file.write_text(f"{HEADER}42,{text},2026-11-24T16:00:00Z,dana@example.com,\n")

    with pytest.raises(InputError) as caught:
        read_changes(file).check()

    (finding,) = caught.value.findings
    assert finding.field == "start_time"
    assert problem in finding.problem


@pytest.mark.parametrize(
    "text", ["20261124T150000Z", "2026-11-24t15:00:00z", "2026-11-24 15:00+00", "2026-W48-2T15:00Z"]
)
def test_files_take_every_iso_8601_form(tmp_path: Path, text: str) -> None:
    """With the offset that they all must have."""
    file = tmp_path / "m.csv"
    file.write_text(f"{HEADER}42,{text},2026-11-24T16:00:00Z,dana@example.com,\n")

    assert next(iter(read_changes(file))).update.start_time == START
