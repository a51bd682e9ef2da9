"""G. Redirects, cookies, headers: F93 to F99."""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import pytest

from faults.acts import Raw, Truth, http
from faults.always import ACCESS_KEY, ACCESS_KEY_SECRET, Probe, leaks, trial
from faults.line import Then
from faults.operations import CREATE, UPDATE, Operation, each_operation, update
from faults.peer import Act, Peer, scripted
from gong_async import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    GongClient,
    RetryPolicy,
    ValidationError,
)

pytestmark = pytest.mark.looptime

STATUSES = (301, 302, 307, 308)


def _redirect(status: int, *locations: str) -> Raw:
    headers = [f"Location: {location}" for location in locations]
    return Raw(http(b"", status=f"{status} X", headers=headers), then="keep", applies=False)


@each_operation
@pytest.mark.parametrize("status", STATUSES)
async def test_f93_to_another_origin(operation: Operation, status: int) -> None:
    """A redirect is an error that names where it points, and nothing is fetched there."""
    async with scripted() as elsewhere, scripted() as peer:
        peer.acts.append(_redirect(status, f"{elsewhere.url}/login?token=private"))
        async with trial(peer) as case:
            verdict = await case.run(operation)
        shown = str(vars(verdict.failure)) + str(verdict.failure)

    assert str(verdict) == f"RedirectError {status} answered known after 1"
    assert elsewhere.opened == 0
    assert getattr(verdict.failure, "location", None) == "http://127.0.0.1"
    assert "private" not in shown and "/login" not in shown


@each_operation
@pytest.mark.parametrize("status", STATUSES)
async def test_f94_loop(operation: Operation, status: int) -> None:
    """A redirect to itself is one request."""
    async with Peer() as peer:
        peer.always = _redirect(status, f"{peer.url}/v2/meetings/1")
        async with trial(peer) as case:
            verdict = await case.run(operation)
            requests = len(peer.seen)

    assert str(verdict) == f"RedirectError {status} answered known after 1"
    assert requests == 1


@each_operation
async def test_f95_see_other(operation: Operation) -> None:
    """A 303, said after the work was done, is no success: a change is in doubt."""
    async with Peer() as peer:
        peer.acts.append(_redirect(303, f"{peer.url}/v2/meetings/1"))
        async with trial(peer) as case:
            verdict = await case.run(operation)
            methods = [seen.method for seen in peer.seen]

    outcome = "unknown" if operation.writes else "known"
    assert str(verdict) == f"RedirectError 303 answered {outcome} after 1"
    assert "GET" not in methods


@each_operation
@pytest.mark.parametrize(
    "locations",
    [
        (),
        ("",),
        ("file:///etc/passwd",),
        ("//evil.example/x",),
        ("/v2/elsewhere",),
        ("javascript:alert(1)",),
        ("http://[broken",),
        ("https://user:pass@evil.example/",),
        ("\x01\x02",),
        ("https://a.example/", "https://b.example/"),
        ("https://" + "x" * 5_000 + ".example/",),
    ],
    ids=["none", "empty", "file", "no_scheme", "relative", "javascript", "broken", "userinfo",
         "controls", "two", "long"],
)  # fmt: skip
async def test_f96_odd_target(operation: Operation, locations: tuple[str, ...]) -> None:
    """Wherever a redirect points, or nowhere: an error that can be shown, and one request.

    In Python's development mode aiohttp's parser is strict: control characters are no HTTP then,
    which is asked for once more.
    """
    async with Peer() as peer:
        peer.acts.extend([_redirect(302, *locations)] * 2)
        async with trial(peer) as case:
            verdict = await case.run(operation)
            shown = str(verdict.failure) + str(getattr(verdict.failure, "location", ""))
            peer.acts.clear()

    refused = sys.flags.dev_mode and locations == ("\x01\x02",)
    again = 2 if operation.repeatable else 1
    expected = ("ProtocolError", again) if refused else ("RedirectError", 1)
    assert (str(verdict).split()[0], verdict.attempts) == expected
    assert shown.isprintable()
    assert "pass@" not in shown and len(shown) < 1_500


