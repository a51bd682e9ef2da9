"""Removes addresses, names and titles from the texts of errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from gong_async._redact import Redactor

_EMAIL = re.compile(
    r"""(?<![^\s@<>"'(),;:=/?&\[\]])[^\s@<>"'(),;:=/?&\[\]]+(?:@|%40)[^\s@<>"'(),;:=/?&\[\]]+""",
    re.IGNORECASE,
)
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*"), "<time>"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f][0-9a-f-]{7,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d{4,}"), "<id>"),
)
_PERSONAL = {
    "title": "<title>",
    "externalId": "<id>",
    "displayName": "<name>",
    "firstName": "<name>",
    "lastName": "<name>",
    "email": "<email>",
    "organizerEmail": "<email>",
}
_SHORTEST = 3
"""Shorter texts may occur by chance."""


def without_addresses(text: str) -> str:
    """Return `text` with each e-mail address, also of a link, replaced."""
    return _EMAIL.sub("<email>", text)


def normalised(text: str) -> str:
    """Return `text` without what differs from item to item: addresses, times and ids."""
    text = without_addresses(text)
    for pattern, placeholder in _VARYING:
        text = pattern.sub(placeholder, text)
    return text


def impersonal(text: str, body: bytes | None) -> str:
    """Return `text` without addresses, and without the title and the names of a meeting's body."""
    folded = text.lower()
    found = {
        value: placeholder
        for value, placeholder in (() if body is None else _personal(json.loads(body)))
        if value in folded
    }
    if found:
        # Longest first, so that a full name is replaced before its halves.
        ordered = sorted(found, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE)
        text = pattern.sub(lambda match: found.get(match[0].lower(), "<text>"), text)
    return without_addresses(text)


def _personal(value: object, placeholder: str | None = None) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _personal(inner, _PERSONAL.get(key))
        case list():
            for inner in value:
                yield from _personal(inner)
        case str() if placeholder is not None and len(value) >= _SHORTEST:
            yield value.lower(), placeholder
            if not value.isprintable():
                # Error messages escape its control characters.
                yield Redactor()(value, len(value) * 10).lower(), placeholder
