"""Query parameters: Python's names and values as Gong's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from gong_async import GongClient, ValidationError
from gong_async.models.query import Query, query_string
from gong_async.testing import FakeGong, Fault

BERLIN = ZoneInfo("Europe/Berlin")


class Kind(StrEnum):
    """An enum whose members are strings."""

    DEAL = "DEAL"


class Level(IntEnum):
    """An enum whose members are integers."""

    HIGH = 2


class Color(Enum):
    """An enum whose members are neither."""

    RED = "dark red"


class Loud(str):
    """A string that formats itself in its own way."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Index:
    """An integer of another library."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b&c=d", ["a b&c=d"]),
        ("", [""]),
        ("日本", ["日本"]),
        (Loud("quiet"), ["quiet"]),
        (7, ["7"]),
        (99999999999999999999, ["99999999999999999999"]),
        (Index(), ["7"]),
        (1.5, ["1.5"]),
        (-0.0, ["-0.0"]),
        (True, ["true"]),
        (False, ["false"]),
        (Kind.DEAL, ["DEAL"]),
        (Level.HIGH, ["2"]),
        (Color.RED, ["dark red"]),
        (date(2026, 11, 24), ["2026-11-24"]),
        (datetime(2026, 11, 24, 15, tzinfo=UTC), ["2026-11-24T15:00:00Z"]),
        (datetime(2026, 11, 24, 15, 0, 0, 999_999, UTC), ["2026-11-24T15:00:00Z"]),
        (datetime(2026, 7, 1, 15, tzinfo=BERLIN), ["2026-07-01T15:00:00+02:00"]),
        (["1", 2, True, Kind.DEAL], ["1", "2", "true", "DEAL"]),
        ((date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
         ["2026-01-01", "2026-01-01T00:00:00Z"]),
        ({"only"}, ["only"]),
        ({"key": 1}.keys(), ["key"]),
        (None, []),
        ([], []),
    ],
)  # fmt: skip
def test_values_have_the_form_that_gong_reads(value: object, expected: list[str]) -> None:
    """Each value is sent as Gong's reference writes it; a list repeats the parameter."""
    sent = query_string({"x": value})

    pairs = parse_qsl(sent.removeprefix("?"), keep_blank_values=True, strict_parsing=bool(sent))
    assert pairs == [("x", text) for text in expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cursor", "cursor"),
        ("from_date_time", "fromDateTime"),
        ("fromDateTime", "fromDateTime"),
        ("from_", "from"),
        ("workspace-id", "workspace-id"),
        ("objects_crm_ids", "objectsCrmIds"),
    ],
)
def test_names_may_be_pythons_or_gongs(name: str, expected: str) -> None:
    """A name with underscores becomes camelCase, and any other is sent as it is."""
    assert query_string({name: 1}) == f"?{expected}=1"


def test_without_a_value_there_is_no_query() -> None:
    """A URL does not end with a question mark."""
    assert query_string({"cursor": None, "ids": []}) == ""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "expected a finite number, got nan"),
        (float("inf"), "expected a finite number, got inf"),
        (float("-inf"), "expected a finite number, got -inf"),
        (datetime(2026, 1, 1), "the time has no zone"),  # noqa: DTZ001 - this is the fault
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=53))), "offset"),
        (10**5000, "expected an integer of at most 128 bits"),
        ("\ud800", "lone surrogate"),
        ({"a": 1}, "got dict"),
        (b"bytes", "got bytes"),
        (Decimal("1.5"), "got Decimal"),
        (timedelta(1), "got timedelta"),
        (iter([1]), "got list_iterator"),
        (1j, "got complex"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("listed", [False, True])
async def test_a_wrong_value_is_an_error_with_the_name_of_its_parameter(
    *, value: Any, problem: str, listed: bool, gong: GongClient, fake_gong: FakeGong
) -> None:
    """The name is the caller's, and nothing is sent."""
    query = {"cursor": "x", "call_ids": ["1", value] if listed else value}

    with pytest.raises(ValidationError, match=problem) as caught:
        await gong.request("GET /v2/users", query=query)

    assert caught.value.field == ("call_ids[1]" if listed else "call_ids")
    assert fake_gong.received_count == 0


@pytest.mark.parametrize("value", [[[1]], [None], [{"a": 1}], {"a": [1]}], ids=str)
def test_lists_have_no_lists_in_them(value: Any) -> None:
    """Gong has no form for nested values, and None in a list has no meaning."""
    with pytest.raises(ValidationError, match=r"call_ids.*: expected text, a number"):
        query_string({"call_ids": value})


@pytest.mark.parametrize("name", [7, None, b"x", "\ud800"])
def test_names_are_text(name: Any) -> None:
    """Other types have no spelling in a query."""
    with pytest.raises(ValidationError, match=r"^query: "):
        query_string({name: 1})


def test_both_spellings_of_one_parameter_are_refused() -> None:
    """It would be sent twice, and Gong would take one of them."""
    with pytest.raises(ValidationError, match=r"^workspaceId: the same parameter as workspace_id"):
        query_string({"workspace_id": 1, "workspaceId": 2})


async def test_a_list_repeats_its_parameter_on_the_wire(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """The server receives each item, and every retry sends the same query."""
    query: Query = {
        "from_date_time": datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=1))),
        "ids": ["a+b", "ü"],
        "workspace-id": None,
    }
    fake_gong.script(Fault.status(503))

    await gong.request("GET /v2/users", query=query)

    assert [request.parameters for request in fake_gong.received] == 2 * [
        (("fromDateTime", "2026-11-01T00:00:00+01:00"), ("ids", "a+b"), ("ids", "ü")),
    ]
