"""The pair, as it is kept and as it is shown."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from gong_async import ConfigurationError, Secret, Tokens

ACCESS, REFRESH = "hunter2-access", "hunter2-refresh"
PAIR = Tokens(
    access_token=Secret(ACCESS),
    refresh_token=Secret(REFRESH),
    base_url="https://us-1.api.gong.io",
    expires_at=datetime(2026, 11, 24, tzinfo=UTC),
    lifetime=86_400.0,
    scopes=("api:meetings:user:update",),
)


@pytest.mark.parametrize("pair", [PAIR, Tokens(access_token=Secret("a"))])
def test_what_was_kept_comes_back(pair: Tokens) -> None:
    """A pair survives being kept."""
    assert Tokens.restore(Secret(pair.reveal())) == pair


@pytest.mark.parametrize(
    "shown",
    [
        lambda: repr(PAIR),
        lambda: str(PAIR),
        lambda: f"{PAIR} {PAIR!r}",
        lambda: repr(attrs.asdict(PAIR)),
        lambda: repr(attrs.astuple(PAIR)),
        lambda: json.dumps(attrs.asdict(PAIR), default=str),
        lambda: repr(copy.deepcopy(PAIR)),
        lambda: repr(attrs.evolve(PAIR, lifetime=1.0)),
    ],
)
def test_it_shows_no_token(shown: Callable[[], str]) -> None:
    """However it is printed or dumped."""
    assert "hunter2" not in shown()


def test_it_does_not_leave_the_process_in_a_pickle() -> None:
    """Like every secret."""
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(PAIR)


def changed(**changes: Any) -> str:
    """Return what is kept, with some values replaced."""
    return json.dumps({**json.loads(PAIR.reveal()), **changes})


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        PAIR.reveal()[:-1],
        changed(version=2),
        changed(access_token=None),
        changed(access_token="hunter2\r\nX-Evil: 1"),
        changed(access_token=""),
        changed(refresh_token=7),
        changed(base_url="http://evil.example"),
        changed(base_url=7),
        changed(expires_at="soon"),
        changed(lifetime="long"),
        changed(scopes=None),
        "[" * 100_000,
    ],
    ids=lambda kept: kept[:12],
)
def test_a_damaged_one_is_reported(kept: str, shown: Callable[[BaseException], str]) -> None:
    """What cannot be a login is not shown, and says what to do."""
    with pytest.raises(ConfigurationError, match="log in again") as caught:
        Tokens.restore(Secret(kept))

    assert "hunter2" not in shown(caught.value)
