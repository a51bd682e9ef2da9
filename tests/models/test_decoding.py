"""Classes of the caller's own: open enums, unknown fields at every level, paths of errors."""

from __future__ import annotations

import json
import pickle
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any, Literal

import pytest
from attrs import evolve, field, frozen

from gong_async import DecodeError, Endpoint, GongClient, ResponseObject, Result
from gong_async.models.converter import make_converter, structure, to_json
from gong_async.testing import FakeGong, Fault


class Direction(StrEnum):
    """An enum of strings."""

    INBOUND = "Inbound"
    OUTBOUND = "Outbound"


class Scope(Enum):
    """An enum that is neither text nor number."""

    INTERNAL = "Internal"


class Priority(IntEnum):
    """An enum of integers."""

    HIGH = 1


@frozen(kw_only=True)
class Party(ResponseObject):
    """An object inside of an object."""

    name: str | None = None


@frozen(kw_only=True)
class CallMetaData(ResponseObject):
    """An object inside of the items of a list."""

    started: datetime | None = None
    direction: Direction | str | None = None
    scope: Scope | str = Scope.INTERNAL
    priority: Priority | int | None = None
    media: Literal["Audio", "Video"] | str | None = None  # noqa: PYI051 - names what is known
    value: str | int | float | bool | None = None
    parties: dict[str, Party] = field(factory=dict)


@frozen(kw_only=True)
class Call(ResponseObject):
    """An item of a list."""

    meta_data: CallMetaData
    parent_id: str | None
    to_csv: bool = field(default=False, metadata={"name": "exportToCSV"})


@frozen(kw_only=True)
class Calls(Result):
    """An answer."""

    calls: tuple[Call, ...] = ()


CALLS = Endpoint("GET", "/v2/calls", Calls)


def answer(*calls: object) -> dict[str, Any]:
    """Return an answer with these calls."""
    return {"requestId": "r", "calls": list(calls)}


def call(**meta_data: object) -> dict[str, Any]:
    """Return a call as Gong sends it."""
    return {"metaData": meta_data, "parentId": None}


def read(payload: object, cls: type[Any] = Calls) -> Any:
    """Read a payload as a client does."""
    assert isinstance(payload, dict)
    return structure(make_converter(), payload, cls)


