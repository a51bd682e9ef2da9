"""What crosses the wire: endpoints, requests and responses, and the state of a running call.

Start with `types.py`; `response.py` turns a response into a payload or an error, `call.py` has the
state of a call and its deadline.
"""

from __future__ import annotations

from gong_async._wire.types import (
    DEFAULT_USER_AGENT,
    AfterAttempt,
    AttemptProgress,
    BeforeSend,
    Call,
    Effect,
    Encoded,
    Endpoint,
    Request,
    Response,
)

__all__ = [
    "DEFAULT_USER_AGENT",
    "AfterAttempt",
    "AttemptProgress",
    "BeforeSend",
    "Call",
    "Effect",
    "Encoded",
    "Endpoint",
    "Request",
    "Response",
]
