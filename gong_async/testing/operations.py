"""What Gong does with a request: which operation it is, and what a company answers to it.

Written from Gong's documentation alone, so that a mistake of the client cannot hide here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import unquote

from attrs import define, field, frozen

from gong_async.testing.answers import FakeAnswer, make_answer, make_refusal

Operation = Literal[
    "addMeeting",
    "updateMeeting",
    "deleteMeeting",
    "integrationStatus",
    "listUsers",
    "authorize",
    "generateCustomerToken",
    "unknown",
]
"""The operations that the fake serves, by Gong's own names and, of OAuth, by the ends of its paths;
"unknown" stands for any other path."""

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""Every operation's name."""

WRITES: frozenset[Operation] = frozenset({"addMeeting", "updateMeeting", "deleteMeeting"})
"""The operations that change something."""

LOGIN: frozenset[Operation] = frozenset({"authorize", "generateCustomerToken"})
"""The operations of OAuth, which are no calls of the API: no credential of it, no limits."""

SCOPES: Mapping[Operation, str] = {
    "addMeeting": "api:meetings:user:create",
    "updateMeeting": "api:meetings:user:update",
    "deleteMeeting": "api:meetings:user:delete",
    "integrationStatus": "api:meetings:integration:status",
    "listUsers": "api:users:read",
}
"""The scope that each operation asks for."""

MEETING_ID = re.compile(r"-?[0-9]{1,20}", re.ASCII)
"""The form of a meeting's id."""

MOST_EMAILS = 100
PAGE_SIZE = 100
# Beyond 2**53, so that a client which reads ids as floats is found out.
_FIRST_MEETING_ID = 9_100_000_000_000_000_001

_NOT_FOUND = "The given meeting ID was not found."

_ROUTES: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v2/meetings"): "addMeeting",
    ("POST", "/v2/meetings/integration/status"): "integrationStatus",
    ("GET", "/v2/users"): "listUsers",
    ("GET", "/oauth2/authorize"): "authorize",
    ("POST", "/oauth2/generate-customer-token"): "generateCustomerToken",
}
_BY_ID: Mapping[str, Operation] = {"PUT": "updateMeeting", "DELETE": "deleteMeeting"}


def route(method: str, path: str) -> tuple[Operation, str | None]:
    """Find the operation, and the meeting's id where the path (as sent) carries one."""
    operation = _ROUTES.get((method, path), "unknown")
    if operation != "unknown":
        return operation, None
    head, _, last = path.rpartition("/")
    if head == "/v2/meetings" and last:
        return _BY_ID.get(method, "unknown"), unquote(last)
    return "unknown", None


def knows_path(path: str) -> bool:
    """Return whether any method is served at this path, so that another one gets 405."""
    return any(path == known for _, known in _ROUTES) or path.rpartition("/")[0] == "/v2/meetings"


@frozen(kw_only=True)
class User:
    """An organizer as in Gong's integration status."""

    email: str
    exists: bool = True
    valid: bool = True
    user_facing_error: str = ""
    fix_url: str = ""
    help_url: str = ""

    def refusal(self) -> dict[str, str]:
        """Return the problem, with the keys that Gong uses."""
        return {
            "userFacingError": self.user_facing_error,
            "fixUrl": self.fix_url,
            "helpUrl": self.help_url,
        }


