"""The adaptive rate: the interval between two calls, learned from what the server accepts.

Gong documents how many calls per second it allows but not how it counts them, and a client cannot
know how evenly its calls arrive. So the interval between two calls is that of the ceiling plus some
slack, and the slack is learned from 429 responses:

* While no call is throttled, the slack shrinks to almost nothing.
* A 429 makes it grow: by a factor of two while 429s follow each other, by less the longer the rate
  had worked. The slack that was too small is remembered, and a bisection between it and the slack
  that works goes on until the two are close. Then the rate stays: searching further would cost more
  429s than it gains. A 429 returns the search to the slack that worked; a second one there adds
  only a little.
* A rate far below the usual one means that another program uses the quota. The usual rate is then
  probed every few seconds, at growing intervals while that fails, so that it returns as soon as the
  quota does.

All times are seconds of any monotonic clock; no I/O.
"""

from __future__ import annotations

import math
from typing import Any, Self

from attrs import asdict, define, fields_dict

_LEAST_SLACK = 0.002
"""Fraction of the ceiling's interval: covers clock differences and rounding."""
_FIRST_SLACK = 0.02
"""Fraction of the ceiling's interval: the least slack after a 429."""
_STEP = 0.03
"""Fraction of the ceiling's interval that a second 429 adds at least."""
_QUICK = 12
"""Calls: a 429 after fewer means that the rate is far too high, not just unlucky."""
_CLOSE = 1.25
"""Ratio of the slack that works to the one that was too small: below it, the search ends."""
_CLOSE_INTERVALS = 1.05
"""The same ratio of the intervals, where the slack dominates."""
_MOST_GROWTH = 0.08
"""Fraction of the interval that a merely unlucky 429 adds at most."""
_FELL = 1.2
"""Ratio of the interval to the usual one: above it, another program uses the quota."""
_CALLS_TO_TRUST = 25
_PROBE_CALLS = 8
_PROBE_SECONDS = 2.0
_FIRST_PROBE_GAP = 16.0
_USUAL_PROBE_GAP = 24.0
_HALFWAY = 3
"""Every third probe goes halfway: part of the quota may have been freed."""
_LONGEST_PROBE_GAP = 600.0
_STEADY_PROBES = 10
_SHRINK_SECONDS = 10.0
_SHRINK_CALLS = 20
_USUAL_SECONDS = 60.0
_USUAL_CALLS = 60
_FORGET_SECONDS = 1800.0


