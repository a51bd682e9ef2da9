"""A private file of this user, on a disk of this machine."""

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

from gong_async.errors import ConfigurationError, GongError

MOUNTS = Path("/proc/self/mountinfo")
TRUSTED = "GONG_LOCAL_FILE_SYSTEMS"
"""The variable that names further types of file systems as local, with commas between them."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# SQLite's locks and shared memory work between the processes of one machine only.
NETWORK_FILE_SYSTEMS = _names(
    "acfs afs autofs beegfs ceph cifs coda cvmfs davfs davfs2 gfs gfs2 glusterfs gpfs lustre mfs "
    "moosefs ncpfs nfs nfs3 nfs4 ocfs2 orangefs panfs prl_fs pvfs2 quobyte smb2 smb3 smbfs "
    "vboxsf vmhgfs wekafs "
    "fuse.afs fuse.ceph fuse.ceph-fuse fuse.curlftpfs fuse.davfs fuse.gcsfuse fuse.glusterfs "
    "fuse.goofys fuse.juicefs fuse.lustre fuse.mfs fuse.moosefs fuse.mount-s3 fuse.nfs "
    "fuse.rclone fuse.s3fs fuse.seaweedfs fuse.smbnetfs fuse.sshfs fuse.vmhgfs-fuse"
)
# 9p and virtiofs are the disks of virtual machines, as those of WSL and of Kata Containers.
LOCAL_FILE_SYSTEMS = _names(
    "9p apfs aufs bcachefs bfs btrfs devtmpfs ecryptfs erofs exfat ext2 ext3 ext4 f2fs "
    "fuse.ext2 fuse.fuse-overlayfs fuse.ntfs fuse.ntfs-3g fuseblk gofer hfs hfsplus hugetlbfs "
    "iso9660 jffs2 jfs minix msdos nilfs2 ntfs ntfs3 overlay overlayfs ramfs reiser4 reiserfs "
    "rootfs shiftfs squashfs tmpfs ubifs udf ufs umsdos vfat virtiofs xfs yaffs2 zfs"
)

_ESCAPED = re.compile(r"\\([0-7]{3})")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What lies in a state directory that only its owner can access.
_STATE_FILES = ("limits.sqlite3", "ledger.sqlite3", "login.json")


@frozen
class Purpose:
    """What a file is for, as text of its error messages."""

    title: str
    """For example `the limits file`."""
    error: Callable[[str], GongError]
    """Returns the exception to raise for a message."""
    elsewhere: str
    """What to do if the location is unsuitable, as the end of a sentence."""
    instead: str = ""
    """An alternative where a file cannot be shared."""
    foreign: Callable[[str], GongError] | None = None
    """Makes the error for a file that another program or version has written, if not `error`."""


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the state directory: `GONG_STATE_DIR`, else that of the user.

    Where others may write, as in a volume of Kubernetes, it is a directory in it for this user.

    Raises:
        ConfigurationError: the directory of this user is not known, or cannot be used.
    """
    given = (os.environ if environ is None else environ).get("GONG_STATE_DIR")
    # A blank value is what a template makes of one that is not set.
    return private_directory(absolute(given) if given and given.strip() else _users_directory())


def private_directory(folder: Path) -> Path:
    """Return `folder`, or where others may write to it, a directory in it for this user alone.

    Raises:
        ConfigurationError: this user may not look into it, or nothing can be there.
    """
    private = folder / private_name()
    try:
        # A few looks at inodes are all that happens before the first call, in the event loop. The
        # dot has a link followed.
        mode = os.lstat(f"{folder}/.").st_mode
        others_write = os.name == "posix" and mode & _WRITABLE_BY_OTHERS
        # Once made, it stays in use, whatever becomes of the rights of the directory around it.
        if os.path.lexists(private) or (others_write and not _is_state_directory(folder)):
            return private
    except (FileNotFoundError, NotADirectoryError):
        return folder  # creating a file in it raises the error if it is unusable
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
    else:
        return folder
    raise ConfigurationError(
        f"the state directory {str(folder)!r} cannot be used: {problem}; set GONG_STATE_DIR to a "
        "directory of yours on a local disk"
    )


def _is_state_directory(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in _STATE_FILES)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path; `~` at its beginning is a home directory.

    Raises:
        ConfigurationError: the home directory, or the current one, is not known.
    """
    given = Path(path)
    with suppress(OSError, RuntimeError):
        found = given.expanduser()
        if found == given:
            return found.absolute()
        if found.is_absolute() and _has_home():
            return found
    raise ConfigurationError(
        f"the home or working directory that {path} begins with is not known; give an absolute "
        "path, or set GONG_STATE_DIR to one"
    )


def private_name() -> str:
    """Return the name of this user's directory in one that others may write to."""
    return f"gong_async-{os.geteuid()}" if os.name == "posix" else "gong_async"


