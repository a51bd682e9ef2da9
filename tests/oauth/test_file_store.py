"""The login's file: private, replaced as a whole, changed by one at a time."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gong_async import ConfigurationError, FileTokenStore, Secret, Tokens

PAIR = Tokens(access_token=Secret("hunter2-a"), refresh_token=Secret("hunter2-r"))
NEXT = Tokens(access_token=Secret("hunter3-a"), refresh_token=Secret("hunter3-r"))

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


@pytest.fixture
def store(tmp_path: Path) -> FileTokenStore:
    """Return a store in a folder that does not exist yet."""
    return FileTokenStore(tmp_path / "state" / "login.json")


async def save(store: FileTokenStore, tokens: Tokens) -> None:
    """Save as a renewal does."""
    async with store.lock():
        await store.save(tokens)


async def test_it_keeps_the_last_pair(store: FileTokenStore) -> None:
    """Nothing, then the first, then the second, then nothing."""
    seen = [await store.load()]
    for tokens in (PAIR, NEXT):
        await save(store, tokens)
        seen.append(await FileTokenStore(store.path).load())
    await store.clear()
    seen.append(await store.load())

    assert seen == [None, PAIR, NEXT, None]


@posix
async def test_file_and_folder_are_for_the_user_alone(store: FileTokenStore) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        await save(store, PAIR)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}

    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}


async def test_tokens_lie_in_no_other_file(store: FileTokenStore) -> None:
    """Neither the lock nor a draft is left with a token in it."""
    await save(store, PAIR)
    await save(store, NEXT)
    others = [path for path in store.path.parent.iterdir() if path != store.path]

    assert not [path for path in others if b"hunter" in path.read_bytes()]
    assert "hunter2" not in store.path.read_text(encoding="utf-8")


async def test_the_draft_of_a_dead_process_is_replaced_and_cleared(store: FileTokenStore) -> None:
    """What somebody left who died while he wrote is neither read nor kept."""
    await save(store, PAIR)
    draft = store.path.with_name("login.json.new")
    draft.write_text("half of a hunter2", encoding="utf-8")
    loaded = await store.load()
    await save(store, NEXT)
    gone = not draft.exists()
    draft.write_text("half of a hunter2", encoding="utf-8")
    await store.clear()

    assert loaded == PAIR
    assert gone and not draft.exists()


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
async def test_a_file_that_others_can_read_is_refused(store: FileTokenStore, mode: int) -> None:
    """Its tokens may be known by now: it says to log in again."""
    await save(store, PAIR)
    store.path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"other users .* log in again"):
        await store.load()

    assert store.path.exists()


@posix
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
async def test_what_is_no_file_is_refused(store: FileTokenStore, kind: str, tmp_path: Path) -> None:
    """A link is not followed, and nothing is waited for."""
    await save(store, PAIR)
    elsewhere = tmp_path / "elsewhere"
    store.path.rename(elsewhere)
    if kind == "link":
        store.path.symlink_to(elsewhere)
    elif kind == "folder":
        store.path.mkdir()
    else:
        os.mkfifo(store.path)

    with pytest.raises(ConfigurationError, match="cannot be used"):
        await store.load()


@posix
async def test_a_link_is_replaced_and_not_followed(store: FileTokenStore, tmp_path: Path) -> None:
    """Saving writes to no file that somebody else has chosen."""
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    await save(store, PAIR)
    store.path.unlink()
    store.path.symlink_to(victim)
    store.path.with_name("login.json.new").symlink_to(victim)
    await save(store, NEXT)

    assert victim.read_text(encoding="utf-8") == "precious"
    assert await store.load() == NEXT


@posix
async def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """They could put a login of their own there."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    store = FileTokenStore(folder / "login.json")
    with pytest.raises(ConfigurationError, match="other users may write"):
        await save(store, PAIR)

    assert not store.path.exists()


async def test_a_damaged_file_is_told_as_such(
    store: FileTokenStore, shown: Callable[[BaseException], str]
) -> None:
    """And not shown."""
    await save(store, PAIR)
    store.path.write_text('{"version": 1, "access_token": "hunter2', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="log in again") as caught:
        await store.load()

    assert "hunter2" not in shown(caught.value)


async def test_a_pair_that_cannot_be_written_leaves_the_old_one(
    store: FileTokenStore, shown: Callable[[BaseException], str]
) -> None:
    """The error names the file, and no token."""
    await save(store, PAIR)
    store.path.with_name("login.json.new").mkdir()
    async with store.lock():
        with pytest.raises(ConfigurationError, match="cannot be written") as caught:
            await store.save(NEXT)

    assert "hunter" not in shown(caught.value)
    assert await store.load() == PAIR


async def test_one_at_a_time(store: FileTokenStore) -> None:
    """The lock holds between tasks of one process, too, and for two stores of one file."""
    inside: list[int] = []
    most: list[int] = []

    async def enter(number: int) -> None:
        async with FileTokenStore(store.path).lock():
            inside.append(number)
            most.append(len(inside))
            await asyncio.sleep(0.01)
            inside.remove(number)

    await asyncio.gather(*(enter(number) for number in range(5)))

    assert most == [1] * 5


async def test_who_is_cancelled_while_he_waits_keeps_no_lock(store: FileTokenStore) -> None:
    """However often that happens, the next one gets it."""

    async def enter() -> None:
        async with store.lock():
            await asyncio.sleep(0)

    for turn in range(30):
        waiting = asyncio.ensure_future(enter())
        for _ in range(turn % 10):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60), store.lock():
        entered = True

    assert entered


def test_it_lies_in_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside the limits."""
    monkeypatch.setenv("GONG_STATE_DIR", str(tmp_path))

    assert FileTokenStore().path == tmp_path / "login.json"
