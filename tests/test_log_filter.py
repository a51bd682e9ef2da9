"""All messages of the library's logger are redacted."""

from __future__ import annotations

import base64
import gc
import io
import logging
import os
from collections.abc import Iterator

import pytest

from gong_async import BasicAuth, GongClient
from gong_async._redact import RedactingFilter

KEY, SECRET = "LOGGEDKEY12345", "LOGGEDSECRET67890"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Return what a handler of our logger writes."""
    logger, out = logging.getLogger("gong_async"), io.StringIO()
    handler = logging.StreamHandler(out)
    logger.addHandler(handler)
    yield out
    logger.removeHandler(handler)


def test_a_secret_in_a_message_is_redacted(written: io.StringIO) -> None:
    """A hook that logs a header, for example; in any spelling, also as an argument."""
    gong = GongClient(BasicAuth(KEY, SECRET))
    wire = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()

    logging.getLogger("gong_async").warning("sent %s and %s", SECRET, {"Authorization": wire})

    assert written.getvalue() == "sent *** and {'Authorization': '***'}\n"
    assert gong


def test_a_secret_in_a_traceback_is_redacted(written: io.StringIO) -> None:
    """Also in the text of an exception that another author raised."""
    gong = GongClient(BasicAuth(KEY, SECRET))
    try:
        os.environ[SECRET]
    except KeyError:
        logging.getLogger("gong_async").exception("a hook failed")

    assert "KeyError: '***'" in written.getvalue()
    assert SECRET not in written.getvalue()
    assert gong


def test_other_messages_stay_as_they_are(written: io.StringIO) -> None:
    """Arguments are kept for handlers that look at them."""
    GongClient(BasicAuth(KEY, SECRET))

    logging.getLogger("gong_async").warning("%d calls", 3)

    assert written.getvalue() == "3 calls\n"


def test_one_filter_serves_all_clients_and_keeps_none_alive() -> None:
    """A thousand clients make one filter, and go when they are gone."""
    for _ in range(1000):
        GongClient(BasicAuth(KEY, SECRET))
    gc.collect()
    installed = [
        known
        for known in logging.getLogger("gong_async").filters
        if isinstance(known, RedactingFilter)
    ]

    assert len(installed) == 1
    assert len(installed[0].redactors) < 100