@define
class AdaptiveRate:
    """The learned interval between two calls of one company. `ceiling` is in calls per second."""

    ceiling: float
    slack: float
    """Seconds added to the ceiling's interval."""
    refused_slack: float | None = None
    """The slack that was last too small: a call was throttled."""
    quiet_slack: float | None = None
    """A larger slack that worked, to return to."""
    usual_slack: float | None = None
    """The slack that worked for long."""
    searching: bool = False
    return_slack: float | None = None
    """While the usual rate is probed: the slack to return to if it fails."""
    return_calls: int = 0
    """The value of `calls` at that slack."""
    probed_at: float | None = None
    """When the usual rate was last probed, or in use."""
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
        """The current rate, in calls per second."""
        return 1.0 / self.interval

    def accepted(self, now: float, sent_at: float, calls: int = 1) -> None:
        """Record that calls sent from `sent_at` on were accepted."""
        if self._is_stale(now, sent_at):
            return
        self.calls += calls
        self.calls_since_refusal += calls
        quiet = now - self._changed_at(now)
        self._review_usual()
        if self.return_slack is not None:
            if self.calls >= _PROBE_CALLS and quiet >= _PROBE_SECONDS:
                self._end_probe(now, worked=True)
        elif self._probe_is_due(now):
            self._probe(now)
        elif self.searching:
            self._search(now)
        elif self._fell():
            return
        elif self.refused_slack is None and self.slack > self._fraction(_LEAST_SLACK):
            if quiet >= _SHRINK_SECONDS and self.calls >= _SHRINK_CALLS:
                self._shrink(now)
        else:
            self._settle(quiet)

    def throttled(self, now: float, sent_at: float) -> None:
        """Record that a call sent at `sent_at` was throttled."""
        # Calls that were in flight when the rate changed say nothing about the new one.
        if self._is_stale(now, sent_at):
            return
        if self.return_slack is not None:
            self._end_probe(now, worked=False)
            return
        calls, since = self.calls, self.calls_since_refusal
        self.calls_since_refusal = 0
        self.refused_slack = self.slack
        quiet, self.quiet_slack = self.quiet_slack, None
        if quiet is not None and quiet > 1.03 * self.slack:
            self._change(now, max(quiet, self._fraction(_FIRST_SLACK)))
            self.calls = _QUICK  # it worked before: one more 429 does not mean far too high
            return
        self.searching = calls < _QUICK
        grown = self.slack * _growth(calls, since)
        if not self.searching:
            grown = min(grown, self.slack + _MOST_GROWTH * self.interval)
        wanted = [grown, self._fraction(_FIRST_SLACK)]
        if self.searching and self.usual_slack is not None:
            wanted.append(self._fraction(0.1))  # the usual rate fails at once: slow down faster
        if not self.searching and since < 1000:  # noqa: PLR2004
            wanted.append(self.slack + self._fraction(_STEP))
        if calls >= _USUAL_CALLS and self.usual_slack is None:
            self.usual_slack = self.slack
        self._change(now, max(wanted))

    def snapshot(self) -> dict[str, Any]:
        """Return what was learned, in a form that can be stored."""
        return asdict(self)

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Self:
        """Return the rate that a `snapshot` describes."""
        return cls(**{name: value for name, value in kept.items() if name in fields_dict(cls)})

    def _fraction(self, fraction: float) -> float:
        return fraction / self.ceiling

    def _change(self, now: float, slack: float) -> None:
        self.slack = max(self._fraction(_LEAST_SLACK), slack)
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
        """Raise the usual slack if it no longer works while a slightly larger one does."""
        usual = self.usual_slack
        if usual is None or self.slack <= usual or self.return_slack is not None:
            return
        if self.calls >= _CALLS_TO_TRUST and self.interval < _FELL * (1.0 / self.ceiling + usual):
            self.usual_slack = self.slack

    def _probe(self, now: float) -> None:
        """Try the usual rate, or sometimes the middle between it and the current one."""
        base, usual = 1.0 / self.ceiling, self.usual_slack or 0.0
        self.return_slack, self.return_calls = self.slack, self.calls
        halfway = self.failed_probes % _HALFWAY == _HALFWAY - 1
        middle = math.sqrt((base + usual) * self.interval) - base
        self._change(now, middle if halfway else usual)

    def _end_probe(self, now: float, *, worked: bool) -> None:
        back, self.return_slack = self.return_slack or 0.0, None
        if worked:
            self.failed_probes, self.searching, self.quiet_slack = 0, False, None
            self._change(now, self.slack)
            self.probe_gap = (
                0.0 if self._fell() else _FIRST_PROBE_GAP
            )  # it worked: try the next at once
            return
        self.probed_at = now
        self.failed_probes += 1
        if self.failed_probes < _STEADY_PROBES:
            self.probe_gap = min(_USUAL_PROBE_GAP, max(_FIRST_PROBE_GAP, 1.25 * self.probe_gap))
        else:
            self.probe_gap = min(_LONGEST_PROBE_GAP, 2.0 * self.probe_gap)
        self._change(now, back)
        self.calls = self.return_calls

    def _search(self, now: float) -> None:
        """Bisect between the slack that was too small and the one that works."""
        refused = self.refused_slack or self._fraction(_LEAST_SLACK)
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
        least = self._fraction(_LEAST_SLACK)
        self.quiet_slack = self.slack
        self._change(now, self.slack / 2 if self.slack > 4 * least else least)

    def _settle(self, quiet: float) -> None:
        proven = quiet >= _USUAL_SECONDS and self.calls >= _USUAL_CALLS
        if proven and (self.usual_slack is None or self.slack < self.usual_slack):
            self.usual_slack = self.slack
        if quiet >= _FORGET_SECONDS:
            self.refused_slack = None


def _growth(calls: int, since: int) -> float:
    """Return the factor by which a 429 increases the slack: less, the longer the rate worked."""
    if calls < _QUICK:
        return 2.0
    if since < 300:  # noqa: PLR2004
        return 1.7
    return 1.3 if since < 1500 else 1.1  # noqa: PLR2004
