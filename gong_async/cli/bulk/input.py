"""The input file of a command: its options and its notes."""

from __future__ import annotations

import gzip
import shlex
import shutil
import sys
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import click
from attrs import frozen

from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkPlan
from gong_async.cli.diagnostics import EPILOG, Diagnostics
from gong_async.inputs.reader import Finding, InputError, Inputs, read_changes
from gong_async.inputs.template import csv_template, write_xlsx_template

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_MOST_NOTES = 5
_HEAD = 4_096
_MAP: Mapping[str, Any] = {"param_hint": "--map"}
_NAMES = ("encoding", "ids_exact", "timezone", "date_format", "columns", "strict")
_OPTIONS = (
    click.option(
        "--encoding",
        metavar="NAME",
        help="Encoding of FILE, such as cp1252.  [default: UTF-8]",
    ),
    click.option(
        "--ids-exact",
        is_flag=True,
        help="Accept ids that look rounded by a spreadsheet; you know that they are exact.",
    ),
    click.option(
        "--timezone",
        metavar="ZONE",
        help="Time zone of times without a UTC offset, such as Europe/Berlin.",
    ),
    click.option(
        "--date-format",
        metavar="FORMAT",
        help="Format of times that are not ISO-8601, such as '%d.%m.%Y %H:%M'.",
    ),
    click.option(
        "--map",
        "columns",
        multiple=True,
        metavar="COLUMN=FIELD",
        help="Field of a column with another name, such as 'Meeting start=start_time'; 'Notes=' "
        "ignores one. May be repeated, or be a TOML file.",
    ),
    click.option(
        "--strict", is_flag=True, help="Refuse unknown columns.  [default: ignore, with a note]"
    ),
)


@frozen
class InputOptions:
    """How a file is read."""

    values: Mapping[str, Any]

    def open(self, file: Path) -> Inputs:
        """Return the changes in a file, or in standard input; planning a job reads it."""
        if str(file) == "-":
            file = _spooled()
        return read_changes(file, **self.values)


def input_options(command: CommandT) -> CommandT:
    """Add the options for reading a file; the command gets them as `reading`."""

    @wraps(command)
    def with_reading(*given: Any, **named: Any) -> Any:
        values = {name: named.pop(name) for name in _NAMES}
        values["columns"] = _columns(values["columns"])
        return command(*given, reading=InputOptions(values), **named)

    wrapped = cast("CommandT", with_reading)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def template(diagnostics: Diagnostics, /, *, file: Path) -> None:
    """Write a template to FILE: .csv, .xlsx, or - for CSV on standard output.

    It has every column, comments, and an example row to replace. The spreadsheet has date cells;
    read it with --timezone. An existing file is not overwritten.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = today + timedelta(days=7)
    suffix = file.suffix.lower()
    if str(file) == "-":
        click.echo(csv_template(day), nl=False)
        return
    if suffix not in {".csv", ".xlsx"}:
        raise click.BadParameter(f"{file.name} is neither .csv nor .xlsx", param_hint="FILE")
    with file.open("xb") as target:
        if suffix == ".xlsx":
            write_xlsx_template(target, day)
        else:
            target.write(csv_template(day).encode())
    command = f"gong-async bulk plan {shlex.quote(str(file))}"
    zone = " --timezone Europe/Berlin" if suffix == ".xlsx" else ""  # as an example
    diagnostics.note("template", f"Wrote {file.name}; check it: {command}{zone}")


def _spooled() -> Path:
    """Write standard input to a file, which is removed when the command ends."""
    folder = click.get_current_context().with_resource(TemporaryDirectory(prefix="gong-async-"))
    if sys.stdin is None:  # as with `<&-`
        raise click.BadParameter("standard input is closed", param_hint="FILE")
    spool = Path(folder, "stdin")
    with spool.open("xb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return spool.rename(spool.with_name(spool.name + _suffix_of(spool)))


def _suffix_of(spool: Path) -> str:
    """Return the suffix of a file by its first bytes."""
    with spool.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(spool) as inflated, suppress(OSError, EOFError, zlib.error):
            head = inflated.read(_HEAD)
        return _text_suffix(head) + ".gz"
    return ".xlsx" if head.startswith(b"PK\x03\x04") else _text_suffix(head)


def _text_suffix(head: bytes) -> str:
    # No header of a table begins with a brace. In UTF-16, each character has a zero besides.
    content = head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()
    return ".jsonl" if content.startswith(b"{") else ".csv"


def _columns(given: Sequence[str]) -> dict[str, str]:
    """Return the map of columns from `COLUMN=FIELD` and TOML files."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, target = text.rpartition("=")
        if equals:
            items = {name: target}
        elif text.lower().endswith(".toml"):
            items = _columns_of_file(Path(text))
        else:
            raise click.BadParameter(f"{text!r} is not COLUMN=FIELD, nor a .toml file", **_MAP)
        for column, known in items.items():
            if found.setdefault(column, known) != known:
                raise click.BadParameter(f"the column {column!r} is mapped twice", **_MAP)
    return found


def _columns_of_file(path: Path) -> dict[str, str]:
    """Return the map in a TOML file: its table `columns`, or all of it."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path.name} is not TOML: {error}", **_MAP) from None
    table = document.get("columns", document)
    if not isinstance(table, dict) or not all(isinstance(each, str) for each in table.values()):
        example = '"Meeting start" = "start_time"'
        raise click.BadParameter(f"{path.name} has other entries than {example}", **_MAP)
    return table


async def plan_from(inputs: Inputs, job: BulkJob, diagnostics: Diagnostics) -> BulkPlan:
    """Plan a job from a file, and print notes about valid but suspicious input.

    If the file is invalid, only notes about the whole file are printed: they may explain why.
    """
    try:
        plan = await job.plan()
    except InputError:
        _print_notes(inputs, diagnostics, [note for note in inputs.notes if not note.line])
        raise
    kept = inputs.notes if diagnostics.as_json else inputs.notes[:_MOST_NOTES]
    _print_notes(inputs, diagnostics, kept)
    if more := inputs.note_count - len(kept):
        advice = "" if diagnostics.as_json else "; `gong-async --json` shows the first 1,000"
        diagnostics.note("input", f"{inputs.path.name}: {more:,} more notes{advice}")
    return plan


def _print_notes(inputs: Inputs, diagnostics: Diagnostics, notes: Sequence[Finding]) -> None:
    for note in notes:
        text = f"{inputs.path.name}, {note}"
        diagnostics.note("input", text, line=note.line, field=note.field)
