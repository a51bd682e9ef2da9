"""Async Python client for the Gong API: typed meeting updates, one at a time or fifty thousand."""

from gong_async._client import Change, GongClient
from gong_async._secret import Secret
from gong_async._version import __version__
from gong_async._wire import Endpoint
from gong_async.auth import Auth, BasicAuth, BearerAuth
from gong_async.bulk.engine import Outcome
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
from gong_async.limits.gates import Limits
from gong_async.models._shared import Answer, Meta, Result
from gong_async.models.meetings import (
    AdditionalInvitee,
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
from gong_async.retry import RetryPolicy

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AdditionalInvitee",
    "Answer",
    "Auth",
    "AuthenticationError",
    "BadRequestError",
    "BasicAuth",
    "BearerAuth",
    "Change",
    "ConfigurationError",
    "ConflictError",
    "CreatedMeeting",
    "DailyQuotaExceededError",
    "DecodeError",
    "DeletedMeeting",
    "Delivery",
    "Endpoint",
    "GongClient",
    "GongError",
    "IntegrationStatus",
    "Invitee",
    "Limits",
    "MeetingChange",
    "MeetingUpdate",
    "Meta",
    "NewMeeting",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RedirectError",
    "RequestRejectedError",
    "Result",
    "RetryPolicy",
    "Secret",
    "ServerError",
    "TLSError",
    "UpdatedMeeting",
    "UsageError",
    "UserIntegration",
    "ValidationError",
    "__version__",
]
