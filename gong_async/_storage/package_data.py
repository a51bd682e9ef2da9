"""Text files that are part of the package, such as SQL."""

from __future__ import annotations

from importlib.resources import files


def package_text(package: str, name: str) -> str:
    """Return the text of a file in a folder of the package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")
