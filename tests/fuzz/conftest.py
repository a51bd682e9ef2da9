"""How much hypothesis tries: little and always the same in the suite, much with `--full`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def pytest_configure(config: pytest.Config) -> None:
    """Choose."""
    suite = settings(
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=_SLOW,
    )
    settings.register_profile("suite", suite)
    settings.register_profile("full", suite, max_examples=2000, derandomize=False)
    settings.load_profile("full" if config.getoption("--full") else "suite")
