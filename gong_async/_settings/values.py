"""Validators of settings, which raise `ConfigurationError` with the setting's name."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gong_async.errors import ConfigurationError

T = TypeVar("T")

Validator = Callable[[Any, Any, Any], None]
"""A validator of an attrs class: instance, attribute, value."""


def number(
    name: str,
    value: object,
    *,
    whole: bool = False,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    infinite: bool = False,
) -> float:
    """Return a number as Python's `int` or `float`; numbers of other libraries are converted.

    Raises:
        ConfigurationError: it is not a number, not whole, not finite, or out of bounds.
    """
    found = _whole(value) if whole else _real(value)
    if found is None:
        kind = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{name} must be {kind}, got {_shown(value)}")
    if math.isnan(found) or (math.isinf(found) and not infinite):
        raise ConfigurationError(f"{name} must be a finite number, got {found}")
    if above is not None and not found > above:
        raise ConfigurationError(f"{name} must be above {above:g}, got {_shown(found)}")
    if least is not None and not found >= least:
        bound = "must not be below" if least == 0 else "must be at least"
        raise ConfigurationError(f"{name} {bound} {least:g}, got {_shown(found)}")
    if below is not None and not found < below:
        raise ConfigurationError(f"{name} must be below {below:g}, got {_shown(found)}")
    if most is not None and not found <= most:
        raise ConfigurationError(f"{name} must be at most {most:g}, got {_shown(found)}")
    return found


def a_number(*, optional: bool = False, **bounds: Any) -> Validator:
    """Return a validator for a numeric field; it stores Python's own type."""

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        if value is None and optional:
            return
        found = number(f"{type(instance).__name__}.{attribute.name}", value, **bounds)
        if found is not value:
            object.__setattr__(instance, attribute.name, found)

    return validate


def a_flag(instance: Any, attribute: Any, value: Any) -> None:
    """Validate a field that is True or False: the text "no" would count as true."""
    if not isinstance(value, bool):
        name = f"{type(instance).__name__}.{attribute.name}"
        raise ConfigurationError(f"{name} must be True or False, got {_shown(value)}")


def instance_of(name: str, value: object, cls: type[T]) -> T:
    """Return `value`, which must be a `cls`.

    Raises:
        ConfigurationError: it is not. The value is not shown: it may be a secret.
    """
    if isinstance(value, cls):
        return value
    raise ConfigurationError(f"{name} must be {_article(cls.__name__)}, got {kind_of(value)}")


def file_path(name: str, value: object) -> Path:
    """Return a path given as text or as a `Path`.

    Raises:
        ConfigurationError: it is neither, or no file can have it.
    """
    given = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(given, str):
        raise ConfigurationError(f"{name} must be a path, got {kind_of(value)}")
    if not given or "\0" in given:
        problem = "is empty" if not given else "contains a null character"
        raise ConfigurationError(f"{name} must be a path, and {problem}")
    return Path(given)


def a_path(value: object) -> Path:
    """Convert a field that is a path."""
    return file_path("path", value)


def kind_of(value: object) -> str:
    """Return the type of a value as text, without the value."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        return None


def _real(value: object) -> float | None:
    if type(value) is int or type(value) is float:
        return value if _is_short(value) else math.inf
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except (TypeError, ValueError, ArithmeticError):
        return None


def _is_short(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _shown(value: object) -> str:
    """Return the text of a number, and only the type of anything else: it may be a secret."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return repr(value) if value.bit_length() < 100 else "a huge number"  # noqa: PLR2004
    return kind_of(value)
