"""Typical uses, never run: mypy and pyright read them, and say what a user's editor would say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, assert_type

from attrs import frozen

from gong_async import (
    AdditionalInvitee,
    Auth,
    BasicAuth,
    BearerAuth,
    Change,
    ConflictError,
    CreatedMeeting,
    DecodeError,
    DeletedMeeting,
    Delivery,
    Endpoint,
    GongClient,
    GongError,
    IntegrationStatus,
    Invitee,
    Limits,
    MeetingChange,
    MeetingUpdate,
    Meta,
    NewMeeting,
    Outcome,
    PermissionDeniedError,
    RateLimitError,
    RawResult,
    RetryPolicy,
    Secret,
    SQLiteLimitStore,
    UpdatedMeeting,
    UserIntegration,
    ValidationError,
)
from gong_async.hooks.events import AttemptFinished, CallFinished, Event
from gong_async.hooks.log import log_event

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)

UPDATE = MeetingUpdate(
    start_time=NOW,
    end_time=NOW,
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example"), Invitee(display_name="Lee")],
    title="Renewal",
    external_id="7JEHFRGXDDZFEW2FC4U",
    provider="zoom",
)
NEW = NewMeeting(start_time=NOW, end_time=NOW, organizer_email="dana@example.com", invitees=())
assert_type(UPDATE.invitees, tuple[Invitee, ...])
assert_type(UPDATE.title, str | None)

# Dates are dates, invitees are people, and what is required is required.
MeetingUpdate(start_time="2026", end_time=NOW, organizer_email="a@b", invitees=[])  # type: ignore[arg-type]
MeetingUpdate(start_time=NOW, end_time=NOW, organizer_email="a@b", invitees=["x"])  # type: ignore[list-item]
MeetingUpdate(start_time=NOW, end_time=NOW, organizer_email="a@b")  # type: ignore[call-arg]


class Numpyish:
    """An integer of another library."""

    def __index__(self) -> int:
        """Return the value."""
        return 42


@frozen
class User:
    """An answer that a user models."""

    id: str


class Vault:
    """A credential of a user's own."""

    @property
    def secrets(self) -> list[Secret]:
        """Nothing is kept."""
        return []

    @property
    def fingerprint(self) -> str:
        """One company."""
        return "acme"

    async def authorization(self) -> Secret:
        """Sign."""
        return Secret("Bearer x")

    async def renew(self, refused: Secret) -> bool:
        """Give up."""
        return not refused


def observe(event: Event) -> None:
    """Take note of what happens."""
    if isinstance(event, AttemptFinished):
        assert_type(event.status, int | None)
    if isinstance(event, CallFinished):
        assert_type(event.error, GongError | None)


async def too_late(event: Event) -> None:
    """Never run: a hook is a plain function."""


def build(environ: Mapping[str, str]) -> Iterator[GongClient]:
    """Build clients in every way."""
    yield GongClient(BasicAuth("key", "secret"))
    yield GongClient(BasicAuth(Secret("key"), Secret("secret")), base_url="https://x", timeout=5)
    yield GongClient(
        BearerAuth("token"),
        limits=Limits(per_second=3, per_day=10_000, max_in_flight=8),
        retry=RetryPolicy(max_attempts=2, deadline=60.0),
        user_agent="mine/1.0",
        hooks=[observe, log_event],
    )
    yield GongClient(Vault())
    yield GongClient.from_env()
    yield GongClient.from_env(environ, timeout=3.0)
    yield GongClient.from_env(
        limits=Limits(), retry=RetryPolicy(), limit_store=SQLiteLimitStore(), hooks=[]
    )
    yield GongClient.from_env(session=None, connector=None, user_agent=None, base_url=None)
    yield GongClient.from_env(sharee=SQLiteLimitStore())  # type: ignore[call-arg]
    yield GongClient.from_env(limits={})  # type: ignore[arg-type]
    yield GongClient.from_env(retry=3)  # type: ignore[arg-type]
    yield GongClient.from_env(timeout="5")  # type: ignore[arg-type]
    yield GongClient.from_env(hooks=[too_late])  # type: ignore[list-item]
    yield GongClient("key")  # type: ignore[arg-type]


