"""Groups the errors of a job, and removes personal data from their texts."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from gong_async import errors
from gong_async._redact import Redactor
from gong_async.bulk.store.job_file import JobFile
from gong_async.errors import ConflictError, GongError
from gong_async.resources.meetings import UPDATE

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

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
_PATH = re.compile(r"(?<![\w:/<])(?:[A-Za-z]:\\|\\\\|/(?=[^\s/]+/))[^\s'\"]*")
_SHORTEST = 3
"""Shorter texts may occur by chance."""
_BEGINNING = 16
"""Characters of a longer text that do not occur by chance."""
_CUT = "\u2026"
"""What a message ends with that is too long."""


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
    personal = () if body is None else tuple(_personal(json.loads(body)))
    folded = text.lower()
    found = {value: placeholder for value, placeholder in personal if value in folded}
    if found:
        # Longest first, so that a full name is replaced before its halves.
        ordered = sorted(found, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE)
        text = pattern.sub(lambda match: found.get(match[0].lower(), "<text>"), text)
    for value, placeholder in personal:
        text = _without_beginning(text, value, placeholder)
    return without_addresses(text)


def anonymous(text: str, body: bytes | None, journal: Path) -> str:
    """Return `text` as `impersonal` does, and without paths, which may name a user."""
    absolute = journal.absolute()
    # The longest first, and word by word, because the name of a directory may have blanks.
    for folder in (absolute, *absolute.parents, Path(os.path.expanduser("~"))):  # noqa: PTH111 - Path's own fails where there is no home
        if len(folder.parts) > 1:
            text = text.replace(str(folder), "<path>")
    return _PATH.sub("<path>", impersonal(text, body))


def _without_beginning(text: str, value: str, placeholder: str) -> str:
    """Return `text` without a value of which only the beginning is there, in a cut message."""
    folded = text.lower()
    if len(folded) != len(text):  # of some letters, the small one has two characters
        return text
    beginning = value[:_BEGINNING]
    if len(value) >= _BEGINNING and beginning in folded:
        start = folded.index(beginning)
        pairs = zip(folded[start:], value, strict=False)
        length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        rest = _without_beginning(text[start + length :], value, placeholder)
        return f"{text[:start]}{placeholder}{rest}"
    if folded.endswith(_CUT):
        for length in range(len(beginning), _SHORTEST - 1, -1):
            if folded.endswith(beginning[:length] + _CUT):
                return f"{text[: -length - len(_CUT)]}{placeholder}{_CUT}"
    return text


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
            # Error messages escape its control characters, and servers what HTML or JSON escape.
            escaped = (
                Redactor()(value, len(value) * 10),
                html.escape(value),
                json.dumps(value)[1:-1],
            )
            for text in dict.fromkeys(escaped):
                if text != value:
                    yield text.lower(), placeholder


_MOST_GROUPS = 50
_MOST_COUNTED = 2_000
"""Distinct texts that are counted: a server that varies its messages must not use all memory."""

_OTHERS = "other errors"
_SKIPPED = "Skipped"
_INTERRUPTED = "Interrupted"
_NO_ANSWER = "In doubt"
_RESUME = "Resume the job: items in doubt are sent again, unless they are too old"
_CAUSE = (
    "SELECT CASE WHEN reason = 'organizer' THEN 'Skipped' ELSE coalesce(error, 'In doubt') END, "
    "CASE WHEN reason = 'organizer' THEN coalesce(problem, message) ELSE message END, "
)
_WRONG = "WHERE state IN ('failed', 'in_doubt') OR reason = 'organizer' "
_REASONS = (
    f"{_CAUSE}count(*), min(item_index) "
    "FROM item JOIN organizer ON organizer.number = item.organizer "
    f"{_WRONG}GROUP BY 1, 2 ORDER BY 4"
)
_REASONS_WITH_BODIES = (
    f"{_CAUSE}item_index, body FROM item JOIN organizer ON organizer.number = item.organizer "
    f"LEFT JOIN content USING (item_index) {_WRONG}ORDER BY item_index"
)


@frozen(kw_only=True)
class ErrorGroup:
    """Items that failed, are in doubt, or were skipped for the same reason."""

    text: str
    """Class and message of the error, without what differs from item to item."""
    items: int
    first: int
    """Index of the first of them."""
    hint: str
    """What to do next, as a sentence; may be empty."""

    @property
    def kind_and_message(self) -> tuple[str, str]:
        """The two parts of the text; the message may be empty."""
        kind, _, message = self.text.partition(": ")
        return kind, message


def error_groups(job: JobFile) -> list[ErrorGroup]:
    """Return why items failed, are in doubt, or were skipped; rare reasons are one group.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    with job.reading() as connection:
        return read_groups(connection, job.path, personal=True)


def read_groups(connection: Connection, journal: Path, *, personal: bool) -> list[ErrorGroup]:
    """Return the groups from a snapshot of a journal.

    `personal` says whether titles, names and paths may occur in the texts; addresses never do.
    """
    if personal:
        return grouped(connection.execute(_REASONS))
    return grouped(_impersonal_reasons(connection, journal))


def _impersonal_reasons(
    connection: Connection, journal: Path
) -> Iterator[tuple[str, str | None, int, int]]:
    for kind, message, index, body in connection.execute(_REASONS_WITH_BODIES):
        text = None if message is None else anonymous(message, body, journal)
        yield kind, text, 1, index


def grouped(rows: Iterable[tuple[str, str | None, int, int]]) -> list[ErrorGroup]:
    """Group rows of class, message, number of items, and index of the first item."""
    groups: dict[str, ErrorGroup] = {}
    for kind, message, items, first in rows:
        text = normalised(f"{kind}: {message or 'the job stopped before an answer came'}")
        hint = _hint(kind)
        if text not in groups and len(groups) >= _MOST_COUNTED:
            text, hint = _OTHERS, ""
        _add(groups, ErrorGroup(text=text, items=items, first=first, hint=hint))
    others = groups.pop(_OTHERS, None)
    ordered = sorted(groups.values(), key=lambda group: (-group.items, group.first))
    rest: dict[str, ErrorGroup] = {} if others is None else {_OTHERS: others}
    for group in ordered[_MOST_GROUPS:]:
        _add(rest, evolve(group, text=_OTHERS, hint=""))
    return [*ordered[:_MOST_GROUPS], *rest.values()]


def _add(groups: dict[str, ErrorGroup], more: ErrorGroup) -> None:
    group = groups.get(more.text)
    if group is not None:
        first = min(group.first, more.first)
        more = evolve(group, items=group.items + more.items, first=first)
    groups[more.text] = more


def _hint(kind: str) -> str:
    if kind == _SKIPPED:
        return UPDATE.hints[ConflictError]
    if kind in {_INTERRUPTED, _NO_ANSWER}:
        return _RESUME
    cls = getattr(errors, kind, None)
    if not (isinstance(cls, type) and issubclass(cls, GongError)):
        return ""
    return UPDATE.hints.get(cls, cls.hint)
