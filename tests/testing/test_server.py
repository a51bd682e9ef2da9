"""The fake across a real socket, with plain aiohttp as the client, when all is well."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import trustme
from attrs import frozen
from yarl import URL

from gong_async.testing import FakeGong, Fault

MEETING: Mapping[str, Any] = {
    "startTime": "2026-03-01T10:00:00+02:00",
    "endTime": "2026-03-01T10:30:00Z",
    "invitees": [{"email": "invitee@example.com", "displayName": None}],
    "organizerEmail": "organizer@example.com",
    "title": "Übergabe",
}


@frozen
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as read from JSON."""
        return json.loads(self.body)


@frozen
class Caller:
    """A client that hides nothing."""

    fake: FakeGong
    session: aiohttp.ClientSession

    async def send(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] = {}
    ) -> Reply:
        """Send one request; a body of bytes goes out as it is."""
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {"Authorization": self.fake.authorization, "Content-Type": "application/json"}
        async with self.session.request(
            method, self.fake.url + path, data=data, headers={**sent, **headers}
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def update(self, meeting_id: str = "42", **changes: object) -> Reply:
        """Send an update of a meeting."""
        return await self.send("PUT", f"/v2/meetings/{meeting_id}", {**MEETING, **changes})


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """A fake without limits."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        yield fake


@pytest_asyncio.fixture
async def caller(fake: FakeGong) -> AsyncIterator[Caller]:
    """A caller of the fake."""
    async with aiohttp.ClientSession() as session:
        yield Caller(fake, session)


async def test_update_answers_with_the_id_as_a_string(caller: Caller) -> None:
    """PUT: 200 with the request's id and the meeting's, and nothing else."""
    reply = await caller.update("7782342274025937895")

    assert reply.status == 200
    assert reply.json == {
        "requestId": reply.headers["x-traceid"],
        "meetingId": "7782342274025937895",
    }


async def test_create_answers_with_a_link(caller: Caller) -> None:
    """POST: 200, not 201, with a new id that does not fit into a float."""
    reply = await caller.send("POST", "/v2/meetings", MEETING)

    assert reply.status == 200
    assert set(reply.json) == {"requestId", "meetingId", "meetingUrl", "additionalInvitees"}
    assert int(reply.json["meetingId"]) > 2**53


async def test_created_meetings_have_their_own_ids(caller: Caller) -> None:
    """Two creates make two meetings, which belong to who organized them."""
    first = await caller.send("POST", "/v2/meetings", MEETING)
    second = await caller.send("POST", "/v2/meetings", MEETING)
    stranger = await caller.update(first.json["meetingId"], organizerEmail="other@example.com")

    assert first.json["meetingId"] != second.json["meetingId"]
    assert stranger.status == 404


async def test_delete_needs_a_body_and_echoes_it(caller: Caller) -> None:
    """DELETE: the organizer is named in the body and comes back, without a request id."""
    organizer = {"organizerEmail": "organizer@example.com"}
    without = await caller.send("DELETE", "/v2/meetings/42", b"")
    reply = await caller.send("DELETE", "/v2/meetings/42", organizer)

    assert without.status == 400
    assert (reply.status, reply.json) == (200, organizer)


async def test_a_deleted_meeting_is_gone(caller: Caller) -> None:
    """After a delete, an update and a second delete are answered 404."""
    organizer = {"organizerEmail": "organizer@example.com"}
    await caller.send("DELETE", "/v2/meetings/42", organizer)
    update = await caller.update("42")
    again = await caller.send("DELETE", "/v2/meetings/42", organizer)

    assert (update.status, again.status) == (404, 404)
    assert update.json["errors"] == ["The given meeting ID was not found."]


async def test_integration_status_reports_every_email(caller: Caller) -> None:
    """POST: one entry for each email asked about, in order, with all keys."""
    caller.fake.add_user(
        "off@example.com", valid=False, user_facing_error="Consent is off.", fix_url="https://fix"
    )
    asked = {"emails": ["on@example.com", "off@example.com"]}
    reply = await caller.send("POST", "/v2/meetings/integration/status", asked)

    assert reply.json["users"] == [
        {
            "email": "on@example.com",
            "exists": True,
            "valid": True,
            "userFacingError": "",
            "fixUrl": "",
            "helpUrl": "",
        },
        {
            "email": "off@example.com",
            "exists": True,
            "valid": False,
            "userFacingError": "Consent is off.",
            "fixUrl": "https://fix",
            "helpUrl": "",
        },
    ]


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 400)])
async def test_integration_status_takes_a_hundred_emails(
    caller: Caller, count: int, status: int
) -> None:
    """One more than 100 emails is a bad request."""
    asked = {"emails": [f"{n}@example.com" for n in range(count)]}
    reply = await caller.send("POST", "/v2/meetings/integration/status", asked)

    assert reply.status == status


async def test_users_come_in_pages(caller: Caller) -> None:
    """GET /v2/users gives 100 at a time and a cursor as long as there are more."""
    for n in range(150):
        caller.fake.add_user(f"{n}@example.com")
    first = await caller.send("GET", "/v2/users")
    second = await caller.send("GET", f"/v2/users?cursor={first.json['records']['cursor']}")

    assert (len(first.json["users"]), len(second.json["users"])) == (100, 50)
    assert "cursor" not in second.json["records"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"startTime": None}, "startTime"),
        ({"startTime": "2026-03-01T10:00:00"}, "offset"),
        ({"startTime": "2026-03-01 10:00:00Z"}, "offset"),
        ({"startTime": "2026-02-30T10:00:00Z"}, "offset"),
        ({"endTime": 1_772_000_000}, "endTime"),
        ({"endTime": "2026-03-01T07:59:59Z"}, "before"),
        ({"invitees": "invitee@example.com"}, "invitees"),
        ({"invitees": ["invitee@example.com"]}, "invitee"),
        ({"invitees": [{"email": 5}]}, "email"),
        ({"organizerEmail": None}, "organizerEmail"),
        ({"title": 5}, "title"),
    ],
)
async def test_a_bad_meeting_is_refused(caller: Caller, changes: dict[str, Any], word: str) -> None:
    """400 with a text that names the trouble; nothing is applied."""
    reply = await caller.update(**changes)

    assert reply.status == 400
    assert word in reply.json["errors"][0]
    assert caller.fake.applied == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"a": NaN}', b"\xff", b"[" * 100_000])
async def test_what_is_not_a_json_object_is_refused(caller: Caller, body: bytes) -> None:
    """400 for a body that is cut, of another kind or not JSON at all."""
    reply = await caller.send("PUT", "/v2/meetings/42", body)

    assert reply.status == 400


async def test_another_media_type_is_refused(caller: Caller) -> None:
    """415 for a form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await caller.send("PUT", "/v2/meetings/42", b"a=b", headers=headers)

    assert reply.status == 415


@pytest.mark.parametrize("meeting_id", ["abc", "1%2F2", "123456789012345678901", "%D9%A1"])
async def test_a_malformed_id_is_refused(caller: Caller, meeting_id: str) -> None:
    """400 for an id that is no number of up to 20 digits."""
    url = f"{caller.fake.url}/v2/meetings/{meeting_id}"
    headers = {"Authorization": caller.fake.authorization}
    async with caller.session.put(
        URL(url, encoded=True), json=dict(MEETING), headers=headers
    ) as response:
        status = response.status

    assert status == 400


async def test_missing_meetings_are_not_found(caller: Caller) -> None:
    """An id in `missing_meetings` is answered 404, any other one exists."""
    caller.fake.missing_meetings.add("41")

    assert [(await caller.update(n)).status for n in ("41", "42")] == [404, 200]


async def test_only_known_meetings_exist_when_they_are_listed() -> None:
    """With `known_meetings`, any other id is answered 404 until it is added."""
    async with FakeGong(known_meetings=["1"]) as fake, aiohttp.ClientSession() as session:
        caller = Caller(fake, session)
        before = [(await caller.update(n)).status for n in ("1", "2")]
        fake.add_meeting("2", organizer_email="organizer@example.com")
        after = (await caller.update("2")).status

    assert (before, after) == ([200, 404], 200)


async def test_an_organizer_who_cannot_gets_409(caller: Caller) -> None:
    """409 carries the three keys that explain to an admin what to do."""
    caller.fake.add_user(
        "organizer@example.com", valid=False, user_facing_error="Reconnect.", fix_url="https://fix"
    )
    reply = await caller.update()

    assert reply.status == 409
    assert reply.json == {
        "requestId": reply.headers["x-traceid"],
        "errors": ["Provider disconnected"],
        "userFacingError": "Reconnect.",
        "fixUrl": "https://fix",
        "helpUrl": "",
    }


async def test_an_unknown_organizer_gets_404(caller: Caller) -> None:
    """A create for an unknown user is answered with 404."""
    caller.fake.add_user("organizer@example.com", exists=False)
    reply = await caller.send("POST", "/v2/meetings", MEETING)

    assert reply.status == 404


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic d3Jvbmc6d3Jvbmc=", "Bearer wrong", "Digest x"]
)
async def test_a_wrong_credential_gets_401(caller: Caller, authorization: str) -> None:
    """401, before any limit counts the call."""
    caller.fake.quota.per_day = 0
    reply = await caller.send(
        "PUT", "/v2/meetings/42", MEETING, headers={"Authorization": authorization}
    )

    assert reply.status == 401


