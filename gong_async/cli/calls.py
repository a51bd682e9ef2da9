"""How far each call came: a call that is cut off leaves no other trace."""

from __future__ import annotations

from attrs import define, field, frozen

from gong_async.hooks.events import AttemptFinished, CallFinished, Event


@frozen
class Reach:
    """How far a call came."""

    attempts: int = 0
    """Requests that went out."""
    may_have_applied: bool = False
    """Whether Gong may have carried one of them out."""


@define
class Calls:
    """A client's hook that remembers the calls whose outcome nobody has taken yet."""

    _last: dict[str, AttemptFinished] = field(factory=dict, init=False)
    _ended: dict[str, list[Reach]] = field(factory=dict, init=False)

    def listen(self, event: Event) -> None:
        """Take note of the end of an attempt, or of a call."""
        match event:
            case AttemptFinished(meeting_id=str() as meeting_id):
                self._last[meeting_id] = event
            case CallFinished(meeting_id=str() as meeting_id):
                last = self._last.pop(meeting_id, None)
                refused = last is not None and last.error is not None
                # The error tells of all attempts up to its own. Without one, the last was cut off.
                doubt = last is not None and last.error is not None and last.error.outcome_unknown
                reach = Reach(event.attempts, event.attempts > 0 and (doubt or not refused))
                self._ended.setdefault(meeting_id, []).append(reach)

    def forget(self, meeting_id: str) -> Reach:
        """Return how far a meeting's oldest remembered call came, and remember it no longer."""
        ended = self._ended.get(meeting_id)
        if not ended:
            return Reach()
        oldest = ended.pop(0)
        if not ended:
            del self._ended[meeting_id]
        return oldest
