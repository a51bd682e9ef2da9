"""How far apart calls go: a pace that learns what the server really takes.

Gong says how many calls a second it allows, and not how it counts them; nor can a client know how
evenly its calls arrive. So the space between two calls is that of the ceiling plus some slack, and
the slack is learned from refusals:

* While nothing is refused the slack shrinks, down to almost nothing.
* A refusal makes it grow: twofold while refusals follow each other, less the longer the pace had
  held. What was too fast is remembered, and between it and what held the pace is halved in, until
  the two are close. Then it stays: looking closer costs more refusals than it earns. A refusal
  takes the search back to what held, and a second one there adds only a little.
* When the pace falls far below what was usual, somebody else uses the quota. The usual pace is
  then tried again every few seconds, for as long as that fails at growing intervals, so that it
  is back at once when the quota is.

Seconds throughout, of any steady clock; no I/O.
"""

from __future__ import annotations

import math
from typing import Any, Self

from attrs import asdict, define, fields_dict

_LEAST_SLACK = 0.002
"""Share of the ceiling's interval: for clocks that differ, and sums of floats."""
_FIRST_SLACK = 0.02
"""Share of the ceiling's interval: what the first refusal makes of anything less."""
_STEP = 0.03
"""Share of the ceiling's interval that a second refusal adds at least."""
_QUICK = 12
"""Calls: a refusal after fewer says that the pace is far off, not just unlucky."""
_CLOSE = 1.25
"""Slack that held over slack that was refused: closer than this is not searched."""
_CLOSE_INTERVALS = 1.05
"""The same of the intervals, where the slack is most of them."""
_MOST_GROWTH = 0.08
"""Share of the interval: a refusal that is only unlucky adds no more."""
_FELL = 1.2
"""Interval over the usual interval: beyond this somebody else uses the quota."""
_CALLS_TO_TRUST = 25
_PROBE_CALLS = 8
_PROBE_SECONDS = 2.0
_FIRST_PROBE_GAP = 16.0
_USUAL_PROBE_GAP = 24.0
_HALFWAY = 3
"""Every so many probes go to the middle: what was taken may have come back in part."""
_LONGEST_PROBE_GAP = 600.0
_PATIENT_PROBES = 10
_SHRINK_SECONDS = 10.0
_SHRINK_CALLS = 20
_USUAL_SECONDS = 60.0
_USUAL_CALLS = 60
_FORGET_SECONDS = 1800.0


