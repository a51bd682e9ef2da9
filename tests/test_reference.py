"""The reference says what the code says: names, fields, defaults, the tree, the tables."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path
from typing import Any

import attrs
import pytest

import gong_async
from gong_async import (
    APIConnectionError,
    APITimeoutError,
    DailyQuotaExceededError,
    DecodeError,
    Delivery,
    Endpoint,
    GongClient,
    GongError,
    Limits,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RetryPolicy,
    TLSError,
    errors,
    resources,
)
from gong_async._wire import Effect
from gong_async.errors import status_error_class
from gong_async.hooks import events
from gong_async.resources.meetings import Meetings
from gong_async.retry import Action, Decision, decide
from gong_async.testing import FAULT_NAMES, OPERATIONS, FakeGong
from gong_async.testing.recording import Observed

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = {page.name: page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md")}
TESTING = (DOCS / "how-to" / "test-your-application.md").read_text("utf-8")

Row = tuple[str, ...]


def rows(text: str, columns: int) -> list[Row]:
    """Return the rows of all tables of so many columns, without their heads."""
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("|")
    ]
    rulers = {place for place, row in enumerate(cells) if set("".join(row)) <= set("- ")}
    return [
        row
        for place, row in enumerate(cells)
        if len(row) == columns and not {place, place + 1} & rulers
    ]


def named(text: str) -> set[str]:
    """Return every name in code style."""
    return {name for code in re.findall(r"`([^`\n]+)`", text) for name in re.findall(r"\w+", code)}


def public_fields(cls: Any) -> set[str]:
    """Return the fields of an attrs class that a reader may use."""
    return {field.name for field in attrs.fields(cls) if not field.name.startswith("_")}


PUBLIC = [getattr(gong_async, name) for name in dir(gong_async)]
ATTRS_CLASSES = [value for value in PUBLIC if isinstance(value, type) and attrs.has(value)]
ERROR_CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, GongError)
]


@pytest.mark.parametrize("name", dir(gong_async))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """Every name that the package exports is documented."""
    assert name in named("\n".join(REFERENCE.values()))


@pytest.mark.parametrize("cls", ATTRS_CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_is_in_the_reference(cls: type[Any]) -> None:
    """No public field of a public class is left out."""
    assert public_fields(cls) - named("\n".join(REFERENCE.values())) == set()


@pytest.mark.parametrize("cls", ERROR_CLASSES, ids=lambda cls: cls.__name__)
def test_every_attribute_of_an_error_is_in_the_reference(cls: type[GongError]) -> None:
    """What an error knows can be read up."""
    attributes = {name for name in vars(cls()) if not name.startswith("_")}

    assert attributes - named(REFERENCE["errors.md"]) == set()


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    """The drawing in the reference is the drawing in `errors.py`."""
    drawn = re.search(r"```text\n(.*?)```", REFERENCE["errors.md"], re.DOTALL)

    assert drawn is not None
    assert textwrap.indent(drawn[1], "    ") in (errors.__doc__ or "")


@pytest.mark.parametrize("cls", [Limits, RetryPolicy])
def test_defaults_are_those_of_the_code(cls: type[Any]) -> None:
    """The tables of limits and retries name every field with its default."""
    table = {row[0]: row[1] for row in rows(REFERENCE["limits-and-retries.md"], 3)}
    defaults = {
        f"`{field.name}`": f"`{field.default}`"
        for field in attrs.fields(cls)
        if not field.name.startswith("_")
    }

    assert {name: table[name] for name in defaults} == defaults


def test_arguments_of_the_client_are_those_of_the_code() -> None:
    """The table of the client names every argument, in order."""
    arguments = [f"`{name}`" for name in inspect.signature(GongClient).parameters]
    table = [row[0] for row in rows(REFERENCE["client.md"], 3)]

    assert table[: len(arguments)] == arguments


def test_methods_of_the_client_are_in_the_reference() -> None:
    """No public method of the client, or of its meetings, is left out."""
    methods = {
        name
        for cls in (GongClient, Meetings)
        for name, _ in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }

    assert methods - named(REFERENCE["client.md"]) == set()


def test_endpoints_are_those_of_the_code() -> None:
    """The table of endpoints is neither short of one nor ahead of the code."""
    modules = [
        importlib.import_module(f"{resources.__name__}.{module.name}")
        for module in pkgutil.iter_modules(resources.__path__)
    ]
    endpoints = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Endpoint)
    ]
    table = {(row[0], row[2], row[3]) for row in rows(REFERENCE["endpoints.md"], 5)}

    assert table == {
        (f"`{one.method} {one.route}`", one.effect, f"`{one.returns.__name__}`")
        for one in endpoints
    }


def test_methods_of_the_table_of_endpoints_call_what_they_stand_for() -> None:
    """The docstring of each method opens with the route of its row."""
    table = rows(REFERENCE["endpoints.md"], 5)
    opened = [inspect.getdoc(getattr(Meetings, row[1].strip("`").split(".")[-1])) for row in table]

    assert [(text or "").split(": ")[0] for text in opened] == [row[0] for row in table]


def test_events_are_those_of_the_code() -> None:
    """The table of events names every event with every field, in order."""
    table = {row[0]: row[2] for row in rows(REFERENCE["events.md"], 3)}
    classes = [value for value in vars(events).values() if attrs.has(value)]

    assert table == {
        f"`{cls.__name__}`": ", ".join(f"`{field.name}`" for field in attrs.fields(cls))
        for cls in classes
    }


def test_faults_are_those_of_the_fake() -> None:
    """The table of faults names every fault of the fake, and no other."""
    table = rows(TESTING[TESTING.index("## Faults") :], 3)

    assert [row[0].strip("`").split("(")[0] for row in table] == list(FAULT_NAMES)


def test_the_readme_is_short() -> None:
    """It has at most 120 lines."""
    readme = (DOCS.parent / "README.md").read_text("utf-8")

    assert len(readme.splitlines()) <= 120


def test_the_readme_counts_right() -> None:
    """It gives the number of faults of the fake."""
    readme = (DOCS.parent / "README.md").read_text("utf-8")

    assert f"{len(FAULT_NAMES)} faults" in readme


def test_options_of_the_fake_are_documented() -> None:
    """So are all its options and observations."""
    options = set(inspect.signature(FakeGong).parameters)
    observed = {name for name, _ in inspect.getmembers(Observed, inspect.isdatadescriptor)}

    assert {*options, *observed, *OPERATIONS[:-1]} - {"__weakref__"} - named(TESTING) == set()


def of_status(*statuses: int) -> list[GongError]:
    """Return the errors for some statuses."""
    return [status_error_class(status)(status=status) for status in statuses]


LOST: dict[str, Any] = {"delivery": Delivery.MAYBE}
UNSENT: dict[str, Any] = {"delivery": Delivery.NOT_SENT}

# The rows of the table, by how they begin, and errors that they are about.
CASES: dict[str, list[GongError]] = {
    "Gong's limit": of_status(429),
    "An earlier 429": [RateLimitError(status=429, **UNSENT)],
    "The day's": [DailyQuotaExceededError(**UNSENT)],
    "Credential": of_status(401),
    "Not allowed": [*of_status(403), PermissionDeniedError(status=401, missing_scope="a")],
    "Wrong data": of_status(400, 404, 409, 422),
    "Not processed": of_status(421, 423, 425),
    "Server in": of_status(408, 500, 502, 503, 504),
    "Not supported": of_status(501, 505),
    "Redirect: ": of_status(301, 302, 307, 308),
    "See other": of_status(303),
    "No connection": [
        APIConnectionError(reason="connect", **UNSENT),
        APITimeoutError(phase="connect", **UNSENT),
        APITimeoutError(phase="tls", **UNSENT),
    ],
    "The host": [APIConnectionError(reason="dns", **UNSENT)],
    "The server's": [TLSError(**UNSENT)],
    "The connection was lost": [APIConnectionError(reason="lost", **LOST)],
    "No answer": [
        APITimeoutError(phase="send", **LOST),
        APITimeoutError(phase="headers", **LOST),
        APITimeoutError(phase="body", **LOST),
    ],
    "No permit": [APITimeoutError(phase="queue", **UNSENT)],
    "The deadline": [APITimeoutError(phase="total", **LOST)],
    "A success whose": [ProtocolError(flaw="cut", **LOST)],
    "An answer that": [ProtocolError(flaw="not_http", **LOST)],
    "A success that is not": [
        ProtocolError(flaw="content", **LOST),
        ProtocolError(flaw="mismatch", **LOST),
    ],
    "A success of another": [DecodeError(**LOST)],
}
WORDS = {
    Action.FAIL: "raised",
    Action.RETRY: "retried",
    Action.RETRY_ONCE: "once",
    Action.WAIT: "waited for",
    Action.RENEW: "renewed",
}
COLUMNS: tuple[tuple[Effect, ...], ...] = (("read",), ("replace", "delete"), ("create",))


def cell(decision: Decision) -> str:
    """Say a decision as the table does."""
    return WORDS[decision.action] + (" (?)" if decision.outcome_unknown else "")


@pytest.mark.parametrize("row", rows(REFERENCE["limits-and-retries.md"], 4), ids=lambda row: row[0])
def test_the_table_of_retries_is_what_is_decided(row: Row) -> None:
    """Each row of the table says what `decide` returns for the errors that it is about."""
    [cases] = [found for begin, found in CASES.items() if row[0].startswith(begin)]
    decided = [
        {cell(decide(error, effect)) for error in cases for effect in effects}
        for effects in COLUMNS
    ]

    assert decided == [{said} for said in row[1:]]


def test_the_table_of_retries_is_complete() -> None:
    """Every case that is known here has its row."""
    table = rows(REFERENCE["limits-and-retries.md"], 4)

    assert len(table) == len(CASES)
