"""Compares the installed package with its source; run in the environment of the wheel.

Every file that is not Python code, such as `*.sql`, `*.lua` and `py.typed`, must be there and open
as the package opens it.
"""

import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

PACKAGE = "gong_async"


def source_files(root: Path) -> dict[str, bytes]:
    """Return the content of all files of the source, by their paths below the package."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def resource(name: str) -> Traversable:
    """Return a file of the installed package."""
    return files(PACKAGE).joinpath(*name.split("/"))


def main() -> None:
    """Compare both; end with an error if one lacks a file of the other or differs."""
    source = Path(__file__).parent.parent.joinpath(PACKAGE).resolve()
    installed = Path(str(files(PACKAGE))).resolve()
    if installed == source:
        sys.exit(f"{installed} is the source; run this in the environment of the wheel")
    expected, found = source_files(source), source_files(installed)
    if missing := sorted(expected.keys() - found.keys()):
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    if surplus := sorted(found.keys() - expected.keys()):
        sys.exit(f"the wheel has files that the source lacks: {', '.join(surplus)}")
    data = [name for name in expected if not name.endswith(".py")]
    for name in data:
        if resource(name).read_bytes() != expected[name]:
            sys.exit(f"{name} of the wheel is not the source's")
        resource(name).read_text(encoding="utf-8")
    print(f"the wheel has all {len(expected)} files, and opens {', '.join(sorted(data))}")


if __name__ == "__main__":
    main()
