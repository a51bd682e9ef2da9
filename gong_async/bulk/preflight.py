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
        problems: dict[int, tuple[str | None, str | None]] = {}
        for number, email in asked:
            user = users.get(email.lower())
            problem = _problem(user)
            problems[number] = (problem, user.fix_url if user and problem else None)
        await journal.note_organizers(problems, requests=answer.meta.attempts)
    return None


def _problem(user: UserIntegration | None) -> str | None:
    """Return why a user's meetings cannot be updated; None if unknown or updatable."""
    if user is None or (user.exists and user.valid):
        return None
    return user.user_facing_error or (_NOT_VALID if user.exists else _UNKNOWN)
