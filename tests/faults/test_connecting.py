"""A. Connecting: F1 to F16."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from faults.acts import (
    Raw,
    Truth,
    close_at_once,
    greet_with,
    reset_at_once,
    speak_tls,
    stay_silent,
)
from faults.always import DEADLINE, TIMEOUT, trial
from faults.certificates import HOST, authority, server_context, write_trusted
from faults.operations import UPDATE, Operation, each_operation, update, update_and_create
from faults.peer import Greeting, Peer, scripted
from gong_async import (
    APIConnectionError,
    GongError,
    Limits,
    RetryPolicy,
)

pytestmark = pytest.mark.looptime

HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
PROTOCOL_VERSION = b"\x15\x03\x01\x00\x02\x02\x46"
OLD_HELLO = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02" + 32 * b"\x07" + b"\x00\x00\x2f\x00"
"""A ServerHello of TLS 1.1 with a cipher of 1999."""


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """Make the machine trust our authority; return the context of a server with its certificate."""
    path = tmp_path / "ca.pem"
    write_trusted(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return server_context()


@each_operation
async def test_f1_refused(operation: Operation) -> None:
    """A refused connection sent nothing, so that every method is repeated."""
    peer = Peer(asleep="refusing")
    async with peer, trial(peer, reachable=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "APIConnectionError connect not_sent known after 4"


async def test_f1_refused_names_the_place_and_nothing_else() -> None:
    """The error names host and port, and no query."""
    peer = Peer(asleep="refusing")
    async with peer, trial(peer, reachable=False) as case:
        with pytest.raises(APIConnectionError) as caught:
            await case.gong.request("GET /v2/users", query={"cursor": "private"})

    assert f"127.0.0.1:{peer.port}" in str(caught.value)
    assert "private" not in str(caught.value)


@each_operation
async def test_f1_refused_for_a_moment(operation: Operation) -> None:
    """A server that comes back within the repetitions is reached, by creations too."""
    peer = Peer(asleep="refusing")
    policy = RetryPolicy(deadline=DEADLINE, backoff_floor=2.0)
    async with peer, trial(peer, reachable=False, retry=policy) as case:
        asyncio.get_running_loop().call_later(3, peer.mend)
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) == "ok after 3"
    assert applied == 1


class Directory(AbstractResolver):
    """A resolver that fails for a while."""

    def __init__(
        self, error: OSError | None = None, *, times: int = 0, hosts: Any = (HOST,)
    ) -> None:
        self.error, self.times, self.hosts = error, times, hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Fail, or return all addresses."""
        if self.error is not None and self.times > 0:
            self.times -= 1
            raise self.error
        return [
            ResolveResult(
                hostname=host, host=found, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for found in self.hosts
        ]

    async def close(self) -> None:
        """Hold nothing."""


UNKNOWN_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@each_operation
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UNKNOWN_NAME, "APIConnectionError dns not_sent known after 2"),
        (NO_ANSWER, "APIConnectionError connect not_sent known after 4"),
    ],
    ids=["unknown", "temporary"],
)
async def test_f2_no_address(operation: Operation, error: OSError, expected: str) -> None:
    """A name that does not exist is asked for twice at the most, a failing server more often."""
    resolver = Directory(error, times=99)
    async with (
        scripted() as peer,
        aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False) as connector,
        trial(
            peer,
            reachable=False,
            works_on=False,
            closes=False,
            connector=connector,
            base_url=f"http://localhost:{peer.port}",
        ) as case,
    ):
        verdict = await case.run(operation)
        resolver.times = 0
        healed = await case.run(operation)

    assert str(verdict) == expected
    assert str(healed) == "ok after 1"


async def test_f2_no_address_from_the_machine() -> None:
    """The machine's own resolver: an error without status, unlike Gong's 404."""
    peer = Peer()
    async with (
        peer,
        trial(peer, reachable=False, works_on=False, base_url="https://unknown.invalid") as case,
    ):
        verdict = await case.run(UPDATE)

    assert type(verdict.failure) is APIConnectionError
    assert "unknown.invalid" in str(verdict.failure)
    assert (verdict.failure.status, verdict.attempts) in {(None, 2), (None, 4)}


