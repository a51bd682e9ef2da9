"""`gong-async doctor`: advice on errors, clock and quota."""

from __future__ import annotations

from gong_async.bulk.records import moment, number_of
from gong_async.cli.bulk.wording import duration
from gong_async.cli.doctor.environment import SETTINGS_PAGE, Target
from gong_async.cli.doctor.findings import Diagnosis, advised, note, ok, problem
from gong_async.errors import (
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    DailyQuotaExceededError,
    GongError,
    LoginRequiredError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from gong_async.limits.types import Quota

_CLOCK_EXACT = 2.0
_CLOCK_NOTE = 60.0
_CLOCK_PROBLEM = 300.0


def advise_error(error: GongError, target: Target, *, named: bool) -> Diagnosis:
    """Diagnose a failed call; `named` is whether `--email` was given."""
    if isinstance(error, ConfigurationError):
        return advised("call", str(error), "correct it")
    request = f" [request id {error.request_id}]" if error.request_id else ""
    seen = f"{error.message.rstrip('.')}{request}"
    if isinstance(error, BadRequestError | NotFoundError) and not named:
        seen = f"{seen}: the credential is valid, the queried email address is not"
        return note("call", seen, "to be sure, name a Gong user with --email")
    return problem("call", seen, _advice(error, target))


def _advice(error: GongError, target: Target) -> str:
    default = "" if target.reported_by else ", and none was given"
    compare = f"{SETTINGS_PAGE}{default}"
    match error:
        case LoginRequiredError():
            return "run `gong-async login`"
        case AuthenticationError():
            return (
                f"compare the base URL first: a valid credential fails like this at another "
                f"company's host, which {target.host} may be ({compare}); if it is right, "
                "the credential is wrong, expired or deleted"
            )
        case PermissionDeniedError(missing_scope=str(scope)):
            return f"give the credential the scope {scope}; an application is then approved anew"
        case PermissionDeniedError():
            return (
                "Gong does not say which one applies: this machine's address is not one of the "
                "credential's trusted addresses (a change takes five minutes); the meetings API is "
                "in limited release, and not enabled for your company; the credential lacks a "
                f"permission; or {target.host} is another company's host ({compare})"
            )
        case RateLimitError():
            until = f"until {moment(error.retry_at)}" if error.retry_at else "a minute"
            return f"wait {until}: all programs of the company share its rate limit"
        case DailyQuotaExceededError():
            until = f"until {moment(error.reset_at)}" if error.reset_at else "until tomorrow"
            return f"wait {until}"
        case ServerError():
            return "try again later; if it lasts, quote the request id to Gong's support"
        case APITimeoutError():
            return "try again, or with a larger --timeout"
        case _:
            return error.hint or "try again"


def advise_clock(ahead: float) -> Diagnosis:
    """Diagnose the clock offset in seconds; negative if the clock is behind."""
    off = abs(ahead)
    seen = f"{duration(off)} {'ahead of' if ahead > 0 else 'behind'} Gong's"
    do = "synchronize the clock (NTP): the daily quota and all waits depend on it"
    if off > _CLOCK_PROBLEM:
        return problem("clock", seen, do)
    if off > _CLOCK_NOTE:
        return note("clock", seen, do)
    return ok("clock", "in sync with Gong's" if off < _CLOCK_EXACT else seen)


def advise_quota(quota: Quota) -> Diagnosis:
    """Diagnose the remaining quota and the load."""
    seen = f"{number_of(quota.used_today, 'call')} of the last 24 hours counted on this machine"
    if quota.left_today is not None:
        seen += f", {quota.left_today:,} left"
    if quota.per_second is not None:
        seen += f"; rate {quota.per_second:.2f} of {quota.ceiling:g} per second"
    waiting = sum(quota.waiting.values())
    if waiting or quota.in_flight:
        seen += f"; {waiting:,} waiting, {quota.in_flight:,} in flight"
    if quota.paused_until is not None:
        seen += f"; paused until {moment(quota.paused_until)}"
        return note("quota", seen, "wait: Gong throttled a call")
    if quota.left_today == 0:
        when = f" from {moment(quota.resets_at)}" if quota.resets_at else ""
        return note("quota", seen, f"continue{when}")
    return ok("quota", seen)
