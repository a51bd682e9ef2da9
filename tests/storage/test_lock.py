"""The lock between processes: held by one claim, and released by no other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gong_async._storage.lock import ProcessLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the lock file is."""
    return tmp_path / "job.lock"


def test_one_claim_holds_it(path: Path) -> None:
    """A second claim is refused, as is a second try of the first, until it is released."""
    first, second = ProcessLock(path), ProcessLock(path)

    assert [first.take(), second.take(), first.take()] == [True, False, False]
    first.release()
    assert [second.take(), first.take()] == [True, False]


def test_a_claim_that_was_refused_releases_nothing(path: Path) -> None:
    """Releasing it twice is harmless."""
    first, second = ProcessLock(path), ProcessLock(path)
    first.take()
    second.take()
    second.release()
    del second

    assert first.is_held()
    assert first.is_mine
    assert not ProcessLock(path).take()


def test_a_dropped_claim_is_released(path: Path) -> None:
    """The garbage collector does it."""
    ProcessLock(path).take()

    assert not ProcessLock(path).is_held()
    assert ProcessLock(path).take()


def test_a_lock_file_that_was_removed_is_noticed(path: Path) -> None:
    """A later process makes another file, and would have another lock."""
    first = ProcessLock(path)
    first.take()
    path.unlink()
    gone = first.is_in_place()
    second = ProcessLock(path)

    assert not gone
    assert second.take()
    assert (first.is_in_place(), second.is_in_place()) == (False, True)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """It may lead to the file of another user."""
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        ProcessLock(path).take()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_it(path: Path) -> None:
    """As a worker of a process pool may outlive the process that ran the job, and was killed."""
    read, write = os.pipe()
    holder = os.fork()
    if not holder:
        claim = ProcessLock(path)
        claim.take()
        orphan = os.fork()
        if not orphan:
            signal.pause()
        os.write(write, orphan.to_bytes(8, "big"))
        os._exit(0)
    orphan = int.from_bytes(os.read(read, 8), "big")
    os.waitpid(holder, 0)
    free = ProcessLock(path).take()
    os.kill(orphan, signal.SIGKILL)
    os.close(read)
    os.close(write)

    assert free


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_releases_nothing(path: Path) -> None:
    """It inherits the claim; the parent's stays, and does not outlive the parent's release."""
    claim = ProcessLock(path)
    claim.take()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        claim.release()
        os.write(write, b"released")
        signal.pause()
    os.read(read, 8)
    held = ProcessLock(path).is_held()
    claim.release()
    free = ProcessLock(path).take()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)

    assert held
    assert free
