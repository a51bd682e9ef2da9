"""Shared parts of the models: validators of single values, and the base of all results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from attrs import Attribute, field, frozen

from gong_async.errors import ValidationError
from gong_async.models._email import LONGEST_USUAL, USUAL_EMAIL, email_problem
from gong_async.models._times import parse_time, time_problem

MOST_DIGITS = 20
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_YEAR_ONE = datetime.min  # noqa: DTZ901 - only a difference is taken from it
_SECOND = timedelta(seconds=1)
_NO_TIME = timedelta()

USABLE_ID = {"max_digits": MOST_DIGITS}
"""Marks a result field that later calls need: an id that is not digits raises `DecodeError`."""
LOCAL = {"local": True}
"""Marks a field of a result that describes the call and is not part of Gong's JSON."""


@cache
def camel_case(name: str) -> str:
    """Return Gong's name of a field or parameter: `start_time` is `startTime`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def gong_name(field: Attribute[Any]) -> str:
    """Return Gong's name of a field: in `metadata["name"]`, else in camelCase."""
    return str(field.metadata.get("name") or camel_case(field.name))


def is_local(field: Attribute[Any]) -> bool:
    """Return whether a field is no part of Gong's JSON."""
    return bool(field.metadata.get("local"))


def max_digits(field: Attribute[Any]) -> int:
    """Return the most digits of a field that is an id; 0 if the field is checked as others."""
    return int(field.metadata.get("max_digits", 0))


def check_text(name: str, value: object) -> str:
    """Return text; reject other types and lone surrogates, which cannot be sent."""
    if not isinstance(value, str):
        raise ValidationError(name, f"expected text, got {type(value).__name__}")
    if value.isascii():  # which Python knows without looking at the characters
        return value
    if surrogate := _LONE_SURROGATE.search(value):
        problem = f"the character at position {surrogate.start()} is a lone surrogate"
        raise ValidationError(name, f"{problem} and cannot be sent")
    return value


def is_visible(text: str | None) -> bool:
    """Return whether a text has anything but blanks and control characters."""
    return any(mark.isprintable() and not mark.isspace() for mark in text or "")


def check_email(name: str, value: object) -> None:
    """Raise `ValidationError` for an invalid email address: see `_email`."""
    if problem := email_problem(check_text(name, value)):
        raise ValidationError(name, problem)


def check_time(name: str, value: object) -> None:
    """Raise `ValidationError` for a time without an offset, or a nonexistent one: see `_times`."""
    if problem := time_problem(value):
        raise ValidationError(name, problem)


def time_from_text(name: str, text: str) -> datetime:
    """Parse an ISO-8601 text with an offset."""
    found = parse_time(text)
    if isinstance(found, str):
        raise ValidationError(name, found)
    return found


def is_later(value: datetime, other: datetime) -> bool:
    """Return whether one aware time is after another by at least one second as sent.

    Two times of one zone compare by their clock faces in Python, which is wrong in the hour that
    a clock is set back; and `astimezone` fails at the ends of the calendar. This does neither.
    """
    if not type(value) is type(other) is datetime:
        return _instant(value) > _instant(other)  # others may subtract in ways of their own
    gap = value - other
    if value.tzinfo is other.tzinfo is not UTC:
        gap -= (value.utcoffset() or _NO_TIME) - (other.utcoffset() or _NO_TIME)
    # Within a second it depends on their fractions, which are not sent.
    return gap >= _SECOND or (gap > _NO_TIME and _instant(value) > _instant(other))


def _instant(value: datetime) -> timedelta:
    """Return an aware time as the time passed since year 1, UTC, whole seconds."""
    offset = value.utcoffset() or _NO_TIME
    wall = datetime(  # noqa: DTZ001 - the offset is subtracted
        value.year, value.month, value.day, value.hour, value.minute, value.second
    )
    return wall - _YEAR_ONE - offset


# The validators of attrs classes check the usual value themselves, which saves a call per field.


def text(_: Any, attribute: Attribute[Any], value: object) -> None:
    """Validate a required text field of an attrs class."""
    check_text(attribute.name, value)


def optional_text(_: Any, attribute: Attribute[Any], value: object) -> None:
    """Validate an optional text field of an attrs class."""
    if value is None or (isinstance(value, str) and value.isascii()):
        return
    check_text(attribute.name, value)


def email(_: Any, attribute: Attribute[Any], value: object) -> None:
    """Validate a required email field of an attrs class."""
    if isinstance(value, str) and len(value) <= LONGEST_USUAL and USUAL_EMAIL.fullmatch(value):
        return
    check_email(attribute.name, value)


def optional_email(_: Any, attribute: Attribute[Any], value: object) -> None:
    """Validate an optional email field of an attrs class."""
    if value is None or (
        isinstance(value, str) and len(value) <= LONGEST_USUAL and USUAL_EMAIL.fullmatch(value)
    ):
        return
    check_email(attribute.name, value)


def aware_time(_: Any, attribute: Attribute[Any], value: object) -> None:
    """Validate a time field of an attrs class."""
    if type(value) is datetime and value.tzinfo is UTC:
        return
    check_time(attribute.name, value)


@frozen(kw_only=True)
class Meta:
    """Metadata of a call."""

    status: int = 0
    """HTTP status of the response; 0 if no request was needed."""
    request_id: str | None = None
    """Gong's request id, for Gong's support."""
    attempts: int = 0
    """Attempts of this call."""
    seconds_waited: float = 0.0
    """Seconds spent waiting, for permits and between attempts."""
    seconds_on_wire: float = 0.0
    """Seconds from sending to the end of the response, over all attempts."""


_NO_CALL = Meta()
"""The metadata of a result that was not returned by a call. Immutable, so created once."""


@frozen(kw_only=True)
class ResponseObject:
    """Base class of an object in a response; keeps the fields that its class does not define."""

    extra: Mapping[str, Any] = field(factory=dict, repr=False, hash=False, metadata=LOCAL)
    """Fields that the class does not define, under Gong's names."""


@frozen(kw_only=True)
class Result(ResponseObject):
    """Base class of all results."""

    request_id: str | None = None
    """Gong's request id, for Gong's support."""
    meta: Meta = field(default=_NO_CALL, eq=False, repr=False, metadata=LOCAL)
    """Metadata of the call."""


@frozen(kw_only=True)
class RawResult(Result):
    """The result of an operation without a model: see `GongClient.request`."""

    data: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)
    """The whole JSON object, under Gong's names."""


def utc_now() -> datetime:
    """Return the wall-clock time, for display only; never to measure durations."""
    return datetime.now(UTC)
