"""What must be true after every fault, whatever else it does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import gc
import json
import logging
import pickle
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from attrs import define, frozen

from faults.operations import Operation, update
from faults.peer import Peer
from gong_async import (
    BasicAuth,
    GongClient,
    GongError,
    Limits,
    Result,
    RetryPolicy,
    Secret,
)
from gong_async.hooks.events import Event, LimiterPaused, RetryPlanned

# Characters in them that each of the spellings below writes in another way.
ACCESS_KEY = 'KEY7"F/q+W%3D\\z9'
ACCESS_KEY_SECRET = 'sEcReT8"x/Y+v%26\\u0041&='
TIMEOUT = 5.0
DEADLINE = 120.0


def _spellings() -> frozenset[str]:
    pair = f"{ACCESS_KEY}:{ACCESS_KEY_SECRET}"
    found: set[str] = set()
    for secret in (ACCESS_KEY, ACCESS_KEY_SECRET, pair):
        encoded = base64.b64encode(secret.encode()).decode()
        found |= {secret, encoded.rstrip("="), quote(secret, safe=""), json.dumps(secret)[1:-1]}
        found.add(repr(secret)[1:-1])  # as locals and fields are shown
    return frozenset(found)


SPELLINGS = _spellings()


def leaks(text: str) -> bool:
    """Whether a text shows a credential in any spelling."""
    return any(spelling in text for spelling in SPELLINGS)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that it is linked to."""
    found: list[BaseException] = [error]
    while found:
        link = found.pop()
        yield link
        found.extend(linked for linked in (link.__cause__, link.__context__) if linked)
        if isinstance(link, BaseExceptionGroup):
            found.extend(link.exceptions)


def faces(error: BaseException) -> Iterator[str]:
    """Yield every text that an error can show of itself."""
    for link in chain(error):
        yield from (str(link), repr(link), repr(link.args), repr(link.__dict__))
        yield from getattr(link, "__notes__", ())
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    yield pickle.dumps(error).decode("latin-1")
    yield repr(pickle.dumps(error, protocol=0))


def is_faithful(error: GongError) -> bool:
    """Whether an error survives pickle, copy and deepcopy as it is."""
    copies = (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error))
    return all(
        type(derived) is type(error) and str(derived) == str(error) and vars(derived) == vars(error)
        for derived in copies
    )


def foreign_links(error: BaseException) -> list[str]:
    """Name what an error is linked to that is not ours and may hold anything."""
    return [type(link).__qualname__ for link in chain(error) if not isinstance(link, GongError)]


@frozen
class Verdict:
    """How one call ended.

    As text: `ok after 2`, or the error, what it says of the place, its delivery, whether the
    outcome is known, and the attempts: `APITimeoutError headers maybe unknown after 1`.
    """

    result: Result | None
    error: GongError | None
    seconds: float

    @property
    def attempts(self) -> int:
        """Requests of the call."""
        if self.error is not None:
            return self.error.attempts
        return self.result.meta.attempts if self.result else 0

    @property
    def failure(self) -> GongError:
        """The error, where there must be one."""
        assert self.error is not None
        return self.error

    def __str__(self) -> str:
        error = self.error
        if error is None:
            return f"ok after {self.attempts}"
        facts = (getattr(error, name, None) for name in ("reason", "phase", "flaw"))
        place = next((fact for fact in facts if fact), error.status)
        outcome = "unknown" if error.outcome_unknown else "known"
        delivery = error.delivery.value if error.delivery else None
        return f"{type(error).__name__} {place} {delivery} {outcome} after {error.attempts}"