def make_private_file(path: Path, purpose: Purpose, *, mounts: Path = MOUNTS) -> None:
    """Create the file and its directory if they are missing, both private.

    Raises:
        GongError: as `purpose` makes it: the file cannot be made there, others could change it,
            or it is on a network.
    """
    try:
        _make_directory(path.parent, purpose)
        problem, unless = file_system_problem(path.parent, mounts)
        if problem:
            instead = f", or {purpose.instead}" if purpose.instead else ""
            raise purpose.error(f"{problem}; {unless}{purpose.elsewhere}{instead}")
        _make_file(path, purpose)
    except (OSError, ValueError) as error:
        if isinstance(error, GongError):
            raise
        problem = getattr(error, "strerror", None) or type(error).__name__
        raise purpose.error(
            f"{purpose.title} {path} cannot be used: {problem}; {purpose.elsewhere}"
        ) from None


def file_system_problem(folder: Path, mounts: Path = MOUNTS) -> tuple[str, str]:
    """Return the problem with the file system of a directory, and a remedy."""
    kind = file_system(folder.resolve(), mounts)
    trusted = re.split(r"[\s,]+", os.environ.get(TRUSTED, ""))
    if kind in NETWORK_FILE_SYSTEMS:
        problem = f"{folder} is on a network file system ({kind}), where files cannot be shared"
        return problem, ""
    if kind is None or kind in LOCAL_FILE_SYSTEMS or kind in trusted:
        return "", ""
    problem = f"{folder} is on a file system of an unknown type ({kind}), perhaps on a network"
    return problem, f"set {TRUSTED}={kind} if it is a disk of this machine, or "


def file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system of `folder`; None if unknown."""
    try:
        lines = os.fsdecode(mounts.read_bytes()).split("\n")
    except OSError:
        return None  # not Linux
    # See proc_pid_mountinfo(5): id, parent, device, root, mount point, options..., -, type, ...
    table: dict[str, list[tuple[str, str, str]]] = {}
    rows = [line.split(" ") for line in lines if " - " in line]
    known = {row[0] for row in rows}
    for number, parent, _, _, point, *rest in rows:
        above = parent if parent in known and parent != number else ""
        kind = rest[rest.index("-") + 1]
        table.setdefault(above, []).append((_unescaped(point), number, _unescaped(kind)))
    found, here, place = None, "", f"{folder}/"
    # A mount is reached through the one that it was mounted on. Of two on the same, the one
    # further down in the tree cannot be reached once the other covers it.
    while below := [one for one in table.pop(here, ()) if place.startswith(_inside(one[0]))]:
        _, here, found = min(below, key=lambda one: len(one[0]))
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _inside(point: str) -> str:
    return f"{point.rstrip('/')}/"


def _has_home() -> bool:
    # An empty HOME would hide the home directory of the user database.
    return os.name != "posix" or os.environ.get("HOME", "/").startswith("/")


def _users_directory() -> Path:
    folder = Path()
    with suppress(RuntimeError):  # of newer versions of platformdirs
        folder = Path(user_state_dir("gong_async"))
    reported = os.environ.get("XDG_STATE_HOME", "").strip() if os.name == "posix" else ""
    if folder.is_absolute() and (reported.startswith("/") or (not reported and _has_home())):
        return folder
    raise ConfigurationError(
        "there is no home directory to keep state in: HOME or XDG_STATE_HOME is missing, empty or "
        "relative; set GONG_STATE_DIR to a directory of yours on a local disk"
    )


def _make_directory(folder: Path, purpose: Purpose) -> None:
    others_write = private = False
    for step in reversed([folder, *folder.parents]):
        step.mkdir(mode=0o700, exist_ok=True)
        if os.name != "posix":
            continue
        status = step.lstat()
        if others_write and (
            stat.S_ISLNK(status.st_mode) or status.st_uid not in {0, os.geteuid()}
        ):
            raise purpose.error(
                f"{step} belongs to another user, or is a link, in a directory that other users "
                f"may write to; remove it, or {purpose.elsewhere}"
            )
        # One that holds our files was private when it was made.
        private = private or (
            others_write and (step.name == private_name() or _is_state_directory(step))
        )
        if private and stat.S_ISDIR(status.st_mode) and status.st_mode & _FOR_OTHERS:
            step.chmod(0o700)  # Kubernetes gives the group of a volume all rights at each start
        others_write = bool(step.stat().st_mode & _WRITABLE_BY_OTHERS)
    if others_write:
        raise purpose.error(
            f"other users may write to {folder}, and so replace {purpose.title}; put it into a "
            f"directory of your own (mkdir -m 700), or {purpose.elsewhere}"
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