@define(kw_only=True)
class Company:
    """The fake company: its users, its meetings, and its responses.

    `known` is None when every well-formed meeting id exists that is not in `missing`.
    """

    known: set[str] | None = None
    missing: set[str] = field(factory=set)
    organizers: dict[str, str] = field(factory=dict)
    users: dict[str, User] = field(factory=dict)
    _created: int = field(default=0, init=False)

    def answer(
        self, operation: Operation, *, meeting_id: str, body: Mapping[str, Any], request_id: str
    ) -> FakeAnswer:
        """Carry out one operation whose request was well-formed JSON."""
        match operation:
            case "addMeeting":
                return self._add(body, request_id)
            case "updateMeeting":
                return self._update(meeting_id, body, request_id)
            case "deleteMeeting":
                return self._delete(meeting_id, body, request_id)
            case "integrationStatus":
                return self._status(body, request_id)
            case _:
                return make_refusal(404, "Not found", request_id=request_id)

    def add_meeting(self, meeting_id: str, organizer_email: str | None) -> None:
        """Add a meeting; with an organizer, only they may change it."""
        self.missing.discard(meeting_id)
        if self.known is not None:
            self.known.add(meeting_id)
        if organizer_email is not None:
            self.organizers[meeting_id] = organizer_email

    def list_users(self, cursor: str | None, request_id: str) -> FakeAnswer:
        """Answer one page of users; the cursor is opaque to clients."""
        users = list(self.users.values()) or [User(email="first.user@example.com")]
        start = 0
        if cursor is not None:
            if not re.fullmatch(r"from-[0-9]{1,9}", cursor):
                return make_refusal(400, "cursor has expired", request_id=request_id)
            start = int(cursor.removeprefix("from-"))
        page = users[start : start + PAGE_SIZE]
        records: dict[str, Any] = {
            "totalRecords": len(users),
            "currentPageSize": len(page),
            "currentPageNumber": start // PAGE_SIZE,
        }
        if start + PAGE_SIZE < len(users):
            records["cursor"] = f"from-{start + PAGE_SIZE}"
        payload = {
            "requestId": request_id,
            "records": records,
            "users": [
                {"id": str(10**18 + start + n), "emailAddress": user.email, "active": user.exists}
                for n, user in enumerate(page)
            ],
        }
        return make_answer(200, payload, request_id=request_id)

    def _add(self, body: Mapping[str, Any], request_id: str) -> FakeAnswer:
        if faults := check_meeting(body):
            return make_refusal(400, *faults, request_id=request_id)
        organizer = self._user(body["organizerEmail"])
        if not organizer.exists:
            text = f"No Gong user has the email address {organizer.email}"
            return make_refusal(404, text, request_id=request_id)
        if not organizer.valid:
            return self._conflict(organizer, request_id)
        meeting_id = str(_FIRST_MEETING_ID + self._created)
        self._created += 1
        self.add_meeting(meeting_id, organizer.email)
        assistant = {
            "email": "assistant@gong.example",
            "displayName": "Gong Assistant",
            "firstName": "Gong",
            "lastName": "Assistant",
        }
        payload = {
            "requestId": request_id,
            "meetingId": meeting_id,
            "meetingUrl": f"https://join.gong.example/company/{meeting_id}",
            "additionalInvitees": [assistant],
        }
        return make_answer(200, payload, request_id=request_id)

    def _update(self, meeting_id: str, body: Mapping[str, Any], request_id: str) -> FakeAnswer:
        if not MEETING_ID.fullmatch(meeting_id):
            return make_refusal(400, "The meeting ID is not a number", request_id=request_id)
        if faults := check_meeting(body):
            return make_refusal(400, *faults, request_id=request_id)
        organizer = self._user(body["organizerEmail"])
        if not self._owns(organizer, meeting_id):
            return make_refusal(404, _NOT_FOUND, request_id=request_id)
        if not organizer.valid:
            return self._conflict(organizer, request_id)
        payload = {"requestId": request_id, "meetingId": meeting_id}
        return make_answer(200, payload, request_id=request_id)

    def _delete(self, meeting_id: str, body: Mapping[str, Any], request_id: str) -> FakeAnswer:
        if not MEETING_ID.fullmatch(meeting_id):
            return make_refusal(400, "The meeting ID is not a number", request_id=request_id)
        email = body.get("organizerEmail")
        if not isinstance(email, str):
            return make_refusal(400, "organizerEmail is required", request_id=request_id)
        if not self._owns(self._user(email), meeting_id):
            return make_refusal(404, _NOT_FOUND, request_id=request_id)
        self.missing.add(meeting_id)
        self.organizers.pop(meeting_id, None)
        # Gong's answer here is the request's own schema, without an id of the request.
        return make_answer(200, {"organizerEmail": email}, request_id=request_id)

    def _status(self, body: Mapping[str, Any], request_id: str) -> FakeAnswer:
        emails = body.get("emails", [])
        if not isinstance(emails, list) or not all(isinstance(email, str) for email in emails):
            return make_refusal(400, "emails must be a list of strings", request_id=request_id)
        if len(emails) > MOST_EMAILS:
            text = f"emails must hold no more than {MOST_EMAILS} addresses"
            return make_refusal(400, text, request_id=request_id)
        users = [
            {"email": user.email, "exists": user.exists, "valid": user.valid, **user.refusal()}
            for user in map(self._user, emails)
        ]
        return make_answer(200, {"requestId": request_id, "users": users}, request_id=request_id)

    def _user(self, email: str) -> User:
        return self.users.get(email) or User(email=email)

    def _owns(self, organizer: User, meeting_id: str) -> bool:
        if meeting_id in self.missing or not organizer.exists:
            return False
        if self.known is not None and meeting_id not in self.known:
            return False
        return self.organizers.get(meeting_id, organizer.email) == organizer.email

    def _conflict(self, organizer: User, request_id: str) -> FakeAnswer:
        text = "Provider disconnected"
        return make_refusal(409, text, request_id=request_id, extra=organizer.refusal())


def make_company(known_meetings: Literal["any"] | Iterable[str]) -> Company:
    """Return a company that knows any meeting, or only the given ones."""
    return Company(known=None if known_meetings == "any" else set(known_meetings))


# Stricter than `datetime.fromisoformat`, which also takes a space, a bare date or no offset.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_REQUIRED = ("startTime", "endTime", "invitees", "organizerEmail")
_OPTIONAL_TEXTS = ("title", "externalId", "provider")
_INVITEE_TEXTS = ("email", "displayName", "firstName", "lastName")


def check_meeting(body: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a meeting as sent; an empty list when it is fine."""
    faults = [f"{name} is required" for name in _REQUIRED if body.get(name) is None]
    if faults:
        return faults
    faults += [
        f"{name} must be a string"
        for name in ("organizerEmail", *_OPTIONAL_TEXTS)
        if not isinstance(body.get(name), str | None)
    ]
    start = _instant(body["startTime"])
    end = _instant(body["endTime"])
    if start is None:
        faults.append("startTime must be an ISO-8601 date and time with an offset")
    if end is None:
        faults.append("endTime must be an ISO-8601 date and time with an offset")
    if start is not None and end is not None and end < start:
        faults.append("endTime must not be before startTime")
    return faults + _check_invitees(body["invitees"])


def _check_invitees(invitees: object) -> list[str]:
    if not isinstance(invitees, list):
        return ["invitees must be a list"]
    for invitee in invitees:
        if not isinstance(invitee, dict):
            return ["every invitee must be an object"]
        for name in _INVITEE_TEXTS:
            if not isinstance(invitee.get(name), str | None):
                return [f"{name} of an invitee must be a string"]
    return []


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
