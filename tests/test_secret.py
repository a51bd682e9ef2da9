"""Values that must never be seen."""

from __future__ import annotations

import copy
import pickle

import pytest

from gong_async import Secret
from gong_async._secret import MaskedHeader

PLAIN = "hunter2hunter2"


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(PLAIN)),
        str(Secret(PLAIN)),
        f"{Secret(PLAIN)}",
        f"{Secret(PLAIN)!r:>40}",
        f"{Secret(PLAIN):>40}",
        "%s %r" % (Secret(PLAIN), Secret(PLAIN)),  # noqa: UP031 - one of the ways to print
        repr([Secret(PLAIN)]),
        repr({"secret": Secret(PLAIN)}),
    ],
)
def test_secret_shows_nothing(shown: str) -> None:
    """However it is printed, a mask is printed."""
    assert PLAIN not in shown
    assert "***" in shown


def test_secret_reveals_itself_when_asked() -> None:
    """The one way to the value has a name of its own."""
    assert Secret(PLAIN).reveal() == PLAIN


def test_secret_has_no_dict() -> None:
    """`vars` finds nothing, so nothing that dumps objects does."""
    with pytest.raises(TypeError):
        vars(Secret(PLAIN))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("secret", [Secret(PLAIN), MaskedHeader(PLAIN)], ids=["secret", "header"])
def test_secret_cannot_be_pickled(secret: object, protocol: int) -> None:
    """A secret does not leave the process."""
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret, protocol)


def test_secret_stays_one_when_copied() -> None:
    """Copies of what holds a secret hold the same one."""
    holder = {"secret": Secret(PLAIN)}

    assert copy.copy(holder["secret"]) is holder["secret"]
    assert copy.deepcopy(holder)["secret"] is holder["secret"]


def test_secrets_compare_by_value() -> None:
    """Equal values are equal, others are not, and a plain text never is."""
    assert Secret(PLAIN) == Secret(PLAIN)
    assert Secret(PLAIN) != Secret("other")
    assert Secret(PLAIN) != PLAIN


def test_secrets_of_any_characters_compare() -> None:
    """A comparison does not fail on what cannot be encoded, for its error would show the value."""
    assert Secret("\ud800") == Secret("\ud800")
    assert Secret("\ud800") != Secret("\ud801")


def test_secret_has_no_hash() -> None:
    """A hash would help to guess a short secret."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(PLAIN))


def test_wrapping_twice_is_wrapping_once() -> None:
    """A wrapped secret is taken as it is."""
    secret = Secret(PLAIN)

    assert Secret.of(secret) is secret
    assert Secret.of(PLAIN) == secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(MaskedHeader(PLAIN)),
        f"{MaskedHeader(PLAIN)}",
        repr({"Authorization": MaskedHeader(PLAIN)}),
    ],
)
def test_header_shows_nothing_when_headers_are_printed(shown: str) -> None:
    """The value that goes on the wire is masked wherever headers are printed."""
    assert PLAIN not in shown


def test_header_is_its_value_on_the_wire() -> None:
    """What writes headers gets the text itself."""
    assert MaskedHeader(PLAIN).encode() == PLAIN.encode()
