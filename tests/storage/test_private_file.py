"""Where files that outlive a process may lie, and who may read them."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from gong_async import ConfigurationError, FileTokenStore, GongClient, SQLiteLimitStore
from gong_async._storage.private_file import (
    LOCAL_FILE_SYSTEMS,
    MOUNTS,
    NETWORK_FILE_SYSTEMS,
    file_system,
    make_private_file,
    state_directory,
)
from gong_async.bulk.store.job_file import jobs_directory
from gong_async.limits.sqlite.tables import FILE_NAME, LIMITS

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def make_limits_file(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Make a file as the limits want it."""
    make_private_file(path, LIMITS.purpose, mounts=mounts)


def mode_of(path: Path) -> int:
    """Return the permission bits."""
    return path.stat().st_mode & 0o777


def no_user(uid: int) -> None:
    """Look for a user who is in no list."""
    raise KeyError(uid)


def jobs_directory_of(environ: dict[str, str]) -> Path:
    """Return where the journals are kept."""
    return jobs_directory(state_directory(environ))


def mounts(folder: Path, *lines: str, root: str = "ext4") -> Path:
    """Write a table of mounts as Linux shows it: `POINT TYPE`, mounted on the root.

    `POINT TYPE PARENT` is mounted on another one, the root being 1 and the first line 2.
    """
    rows = [f"1 0 8:1 / / rw,noatime shared:1 - {root} /dev/sda1 rw"]
    for number, line in enumerate(lines, start=2):
        point, kind, *parent = line.split(" ")
        on = parent[0] if parent else "1"
        rows.append(f"{number} {on} 0:{number} / {point} rw master:7 shared:3 - {kind} x rw,a=b")
    table = folder / "mountinfo"
    table.write_text("".join(f"{row}\n" for row in rows))
    return table


def test_gong_state_dir_says_where_the_file_is(tmp_path: Path) -> None:
    """The variable names the directory; a home directory may be written as ~."""
    assert state_directory({"GONG_STATE_DIR": str(tmp_path)}) == tmp_path
    assert state_directory({"GONG_STATE_DIR": "~/gong"}) == Path.home() / "gong"


def test_without_it_the_file_is_in_the_users_state_directory() -> None:
    """That is where the platform keeps such files."""
    assert state_directory({}) == Path(platformdirs.user_state_dir("gong_async"))


HOMELESS: dict[str, dict[str, str]] = {
    "no HOME, no entry": {},
    "empty": {"HOME": ""},
    "relative": {"HOME": "home/dana"},
    "unexpanded": {"HOME": "~"},
    "relative XDG_STATE_HOME": {"HOME": "/home/dana", "XDG_STATE_HOME": "state"},
    "XDG_STATE_HOME below an empty HOME": {"HOME": "", "XDG_STATE_HOME": "~/state"},
}


