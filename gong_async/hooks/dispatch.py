"""Checks the hooks of a client, and passes events to them."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable

from gong_async.errors import ConfigurationError
from gong_async.hooks.events import Event, Hook, LimiterPaused, RetryPlanned
from gong_async.hooks.log import log_event


def emit(hooks: tuple[Hook, ...], event: Event) -> None:
    """Pass an event to every hook. Exceptions in hooks are logged; the call goes on."""
    for hook in hooks:
        call: Callable[[Event], object] = hook
        try:
            returned = call(event)
            if returned is not None and isinstance(returned, Coroutine):
                returned.close()
                msg = "a hook returned a coroutine, which is not awaited; see `Hook`"
                raise TypeError(msg)  # noqa: TRY301 - logged like other errors of hooks
        except Exception:
            logging.getLogger("gong_async").exception(
                "a hook raised an exception for %s", type(event).__name__
            )


def warn(hooks: tuple[Hook, ...], event: RetryPlanned | LimiterPaused) -> None:
    """Emit an event that is also logged when `log_event` is not among the hooks."""
    if log_event not in hooks:
        log_event(event)
    emit(hooks, event)


def checked_hooks(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    """Return the hooks as a tuple.

    Raises:
        ConfigurationError: one of them is not a plain function of an event.
    """
    if isinstance(hooks, str | bytes) or not isinstance(hooks, Iterable):
        given = "a function" if callable(hooks) else type(hooks).__name__
        raise ConfigurationError(f"hooks must be a list of functions, got {given}")
    known = tuple(hooks)
    for position, hook in enumerate(known):
        if problem := _problem(hook):
            raise ConfigurationError(f"hooks[{position}] {problem}")
    return known


def _problem(hook: object) -> str:
    if isinstance(hook, type):
        return f"is the class {hook.__name__}; pass an instance of it"
    if not callable(hook):
        return f"must be a function that takes an event, got {type(hook).__name__}"
    if _only_begins(hook):
        return (
            "is an async function or a generator, and would never run: hooks are called in the "
            "event loop and return None; pass a plain function, which may put the event into "
            "an asyncio.Queue"
        )
    return ""


def _only_begins(hook: object) -> bool:
    """Return whether calling a hook would only create a coroutine or a generator."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    called = hook if inspect.isroutine(hook) else getattr(type(hook), "__call__", None)  # noqa: B004
    if isinstance(called, functools.partialmethod | staticmethod | classmethod):
        called = called.func if isinstance(called, functools.partialmethod) else called.__func__
    kinds = (
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
        inspect.isgeneratorfunction,
    )
    return any(is_kind(one) for is_kind in kinds for one in (hook, called))
