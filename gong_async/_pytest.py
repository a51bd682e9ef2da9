"""The pytest plugin: the fixtures `fake_gong` and `gong`.

```python
@pytest.mark.fake_gong(per_second=None)  # any option of FakeGong; the mark may be left out
async def test_it(fake_gong: FakeGong, gong: GongClient) -> None: ...
```

The fixtures live in the event loop of a test function, so the tests that use them must not ask
pytest-asyncio for a wider `loop_scope`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_asyncio import fixture as async_fixture

    from gong_async import GongClient
    from gong_async.testing import FakeGong
else:
    # Every test run of everybody who has gong_async installed loads this file: what costs time is
    # imported in the fixtures, and without pytest-asyncio another plugin, such as anyio's, may
    # run them.
    try:
        from pytest_asyncio import fixture as async_fixture
    except ImportError:
        async_fixture = pytest.fixture


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "fake_gong(**options): options of the FakeGong behind `fake_gong` and `gong`."
    )


@async_fixture
async def fake_gong(request: pytest.FixtureRequest) -> AsyncIterator[FakeGong]:
    """Run a FakeGong."""
    from gong_async.testing import FakeGong  # noqa: PLC0415 - see above

    mark = request.node.get_closest_marker("fake_gong")
    async with FakeGong(**(mark.kwargs if mark else {})) as fake:
        yield fake


@async_fixture
async def gong(fake_gong: FakeGong) -> AsyncIterator[GongClient]:
    """Make a GongClient that talks to `fake_gong`."""
    from gong_async import BasicAuth, GongClient, MemoryLimitStore  # noqa: PLC0415 - see above

    auth = BasicAuth(fake_gong.access_key, fake_gong.access_key_secret)
    # Ports come again: what one test has used up is not to be held against another.
    async with GongClient(auth, base_url=fake_gong.url, limit_store=MemoryLimitStore()) as client:
        yield client
