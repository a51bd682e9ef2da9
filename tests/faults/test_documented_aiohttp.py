"""An aiohttp that differs from the one that the undocumented part of the transport was made for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import pytest

from faults.program import is_quiet, run
from gong_async._transport.http1 import RELIED_ON
from gong_async.testing import FakeGong

IMPORTS = """
import aiohttp
from aiohttp.client_proto import ResponseHandler
"""


@pytest.fixture(autouse=True)
def usual_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the programs use the compiled parser: there is a warning of the other one, too."""
    monkeypatch.delenv("AIOHTTP_NO_EXTENSIONS", raising=False)


DIFFERENT = {
    "method": ("del ResponseHandler.force_close\n", "ResponseHandler.force_close is missing"),
    "class": (
        "del aiohttp.http_exceptions.HttpProcessingError\n",
        "HttpProcessingError is missing",
    ),
    "parameters": (
        """
        connect = aiohttp.BaseConnector.connect

        async def changed(self, req, *, traces, timeout):
            return await connect(self, req, traces, timeout)

        aiohttp.BaseConnector.connect = changed
        """,
        "TypeError: too many positional arguments",
    ),
    "meaning": (
        "ResponseHandler.should_close = property(lambda self: False)\n",
        "should_close is not true exactly while there is unread data",
    ),
}

UPDATES = """
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")

async def main():
    async with client() as gong:
        await use(gong, 1)
        await use(gong, 2)
    async with client() as gong:
        await use(gong, 3)

asyncio.run(main())
"""


@pytest.mark.parametrize("difference", DIFFERENT)
async def test_another_aiohttp_is_used_by_its_documented_api(difference: str) -> None:
    """Calls work, and one warning names what differs."""
    change, named = DIFFERENT[difference]
    before = IMPORTS + textwrap.dedent(change)
    async with FakeGong(per_second=None) as fake:
        ended = await asyncio.to_thread(run, UPDATES, fake, before=before)

    (warning,) = [
        line for line in ended.stderr.splitlines() if line.startswith("WARNING gong_async ")
    ]
    assert ended.returncode == 0
    assert ended.stdout.split() == ["1", "2", "3"]
    assert named in warning
    assert "requests go through ClientSession.request" in warning


async def test_the_documented_api_can_be_chosen() -> None:
    """An operator sets one variable; nothing is logged, because it was asked for."""
    chosen = "import os\nos.environ['GONG_DOCUMENTED_AIOHTTP'] = '1'\n"
    async with FakeGong(per_second=None) as fake:
        ended = await asyncio.to_thread(run, UPDATES, fake, before=chosen)

    assert is_quiet(ended)
    assert ended.stdout.split() == ["1", "2", "3"]


LACKING = """
import sys
from importlib import import_module
from gong_async._transport.http1 import differences

path, *kept = sys.argv[1:]
module, _, name = path.rpartition(".")
if kept[:1] != ["nothing"]:
    setattr(import_module(module), name, type(name, (), dict.fromkeys(kept)))
else:
    delattr(import_module(module), name)
print(*differences(), sep="\\n")
"""


def _differences(path: str, *kept: str) -> str:
    command = [sys.executable, "-c", LACKING, path, *kept]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return ended.stdout


@pytest.mark.full
@pytest.mark.parametrize("path", RELIED_ON)
def test_every_class_is_checked(path: str) -> None:
    """Each class that is relied on is missed when it is not there."""
    assert f"{path} is missing" in _differences(path, "nothing")


@pytest.mark.full
@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in RELIED_ON.items() for name in names]
)
def test_every_attribute_is_checked(path: str, name: str) -> None:
    """Each attribute that is relied on is missed when the class has all others."""
    kept = [other for other in RELIED_ON[path] if other != name]

    assert _differences(path, *kept) == f"{path}.{name} is missing\n"