async def test_a_bearer_token_opens_too(caller: Caller) -> None:
    """The token may be changed while the server runs, as a refresh would."""
    caller.fake.bearer_token = "new"
    headers = {"Authorization": "Bearer new"}
    reply = await caller.send("PUT", "/v2/meetings/42", MEETING, headers=headers)

    assert reply.status == 200


async def test_a_missing_scope_gets_401_with_its_name(caller: Caller) -> None:
    """Gong answers a missing scope with 401, not 403."""
    caller.fake.granted_scopes = {"api:meetings:user:create"}
    create = await caller.send("POST", "/v2/meetings", MEETING)
    update = await caller.update()

    assert (create.status, update.status) == (200, 401)
    assert update.json["errors"] == [
        "You don't have permission to use 'api:meetings:user:update' in your app."
    ]


async def test_limited_release_gets_403(caller: Caller) -> None:
    """A company outside of the limited release is answered 403 on the meetings."""
    caller.fake.limited_release = True
    update = await caller.update()
    users = await caller.send("GET", "/v2/users")

    assert (update.status, users.status) == (403, 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/meetings/42", 405),
        ("PUT", "/v2/meetings", 405),
        ("GET", "/v2/nothing", 404),
        ("PUT", "/v2/meetings/42/more", 404),
    ],
)
async def test_other_routes_are_refused(
    caller: Caller, method: str, path: str, status: int
) -> None:
    """404 for a path that is not served, 405 for the wrong method, in Gong's envelope."""
    reply = await caller.send(method, path, MEETING)

    assert reply.status == status
    assert set(reply.json) == {"requestId", "errors"}


