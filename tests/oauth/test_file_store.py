"""The login's file: private, replaced as a whole, changed by one at a time."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gong_async import ConfigurationError, FileTokenStore, Secret, Tokens

FILES = Path(__file__).parent / "files"
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


async def test_a_login_of_every_version_is_read(store: FileTokenStore) -> None:
    """Also one that an earlier version of the package has written."""
    store.path.parent.mkdir(mode=0o700)
    for written in sorted(FILES.glob("login-version-*.json")):
        store.path.write_bytes(written.read_bytes())
        store.path.chmod(0o600)

        assert await store.load() == Tokens(
            access_token=Secret("stored-access-token"),
            refresh_token=Secret("stored-refresh-token"),
            base_url="https://us-12345.api.gong.io",
            expires_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
            lifetime=86400.0,
            scopes=("api:meetings:user:update", "api:meetings:integration:status"),
        )


@pytest.mark.parametrize("suffix", ["", ".new"], ids=["in_its_place", "left_beside_it"])
async def test_a_login_of_a_newer_version_is_refused(store: FileTokenStore, suffix: str) -> None:
    """It stays as it is, and the error says what to do; an older pair beside it is spent."""
    await save(store, PAIR)
    newer = store.path.with_name(store.path.name + suffix)
    newer.write_text('{"version": 2, "tokens": "hunter2"}', encoding="utf-8")
    newer.chmod(0o600)

    with pytest.raises(ConfigurationError, match=r"version 2.*update gong_async") as caught:
        await store.load()

    assert "hunter2" not in str(caught.value)
    assert "hunter2" in newer.read_text(encoding="utf-8")


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
    """The file of a process that died while writing is neither read nor kept."""
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
    """Saving writes to no file that another author has chosen."""
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


async def test_a_damaged_file_is_reported_as_such(
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


REFUSALS = [errno.EBUSY, errno.EXDEV, errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EPERM]


def refuse(monkeypatch: pytest.MonkeyPatch, *problems: BaseException | None) -> list[str]:
    """Let `replace` end like this, call by call, and then as always; return what is replaced."""
    left, real, seen = list(problems), Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        seen.append(target.name)
        problem = left.pop(0) if left else None
        if problem is not None:
            raise problem
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    return seen


@pytest.mark.parametrize("number", REFUSALS, ids=errno.errorcode.get)
async def test_a_file_that_cannot_be_replaced_is_found_beforehand(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As that of a bind mount: the error says what to do, and all is as before."""
    await save(store, PAIR)
    refuse(monkeypatch, OSError(number, os.strerror(number)))
    async with store.lock():
        with pytest.raises(ConfigurationError, match="GONG_STATE_DIR") as refused:
            await store.check_writable()

    assert ("mount its directory instead" in str(refused.value)) == (number == errno.EBUSY)
    assert await store.load() == PAIR
    assert {path.name for path in store.path.parent.iterdir()} == {"login.json", "login.json.lock"}


@pytest.mark.parametrize("tokens", [None, PAIR])
async def test_a_file_that_can_be_replaced_stays_as_it_was(
    store: FileTokenStore, tokens: Tokens | None
) -> None:
    """With a login in it, or without."""
    async with store.lock():
        if tokens is not None:
            await store.save(tokens)
        for _ in range(2):
            await store.check_writable()

    assert await store.load() == tokens
    assert store.path.exists() == (tokens is not None)
    assert not store.path.with_name("login.json.new").exists()


@pytest.mark.parametrize("problem", [OSError(errno.EBUSY, "busy"), KeyboardInterrupt()])
@pytest.mark.may_block("is interrupted in the middle of a write, as a thread cannot be")
async def test_a_pair_that_was_written_is_found_after_a_crash(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    """Between the writing and the replacement: the draft is read, and takes its place later."""
    await save(store, PAIR)
    refuse(monkeypatch, problem, OSError(errno.EBUSY, "busy"))
    with suppress(KeyboardInterrupt):
        store._write(NEXT)
    after = await FileTokenStore(store.path).load()
    async with store.lock():
        with pytest.raises(ConfigurationError, match="is not renewed"):
            await store.check_writable()
        still = await store.load()
        await store.check_writable()

    assert after == still == NEXT == await store.load()
    assert not store.path.with_name("login.json.new").exists()
    assert "hunter3" in store.path.read_text(encoding="utf-8")


async def test_a_logout_empties_what_cannot_be_removed(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is mounted by itself stays, and the user is not logged in."""
    await save(store, PAIR)
    real = Path.unlink

    def unlink(self: Path, *, missing_ok: bool = False) -> None:
        if self == store.path:
            raise OSError(errno.EBUSY, "busy")
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    await store.clear()

    assert (store.path.read_bytes(), await store.load()) == (b"", None)


BOUND = """
import asyncio, sys
from gong_async import ConfigurationError, FileTokenStore, Secret, Tokens
store = FileTokenStore(sys.argv[1])
async def main():
    async with store.lock():
        try:
            await store.check_writable()
        except ConfigurationError as error:
            print("mount its directory instead" in str(error))
        await store.save(Tokens(access_token=Secret("hunter3-a")))
    print((await FileTokenStore(sys.argv[1]).load()).access_token.reveal())
    await store.clear()
    print(await store.load())
asyncio.run(main())
"""


async def test_a_file_that_is_really_mounted(store: FileTokenStore) -> None:
    """The same without a patch, where this system lets a user mount something."""
    await save(store, PAIR)
    script = 'mount --bind "$2" "$2" && exec "$0" -c "$1" "$2"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        done = await asyncio.create_subprocess_exec(
            *command, sys.executable, BOUND, str(store.path), stdout=-1, stderr=-1
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    out, err = await done.communicate()
    if b"unshare" in err or b"mount:" in err:
        pytest.skip("nothing can be mounted")

    assert out.split() == [b"True", b"hunter3-a", b"None"], err.decode()


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

    for permit in range(30):
        waiting = asyncio.ensure_future(enter())
        for _ in range(permit % 10):
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
