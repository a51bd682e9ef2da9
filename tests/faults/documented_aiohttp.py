"""What the transport does differently when it uses aiohttp's documented API only."""

from __future__ import annotations

import re

import pytest

NEW_CONNECTIONS = (
    "The documented API does not say whether there is unread data on a connection, so that each "
    "request has a new one, and asks the server to close it."
)
CALLERS_SESSION = (
    "aiohttp puts a connection of the caller's own session back into its pool before the status "
    "is known, and the documented API has no way to close it there. After a 101 it may be used "
    "again; what comes back on it is judged as every answer is."
)

DIFFERENCES = {
    r"test_f17_a_kept_connection_is_really_reused": NEW_CONNECTIONS,
    r"test_f25_second_answer_that_arrives_with_the_next_request": NEW_CONNECTIONS,
    r"test_f98_headers_are_as_few_as_they_may_be": NEW_CONNECTIONS,
    r"test_f41_no_reuse_after_another_protocol\[session_of_the_caller-upgrade[02]": CALLERS_SESSION,
}
"""Tests that fail in a run with `--documented-aiohttp`, and why; all others pass."""


def expect_differences(items: list[pytest.Item]) -> None:
    """Expect exactly the tests of `DIFFERENCES` to fail."""
    for item in items:
        for pattern, reason in DIFFERENCES.items():
            if re.match(pattern, item.name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
