"""Text files that are part of the package, such as SQL scripts."""

from __future__ import annotations

import pkgutil


def package_text(package: str | None, name: str) -> str:
    """Return the text of a file in a folder of the package, given as `__package__`.

    It is read as the import system reads modules, also from a zip archive.

    Raises:
        FileNotFoundError: the package is incomplete.
    """
    data = pkgutil.get_data(package or "", name)
    if data is None:
        raise FileNotFoundError(f"{name} of {package}")
    return data.decode()


def package_queries(package: str | None, name: str) -> dict[str, str]:
    """Return the statements of an SQL file by their names, given as `-- name: the_name`."""
    parts = [part.split("\n", 1) for part in package_text(package, name).split("-- name: ")[1:]]
    return {name.strip(): statement.strip().removesuffix(";") for name, statement in parts}
