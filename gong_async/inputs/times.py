"""The times of an input file: with an offset, or local times of one zone, in one spelling."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import NoReturn
from zoneinfo import ZoneInfo, available_timezones

from attrs import field, frozen

from gong_async.errors import ConfigurationError, ValidationError
from gong_async.models._times import EXAMPLE_TIME, ISO_8601, parse_time, time_problem

_ISO_LIKE = re.compile(
    r"([0-9]{4})([-/.]?)([0-9]{1,2})\2([0-9]{1,2})(?:T|[ ]+)([0-9].*)", re.ASCII | re.IGNORECASE
)
"""Year, month and day in this order, which no country writes in another one."""
_CLOCK = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?[ ]?([AP]M)?"
    r"[ ]?(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII | re.IGNORECASE,
)
_DAY_ONLY = re.compile(r"[0-9]{4}(?:([-/.]?)[0-9]{1,2}\1[0-9]{1,2}|-?W[0-9-]+)", re.ASCII)
_NUMERIC_DATE = re.compile(
    r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(?:,?[ ]+([0-9].*))?",
    re.ASCII | re.IGNORECASE,
)
_HARMLESS = re.compile(r"[0-9][0-9 .:/+,TZAPMUCW-]{0,39}", re.ASCII | re.IGNORECASE)
"""A text that can only be a time: it may be repeated in a finding."""
_NOON = 12
_YEAR_BEGINS = 20
"""The least number of two digits before month and day that may be a year."""
_PROBE = datetime(2026, 11, 24, 15, 45, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_YEARS = frozenset({"%Y", "%y", "%G", "%c", "%x"})
_WITHOUT_SUMMER = frozenset({"EST", "MST", "HST"})
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})
_DIRECTIVE = re.compile(r"%-?.")
_ZONE_AS_TEXT = re.compile(r"(?<![a-z])(?:Z|UTC|GMT)$|[+-][0-9]{2}:?[0-9]{2}$", re.IGNORECASE)
_TOUCHING = re.compile(r"(?:%[dmyYHIMSj]){2,}")
"""Numbers without anything between them."""
_EXAMPLE_ZONE = "Europe/Berlin"


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    if name.upper() in _WITHOUT_SUMMER:
        problem = f"{name} has no daylight saving time; name a place, America/New_York for example"
        raise ConfigurationError(problem)
    if name.startswith(("Etc/GMT+", "Etc/GMT-")) and name[8:] != "0":
        sign = "-" if name[7] == "+" else "+"
        problem = (
            f"{name} is UTC{sign}{name[8:]}, not what it seems; name a place, or write offsets"
        )
        raise ConfigurationError(problem)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        pass
    # Of `GMT+1` and `PST`, the nearest names are other zones.
    places = (each for each in available_timezones() if "/" in each or each == "UTC")
    known = {each.lower(): each for each in places if not each.startswith("Etc/")}
    if not known:
        problem = "this system has no time zones; install them: pip install tzdata"
    else:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        example = known[near[0]] if near else _EXAMPLE_ZONE
        problem = f"there is no time zone {name!a}; did you mean {example}?"
    raise ConfigurationError(problem)


def _checked_format(text: str | None) -> str | None:
    """Return a format that loses nothing of a time to the minute."""
    if text is None:
        return None
    names = _DIRECTIVE.findall(text)
    again = None
    if not _YEARS.isdisjoint(names):  # Python 3.13 warns of a day without a year
        with suppress(ValueError):
            again = datetime.strptime(_PROBE.strftime(text), text)  # noqa: DTZ007 - see below
    is_whole = again is not None and again.replace(second=0, tzinfo=UTC) == _PROBE
    # `strptime` reads %Z, and %p beside %H, and then forgets them.
    if "%Z" in names or {"%H", "%p"} <= set(names) or not is_whole:
        problem = f"the date format {text!a} is not one of date, hour and minute"
        example = "'%d.%m.%Y %H:%M', or '%m/%d/%Y %I:%M %p' with AM and PM"
        raise ConfigurationError(f"{problem}; an example is {example}, and %z is an offset")
    return text


@frozen
class TimeReader:
    """Reads the times of one file."""

    zone: ZoneInfo | None = field(default=None, converter=_zone)
    """What times without an offset are in."""
    date_format: str | None = field(default=None, converter=_checked_format)
    """How texts are written that are not ISO-8601, in the language of `strptime`."""

    def __attrs_post_init__(self) -> None:
        if self.date_format is None or (self.zone is not None and self.zone.key in _UTC):
            return
        literals = _DIRECTIVE.sub(" ", self.date_format.replace("%z", "")).strip()
        if "%z" not in self.date_format and (found := _ZONE_AS_TEXT.search(literals)):
            problem = f"the date format {self.date_format!a} passes over the offset {found[0]}"
            raise ConfigurationError(f"{problem}; write %z for it, or use the time zone UTC")

    def read(self, value: object) -> datetime:
        """Return the time that a cell stands for.

        Raises:
            ValidationError: it stands for none, or for two.
        """
        match value:
            case str():
                return self._from_text(value.strip())
            case datetime():
                return self._localized(value)
            case date():
                _refuse("a date without a time of day; format the cell as date and time")
            case time() | timedelta():
                _refuse("a time of day without a date; format the cell as date and time")
            case float() | int() if not isinstance(value, bool):
                _refuse("a number; format the cell as date and time")
        return _refuse(f"expected text such as {EXAMPLE_TIME}")

    def _from_text(self, text: str) -> datetime:
        found = parse_time(text)
        if self.date_format is not None:
            in_format = self._in_format(self.date_format, text)
            if in_format is not None:
                return self._localized(in_format)
            if isinstance(found, str):
                _refuse(f"{_shown(text)}not of the format {self.date_format}")
        if not isinstance(found, str):
            return found
        if _DAY_ONLY.fullmatch(text):
            _refuse(f"{_shown(text)}a date with no time of day and no UTC offset; {_ADVICE}")
        read = _iso_like(text)
        if read is not None:
            return self._localized(read)
        if not found.startswith("not "):
            _refuse(found)
        return _refuse(_reading_of(text) or f"{_shown(text)}not an ISO-8601 time; {_ADVICE}")

    def _in_format(self, date_format: str, text: str) -> datetime | None:
        try:
            found = datetime.strptime(text, date_format)  # noqa: DTZ007 - localized by the caller
        except ValueError:
            return None
        if any(found.strftime(run) not in text for run in _TOUCHING.findall(date_format)):
            _refuse(f"{_shown(text)}without leading zeros, so that it has several meanings")
        has_weekday = "%a" in date_format or "%A" in date_format
        if has_weekday and f"{found:%a}".lower() not in text.lower():
            _refuse(f"the date is a {found:%A}, and the text has another day of the week")
        return found

    def _localized(self, wall: datetime) -> datetime:
        """Return a local time with its offset; refuse one that does not exist, or comes twice."""
        if wall.tzinfo is not None:
            if problem := time_problem(wall):
                _refuse(problem)
            return wall
        zone = self.zone
        if zone is None:
            _refuse(
                f"{wall} has no UTC offset; name the file's time zone (--timezone, timezone=), "
                f"or write {EXAMPLE_TIME}"
            )
        first = wall.replace(tzinfo=zone).utcoffset()
        second = wall.replace(tzinfo=zone, fold=1).utcoffset()
        if first is None or second is None:  # no zone of `zoneinfo` is without an offset
            _refuse(f"{wall} has no UTC offset in {zone.key}")
        if first != second:
            _refuse(_transition(wall, zone, first, second))
        found = wall.replace(tzinfo=timezone(first))
        if time_problem(found):
            _refuse(f"{wall} is from before there was standard time in {zone.key}")
        return found


_ADVICE = f"write {EXAMPLE_TIME}, or name the format (--date-format, date_format=)"


def _refuse(problem: str) -> NoReturn:
    raise ValidationError("", problem)


def _shown(text: str) -> str:
    return f"{text} is " if _HARMLESS.fullmatch(text) else ""


def _iso_like(text: str) -> datetime | None:
    """Return the time of a text that begins with year, month and day; None if there is none."""
    if ISO_8601.fullmatch(text.upper()):
        with suppress(ValueError):
            return datetime.fromisoformat(text.upper())  # with compact forms, and weeks
    found = _ISO_LIKE.fullmatch(text)
    clock = _CLOCK.fullmatch(found[5]) if found else None
    if found is None or clock is None or not found[2]:
        return None
    hour = int(clock[1])
    if clock[5]:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + _NOON * (clock[5].upper() == "PM")
    fraction = int((clock[4] or "0").ljust(6, "0")[:6])
    offset = _offset(clock[6])
    try:
        return datetime(
            int(found[1]), int(found[3]), int(found[4]),
            hour, int(clock[2]), int(clock[3] or 0), fraction, offset,
        )  # fmt: skip
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    amount = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    try:
        return timezone(-amount if text[0] == "-" else amount)
    except ValueError:
        _refuse(f"the UTC offset {text} is beyond 14 hours")


def _reading_of(text: str) -> str:
    """Return the dates that a text such as 01/02/2026 may mean, and the formats to name."""
    found = _NUMERIC_DATE.fullmatch(text)
    if found is None:
        return ""
    first, mark, second, year, clock = found.groups()
    full = int(year) + (0 if len(year) > 2 else 2000)  # noqa: PLR2004
    years = "%Y" if len(year) > 2 else "%y"  # noqa: PLR2004
    behind = _clock_format(clock)
    readings: list[tuple[str, str]] = []
    orders = [
        (full, second, first, f"%d{mark}%m{mark}{years}"),
        (full, first, second, f"%m{mark}%d{mark}{years}"),
    ]
    if len(year) == 2 and int(first) >= _YEAR_BEGINS:  # noqa: PLR2004
        orders.append((2000 + int(first), second, year, f"%y{mark}%m{mark}%d"))
    for of_year, month, day, order in orders:
        try:
            meant = date(of_year, int(month), int(day))
        except ValueError:
            continue
        readings.append((f"{meant.day} {meant:%B} {meant.year}", order + behind))
    if not readings:
        return ""
    meanings = dict.fromkeys(meaning for meaning, _ in readings)
    formats = " or ".join(f"'{pattern}'" for _, pattern in readings)
    sure = "is" if len(meanings) == 1 else "may be"
    advice = f"name the format (--date-format, date_format=): {formats}"
    return f"{text} {sure} {' or '.join(meanings)}; {advice}"


def _clock_format(clock: str | None) -> str:
    if clock is None:
        return " %H:%M"
    half = clock.upper().endswith(("AM", "PM"))
    pattern = "%I:%M" if half else "%H:%M"
    if clock.count(":") > 1:
        pattern += ":%S"
    return f" {pattern}{' %p' if half and ' ' in clock else '%p' if half else ''}"


def _transition(wall: datetime, zone: ZoneInfo, first: timedelta, second: timedelta) -> str:
    """Say which change of the clocks makes a local time impossible, or doubles it."""
    early, late = sorted((wall - first, wall - second))
    # The change lies between the two instants that the local time would be.
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        if _local(middle, zone) - middle == second:
            late = middle
        else:
            early = middle
    change = late.replace(microsecond=0)
    before, after = change + first, change + second
    day = "" if after.date() == before.date() else f"{after:%Y-%m-%d} "
    clocks = f"from {before:%H:%M} to {day}{after:%H:%M} on {before:%Y-%m-%d}"
    if second > first:
        problem = f"{wall} does not exist in {zone.key}: the clocks are set forward {clocks}"
        return f"{problem}; correct it"
    both = " or ".join(
        wall.replace(tzinfo=timezone(offset)).isoformat() for offset in (first, second)
    )
    return f"{wall} comes twice in {zone.key}: the clocks are set back {clocks}; write {both}"


def _local(utc: datetime, zone: ZoneInfo) -> datetime:
    return zone.fromutc(utc.replace(tzinfo=zone)).replace(tzinfo=None, fold=0)