async def test_every_answer_is_json_with_a_trace(caller: Caller) -> None:
    """Good or bad, an answer has Gong's content type, and its request id in a header."""
    good = await caller.update()
    bad = await caller.send("GET", "/v2/nothing")

    assert {good.headers["Content-Type"], bad.headers["Content-Type"]} == {
        "application/json;charset=UTF-8"
    }
    assert bad.headers["x-traceid"] == bad.json["requestId"] != good.json["requestId"]


@pytest.mark.looptime
async def test_the_fourth_call_in_a_second_is_refused() -> None:
    """429 with the whole seconds to wait, after which the call is let in."""
    async with FakeGong() as fake, aiohttp.ClientSession() as session:
        caller = Caller(fake, session)
        replies = [await caller.update(str(n)) for n in range(4)]
        await asyncio.sleep(float(replies[3].headers["Retry-After"]))
        after = await caller.update("4")

    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[3].headers["Retry-After"] == "1"
    assert (after.status, fake.quota_refusals) == (200, 1)


@pytest.mark.looptime
async def test_the_day_can_be_used_up() -> None:
    """With the day's calls gone, Retry-After is in hours, and obeying it helps."""
    async with FakeGong(per_day=2) as fake, aiohttp.ClientSession() as session:
        caller = Caller(fake, session)
        replies = [await caller.update() for _ in range(3)]
        wait = replies[2].headers["Retry-After"]
        await asyncio.sleep(float(wait))
        after = await caller.update()

    assert (replies[2].status, wait, after.status) == (429, "86400", 200)


async def test_a_refused_request_is_recorded(caller: Caller) -> None:
    """What the limits refuse is in `received`, body and all, and not in `applied`."""
    caller.fake.quota.per_day = 0
    await caller.update()
    (request,) = caller.fake.received

    assert (request.status, request.json, caller.fake.applied) == (429, dict(MEETING), [])


async def test_a_request_is_recorded_as_it_came(caller: Caller) -> None:
    """The record holds the request as sent, and never a secret."""
    await caller.send("PUT", "/v2/meetings/42?a=1&b=%2B", MEETING, headers={"X-Thing": "one"})
    (request,) = caller.fake.received

    assert (request.index, request.method, request.path) == (0, "PUT", "/v2/meetings/42")
    assert (request.operation, request.meeting_id) == ("updateMeeting", "42")
    assert request.query == {"a": "1", "b": "+"}
    assert request.headers["x-thing"] == "one"
    assert request.headers["authorization"] == "Basic"
    assert request.body == json.dumps(MEETING).encode()
    assert (request.json, request.status, request.fault) == (dict(MEETING), 200, None)
    assert caller.fake.authorization.partition(" ")[2] not in repr(request)


