"""What is said of a missing extra fits the way in which the package was installed."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gong_async._distribution.install import install_command

REQUIRES = """Metadata-Version: 2.4
Name: gong-async
Version: 9.9
Requires-Dist: attrs>=25.4
Requires-Dist: click<9,>=8.2; extra == "cli"
Requires-Dist: rich<16,>=14; extra == "cli"
Requires-Dist: redis[hiredis]>=5.2; extra == 'redis'
"""
Installed = Callable[..., None]
PIP = [sys.executable, "-m", "pip", "install"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Let the package look as if a tool had installed it."""
    prefix = tmp_path / "env"
    prefix.mkdir()
    monkeypatch.setattr(sys, "prefix", str(prefix))

    def installed(origin: dict[str, Any] | None = None, *, by: str = "pip", **files: str) -> None:
        folder = tmp_path / "site" / "gong_async-9.9.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(REQUIRES)
        (folder / "INSTALLER").write_text(f"{by}\n")
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))
        for name, text in files.items():
            (prefix / name.replace("__", ".").replace("_dash_", "-")).write_text(text)
        monkeypatch.syspath_prepend(folder.parent)

    return installed


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no pip, as in a virtual environment that uv has made."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pip" else real(name)
    )


COMMIT = {"vcs": "git", "commit_id": "0a1b2c"}
ORIGINS: dict[str, tuple[dict[str, Any] | None, list[str]]] = {
    "index": (None, ["gong-async[cli]"]),
    "folder": ({"url": "file:///srv/my%20clone", "dir_info": {}}, ["/srv/my clone[cli]"]),
    "editable": (
        {"url": "file:///srv/clone", "dir_info": {"editable": True}},
        ["--editable", "/srv/clone[cli]"],
    ),
    "wheel": ({"url": "file:///w/g-9-py3-none-any.whl", "archive_info": {}},
              ["/w/g-9-py3-none-any.whl[cli]"]),
    "git": ({"url": "https://git.example/g.git", "vcs_info": COMMIT},
            ["gong-async[cli] @ git+https://git.example/g.git@0a1b2c"]),
    "archive": ({"url": "https://files.example/g.zip", "archive_info": {}},
                ["gong-async[cli] @ https://files.example/g.zip"]),
}  # fmt: skip


@pytest.mark.parametrize(("origin", "source"), ORIGINS.values(), ids=ORIGINS)
def test_it_comes_from_where_the_package_came_from(
    installed: Installed, origin: dict[str, Any] | None, source: list[str]
) -> None:
    """An index may not have it at all."""
    installed(origin)

    assert shlex.split(install_command("cli")) == [*PIP, *source]


def test_pipx(installed: Installed) -> None:
    """It keeps the environment by itself."""
    installed({"url": "file:///srv/clone", "dir_info": {}}, pipx_metadata__json="{}")

    assert install_command("speed") == "pipx install --force '/srv/clone[speed]'"


@pytest.mark.usefixtures("no_pip")
def test_uv_tool(installed: Installed) -> None:
    """The same, by another tool."""
    installed(by="uv", uv_dash_receipt__toml="[tool]", pyvenv__cfg="uv = 0.9.1\n")

    assert install_command("redis") == "uv tool install --force 'gong-async[redis]'"


@pytest.mark.usefixtures("no_pip")
def test_uvx(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed: the next run says what it needs."""
    installed({"url": "file:///c", "dir_info": {"editable": True}}, by="uv")
    monkeypatch.setattr(sys, "prefix", "/home/dana/.cache/uv/archive-v0/Xb9")

    assert install_command("cli") == "uvx --from '/c[cli]' gong-async"


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize("uv", [True, False])
def test_a_virtual_environment_without_pip(installed: Installed, *, uv: bool) -> None:
    """By uv if that has made it; else pip comes first."""
    installed(pyvenv__cfg="uv = 0.9.1\n" if uv else "home = /usr/bin\n")
    words = shlex.split(install_command("cli"))
    with_uv = ["uv", "pip", "install", "--python", sys.executable, "gong-async[cli]"]
    bare = [sys.executable, "-m", "ensurepip", "&&", *PIP, "gong-async[cli]"]

    assert words == (with_uv if uv else bare)


@pytest.mark.parametrize(("by", "command"), [("conda", "conda install click rich"), ("pip", "")])
def test_conda(installed: Installed, by: str, command: str) -> None:
    """Its packages have no extras; what pip has put into its environment is pip's."""
    installed(by=by)

    assert install_command("cli") == (command or shlex.join([*PIP, "gong-async[cli]"]))


def test_a_system_that_keeps_its_own_packages(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The user who installed it there has allowed it to pip before."""
    installed()
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    (tmp_path / "EXTERNALLY-MANAGED").touch()

    assert "install --break-system-packages 'gong-async[cli]'" in install_command("cli")


def test_a_folder_that_was_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone on PYTHONPATH."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    clone = Path(__file__).parent.parent

    assert shlex.split(install_command("cli"))[-2:] == ["--editable", f"{clone}[cli]"]
