"""One word, one meaning: words that the field's own terms have replaced do not come back."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("gong_async", "tests", "benchmarks", "examples", "tools", "docs", ".ci")
SUFFIXES = frozenset({".py", ".pyi", ".md", ".sql", ".lua", ""})
FILES = sorted(
    {
        *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")),
        *ROOT.glob("*.md"),
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
    }
    - {Path(__file__)}
)

TEXTS = [
    path
    for path in FILES
    if (path.suffix in SUFFIXES or path.name == "pyproject.toml")
    and path.is_file()
    and "results" not in path.parts
]

NAMES = frozenset(
    {"desk", "keeper", "gate", "clerk", "crowd", "seat", "lane", "turn", "witness", "lifeline"}
    | {"pulse", "patience", "wear", "road", "course", "walk_in"}
)
"""Not in identifiers: permit, limit store, limiter, priority, heartbeat, deadline and `max_wait`
say what these said."""

PROSE = re.compile(
    r"(?<![a-z.])(tells?|told|shall|nobody|somebody|whoever|make-believe|roads?)(?![a-z])",
    re.IGNORECASE,
)
"""Not in prose, output and the names of tests: programs emit, report, return and raise."""


def place(path: Path) -> str:
    """Return where a file lies in the project."""
    return path.relative_to(ROOT).as_posix()


def words_of(name: str) -> set[str]:
    """Return the words that an identifier is made of, in lower case, and itself."""
    return {
        name.strip("_").lower(),
        *(word.lower() for word in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)),
    }


def names_in(path: Path) -> Iterator[str]:
    """Yield the identifiers of a Python file."""
    with tokenize.open(path) as opened:
        for token in tokenize.generate_tokens(opened.readline):
            if token.type == tokenize.NAME:
                yield token.string


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".py"], ids=place)
def test_identifiers_speak_the_language_of_the_field(path: Path) -> None:
    """A permit is a permit, a priority a priority."""
    assert {name for name in names_in(path) if words_of(name) & NAMES} == set()


@pytest.mark.parametrize("path", TEXTS, ids=place)
def test_prose_speaks_the_language_of_the_field(path: Path) -> None:
    """Docstrings, comments, messages and pages name what happens, not who says it to whom."""
    lines = path.read_text("utf-8").splitlines()
    found = [f"{number}: {line}" for number, line in enumerate(lines, 1) if PROSE.search(line)]

    assert found == []