@each_operation
async def test_f3_handshake_is_dropped(operation: Operation) -> None:
    """A connection that is never made ends at the attempt's time, and sent nothing."""
    peer = Peer(asleep="dropping")
    async with peer, trial(peer, reachable=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "APITimeoutError connect not_sent known after 4"
    assert verdict.seconds >= 4 * TIMEOUT


async def test_f3_connecting_has_its_own_limit() -> None:
    """However long an attempt may take: 10 s are enough to connect, and not aiohttp's 5 minutes."""
    peer = Peer(asleep="dropping")
    policy = RetryPolicy(max_attempts=1)
    async with peer, trial(peer, reachable=False, timeout=600.0, retry=policy) as case:
        verdict = await case.run(UPDATE)

    assert str(verdict) == "APITimeoutError connect not_sent known after 1"
    assert verdict.seconds == pytest.approx(10, abs=0.5)


@each_operation
@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(reset_at_once, id="f4_rst"),
        pytest.param(close_at_once, id="f5_fin"),
    ],
)
async def test_f4_f5_accepted_and_dropped(operation: Operation, greeting: Greeting) -> None:
    """A connection lost at once: repeated, except a creation that may have been on its way."""
    peer = Peer()
    peer.greetings.append(greeting)
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) in {"ok after 2", operation.once_lost("APIConnectionError lost")}
    assert applied == verdict.attempts - 1


@each_operation
@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(greet_with(b"", "reset", after_hello=True), id="f4_rst"),
        pytest.param(greet_with(b"", "close", after_hello=True), id="f5_fin"),
    ],
)
async def test_f4_f5_dropped_when_bytes_have_come(operation: Operation, greeting: Greeting) -> None:
    """A connection lost after the first of our bytes: the request may have arrived."""
    peer = Peer()
    peer.greetings.append(greeting)
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost("APIConnectionError lost")


@each_operation
async def test_f6_accepted_and_ignored(operation: Operation) -> None:
    """A server that takes the connection and never reads: the request may lie in its buffers."""
    async with Peer(welcome=stay_silent) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        peak = peer.peak

    assert str(verdict) == operation.lost("APITimeoutError headers", attempts=4)
    assert peak == 1


@each_operation
@pytest.mark.parametrize(
    "context",
    [
        pytest.param(lambda: server_context(issuer="unknown"), id="f7_untrusted"),
        pytest.param(lambda: server_context(expired=True), id="f8_expired"),
        pytest.param(lambda: server_context("other.example"), id="f9_other_host"),
    ],
)
async def test_f7_f8_f9_certificate_is_wrong(
    operation: Operation, context: Any, trust: ssl.SSLContext
) -> None:
    """A wrong certificate ends the call: no repetition, no request, no way around it."""
    peer = Peer(tls=trust)
    peer.greetings.append(speak_tls(context()))
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)
        opened, seen = peer.opened, len(peer.seen)

    assert str(verdict) == "TLSError connect not_sent known after 1"
    assert (opened, seen) == (1, 0)


async def test_f7_says_how_to_trust_a_private_authority(trust: ssl.SSLContext) -> None:
    """The error names the reason and the setting for a private CA."""
    peer = Peer(tls=trust)
    peer.greetings.append(speak_tls(server_context(issuer="unknown")))
    async with peer, trial(peer) as case:
        verdict = await case.run(UPDATE)

    assert "connector=" in str(verdict.failure)
    assert "issuer" in str(verdict.failure)


async def test_f7_private_authority_through_a_connector() -> None:
    """A connector with a private CA is all that it takes."""
    context = ssl.create_default_context()
    authority("private").configure_trust(context)
    async with (
        Peer(tls=server_context(issuer="private")) as peer,
        aiohttp.TCPConnector(ssl=context) as connector,
    ):
        async with trial(peer, connector=connector, works_on=False, closes=False) as case:
            verdict = await case.run(UPDATE)
        closed_by_us = connector.closed

    assert str(verdict) == "ok after 1"
    assert not closed_by_us


@each_operation
async def test_f10_handshake_hangs(operation: Operation, trust: ssl.SSLContext) -> None:
    """A handshake that hangs is distinguished from a connect that hangs; nothing was sent."""
    async with Peer(tls=trust, welcome=stay_silent) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "APITimeoutError tls not_sent known after 4"


@each_operation
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"220 mail.example ESMTP\r\n"],
    ids=["http", "smtp"],
)
async def test_f11_no_tls_at_all(
    operation: Operation, answer: bytes, trust: ssl.SSLContext
) -> None:
    """A server without TLS behind an https URL is not spoken to without it."""
    peer = Peer(tls=trust)
    peer.greetings.append(greet_with(answer, "hold", after_hello=True))
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)
        seen = len(peer.seen)

    assert str(verdict) == "TLSError connect not_sent known after 1"
    assert seen == 0


@each_operation
@pytest.mark.parametrize(
    "greeting",
    [
        greet_with(HANDSHAKE_FAILURE, after_hello=True),
        greet_with(PROTOCOL_VERSION, after_hello=True),
        greet_with(OLD_HELLO, "hold", after_hello=True),
    ],
    ids=["handshake_failure", "protocol_version", "tls_1_1"],
)
async def test_f12_handshake_is_refused(
    operation: Operation, greeting: Greeting, trust: ssl.SSLContext
) -> None:
    """A refused handshake ends the call, with a reason for people."""
    peer = Peer(tls=trust)
    peer.greetings.append(greeting)
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "TLSError connect not_sent known after 1"
    assert "None" not in str(verdict.failure)


