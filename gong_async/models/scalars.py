"""Single JSON values. Each type has one form; nothing is converted silently.

Readers have the signature of cattrs' hooks, value and type. They raise `TypeError`; the converter
adds the path.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from gong_async.models._shared import check_time

Reader = Callable[[Any, Any], Any]

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,6}0*)?)?(?:[Zz]|[+-]\d\d:?\d\d)",
    re.ASCII,
)
"""Narrower than `datetime.fromisoformat`, and the same in every version of Python."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FOUR_DIGITS = 1000
_TWO_DIGITS = tuple(f"{number:02d}" for number in range(60))
_LARGEST_FLOAT = int(sys.float_info.max)
_EXPECTED = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}
"""Types with one form in JSON."""


def read_str(value: Any, _: Any) -> str:
    """Read a string."""
    if isinstance(value, str):
        return value
    raise _mismatch("a string", value)


def read_optional_str(value: Any, _: Any) -> str | None:
    """Read a string or null."""
    return None if value is None else read_str(value, _)


def read_id(value: Any, _: Any) -> str:
    """Read an id: a string in some of Gong's answers and an integer in others."""
    if type(value) is str:
        return value
    # Python keeps every digit.
    return str(value) if type(value) is int else read_str(value, _)


def read_optional_id(value: Any, _: Any) -> str | None:
    """Read an id or null."""
    return None if value is None else read_id(value, _)


def id_reader(max_digits: int) -> Reader:
    """Return a reader of ids that later calls need: a wrong one is an error now."""

    def read_digits(value: Any, _: Any) -> str:
        text = read_id(value, _)
        if not (text.isascii() and text.isdigit() and len(text) <= max_digits):
            msg = f"expected 1 to {max_digits} digits"
            raise TypeError(msg)
        return text

    return read_digits


def read_bool(value: Any, _: Any) -> bool:
    """Read `true` or `false`."""
    if isinstance(value, bool):
        return value
    raise _mismatch("true or false", value)


def read_int(value: Any, _: Any) -> int:
    """Read an integer; `3.0` is a number with a fraction."""
    if type(value) is int:
        return value
    raise _mismatch("an integer", value)


def read_float(value: Any, _: Any) -> float:
    """Read a number; an integer only if a float holds it exactly."""
    if type(value) is float:
        return value
    if type(value) is not int:
        raise _mismatch("a number", value)
    if abs(value) <= _LARGEST_FLOAT and float(value) == value:  # compared exactly
        return float(value)
    msg = "expected a number that a float holds exactly"
    raise TypeError(msg)


def read_datetime(value: Any, _: Any) -> datetime:
    """Read a time with an offset or `Z`, and at most microseconds."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    msg = "expected a time in ISO 8601 with a zone"
    raise TypeError(msg)


def isoformat(value: datetime) -> str:
    """Return an aware time as Gong reads it: whole seconds, with `Z` or an offset."""
    if value.tzinfo is UTC and value.year >= _FOUR_DIGITS:
        # The usual case, for which `datetime.isoformat` takes more than twice as long.
        two = _TWO_DIGITS
        day = f"{value.year}-{two[value.month]}-{two[value.day]}"
        return f"{day}T{two[value.hour]}:{two[value.minute]}:{two[value.second]}Z"
    check_time("time", value)
    text = datetime.isoformat(value, "T", "seconds")
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def read_date(value: Any, _: Any) -> date:
    """Read a date."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    msg = "expected a date in ISO 8601"
    raise TypeError(msg)


def read_nothing(_: Any, cls: Any) -> NoReturn:
    """Refuse a type that has no form in JSON."""
    msg = f"a field of type {getattr(cls, '__name__', cls)} cannot be read from JSON"
    raise TypeError(msg)


def read_member(value: Any, cls: Any) -> Any:
    """Read a member of an enum or a `Literal`: the value of one, of the same type."""
    members, key = _members(cls), _key(value)
    if key in members:
        return members[key]
    msg = f"expected {_described(cls)}"
    raise TypeError(msg)


def is_enum(cls: Any) -> bool:
    """Return whether a type is an enum."""
    return isinstance(cls, type) and issubclass(cls, Enum)


def is_literal(cls: Any) -> bool:
    """Return whether a type is a `Literal`."""
    return get_origin(cls) is Literal


def is_scalar_union(cls: Any) -> bool:
    """Return whether a type is a union of scalars and enums, such as `Color | str`."""
    return get_origin(cls) in {Union, UnionType} and all(
        arg in _EXPECTED or is_enum(arg) or is_literal(arg) for arg in get_args(cls)
    )


def union_reader(cls: Any) -> Reader:
    """Return a reader of a union of scalars and enums.

    A value of an enum becomes its member. Others keep their type if the union has it: `Color | str`
    is an open enum, which keeps values that were not known when it was written.
    """
    args = get_args(cls)
    closed = [arg for arg in args if arg not in _EXPECTED]
    plain = frozenset(args).intersection(_EXPECTED)
    members = {key: member for arg in reversed(closed) for key, member in _members(arg).items()}
    expected = " or ".join(_EXPECTED.get(arg) or _described(arg) for arg in args)

    def read_union(value: Any, _: Any) -> Any:
        key = _key(value)
        if key in members:
            return members[key]
        if type(value) in plain:
            return value
        if type(value) is int and float in plain:
            return read_float(value, _)
        raise _mismatch(expected, value)

    return read_union


def exactly(cls: type[Any], read: Reader) -> Reader:
    """Return a hook for `cls` that knows its subclasses: cattrs passes it those types, too."""

    def read_exactly(value: Any, wanted: Any) -> Any:
        if wanted is cls:
            return read(value, wanted)
        if is_enum(wanted):  # of text or numbers
            return read_member(value, wanted)
        read_nothing(value, wanted)

    return read_exactly


def json_type(value: object) -> str:
    """Return the type of a JSON value, as errors call it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


@cache
def _members(cls: Any) -> dict[tuple[type, object], Any]:
    """Return the members of an enum or `Literal` by type and value: `True` equals 1."""
    found: dict[tuple[type, object], Any] = {}
    for member in get_args(cls) if is_literal(cls) else cls:
        value = member.value if isinstance(member, Enum) else member
        if type(value) in _EXPECTED:
            found.setdefault((type(value), value), member)
    return found


def _key(value: object) -> tuple[type, object]:
    """Return the key of a value among members; lists and objects are no value of any."""
    return (type(value), value) if type(value) in _EXPECTED else (NoneType, ())


def _described(cls: Any) -> str:
    return "one of the literal values" if is_literal(cls) else f"a value of {cls.__name__}"


def _mismatch(expected: str, value: object) -> TypeError:
    return TypeError(f"expected {expected}, got {json_type(value)}")
