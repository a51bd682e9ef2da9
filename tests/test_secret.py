"""Values that must never be seen."""

from __future__ import annotations

import asyncio
import copy
import copyreg
import dataclasses
import inspect
import json
import pickle
import pprint
import reprlib
import string
import traceback
from collections.abc import Callable

import attrs
import pytest
from attrs import frozen

from gong_async import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    FileTokenStore,
    GongError,
    OAuth,
    Secret,
)
from gong_async._redact import PinnedSecret, RedactedHeader, hide_locals

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
    """However it is printed, asterisks are printed."""
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
@pytest.mark.parametrize("secret", [Secret(PLAIN), RedactedHeader(PLAIN)], ids=["secret", "header"])
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
        repr(RedactedHeader(PLAIN)),
        f"{RedactedHeader(PLAIN)}",
        repr({"Authorization": RedactedHeader(PLAIN)}),
    ],
)
def test_header_shows_nothing_when_headers_are_printed(shown: str) -> None:
    """The value that goes on the wire is redacted wherever headers are printed."""
    assert PLAIN not in shown


def test_header_is_its_value_on_the_wire() -> None:
    """What writes headers gets the text itself."""
    assert RedactedHeader(PLAIN).encode() == PLAIN.encode()


@frozen
class Holder:
    """An attrs class with a secret in it."""

    secret: Secret


@dataclasses.dataclass
class Dataclass:
    """A dataclass with a secret in it."""

    secret: Secret


def dumps() -> dict[str, Callable[[], object]]:
    """Return every way that we know to turn an object into data, by name."""
    held, data = Holder(Secret(PLAIN)), Dataclass(Secret(PLAIN))
    return {
        "attrs.asdict": lambda: attrs.asdict(held),
        "attrs.astuple": lambda: attrs.astuple(held),
        "attrs repr": lambda: held,
        "dataclasses.asdict": lambda: dataclasses.asdict(data),
        "dataclasses.astuple": lambda: dataclasses.astuple(data),
        "dataclass vars": lambda: vars(data),
        "dataclasses.replace": lambda: dataclasses.replace(data),
        "json": lambda: json.dumps(attrs.asdict(held), default=str),
        "pprint": lambda: pprint.pformat(data),
        "reprlib": lambda: reprlib.repr([Secret(PLAIN)]),
        "template": lambda: string.Template("$s").substitute(s=Secret(PLAIN)),
        "bytes": lambda: b"%r" % Secret(PLAIN),
        "pinned": lambda: [PinnedSecret(PLAIN, "https://api.gong.io")],
    }


@pytest.mark.parametrize("way", dumps())
def test_no_dump_shows_a_secret(way: str) -> None:
    """Whatever is made of an object that holds a secret."""
    shown = dumps()[way]()

    assert PLAIN not in f"{shown} {shown!r}"
    assert "***" in repr(shown) or "***" in str(shown)


@pytest.mark.parametrize(
    "ask",
    [
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce__(),
        copyreg.__reduce_ex__,
        vars,
        json.dumps,
        bytes,
        list,
        len,
    ],
    ids=["getstate", "reduce", "copyreg", "vars", "json", "bytes", "list", "len"],
)
@pytest.mark.parametrize("secret", [Secret(PLAIN), PinnedSecret(PLAIN, "https://a.example")])
def test_what_asks_a_secret_for_its_insides_fails(
    ask: Callable[[object], object], secret: Secret
) -> None:
    """And the error does not show it either."""
    with pytest.raises(TypeError) as caught:
        ask(secret)

    assert PLAIN not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: BasicAuth("key", f"{PLAIN}\n"),
        lambda: BasicAuth(f"{PLAIN}:", PLAIN),
        lambda: BasicAuth(f"{PLAIN}\n", PLAIN),
        lambda: BearerAuth(f"{PLAIN}\n"),
        lambda: OAuth("id", f"{PLAIN}\n", FileTokenStore()),
        lambda: OAuth("i:d", PLAIN, FileTokenStore()),
        lambda: OAuth("id", PLAIN, FileTokenStore(), app_url="http://evil.example"),
    ],
    ids=["secret", "colon", "key", "token", "client secret", "client id", "url"],
)
def test_no_frame_of_a_refusal_holds_the_plain_text(
    build: Callable[[], object], shown: Callable[[BaseException], str]
) -> None:
    """A traceback with the locals of every frame shows none of what was given."""
    with pytest.raises(ConfigurationError) as caught:
        build()

    assert PLAIN not in shown(caught.value)


