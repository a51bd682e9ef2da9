"""Where files that outlive a process may lie, and who may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs
import pytest

from gong_async import ConfigurationError
from gong_async._storage.private_file import (
    MOUNTS,
    NETWORK_FILE_SYSTEMS,
    file_system,
    make_private_file,
    state_directory,
)
from gong_async.limits.schema import FILE_NAME, LIMITS

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def make_limits_file(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Make a file as the limits want it."""
    make_private_file(path, LIMITS.purpose, mounts=mounts)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def mounts(folder: Path, *lines: str) -> Path:
    """Write a table of mounts as Linux shows it."""
    table = folder / "mounts"
    table.write_text("/dev/sda1 / ext4 rw 0 0\n" + "".join(f"{line}\n" for line in lines))
    return table


def test_gong_state_dir_says_where_the_file_is(tmp_path: Path) -> None:
    """The variable names the directory; a home directory may be written as ~."""
    assert state_directory({"GONG_STATE_DIR": str(tmp_path)}) == tmp_path
    assert state_directory({"GONG_STATE_DIR": "~/gong"}) == Path.home() / "gong"


def test_without_it_the_file_is_in_the_users_state_directory() -> None:
    """That is where the platform keeps such files."""
    assert state_directory({}) == Path(platformdirs.user_state_dir("gong_async"))


@posix
def test_file_and_directory_are_for_their_user_alone(tmp_path: Path) -> None:
    """A directory that had to be made is 0700, the file in it 0600, whatever the umask."""
    path = tmp_path / "deep" / "down" / FILE_NAME
    before = os.umask(0)
    try:
        make_limits_file(path)
    finally:
        os.umask(before)

    assert (mode(path.parent), mode(path)) == (0o700, 0o600)


@posix
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A restored or copied file may have come with wider rights."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"")
    path.chmod(0o644)
    make_limits_file(path)

    assert mode(path) == 0o600


@posix
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """They could put another file in the place of this one."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(ConfigurationError, match="other users may write"):
        make_limits_file(folder / FILE_NAME)


@posix
def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """What it points to stays untouched, and is not made either."""
    path, target = tmp_path / FILE_NAME, tmp_path / "target"
    path.symlink_to(target)

    with pytest.raises(ConfigurationError, match="symbolic link"):
        make_limits_file(path)
    assert not target.exists()


@posix
@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_only_a_regular_file_is_taken(tmp_path: Path, kind: str) -> None:
    """Anything else is named in words, and nothing hangs on it."""
    path = tmp_path / FILE_NAME
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)

    with pytest.raises(ConfigurationError, match=r"not a regular file|[Ii]s a directory"):
        make_limits_file(path)


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """The error names its type and says what to do; no file is made."""
    table = mounts(tmp_path, f"server:/home {tmp_path.resolve()} {kind} rw 0 0")

    with pytest.raises(ConfigurationError, match=rf"\({kind}\).*GONG_STATE_DIR.*Redis"):
        make_limits_file(tmp_path / FILE_NAME, mounts=table)
    assert not (tmp_path / FILE_NAME).exists()


def test_the_innermost_and_latest_mount_counts(tmp_path: Path) -> None:
    """A local disk inside a network one is local; a mount over another hides it; blanks occur."""
    table = mounts(
        tmp_path,
        "server:/home /home nfs4 rw 0 0",
        "/dev/sdb1 /home/local\\040disk ext4 rw 0 0",
        "tmpfs /mnt tmpfs rw 0 0",
        "server:/data /mnt cifs rw 0 0",
    )
    found = [
        file_system(Path(folder), table)
        for folder in ("/home/dana", "/home/local disk/gong", "/homes", "/mnt/gong")
    ]

    assert found == ["nfs4", "ext4", "ext4", "cifs"]


def test_a_system_that_does_not_tell_its_mounts_is_trusted(tmp_path: Path) -> None:
    """Only Linux has the table."""
    make_limits_file(tmp_path / FILE_NAME, mounts=tmp_path / "missing")

    assert (tmp_path / FILE_NAME).exists()


def test_a_place_where_nothing_can_be_made_is_explained(tmp_path: Path) -> None:
    """The error names the file, the reason and the way out."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigurationError, match=r"cannot be used: .*GONG_STATE_DIR"):
        make_limits_file(tmp_path / "file" / FILE_NAME)