@define
class AdaptiveRate:
    """The learned space between two calls of one company. `ceiling` is in calls per second."""

    ceiling: float
    slack: float
    """Seconds that calls are further apart than the ceiling asks."""
    refused_slack: float | None = None
    """The slack that was last refused: too fast."""
    quiet_slack: float | None = None
    """A larger slack that held, to return to."""
    usual_slack: float | None = None
    """The slack that held for long."""
    searching: bool = False
    return_slack: float | None = None
    """While the usual pace is tried: the slack to return to if it fails."""
    return_calls: int = 0
    """What `calls` was at that slack."""
    probed_at: float | None = None
    """When the usual pace was last tried, or kept."""
    probe_gap: float = _FIRST_PROBE_GAP
    failed_probes: int = 0
    changed_at: float | None = None
    calls: int = 0
    """Calls accepted since the slack changed."""
    calls_since_refusal: int = 1_000_000

    @property
    def interval(self) -> float:
        """Seconds between two calls."""
        return 1.0 / self.ceiling + self.slack

    @property
    def per_second(self) -> float:
        """Calls per second at present."""
        return 1.0 / self.interval

    def accepted(self, now: float, sent_at: float, calls: int = 1) -> None:
        """Take note that calls sent from `sent_at` on were accepted."""
        if self._is_stale(now, sent_at):
            return
        self.calls += calls
        self.calls_since_refusal += calls
        quiet = now - self._changed_at(now)
        self._review_usual()
        if self.return_slack is not None:
            if self.calls >= _PROBE_CALLS and quiet >= _PROBE_SECONDS:
                self._end_probe(now, held=True)
        elif self._probe_is_due(now):
            self._probe(now)
        elif self.searching:
            self._search(now)
        elif self._fell():
            return
        elif self.refused_slack is None and self.slack > self._share(_LEAST_SLACK):
            if quiet >= _SHRINK_SECONDS and self.calls >= _SHRINK_CALLS:
                self._shrink(now)
        else:
            self._settle(quiet)

    def refused(self, now: float, sent_at: float) -> None:
        """Take note that a call sent at `sent_at` was refused."""
        # Calls that were under way when the pace changed say nothing about the new one.
        if self._is_stale(now, sent_at):
            return
        if self.return_slack is not None:
            self._end_probe(now, held=False)
            return
        calls, since = self.calls, self.calls_since_refusal
        self.calls_since_refusal = 0
        self.refused_slack = self.slack
        quiet, self.quiet_slack = self.quiet_slack, None
        if quiet is not None and quiet > 1.03 * self.slack:
            self._change(now, max(quiet, self._share(_FIRST_SLACK)))
            self.calls = _QUICK  # it has held before: one more refusal does not say far off
            return
        self.searching = calls < _QUICK
        grown = self.slack * _growth(calls, since)
        if not self.searching:
            grown = min(grown, self.slack + _MOST_GROWTH * self.interval)
        wanted = [grown, self._share(_FIRST_SLACK)]
        if self.searching and self.usual_slack is not None:
            wanted.append(self._share(0.1))  # the usual pace fails at once: make haste
        if not self.searching and since < 1000:  # noqa: PLR2004
            wanted.append(self.slack + self._share(_STEP))
        if calls >= _USUAL_CALLS and self.usual_slack is None:
            self.usual_slack = self.slack
        self._change(now, max(wanted))

    def snapshot(self) -> dict[str, Any]:
        """Return what was learned, for keeping."""
        return asdict(self)

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Self:
        """Return a pace that knows what a `snapshot` knew."""
        return cls(**{name: value for name, value in kept.items() if name in fields_dict(cls)})

    def _share(self, share: float) -> float:
        return share / self.ceiling

    def _change(self, now: float, slack: float) -> None:
        self.slack = max(self._share(_LEAST_SLACK), slack)
        self.changed_at, self.calls = now, 0

    def _changed_at(self, now: float) -> float:
        if self.changed_at is None:
            self.changed_at = now
        return self.changed_at

    def _is_stale(self, now: float, sent_at: float) -> bool:
        return sent_at < self._changed_at(min(now, sent_at))

    def _fell(self) -> bool:
        usual = self.usual_slack
        base = 1.0 / self.ceiling
        return usual is not None and self.interval >= _FELL * (base + usual)

    def _probe_is_due(self, now: float) -> bool:
        if self.probed_at is None or not self._fell():
            self.probed_at = now
        return now - self.probed_at >= self.probe_gap

    def _review_usual(self) -> None:
        """What held for long and is refused now, while a little slower holds, was only luck."""
        usual = self.usual_slack
        if usual is None or self.slack <= usual or self.return_slack is not None:
            return
        if self.calls >= _CALLS_TO_TRUST and self.interval < _FELL * (1.0 / self.ceiling + usual):
            self.usual_slack = self.slack

    def _probe(self, now: float) -> None:
        """Try the usual pace again, and now and then the middle between it and the present."""
        base, usual = 1.0 / self.ceiling, self.usual_slack or 0.0
        self.return_slack, self.return_calls = self.slack, self.calls
        halfway = self.failed_probes % _HALFWAY == _HALFWAY - 1
        middle = math.sqrt((base + usual) * self.interval) - base
        self._change(now, middle if halfway else usual)

    def _end_probe(self, now: float, *, held: bool) -> None:
        back, self.return_slack = self.return_slack or 0.0, None
        if held:
            self.failed_probes, self.searching, self.quiet_slack = 0, False, None
            self._change(now, self.slack)
            self.probe_gap = 0.0 if self._fell() else _FIRST_PROBE_GAP  # the way is free: go on
            return
        self.probed_at = now
        self.failed_probes += 1
        if self.failed_probes < _PATIENT_PROBES:
            self.probe_gap = min(_USUAL_PROBE_GAP, max(_FIRST_PROBE_GAP, 1.25 * self.probe_gap))
        else:
            self.probe_gap = min(_LONGEST_PROBE_GAP, 2.0 * self.probe_gap)
        self._change(now, back)
        self.calls = self.return_calls

    def _search(self, now: float) -> None:
        """Halve the way between what was refused and what holds."""
        refused = self.refused_slack or self._share(_LEAST_SLACK)
        apart = self.slack / refused
        intervals = self.interval / (1.0 / self.ceiling + refused)
        if intervals <= 1.02 or (apart <= _CLOSE and intervals <= _CLOSE_INTERVALS):  # noqa: PLR2004
            self.searching = False
            return
        coarse = apart > 1.5 and intervals > 1.1  # noqa: PLR2004
        if self.calls >= (_CALLS_TO_TRUST if not coarse else 10):
            self.quiet_slack = self.slack
            self._change(now, math.sqrt(self.slack * refused))

    def _shrink(self, now: float) -> None:
        least = self._share(_LEAST_SLACK)
        self.quiet_slack = self.slack
        self._change(now, self.slack / 2 if self.slack > 4 * least else least)

    def _settle(self, quiet: float) -> None:
        long_held = quiet >= _USUAL_SECONDS and self.calls >= _USUAL_CALLS
        if long_held and (self.usual_slack is None or self.slack < self.usual_slack):
            self.usual_slack = self.slack
        if quiet >= _FORGET_SECONDS:
            self.refused_slack = None


def _growth(calls: int, since: int) -> float:
    """Return how much the slack grows at a refusal: less, the longer the pace had held."""
    if calls < _QUICK:
        return 2.0
    if since < 300:  # noqa: PLR2004
        return 1.7
    return 1.3 if since < 1500 else 1.1  # noqa: PLR2004
