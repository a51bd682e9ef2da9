"""Converts between our models and Gong's JSON: camelCase, times, absent and required fields."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import StructureHandlerNotFoundError
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    mapping_structure_factory,
    override,
)

from gong_async._json import FASTEST, Json
from gong_async.errors import DecodeError, ValidationError
from gong_async.models._shared import (
    RawResult,
    Result,
    camel_case,
    isoformat,
    meeting_id,
)
from gong_async.models.meetings import MeetingUpdate, NewMeeting

# `Converter` is defined here because only this file imports cattrs.
__all__ = ["Converter", "make_converter", "structure", "to_json"]

T = TypeVar("T")

_LISTS: dict[Any, Any] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    Iterable: tuple,
    Collection: tuple,
}
"""Types of fields that are lists in JSON, and the types they are converted to."""
_OBJECTS = frozenset({dict, Mapping, MutableMapping})
"""Types of fields that are objects in JSON."""
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6}0*)?)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OBJECT = (dict, Mapping)
"""In this order, because the first is asked at once and the second by way of Python code."""
_LARGEST_FLOAT = int(sys.float_info.max)
_TEXT_TYPES = (str, "str", str | None, "str | None")
_TEXTS_ONLY = frozenset({MeetingUpdate, NewMeeting})
"""What is written of them is text alone: their fields were checked, and do not change."""
_OURS = frozenset({"already_gone", "extra", "meta"})
"""Fields of results that describe the call and are not part of Gong's JSON."""


def make_converter() -> Converter:
    """Return the converter of one client."""
    converter = Converter(prefer_attrib_converters=True)
    converter.register_unstructure_hook(datetime, isoformat)
    # Otherwise cattrs calls a function for each that returns what it is given.
    converter.register_unstructure_hook(str | None, converter.get_unstructure_hook(str))
    converter.register_unstructure_hook_factory(
        _is_list_of_models, lambda cls: _list_writer(cls, converter)
    )
    converter.register_structure_hook(str, _exactly(str, _structure_str))
    converter.register_structure_hook(bool, _structure_bool)
    converter.register_structure_hook(int, _exactly(int, _structure_int))
    converter.register_structure_hook(float, _exactly(float, _structure_float))
    converter.register_structure_hook(bytes, _structure_nothing)
    converter.register_structure_hook(date, _exactly(date, _structure_date))
    converter.register_structure_hook(datetime, _exactly(datetime, _structure_datetime))
    converter.register_structure_hook_func(_is_enum, _structure_enum)
    converter.register_structure_hook_func(_is_literal, _structure_literal)
    converter.register_structure_hook(RawResult, _structure_answer)
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _writer(cls, converter))
    converter.register_structure_hook_factory(_is_model, lambda cls: _reader(cls, converter))
    converter.register_structure_hook_factory(_is_optional_str, lambda _: _structure_optional_str)
    converter.register_structure_hook_factory(_is_list, lambda cls: _list_reader(cls, converter))
    converter.register_structure_hook_factory(_is_object, lambda cls: _dict_reader(cls, converter))
    return converter