COOKIES = (
    "Set-Cookie: session=sticky; Path=/",
    "Set-Cookie: forever=1; Max-Age=99999999999999999999999999",
    "Set-Cookie: past=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Set-Cookie: broken",
    "Set-Cookie: =; ;;;",
)


def _by_name(peer: Peer) -> str:
    """Return a URL with a name in it: aiohttp's own jar would take no cookies from an address."""
    return f"http://localhost:{peer.port}"


@each_operation
async def test_f97_cookies_are_not_kept(operation: Operation) -> None:
    """No cookie is ever sent back, whatever was set."""
    acts = [Truth(headers=COOKIES)] * 3
    async with scripted(acts) as peer, trial(peer, base_url=_by_name(peer)) as case:
        verdicts = [str(await case.run(operation)) for _ in range(3)]
        cookies = [seen.header("cookie") for seen in peer.seen]

    assert verdicts == ["ok after 1"] * 3
    assert set(cookies) == {None}


async def test_f97_flood_of_cookies() -> None:
    """A flood of cookies is a head like any other: taken, or refused as too large."""
    flood = tuple(f"Set-Cookie: c{number}=1" for number in range(120))
    acts = [Truth(headers=flood)]
    async with scripted(acts) as peer, trial(peer, base_url=_by_name(peer)) as case:
        verdict = await case.run(UPDATE)
        await case.run(UPDATE)
        cookies = {seen.header("cookie") for seen in peer.seen}

    assert str(verdict) in {"ok after 1", UPDATE.once_lost("ProtocolError not_http")}
    assert cookies == {None}


async def test_f97_clients_share_no_cookies() -> None:
    """Two clients of one server know nothing of each other."""
    acts = [Truth(headers=COOKIES)]
    async with scripted(acts) as peer, trial(peer, base_url=_by_name(peer)) as case:
        await case.run(UPDATE)
        async with GongClient(BasicAuth("other", "company"), base_url=_by_name(peer)) as other:
            await UPDATE.call(other)
        cookies = {seen.header("cookie") for seen in peer.seen}

    assert cookies == {None}


BAD_CHARACTERS = ["\r\n", "\n", "\x00", "\x7f", "\x1f", "\u2028", "é", "\ud800"]


