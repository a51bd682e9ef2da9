"""Print the structure of the package: floors, rooms, arrows, circles, and sizes.

A room is a top-level file or folder of `gong_async`. An arrow is an import between two rooms,
including imports inside functions and under `TYPE_CHECKING`. A room's floor is one above the
highest room that it imports from. Run it with `make architecture`; `ARGS=--arrows` adds each
arrow with the lines that import.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parent.parent / "gong_async"
FACE = "__init__"

Graph = Mapping[str, set[str]]
Imports = Iterator[tuple[int, str]]


def files() -> list[Path]:
    """Return every Python file of the package; the list of its public names is a stub."""
    return sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])


def module_of(file: Path) -> str:
    """Return the dotted name of a file below the package, without the package's own name."""
    parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == FACE and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    """Return the top-level file or folder that a module belongs to."""
    return module.partition(".")[0]


def imported(tree: ast.Module, known: set[str]) -> Imports:
    """Yield line and module of each import from the package, wherever in the file it is."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [
                name if name.removeprefix("gong_async.") in known else node.module for name in inner
            ]
        for name in names:
            package, _, module = name.partition(".")
            if package == "gong_async":
                yield node.lineno, module or FACE


def graphs() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the imports between files, and those between rooms."""
    known = {module_of(file) for file in files()}
    by_file: dict[str, set[str]] = {}
    by_room: dict[str, set[str]] = defaultdict(set)
    for file in files():
        module = module_of(file)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found = {name for _, name in imported(tree, known)} - {module}
        by_file[module] = by_file.get(module, set()) | found
        room = room_of(module)
        by_room[room] |= {room_of(name) for name in found} - {room}
    return by_file, dict(by_room)


def arrows() -> dict[tuple[str, str], list[str]]:
    """Return the places of the imports behind each arrow, as file and line."""
    known = {module_of(file) for file in files()}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in files():
        room = room_of(module_of(file))
        for line, name in sorted(set(imported(ast.parse(file.read_text("utf-8")), known))):
            if room_of(name) != room:
                place = f"{file.relative_to(PACKAGE)}:{line}"
                found[room, room_of(name)].append(f"{place} {name}")
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Return one circle of imports at a time until none is left."""
    left = {name: set(targets) for name, targets in graph.items()}
    found: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = error.args[1]
            found.append(circle)
            left[circle[1]].discard(circle[0])
        else:
            return found


def floors(graph: Graph) -> list[list[str]]:
    """Return the rooms by floor, from the ground up."""
    heights: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        heights[room] = 1 + max((heights[below] for below in graph.get(room, ())), default=0)
    return [
        sorted(room for room, height in heights.items() if height == level)
        for level in range(1, max(heights.values()) + 1)
    ]


def sizes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> list[tuple[int, str]]:
    """Return the length in lines of each definition of a kind, with its place."""
    return sorted(
        ((node.end_lineno or 0) - node.lineno + 1, f"{module_of(file)}:{node.name}")  # type: ignore[attr-defined]
        for file in files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, kind)
    )


def main() -> None:
    """Print the figures."""
    by_file, by_room = graphs()
    lines = sorted((len(file.read_text().splitlines()), module_of(file)) for file in files())
    classes = sizes(ast.ClassDef)
    functions = sizes((ast.FunctionDef, ast.AsyncFunctionDef))
    names = [name.rpartition(":")[2] for _, name in classes]
    twice = sorted({name for name in names if names.count(name) > 1})
    room_circles = circles(by_room)
    if room_circles:
        for circle in room_circles:
            print("circle between rooms:", " -> ".join(reversed(circle)))
    else:
        levels = floors(by_room)
        for level, rooms in reversed(list(enumerate(levels, 1))):
            print(f"floor {level}: {'  '.join(rooms)}")
        print(f"floors {len(levels)}")
    print(f"rooms {len(by_room)}, arrows {sum(map(len, by_room.values()))}")
    print(f"circles between files {len(circles(by_file))}")
    print(f"files {len(lines)}, lines {sum(count for count, _ in lines):,}")
    print(f"lines of a file: median {median(count for count, _ in lines):g}, largest {lines[-1]}")
    print(f"functions {len(functions)}, lines of one: median "
          f"{median(count for count, _ in functions):g}, largest {functions[-1]}")  # fmt: skip
    print(f"classes {len(classes)}, names with two meanings {len(twice)}: {', '.join(twice)}")
    if "--arrows" in sys.argv:
        for (room, target), places in sorted(arrows().items()):
            print(f"{room} -> {target}")
            print(*(f"    {place}" for place in places), sep="\n")


if __name__ == "__main__":
    main()
