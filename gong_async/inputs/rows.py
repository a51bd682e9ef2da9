"""How one row of an input becomes a meeting. Knows no file format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import NoReturn, TypeVar

from attrs import define, field, frozen

from gong_async.errors import ValidationError
from gong_async.inputs.columns import OPTIONAL, PERSON_FIELDS, fold, unknown
from gong_async.inputs.findings import Finding, Note
from gong_async.inputs.times import TimeReader
from gong_async.models._shared import (
    check_email,
    check_text,
    is_later,
    time_from_text,
)
from gong_async.models._times import EXAMPLE_TIME
from gong_async.models.meetings import Invitee, MeetingChange, MeetingUpdate, NewMeeting, meeting_id

T = TypeVar("T")
MeetingT = TypeVar("MeetingT", MeetingUpdate, NewMeeting)

_MOST_INT_DIGITS = 40
_AS_TEXT = "format the column as text and export it again"
_SAFE_DIGITS = 15
_MOST_SHOWN = 40
_MOST_INVITEES = 20_000
_HOUR = timedelta(hours=1)
_LONG = 24 * _HOUR
_SEVERAL = "several addresses in one entry; separate them with semicolons"
_EXPONENT = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]*", re.ASCII)
_ENTRY = re.compile(r'(?:"[^"]*"|[^;"]+|")+')
_COMMA_ENTRY = re.compile(r'(?:"[^"]*"|[^,"]+|")+')


@frozen
class Unusable:
    """Stands for a value that was read and must not be used: a cell with an error, for example."""

    problem: str


def read_json(text: str) -> object:
    """Return a JSON value. What JSON and Python see differently is `Unusable` in it.

    Those are numbers with a fraction or an exponent, huge ones, NaN, and keys that stand twice.

    Raises:
        ValueError: it is no JSON, or nested too deeply; the message says where.
    """
    try:
        return json.loads(
            text,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_once_each,
        )
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        problem = "nested too deeply"
    raise ValueError(problem)


def _fraction(text: str) -> Unusable:
    return Unusable("a number with a decimal point or exponent; write it as a string")


def _integer(text: str) -> int | Unusable:
    if len(text) > _MOST_INT_DIGITS:
        return Unusable(f"a number of more than {_MOST_INT_DIGITS} digits")
    return int(text)


def _constant(name: str) -> Unusable:
    return Unusable(f"{name} is not JSON")


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        twice = key in found
        found[key] = Unusable(f"the key {key[:_MOST_SHOWN]!a} stands twice") if twice else value
    return found


def read_change(
    raw: Mapping[str, object], *, line: int, times: TimeReader
) -> MeetingChange | list[Finding]:
    """Return the change that a row stands for, or everything that is wrong with the row.

    Args:
        raw: values under Python names; a name that is missing or None has no value.
        line: where the row begins.
        times: reads its times.
    """
    row = _Row(raw, line, times.read)
    id_ = row.take("meeting_id", read_meeting_id)
    update = row.meeting(MeetingUpdate)
    if id_ is None or update is None:
        return row.findings
    return MeetingChange(meeting_id=id_, update=update)


def doubts_of(change: MeetingChange, *, line: int) -> Iterator[Note]:
    """Yield what is valid in a change, and probably not what is meant."""
    update = change.update
    length = update.end_time - update.start_time
    if length > _LONG:
        problem = f"the meeting lasts {length / _HOUR:,.1f} hours; check the dates"
        yield Note(line, "end_time", problem)
    organizer = update.organizer_email.casefold()
    if any(person.email and person.email.casefold() == organizer for person in update.invitees):
        yield Note(line, "invitees", "the organizer is among the invitees; leave them out")


def read_meeting(
    cls: type[MeetingT], raw: Mapping[str, object], *, line: int = 0
) -> MeetingT | list[Finding]:
    """Return the meeting that a row without id stands for, or everything that is wrong."""
    row = _Row(raw, line, read_time)
    meeting = row.meeting(cls)
    return row.findings if meeting is None else meeting


def read_meeting_id(value: object) -> str:
    """Return a meeting's id; refuse what a spreadsheet has made of one."""
    if not isinstance(value, str):
        return meeting_id(_text(value))
    text = value.strip()
    if _EXPONENT.fullmatch(text) or _DECIMAL.fullmatch(text):
        shown = text[:_MOST_SHOWN]
        _refuse(f"{shown} is what a spreadsheet made of an id, digits are lost; {_AS_TEXT}")
    return meeting_id(text)


def read_time(value: object) -> datetime:
    """Return an ISO-8601 time with an offset."""
    if not isinstance(value, str):
        _refuse(f"expected text such as {EXAMPLE_TIME}")
    return time_from_text("", value)


def read_email(value: object) -> str:
    """Return a plausible address, without the blanks around it."""
    address = _text(value).strip()
    check_email("", address)
    return address


def read_person(text: str) -> Invitee:
    """Return the invitee of `ana@x.example` or `Ana <ana@x.example>`."""
    entry = text.strip()
    if not entry.endswith(">"):
        if "," in entry and entry.count("@") > 1:
            _refuse(_SEVERAL)
        return Invitee(email=read_email(entry))
    name, opened, address = entry[:-1].rpartition("<")
    if not opened:
        _refuse("a > without a <; expected Ana <ana@x.example>")
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    elif "<" in name:
        _refuse(_SEVERAL)
    return Invitee(email=read_email(address), display_name=check_text("", name) or None)


