"""Meetings: create, update, delete, and whether an organizer's meetings can be.

Gong's page: https://help.gong.io/apidocs/meetings-beta
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import SupportsIndex

from attrs import field, frozen

from gong_async._wire import Call, Endpoint
from gong_async.errors import (
    ConflictError,
    DecodeError,
    GongError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from gong_async.models._shared import Meta, check_email
from gong_async.models.meetings import (
    CreatedMeeting,
    DeletedMeeting,
    IntegrationStatus,
    MeetingUpdate,
    NewMeeting,
    UpdatedMeeting,
    UserIntegration,
    meeting_id,
)

_HINTS: Mapping[type[GongError], str] = {
    PermissionDeniedError: (
        "Check the credential's scopes and trusted addresses, that Gong enabled the meetings API "
        "for your company, and that the base URL is your company's"
    ),
    NotFoundError: "Check the meeting id and the organizer's email",
    ConflictError: "Ask an administrator of Gong to correct the organizer's meeting settings",
    DecodeError: "Gong's API may have changed; look for a newer version of this library",
}

CREATE = Endpoint(
    "POST",
    "/v2/meetings",
    CreatedMeeting,
    requires=("requestId",),
    hints={**_HINTS, NotFoundError: "Check the organizer's email: no Gong user has it"},
)
UPDATE = Endpoint(
    "PUT",
    "/v2/meetings/{meetingId}",
    UpdatedMeeting,
    effect="replace",
    echo="meetingId",
    requires=("requestId",),
    hints=_HINTS,
)
DELETE = Endpoint(
    "DELETE",
    "/v2/meetings/{meetingId}",
    DeletedMeeting,
    echo="meetingId",
    requires=("requestId",),
    hints=_HINTS,
)
STATUS = Endpoint(
    "POST",
    "/v2/meetings/integration/status",
    IntegrationStatus,
    effect="read",
    requires=("requestId",),
    hints={kind: _HINTS[kind] for kind in (PermissionDeniedError, DecodeError)},
)

EMAILS_PER_CALL = 100
"""Emails that one call to `integration/status` accepts at most."""


@frozen
class Meetings:
    """The operations on meetings, as `client.meetings`.

    All of them raise what `gong_async.errors` draws as a tree: `ValidationError` before anything
    is sent, `APIStatusError` for what Gong refuses, and errors with `outcome_unknown` where the
    answer was lost and the change may have been applied.
    """

    _call: Call = field(alias="call")

    async def update(self, id: str | SupportsIndex, update: MeetingUpdate) -> UpdatedMeeting:  # noqa: A002
        """`PUT /v2/meetings/{meetingId}`: replace the state of a meeting.

        Gong's page: https://help.gong.io/apidocs/update-a-gong-meeting

        Args:
            id: the meeting's id, 1 to 20 digits, best as the string that Gong gave.
            update: the whole new state, not only what changes.

        Raises:
            ValidationError: the id or the update cannot be right; nothing was sent.
            NotFoundError: Gong does not know the meeting.
            ConflictError: the organizer's settings in Gong prevent it.
        """
        if not isinstance(update, MeetingUpdate):
            problem = f"expected a MeetingUpdate, got {type(update).__name__}"
            raise ValidationError("update", problem)
        return await self._call(UPDATE, path={"meetingId": meeting_id(id)}, body=update)

    async def create(self, meeting: NewMeeting) -> CreatedMeeting:
        """`POST /v2/meetings`: create a meeting.

        Gong's page: https://help.gong.io/apidocs/add-a-gong-meeting

        A creation whose answer was lost is not repeated: Gong has no way to recognize the second
        as the same. The error then has `outcome_unknown`; look into Gong before you create it anew.

        Raises:
            ValidationError: the meeting cannot be right; nothing was sent.
            NotFoundError: no Gong user has the organizer's email.
            ConflictError: the organizer's settings in Gong prevent it.
        """
        if not isinstance(meeting, NewMeeting):
            problem = f"expected a NewMeeting, got {type(meeting).__name__}"
            raise ValidationError("meeting", problem)
        return await self._call(CREATE, body=meeting)

    async def delete(self, id: str | SupportsIndex, *, organizer_email: str) -> DeletedMeeting:  # noqa: A002
        """`DELETE /v2/meetings/{meetingId}`: delete a meeting.

        Gong's page: https://help.gong.io/apidocs/delete-a-gong-meeting

        Raises:
            ValidationError: the id or the email cannot be right; nothing was sent.
            NotFoundError: Gong knows no such meeting of this organizer.
        """
        check_email("organizer_email", organizer_email)
        known = meeting_id(id)
        lost: NotFoundError
        try:
            return await self._call(
                DELETE, path={"meetingId": known}, body={"organizerEmail": organizer_email}
            )
        except NotFoundError as error:
            # An earlier attempt may have deleted it although its response was lost: a success.
            if not error.outcome_unknown:
                raise
            lost = error
        return DeletedMeeting(
            meeting_id=known,
            organizer_email=organizer_email,
            already_gone=True,
            request_id=lost.request_id,
            meta=Meta(status=404, request_id=lost.request_id, attempts=lost.attempts),
        )

    async def integration_status(self, emails: Iterable[str]) -> IntegrationStatus:
        """`POST /v2/meetings/integration/status`: whether organizers' meetings can be managed.

        Gong's page: https://help.gong.io/apidocs/validate-gong-meeting-integration

        Args:
            emails: any number; more than 100 are asked in several calls and merged, in order.

        Raises:
            ValidationError: an email cannot be right; nothing was sent.
        """
        if isinstance(emails, str):
            raise ValidationError("emails", "expected a list of emails, got one string")
        if not isinstance(emails, Iterable):
            problem = f"expected a list of emails, got {type(emails).__name__}"
            raise ValidationError("emails", problem)
        wanted = list(emails)
        for position, email in enumerate(wanted):
            check_email(f"emails[{position}]", email)
        parts = [
            await self._call(STATUS, body={"emails": wanted[start : start + EMAILS_PER_CALL]})
            for start in range(0, len(wanted), EMAILS_PER_CALL)
        ]
        return parts[0] if len(parts) == 1 else _merge(parts)


def _merge(parts: list[IntegrationStatus]) -> IntegrationStatus:
    users: tuple[UserIntegration, ...] = tuple(user for part in parts for user in part.users)
    if not parts:
        return IntegrationStatus()
    last = parts[-1]
    meta = Meta(
        status=last.meta.status,
        request_id=last.request_id,
        attempts=sum(part.meta.attempts for part in parts),
        seconds_waited=sum(part.meta.seconds_waited for part in parts),
        seconds_on_wire=sum(part.meta.seconds_on_wire for part in parts),
    )
    extra = {name: value for part in parts for name, value in part.extra.items()}
    return IntegrationStatus(users=users, request_id=last.request_id, extra=extra, meta=meta)
