"""What surrounds every test of this folder: one log, read for credentials at its end."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest

from faults.always import leaking_records


@pytest.fixture(autouse=True, scope="module")
def cheap_collections() -> Iterator[None]:
    """Keep everything that was imported out of the collections that each trial makes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Record everything that is logged, and find no credential in it (C1)."""
    caplog.set_level(logging.DEBUG)
    yield

    assert leaking_records(caplog.get_records("call")) == []