async def one(gong: GongClient) -> None:
    """Call each operation."""
    updated = await gong.meetings.update("7782342274025937895", UPDATE)
    assert_type(updated, UpdatedMeeting)
    assert_type(updated.meeting_id, str)
    assert_type(updated.request_id, str | None)
    assert_type(updated.extra, Mapping[str, Any])
    assert_type(updated.meta, Meta)
    assert_type(updated.meta.seconds_waited, float)
    await gong.meetings.update(7782342274025937895, UPDATE)
    await gong.meetings.update(Numpyish(), UPDATE)
    await gong.meetings.update(1.0, UPDATE)  # type: ignore[arg-type]
    await gong.meetings.update("1", NEW)  # type: ignore[arg-type]

    created = await gong.meetings.create(NEW)
    assert_type(created, CreatedMeeting)
    assert_type(created.meeting_url, str | None)
    assert_type(created.additional_invitees, tuple[AdditionalInvitee, ...])

    deleted = await gong.meetings.delete("1", organizer_email="dana@example.com")
    assert_type(deleted, DeletedMeeting)
    assert_type(deleted.already_gone, bool)
    await gong.meetings.delete("1", "dana@example.com")  # type: ignore[call-arg]

    status = await gong.meetings.integration_status(["dana@example.com"])
    assert_type(status, IntegrationStatus)
    assert_type(status.users, tuple[UserIntegration, ...])


async def request(gong: GongClient) -> None:
    """Call what is not modelled."""
    answer = await gong.request("GET /v2/users", query={"cursor": "x", "n": 1, "all": True})
    await gong.request("GET /v2/calls", query={"from_date_time": datetime.now(UTC), "ids": ["1"]})
    await gong.request("GET /v2/calls", query={"ids": [["1"]]})  # type: ignore[list-item]
    assert_type(answer, RawResult)
    assert_type(answer.data, Mapping[str, Any])

    endpoint = Endpoint("GET", "/v2/users/{id}", User, effect="read")
    assert_type(endpoint, Endpoint[User])
    assert_type(await gong.request(endpoint, path={"id": "1"}), User)
    Endpoint("GET", "/v2/users", User, effect="reads")  # type: ignore[arg-type]


async def many(gong: GongClient) -> None:
    """Update from any source."""

    async def source() -> AsyncIterator[tuple[str, MeetingUpdate]]:
        yield "1", UPDATE

    outcomes = gong.update_many(source())
    assert_type(outcomes, AsyncGenerator[Outcome[Change, UpdatedMeeting], None])
    async for outcome in outcomes:
        assert_type(outcome.result, UpdatedMeeting | None)
        assert_type(outcome.error, GongError | None)
        assert_type(outcome.ok, bool)
    changes = [
        MeetingChange(meeting_id="1", update=UPDATE),
        MeetingChange(meeting_id=2, update=UPDATE),
    ]
    async for outcome in gong.update_many(changes, max_in_flight=4):
        assert_type(outcome.index, int)
    gong.update_many([1, 2])  # type: ignore[list-item]


async def copies(gong: GongClient) -> None:
    """Open, close, and change options."""
    async with gong as same, gong.with_options(timeout=3) as derived:
        assert_type(same, GongClient)
        assert_type(derived, GongClient)
    gong.with_options(priority="bulk", retry=RetryPolicy())
    gong.with_options(timeout="5")  # type: ignore[arg-type]
    gong.with_options(retry=3)  # type: ignore[arg-type]
    gong.with_options(priority="fast")  # type: ignore[arg-type]


def errors(error: GongError) -> None:
    """Look into errors."""
    assert_type(error.status, int | None)
    assert_type(error.errors, tuple[str, ...])
    assert_type(error.delivery, Delivery | None)
    assert_type(error.outcome_unknown, bool)
    match error:
        case ConflictError():
            assert_type(error.fix_url, str | None)
        case RateLimitError():
            assert_type(error.retry_at, datetime | None)
        case PermissionDeniedError():
            assert_type(error.missing_scope, str | None)
        case DecodeError():
            assert_type(error.paths, tuple[str, ...])
        case ValidationError():
            assert_type(error.field, str)
        case _:
            pass


def protocols(auth: BasicAuth | BearerAuth | Vault) -> Auth:
    """Hold credentials against the protocol."""
    return auth
