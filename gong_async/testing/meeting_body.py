"""What Gong asks of the body of a meeting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

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
