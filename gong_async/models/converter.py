"""Converts between our models and Gong's JSON: camelCase, times, absent and required fields.

`scalars.py` reads single values; this file reads and writes what contains them, and gives every
mismatch its path.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from datetime import date, datetime
from functools import cache
from types import NoneType
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
from cattrs.errors import StructureHandlerNotFoundError
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    mapping_structure_factory,
    override,
)

from gong_async._json import FASTEST, Json
from gong_async.errors import DecodeError
from gong_async.models import scalars
from gong_async.models._shared import (
    RawResult,
    ResponseObject,
    gong_name,
    is_local,
    max_digits,
)
from gong_async.models.scalars import Reader, exactly, json_type

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
_ID_READERS: dict[Any, Reader] = {str: scalars.read_id, str | None: scalars.read_optional_id}
_MOST_PATHS = 20
_MOST_KEY = 40


def make_converter(*, detailed: bool = False) -> Converter:
    """Return the converter of one client.

    Args:
        detailed: whether it collects all mismatches with their paths, which takes longer.
    """
    converter = Converter(prefer_attrib_converters=True, detailed_validation=detailed)
    converter.register_unstructure_hook(datetime, scalars.isoformat)
    converter.register_unstructure_hook(date, date.isoformat)
    # Otherwise cattrs calls a function for each that returns what it is given.
    converter.register_unstructure_hook(str | None, converter.get_unstructure_hook(str))
    converter.register_unstructure_hook_factory(
        _is_list_of_models, lambda cls: _list_writer(cls, converter)
    )
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _writer(cls, converter))
    converter.register_structure_hook(str, exactly(str, scalars.read_str))
    converter.register_structure_hook(bool, scalars.read_bool)
    converter.register_structure_hook(int, exactly(int, scalars.read_int))
    converter.register_structure_hook(float, exactly(float, scalars.read_float))
    converter.register_structure_hook(bytes, scalars.read_nothing)
    converter.register_structure_hook(date, exactly(date, scalars.read_date))
    converter.register_structure_hook(datetime, exactly(datetime, scalars.read_datetime))
    converter.register_structure_hook_func(scalars.is_enum, scalars.read_member)
    converter.register_structure_hook_func(scalars.is_literal, scalars.read_member)
    converter.register_structure_hook(RawResult, _read_raw_result)
    for applies, make in (
        (_is_model, lambda cls: _reader(cls, converter)),
        (scalars.is_scalar_union, scalars.union_reader),
        (_is_optional_str, lambda _: scalars.read_optional_str),
        (_is_list, lambda cls: _list_reader(cls, converter)),
        (_is_object, lambda cls: _dict_reader(cls, converter)),
    ):
        converter.register_structure_hook_factory(applies, make)
    return converter


def to_json(converter: Converter, body: object, *, json: Json = FASTEST) -> bytes:
    """Return `body` as the bytes that are sent: UTF-8, compact, no NaN.

    Raises:
        TypeError: something in it has no JSON form.
        ValueError: NaN, an infinite number, a lone surrogate, a time without a zone, or something
            that holds itself.
    """
    # Of this class and no subclass, which may add fields of other types.
    texts_only = "_texts_only" in type(body).__dict__
    try:
        return json.dumps(converter.unstructure(body), texts_only=texts_only)
    except RecursionError:
        raise ValueError("nested too deeply, or holding itself") from None


def structure(converter: Converter, payload: Mapping[str, Any], cls: type[T]) -> T:
    """Return `payload` as an instance of `cls`.

    Raises:
        DecodeError: something that we rely on is missing or of another type.
    """
    failure: DecodeError
    try:
        return converter.structure(payload, cls)
    except Exception:  # noqa: BLE001 - validators of the caller's classes raise what they like
        failure = _decode_error(payload, cls)
    # Raised outside the handler: the handler's exception contains the payload, and tracebacks
    # may be shown with the locals of their frames.
    del payload
    raise failure


@cache
def _detailed_converter() -> Converter:
    return make_converter(detailed=True)


def _decode_error(payload: Mapping[str, Any], cls: type[Any]) -> DecodeError:
    """Return the error of a payload that is no instance of `cls`: convert it again, in detail."""
    paths: list[str] = []
    more = 0
    try:
        _detailed_converter().structure(payload, cls)
    except Exception as error:  # noqa: BLE001
        for path in _mismatches(error):
            if len(paths) < _MOST_PATHS:
                paths.append(path)
            else:
                more += 1
    shown = "; ".join(paths or ["$: not as expected"]) + (f"; and {more} more" if more else "")
    return DecodeError(f"Gong's answer has another shape: {shown}", paths=paths)


def _is_model(cls: Any) -> bool:
    return isinstance(cls, type) and attrs.has(cls)


def _is_optional_str(cls: Any) -> bool:
    return bool(cls == str | None)


def _is_list(cls: Any) -> bool:
    return (get_origin(cls) or cls) in _LISTS


def _is_object(cls: Any) -> bool:
    return (get_origin(cls) or cls) in _OBJECTS


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


def _list_reader(cls: Any, converter: Converter) -> Reader:
    origin, args = get_origin(cls) or cls, get_args(cls)
    if origin is tuple and args and args[1:] != (...,):
        return scalars.read_nothing  # a list of Gong's has any number of items of one kind
    items: Any = tuple.__class_getitem__((args[0] if args else Any, ...))
    read_items = homogenous_tuple_structure_factory(items, converter)
    build: Callable[[Any], Any] = _LISTS[origin]

    def read_list(payload: Any, _: Any) -> Any:
        # Texts and objects can be iterated over too, and would be wrong item by item.
        if not isinstance(payload, list):
            msg = f"expected a list, got {json_type(payload)}"
            raise TypeError(msg)
        found = read_items(payload, items)
        if build is tuple:
            return found
        result = build(found)
        if len(result) != len(found):
            msg = "expected no item twice"
            raise TypeError(msg)
        return result

    return read_list


def _dict_reader(cls: Any, converter: Converter) -> Reader:
    keys, values = get_args(cls) or (str, Any)
    wanted: Any = dict.__class_getitem__((keys, values))
    read_items = mapping_structure_factory(wanted, converter)

    def read_dict(payload: Any, _: Any) -> Any:
        # Python would take a list of pairs for a dict, and an empty list for an empty one.
        if not isinstance(payload, dict):
            msg = f"expected an object, got {json_type(payload)}"
            raise TypeError(msg)
        return read_items(payload, wanted)

    return read_dict


def _writer(cls: type[Any], converter: Converter) -> Callable[[Any], Any]:
    # None means "not set": Gong does not distinguish absent from null in requests.
    names = {
        field.name: override(omit=True)
        if is_local(field)
        else override(rename=gong_name(field), omit_if_default=True)
        for field in attrs.fields(cls)
    }
    write = make_dict_unstructure_fn(cls, converter, **names)  # type: ignore[arg-type]
    if not issubclass(cls, ResponseObject):
        return write
    # An object that was received, and is sent back with a change, keeps what it had.
    return lambda model: {**model.extra, **write(model)}


def _override(field: attrs.Attribute[Any]) -> Any:
    if is_local(field):
        return override(omit=True)
    reader = None
    if digits := max_digits(field):
        reader = scalars.id_reader(digits)
    elif field.name == "id" or field.name.endswith("_id"):
        reader = _ID_READERS.get(field.type)
    return override(rename=gong_name(field), struct_hook=reader)


def _replaces_null(field: attrs.Attribute[Any]) -> bool:
    """Return whether null stands for "absent": for a field with a default other than None."""
    if field.default is attrs.NOTHING or is_local(field):
        return False
    reads_null = field.converter is None and NoneType in get_args(field.type)
    return field.default is not None or not reads_null


def _reader(cls: type[Any], converter: Converter) -> Reader:
    attrs.resolve_types(cls)
    fields = attrs.fields(cls)
    known = {gong_name(field) for field in fields if not is_local(field)}
    absent_if_null = [gong_name(field) for field in fields if _replaces_null(field)]
    names = {field.name: _override(field) for field in fields}
    read = make_dict_structure_fn(cls, converter, **names)
    keeps_extra = issubclass(cls, ResponseObject)

    def read_model(payload: Any, target: Any) -> Any:
        if type(payload) is not dict and not isinstance(payload, Mapping):
            msg = f"expected an object, got {json_type(payload)}"
            raise TypeError(msg)
        given = payload
        for name in absent_if_null:
            if given.get(name, "") is None:
                given = {key: value for key, value in given.items() if key != name}
        model = read(given, target)
        if keeps_extra and not known.issuperset(payload):
            extra = {key: value for key, value in payload.items() if key not in known}
            # Frozen, but created a moment ago and not yet visible to the caller.
            object.__setattr__(model, "extra", extra)
        return model

    return read_model


def _read_raw_result(payload: Any, _: Any) -> RawResult:
    request_id = payload.get("requestId")
    return RawResult(request_id=request_id if isinstance(request_id, str) else None, data=payload)


def _mismatches(error: BaseException) -> Iterator[str]:
    """Yield every mismatch with its path, under Gong's names."""
    waiting = [(error, "$")]
    while waiting:
        found, path = waiting.pop()
        if isinstance(found, ClassValidationError | IterableValidationError):
            children = [(child, path + _step(child, found)) for child in found.exceptions]
            waiting += reversed(children)
        elif isinstance(found, KeyError):
            yield f"{path}.{found.args[0]}: missing"
        else:
            yield f"{path}: {_problem(found)}"


def _problem(error: BaseException) -> str:
    match error:
        case StructureHandlerNotFoundError():
            return f"a field of type {error.type_} cannot be read from JSON"
        case NameError():
            return f"a type cannot be resolved: {error}; define its classes in a module"
        case RecursionError():
            return "nested too deeply"
        case TypeError():
            return str(error)
        case _:
            return f"not as expected ({type(error).__name__})"


def _step(error: BaseException, parent: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote) and isinstance(parent, ClassValidationError):
            # A missing key names itself.
            if isinstance(error, KeyError):
                return ""
            return f".{gong_name(attrs.fields_dict(parent.cl)[note.name])}"
        if isinstance(note, IterableValidationNote):
            index = note.index
            return f"[{index}]" if isinstance(index, int) else f"[{str(index)[:_MOST_KEY]!r}]"
    return ""
