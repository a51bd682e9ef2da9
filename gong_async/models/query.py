"""Query strings: Python values as the parameters of Gong's operations."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import SupportsIndex
from urllib.parse import quote, urlencode

from gong_async.errors import ValidationError
from gong_async.models._shared import camel_case, check_text, check_time
from gong_async.models.scalars import isoformat

QueryValue = str | int | float | datetime | date | Enum
"""One value of a parameter; `bool` is an `int`."""
Query = Mapping[str, QueryValue | Collection[QueryValue] | None]
"""Parameters by name, in Python's spelling or Gong's."""

_MOST_BITS = 128  # Gong's ids have up to 20 digits
_NOT_LISTS = (str, bytes, bytearray, memoryview, Mapping)


def query_string(query: Mapping[str, object]) -> str:
    """Return `?` and the encoded parameters; an empty string if there are none.

    `workspace_id` becomes `workspaceId`; a name without an underscore is sent as it is. None and
    an empty list leave a parameter out; each item of a list repeats it (`style: form`,
    `explode: true` in Gong's description). Times have whole seconds and an offset or `Z`.

    Raises:
        ValidationError: a value has no such form; its field is the name of the parameter.
    """
    pairs = list(_pairs(query))
    return "?" + urlencode(pairs, quote_via=quote) if pairs else ""


def _pairs(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    given: dict[str, str] = {}
    for name, value in query.items():
        sent = camel_case(check_text("query", name))
        if other := given.get(sent):
            raise ValidationError(name, f"the same parameter as {other}")
        given[sent] = name
        if isinstance(value, Collection) and not isinstance(value, _NOT_LISTS):
            for index, item in enumerate(value):
                yield sent, _text(f"{name}[{index}]", item)
        elif value is not None:
            yield sent, _text(name, value)


def _text(name: str, value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    # The methods of the classes themselves: those of a subclass may return something else.
    match value:
        case str():
            return str.__str__(check_text(name, value))
        case bool():
            return "true" if value else "false"
        case SupportsIndex():  # an int, or one of another library
            number = operator.index(value)
            if number.bit_length() <= _MOST_BITS:
                return int.__repr__(number)
            raise ValidationError(name, f"expected an integer of at most {_MOST_BITS} bits")
        case float():
            if math.isfinite(value):
                return float.__repr__(value)
            raise ValidationError(name, f"expected a finite number, got {float.__repr__(value)}")
        case datetime():
            check_time(name, value)
            return isoformat(value)
        case date():
            return date.isoformat(value)
    problem = f"expected text, a number, a bool or a time, got {type(value).__name__}"
    raise ValidationError(name, problem)
