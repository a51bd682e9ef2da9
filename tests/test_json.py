"""JSON by orjson and by Python's `json`: the same bytes, values and errors."""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st
from models.test_round_trip import updates

from gong_async import MeetingUpdate
from gong_async._json import Json, best_json, from_json
from gong_async.models.converter import make_converter, to_json

STANDARD = Json()
CONVERTER = make_converter()


class Text(str):
    """A subclass of `str` with another `__str__`."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


class Word(str, Enum):  # noqa: UP042 - `StrEnum` is another case
    """A string whose methods return something else."""

    ONE = "one"


class Number(IntEnum):
    """An integer whose methods return something else."""

    ONE = 1


class Colour(Enum):
    """Something that only orjson would write."""

    RED = "red"


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: int


class Shy(dict[str, Any]):
    """A dict that hides what it holds."""

    def items(self) -> Any:
        """Show nothing."""
        return {}.items()


ODD: list[Any] = [
    1.0, 1e16, 1e-7, -0.0, 5e-324, float("nan"), float("inf"), 2**63, 2**64, -(2**63) - 1, 10**400,
    Text("held"), Word.ONE, Number.ONE, Colour.RED, Pair(1, 2), (1, 2), Shy(a=1), OrderedDict(b=1),
    {1: 2}, {None: 1}, {True: 1}, {1.5: 1}, {Text("key"): 1}, {Word.ONE: 1}, {(1,): 1},
    "\ud800", "\udfff", {"\ud800": 1}, b"bytes", uuid.UUID(int=1), date(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC), {1, 2}, object(), Exception,
]  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**66)
    | st.floats()
    | st.text()
    | st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)
tokens = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ":", ",", '"', '"a"', '"a":', '{"a":', "0", "-0", "-", "1", "01", ".5",
         "1.", "1e5", "1E400", "1" * 19, "9" * 20, "-" + "9" * 19, "18446744073709551616", "NaN",
         "Infinity", "-Infinity", "true", "null", "nul", " ", "\n", "\t", "\r", "\x0b", "\xa0",
         "\ufeff", "\x00", "\x1f", "\x7f", "é", "🎉", r"\ud83d", r"\ude00", r"\uDE00", r"\u0000",
         r"\u12", r"\/", r"\x", "\\", "//", "'"]
    ),
    max_size=10,
).map("".join)  # fmt: skip
bodies = (
    st.binary(max_size=60)
    | tokens.map(str.encode)
    | tokens.map(lambda text: f'{{"a":"{text}"}}'.encode())
    | tokens.map(lambda text: f'{{"a":{text}}}'.encode("utf-16"))
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ).flatmap(lambda value: st.booleans().map(lambda flag: json.dumps(value, ensure_ascii=flag)))
    .map(lambda text: text.encode("utf-8", "surrogatepass"))
)  # fmt: skip


@pytest.fixture(scope="module")
def fast() -> Json:
    """Return JSON by orjson."""
    pytest.importorskip("orjson")
    return best_json()


def outcome(act: Callable[[], object]) -> str:
    """Return what comes of an act, with all types, and with the order of keys."""
    try:
        return repr(act())
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    """Return JSON that is so deep."""
    return (opening * levels + "1" + closing * levels).encode()


@given(values)
@settings(deadline=None)
def test_both_write_the_same(fast: Json, value: object) -> None:
    """Values that orjson treats differently are passed to `json`: same bytes, or the same error."""
    assert outcome(lambda: fast.dumps(value)) == outcome(lambda: STANDARD.dumps(value))


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("place", ["alone", "in an object", "in a list", "as an attribute"])
def test_both_write_unusual_values_the_same(fast: Json, value: object, place: str) -> None:
    """Floats, large integers, enums, subclasses, keys that are no text, dates, surrogates."""
    deep = {"alone": value, "in an object": {"a": value}, "in a list": ["a", [value]]}
    body = Holder(value) if place == "as an attribute" else deep[place]

    assert outcome(lambda: to_json(CONVERTER, body, json=fast)) == outcome(
        lambda: to_json(CONVERTER, body, json=STANDARD)
    )


@frozen
class Holder:
    """A class of another author."""

    value: Any


@pytest.mark.full
def test_both_write_every_character_the_same(fast: Json) -> None:
    """The same characters are escaped in the same way, in values and in keys."""
    texts = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

    assert fast.dumps(texts) == STANDARD.dumps(texts)
    assert fast.dumps(dict.fromkeys(texts, 1)) == STANDARD.dumps(dict.fromkeys(texts, 1))


@given(updates)
@settings(deadline=None)
def test_both_write_a_meeting_the_same(fast: Json, update: MeetingUpdate) -> None:
    """The JSON of a meeting does not depend on what is installed."""
    assert to_json(CONVERTER, update, json=fast) == to_json(CONVERTER, update, json=STANDARD)


@given(updates)
@settings(deadline=None)
def test_a_meeting_holds_nothing_but_text(update: MeetingUpdate) -> None:
    """This is what `texts_only` promises."""

    def check(value: Any) -> None:
        assert type(value) in {dict, list, str}
        for inner in value.values() if isinstance(value, dict) else value:
            if not isinstance(value, str):
                check(inner)

    check(CONVERTER.unstructure(update))


@pytest.mark.parametrize("title", [Text("held"), Word.ONE])
def test_text_by_inheritance_is_written_the_same(
    fast: Json, title: str, update: MeetingUpdate
) -> None:
    """A meeting may hold subclasses of `str`: what counts is what they hold."""
    changed = MeetingUpdate(
        start_time=update.start_time,
        end_time=update.end_time,
        organizer_email=update.organizer_email,
        invitees=[],
        title=title,
    )

    sent = to_json(CONVERTER, changed, json=fast)

    assert sent == to_json(CONVERTER, changed, json=STANDARD)
    assert json.loads(sent)["title"] in {"held", "one"}


@pytest.fixture
def update() -> MeetingUpdate:
    """Return a meeting."""
    return MeetingUpdate(
        start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
        end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
        organizer_email="dana@example.com",
        invitees=[],
    )


@given(bodies)
@settings(deadline=None, max_examples=500)
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":\xef\xbb\xbf1}')
@example(b'{"a":1,"b":2,"a":3}')
@example(b'{"a":NaN}')
@example(b'{"a":18446744073709551616}')
@example(b'{"a":-9999999999999999999}')
@example(b'{"a":-0}')
@example(b'{"a":1e400}')
@example(b'{"a":' + b"9" * 5000 + b"}")
@example(rb'{"a":"\ud83d"}')
@example(rb'{"a":"\ud83d\ude00"}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":"\xff"}')
@example(b'{"a":"\x00"}')
@example(b'{"a":1} x')
@example(b'{"a":1}\x00')
@example(b' \n{"a":1}\r\t ')
@example(b"")
def test_both_read_the_same(fast: Json, body: bytes) -> None:
    """Numbers keep their digits, keys their order, and errors are equal."""
    assert outcome(lambda: from_json(body, json=fast)) == outcome(
        lambda: from_json(body, json=STANDARD)
    )


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 250, 255, 900, 1000, 1023, 1025, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_both_read_what_is_deep_the_same(
    fast: Json, depth: int, opening: str, closing: str
) -> None:
    """Only `json` has a limit of nesting."""
    body = nested(depth, opening, closing)

    assert outcome(lambda: bool(fast.loads(body))) == outcome(lambda: bool(STANDARD.loads(body)))


@pytest.mark.parametrize("value", [{"a": "b"}, {"a": [1, True, None, {"b": "c"}]}, [], "text", 7])
def test_plain_values_are_passed_to_orjson(value: object) -> None:
    """The control: orjson is used."""
    fast = Json(fast_dumps=lambda _: b"written", fast_loads=lambda _: value)

    assert fast.dumps(value) == b"written"
    assert fast.loads(b"[0]") == value


@pytest.mark.parametrize("value", [1.0, [1.5], {"a": {"b": 0.5}}, (1,), {"a": Shy()}])
def test_unusual_values_are_not_passed_to_orjson(value: object) -> None:
    """Neither what is written nor what was read."""
    fast = Json(fast_dumps=lambda _: b"written", fast_loads=lambda _: value)

    assert fast.dumps(value) != b"written"
    assert fast.loads(b"[0]") == [0]


def test_without_orjson_there_is_json() -> None:
    """Without orjson, `json` does everything."""
    assert STANDARD.dumps({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert STANDARD.loads(b'{"a":1}') == {"a": 1}