def paths_of(payload: object, cls: type[Any] = Calls) -> tuple[str, ...]:
    """Return the paths at which a payload does not fit."""
    with pytest.raises(DecodeError) as caught:
        read(payload, cls)
    assert caught.value.__context__ is None
    return caught.value.paths


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("direction", "Inbound", Direction.INBOUND),
        ("direction", "Sideways", "Sideways"),
        ("direction", "INBOUND", "INBOUND"),
        ("direction", None, None),
        ("scope", "Internal", Scope.INTERNAL),
        ("scope", "Galactic", "Galactic"),
        ("scope", None, Scope.INTERNAL),
        ("priority", 1, Priority.HIGH),
        ("priority", 7, 7),
        ("media", "Audio", "Audio"),
        ("media", "Hologram", "Hologram"),
        ("value", "7", "7"),
        ("value", 7, 7),
        ("value", 7.5, 7.5),
        ("value", True, True),
        ("value", None, None),
    ],
)
async def test_an_open_enum_keeps_values_that_it_does_not_know(
    name: str, sent: object, expected: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A union of an enum and its type has members for known values, and keeps others as sent."""
    fake_gong.script(Fault.status(200, body=json.dumps(answer(call(**{name: sent}))).encode()))

    result = await gong.request(CALLS)

    found = getattr(result.calls[0].meta_data, name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("direction", ["Inbound", "Sideways"])
def test_open_enums_round_trip(direction: str) -> None:
    """Known or not, a value is written as it was read; pickles keep it, too."""
    result = read(answer(call(direction=direction, scope=direction, priority=7)))

    written = json.loads(to_json(make_converter(), result))

    assert written["calls"][0]["metaData"]["direction"] == direction
    assert written["calls"][0]["metaData"]["priority"] == 7
    assert read(written) == result
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("direction", 7, "expected a value of Direction or a string or null, got a number"),
        ("direction", True, "expected a value of Direction or a string or null, got a boolean"),
        ("direction", ["Inbound"], "expected a value of Direction or a string or null, got a list"),
        ("priority", "1", "expected a value of Priority or an integer or null, got a string"),
        ("priority", True, "expected a value of Priority or an integer or null, got a boolean"),
        ("priority", 1.0, "expected a value of Priority or an integer or null, got a number"),
        ("media", {}, "expected one of the literal values or a string or null, got an object"),
    ],
)
def test_an_open_enum_is_open_for_its_own_type(name: str, value: object, problem: str) -> None:
    """A value of another type is a mismatch."""
    assert paths_of(answer(call(**{name: value}))) == (f"$.calls[0].metaData.{name}: {problem}",)


@frozen
class Measured:
    """A class with a number or a text."""

    value: str | float


def test_a_union_takes_an_integer_for_a_float() -> None:
    """JSON has one kind of number, unless the union has both."""
    assert type(read({"value": 3}, Measured).value) is float
    assert paths_of({"value": 2**53 + 1}, Measured) == (
        "$.value: expected a number that a float holds exactly",
    )


def test_unknown_fields_are_kept_at_every_level() -> None:
    """An object that extends `ResponseObject` has what its class does not define."""
    result = read(
        {
            **answer({**call(new=3, parties={"a": {"name": "Lee", "new": 4}}), "new": [2]}),
            "new": {"x": 1},
        }
    )

    (item,) = result.calls
    assert result.extra == {"new": {"x": 1}}
    assert item.extra == {"new": [2]}
    assert item.meta_data.extra == {"new": 3}
    assert item.meta_data.parties["a"].extra == {"new": 4}


def test_an_object_that_is_sent_back_keeps_its_unknown_fields() -> None:
    """A replacement of what was read would remove them otherwise."""
    item = read(answer({**call(new=3), "new": [2], "exportToCSV": True})).calls[0]

    written = json.loads(to_json(make_converter(), evolve(item, parent_id="7")))

    assert written == {
        "metaData": {"new": 3},
        "parentId": "7",
        "new": [2],
        "exportToCSV": True,
    }


def test_local_fields_are_not_sent() -> None:
    """`meta` and `extra` are no fields of Gong."""
    written = json.loads(to_json(make_converter(), read({**answer(), "new": 1})))

    assert written == {"requestId": "r", "new": 1}


def test_metadata_names_a_field_that_is_not_in_camel_case() -> None:
    """Gong has a few such names."""
    assert read(answer({**call(), "exportToCSV": True})).calls[0].to_csv is True
    assert paths_of(answer({**call(), "exportToCSV": 1})) == (
        "$.calls[0].exportToCSV: expected true or false, got a number",
    )


def test_an_optional_id_may_be_null() -> None:
    """Also without a default, where it has to be given."""
    assert read(answer({"metaData": {}, "parentId": None})).calls[0].parent_id is None
    assert read(answer({"metaData": {}, "parentId": 7})).calls[0].parent_id == "7"
    assert paths_of(answer({"metaData": {}})) == ("$.calls[0].parentId: missing",)


def test_every_mismatch_has_its_path() -> None:
    """All of them in one error, through lists, objects and mappings."""
    payload = answer(
        call(),
        {"metaData": {"started": "2026-11-24T15:00:00", "parties": {"a b": {"name": 1}}}},
        {"metaData": [], "parentId": "1"},
        None,
    )

    assert set(paths_of(payload)) == {
        "$.calls[1].metaData.started: expected a time in ISO 8601 with a zone",
        "$.calls[1].metaData.parties['a b'].name: expected a string, got a number",
        "$.calls[1].parentId: missing",
        "$.calls[2].metaData: expected an object, got a list",
        "$.calls[3]: expected an object, got null",
    }


def test_the_first_mismatches_are_listed_and_the_others_counted() -> None:
    """A list of ten thousand wrong items is no message of a megabyte."""
    with pytest.raises(DecodeError, match=r"; and 9980 more\.") as caught:
        read(answer(*[7] * 10_000))

    assert len(caught.value.paths) == 20
    assert caught.value.paths[0] == "$.calls[0]: expected an object, got a number"
    assert caught.value.paths[-1].startswith("$.calls[19]")


@frozen
class Tree:
    """A class that holds others of itself."""

    name: str
    trees: tuple[Tree, ...] = ()


@pytest.mark.parametrize("depth", [20, 300, 5000])
def test_a_mismatch_at_any_depth_has_a_path(depth: int) -> None:
    """Beyond what the interpreter can nest, the path is where it stopped."""
    payload: dict[str, Any] = {"name": 7}
    for _ in range(depth):
        payload = {"name": "a", "trees": [payload]}

    (path, *_) = paths_of(payload, Tree)
    assert path.startswith("$.trees[0].trees[0]")


def _unlucky(value: object) -> object:
    raise ZeroDivisionError(value)


def _never(instance: object, attribute: object, value: object) -> None:
    raise LookupError(value)


@frozen
class Picky:
    """A class whose converter raises."""

    one: Any = field(converter=_unlucky)


@frozen
class Strict:
    """A class whose validator raises."""

    two: Any = field(validator=_never)


def test_an_error_in_a_class_of_the_callers_has_a_path() -> None:
    """Whatever it is; its text may hold data, and is not shown."""
    assert paths_of({"one": "data"}, Picky) == ("$: not as expected (ZeroDivisionError)",)
    assert paths_of({"two": "data"}, Strict) == ("$: not as expected (LookupError)",)


def test_a_type_that_cannot_be_resolved_is_a_mismatch() -> None:
    """A class inside a function is unknown to the annotations of another."""

    @frozen
    class Inner:
        x: int

    @frozen
    class Outer:
        inner: Inner

    (path,) = paths_of({"inner": {"x": 1}}, Outer)
    assert path.startswith("$: a type cannot be resolved: name 'Inner' is not defined")


@pytest.mark.parametrize(
    "text", ["2026-11-24T24:00:00Z", "2026-11-24T15:60:00Z", "2026-11-24T15:00:00+25:00"]
)
def test_times_that_no_clock_shows_are_refused(text: str) -> None:
    """In every version of Python; some take an hour of 24."""
    assert paths_of(answer(call(started=text))) == (
        "$.calls[0].metaData.started: expected a time in ISO 8601 with a zone",
    )


def test_dates_are_written_as_they_are_read() -> None:
    """A date in a body has one form, as in an answer."""
    assert to_json(make_converter(), {"day": date(2026, 11, 24)}) == b'{"day":"2026-11-24"}'
