"""How much memory input files take: a million rows as CSV, JSONL and XLSX, and hostile XLSX files.

    python benchmarks/inputs.py [--rows 1000000] [--folder /dev/shm]

Each file is planned into a journal by a process of its own. The figure is by how much the highest
resident memory of that process grew: from before the file is opened until the job is planned. The
hostile files are read by `read_changes`; each has to be refused, or to be read, in at most 200 MB,
and in a time that grows as the file does. The exit code is 1 if a million rows grew memory by more
than 50 MB, or a hostile file took more than 200 MB. Folder and journal are best in memory, as a
disk's caches are not counted anyhow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from gong_async import BasicAuth, GongClient
from gong_async.inputs.reader import InputError, read_changes

NAMES = ("meeting_id", "start_time", "end_time", "organizer_email", "invitees", "title")
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
WORKBOOK = (
    f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{OFFICE}"><sheets>'
    '<sheet name="Meetings" sheetId="1" r:id="sheet"/></sheets></workbook>'
)
LINKS = (
    f'<Relationships xmlns="{PACKAGE}">'
    f'<Relationship Id="sheet" Type="{OFFICE}/worksheet" Target="sheet.xml"/></Relationships>'
)
LINKS_WITH_TEXTS = LINKS.replace(
    "</Relationships>",
    f'<Relationship Id="texts" Type="{OFFICE}/sharedStrings" Target="texts.xml"/></Relationships>',
)
OPEN = f'<worksheet xmlns="{SPREADSHEET}"><sheetData>'
CLOSE = "</sheetData></worksheet>"
MEGABYTE = 1024
"""As `ru_maxrss` counts."""


def rows(count: int) -> Iterator[tuple[str, ...]]:
    """Make rows; each has an id and a title of its own, and one of 5,000 organizers."""
    random = Random(7)
    for number in range(count):
        invitees = "; ".join(
            f"Person {random.randrange(10**6)} <p{random.randrange(10**6)}@customer.example>"
            for _ in range(2)
        )
        yield (
            str(random.randrange(10**18, 9 * 10**18)),
            "2026-11-24T15:00:00+01:00",
            "2026-11-24T15:45:00+01:00",
            f"user{number % 5_000}@example.com",
            invitees,
            f"Renewal {number}",
        )


def write_csv(path: Path, count: int) -> None:
    """Write them as CSV."""
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(NAMES) + "\n")
        file.writelines(",".join(row) + "\n" for row in rows(count))


def write_jsonl(path: Path, count: int) -> None:
    """Write them as JSON, one object a line."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(count):
            file.write(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n")


def write_xlsx(path: Path, count: int) -> None:
    """Write them as a spreadsheet program does, all texts shared."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as texts:
        texts.write(f'<sst xmlns="{SPREADSHEET}">')
        known: dict[str, int] = {}
        used = 0

        def number(text: str) -> int:
            nonlocal used
            if text in known:
                return known[text]
            texts.write(f"<si><t>{escape(text)}</t></si>")
            if len(known) < 6_000:
                known[text] = used
            used += 1
            return used - 1

        def sheet() -> Iterator[str]:
            yield OPEN
            for line, row in enumerate(_with_header(count), 1):
                cells = "".join(
                    f'<c r="{letter}{line}" t="s"><v>{number(text)}</v></c>'
                    for letter, text in zip("ABCDEF", row, strict=True)
                )
                yield f'<row r="{line}">{cells}</row>'
            yield CLOSE

        pack(path, sheet(), LINKS_WITH_TEXTS)
        texts.write("</sst>")
        texts.seek(0)
        with (
            zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open("xl/texts.xml", "w", force_zip64=True) as part,
        ):
            while piece := texts.read(1 << 20):
                part.write(piece.encode())


def _with_header(count: int) -> Iterator[tuple[str, ...]]:
    yield NAMES
    yield from rows(count)


def pack(path: Path, sheet: Iterator[str], links: str = LINKS) -> None:
    """Write a spreadsheet whose only sheet is the given XML."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", WORKBOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", links)
        with archive.open("xl/sheet.xml", "w", force_zip64=True) as part:
            for piece in sheet:
                part.write(piece.encode())


def noise(size: int, seed: int = 0) -> str:
    """Return text that deflates to about half."""
    return Random(seed).randbytes(size // 2).hex()


def blank_cells(seed: int) -> str:
    """Return the cells of a row without a value."""
    return "".join(f'<c s="{number}"/>' for number in Random(seed).randbytes(900))


HEADER = (
    '<row r="1">'
    + "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in NAMES)
    + "</row>"
)
HOSTILE: dict[str, Callable[[int], Iterator[str]]] = {
    "far cell": lambda _: iter((OPEN, HEADER, '<row r="1048576"><c r="XFD1048576"/></row>', CLOSE)),
    "inflation": lambda size: (" " * (1 << 20) for _ in range(16 * size)),
    "comments": lambda size: iter(
        (OPEN, HEADER, *(f"<!-- <c><c>{noise(20, n)} -->" for n in range(10_000 * size)), CLOSE)
    ),
    "large comments": lambda size: iter(
        (OPEN, HEADER, *(f"<!--{noise(900_000, n)}-->" for n in range(size)), CLOSE)
    ),
    "one comment": lambda size: iter((OPEN, HEADER, "<!--", noise(size << 20), "-->", CLOSE)),
    "one tag": lambda size: iter((OPEN, HEADER, '<c r="', noise(size << 20), '"/>', CLOSE)),
    "nesting": lambda size: iter((OPEN, HEADER, *(f"<x{n}>" for n in range(50_000 * size)))),
    "nested cells": lambda size: iter(
        (OPEN, HEADER, *(f'<c s="{n}">' for n in range(50_000 * size)))
    ),
    "blank cells": lambda size: iter(
        (OPEN, HEADER, *tuple(f"<row>{blank_cells(n)}</row>" for n in range(100 * size)), CLOSE)
    ),
    "entities": lambda _: iter(('<!DOCTYPE x [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><x>&b;</x>',)),
    "merged cells": lambda size: iter(
        (
            OPEN,
            HEADER,
            "</sheetData><mergeCells>",
            *(f'<mergeCell ref="A1:B{n}"/>' for n in range(2, 40_000 * size)),
            "</mergeCells></worksheet>",
        )
    ),
}


def highest() -> int:
    """Return the highest resident memory of this process so far, in kilobytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what the system calls the highest of a process may be its parent's
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def plan(path: Path) -> str:
    """Plan a job from a file; return what to print of it."""

    async def work() -> tuple[int, int]:
        async with GongClient(BasicAuth("key", "secret"), base_url="http://127.0.0.1:9") as gong:
            # What is loaded once for any file is not of this one.
            small = path.with_name(f"small{path.suffix}")
            await gong.bulk(read_changes(small), state_dir=path.parent / "state").plan()
            before = highest()
            job = gong.bulk(read_changes(path), state_dir=path.parent / "state")
            planned = await job.plan()
            return planned.items, highest() - before

    items, growth = asyncio.run(work())
    return f"{items} {growth}"


def read(path: Path) -> str:
    """Read a hostile file; return what to print of it."""
    began = time.process_time()
    words = "read"
    try:
        read_changes(path).check()
    except InputError as error:
        words = error.findings[0].problem.partition(";")[0][:60]
    return f"{time.process_time() - began:.2f} {highest()} {words}"


def in_process(what: str, path: Path) -> str:
    """Do that in a process of its own."""
    command = [sys.executable, __file__, what, "--folder", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure(folder: Path, count: int) -> bool:
    """Measure everything; return whether it is within the bounds."""
    good = True
    writers = {".csv": write_csv, ".jsonl": write_jsonl, ".xlsx": write_xlsx}
    for suffix, write in writers.items():
        path = folder / f"meetings{suffix}"
        write(path, count)
        write(folder / f"small{suffix}", 1_000)
        began = time.perf_counter()
        items, growth = in_process("plan", path).split()
        seconds = time.perf_counter() - began
        size = path.stat().st_size / 1e6
        megabytes = int(growth) / MEGABYTE
        print(
            f"{int(items):,} rows of {suffix:<6} ({size:.0f} MB): {megabytes:+.1f} MB, "
            f"{seconds:.0f} s",
            flush=True,
        )
        good &= megabytes <= 50
        path.unlink()
    for name, sheet in HOSTILE.items():
        for scale in (1, 4, 16):
            path = folder / "hostile.xlsx"
            pack(path, sheet(scale))
            size = path.stat().st_size / 1e6
            seconds_, most, words = in_process("read", path).split(" ", 2)
            print(
                f"{name:<15}{size:9.3f} MB: {float(seconds_):6.2f} s, "
                f"{int(most) / MEGABYTE:4.0f} MB; {words}",
                flush=True,
            )
            good &= int(most) <= 200 * MEGABYTE
    return good


def main() -> int:
    """Measure, or do a part of it for the process that does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=["plan", "read"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    given = parser.parse_args()
    if given.part is not None:
        print(plan(given.folder) if given.part == "plan" else read(given.folder))
        return 0
    where = given.folder if given.folder.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        return 0 if measure(Path(folder), given.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
