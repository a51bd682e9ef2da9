"""The limits as values."""

from __future__ import annotations

import pytest

from gong_async import ConfigurationError, Limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("per_second", 0),
        ("per_second", -1),
        ("per_second", float("nan")),
        ("per_day", 0),
        ("max_in_flight", 0),
        ("headroom", 1),
        ("headroom", -0.1),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_by_name(name: str, value: float) -> None:
    """The error names the limit."""
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{name: value})  # type: ignore[arg-type]

    assert f"Limits.{name}" in str(caught.value)


def test_the_rate_leaves_the_headroom_unused() -> None:
    """Three a second with 2 % headroom are 0.34 s apart."""
    interval = Limits(per_second=3).interval

    assert interval == pytest.approx(1 / 2.94)


def test_no_rate_means_no_interval() -> None:
    """`per_second=None` leaves calls as close together as they come."""
    interval = Limits(per_second=None).interval

    assert interval == 0
