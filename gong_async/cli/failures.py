"""Maps the library's errors to messages and exit codes."""

from __future__ import annotations

from gong_async.bulk.records import number_of
from gong_async.cli.diagnostics import Diagnostics, Exit
from gong_async.errors import (
    ConfigurationError,
    ConflictError,
    DailyQuotaExceededError,
    GongError,
    JournalError,
    RateLimitError,
    ValidationError,
)
from gong_async.inputs.findings import InputError

_ENVIRONMENT = (
    "Credentials and GONG_BASE_URL are read from the environment; credentials are never options"
)
_FROM_ENVIRONMENT = (
    "GONG_ACCESS_KEY", "GONG_BEARER_TOKEN", "GONG_OAUTH", "GONG_BASE_URL",
    "access_key", "token", "base_url",
)  # fmt: skip


def explain_failure(error: Exception, diagnostics: Diagnostics) -> Exit:
    """Print what `error` means and return the exit code; re-raise an unexpected error."""
    match error:
        case InputError():
            for finding in error.findings:
                where = {"line": finding.line, "field": finding.field}
                diagnostics.error("input", f"{error.field}, {finding}", **where)
            count = f"{number_of(error.total, 'problem')}{_shown(error)}"
            diagnostics.error("input", f"{error.field}: {count}; nothing was sent")
            return Exit.USAGE
        case ConfigurationError():
            about_environment = any(word in error.message for word in _FROM_ENVIRONMENT)
            advice = f". {_ENVIRONMENT}" if about_environment else ""
            diagnostics.error("configuration", f"{error}{advice}")
            return Exit.USAGE
        case ValidationError():
            diagnostics.error("input", f"{error}; nothing was sent", field=error.field)
            return Exit.USAGE
        case JournalError():
            diagnostics.error("journal", str(error), reason=error.reason)
            return Exit.USAGE
        case GongError():
            diagnostics.error("gong", [str(error), *_advice(error)], **facts(error))
            temporary = isinstance(error, RateLimitError | DailyQuotaExceededError)
            return Exit.RESUMABLE if temporary else Exit.FAILED
        case OSError():
            diagnostics.error("system", str(error))
            return Exit.USAGE
        case _:
            raise error


def _shown(error: InputError) -> str:
    shown = len(error.findings)
    return f" (first {shown:,} shown)" if shown < error.total else ""


def facts(error: GongError) -> dict[str, object]:
    """Return the fields of an error for JSON output."""
    retry_at = getattr(error, "retry_at", None) or getattr(error, "reset_at", None)
    return {
        "error": type(error).__name__,
        "status": error.status,
        "request_id": error.request_id,
        "attempts": error.attempts,
        "errors": list(error.errors),
        "outcome_unknown": error.outcome_unknown,
        "retry_at": retry_at and retry_at.isoformat(timespec="seconds"),
        **_links(error),
    }


def _links(error: GongError) -> dict[str, object]:
    if not isinstance(error, ConflictError):
        return {}
    return {
        "user_facing_error": error.user_facing_error,
        "fix_url": error.fix_url,
        "help_url": error.help_url,
    }


def _advice(error: GongError) -> list[str]:
    words = {"user_facing_error": "Gong says", "fix_url": "fix it at", "help_url": "help at"}
    return [f"  {words[name]}: {value}" for name, value in _links(error).items() if value]
