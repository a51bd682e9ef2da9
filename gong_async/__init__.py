"""Async Python client for the Gong API: typed meeting updates, one at a time or fifty thousand.

Names are imported on first use, so that the command line and the pytest plugin of this package do
not import aiohttp before they need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gong_async._version import __version__

if TYPE_CHECKING:
    from gong_async._client import GongClient
    from gong_async._redact import Secret
    from gong_async._wire import Endpoint
    from gong_async.auth import Auth, BasicAuth, BearerAuth
    from gong_async.bulk.engine import Outcome
    from gong_async.bulk.job import BulkJob
    from gong_async.bulk.records import BulkItem, BulkOptions, BulkPlan, BulkStatus, Forecast
    from gong_async.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        DailyQuotaExceededError,
        DecodeError,
        Delivery,
        GongError,
        JournalError,
        LoginRequiredError,
        NotFoundError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitError,
        RedirectError,
        RequestRejectedError,
        ServerError,
        TLSError,
        UsageError,
        ValidationError,
    )
    from gong_async.limits.redis.store import RedisLimitStore
    from gong_async.limits.sqlite.store import SQLiteLimitStore
    from gong_async.limits.types import Limits, Quota
    from gong_async.models._shared import Meta, RawResult, Result
    from gong_async.models.meetings import (
        AdditionalInvitee,
        Change,
        CreatedMeeting,
        DeletedMeeting,
        IntegrationStatus,
        Invitee,
        MeetingChange,
        MeetingUpdate,
        NewMeeting,
        UpdatedMeeting,
        UserIntegration,
    )
    from gong_async.oauth.credential import OAuth
    from gong_async.oauth.file_store import FileTokenStore
    from gong_async.oauth.redis_store import RedisTokenStore
    from gong_async.oauth.store import TokenStore
    from gong_async.oauth.tokens import Tokens
    from gong_async.retry import RetryPolicy

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AdditionalInvitee",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BasicAuth",
    "BearerAuth",
    "BulkItem",
    "BulkJob",
    "BulkOptions",
    "BulkPlan",
    "BulkStatus",
    "Change",
    "ConfigurationError",
    "ConflictError",
    "CreatedMeeting",
    "DailyQuotaExceededError",
    "DecodeError",
    "DeletedMeeting",
    "Delivery",
    "Endpoint",
    "FileTokenStore",
    "Forecast",
    "GongClient",
    "GongError",
    "IntegrationStatus",
    "Invitee",
    "JournalError",
    "Limits",
    "LoginRequiredError",
    "MeetingChange",
    "MeetingUpdate",
    "Meta",
    "NewMeeting",
    "NotFoundError",
    "OAuth",
    "Outcome",
    "PermissionDeniedError",
    "ProtocolError",
    "Quota",
    "RateLimitError",
    "RawResult",
    "RedirectError",
    "RedisLimitStore",
    "RedisTokenStore",
    "RequestRejectedError",
    "Result",
    "RetryPolicy",
    "SQLiteLimitStore",
    "Secret",
    "ServerError",
    "TLSError",
    "TokenStore",
    "Tokens",
    "UpdatedMeeting",
    "UsageError",
    "UserIntegration",
    "ValidationError",
    "__version__",
]

_HOMES = {
    "gong_async._client": ("GongClient",),
    "gong_async._redact": ("Secret",),
    "gong_async._wire": ("Endpoint",),
    "gong_async.auth": (
        "Auth",
        "BasicAuth",
        "BearerAuth",
    ),
    "gong_async.bulk.engine": ("Outcome",),
    "gong_async.bulk.job": ("BulkJob",),
    "gong_async.bulk.records": (
        "BulkItem",
        "BulkOptions",
        "BulkPlan",
        "BulkStatus",
        "Forecast",
    ),
    "gong_async.errors": (
        "APIConnectionError",
        "APIStatusError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "ConfigurationError",
        "ConflictError",
        "DailyQuotaExceededError",
        "DecodeError",
        "Delivery",
        "GongError",
        "JournalError",
        "LoginRequiredError",
        "NotFoundError",
        "PermissionDeniedError",
        "ProtocolError",
        "RateLimitError",
        "RedirectError",
        "RequestRejectedError",
        "ServerError",
        "TLSError",
        "UsageError",
        "ValidationError",
    ),
    "gong_async.limits.types": ("Limits", "Quota"),
    "gong_async.limits.sqlite.store": ("SQLiteLimitStore",),
    "gong_async.limits.redis.store": ("RedisLimitStore",),
    "gong_async.models._shared": (
        "RawResult",
        "Meta",
        "Result",
    ),
    "gong_async.models.meetings": (
        "AdditionalInvitee",
        "Change",
        "CreatedMeeting",
        "DeletedMeeting",
        "IntegrationStatus",
        "Invitee",
        "MeetingChange",
        "MeetingUpdate",
        "NewMeeting",
        "UpdatedMeeting",
        "UserIntegration",
    ),
    "gong_async.oauth.credential": ("OAuth",),
    "gong_async.oauth.file_store": ("FileTokenStore",),
    "gong_async.oauth.redis_store": ("RedisTokenStore",),
    "gong_async.oauth.store": ("TokenStore",),
    "gong_async.oauth.tokens": ("Tokens",),
    "gong_async.retry": ("RetryPolicy",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
