"""A hook that writes events to the standard library's log: ids only, no names or titles."""

from __future__ import annotations

import logging

from gong_async.hooks.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    Event,
    LimiterPaused,
    PermitAcquired,
    RetryPlanned,
)


def log_event(event: Event) -> None:
    """Log `event` to `gong_async`: pauses as warnings, retries as info, others as debug."""
    logger = logging.getLogger("gong_async")
    match event:
        case LimiterPaused():
            logger.warning(
                "Gong throttled a call (429, request id %s); all calls pause for %.1f s",
                event.request_id,
                event.pause,
            )
        case RetryPlanned():
            logger.info(
                "%s attempt %d failed, retrying in %.1f s: %s",
                _subject(event),
                event.attempt,
                event.wait,
                type(event.error).__name__,
            )
        case AttemptFinished():
            logger.debug(
                "%s attempt %d status=%s request_id=%s waited=%.3fs wire=%.3fs",
                _subject(event),
                event.attempt,
                event.status,
                event.request_id,
                event.seconds_waited,
                event.seconds_on_wire,
            )
        case PermitAcquired():
            logger.debug(
                "%s waited %.3f s for a permit, priority %s",
                _subject(event),
                event.seconds,
                event.priority,
            )
        case CallStarted():
            logger.debug("%s", _subject(event))
        case CallFinished():
            logger.debug(
                "%s finished after %d attempts: %s",
                _subject(event),
                event.attempts,
                _ending(event),
            )


def _subject(
    event: CallStarted | PermitAcquired | AttemptFinished | RetryPlanned | CallFinished,
) -> str:
    """Return method, route and path variables; not those that are emails."""
    shown = (f" {name}={'***' if '@' in value else value}" for name, value in event.path.items())
    return f"{event.method} {event.route}{''.join(shown)}"


def _ending(event: CallFinished) -> str:
    if event.cancelled:
        return "cancelled"
    return type(event.error).__name__ if event.error else "ok"