def _parse(plain: str) -> str:
    """Raise an error in a frame that knows the secret, inside of another one's handler."""
    try:
        raise KeyError(plain)  # noqa: TRY301 - it holds the secret
    except KeyError:
        problem = f"{len(plain)} characters"
        raise ConfigurationError(problem) from None


def _parse_badly(plain: str) -> str:
    """Raise an error that is caused by another one."""
    try:
        return {0: "none"}[len(plain)]
    except KeyError as error:
        raise LookupError("no such length") from error


@hide_locals
def _hidden(plain: str, parse: Callable[[str], str] = _parse) -> str:
    """Return what `parse` makes of a secret."""
    copied = f"a copy of {plain}"
    return parse(plain) + copied


@hide_locals
async def _hidden_async(plain: str, parse: Callable[[str], str] = _parse) -> str:
    """Return it after a step of the event loop."""
    copied = f"a copy of {plain}"
    await asyncio.sleep(0)
    return parse(plain) + copied


def everything(error: BaseException) -> str:
    """Show an exception with the locals of every frame, but for those of the test itself."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for link in (shown, shown.__cause__, shown.__context__):
        if link is not None:
            link.stack[:] = [frame for frame in link.stack if not frame.name.startswith("test_")]
    return "".join(shown.format())


@pytest.mark.parametrize("parse", [_parse, _parse_badly])
async def test_hidden_locals_are_not_in_tracebacks(parse: Callable[[str], str]) -> None:
    """Neither those of the function, nor those below it, nor its arguments; the lines are."""
    with pytest.raises(GongError if parse is _parse else LookupError) as caught:
        _hidden(PLAIN, parse)
    with pytest.raises(GongError if parse is _parse else LookupError) as caught_async:
        await _hidden_async(PLAIN, parse=parse)

    for error in (caught.value, caught_async.value):
        text = everything(error)
        assert PLAIN not in text
        assert "in _hidden" in text and f"in {parse.__name__}" in text
    assert caught.value.__context__ is None
    assert isinstance(caught.value.__cause__, KeyError) is (parse is _parse_badly)


async def test_a_cancellation_is_hidden_as_well() -> None:
    """It has a traceback, too, which a task keeps."""
    task = asyncio.create_task(_hidden_async(PLAIN))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert PLAIN not in everything(caught.value)


async def test_a_task_that_keeps_an_exception_goes_on() -> None:
    """Its frame is in the traceback of what led to the failure, and waits meanwhile."""
    goes_on = asyncio.Event()
    kept: list[Exception] = []

    async def keep() -> str:
        try:
            _parse(PLAIN)
        except GongError as error:
            kept.append(error)
        await goes_on.wait()
        return "went on"

    def fail(_: str) -> str:
        raise LookupError("nothing to return") from kept[0]

    task = asyncio.create_task(keep())
    await asyncio.sleep(0)
    with pytest.raises(LookupError):
        _hidden(PLAIN, fail)
    with pytest.raises(LookupError):
        await _hidden_async(PLAIN, fail)
    goes_on.set()

    assert await asyncio.wait_for(task, 5) == "went on"


async def test_a_hidden_function_is_called_as_any_other() -> None:
    """Results, names and signatures are those of the function."""
    assert _hidden("ab", str.upper) == "ABa copy of ab"
    assert await _hidden_async("ab", str.upper) == "ABa copy of ab"
    assert list(inspect.signature(_hidden).parameters) == ["plain", "parse"]
    assert inspect.iscoroutinefunction(_hidden_async)
    assert not inspect.iscoroutinefunction(_hidden)


def test_equal_pins_are_equal_secrets() -> None:
    """Where a secret may be sent says nothing about what it is."""
    assert PinnedSecret(PLAIN, "https://a.example") == Secret(PLAIN)
