"""A file for this user alone, on a disk of this machine."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import frozen
from platformdirs import user_state_dir

from gong_async.errors import GongError

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


@frozen
class Purpose:
    """What a file is for, in the words of its errors."""

    title: str
    """`the limits' file`, for example."""
    error: Callable[[str], GongError]
    """Makes the error to raise, from what happened."""
    elsewhere: str
    """What to do if the place will not do, as the end of a sentence."""
    instead: str = ""
    """What else could be done where a file cannot be shared."""
    foreign: Callable[[str], GongError] | None = None
    """Makes the error for a file that another program or version has written, if not `error`."""


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return where state is kept: `GONG_STATE_DIR`, else the user's state directory."""
    folder = (os.environ if environ is None else environ).get("GONG_STATE_DIR")
    return Path(folder or user_state_dir("gong_async")).expanduser().absolute()


def make_private_file(path: Path, purpose: Purpose, *, mounts: Path = MOUNTS) -> None:
    """Make the file if it is missing, with its directory; both for this user alone.

    Raises:
        GongError: as `purpose` makes it: the file cannot be made there, others could change it,
            or it is on a network.
    """
    try:
        _make_directory(path.parent, purpose)
        _refuse_network(path.parent.resolve(), purpose, mounts)
        _make_file(path, purpose)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise purpose.error(
            f"{purpose.title} {path} cannot be used: {problem}; {purpose.elsewhere}"
        ) from None


def file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that `folder` is on; None where nothing tells."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None  # not Linux
    found, depth, place = None, -1, f"{folder}/"
    for line in lines:
        _, point, kind, *_ = line.split(" ", 3)
        if "\\" in point:
            point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), point)
        # Of two that are mounted at one place the later one is seen.
        if len(point) >= depth and place.startswith(f"{point.rstrip('/')}/"):
            found, depth = kind, len(point)
    return found


def _make_directory(folder: Path, purpose: Purpose) -> None:
    for missing in reversed([folder, *folder.parents]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix" and folder.stat().st_mode & _WRITABLE_BY_OTHERS:
        raise purpose.error(
            f"other users may write to {folder}, and so replace {purpose.title}; "
            f"run `chmod 700` on it, or {purpose.elsewhere}"
        )


def _refuse_network(folder: Path, purpose: Purpose, mounts: Path) -> None:
    kind = file_system(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        instead = f", or {purpose.instead}" if purpose.instead else ""
        raise purpose.error(
            f"{folder} is on a network file system ({kind}), where a file cannot be shared "
            f"safely; {purpose.elsewhere}{instead}"
        )


def _make_file(path: Path, purpose: Purpose) -> None:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    # What is there already is not opened: to close it again would take away the locks that SQLite
    # holds on it in this process, and another process could then remove its log.
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise purpose.error(
            f"{purpose.title} {path} is a symbolic link, which is not followed; "
            f"remove it, or {purpose.elsewhere}"
        )
    if not stat.S_ISREG(status.st_mode):
        raise purpose.error(
            f"{purpose.title} {path} is not a regular file; remove it, or {purpose.elsewhere}"
        )
    if os.name == "posix" and stat.S_IMODE(status.st_mode) != 0o600:  # noqa: PLR2004
        path.chmod(0o600)
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
