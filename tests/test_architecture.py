"""The architecture, checked by machine: floors, doors of libraries, and names."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
from blockbuster import BlockingError

import gong_async
import gong_async.testing
from gong_async.resources.meetings import Meetings

PACKAGE = Path(gong_async.__file__).parent
WIRE = Path(__file__).parent / "wire"
FILES = sorted(PACKAGE.rglob("*.py"))
STUB = PACKAGE / "__init__.pyi"
"""The public names with the modules that they come from."""

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"_distribution", "_json", "_redact", "errors"}),
    frozenset({"_settings", "_storage", "_wire", "auth", "hooks", "models"}),
    frozenset({"_transport", "inputs", "limits", "resources", "retry"}),
    frozenset({"_pipeline", "bulk", "oauth"}),
    frozenset({"_client"}),
    frozenset({"cli", "__init__"}),
    frozenset({"__main__", "_pytest"}),
)
"""From the ground up. A room imports from the floors below it, never from its own floor."""

MOST_ARROWS = 100
"""Imports between rooms. Each is something to know before one of them can be read or moved."""

MOST_FILES = 152
"""Python files of the package. A stranger has to find the right one among them."""

APART = "testing"
"""The fake Gong imports nothing of ours; every floor may import it."""

OPERATIONS = (
    "__init__.py",
    "_client.py",
    "bulk/",
    "cli/",
    "contrib/",
    "inputs/",
    "models/meetings.py",
    "resources/",
    "testing/",
)
"""Where operations are named: what only meetings need. Every other file serves any operation."""

DOORS = {
    "aiohttp": ("_transport/", "testing/"),
    "backoff": ("retry.py",),
    "cattrs": ("models/converter.py",),
    "click": ("cli/",),
    "filelock": ("_storage/lock.py",),
    "multidict": ("_transport/", "_wire/"),
    "pytest": ("_pytest.py",),
    "pytest_asyncio": ("_pytest.py",),
    "orjson": ("_json.py",),
    "rich": ("cli/",),
    "platformdirs": ("_storage/private_file.py",),
    "redis": ("limits/redis/connection.py", "oauth/redis_store.py"),
    "sqlite3": ("_storage/database.py", "inputs/temporary.py"),
    "yarl": ("_transport/",),
}
"""Where each library may be imported; attrs may be everywhere."""

EXTRAS = (
    "click",
    "rich",
    "redis",
    "opentelemetry",
    "sqlite3",
    "openpyxl",
    "pytest",
)

MUTABLE = ("dict", "list", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict",
           "WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "ContextVar")  # fmt: skip


def place(file: Path) -> str:
    """Return where a file lies in the package."""
    return file.relative_to(PACKAGE).as_posix()


def room(module: str) -> str:
    """Return the room of a module: the first step below the package."""
    return module.partition(".")[2].partition(".")[0] or "__init__"


def module_of(file: Path) -> str:
    """Return the name under which a file is imported."""
    parts = ["gong_async", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(file: Path) -> ast.Module:
    """Parse a file, once."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path) -> Iterator[str]:
    """Yield every module that is imported, also in functions and under TYPE_CHECKING."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(file)} imports relatively"
            module = node.module or ""
            for alias in node.names:
                # `from gong_async.models import _shared` imports a module, not a name.
                inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield f"{module}.{alias.name}" if is_module else module


def floor(name: str) -> int:
    """Return how high a room lies."""
    (found,) = (height for height, rooms in enumerate(FLOORS) if name in rooms)
    return found


@pytest.mark.parametrize("file", FILES, ids=place)
def test_every_file_has_its_floor(file: Path) -> None:
    """A new room is given its floor in `FLOORS`, on purpose."""
    here = room(module_of(file))

    assert here == APART or sum(here in rooms for rooms in FLOORS) == 1


def test_there_are_at_most_seven_floors() -> None:
    """More would take longer to learn."""
    assert len(FLOORS) <= 7


@pytest.mark.parametrize("file", [*FILES, STUB], ids=place)
def test_imports_go_down(file: Path) -> None:
    """No room imports from a higher floor, nor from another room of its own floor."""
    here = room(module_of(file))
    if here == APART:
        return  # see `test_the_fake_knows_nothing_of_the_client`

    upward = [
        name
        for name in imports(file)
        if name.partition(".")[0] == "gong_async"
        and room(name) not in {here, APART}
        and floor(room(name)) >= floor(here)
    ]

    assert upward == []


def test_rooms_know_few_others() -> None:
    """As `make architecture` counts them; with `ARGS=--arrows` it lists the lines."""
    arrows = {
        (room(module_of(file)), room(name))
        for file in [*FILES, STUB]
        for name in imports(file)
        if name.partition(".")[0] == "gong_async"
    }

    assert len({(here, there) for here, there in arrows if here != there}) <= MOST_ARROWS


def test_the_files_stay_few() -> None:
    """A small file joins the one whose noun it shares."""
    assert len([*FILES, STUB]) <= MOST_FILES


def file_imports() -> dict[str, set[str]]:
    """Return which file of the package imports which."""
    known = {module_of(file) for file in FILES}
    return {
        module_of(file): {name for name in imports(file) if name in known} - {module_of(file)}
        for file in FILES
    }


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions and under `TYPE_CHECKING` count as well."""
    TopologicalSorter(file_imports()).prepare()