async def test_a_change_is_recorded_with_its_bytes(caller: Caller) -> None:
    """The oracle for tests of repeated sends: which bytes took effect, when, and by whom."""
    await caller.update("abc")
    await caller.update("42")
    (change,) = caller.fake.applied
    raw = json.dumps(MEETING).encode()

    assert (change.operation, change.meeting_id) == ("updateMeeting", "42")
    assert (change.body, change.raw) == (dict(MEETING), raw)
    assert change.sha256 == hashlib.sha256(raw).hexdigest()
    assert change.request == 1


@pytest.mark.looptime
async def test_a_request_arrives_with_its_headers() -> None:
    """The time of arrival is that of the headers, and so is the turn with the limits."""
    async with FakeGong() as fake:
        reader, writer = await asyncio.open_connection(*fake.url.removeprefix("http://").split(":"))
        await asyncio.sleep(1)
        head = f"Authorization: {fake.authorization}\r\nContent-Length: 4\r\nConnection: close"
        writer.write(f"PUT /v2/meetings/1 HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        await asyncio.sleep(5)
        writer.write(b"null")
        await reader.read()
        writer.close()

    assert fake.received[0].at == pytest.approx(1.0, abs=0.1)
    assert fake.received[0].body == b"null"


async def test_connections_are_counted(caller: Caller) -> None:
    """Requests on one connection share its number; the most open at a time is kept."""
    await caller.update()
    await caller.update()
    caller.fake.latency = 0.05
    await asyncio.gather(*(caller.update(str(n)) for n in range(3)))
    fake = caller.fake

    assert [request.connection for request in fake.received[:2]] == [1, 1]
    assert (fake.connections_open, fake.connections_peak, fake.connections_total) == (3, 3, 3)


async def test_connections_are_counted_out(caller: Caller) -> None:
    """A connection that the client closes is no longer open."""
    await caller.update()
    await caller.session.close()
    while caller.fake.connections_open:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)

    assert (caller.fake.connections_open, caller.fake.connections_total) == (0, 1)


@pytest.mark.parametrize(("record", "kept"), [("all", 5), ("last:2", 2), ("counts", 0)])
async def test_the_record_can_be_kept_short(record: str, kept: int) -> None:
    """Whatever is remembered, the counts are of everything."""
    async with (
        FakeGong(per_second=None, record=record) as fake,
        aiohttp.ClientSession() as session,
    ):
        for n in range(5):
            await Caller(fake, session).update(str(n))

    assert [request.index for request in fake.received] == list(range(5))[5 - kept :]
    assert len(fake.applied) == kept
    assert fake.counts == {200: 5}
    assert fake.counts_by_operation == {("updateMeeting", 200): 5}
    assert (fake.received_count, fake.applied_count) == (5, 5)


@pytest.mark.parametrize("record", ["", "last", "last:0", "last:x", "none"])
def test_a_wrong_record_option_is_refused(record: str) -> None:
    """A spelling mistake is answered with the right spellings."""
    with pytest.raises(ValueError, match="last:N"):
        FakeGong(record=record)


async def test_a_prefix_stands_before_every_path() -> None:
    """As behind a gateway: the URL carries the prefix, and without it nothing is found."""
    async with FakeGong(prefix="/gateway/") as fake, aiohttp.ClientSession() as session:
        within = await Caller(fake, session).update("42")
        headers = {"Authorization": fake.authorization}
        outside = fake.url.removesuffix("/gateway") + "/v2/users"
        async with session.get(outside, headers=headers) as response:
            status = response.status

    assert fake.url.endswith("/gateway")
    assert (within.status, fake.received[0].path) == (200, "/gateway/v2/meetings/42")
    assert status == 404


async def test_a_certificate_makes_it_https() -> None:
    """With a TLS context the URL is https, and only those who trust the certificate get in."""
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client_side)
    connector = aiohttp.TCPConnector(ssl=client_side)
    async with (
        FakeGong(ssl_context=server_side) as fake,
        aiohttp.ClientSession(connector=connector) as trusting,
        aiohttp.ClientSession() as stranger,
    ):
        reply = await Caller(fake, trusting).update()
        with pytest.raises(aiohttp.ClientSSLError):
            await Caller(fake, stranger).update()

    assert (fake.url.partition(":")[0], reply.status) == ("https", 200)


@pytest.mark.looptime
async def test_latency_is_the_time_of_a_call() -> None:
    """A number, or a function that says so for each call."""
    loop = asyncio.get_running_loop()
    async with FakeGong(latency=2.0) as fake, aiohttp.ClientSession() as session:
        start = loop.time()
        await Caller(fake, session).update()
        fake.latency = lambda: 3.0
        await Caller(fake, session).update()
        took = loop.time() - start

    assert took == pytest.approx(5.0, abs=0.2)


