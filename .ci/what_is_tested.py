"""Writes the names of the tests into the table of faults in docs/explanation/what-is-tested.md.

A row is `| F12 | the fault | its tests |`. Tests named after a fault are found by their names; what
else is in the last cell is kept.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "what-is-tested.md"
_TEST = re.compile(r"^(?:async )?def (test_(?:f\d+_)+\w+)\(", re.MULTILINE)
_ROW = re.compile(r"^\| F(\d+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
_NAME = re.compile(r"`test_(?:f\d+_)+\w*`(?: \([^)]*\))?")


def tests_by_fault() -> dict[int, list[str]]:
    """Return the names of the tests of each fault, with the file where they stand."""
    found: dict[int, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in _TEST.findall(file.read_text(encoding="utf-8")):
            numbers = re.match(r"test_((?:f\d+_)+)", name)[1]
            for number in re.findall(r"\d+", numbers):
                found[int(number)].append(name)
    return found


def main() -> None:
    """Rewrite the page, or say with `--check` whether there is anything to rewrite."""
    found = tests_by_fault()

    def row(match: re.Match[str]) -> str:
        kept = [each.strip() for each in _NAME.sub("", match[3]).split(",")]
        names = [f"`{name}`" for name in found[int(match[1])]]
        return f"| F{match[1]} | {match[2]} | {', '.join([*names, *filter(None, kept)])} |"

    before = PAGE.read_text(encoding="utf-8")
    after = _ROW.sub(row, before)
    if "--check" in sys.argv:
        sys.exit(None if after == before else f"{PAGE.name} is old; run {Path(__file__).name}")
    PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
