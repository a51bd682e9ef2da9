"""Secrets, and redaction of untrusted text.

`Secret` wraps a value that is never shown. `hide_locals` keeps the variables of a function out of
tracebacks. `Redactor` replaces secrets and control characters in
untrusted text. The log filter applies it to every record of this package's logger.
"""

from __future__ import annotations

import base64
import functools
import gc
import hmac
import html
import inspect
import json
import logging
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar, NoReturn, TypeVar, cast
from urllib.parse import quote, quote_plus
from weakref import WeakSet

F = TypeVar("F", bound=Callable[..., Any])

REDACTED = "***"


class Secret:
    """A string whose value never appears in `repr`, `str`, `format`, `vars` or a pickle.

    It is not hashable: a hash would help to guess short secrets.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def of(cls, value: str | Secret) -> Secret:
        """Wrap `value` unless it is already a `Secret`."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the value; call this only where it is sent."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{REDACTED}')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (one.reveal().encode(errors="surrogatepass") for one in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        msg = "a Secret cannot be pickled"
        raise TypeError(msg)

    def __getstate__(self) -> NoReturn:
        msg = "a Secret does not expose its state"
        raise TypeError(msg)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class PinnedSecret(Secret):
    """An `Authorization` header that is valid for one base URL, and must be sent to no other."""

    __slots__ = ("base_url",)

    def __init__(self, value: str, base_url: str) -> None:
        super().__init__(value)
        self.base_url = base_url