async def test_a_body_of_megabytes_is_taken(caller: Caller) -> None:
    """A meeting with very many invitees is no trouble for the fake."""
    invitees = [{"email": f"{'x' * 100}{n}@example.com"} for n in range(20_000)]
    reply = await caller.update(invitees=invitees)

    assert reply.status == 200


async def test_a_body_without_end_is_refused(caller: Caller) -> None:
    """Beyond 16 MiB the answer is 413, and it is recorded."""
    reply = await caller.send("PUT", "/v2/meetings/42", b" " * (16 * 1024 * 1024 + 1))

    assert reply.status == 413
    assert caller.fake.counts == {413: 1}


async def test_a_client_that_waits_to_be_asked_is_asked(caller: Caller) -> None:
    """`Expect: 100-continue` is answered before the body is read."""
    headers = {"Authorization": caller.fake.authorization}
    url = f"{caller.fake.url}/v2/meetings/42"
    async with caller.session.put(
        url, json=dict(MEETING), headers=headers, expect100=True
    ) as response:
        status = response.status

    assert status == 200


async def test_closing_does_not_wait_for_the_stalled() -> None:
    """With handlers stalled and connections idle, the server is gone, without a trace."""
    fake = FakeGong(per_second=None)
    await fake.start()
    async with aiohttp.ClientSession() as session:
        caller = Caller(fake, session)
        await asyncio.gather(*(caller.update(str(n)) for n in range(5)))
        fake.script(Fault.stall(), times=None)
        fake.script(Fault.stall(600))
        stalled = [asyncio.create_task(caller.update(str(n))) for n in range(3)]
        while fake.received_count < 8:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
        await fake.close()
        ends = await asyncio.gather(*stalled, return_exceptions=True)

    assert all(isinstance(end, aiohttp.ClientError) for end in ends)
    assert fake.connections_open == 0


def test_nothing_is_left_behind() -> None:
    """Python's development mode finds nothing unclosed, whatever was going on at the end."""
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", LEFT_ALONE],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


LEFT_ALONE = """
import asyncio, gc
from gong_async.testing import FakeGong, Fault

async def send(fake):
    reader, writer = await asyncio.open_connection(*fake.url.removeprefix("http://").split(":"))
    head = f"Host: x\\r\\nAuthorization: {fake.authorization}\\r\\nContent-Length: 2"
    writer.write(f"PUT /v2/meetings/1 HTTP/1.1\\r\\n{head}\\r\\n\\r\\n{{}}".encode())
    return writer

async def main():
    async with FakeGong(per_second=None) as fake:
        faults = (Fault.stall(), Fault.stall(60), Fault.applied_late(60), Fault.slow_drip())
        for fault in (*faults, Fault.reset_after(), Fault.drop_after(), Fault.html()):
            fake.script(fault)
        writers = [await send(fake) for _ in range(9)]
        await asyncio.sleep(0.2)
    for writer in writers:
        writer.close()
    await asyncio.sleep(0)

asyncio.run(main())
with FakeGong.serve_in_thread():
    pass
gc.collect()
print("done")
"""


async def test_closing_twice_is_harmless() -> None:
    """A fake can be closed early inside of its context."""
    async with FakeGong() as fake:
        await fake.close()

    assert fake.connections_open == 0


async def test_two_fakes_know_nothing_of_each_other() -> None:
    """There is no state outside of the object."""
    async with FakeGong() as one, FakeGong() as other, aiohttp.ClientSession() as session:
        await Caller(one, session).update()

    assert (one.received_count, other.received_count) == (1, 0)


def test_no_url_before_the_start() -> None:
    """A fake that is not running has no port yet."""
    with pytest.raises(RuntimeError, match="started"):
        _ = FakeGong().url


def test_a_thread_serves_callers_without_a_loop() -> None:
    """In a thread of its own, the fake answers blocking code, which may read its record."""
    with FakeGong.serve_in_thread(per_second=None) as fake:
        request = urllib.request.Request(
            f"{fake.url}/v2/meetings/42",
            data=json.dumps(MEETING).encode(),
            headers={"Authorization": fake.authorization, "Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request) as response:
            status = response.status
        applied = [change.meeting_id for change in fake.applied]

    assert (status, applied) == (200, ["42"])


def test_a_thread_hands_over_why_it_could_not_start() -> None:
    """A port that is taken is the caller's error, not the thread's."""
    with FakeGong.serve_in_thread() as fake:
        port = int(fake.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address"), FakeGong.serve_in_thread(port=port):
            pass

    assert port