@pytest.mark.parametrize(
    "folder", sorted({file.parent for file in FILES} - {PACKAGE}), ids=lambda path: path.name
)
def test_every_folder_says_what_is_in_it(folder: Path) -> None:
    """The `__init__` of a folder opens with a docstring; its name is a noun of the domain."""
    assert ast.get_docstring(tree_of(folder / "__init__.py"))
    assert folder.name not in {"utils", "helpers", "common", "managers", "misc", "core"}


@pytest.mark.parametrize("file", FILES, ids=place)
def test_each_library_has_one_door(file: Path) -> None:
    """A library is imported where its door is; one without a door is not imported at all."""
    known = {*sys.stdlib_module_names - DOORS.keys(), "gong_async", "attrs"}
    libraries = {name.partition(".")[0] for name in imports(file)} - known

    astray = [name for name in libraries if not place(file).startswith(DOORS.get(name, ()))]

    assert astray == []


def test_undocumented_aiohttp_is_in_one_file() -> None:
    """Its documentation names `aiohttp`, `aiohttp.hdrs` and `aiohttp.web`, and nothing private."""
    documented = {"aiohttp", "aiohttp.hdrs", "aiohttp.web"}
    modules = {
        place(file)
        for file in FILES
        for name in imports(file)
        if name.partition(".")[0] == "aiohttp" and name not in documented
    }
    private = {
        place(file)
        for file in PACKAGE.joinpath("_transport").glob("*.py")
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Constant) and node.value in {"_loop", "_protocol", "_connector"}
    }

    assert modules | private == {"_transport/http1.py"}


@pytest.mark.parametrize("file", sorted((PACKAGE / "testing").glob("*.py")), ids=place)
def test_the_fake_knows_nothing_of_the_client(file: Path) -> None:
    """With our own converter behind it, a wrong key would be wrong on both sides, and pass."""
    ours = {name for name in imports(file) if name.partition(".")[0] == "gong_async"}

    assert {name for name in ours if not name.startswith("gong_async.testing")} == set()


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import gong_async", ("aiohttp", "attrs", "cattrs", "backoff", *EXTRAS)),
        ("from gong_async import *", EXTRAS),
        ("from gong_async import GongClient", ("gong_async.oauth", "platformdirs", *EXTRAS)),
        ("import gong_async.testing.server", EXTRAS),
    ],
)
def test_imports_load_no_extra(code: str, absent: tuple[str, ...]) -> None:
    """What is optional is loaded by those who use it; the bare package loads nothing at all."""
    program = f"{code}\nimport sys\nprint(*{absent!r} & sys.modules.keys())"
    program = program.replace(repr(absent), repr(set(absent)))

    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == []


def by_kind(name: str) -> tuple[bool, bool, str]:
    """Order constants before classes before the rest, each by name."""
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("face", [gong_async, gong_async.testing])
def test_the_face_is_sorted_and_complete(face: object) -> None:
    """`__all__` is in order, without doubles, and everything in it can be had."""
    names = list(face.__all__)  # type: ignore[attr-defined]

    assert names == sorted(set(names), key=by_kind)
    assert [name for name in names if getattr(face, name, None) is None] == []
    assert set(names) <= set(dir(face))


def test_a_name_that_is_not_public_is_not_found() -> None:
    """The error is the usual one, and nothing is imported for it."""
    with pytest.raises(AttributeError, match="'gong_async' has no attribute 'Gongclient'"):
        _ = gong_async.Gongclient  # type: ignore[attr-defined]


def documented_values(module: str) -> set[str]:
    """Return the module-level names that are followed by a docstring of their own."""
    body = tree_of(PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")).body
    found = set()
    for node, after in pairwise(body):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if is_text:
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(
    ("face", "name"),
    [
        (face, name)
        for face in (gong_async, gong_async.testing)
        for name in face.__all__
        if name != "__version__"
    ],
)
def test_every_public_name_is_documented(face: object, name: str) -> None:
    """Classes and functions have docstrings of their own; so do values, below them."""
    value = getattr(face, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        documented = bool(value.__doc__) and "Method generated by attrs" not in str(value.__doc__)
    else:
        documented = any(name in documented_values(module_of(file)) for file in FILES
                         if file.name != "__init__.py")  # fmt: skip

    assert documented


def test_every_operation_names_its_route_and_has_samples() -> None:
    """A resource's method opens with its route, and a sample of each direction lies in wire/."""
    operations = {
        name: inspect.getdoc(method) or ""
        for name, method in inspect.getmembers(Meetings, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    samples = {path.name for path in (WIRE / "meetings").iterdir()}

    assert operations
    for name, doc in operations.items():
        assert doc.startswith(("`POST /v2/", "`PUT /v2/", "`DELETE /v2/", "`GET /v2/"))
        assert {f"{name}.request.json", f"{name}.response.json"} <= samples


def test_no_class_name_has_two_meanings() -> None:
    """Leading underscores do not distinguish two classes."""
    names = [
        node.name.lstrip("_")
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef)
    ]

    assert sorted({name for name in names if names.count(name) > 1}) == []


def makes_mutable(value: ast.expr | None) -> bool:
    """Say whether an expression makes something that can be changed."""
    if isinstance(value, ast.Call):
        function = value.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return name in MUTABLE
    return isinstance(
        value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    )


CHANGES = frozenset({"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop",
                     "popitem", "remove", "setdefault", "update"})  # fmt: skip


def changed_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names whose contents some code changes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield getattr(node.value, "id", "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in CHANGES:
                yield getattr(node.func.value, "id", "")
        elif isinstance(node, ast.Global):
            yield from node.names


@pytest.mark.parametrize("file", FILES, ids=place)
def test_modules_hold_no_state(file: Path) -> None:
    """What a module holds are constants, named as such and never changed."""
    tree = tree_of(file)
    held = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and makes_mutable(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    } - {"__all__"}
    # One value per task and thread is not shared by anybody.
    per_task = {"connecting"} if place(file) == "_transport/connector.py" else set()

    assert {name for name in held - per_task if not name.isupper()} == set()
    assert held & set(changed_names(tree)) == set()
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree))


async def test_a_call_that_blocks_the_loop_is_found(gong: gong_async.GongClient) -> None:
    """The control: async tests fail when the package blocks, here by way of a source."""

    def source() -> Iterator[gong_async.Change]:
        time.sleep(0)
        yield from ()

    with pytest.raises(BlockingError, match=r"time\.sleep"):
        async for _ in gong.update_many(source()):
            pass
