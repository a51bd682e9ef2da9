"""JSON as bytes: with orjson where it is installed and cannot differ, else with Python's `json`.

orjson is several times as fast but handles floats, large integers, enums, dates and deep nesting
differently. So it gets only values that both treat alike, and whatever it rejects is passed to
`json`, which decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from attrs import field, frozen

_ALIKE = frozenset({str, int, bool, type(None)})
"""Types that both treat alike. orjson rejects integers of more than 64 bits when writing, and
reads them as floats."""
_MOST_LEVELS = 8
"""Nesting is checked no deeper; our bodies and Gong's responses have fewer levels."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


@frozen
class Json:
    """Writes and reads JSON, with Python's `json` alone unless fast functions are given."""

    _fast_dumps: Callable[[Any], bytes] | None = field(default=None, alias="fast_dumps")
    _fast_loads: Callable[[bytes], Any] | None = field(default=None, alias="fast_loads")

    def dumps(self, value: object, *, texts_only: bool = False) -> bytes:
        """Return a value as UTF-8, compact, without NaN.

        `texts_only` promises that it contains only dicts, lists and strings, which skips a check.

        Raises:
            TypeError: a value cannot be represented in JSON.
            ValueError: NaN, an infinite number, a lone surrogate, or a circular reference.
            RecursionError: nested too deeply.
        """
        if self._fast_dumps is not None and (texts_only or _is_alike(value)):
            try:
                return self._fast_dumps(value)
            except (TypeError, ValueError):
                pass  # a large integer, a key that is not a string, a lone surrogate
        return _ENCODER.encode(value).encode()

    def loads(self, body: bytes) -> object:
        """Parse a body. Numbers keep all digits; the last of duplicate keys wins.

        Raises:
            ValueError: not JSON, NaN, or nested too deeply.
        """
        if self._fast_loads is not None:
            try:
                found = self._fast_loads(body)
            except ValueError:
                pass  # not UTF-8, an incomplete character, or not JSON
            else:
                if _is_alike(found):
                    return found
        return _loads(body)


def _is_alike(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Return whether both libraries treat a value alike; False if that is not easy to see."""
    kind = type(value)  # exactly: `json` may see something else in subclasses
    items: Iterable[object]
    if kind is dict:
        items = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _ALIKE
    if not levels:
        return False
    for item in items:  # noqa: SIM110 - a generator would take twice as long
        if type(item) not in _ALIKE and not _is_alike(item, levels - 1):
            return False
    return True


def _loads(body: bytes) -> object:
    # Decoded here, because `json` accepts incomplete characters.
    usual = body.startswith(b'{"')  # UTF-8 without a byte order mark
    text = body.decode() if usual else body.decode(json.detect_encoding(body))
    try:
        parsed, end = _DECODER.raw_decode(text) if usual else (None, -1)
        if end != len(text):
            parsed = _DECODER.decode(text)
        # `\ud83d` alone is legal JSON but not legal text: it cannot be encoded for any output.
        if "\\u" in text and _ESCAPED_SURROGATE.search(text):
            return _replace_surrogates(parsed)
        return parsed
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _replace_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_replace_surrogates(item) for item in value]
        case dict():
            return {
                _replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()
            }
        case _:
            return value


def best_json() -> Json:
    """Return the fastest JSON implementation that is installed."""
    try:
        import orjson  # noqa: PLC0415 - it is an extra
    except ImportError:
        return Json()
    return Json(orjson.dumps, orjson.loads)


FASTEST = best_json()
"""The default implementation."""


def from_json(body: bytes, *, json: Json = FASTEST) -> object:
    """Parse a body. Numbers keep all digits; the last of duplicate keys wins.

    Raises:
        ValueError: not JSON, NaN, or nested too deeply.
    """
    return json.loads(body)
