"""Preflight: asks whose meetings can be updated, before updates are spent."""

from __future__ import annotations

from collections.abc import Callable

from gong_async.bulk.error_scope import Scope, Stop, scope_of, stop_for
from gong_async.bulk.store.journal import Journal
from gong_async.errors import GongError, PermissionDeniedError
from gong_async.models.meetings import UserIntegration
from gong_async.resources.meetings import EMAILS_PER_CALL, Meetings

_UNKNOWN = "Gong knows no user with this email"
_NOT_VALID = "Gong says that this user's meeting settings do not work"


async def check_organizers(
    journal: Journal,
    meetings: Meetings,
    *,
    may_go_on: Callable[[], bool],
    next_wait: Callable[[], float],
) -> Stop | None:
    """Check the organizers that are not checked yet, and skip those that cannot be updated.

    Returns why the job has to stop, if Gong's answer says so.
    """
    while may_go_on():
        asked = await journal.unchecked_organizers(EMAILS_PER_CALL)
        if not asked:
            return None
        try:
            answer = await meetings.integration_status([email for _, email in asked])
        except PermissionDeniedError as error:
            if error.missing_scope is None:
                return stop_for(error)
            return None  # the credential lacks only this permission; updates may work
        except GongError as error:
            if scope_of(error) is Scope.ITEM:
                return None  # Gong rejects this request; updates may work
            return stop_for(error) or Stop("waiting", error.message, next_wait())
        users = {user.email.lower(): user for user in answer.users}
        stopped = [
            (number, problem, users[email.lower()].fix_url)
            for number, email in asked
            if (problem := _problem(users.get(email.lower()))) is not None
        ]
        gone = {number for number, _, _ in stopped}
        valid = [number for number, _ in asked if number not in gone]
        await journal.note_organizers(valid, stopped, requests=answer.meta.attempts)
    return None


def _problem(user: UserIntegration | None) -> str | None:
    """Return why a user's meetings cannot be updated; None if unknown or updatable."""
    if user is None or (user.exists and user.valid):
        return None
    return user.user_facing_error or (_NOT_VALID if user.exists else _UNKNOWN)
