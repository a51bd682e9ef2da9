"""What can be an item of a set: every public record, or its docstring says that it cannot."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

import gong_async
import gong_async.testing
from gong_async import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    Endpoint,
    GongClient,
    Invitee,
    Limits,
    MeetingUpdate,
    Outcome,
    Secret,
    UpdatedMeeting,
)
from gong_async.hooks import events
from gong_async.inputs import findings
from gong_async.testing import FakeGong, Fault, FaultRule

START = datetime(2026, 11, 24, 15, tzinfo=UTC)
UPDATE = MeetingUpdate(
    start_time=START,
    end_time=START.replace(hour=16),
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example")],
)
SPECIAL: dict[type, Any] = {
    MeetingUpdate: UPDATE,
    gong_async.NewMeeting: attrs.evolve(UPDATE),
    Invitee: Invitee(email="lee@customer.example"),
    BasicAuth: BasicAuth("key", "secret"),
    BearerAuth: BearerAuth("token"),
    Endpoint: Endpoint("GET", "/v2/users", UpdatedMeeting),
    Fault: Fault.status(503),
    FaultRule: FaultRule(fault=Fault.status(503)),
    Limits: Limits(day_resets=START),
}
"""Records that are not made of any values at all."""
PLAIN: dict[Any, Any] = {
    str: "42", int: 1, float: 1.0, bool: True, datetime: START, Path: Path(), Secret: Secret("x"),
    type: int, Any: {}, object: {}, type(None): None, bytes: b"x",
}  # fmt: skip


def public_records() -> Iterator[type]:
    """Yield every attrs class that a user may get hold of."""
    for module in (gong_async, gong_async.testing, events, findings):
        for name in getattr(module, "__all__", None) or vars(module):
            value = getattr(module, name)
            if isinstance(value, type) and attrs.has(value):
                yield value


def sample(hint: Any) -> Any:
    """Return a value of a type; a container is never empty."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return sample(next(kind for kind in arguments if kind is not type(None)))
    if origin is Literal:
        return arguments[0]
    if isinstance(origin, type) and issubclass(origin, tuple):
        return (sample(arguments[0]),)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"x": 1}
    if isinstance(hint, TypeVar):
        return "x"
    if isinstance(hint, type) and issubclass(hint, Exception):
        return hint("x")
    return record(hint)


def record(cls: Any) -> Any:
    """Return an instance with a value in every field."""
    if cls in SPECIAL:
        return SPECIAL[cls]
    hints = get_type_hints(cls)
    given = {field.alias: hints[field.name] for field in attrs.fields(cls) if field.init}
    return cls(**{name: sample(hint) for name, hint in given.items()})


@pytest.mark.parametrize("cls", sorted(set(public_records()), key=str), ids=lambda c: c.__name__)
def test_a_record_can_be_hashed_or_says_that_it_cannot(cls: type) -> None:
    """Mappings of an answer are left out of the hash, which equal records share."""
    if "not hashable" in (cls.__doc__ or ""):
        assert cls.__hash__ is None
        return
    if "__hash__" in vars(cls):  # and not the one that any object has
        assert isinstance(hash(record(cls)), int)


def test_a_secret_says_that_it_cannot_be_hashed() -> None:
    """The one public value that cannot."""
    assert Secret.__hash__ is None
    assert "not hashable" in (Secret.__doc__ or "")


async def test_results_and_outcomes_can_be_hashed(gong: GongClient, fake_gong: FakeGong) -> None:
    """As they come from Gong, failed ones too, and for any kind of change."""
    changes: Any = [("1", UPDATE), ["2", UPDATE], (None, UPDATE), {"x": 1}]
    outcomes: list[Outcome[Any, UpdatedMeeting]] = [
        outcome async for outcome in gong.update_many(changes)
    ]
    updated = await gong.meetings.update("1", UPDATE)
    answer = await gong.request("PUT /v2/meetings/{meetingId}", path={"meetingId": 1}, body=UPDATE)

    assert len({*outcomes, updated, answer, await gong.quota()}) == 7
    assert [outcome.ok for outcome in sorted(outcomes, key=lambda each: each.index)] == [
        True, True, False, False,
    ]  # fmt: skip


def test_equal_credentials_have_equal_hashes() -> None:
    """They may be keys of a cache of clients."""
    assert len({BasicAuth("key", "one"), BasicAuth("key", "one"), BasicAuth("key", "two")}) == 2
    assert len({BearerAuth("one"), BearerAuth(Secret("one")), BearerAuth("two")}) == 2
    with pytest.raises(ConfigurationError):
        BearerAuth("")