@posix
@pytest.mark.parametrize("variables", HOMELESS.values(), ids=HOMELESS)
def test_without_a_home_directory_it_says_what_to_set(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose user is a number: the error is ours, and names GONG_STATE_DIR."""
    monkeypatch.setattr("pwd.getpwuid", no_user)
    for name in ("HOME", "XDG_STATE_HOME", "GONG_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match="set GONG_STATE_DIR"):
        state_directory()
    with pytest.raises(ConfigurationError, match="set GONG_STATE_DIR"):
        SQLiteLimitStore()
    with pytest.raises(ConfigurationError, match="set GONG_STATE_DIR"):
        FileTokenStore()


@posix
@pytest.mark.parametrize("variables", [{}, {"HOME": ""}])
def test_a_home_directory_that_is_not_known_is_not_invented(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`~` in GONG_STATE_DIR needs a home; XDG_STATE_HOME and a full path do not."""
    monkeypatch.setattr("pwd.getpwuid", no_user)
    monkeypatch.delenv("HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for given in ("~/gong", "~no-user-of-that-name/gong"):
        with pytest.raises(ConfigurationError, match="set GONG_STATE_DIR"):
            state_directory({"GONG_STATE_DIR": given})
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert state_directory({}) == tmp_path / "gong_async"
    assert state_directory({"GONG_STATE_DIR": "/srv/gong"}) == Path("/srv/gong")


def test_a_key_needs_no_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose credential is a key, or a token, keeps nothing on the disk."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "")

    GongClient.from_env({"GONG_BEARER_TOKEN": "hunter2"})
    with pytest.raises(ConfigurationError, match="set GONG_STATE_DIR"):
        GongClient.from_env({"GONG_OAUTH_CLIENT_ID": "id", "GONG_OAUTH_CLIENT_SECRET": "hunter2"})


def test_a_blank_variable_is_as_one_that_is_not_set() -> None:
    """It does not name a directory of blanks where the program happens to run."""
    assert state_directory({"GONG_STATE_DIR": " "}) == state_directory({"GONG_STATE_DIR": ""})


@posix
@pytest.mark.parametrize("kind", ["too long", "null character", "loop of links", "unreadable"])
def test_a_state_directory_that_cannot_be_looked_into_is_named(tmp_path: Path, kind: str) -> None:
    """As with the HOME of another user: no bare `PermissionError`, but what to set."""
    folder = tmp_path / "folder" / "state"
    if kind == "unreadable":
        if os.geteuid() == 0:
            pytest.skip("root may look into everything")
        folder.parent.mkdir(mode=0)
    elif kind == "loop of links":
        folder.parent.symlink_to(folder.parent)
    else:
        folder = tmp_path / ("a" * 300 if kind == "too long" else "a\0b")
    for look in (state_directory, jobs_directory_of):
        with pytest.raises(ConfigurationError, match=r"cannot be used: .*; set GONG_STATE_DIR"):
            look({"GONG_STATE_DIR": str(folder)})


@posix
@pytest.mark.parametrize("mode", [0o2775, 0o777, 0o1777, 0o2770, 0o770])
def test_in_a_volume_that_others_may_write_to_a_private_directory_is_used(
    tmp_path: Path, mode: int
) -> None:
    """As Kubernetes gives it; its rights stay as they are, and the place stays the same."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    environ = {"GONG_STATE_DIR": str(volume)}
    before = os.umask(0)
    try:
        for path in (state_directory(environ) / FILE_NAME, jobs_directory_of(environ) / "journal"):
            make_limits_file(path)
    finally:
        os.umask(before)
    folder = state_directory(environ)
    volume.chmod(0o700)

    assert folder == state_directory(environ) == volume / f"gong_async-{os.geteuid()}"
    assert (mode_of(volume), mode_of(folder), mode_of(folder / "jobs")) == (0o700, 0o700, 0o700)
    assert mode_of(folder / FILE_NAME) == 0o600


@posix
def test_a_volume_that_was_mounted_anew_is_used_as_before(tmp_path: Path) -> None:
    """Kubernetes then gives its group all rights to everything; they are taken back."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o2775)
    environ = {"GONG_STATE_DIR": str(volume)}
    path = jobs_directory_of(environ) / "journal"
    make_limits_file(path)
    for one in (state_directory(environ), path.parent):
        one.chmod(0o2770)
    path.chmod(0o660)
    make_limits_file(path)

    assert {mode_of(one) for one in (state_directory(environ), path.parent)} == {0o700}
    assert mode_of(path) == 0o600


@posix
def test_a_directory_inside_a_volume_that_was_mounted_anew_is_used_as_before(
    tmp_path: Path,
) -> None:
    """Such as `/data/gong`, made by us in the volume `/data`: its rights are taken back, too."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o2775)
    environ = {"GONG_STATE_DIR": str(volume / "apps" / "gong")}
    paths = [state_directory(environ) / FILE_NAME, jobs_directory_of(environ) / "journal"]
    for path in paths:
        make_limits_file(path)
    for one in (volume / "apps", paths[0].parent, paths[1].parent):
        one.chmod(0o2770)
    for path in reversed(paths):
        path.chmod(0o660)
        make_limits_file(path)

    assert state_directory(environ) == volume / "apps" / "gong"
    assert {mode_of(path.parent) for path in paths} == {0o700}
    assert {mode_of(path) for path in paths} == {0o600}
    assert mode_of(volume / "apps") == 0o770


@posix
@pytest.mark.parametrize("kind", ["link", "file", "foreign", "foreign jobs"])
def test_a_private_directory_of_another_user_is_refused(tmp_path: Path, kind: str) -> None:
    """In a directory that others may write to, they may have been there first."""
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    for folder in (volume, elsewhere):
        folder.mkdir()
    volume.chmod(0o1777)
    private = volume / f"gong_async-{os.geteuid()}"
    if kind == "link":
        private.symlink_to(elsewhere)
    elif kind == "file":
        private.touch()
    elif os.geteuid() == 0:
        private.mkdir(0o755)
        os.chown(private, 4711, 4711)
    else:
        pytest.skip("only root may give a directory away")
    folder = state_directory({"GONG_STATE_DIR": str(volume)})
    path = folder / "jobs" / "journal" if kind == "foreign jobs" else folder / FILE_NAME

    with pytest.raises(ConfigurationError, match="GONG_STATE_DIR"):
        make_limits_file(path)
    assert not path.exists() and not list(elsewhere.iterdir())


@posix
def test_state_that_lies_open_is_not_left_behind(tmp_path: Path) -> None:
    """Where there is state already, nothing begins anew beside it: the error says what to do."""
    make_limits_file(tmp_path / "state" / FILE_NAME)
    (tmp_path / "state").chmod(0o777)
    folder = state_directory({"GONG_STATE_DIR": str(tmp_path / "state")})

    assert folder == tmp_path / "state"
    with pytest.raises(ConfigurationError, match="other users may write"):
        make_limits_file(folder / FILE_NAME)


@posix
def test_file_and_directory_are_for_their_user_alone(tmp_path: Path) -> None:
    """A directory that had to be made is 0700, the file in it 0600, whatever the umask."""
    path = tmp_path / "deep" / "down" / FILE_NAME
    before = os.umask(0)
    try:
        make_limits_file(path)
    finally:
        os.umask(before)

    assert (mode_of(path.parent), mode_of(path)) == (0o700, 0o600)


@posix
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A restored or copied file may have come with wider rights."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"")
    path.chmod(0o644)
    make_limits_file(path)

    assert mode_of(path) == 0o600


@posix
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """They could put another file in the place of this one."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(ConfigurationError, match=r"other users may write.*mkdir -m 700"):
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
def test_a_network_file_system_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names its type and says what to do; no variable makes it local."""
    table = mounts(tmp_path, f"{tmp_path.resolve()} {kind}")
    monkeypatch.setenv("GONG_LOCAL_FILE_SYSTEMS", kind)

    with pytest.raises(ConfigurationError, match=rf"\({kind}\).*GONG_STATE_DIR.*Redis") as refused:
        make_limits_file(tmp_path / FILE_NAME, mounts=table)
    assert "GONG_LOCAL_FILE_SYSTEMS" not in str(refused.value)
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("kind", sorted(LOCAL_FILE_SYSTEMS))
def test_a_local_file_system_is_taken(tmp_path: Path, kind: str) -> None:
    """Disks, memory, and the disks of containers and virtual machines."""
    make_limits_file(tmp_path / FILE_NAME, mounts=mounts(tmp_path, root=kind))

    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("kind", ["fuse.mergerfs", "fuse", "newfs", "nfs5", "EXT4"])
def test_an_unknown_file_system_is_refused_unless_it_is_named(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable and its value; another value changes nothing."""
    table, path = mounts(tmp_path, root=kind), tmp_path / FILE_NAME
    monkeypatch.setenv("GONG_LOCAL_FILE_SYSTEMS", "fuse.other")
    with pytest.raises(ConfigurationError, match=rf"set GONG_LOCAL_FILE_SYSTEMS={kind} if"):
        make_limits_file(path, mounts=table)
    refused = not path.exists()
    monkeypatch.setenv("GONG_LOCAL_FILE_SYSTEMS", f"fuse.other, {kind}")
    make_limits_file(path, mounts=table)

    assert refused and path.exists()


def test_the_mount_that_is_seen_counts(tmp_path: Path) -> None:
    """A local disk inside a network one is local; a mount over others hides them; blanks occur."""
    table = mounts(
        tmp_path,
        "/home nfs4",
        "/home/local\\040disk\\134\\043 xfs 2",
        "/mnt tmpfs",
        "/mnt cifs 4",
        "/covered/inside nfs4",
        "/covered btrfs",
        "/net\\012work nfs",
        "/bound nfs4",
        "/moved/before xfs 11",
        "/moved nfs",
    )
    folders = {
        "/home/dana": "nfs4",
        "/home": "nfs4",
        "/home/local disk\\#/gong": "xfs",
        "/homes": "ext4",
        "/mnt/gong": "cifs",
        "/covered/inside/gong": "btrfs",
        "/net\nwork/gong": "nfs",
        "/bound/gong": "nfs4",
        "/moved/before/gong": "xfs",
        "/moved/gong": "nfs",
        "/": "ext4",
    }

    assert {folder: file_system(Path(folder), table) for folder in folders} == folders


@pytest.mark.parametrize("root", ["1 1", "1 0", "1 77"])
def test_any_root_will_do(tmp_path: Path, root: str) -> None:
    """The root is mounted on itself, or on what this process cannot see; it may be covered."""
    table = tmp_path / "mountinfo"
    table.write_text(
        f"{root} 0:1 / / rw - rootfs none rw\n"
        "3 2 0:3 / /proc rw - proc proc rw\n"
        "2 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    )

    assert file_system(Path("/var"), table) == "ext4"
    assert file_system(Path("/proc/1"), table) == "proc"


def test_in_a_chroot_without_a_mount_the_type_is_unknown(tmp_path: Path) -> None:
    """What is mounted below it is known."""
    table = tmp_path / "mountinfo"
    table.write_text("4 1 0:4 / /data rw - nfs4 server:/ rw\n")

    assert file_system(Path("/var"), table) is None
    assert file_system(Path("/data/gong"), table) == "nfs4"


def test_a_system_without_a_list_of_mounts_is_trusted(tmp_path: Path) -> None:
    """Only Linux has the table."""
    make_limits_file(tmp_path / FILE_NAME, mounts=tmp_path / "missing")

    assert (tmp_path / FILE_NAME).exists()


def test_a_place_where_nothing_can_be_made_is_explained(tmp_path: Path) -> None:
    """The error names the file, the reason and the way out."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigurationError, match=r"cannot be used: .*GONG_STATE_DIR"):
        make_limits_file(tmp_path / "file" / FILE_NAME)
