"""Between our models and Gong's JSON: camelCase, times, what to leave out, what must be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from gong_async._json import FASTEST, Json
from gong_async.errors import DecodeError, ValidationError
from gong_async.models._shared import (
    Answer,
    Result,
    isoformat,
    meeting_id,
)
from gong_async.models.meetings import MeetingUpdate, NewMeeting

# `Converter` is named here for everybody else: this file is the only door to cattrs.
__all__ = ["Converter", "camel", "from_json", "make_converter", "structure", "to_json"]

T = TypeVar("T")

_OBJECT = (dict, Mapping)
"""In this order, because the first is asked at once and the second by way of Python code."""
_TEXTS_ONLY = frozenset({MeetingUpdate, NewMeeting})
"""What is written of them is text alone: their fields were checked, and do not change."""
_OURS = frozenset({"already_gone", "extra", "meta"})
"""Fields of results that tell of the call; Gong knows nothing of them."""


@cache
def camel(name: str) -> str:
    """Return the name that Gong gives to one of our fields."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def make_converter() -> Converter:
    """Return the converter of one client."""
    converter = Converter(prefer_attrib_converters=True)
    converter.register_unstructure_hook(datetime, isoformat)
    # Otherwise cattrs calls a function for each that returns what it is given.
    converter.register_unstructure_hook(str | None, converter.get_unstructure_hook(str))
    converter.register_unstructure_hook_factory(
        _is_list_of_models, lambda cls: _list_writer(cls, converter)
    )
    converter.register_structure_hook(str, _structure_str)
    converter.register_structure_hook(bool, _structure_bool)
    converter.register_structure_hook(Answer, _structure_answer)
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _writer(cls, converter))
    converter.register_structure_hook_factory(_is_model, lambda cls: _reader(cls, converter))
    converter.register_structure_hook_factory(_is_optional_str, lambda _: _structure_optional_str)
    converter.register_structure_hook_factory(_is_list, lambda cls: _list_reader(cls, converter))
    return converter


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


def from_json(body: bytes, *, json: Json = FASTEST) -> object:
    """Return what a body says. Numbers keep all digits; the last of equal keys wins.

    Raises:
        ValueError: not JSON, or JSON that no honest server sends (NaN, endless nesting).
    """
    return json.loads(body)


def structure(converter: Converter, payload: Mapping[str, Any], cls: type[T]) -> T:
    """Return `payload` as an instance of `cls`.

    Raises:
        DecodeError: something that we rely on is missing or of another type.
    """
    failure: DecodeError | None = None
    try:
        return converter.structure(payload, cls)
    except ClassValidationError as error:
        paths = tuple(_paths(error, "$"))
        failure = DecodeError(f"Gong's answer has another shape: {'; '.join(paths)}", paths=paths)
    # Raised here and not in the handler: the handler's exception holds the payload, and tracebacks
    # may be shown with the locals of their frames.
    del payload
    raise failure


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and attrs.has(cls)


def _is_optional_str(cls: Any) -> bool:
    return bool(cls == str | None)


def _is_list(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _is_list_of_models(cls: Any) -> bool:
    return _is_list(cls) and get_args(cls)[1:] == (...,) and _is_model(get_args(cls)[0])


def _list_writer(cls: Any, converter: Converter) -> Callable[[Any], Any]:
    try:
        write = converter.get_unstructure_hook(get_args(cls)[0], cache_result=False)
    except RecursionError:
        write = converter.unstructure  # a class that holds others of itself
    # cattrs would run a generator.
    return lambda values: [write(value) for value in values]


def _list_reader(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    read = homogenous_tuple_structure_factory(cls, converter)

    def structure_list(payload: Any, target: Any) -> Any:
        # Texts and objects can be iterated over too, and would be wrong item by item.
        if not isinstance(payload, list):
            msg = f"expected a list, got {_json_type(payload)}"
            raise TypeError(msg)
        return read(payload, target)

    return structure_list


def _writer(cls: type[Any], converter: Converter) -> Callable[[Any], Any]:
    # None is our word for "not set": Gong tells absent from null nowhere in what we send.
    names = {
        attribute.name: override(rename=camel(attribute.name), omit_if_default=True)
        for attribute in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, **names)  # type: ignore[arg-type]


def _read_as(attribute: attrs.Attribute[Any]) -> Any:
    if attribute.name in _OURS:
        return override(omit=True)
    if attribute.metadata.get("usable_id"):
        return override(rename=camel(attribute.name), struct_hook=_structure_meeting_id)
    return override(rename=camel(attribute.name))


def _reader(cls: type[Any], converter: Converter) -> Callable[[Any, Any], Any]:
    attributes = attrs.fields(cls)
    names = {attribute.name: _read_as(attribute) for attribute in attributes}
    optional = {
        camel(attribute.name) for attribute in attributes if attribute.default is not attrs.NOTHING
    }
    known = {camel(attribute.name) for attribute in attributes if attribute.name not in _OURS}
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


def _structure_answer(payload: Any, _: Any) -> Answer:
    request_id = payload.get("requestId")
    return Answer(request_id=request_id if isinstance(request_id, str) else None, data=payload)


def _structure_str(value: Any, _: Any) -> str:
    if isinstance(value, str):
        return value
    # Gong's ids are strings in some answers and integers in others; Python keeps every digit.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    msg = f"expected a string, got {_json_type(value)}"
    raise TypeError(msg)


def _structure_optional_str(value: Any, _: Any) -> str | None:
    return None if value is None else _structure_str(value, _)


def _structure_meeting_id(value: Any, _: Any) -> str:
    # An id that no later call could use would be lost with its meeting: better an error now.
    try:
        return meeting_id(_structure_str(value, _))
    except ValidationError:
        msg = "expected 1 to 20 digits"
        raise TypeError(msg) from None


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
    """Name every place that is wrong, in Gong's own spelling."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        found: list[str] = []
        for child in error.exceptions:
            found.extend(_paths(child, path + _step(child)))
        return found
    if isinstance(error, KeyError):
        return [f"{path}.{error.args[0]}: missing"]
    return [f"{path}: {error}" if isinstance(error, TypeError) else f"{path}: not as expected"]


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            # A missing key names itself.
            return "" if isinstance(error, KeyError) else f".{camel(note.name)}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""
