"""What surrounds every test of this folder: one log, read for credentials at its end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest

from faults.always import leaking_records


class UnderUvloop:
    """Runs every async test in a loop of uvloop's, with virtual time where it is asked for."""

    def pytest_asyncio_loop_factories(
        self, item: pytest.Item
    ) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Return the one kind of loop that a test runs in."""
        import uvloop  # noqa: PLC0415 - not there on every system

        from faults.uvloop_time import VirtualLoop  # noqa: PLC0415

        virtual = item.get_closest_marker("looptime") is not None
        return {"uvloop": VirtualLoop if virtual else uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    """Change the loop if `--uvloop` says so."""
    if config.getoption("--uvloop"):
        config.pluginmanager.register(UnderUvloop(), "under-uvloop")


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