@define(eq=False, repr=False)
class Probe:
    """A client, its bad server, and what was heard while they talked."""

    peer: Peer
    gong: GongClient
    events: list[Event]
    timeout: float
    loop: asyncio.AbstractEventLoop

    async def run(self, operation: Operation) -> Verdict:
        """Make one call and check everything that its end must fulfil: C1, C2, C5, C7."""
        contacts, events, started = self.peer.contacts, len(self.events), self.loop.time()
        result: Result | None = None
        error: GongError | None = None
        try:
            result = await operation.call(self.gong)
        except GongError as caught:
            error = caught
        seconds = self.loop.time() - started
        verdict = Verdict(result, error, seconds)
        waits = sum(self._waits(self.events[events:]))
        if error is not None:
            assert not [face for face in faces(error) if leaks(face)], "C1: a credential shows"
            assert foreign_links(error) == [], "C1: a foreign exception hangs on ours"
            assert is_faithful(error), "C2: the error does not survive a copy"
        assert not leaks(repr(result)), "C1: a credential shows in the result"
        self._count(verdict, self.peer.contacts - contacts)
        assert seconds <= verdict.attempts * self.timeout + waits + 0.5, "C7: it took too long"
        return verdict

    def _count(self, verdict: Verdict, contacts: int) -> None:
        assert verdict.attempts == contacts, "C5: attempts and requests on the wire differ"

    async def peak_memory(self, operation: Operation) -> int:
        """Make one call and return the most bytes that were held meanwhile."""
        tracemalloc.start()
        try:
            with contextlib.suppress(GongError):
                await operation.call(self.gong)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    async def authorization(self) -> Secret:
        """Return the header that every request must carry."""
        return await BasicAuth(ACCESS_KEY, ACCESS_KEY_SECRET).authorization()

    @staticmethod
    def _waits(events: Iterable[Event]) -> Iterator[float]:
        for event in events:
            match event:
                case RetryPlanned():
                    yield event.wait
                case LimiterPaused():
                    yield event.pause
                case _:
                    pass


@define(eq=False, repr=False)
class Unreachable(Probe):
    """A trial in which attempts do not reach the server: nothing is counted there."""

    def _count(self, verdict: Verdict, contacts: int) -> None:
        assert verdict.attempts >= contacts, "C5: more requests on the wire than attempts"


@asynccontextmanager
async def trial(
    peer: Peer,
    *,
    timeout: float = TIMEOUT,
    limits: Limits | None = None,
    retry: RetryPolicy | None = None,
    works_on: bool = True,
    reachable: bool = True,
    closes: bool = True,
    **options: Any,
) -> AsyncIterator[Probe]:
    """Run a client against `peer`; at the end check what the fault must not have spoiled.

    One call at a time has a place, so that a place or a connection that is not given back stops
    the honest call at the end: C4, C10. Then the connections must go (C3), and nothing may have
    been complained of anywhere (C9, C1).

    Args:
        peer: the server, with its script.
        timeout: as for the client.
        limits: as for the client.
        retry: as for the client.
        works_on: whether the server can be reached by an honest call at the end.
        reachable: whether the server sees all that is sent.
        closes: whether the connections are the client's own, and go with it.
        options: what else the client takes.
    """
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(_describe(context)))
    events: list[Event] = []

    def hear(event: Event) -> None:
        events.append(event)

    gong = GongClient(
        BasicAuth(ACCESS_KEY, ACCESS_KEY_SECRET),
        base_url=options.pop("base_url", peer.url),
        timeout=timeout,
        limits=limits or Limits(per_second=None, per_day=None, max_in_flight=1),
        retry=retry or RetryPolicy(deadline=DEADLINE),
        hooks=[hear],
        **options,
    )
    try:
        case = (Probe if reachable else Unreachable)(peer, gong, events, timeout, loop)
        yield case
        peer.mend()
        if works_on:
            honest = await Probe.run(case, update(meeting_id="77", title="Honest"))
            assert str(honest) == "ok after 1", f"C10: the next call ended with {honest}"
    finally:
        await gong.close()
    if closes:
        async with asyncio.timeout(1):
            await peer.empty()
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == [], "C9: the loop complained"
    assert not [event for event in events if leaks(repr(event))], "C1: a credential in an event"


def _describe(context: Mapping[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


def leaking_records(records: Iterable[logging.LogRecord]) -> list[str]:
    """Return the log records that show a credential, with their tracebacks."""
    show = logging.Formatter("%(message)s").format
    return [record.name for record in records if leaks(show(record) + repr(record.args))]
