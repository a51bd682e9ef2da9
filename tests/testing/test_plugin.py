"""The fixtures that everybody gets who has gong_async and pytest installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gong_async import GongClient
from gong_async.testing import FakeGong

EMAILS = ["organizer@example.com"]

OTHERS = """
import pytest

pytestmark = [{mark}]

@pytest.mark.fake_gong(per_day=7)
async def test_theirs(fake_gong, gong):
    assert fake_gong.quota.per_day == 7
    await gong.meetings.integration_status(["a@example.com"])
    assert fake_gong.received_count == 1
"""


async def test_the_client_talks_to_the_fake(fake_gong: FakeGong, gong: GongClient) -> None:
    """`gong` is a client whose requests arrive at `fake_gong`."""
    await gong.meetings.integration_status(EMAILS)

    assert [request.json for request in fake_gong.received] == [{"emails": EMAILS}]


@pytest.mark.fake_gong(per_second=None, prefix="/gateway")
async def test_the_mark_gives_options(fake_gong: FakeGong) -> None:
    """The mark `fake_gong` takes any option of FakeGong."""
    assert fake_gong.quota.per_second is None
    assert fake_gong.url.endswith("/gateway")


def run_others(folder: Path, mode: str, mark: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a stranger's project."""
    (folder / "test_theirs.py").write_text(OTHERS.format(mark=mark))
    options = ["-o", f"asyncio_mode={mode}", "--strict-markers", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "pytest.mark.asyncio")])
def test_either_mode_of_pytest_asyncio_will_do(tmp_path: Path, mode: str, mark: str) -> None:
    """A project needs no settings for the fixtures to work."""
    run = run_others(tmp_path, mode, mark)

    assert "1 passed" in run.stdout, run.stdout + run.stderr
