"""JSON as bytes: by orjson where it is installed and cannot differ, by Python's own `json` else.

orjson is several times as fast and has other opinions: on floats and large integers, on enums, on
dates, on how deep a document may be. So it is given only what both write and read alike, and
whatever it refuses is left to `json`, which decides what is right and what is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from attrs import field, frozen

_ALIKE = frozenset({str, int, bool, type(None)})
"""What both write and read alike. Integers of more than 64 bits are refused when written, and
become floats when read."""
_MOST_LEVELS = 8
"""Our bodies and Gong's answers have fewer; nesting is followed no deeper."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


@frozen
class Json:
    """Writes and reads JSON; without a fast writer and reader by Python's own `json` alone."""

    _fast_dumps: Callable[[Any], bytes] | None = field(default=None, alias="fast_dumps")
    _fast_loads: Callable[[bytes], Any] | None = field(default=None, alias="fast_loads")

    def dumps(self, value: object, *, texts_only: bool = False) -> bytes:
        """Return a value as UTF-8, compact, without NaN.

        `texts_only` says that nothing but dicts, lists and text is in it, which then need not be
        seen to.

        Raises:
            TypeError: something in it has no JSON form.
            ValueError: NaN, an infinite number, a lone surrogate, or something that holds itself.
            RecursionError: nested too deeply.
        """
        if self._fast_dumps is not None and (texts_only or _is_alike(value)):
            try:
                return self._fast_dumps(value)
            except (TypeError, ValueError):
                pass  # a large integer, a key that is no text, a lone surrogate
        return _ENCODER.encode(value).encode()

    def loads(self, body: bytes) -> object:
        """Return what a body says. Numbers keep all digits; the last of equal keys wins.

        Raises:
            ValueError: not JSON, or JSON that no honest server sends (NaN, endless nesting).
        """
        if self._fast_loads is not None:
            try:
                found = self._fast_loads(body)
            except ValueError:
                pass  # another encoding than UTF-8, half a character, or no JSON
            else:
                if _is_alike(found):
                    return found
        return _loads(body)


def _is_alike(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Say whether a value is written and read by both alike, as far as that is easy to see."""
    kind = type(value)  # exactly: subclasses may show `json` something else than they hold
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
    # Decoded here, because `json` lets bytes pass that are half a character.
    usual = body.startswith(b'{"')  # which is UTF-8 then, and has nothing before it
    text = body.decode() if usual else body.decode(json.detect_encoding(body))
    try:
        parsed, end = _DECODER.raw_decode(text) if usual else (None, -1)
        if end != len(text):
            parsed = _DECODER.decode(text)
        # `\ud83d` alone is legal JSON but no legal text: it would break whatever it is written to.
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
    """Return what is fastest of what is installed."""
    try:
        import orjson  # noqa: PLC0415 - it is an extra
    except ImportError:
        return Json()
    return Json(orjson.dumps, orjson.loads)


FASTEST = best_json()
"""What everybody uses who does not say otherwise."""


def from_json(body: bytes, *, json: Json = FASTEST) -> object:
    """Return what a body says. Numbers keep all digits; the last of equal keys wins.

    Raises:
        ValueError: not JSON, or JSON that no honest server sends (NaN, endless nesting).
    """
    return json.loads(body)
