"""The meeting ids of a file: which stand twice, and which a program seems to have rounded.

A program that reads ids as numbers keeps 53 bits of them (a double), or 15 digits (a spreadsheet).
What is left looks like an id, and may be that of another meeting.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from math import exp, lgamma, log, log1p
from typing import TYPE_CHECKING

from attrs import define, field

from gong_async.inputs.findings import Finding, Note

if TYPE_CHECKING:
    from gong_async.inputs.temporary import Connection

TABLE = "CREATE TABLE id (line INTEGER PRIMARY KEY, meeting_id TEXT NOT NULL)"

_INDEX = "CREATE INDEX by_id ON id (meeting_id, line)"
_REPEATED = (
    "SELECT line, meeting_id, (SELECT first.line FROM id AS first "
    "WHERE first.meeting_id = id.meeting_id ORDER BY first.line LIMIT 1) FROM id WHERE EXISTS "
    "(SELECT 1 FROM id AS earlier WHERE earlier.meeting_id = id.meeting_id "
    "AND earlier.line < id.line) ORDER BY line"
)

_DOUBLE_BITS = 53
_DOUBLE_DIGITS = 17
_SHEET_DIGITS = 15
_BATCH = 1_000
_NO_CHANCE = 1e-6
_HARDLY_CHANCE = 1e-3
"""For zeros behind 15 digits, which are also what a person sees."""
_ENOUGH = 1e-9

_WORDS = {
    "zeros": f"ends in zeros after {_SHEET_DIGITS} digits, as if a spreadsheet had rounded it",
    "double": "is a number that a program keeps which reads ids as doubles",
    "shortest": "is how JavaScript writes a number that it has rounded to a double",
}

Group = tuple[str, int]
"""A way of rounding, and how many digits the ids have."""


@define(eq=False)
class Ids:
    """Keeps ids as they come in a temporary database, whose table is `TABLE`."""

    connection: Connection
    _new: list[tuple[int, str]] = field(factory=list, init=False)
    _all: Counter[Group] = field(factory=Counter, init=False)
    _expected: defaultdict[Group, float] = field(factory=lambda: defaultdict(float), init=False)
    """How many of them chance makes look rounded."""
    _rounded: Counter[Group] = field(factory=Counter, init=False)

    def add(self, line: int, meeting_id: str) -> None:
        """Take in the id of the row in that line."""
        self._new.append((line, meeting_id))
        if len(self._new) >= _BATCH:
            self._flush()

    def findings(self, *, exact: bool) -> Iterator[Finding]:
        """Yield the ids that were rounded, if chance cannot explain them; notes of all else.

        Args:
            exact: what looks rounded is known to be right.
        """
        self._flush()
        self.connection.execute(_INDEX)
        self._count()
        refused = (
            set() if exact else {group for group in self._rounded if self._is_no_chance(group)}
        )
        if refused:
            yield from self._rounded_rows(refused)
        elif not exact:
            yield from self._doubtful()
        yield from self._repeated()

    def _flush(self) -> None:
        self.connection.executemany("INSERT INTO id VALUES (?, ?)", self._new)
        self._new.clear()

    def _count(self) -> None:
        """Count each id once, in however many rows it is."""
        for (meeting_id,) in self.connection.execute("SELECT DISTINCT meeting_id FROM id"):
            for group, probability, rounded in _signs(meeting_id):
                self._all[group] += 1
                self._expected[group] += probability
                if rounded:
                    self._rounded[group] += 1

    def _is_no_chance(self, group: Group) -> bool:
        count, among = self._rounded[group], self._all[group]
        # Where the probabilities differ, their mean makes the chance rather too high.
        chance = chance_of(count, among, self._expected[group] / among)
        return chance < (_HARDLY_CHANCE if group[0] == "zeros" and count > 1 else _NO_CHANCE)

    def _rounded_rows(self, refused: set[Group]) -> Iterator[Finding]:
        for line, meeting_id in self.connection.execute("SELECT * FROM id ORDER BY line"):
            for group, _, rounded in _signs(meeting_id):
                if rounded and group in refused:
                    problem = f"{meeting_id} {_WORDS[group[0]]}"
                    advice = "chance does not explain how many do; export the ids as text"
                    yield Finding(line, "meeting_id", f"{problem}, and {advice}")
                    break

    def _doubtful(self) -> Iterator[Note]:
        """Yield a note for each way of rounding that some ids look like."""
        for kind, words in _WORDS.items():
            count = sum(found for group, found in self._rounded.items() if group[0] == kind)
            if count:
                line, meeting_id = self._first(kind)
                more = f" ({count:,} ids of the file do)" if count > 1 else ""
                problem = f"{meeting_id} {words}{more}; that may be chance: compare it with Gong"
                yield Note(line, "meeting_id", problem)

    def _first(self, kind: str) -> tuple[int, str]:
        for line, meeting_id in self.connection.execute("SELECT * FROM id ORDER BY line"):
            if any(rounded and group[0] == kind for group, _, rounded in _signs(meeting_id)):
                return line, meeting_id
        raise AssertionError(kind)

    def _repeated(self) -> Iterator[Note]:
        for line, meeting_id, first in self.connection.execute(_REPEATED):
            problem = f"meeting {meeting_id} stands in line {first} already"
            reported = f"{problem}; a job sends its last row only, unless it keeps their order"
            yield Note(line, "meeting_id", reported)


def chance_of(count: int, among: int, probability: float) -> float:
    """Return how probable it is that at least `count` of `among` things are so by chance."""
    if count <= among * probability:
        return 1.0
    term = exp(
        lgamma(among + 1)
        - lgamma(count + 1)
        - lgamma(among - count + 1)
        + count * log(probability)
        + (among - count) * log1p(-probability)
    )
    total = term
    for number in range(count, among):
        term *= (among - number) / (number + 1) * probability / (1 - probability)
        total += term
        if term < total * _ENOUGH:
            break
    return total


def _signs(meeting_id: str) -> Iterator[tuple[Group, float, bool]]:
    """Yield the ways in which a program could have rounded an id.

    With each, the probability that an id looks so by chance, and whether this one does.
    """
    digits = len(meeting_id)
    if digits <= _SHEET_DIGITS:
        return
    zeros = not meeting_id[_SHEET_DIGITS:].strip("0")
    yield ("zeros", digits), 10.0 ** (_SHEET_DIGITS - digits), zeros
    number = int(meeting_id)
    lost = number.bit_length() - _DOUBLE_BITS
    if lost > 0:
        probability = 2.0**-lost
        yield ("double", digits), probability, number % (1 << lost) == 0
        # No double is written with more than 17 digits.
        padded = not meeting_id[_DOUBLE_DIGITS:].strip("0")
        shortest = padded and int(Decimal(repr(float(number)))) == number
        yield ("shortest", digits), probability, shortest
