"""The columns of an input file: which name in it stands for which field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import define, field

from gong_async.errors import ConfigurationError
from gong_async.inputs.findings import Finding, Note

REQUIRED = ("meeting_id", "start_time", "end_time", "organizer_email", "invitees")
"""Columns that every file has. `invitees` may be empty, but an update without it clears them."""

OPTIONAL = ("title", "external_id", "provider")
"""Columns that may be left out, and whose values may be empty."""

_PERSON = ("email", "display_name", "first_name", "last_name")
_MARKS = re.compile(r"[\s_\u2010-\u2015-]+")
_MOST_SHOWN = 40
_MOST_NAMES = 10
_MOST_NOTED = 1_000
_NEAR = 0.7
_OTHER_WORDS: Mapping[str, str] = {
    word: name
    for name, words in {
        "title": "subject topic summary meetingtitle meetingname eventtitle eventname betreff",
        "invitees": "attendees participants guests",
        "organizer_email": "organizer organiser host owner",
        "start_time": "start begin startsat startdate",
        "end_time": "end endsat enddate finish",
    }.items()
    for word in words.split()
}
"""Names that other programs give to columns. They are suggested, never taken for granted."""


def fold(name: str) -> str:
    """Return a name without case, blanks, dashes and underscores: `Start Time` is `starttime`."""
    return _MARKS.sub("", name).casefold()


FIELDS: Mapping[str, str] = {fold(name): name for name in (*REQUIRED, *OPTIONAL)}
"""The fields of a meeting by their folded names, which are those of Gong's API as well."""

PERSON_FIELDS: Mapping[str, str] = {fold(name): name for name in _PERSON}


def unknown(name: str, known: Mapping[str, str] = FIELDS) -> str:
    """Say that a name is not known, and which known one was probably meant."""
    near = _near(name, known)
    known_names = ", ".join(known.values())
    advice = f"did you mean {near}?" if near else f"known are {known_names}"
    return f"{_shown(name)} is not known; {advice}"


def _near(name: str, known: Mapping[str, str]) -> str | None:
    folded = fold(name)
    other = _OTHER_WORDS.get(folded)
    if other is not None and other in known.values():
        return other
    found = difflib.get_close_matches(folded[:_MOST_SHOWN], known, n=1, cutoff=_NEAR)
    return known[found[0]] if found else None


def _shown(name: str) -> str:
    return repr(name[:_MOST_SHOWN])


def folded_map(columns: Mapping[str, str]) -> dict[str, str]:
    """Return a map of columns by folded names, with Python names of fields, or "" to ignore one.

    Raises:
        ConfigurationError: a field does not exist, or one column is mapped twice.
    """
    found: dict[str, str] = {}
    for name, target in columns.items():
        known = FIELDS.get(fold(target)) if target.strip() else ""
        if known is None:
            raise ConfigurationError(f"the column {_shown(name)} is mapped, but {unknown(target)}")
        if not fold(name) or found.setdefault(fold(name), known) != known:
            raise ConfigurationError(f"the column {_shown(name)} is mapped to nothing or twice")
    return found


@define(eq=False)
class Columns:
    """The columns of one file while it is read."""

    given: Mapping[str, str] = field(factory=dict)
    """Fields by other names, or "" for a name to ignore."""
    strict: bool = False
    """Refuse what is not known."""
    remedy: bool = True
    """Name the option that maps a column."""
    mapped: Mapping[str, str] = field(init=False)
    names: dict[str, str] = field(factory=dict, init=False)
    """How the file names fields that are mapped."""
    met: set[str] = field(factory=set, init=False)
    """Folded names that are mapped, and were found in the file."""
    _noted: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.mapped = folded_map(self.given)

    def field_of(self, name: str) -> str | None:
        """Return the field of a column, "" for one to ignore, None for an unknown one."""
        folded = fold(name)
        mapped = self.mapped.get(folded)
        if mapped is None:
            return FIELDS.get(folded)
        self.met.add(folded)
        if mapped and fold(mapped) != folded:
            self.names[mapped] = name.strip()
        return mapped

    def missing(self, present: Iterable[str], kind: str = "column") -> Iterator[str]:
        """Yield what is wrong where a name is mapped that a file does not have."""
        folded = {fold(name) for name in present}
        for name, target in self.given.items():
            if target and fold(name) not in folded:
                yield f"the {kind} {_shown(name)} is missing, which is mapped to {target}"

    def unknown(
        self, names: Iterable[str], present: Collection[str | None], *, line: int, kind: str
    ) -> Iterator[Finding]:
        """Yield what to do about names that are not known: refuse or ignore them.

        A name that is nearly that of a field which is not there is refused: an update without the
        field would erase it.
        """
        ignored: list[str] = []
        for name in names:
            near = _near(name, FIELDS)
            if self.strict or (near is not None and near not in present):
                problem = f"the {kind} {unknown(name)}"
                yield Finding(line, None, problem + self._remedy(name, near))
            elif name not in self._noted and len(self._noted) < _MOST_NOTED:
                self._noted.add(name)
                ignored.append(_shown(name))
        if ignored:
            more = f" and {len(ignored) - _MOST_NAMES:,} more" if len(ignored) > _MOST_NAMES else ""
            shown = ", ".join(ignored[:_MOST_NAMES]) + more
            what = f"the {kind} {shown} is" if len(ignored) == 1 else f"the {kind}s {shown} are"
            yield Note(line, None, f"{what} not known, and ignored")

    def _remedy(self, name: str, near: str | None) -> str:
        if not self.remedy:
            return ""
        ignored = f"{_shown(name + '=')} to ignore it"
        if near is None:
            return f"; map it (--map, columns=): {ignored}"
        return f" Rename it, or map it (--map, columns=): {_shown(f'{name}={near}')}, or {ignored}"