@each_operation
@pytest.mark.parametrize("then", ["reset", "close"])
async def test_f12_handshake_is_cut(operation: Operation, then: Any, trust: ssl.SSLContext) -> None:
    """A connection lost in the handshake sent nothing: repeated whatever the method."""
    peer = Peer(tls=trust)
    peer.greetings.append(greet_with(b"", then, after_hello=True))
    async with peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) == "ok after 2"
    assert applied == 1


@each_operation
@pytest.mark.parametrize(
    "act",
    [
        Truth(keep=12, then="abort"),
        Truth(keep=12, then="abort", length=None),
        Truth(length="999", then="abort"),
    ],
    ids=["length", "until_closed", "length_of_more"],
)
async def test_f13_tls_cut_in_the_answer(
    operation: Operation, act: Truth, trust: ssl.SSLContext
) -> None:
    """TLS that ends without a goodbye in the middle of an answer: the answer is not believed."""
    async with scripted([act], tls=trust) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost("ProtocolError cut")


@each_operation
async def test_f13_tls_cut_before_the_answer(operation: Operation, trust: ssl.SSLContext) -> None:
    """TLS that ends without a goodbye and without an answer."""
    async with scripted([Raw(then="abort")], tls=trust) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost("APIConnectionError lost")


async def test_f14_storm_after_an_outage() -> None:
    """Forty calls in an outage: never more connections than allowed, nor requests a second."""
    peer = Peer(welcome=reset_at_once)
    limits = Limits(per_second=3, max_in_flight=4)
    async with peer, trial(peer, limits=limits) as case:
        calls = [
            asyncio.ensure_future(update(meeting_id=str(number)).call(case.gong))
            for number in range(40)
        ]
        asyncio.get_running_loop().call_later(5, peer.mend)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        arrivals, peak = list(peer.arrivals), peer.peak

    assert peak <= 4
    assert all(later - first >= 1 for first, later in zip(arrivals, arrivals[3:], strict=False))
    assert all(isinstance(end, GongError) for end in ends if isinstance(end, BaseException))
    assert sum(not isinstance(end, BaseException) for end in ends) >= 30


@update_and_create
@pytest.mark.parametrize("asleep", ["dropping", "refusing"])
async def test_f15_first_of_two_addresses_is_dead(operation: Operation, asleep: Any) -> None:
    """The second address is used after a quarter of a second at the most: one attempt, one turn."""
    async with scripted() as peer, Peer(asleep=asleep, host="127.0.0.2", port=peer.port):
        resolver = Directory(hosts=("127.0.0.2", HOST))
        async with (
            aiohttp.TCPConnector(resolver=resolver) as connector,
            trial(
                peer,
                connector=connector,
                works_on=False,
                base_url=f"http://localhost:{peer.port}",
                closes=False,
            ) as case,
        ):
            verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"
    assert verdict.seconds <= 0.3


@each_operation
async def test_f16_environment_is_ignored(
    operation: Operation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxies and passwords in the environment change nothing: we go straight, as ourselves."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login thief password stolen\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted() as proxy, scripted() as peer:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        async with trial(peer) as case:
            verdict = await case.run(operation)
            ours = await case.authorization()
            used = {seen.is_from(ours) for seen in peer.seen}

    assert str(verdict) == "ok after 1"
    assert (proxy.opened, used) == (0, {True})


async def test_f16_proxy_of_a_session_is_used() -> None:
    """A session of the user's own brings its proxy along."""
    async with (
        scripted() as proxy,
        aiohttp.ClientSession(proxy=proxy.url) as session,
        trial(
            proxy, session=session, base_url="http://127.0.0.1:9", works_on=False, closes=False
        ) as case,
    ):
        verdict = await case.run(UPDATE)
        target = proxy.seen[0].target

    assert str(verdict) == "ok after 1"
    assert target.startswith("http://127.0.0.1:9/v2/meetings/")


async def test_f16_trust_env_is_the_choice_of_the_sessions_owner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who asks for the environment gets its proxy, and still our credential, not netrc's."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine elsewhere.example login thief password stolen\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            trial(
                proxy, session=session, base_url="http://127.0.0.1:9", works_on=False, closes=False
            ) as case,
        ):
            verdict = await case.run(UPDATE)
            ours = proxy.seen[0].is_from(await case.authorization())

    assert str(verdict) == "ok after 1"
    assert ours