@pytest.mark.parametrize("bad", BAD_CHARACTERS)
@pytest.mark.parametrize(
    "make",
    [
        lambda text: BasicAuth(text, ACCESS_KEY_SECRET),
        lambda text: BasicAuth(ACCESS_KEY, text),
        BearerAuth,
    ],
    ids=["key", "secret", "token"],
)
def test_f98_bad_character_in_a_credential(make: Any, bad: str) -> None:
    """A credential that would write another header is refused, and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        make(f"{ACCESS_KEY_SECRET}{bad}X-Admin: 1")

    assert not leaks(str(caught.value) + repr(caught.value) + repr(vars(caught.value)))
    assert "X-Admin" not in str(caught.value)


@pytest.mark.parametrize("bad", BAD_CHARACTERS)
def test_f98_bad_character_in_the_user_agent(bad: str) -> None:
    """A user agent that would write another header is refused."""
    with pytest.raises(ConfigurationError):
        GongClient(BasicAuth("a", "b"), user_agent=f"mine{bad}X-Admin: 1")


@pytest.mark.parametrize("bad", [*BAD_CHARACTERS, "/../1", "?x=1", "#x", "%0d%0a", " ", "٣"])
async def test_f98_bad_character_in_an_id(bad: str) -> None:
    """An id that would lead elsewhere is refused before anything is opened."""
    async with scripted() as peer, trial(peer, works_on=False) as case:
        with pytest.raises(ValidationError) as caught:
            await case.gong.meetings.delete(f"12{bad}", organizer_email="dana@example.com")
        opened = peer.opened

    assert opened == 0
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("bad", ["\r\n", "\x00", "\x7f", "\ud800", "a/../b", "..", "/", "%2e%2e"])
async def test_f98_bad_character_in_another_path(bad: str) -> None:
    """Path variables of operations that are not modelled cannot leave their place either."""
    async with scripted() as peer, trial(peer, works_on=False) as case:
        try:
            await case.gong.request("PUT /v2/things/{id}", path={"id": bad}, body={})
        except ValidationError:
            targets: list[str] = []
        else:
            targets = [seen.target for seen in peer.seen]

    segments = [target.split("/") for target in targets]
    assert all(len(parts) == 4 and ".." not in parts for parts in segments)


async def test_f98_odd_text_travels_as_json() -> None:
    """Line breaks in a title are data: they reach Gong as they are, and no header."""
    async with scripted() as peer, trial(peer) as case:
        verdict = await case.run(update(title="a\r\nX-Admin: 1\x00"))
        names = {name for name, _ in peer.seen[0].headers}
        (_, _, body), *_ = peer.applied

    assert str(verdict) == "ok after 1"
    assert "x-admin" not in names
    assert b'"a\\r\\nX-Admin: 1\\u0000"' in body


async def test_f98_headers_are_as_few_as_they_may_be() -> None:
    """What goes out with a request, and nothing else."""
    async with scripted() as peer, trial(peer) as case:
        await case.run(UPDATE)
        headers = dict(peer.seen[0].headers)
        ours = peer.seen[0].is_from(await case.authorization())

    assert ours
    assert headers.keys() == {
        "host", "accept", "accept-encoding", "user-agent", "authorization", "content-length",
        "content-type",
    }  # fmt: skip
    assert headers["accept-encoding"] == "gzip, deflate"


async def _applied(case: Probe, policy: RetryPolicy) -> tuple[int, str]:
    gong = case.gong.with_options(retry=policy)
    verdict = await Probe(case.peer, gong, case.events, case.timeout, case.loop).run(CREATE)
    return len(case.peer.applied), str(verdict)


@pytest.mark.parametrize("then", ["reset", "close", "hold"])
async def test_f99_creation_that_lost_its_answer(then: Then) -> None:
    """A creation whose answer was lost is applied once, and in doubt."""
    async with Peer(always=Raw(then=then)) as peer, trial(peer) as case:
        applied, verdict = await _applied(case, RetryPolicy())

    assert applied == 1
    assert verdict.endswith("maybe unknown after 1")


@pytest.mark.parametrize("then", ["reset", "close", "hold"])
async def test_f99_creation_that_may_be_repeated(then: Then) -> None:
    """Who accepts that a meeting may be there twice gets the repetition."""
    async with scripted([Raw(then=then)]) as peer, trial(peer) as case:
        applied, verdict = await _applied(case, RetryPolicy(resend_creates=True))

    assert applied == 2
    assert verdict == "ok after 2"


async def test_f99_error_says_what_to_look_for() -> None:
    """The error of a creation in doubt says so in words."""
    async with scripted([Raw(then="reset")]) as peer, trial(peer) as case:
        verdict = await case.run(CREATE)

    assert "may have applied" in str(verdict.failure)


@pytest.mark.parametrize("act", [Raw(then="reset"), Raw(then="close")])
async def test_f99_also_on_a_session_of_the_users_own(act: Act) -> None:
    """On the user's own session, too, one attempt is one request, for creations and updates."""
    async with Peer(always=act) as peer, aiohttp.ClientSession() as session:
        async with trial(peer, session=session, works_on=False, closes=False) as case:
            create, change = await case.run(CREATE), await case.run(UPDATE)
        requests = len(peer.seen)

    assert (str(create).split()[-1], str(change).split()[-1]) == ("1", "4")
    assert requests == 5