def _exactly(cls: type[Any], read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a hook for `cls` that knows its subclasses: enums may be ones of text or numbers."""

    def structure_exactly(value: Any, wanted: Any) -> Any:
        if wanted is cls:
            return read(value, wanted)
        if isinstance(wanted, type) and issubclass(wanted, Enum):
            return _structure_enum(value, wanted)
        return _structure_nothing(value, wanted)

    return structure_exactly


def to_json(converter: Converter, body: object, *, json: Json = FASTEST) -> bytes:
    """Return `body` as the bytes that are sent: UTF-8, compact, no NaN.

    Raises:
        TypeError: something in it has no JSON form.
        ValueError: NaN, an infinite number, a lone surrogate, a time without a zone, or something
            that holds itself.
    """
    try:
        return json.dumps(converter.unstructure(body), texts_only=type(body) in _TEXTS_ONLY)
    except RecursionError:
        raise ValueError("nested too deeply, or holding itself") from None


def structure(converter: Converter, payload: Mapping[str, Any], cls: type[T]) -> T:
    """Return `payload` as an instance of `cls`.

    Raises:
        DecodeError: something that we rely on is missing or of another type.
    """
    failure: DecodeError | None = None
    try:
        return converter.structure(payload, cls)
    except (
        ClassValidationError,
        IterableValidationError,
        StructureHandlerNotFoundError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        paths = tuple(_paths(error, "$"))
        failure = DecodeError(f"Gong's answer has another shape: {'; '.join(paths)}", paths=paths)
    # Raised outside the handler: the handler's exception contains the payload, and tracebacks
    # may be shown with the locals of their frames.
    del payload
    raise failure


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and attrs.has(cls)


def _is_optional_str(cls: Any) -> bool:
    return bool(cls == str | None)


def _is_list(cls: Any) -> bool:
    return (get_origin(cls) or cls) in _LISTS


def _is_object(cls: Any) -> bool:
    return (get_origin(cls) or cls) in _OBJECTS


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _is_list_of_models(cls: Any) -> bool:
    args = get_args(cls)
    return get_origin(cls) is tuple and args[1:] == (...,) and _is_model(args[0])


def _list_writer(cls: Any, converter: Converter) -> Callable[[Any], Any]:
    try:
        write = converter.get_unstructure_hook(get_args(cls)[0], cache_result=False)
    except RecursionError:
        write = converter.unstructure  # a class that holds others of itself
    # cattrs would run a generator.
    return lambda values: list(map(write, values))


def _list_reader(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    origin, args = get_origin(cls) or cls, get_args(cls)
    if origin is tuple and args and args[1:] != (...,):
        return _structure_nothing  # a list of Gong's has items of one kind, and any number of them
    items: Any = tuple.__class_getitem__((args[0] if args else Any, ...))
    read_items = homogenous_tuple_structure_factory(items, converter)
    build: Callable[[Any], Any] = _LISTS[origin]

    def read(payload: Any) -> Any:
        found = read_items(payload, items)
        if build is tuple:
            return found
        result = build(found)
        if len(result) != len(found):
            msg = "expected no item twice"
            raise TypeError(msg)
        return result

    def structure_list(payload: Any, target: Any) -> Any:
        # Texts and objects can be iterated over too, and would be wrong item by item.
        if not isinstance(payload, list):
            msg = f"expected a list, got {_json_type(payload)}"
            raise TypeError(msg)
        return read(payload)

    return structure_list


def _dict_reader(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    keys, values = get_args(cls) or (str, Any)
    wanted: Any = dict.__class_getitem__((keys, values))
    read_items = mapping_structure_factory(wanted, converter)

    def structure_dict(payload: Any, _: Any) -> Any:
        # Python would take a list of pairs for a dict, and an empty list for an empty one.
        if not isinstance(payload, dict):
            msg = f"expected an object, got {_json_type(payload)}"
            raise TypeError(msg)
        return read_items(payload, wanted)

    return structure_dict


def _writer(cls: type[Any], converter: Converter) -> Callable[[Any], Any]:
    # None means "not set": Gong does not distinguish absent from null in requests.
    names = {
        attribute.name: override(rename=camel_case(attribute.name), omit_if_default=True)
        for attribute in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, **names)  # type: ignore[arg-type]


def _read_as(attribute: attrs.Attribute[Any]) -> Any:
    if attribute.name in _OURS:
        return override(omit=True)
    if attribute.metadata.get("usable_id"):
        return override(rename=camel_case(attribute.name), struct_hook=_structure_meeting_id)
    if (attribute.name == "id" or attribute.name.endswith("_id")) and attribute.type in _TEXT_TYPES:
        return override(rename=camel_case(attribute.name), struct_hook=_structure_id)
    return override(rename=camel_case(attribute.name))


def _reader(cls: type[Any], converter: Converter) -> Callable[[Any, Any], Any]:
    attributes = attrs.fields(cls)
    names = {attribute.name: _read_as(attribute) for attribute in attributes}
    optional = {
        camel_case(attribute.name)
        for attribute in attributes
        if attribute.default is not attrs.NOTHING
    }
    known = {camel_case(attribute.name) for attribute in attributes if attribute.name not in _OURS}
    read = make_dict_structure_fn(cls, converter, **names)
    keeps_extra = issubclass(cls, Result)

    def structure_model(payload: Any, target: Any) -> Any:
        if not isinstance(payload, _OBJECT):
            msg = f"expected an object, got {_json_type(payload)}"
            raise TypeError(msg)
        given = payload
        if None in payload.values():
            # null stands for "absent" wherever a field may be absent.
            given = {
                key: value
                for key, value in payload.items()
                if value is not None or key not in optional
            }
        model = read(given, target)
        if keeps_extra and not known.issuperset(given):
            extra = {key: value for key, value in payload.items() if key not in known}
            model = attrs.evolve(model, extra=extra)
        return model

    return structure_model


def _structure_answer(payload: Any, _: Any) -> RawResult:
    request_id = payload.get("requestId")
    return RawResult(request_id=request_id if isinstance(request_id, str) else None, data=payload)


def _structure_str(value: Any, _: Any) -> str:
    if isinstance(value, str):
        return value
    msg = f"expected a string, got {_json_type(value)}"
    raise TypeError(msg)


def _structure_id(value: Any, _: Any) -> str:
    if type(value) is str:
        return value
    # Gong's ids are strings in some answers and integers in others; Python keeps every digit.
    return str(value) if type(value) is int else _structure_str(value, _)


def _structure_optional_str(value: Any, _: Any) -> str | None:
    return None if value is None else _structure_str(value, _)


def _structure_meeting_id(value: Any, _: Any) -> str:
    # An id that later calls cannot use is an error now.
    try:
        return meeting_id(_structure_id(value, _))
    except ValidationError:
        msg = "expected 1 to 20 digits"
        raise TypeError(msg) from None


def _structure_int(value: Any, _: Any) -> int:
    if type(value) is int:
        return value
    msg = f"expected an integer, got {_json_type(value)}"
    raise TypeError(msg)


def _structure_float(value: Any, _: Any) -> float:
    if type(value) is float:
        return value
    # JSON has one kind of number: 3 is 3.0, as long as no digit is lost.
    if type(value) is not int:
        msg = f"expected a number, got {_json_type(value)}"
    elif abs(value) <= _LARGEST_FLOAT and float(value) == value:  # compared exactly
        return float(value)
    else:
        msg = "expected a number that a float holds exactly"
    raise TypeError(msg)


def _structure_datetime(value: Any, _: Any) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    msg = "expected a time in ISO 8601 with a zone"
    raise TypeError(msg)


def _structure_date(value: Any, _: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    msg = "expected a date in ISO 8601"
    raise TypeError(msg)


def _structure_enum(value: Any, cls: Any) -> Any:
    # `cls(value)` would also take True for 1.
    for member in cls:
        if type(member.value) is type(value) and member.value == value:
            return member
    msg = f"expected a value of {cls.__name__}"
    raise TypeError(msg)


def _structure_literal(value: Any, cls: Any) -> Any:
    for allowed in get_args(cls):
        plain = allowed.value if isinstance(allowed, Enum) else allowed
        if type(plain) is type(value) and plain == value:
            return allowed
    msg = "expected one of the literal values"
    raise TypeError(msg)


def _structure_nothing(value: Any, cls: Any) -> Any:
    msg = f"a field of type {getattr(cls, '__name__', cls)} cannot be read from JSON"
    raise TypeError(msg)


def _structure_bool(value: Any, _: Any) -> bool:
    if isinstance(value, bool):
        return value
    msg = f"expected true or false, got {_json_type(value)}"
    raise TypeError(msg)


def _json_type(value: object) -> str:
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


def _paths(error: BaseException, path: str) -> list[str]:
    """Return the path of every mismatch, with Gong's names."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        found: list[str] = []
        for child in error.exceptions:
            found.extend(_paths(child, path + _step(child)))
        return found
    if isinstance(error, KeyError):
        return [f"{path}.{error.args[0]}: missing"]
    if isinstance(error, StructureHandlerNotFoundError):
        return [f"{path}: a field of type {error.type_} cannot be read from JSON"]
    return [f"{path}: {error}" if isinstance(error, TypeError) else f"{path}: not as expected"]


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            # A missing key names itself.
            return "" if isinstance(error, KeyError) else f".{camel_case(note.name)}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""
