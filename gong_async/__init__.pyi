# The public names of the package, each once: for type checkers, and for `__init__.py`.

from gong_async._client import GongClient as GongClient
from gong_async._distribution import __version__ as __version__
from gong_async._redact import Secret as Secret
from gong_async._wire import Endpoint as Endpoint
from gong_async.auth import (
    Auth as Auth,
)
from gong_async.auth import (
    BasicAuth as BasicAuth,
)
from gong_async.auth import (
    BearerAuth as BearerAuth,
)
from gong_async.bulk.engine import Outcome as Outcome
from gong_async.bulk.job import BulkJob as BulkJob
from gong_async.bulk.records import (
    BulkItem as BulkItem,
)
from gong_async.bulk.records import (
    BulkOptions as BulkOptions,
)
from gong_async.bulk.records import (
    BulkPlan as BulkPlan,
)
from gong_async.bulk.records import (
    BulkStatus as BulkStatus,
)
from gong_async.bulk.records import (
    Forecast as Forecast,
)
from gong_async.errors import (
    APIConnectionError as APIConnectionError,
)
from gong_async.errors import (
    APIStatusError as APIStatusError,
)
from gong_async.errors import (
    APITimeoutError as APITimeoutError,
)
from gong_async.errors import (
    AuthenticationError as AuthenticationError,
)
from gong_async.errors import (
    BadRequestError as BadRequestError,
)
from gong_async.errors import (
    ConfigurationError as ConfigurationError,
)
from gong_async.errors import (
    ConflictError as ConflictError,
)
from gong_async.errors import (
    DailyQuotaExceededError as DailyQuotaExceededError,
)
from gong_async.errors import (
    DecodeError as DecodeError,
)
from gong_async.errors import (
    Delivery as Delivery,
)
from gong_async.errors import (
    GongError as GongError,
)
from gong_async.errors import (
    JournalError as JournalError,
)
from gong_async.errors import (
    LoginRequiredError as LoginRequiredError,
)
from gong_async.errors import (
    NotFoundError as NotFoundError,
)
from gong_async.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from gong_async.errors import (
    ProtocolError as ProtocolError,
)
from gong_async.errors import (
    RateLimitError as RateLimitError,
)
from gong_async.errors import (
    RedirectError as RedirectError,
)
from gong_async.errors import (
    RequestRejectedError as RequestRejectedError,
)
from gong_async.errors import (
    ServerError as ServerError,
)
from gong_async.errors import (
    TLSError as TLSError,
)
from gong_async.errors import (
    UsageError as UsageError,
)
from gong_async.errors import (
    ValidationError as ValidationError,
)
from gong_async.limits.memory import MemoryLimitStore as MemoryLimitStore
from gong_async.limits.redis.store import RedisLimitStore as RedisLimitStore
from gong_async.limits.sqlite.store import SQLiteLimitStore as SQLiteLimitStore
from gong_async.limits.types import (
    Limits as Limits,
)
from gong_async.limits.types import (
    Quota as Quota,
)
from gong_async.models._shared import (
    Meta as Meta,
)
from gong_async.models._shared import (
    RawResult as RawResult,
)
from gong_async.models._shared import (
    ResponseObject as ResponseObject,
)
from gong_async.models._shared import (
    Result as Result,
)
from gong_async.models.meetings import (
    AdditionalInvitee as AdditionalInvitee,
)
from gong_async.models.meetings import (
    Change as Change,
)
from gong_async.models.meetings import (
    CreatedMeeting as CreatedMeeting,
)
from gong_async.models.meetings import (
    DeletedMeeting as DeletedMeeting,
)
from gong_async.models.meetings import (
    IntegrationStatus as IntegrationStatus,
)
from gong_async.models.meetings import (
    Invitee as Invitee,
)
from gong_async.models.meetings import (
    MeetingChange as MeetingChange,
)
from gong_async.models.meetings import (
    MeetingUpdate as MeetingUpdate,
)
from gong_async.models.meetings import (
    NewMeeting as NewMeeting,
)
from gong_async.models.meetings import (
    UpdatedMeeting as UpdatedMeeting,
)
from gong_async.models.meetings import (
    UserIntegration as UserIntegration,
)
from gong_async.oauth.credential import OAuth as OAuth
from gong_async.oauth.file_store import FileTokenStore as FileTokenStore
from gong_async.oauth.redis_store import RedisTokenStore as RedisTokenStore
from gong_async.oauth.tokens import Tokens as Tokens
from gong_async.oauth.tokens import TokenStore as TokenStore
from gong_async.retry import RetryPolicy as RetryPolicy
