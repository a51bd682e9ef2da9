"""Where limits that outlive a process are kept: a private file on a disk of this machine."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_state_dir

from gong_async.errors import ConfigurationError

FILE_NAME = "limits.sqlite3"
MOUNTS = Path("/proc/self/mounts")

# SQLite's locks and shared memory work between the processes of one machine only.
NETWORK_FILE_SYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
    ]
)

_ESCAPED = re.compile(r"\\([0-7]{3})")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def state_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file's place: in `GONG_STATE_DIR`, else in the user's state directory."""
    folder = (os.environ if environ is None else environ).get("GONG_STATE_DIR")
    return Path(folder or user_state_dir("gong_async")).expanduser().absolute() / FILE_NAME


def make_state_file(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Make the file if it is missing, with its directory; both for this user alone.

    Raises:
        ConfigurationError: it cannot be made there, others could change it, or it is on a network.
    """
    try:
        _make_directory(path.parent)
        _refuse_network(path.parent.resolve(), mounts)
        _make_file(path)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"the limits' file {path} cannot be used: {problem}; {_ELSEWHERE}"
        ) from None


def file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that `folder` is on; None where nothing tells."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None  # not Linux
    found, depth = None, -1
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        mounted = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), point))
        # Of two that are mounted at one place the later one is seen.
        if len(mounted.parts) >= depth and folder.is_relative_to(mounted):
            found, depth = kind, len(mounted.parts)
    return found


_ELSEWHERE = "set GONG_STATE_DIR to a directory of yours on a local disk"


def _make_directory(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix" and folder.stat().st_mode & _WRITABLE_BY_OTHERS:
        raise ConfigurationError(
            f"other users may write to {folder}, and so replace the limits' file; "
            f"run `chmod 700` on it, or {_ELSEWHERE}"
        )


def _refuse_network(folder: Path, mounts: Path) -> None:
    kind = file_system(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigurationError(
            f"{folder} is on a network file system ({kind}), where a file cannot be shared "
            f"safely; {_ELSEWHERE}, or share the limits over Redis"
        )


def _make_file(path: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise ConfigurationError(
            f"the limits' file {path} is a symbolic link, which is not followed; "
            f"remove it, or {_ELSEWHERE}"
        )
    opened = os.open(path, flags, 0o600)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(
                f"the limits' file {path} is not a regular file; remove it, or {_ELSEWHERE}"
            )
        if os.name == "posix" and stat.S_IMODE(status.st_mode) != 0o600:  # noqa: PLR2004
            os.fchmod(opened, 0o600)
    finally:
        os.close(opened)
