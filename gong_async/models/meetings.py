"""The models of meetings: requests and results.

What we write and what we read are different classes: written data is checked before it leaves,
read data is taken as Gong gives it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, SupportsIndex

from attrs import Attribute, field, frozen

from gong_async.errors import ValidationError
from gong_async.models import _shared
from gong_async.models._shared import LOCAL, MOST_DIGITS, USABLE_ID, ResponseObject, Result
from gong_async.models.scalars import isoformat


@frozen(kw_only=True)
class Invitee:
    """A person invited to a meeting. The organizer is not an invitee."""

    email: str | None = field(default=None, validator=_shared.optional_email)
    display_name: str | None = field(default=None, validator=_shared.optional_text)
    first_name: str | None = field(default=None, validator=_shared.optional_text)
    last_name: str | None = field(default=None, validator=_shared.optional_text)

    def __attrs_post_init__(self) -> None:
        names = (self.display_name, self.first_name, self.last_name)
        if self.email is None and not any(map(_shared.is_visible, names)):
            raise ValidationError("email", "an invitee needs an email or a name")


_INVITEES = frozenset({Invitee})
_MOST_SHOWN = 40
_WALL_CLOCK = len("2026-11-24T15:00:00")


def _invitees(value: Iterable[Invitee]) -> tuple[Invitee, ...]:
    if not isinstance(value, (list, tuple)) and (
        isinstance(value, str | bytes) or not isinstance(value, Iterable)
    ):
        problem = f"expected a list of Invitee, got {type(value).__name__}"
        raise ValidationError("invitees", problem)
    invitees = tuple(value)
    if _INVITEES.issuperset(map(type, invitees)):
        return invitees
    for position, invitee in enumerate(invitees):
        if not isinstance(invitee, Invitee):
            problem = f"expected an Invitee, got {type(invitee).__name__}"
            raise ValidationError(f"invitees[{position}]", problem)
    return invitees


@frozen(kw_only=True, init=False, repr=False, eq=False)  # abstract: instantiate the classes below
class _WrittenMeeting:
    start_time: datetime = field(validator=_shared.aware_time)
    """When the meeting starts; needs a zone. Fractions of a second are dropped. A time that comes
    twice, as the clock is set back, is the first of the two unless it has `fold=1`."""
    end_time: datetime = field(validator=_shared.aware_time)
    """When it ends; after the start."""
    organizer_email: str = field(validator=_shared.email)
    """The Gong user who owns the meeting."""
    invitees: tuple[Invitee, ...] = field(converter=_invitees, repr=False)
    """All invitees, without the organizer. May be empty as far as known."""
    title: str | None = field(default=None, validator=_shared.optional_text)
    external_id: str | None = field(default=None, validator=_shared.optional_text)
    """The meeting's id in your own system."""
    provider: str | None = field(default=None, validator=_shared.optional_text)
    """The conferencing provider, `zoom` for example; unset, it is the organizer's default."""

    def __attrs_post_init__(self) -> None:
        if not _shared.is_later(self.end_time, self.start_time):
            problem = "the meeting must end after it starts"
            start, end = isoformat(self.start_time), isoformat(self.end_time)
            if end[:_WALL_CLOCK] > start[:_WALL_CLOCK]:
                # Zones differ, or a clock is set back in between: the offsets show it.
                problem += f"; it starts at {start} and ends at {end}"
            raise ValidationError("end_time", problem)


@frozen(kw_only=True)
class NewMeeting(_WrittenMeeting):
    """A meeting to create: `POST /v2/meetings`.

    Raises:
        ValidationError: a field cannot be right; `field` and `problem` say which and why.
    """

    _texts_only: ClassVar[bool] = True


@frozen(kw_only=True)
class MeetingUpdate(_WrittenMeeting):
    """The new state of a meeting: `PUT /v2/meetings/{meetingId}`.

    This replaces the meeting. Gong does not say what becomes of an optional field that is left
    out, nor of invitees who are no longer listed: send the complete new state.

    Raises:
        ValidationError: a field cannot be right; `field` and `problem` say which and why.
    """

    _texts_only: ClassVar[bool] = True


def meeting_id(value: str | SupportsIndex) -> str:
    """Return a meeting id as the string that Gong uses.

    Ids are 1 to 20 ASCII digits; they are text, because programs that read them as numbers lose
    their last digits. An `int` is taken, `bool` and `float` are not.

    Raises:
        ValidationError: `value` is not a meeting id.
    """
    if isinstance(value, str):
        text = value if type(value) is str else str.__str__(value)  # of an enumeration
    elif isinstance(value, bool):
        raise ValidationError("meeting_id", "a bool is not a meeting id")
    else:
        number = _index(value)
        if number is None:
            problem = f"expected a string of digits, got {type(value).__name__}"
            raise ValidationError("meeting_id", problem)
        if not 0 <= number < 10**MOST_DIGITS:
            raise ValidationError("meeting_id", "expected a number of 1 to 20 digits")
        text = int.__repr__(number)  # an enumeration has a `str` of its own
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        shown = ascii(text[:_MOST_SHOWN])
        raise ValidationError("meeting_id", f"expected 1 to 20 digits (0-9), got {shown}")
    return text


def _index(value: SupportsIndex) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _update(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, MeetingUpdate):
        problem = f"expected a MeetingUpdate, got {type(value).__name__}"
        raise ValidationError(attribute.name, problem)


@frozen(kw_only=True)
class MeetingChange:
    """One item of a bulk update: a meeting id and the new state.

    Raises:
        ValidationError: the id is not 1 to 20 digits, or the update is none.
    """

    meeting_id: str = field(converter=meeting_id)
    update: MeetingUpdate = field(validator=_update)


Change = MeetingChange | tuple[str | SupportsIndex, MeetingUpdate]
"""One item of a bulk update: a `MeetingChange`, or a pair of an id and a `MeetingUpdate`."""


@frozen(kw_only=True)
class AdditionalInvitee(ResponseObject):
    """A person to add to the calendar invitation yourself, so that Gong can record."""

    email: str | None = None
    display_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None


@frozen(kw_only=True)
class CreatedMeeting(Result):
    """The result of a creation."""

    meeting_id: str = field(metadata=USABLE_ID)
    meeting_url: str | None = None
    """The meeting link that leads invitees through Gong's consent page."""
    additional_invitees: tuple[AdditionalInvitee, ...] = ()
    """People to add to the calendar invitation yourself: Gong does not invite them."""


@frozen(kw_only=True)
class UpdatedMeeting(Result):
    """The result of an update. It does not repeat what was written."""

    meeting_id: str


@frozen(kw_only=True)
class DeletedMeeting(Result):
    """The result of a deletion.

    `already_gone` is True when an earlier attempt of the same call lost its answer and the
    repetition found nothing: the meeting is gone either way.
    """

    meeting_id: str
    organizer_email: str | None = None
    already_gone: bool = field(default=False, metadata=LOCAL)


@frozen(kw_only=True)
class UserIntegration(ResponseObject):
    """Whether one organizer's meetings can be created and updated."""

    email: str
    exists: bool
    """Whether a Gong user with this email exists."""
    valid: bool
    """Whether the user's meeting settings are valid."""
    user_facing_error: str | None = None
    """Gong's message on what is wrong, for the user."""
    fix_url: str | None = None
    """A link where the user can fix it."""
    help_url: str | None = None


@frozen(kw_only=True)
class IntegrationStatus(Result):
    """Whether organizers' meetings can be created and updated."""

    users: tuple[UserIntegration, ...] = ()
