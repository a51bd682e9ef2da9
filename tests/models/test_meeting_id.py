"""Meeting ids: digits and nothing else, exact to the last one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any

import pytest
from attrs import frozen

from gong_async import GongClient, Invitee, MeetingChange, MeetingUpdate, ValidationError
from gong_async.testing import FakeGong

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, 0, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 15, 45, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example")],
)
ROUTE = "/v2/meetings/{meetingId}"


@frozen
class ForeignInteger:
    """An integer of another library, numpy's `int64` for example."""

    value: int

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"ForeignInteger({self.value})"


class Room(IntEnum):
    """An integer by inheritance."""

    BIG = 42


class Named(str, Enum):  # noqa: UP042 - the kind whose `str` is not its value
    """A text of an enumeration, whose `str` is its name."""

    RENEWAL = "7782342274025937895"


class Counted(int, Enum):
    """An integer of an enumeration, whose `str` is its name."""

    RENEWAL = 42


TEXTS = [
    "", " ", " 1", "1 ", "1\n", "\n1", "1\r\n", "1\x00", "1/../2", "..", ".", "/", "1/2", "1?x",
    "1#x", "1;x", "1&x", "%2e", "%31", "1%0a", "-1", "+1", "0x1", "1.0", "1e3", "1_000", "1,000",
    "٣", "\uff11", "²", "Ⅷ", "१२", "1\u200b", "\ufeff1", "\ud800", "None", "nan",
    "123456789012345678901", "9" * 5000,
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, False, 1.0, float("nan"), Decimal(1), Fraction(1), 1j, b"1", bytearray(b"1"), ["1"],
    ("1",), {"1": 1}, object(), -1, 10**20, 10**5000, ForeignInteger(-1), ForeignInteger(10**20),
]  # fmt: skip


def shown(value: object) -> str:
    """Name a parameter, shortly, in ASCII, and alike in every process."""
    if type(value) is object:
        return "object"
    return ascii(value)[:30] if not isinstance(value, int) or value < 10**30 else "huge"


OPERATIONS: dict[str, Callable[[GongClient, Any], Awaitable[object]]] = {
    "update": lambda gong, value: gong.meetings.update(value, UPDATE),
    "delete": lambda gong, value: gong.meetings.delete(value, organizer_email="a@b"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("value", [*TEXTS, *OTHERS], ids=shown)
async def test_refuses_what_is_no_id(
    operation: str, value: Any, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A bad id is refused by name before anything is sent: it could change another meeting."""
    with pytest.raises(ValidationError, match=r"^meeting_id: ") as caught:
        await OPERATIONS[operation](gong, value)

    assert caught.value.field == "meeting_id"
    assert len(str(caught.value)) < 200
    assert fake_gong.received_count == 0


@pytest.mark.parametrize("value", TEXTS, ids=shown)
async def test_refuses_what_is_no_id_in_a_route_of_the_callers_own(
    value: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """`request` is no way around the check."""
    with pytest.raises(ValidationError, match=r"^meeting_id: "):
        await gong.request(f"PUT {ROUTE}", path={"meetingId": value}, body=UPDATE)

    assert fake_gong.received_count == 0


@pytest.mark.parametrize("value", [*TEXTS, *OTHERS], ids=shown)
def test_a_change_refuses_what_is_no_id(value: Any) -> None:
    """A line of a bulk update is checked where it is made."""
    with pytest.raises(ValidationError, match=r"^meeting_id: "):
        MeetingChange(meeting_id=value, update=UPDATE)


@pytest.mark.parametrize("value", [None, 1.0, b"1", "1/../2", ForeignInteger(-1)], ids=shown)
async def test_a_bad_id_in_many_is_an_outcome(
    value: Any, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A pair with a bad id fails alone, with nothing sent for it."""
    outcomes = [outcome async for outcome in gong.update_many([(value, UPDATE), ("42", UPDATE)])]

    (error,) = (outcome.error for outcome in outcomes if outcome.error)
    assert isinstance(error, ValidationError)
    assert [received.meeting_id for received in fake_gong.received] == ["42"]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("7782342274025937895", "7782342274025937895"),
        ("99999999999999999999", "99999999999999999999"),
        ("9223372036854775808", "9223372036854775808"),
        ("0", "0"),
        ("007", "007"),
        (0, "0"),
        (9007199254740993, "9007199254740993"),
        (10**20 - 1, "9" * 20),
        (ForeignInteger(2**63), "9223372036854775808"),
        (Room.BIG, "42"),
        (Named.RENEWAL, "7782342274025937895"),
        (Counted.RENEWAL, "42"),
    ],
    ids=shown,
)
async def test_takes_digits_and_integers_exactly(
    value: Any, sent: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Up to 20 digits arrive as they are, leading zeros too, and come back in the result."""
    updated = await gong.meetings.update(value, UPDATE)

    assert [received.path for received in fake_gong.received] == [f"/v2/meetings/{sent}"]
    assert updated.meeting_id == sent
    assert type(MeetingChange(meeting_id=value, update=UPDATE).meeting_id) is str


@pytest.mark.parametrize("value", ["", ".", "..", "a\nb", "a\x00", "\ud800", "a\u2028b"], ids=shown)
async def test_refuses_a_path_variable_that_could_leave_its_place(
    value: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Other variables of a route are checked too."""
    with pytest.raises(ValidationError, match=r"^callId: "):
        await gong.request("GET /v2/calls/{callId}", path={"callId": value})

    assert fake_gong.received_count == 0


async def test_escapes_a_path_variable(gong: GongClient, fake_gong: FakeGong) -> None:
    """Whatever else is in it stays one step of the path."""
    with pytest.raises(Exception, match="404"):
        await gong.request("GET /v2/calls/{callId}", path={"callId": "a/../b?c#d%2e ü"})

    assert fake_gong.received[0].path == "/v2/calls/a%2F..%2Fb%3Fc%23d%252e%20%C3%BC"


async def test_names_a_path_variable_that_is_missing(gong: GongClient, fake_gong: FakeGong) -> None:
    """A route with a hole is not called."""
    with pytest.raises(ValidationError, match=r"^meetingId: missing path variable"):
        await gong.request(f"PUT {ROUTE}", body=UPDATE)

    assert fake_gong.received_count == 0