def _text(value: object) -> str:
    match value:
        case str():
            return check_text("", value)
        case bool():
            return _refuse("expected text, got true or false")
        case int():
            return str(value)
        case float():
            if not value.is_integer() or abs(value) >= 10**_SAFE_DIGITS:
                _refuse(f"a number cell keeps only {_SAFE_DIGITS} digits; {_AS_TEXT}")
            return str(int(value))
        case Unusable():
            return _refuse(value.problem)
        case date() | time() | timedelta():
            return _refuse("expected text, got a date cell")
        case _:
            return _refuse(
                f"expected text, got {'a list' if isinstance(value, list) else 'an object'}"
            )


def _refuse(problem: str) -> NoReturn:
    raise ValidationError("", problem)


@define
class _Row:
    """One row and what is wrong with it so far."""

    raw: Mapping[str, object]
    line: int
    read_time: Callable[[object], datetime]
    findings: list[Finding] = field(factory=list, init=False)

    def meeting(self, cls: type[MeetingT]) -> MeetingT | None:
        """Return the meeting, unless something of it is wrong."""
        before = len(self.findings)
        start = self.take("start_time", self.read_time)
        end = self.take("end_time", self.read_time)
        organizer = self.take("organizer_email", read_email)
        invitees = self.take("invitees", self._invitees)
        optional = {name: self._optional(name) for name in OPTIONAL}
        if start is not None and end is not None and not is_later(end, start):
            self._found("end_time", "the meeting must end after it starts")
        if start is None or end is None or organizer is None or invitees is None:
            return None
        if len(self.findings) > before:
            return None
        try:
            return cls(
                start_time=start,
                end_time=end,
                organizer_email=organizer,
                invitees=invitees,
                **optional,
            )
        except ValidationError as error:
            self._found(error.field, error.problem)
        return None

    def take(self, name: str, read: Callable[[object], T]) -> T | None:
        """Read one required value; take note of what is wrong with it."""
        value = self.raw.get(name)
        if value is None:
            hint = "; for no invitees, pass an empty list" if name == "invitees" else ""
            self._found(name, f"missing{hint}")
            return None
        return self._try(name, read, value)

    def _optional(self, name: str) -> str | None:
        value = self.raw.get(name)
        return None if value is None else self._try(name, _text, value)

    def _try(self, name: str, read: Callable[[object], T], value: object) -> T | None:
        if isinstance(value, Unusable):
            self._found(name, value.problem)
            return None
        try:
            return read(value)
        except ValidationError as error:
            self._found(name, error.problem)
        return None

    def _found(self, name: str, problem: str) -> None:
        self.findings.append(Finding(self.line, name, problem))

    def _invitees(self, value: object) -> tuple[Invitee, ...]:
        """Read a list of texts and objects, the JSON of one, or texts between semicolons."""
        if isinstance(value, str):
            value = _listed(value)
        if not isinstance(value, list):
            _refuse("expected a list")
        if len(value) > _MOST_INVITEES:
            _refuse(f"more than {_MOST_INVITEES:,} invitees")
        people: list[Invitee] = []
        for position, item in enumerate(value):
            name = f"invitees[{position}]"
            if isinstance(item, dict):
                item = self._fields(name, item)  # noqa: PLW2901 - the same, with Python names
            person = None if item is None else self._try(name, _person, item)
            if person is not None:
                people.append(person)
        return tuple(people)

    def _fields(self, name: str, item: Mapping[str, object]) -> dict[str, str] | None:
        """Return the fields of an invitee, unless something is wrong with one."""
        before = len(self.findings)
        found: dict[str, str] = {}
        for key, value in item.items():
            known = PERSON_FIELDS.get(fold(key))
            if known is None:
                self._found(name, f"the key {unknown(key, PERSON_FIELDS)}")
            elif known in found:
                self._found(name, f"{known} is given twice")
            elif value is not None:
                read = read_email if known == "email" else _text
                text = self._try(f"{name}.{known}", read, value)
                if text is not None:
                    found[known] = text
        return None if len(self.findings) > before else found


def _person(item: object) -> Invitee:
    if isinstance(item, str):
        return read_person(item)
    if not isinstance(item, dict):
        _refuse("expected text or an object")
    return Invitee(**item)


def _entries(text: str) -> list[object]:
    """Return the invitees between semicolons; if there are none, those between commas."""
    entries = [entry for entry in _ENTRY.findall(text) if entry.strip()]
    if len(entries) == 1:
        pieces = [piece for piece in _COMMA_ENTRY.findall(entries[0]) if piece.strip()]
        if all("@" in piece for piece in pieces):  # of `Doe, Jane <jane@x.example>` one has none
            return pieces
    return entries


def _listed(text: str) -> list[object]:
    if not text.lstrip().startswith("["):
        return _entries(text)
    try:
        listed = read_json(text)
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        _refuse('neither a JSON list nor "Ana <ana@x.example>; lee@x.example"')
    return listed
