"""Async Python client for the Gong API: typed meeting updates, one at a time or fifty thousand.

`__init__.pyi` lists the public names. They are imported on first use, so that the command line and
the pytest plugin of this package do not import aiohttp before they need it.
"""

from functools import cache
from importlib import import_module


def __getattr__(name: str) -> object:
    homes = _homes()
    if name == "__all__":
        value: object = sorted(homes)
    elif name in homes:
        value = getattr(import_module(homes[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_homes())


@cache
def _homes() -> dict[str, str]:
    """Return the module of each public name."""
    import ast  # noqa: PLC0415 - not before the first name is used

    # The loader finds the file in a zip archive, too.
    stub = __loader__.get_data(__file__.rpartition(".")[0] + ".pyi")
    return {
        alias.name: str(node.module)
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