class RedactedHeader(str):
    """A header value that is sent as it is and redacted when headers are printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{REDACTED}'"

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        msg = "a credential cannot be pickled"
        raise TypeError(msg)


def hide_locals(function: F) -> F:
    """Decorate a function, async or not, whose variables may hold secrets as plain text.

    Error trackers show the locals of every frame of a traceback, and the values of suppressed
    contexts. An exception that leaves the function keeps its lines and loses both.
    """

    def hide(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised below
            failure = error
        del args, kwargs
        try:
            raise _without_locals(failure)
        finally:
            del failure  # it would hold this frame, and this frame it

    async def hide_async(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised below
            failure = error
        del args, kwargs
        try:
            raise _without_locals(failure)
        finally:
            del failure

    wrapper = hide_async if inspect.iscoroutinefunction(function) else hide
    return cast("F", functools.wraps(function)(wrapper))


def _without_locals(error: BaseException) -> BaseException:
    """Clear the locals of the frames of an exception and of those that led to it.

    A frame that still runs or waits is left alone: a task of the caller's own may have kept one of
    these exceptions and gone on.
    """
    waiting: list[BaseException | None] = [error]
    known: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in known:
            continue
        known.add(id(one))
        if one.__suppress_context__:
            one.__context__ = None
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if _may_be_cleared(frame):
                with suppress(RuntimeError):  # it still runs or waits
                    frame.clear()
        waiting += (one.__cause__, one.__context__)
    return error


def _may_be_cleared(frame: FrameType) -> bool:
    """Return whether clearing a frame has no effect but to clear it, or to raise `RuntimeError`."""
    # Before Python 3.13, it ends a coroutine that waits, and the task of that never goes on. But
    # only when its function has ended does a frame own its variables, and with them its code.
    return sys.version_info >= (3, 13) or frame.f_code in gc.get_referents(frame)


TEXT_LIMIT = 500
"""Characters of one untrusted text that an error keeps at most."""

_SHORTEST_SECRET = 4
_MOST_REMEMBERED = 64
_WINDOW = 64 * 1024
"""Characters of a text that are searched at least, when only its beginning is shown."""

_ESCAPE_SIGNS = re.compile(r"[\\&%\0]")
_ESCAPE = re.compile(
    r"""\\+(?:u([0-9a-f]{4})|u\{0*([0-9a-f]{1,6})\}|x([0-9a-f]{2})|(["'/\\]))"""
    r"|&(?:\#x0*([0-9a-f]{1,6});?|\#0*([0-9]{1,7});?|([a-z][a-z0-9]{1,30};?))"
    r"|%(?:25)*(?:u([0-9a-f]{4})|([0-9a-f]{2}))"
    r"|\0",
    re.IGNORECASE,
)
"""One character as JSON, JavaScript, HTML or a URL may write it, doubly or more often, too. An
ampersand of HTML is undone by itself, and the entity that it begins in the next round: its
semicolon may be an entity, too. The zero bytes are those of ASCII text in UTF-16."""
_MOST_ROUNDS = 10
"""Levels of nested escapes that are decoded."""


def _spellings(secret: str) -> set[str]:
    """The ways in which a server or a proxy may echo a secret."""
    raw = secret.encode()
    encoded = {
        secret,
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        # These differ by more than escapes of single characters: a `+` for a blank, UTF-8.
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
    }
    return encoded | {_unescaped(spelling)[0] for spelling in encoded}


def _character(match: re.Match[str]) -> str:
    """Return the character of an escape sequence."""
    unicode, braced, byte, itself, entity, decimal, name, wide, percent = match.groups()
    if itself:
        return itself
    if name:
        return html.unescape(f"&{name}")
    if digits := unicode or braced or byte or entity or wide or percent:
        number = int(digits, 16)
    elif decimal:
        number = int(decimal)
    else:
        return ""
    return chr(number) if number <= sys.maxunicode else "\ufffd"


def _unescaped(text: str) -> tuple[str, list[int], list[int]]:
    """Return `text` without any escapes, and where each of its characters began and ended."""
    begins, ends = list(range(len(text))), list(range(1, len(text) + 1))
    for _ in range(_MOST_ROUNDS):
        plain: list[str] = []
        new_begins: list[int] = []
        new_ends: list[int] = []
        done = 0
        for match in _ESCAPE.finditer(text):
            start, end = match.span()
            character = _character(match)
            if character == match[0]:
                continue  # looks like an entity but is none
            plain += text[done:start], character
            new_begins += begins[done:start] + [begins[start]] * len(character)
            new_ends += ends[done:start] + [ends[end - 1]] * len(character)
            done = end
        if not done:
            break
        plain.append(text[done:])
        new_begins += begins[done:]
        new_ends += ends[done:]
        text, begins, ends = "".join(plain), new_begins, new_ends
    return text, begins, ends


def _shortest_parts(spellings: Collection[str]) -> tuple[str, ...]:
    """Return the spellings, in lower case, that hold none of the others.

    Any text holds what is returned if one of them is not ASCII: some of those characters have
    an ASCII letter for their other case.
    """
    if not all(map(str.isascii, spellings)):
        return ("",)
    parts: list[str] = []
    for spelling in sorted({one.lower() for one in spellings}, key=len):
        if not any(part in spelling for part in parts):
            parts.append(spelling)
    return tuple(parts)


def _visible(character: str) -> str:
    # Cc: C0 and C1 controls (terminal escapes, line breaks); Cf: bidi overrides and other
    # invisible marks; Cs: lone surrogates, which no file could be written with.
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character


class Redactor:
    """Redacts untrusted text for the errors and logs of one client.

    Pass `secrets` that change, such as tokens, as a function; it is called before every use. Its
    earlier secrets are redacted, too: a response may echo a token that was renewed since.
    """

    __slots__ = (
        "__weakref__",
        "_known",
        "_longest",
        "_needles",
        "_pattern",
        "_remembered",
        "_secrets",
        "_shortest",
    )

    def __init__(self, secrets: Iterable[Secret] | Callable[[], Iterable[Secret]] = ()) -> None:
        fixed = () if callable(secrets) else tuple(secrets)
        self._secrets: Callable[[], Iterable[Secret]] = (
            secrets if callable(secrets) else lambda: fixed
        )
        self._known: tuple[Secret, ...] = ()
        self._remembered: list[Secret] = []
        self._pattern = re.compile(r"(?!)")
        self._longest = self._shortest = 1
        self._needles: tuple[str, ...] = ()
        """A text in ASCII that holds none of these, in lower case, holds no spelling."""

    def __call__(self, text: str, limit: int = TEXT_LIMIT) -> str:
        """Return `text` with secrets redacted, controls escaped, at most `limit` characters."""
        redacted = (
            self.replace(text) if len(text) <= _WINDOW else self._replace_beginning(text, limit)
        )
        shown = redacted[: limit + 1]
        if not shown.isprintable():  # it is, with few exceptions
            shown = "".join(map(_visible, shown))
        return shown if len(shown) <= limit else shown[: limit - 1] + "…"

    def excerpt(self, body: bytes, limit: int) -> str:
        """Return the beginning of a body, redacted; a secret is redacted before the text is cut."""
        # A character takes up to 4 bytes.
        return self(body[: 4 * self._window(limit) + 4].decode(errors="replace"), limit)

    def _window(self, limit: int) -> int:
        """Return how much of a text is searched when `limit` characters of it are shown.

        Enough that the redacted text is longer than `limit` even if it consists of secrets only.
        """
        self._refresh()
        return max(_WINDOW, 4 * (limit + 1) * self._longest)

    def _replace_beginning(self, text: str, limit: int) -> str:
        if len(text) <= (window := self._window(limit)):
            return self.replace(text)
        # What the cut leaves of a secret lies behind the last whole one, near the end. An escaped
        # character takes several; the mark says that something was left out.
        return self._replace(text[:window], window // 2) + "…"

    def replace(self, text: str) -> str:
        """Return `text` with secrets redacted, however they are spelled, and otherwise as it is."""
        if self._secrets() is not self._known:
            self._refresh()
        if len(text) < self._shortest:
            return text
        pattern = self._pattern
        if text.isascii() and (text.isalnum() or not _ESCAPE_SIGNS.search(text)):
            # The pattern, which tries every spelling at every character, takes ten times as long.
            lowered = text.lower()
            for needle in self._needles:
                if needle in lowered:
                    return pattern.sub(REDACTED, text)
            return text
        if not _ESCAPE_SIGNS.search(text):
            return pattern.sub(REDACTED, text)
        return self._replace(text)

    def _replace(self, text: str, surplus: int = 0) -> str:
        """Return `text` redacted, without its last `surplus` characters that are no secrets."""
        self._refresh()
        pattern = self._pattern
        spans = [match.span() for match in pattern.finditer(text)]
        plain, begins, ends = _unescaped(text)
        spans += [(begins[one.start()], ends[one.end() - 1]) for one in pattern.finditer(plain)]
        redacted: list[str] = []
        done = 0
        for start, end in sorted(spans):
            if start >= done:
                redacted += (text[done:start], REDACTED)
            done = max(done, end)
        return "".join(redacted) + text[done : max(done, len(text) - surplus)]

    def _refresh(self) -> None:
        """Compile the pattern, unless the secrets are the same as before."""
        reported = tuple(self._secrets())
        if reported is not self._known and reported != self._known:
            self._known = reported
            before = [secret for secret in self._remembered if secret not in reported]
            # The newest last; current secrets are always kept.
            self._remembered = [*before[-_MOST_REMEMBERED:], *reported]
            found = {
                spelling
                for secret in self._remembered
                for spelling in _spellings(secret.reveal())
                if len(spelling) >= _SHORTEST_SECRET
            }
            # Longest first, so that the pair is redacted before its halves.
            ordered = sorted(found, key=len, reverse=True)
            self._longest = max(map(len, found), default=1)
            self._shortest = min(map(len, found), default=1)
            self._needles = _shortest_parts(found)
            self._pattern = re.compile("|".join(map(re.escape, ordered)) or r"(?!)", re.IGNORECASE)


class RedactingFilter(logging.Filter):
    """Log filter that redacts the secrets of all live clients, in messages and tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.redactors: WeakSet[Redactor] = WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without the secrets in it."""
        message = record.getMessage()
        redacted = self._replace(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        if record.exc_info and not record.exc_text:
            # Handlers use this text instead of formatting the exception.
            record.exc_text = self._replace(logging.Formatter().formatException(record.exc_info))
        return True

    def _replace(self, text: str) -> str:
        for redact in list(self.redactors):
            text = redact.replace(text)
        return text


def redact_log(redact: Redactor) -> None:
    """Redact this package's log with `redact`, for as long as it is referenced."""
    logger = logging.getLogger("gong_async")
    installed = (known for known in logger.filters if isinstance(known, RedactingFilter))
    found = next(installed, None)
    if found is None:
        found = RedactingFilter()
        logger.addFilter(found)
    found.redactors.add(redact)
