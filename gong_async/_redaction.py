"""Text from outside made safe to show: no secrets, no control characters, no endless lines."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

from gong_async._secret import MASK, Secret

TEXT_LIMIT = 500
"""The most characters of one foreign text that an error keeps."""

_SHORTEST_SECRET = 4
_MOST_REMEMBERED = 64


def _spellings(secret: str) -> set[str]:
    """The ways in which a server or a proxy may echo a secret."""
    raw = secret.encode()
    return {
        secret,
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
    }


def _visible(character: str) -> str:
    # Cc: C0 and C1 controls (terminal escapes, line breaks); Cf: bidi overrides and other
    # invisible marks; Cs: lone surrogates, which no file could be written with.
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character


class Redactor:
    """Cleans foreign text for errors and logs of one client.

    `secrets` that change while the client lives, such as tokens, are given as a function, which is
    asked before every use. What it told before is masked, too: an answer may echo a token that was
    renewed since.
    """

    __slots__ = (
        "__weakref__",
        "_longest",
        "_pattern",
        "_remembered",
        "_secrets",
        "_shortest",
        "_told",
    )

    def __init__(self, secrets: Iterable[Secret] | Callable[[], Iterable[Secret]] = ()) -> None:
        fixed = () if callable(secrets) else tuple(secrets)
        self._secrets: Callable[[], Iterable[Secret]] = (
            secrets if callable(secrets) else lambda: fixed
        )
        self._told: tuple[Secret, ...] = ()
        self._remembered: list[Secret] = []
        self._pattern: re.Pattern[str] | None = None
        self._longest = self._shortest = 1

    def __call__(self, text: str, limit: int = TEXT_LIMIT) -> str:
        """Return `text` with secrets masked, controls escaped, at most `limit` characters."""
        shown = self.mask(text)[: limit + 1]
        if not shown.isprintable():  # it is, with few exceptions
            shown = "".join(map(_visible, shown))
        return shown if len(shown) <= limit else shown[: limit - 1] + "…"

    def excerpt(self, body: bytes, limit: int) -> str:
        """Return the beginning of a body, cleaned; a secret is never cut before it is masked."""
        self._compile()
        # So much that its masked text is longer than what is shown, were it nothing but secrets:
        # of one that lies across the end nothing is left then. A character takes up to 4 bytes.
        enough = 4 * (limit + 1) * self._longest
        return self(body[:enough].decode(errors="replace"), limit)

    def mask(self, text: str) -> str:
        """Return `text` with secrets masked, and otherwise as it is."""
        pattern = self._compile()
        return text if len(text) < self._shortest else pattern.sub(MASK, text)

    def _compile(self) -> re.Pattern[str]:
        told = tuple(self._secrets())
        if self._pattern is None or not (told is self._told or told == self._told):
            self._told = told
            before = [secret for secret in self._remembered if secret not in told]
            # The newest last; what is told now is always kept.
            self._remembered = [*before[-_MOST_REMEMBERED:], *told]
            found = {
                spelling
                for secret in self._remembered
                for spelling in _spellings(secret.reveal())
                if len(spelling) >= _SHORTEST_SECRET
            }
            # Longest first, so that the pair is masked before its halves.
            ordered = sorted(found, key=len, reverse=True)
            self._longest = max(map(len, found), default=1)
            self._shortest = min(map(len, found), default=1)
            self._pattern = re.compile("|".join(map(re.escape, ordered)) or r"(?!)", re.IGNORECASE)
        return self._pattern
