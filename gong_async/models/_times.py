"""Validation of times: aware, with an offset that is really in use in their zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

EXAMPLE_TIME = "2026-11-24T15:00:00+01:00"

ISO_8601 = re.compile(
    r"[0-9]{4}(?:-?[0-9]{2}-?[0-9]{2}|-?W[0-9]{2}-?[0-9])"
    r"(?:[T ](?:[01][0-9]|2[0-3])(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r"(?:Z|[+-][0-9:.]+)?)?",
    re.ASCII,
)
"""Narrower than `datetime.fromisoformat`: that takes any character before the hour, and newer
Pythons take an hour 24. It reads 15.30, which is half past three in some countries, as 0.3 seconds
past three."""

_BIGQUERY = " UTC"
"""The suffix of times that BigQuery exports."""
_NO_ZONE = "the time has no zone; give it one, for example tzinfo=ZoneInfo('Europe/Berlin')"
_NOTHING = timedelta()
_MINUTE = timedelta(minutes=1)
_QUARTER = timedelta(minutes=15)
_FURTHEST = timedelta(hours=14)
"""As in XML Schema. The offsets in use are from -12:00 to +14:00, all whole quarters of an hour."""
_MOST_SHOWN = 40
_LOCAL_MEAN_TIME = "LMT"
"""What zones are called before their first standard time. A pytz zone is in it that was given as
`tzinfo`, whatever the date."""


def parse_time(text: str) -> datetime | str:
    """Parse an ISO-8601 text with an offset; return the time, or the problem as text."""
    text = text.strip().upper()
    if text.endswith(_BIGQUERY):
        text = text.removesuffix(_BIGQUERY) + "Z"
    try:
        found = datetime.fromisoformat(text) if ISO_8601.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        return f"not an ISO-8601 time; expected text such as {EXAMPLE_TIME}"
    if found.tzinfo is None:
        return f"no UTC offset; end it with Z or an offset, as in {EXAMPLE_TIME}"
    return time_problem(found) or found


def time_problem(value: object) -> str:
    """Return why a time cannot be sent; an empty string if it can."""
    if not isinstance(value, datetime):
        return f"expected a datetime with a zone, got {type(value).__name__}"
    if type(value) is datetime and value.tzinfo is UTC:
        return ""
    try:
        zone, offset = value.tzinfo, value.utcoffset()
        # Of a subclass, such as a Timestamp of pandas, only what `datetime` knows is sent.
        wall = datetime(  # noqa: DTZ001 - what the clock shows, in whatever zone
            value.year, value.month, value.day,
            value.hour, value.minute, value.second, value.microsecond,
        )  # fmt: skip
    except Exception:  # noqa: BLE001 - foreign code, for example pandas' NaT
        return f"expected a time with a UTC offset, got {type(value).__name__}"
    if zone is None or offset is None:
        return _NO_ZONE
    return _offset_problem(zone, offset, value) or _clock_problem(zone, wall, offset)


def _offset_problem(zone: tzinfo, offset: timedelta, value: datetime) -> str:
    """Return why this offset is not in use anywhere."""
    if offset % _MINUTE:
        problem = "is not a whole number of minutes"
    elif abs(offset) > _FURTHEST:
        return f"the UTC offset {_shown(offset)} is beyond 14 hours"
    elif offset % _QUARTER:
        problem = "is not in use anywhere: probably local mean time, from before time zones"
    elif _is_local_mean_time(zone, value):
        problem = "is local mean time, from before time zones"
    else:
        return ""
    if type(zone) is timezone:
        advice = f"a pytz zone given as tzinfo= writes this; {_spellings('Europe/Berlin')}"
    else:
        advice = _spellings(_key(zone))
    return f"the UTC offset {_shown(offset)} {problem}; {advice}"


def _is_local_mean_time(zone: tzinfo, value: datetime) -> bool:
    if type(zone) is timezone:
        return False
    try:
        return value.tzname() == _LOCAL_MEAN_TIME
    except Exception:  # noqa: BLE001 - a custom tzinfo need not have names
        return False


def _clock_problem(zone: tzinfo, wall: datetime, offset: timedelta) -> str:
    """Return why a time with this offset does not exist in its zone."""
    if type(zone) is timezone:
        return ""
    try:
        shown, right = _clock(zone, wall - offset)
        if shown == wall:
            return ""
        exists = right is not None and _clock(zone, wall - right)[0] == wall
    except Exception:  # noqa: BLE001 - the calendar's ends, or a broken tzinfo
        return ""
    where = _key(zone) or "its zone"
    if exists and right is not None:
        problem = f"{wall} in {where} has the UTC offset {_shown(right)}, not {_shown(offset)}"
        return f"{problem}; {_spellings(_key(zone))}; after arithmetic, call normalize"
    return f"{wall} does not exist in {where}: the clocks are set forward over it"


def _clock(zone: tzinfo, utc: datetime) -> tuple[datetime, timedelta | None]:
    """Return the local time and UTC offset of a zone at an instant."""
    there = zone.fromutc(utc.replace(tzinfo=zone))
    return there.replace(tzinfo=None, fold=0), there.utcoffset()


def _spellings(key: str) -> str:
    key = key or "Europe/Berlin"
    return f"write tzinfo=zoneinfo.ZoneInfo({key!r}) or pytz.timezone({key!r}).localize(...)"


def _key(zone: tzinfo) -> str:
    """Return the key of a `zoneinfo` or pytz zone."""
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return key[:_MOST_SHOWN] if isinstance(key, str) and key.isascii() and key.isprintable() else ""


def _shown(offset: timedelta) -> str:
    return f"{'-' if offset < _NOTHING else '+'}{abs(offset)!s:0>8}".removesuffix(":00")
