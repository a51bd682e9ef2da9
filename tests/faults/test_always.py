"""The checks that surround every fault, shown to fail where they must."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from faults.acts import Raw
from faults.always import (
    ACCESS_KEY,
    ACCESS_KEY_SECRET,
    Probe,
    Verdict,
    faces,
    foreign_links,
    is_faithful,
    leaking_records,
    leaks,
    trial,
)
from faults.operations import UPDATE, Operation
from faults.peer import Peer, behave, scripted
from gong_async import GongClient, GongError, Result

pytestmark = pytest.mark.looptime


def _shows(error: BaseException) -> bool:
    return any(map(leaks, faces(error)))


@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(text)[1:-1],
    ],
    ids=["raw", "base64", "url", "json"],
)
@pytest.mark.parametrize("secret", [ACCESS_KEY, ACCESS_KEY_SECRET])
def test_c1_finds_every_spelling(secret: str, spell: Callable[[str], str]) -> None:
    """A credential in the message is found in each of the four spellings."""
    assert _shows(GongError(f"you sent {spell(secret)}!"))


def _in_a_cause() -> GongError:
    error = GongError("clean")
    error.__cause__ = ValueError(ACCESS_KEY)
    return error


def _in_a_context() -> GongError:
    error = GongError("clean")
    error.__context__ = RuntimeError("clean")
    error.__context__.__context__ = OSError(1, ACCESS_KEY_SECRET)
    return error


def _in_a_field() -> GongError:
    return GongError("clean", route=ACCESS_KEY)


def _in_a_note() -> GongError:
    error = GongError("clean")
    error.add_note(f"sent {ACCESS_KEY}")
    return error


def _in_a_local() -> GongError:
    def fail() -> None:
        headers = {"Authorization": ACCESS_KEY}
        raise GongError(str(len(headers)))

    with pytest.raises(GongError) as caught:
        fail()
    return caught.value


@pytest.mark.parametrize("make", [_in_a_cause, _in_a_context, _in_a_field, _in_a_note, _in_a_local])
def test_c1_looks_everywhere(make: Callable[[], GongError]) -> None:
    """A credential is found in causes, contexts, fields, notes, and locals of the traceback."""
    assert _shows(make())


def test_c1_finds_nothing_in_a_clean_error() -> None:
    """A clean error is clean."""
    assert not _shows(GongError("clean", path={"meetingId": "1"}))
    assert foreign_links(_in_a_cause()) == ["ValueError"]


def test_c1_reads_the_log() -> None:
    """A credential is found in a record's text, in its arguments, and in its traceback."""
    in_text = logging.makeLogRecord({"msg": ACCESS_KEY})
    in_arguments = logging.makeLogRecord({"msg": "%s", "args": (ACCESS_KEY_SECRET,)})
    error = ValueError(ACCESS_KEY)
    in_traceback = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, error, None)})
    clean = logging.makeLogRecord({"msg": "clean"})

    assert len(leaking_records([in_text, in_arguments, in_traceback, clean])) == 3


def test_c2_finds_a_lost_field() -> None:
    """An error that loses a field in a copy is found out."""

    class ForgetfulError(GongError):
        def __reduce__(self) -> tuple[Any, ...]:
            return GongError, (self.message,)

    assert not is_faithful(ForgetfulError("x", attempts=3))
    assert is_faithful(GongError("x", attempts=3))


async def _leak(case: Probe) -> None:
    """Take a connection and a place, and keep both."""
    await case.gong._call.limiter.acquire(max_wait=1).__aenter__()


async def test_c4_finds_a_place_that_is_kept() -> None:
    """A place that is not given back stops the honest call at the end."""
    with pytest.raises(AssertionError, match=r"C7|C10"):
        async with scripted([behave]) as peer, trial(peer) as case:
            await _leak(case)


async def test_c5_finds_a_hidden_request() -> None:
    """One request more on the wire than attempts is found out."""

    async def twice(gong: GongClient) -> Result:
        await UPDATE.call(gong)
        return await UPDATE.call(gong)

    with pytest.raises(AssertionError, match="C5"):
        async with scripted() as peer, trial(peer) as case:
            await case.run(Operation("twice", twice))


async def test_c9_finds_a_complaint_of_the_loop() -> None:
    """What the loop complains of is found out."""
    with pytest.raises(AssertionError, match="C9"):
        async with scripted() as peer, trial(peer) as case:
            case.loop.call_exception_handler({"message": "a task was destroyed"})


async def test_c10_finds_a_broken_server() -> None:
    """A client that cannot make the next call is found out."""

    class Stubborn(Peer):
        def mend(self) -> None:
            """Stay as it is."""

    with pytest.raises(AssertionError, match="C10"):
        async with Stubborn(always=Raw()) as peer, trial(peer):
            pass


def test_a_verdict_reads_well() -> None:
    """What the tests compare is what happened."""
    error = GongError("x", status=418, attempts=2, outcome_unknown=True)

    assert str(Verdict(None, error, 0.0)) == "GongError 418 None unknown after 2"
