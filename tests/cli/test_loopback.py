"""The page that waits for the browser: whatever else comes, it answers, and goes on serving."""

from __future__ import annotations

import asyncio

import pytest

from gong_async import Secret
from gong_async.cli.loopback import Denied, Loopback, listening

STATE = "a-state-that-is-not-guessed"
ASKED = f"/callback?state={STATE}&code=bought"
WRONG: dict[str, bytes] = {
    "a host that cannot be one": b"GET //[/ HTTP/1.1",
    "absolute form": b"GET http://HERE" + ASKED.encode() + b" HTTP/1.1",
    "two slashes": b"GET /" + ASKED.encode() + b" HTTP/1.1",
    "no slash": b"GET callback HTTP/1.1",
    "authority form": b"CONNECT HERE HTTP/1.1",
    "asterisk form": b"OPTIONS * HTTP/1.1",
    "half an escape": b"GET " + ASKED.encode() + b"%2 HTTP/1.1",
    "no escape": b"GET " + ASKED.encode() + b"%zz HTTP/1.1",
    "not UTF-8": b"GET " + ASKED.encode() + b"%ff HTTP/1.1",
    "raw bytes": b"GET " + ASKED.encode() + b"\xff\x1b HTTP/1.1",
    "fragment": b"GET " + ASKED.encode() + b"#end HTTP/1.1",
    "blanks": b"GET  " + ASKED.encode() + b" HTTP/1.1",
    "no version": b"GET " + ASKED.encode(),
    "another version": b"GET " + ASKED.encode() + b" HTTP/2.0",
    "no request": b"",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a long line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1",
    "a long header": b"GET / HTTP/1.1\r\nCookie: " + b"a" * 200_000,
    "many fields": b"GET " + ASKED.encode() + b"&a=1" * 500 + b" HTTP/1.1",
    "HEAD": b"HEAD " + ASKED.encode() + b" HTTP/1.1",
    "POST": b"POST " + ASKED.encode() + b" HTTP/1.1",
    "lower case": b"get " + ASKED.encode() + b" HTTP/1.1",
    "two hosts": b"GET " + ASKED.encode() + b" HTTP/1.1\r\nHost: HERE",
    "a header without a name": b"GET " + ASKED.encode() + b" HTTP/1.1\r\n: HERE",
    "a folded header": b"GET " + ASKED.encode() + b" HTTP/1.1\r\nA: b\r\n c",
    "a blank before the colon": b"GET " + ASKED.encode() + b" HTTP/1.1\r\nA : b",
    "NUL": b"GET " + ASKED.encode() + b" HTTP/1.1\r\nA: \0",
}


async def send(page: Loopback, head: bytes, *, host: str = "HERE") -> str:
    """Send the beginning of a request, with a Host if there is one; return the status line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
    lines = head + (f"\r\nHost: {host}".encode() if host else b"") + b"\r\n\r\n"
    writer.write(lines.replace(b"HERE", f"127.0.0.1:{page.port}".encode()))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.split(b"\r\n")[0].decode()


@pytest.fixture
def complaints() -> list[dict[str, object]]:
    """Collect what the event loop complains of, as of an error in a connection's task."""
    return []


async def ask(page: Loopback) -> str:
    """Do what the browser does."""
    return await send(page, f"GET {ASKED} HTTP/1.1".encode())


@pytest.mark.parametrize("head", WRONG.values(), ids=WRONG)
async def test_what_no_browser_sends_is_refused(
    head: bytes, complaints: list[dict[str, object]]
) -> None:
    """With 400, without a word on stderr, and without an end of the login."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with listening(Secret(STATE), 0) as page:
        refused = await send(page, head)
        taken = await ask(page)
        code = await page.code(within=5)

    assert (refused, taken) == ("HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK")
    assert (code.reveal(), complaints) == ("bought", [])


@pytest.mark.parametrize(
    ("host", "status"),
    [("", "400"), ("evil.example", "421"), ("127.0.0.1:1", "421"), ("[::1", "421"), ("@", "421"),
     ("\x1b[31m", "421"), ("HERE, HERE", "421"), ("user@HERE", "421"), ("HERE/", "421")],
)  # fmt: skip
async def test_another_host_is_not_this_page(host: str, status: str) -> None:
    """Also one that cannot be a host."""
    async with listening(Secret(STATE), 0) as page:
        refused = await send(page, f"GET {ASKED} HTTP/1.1".encode(), host=host)
        taken = await ask(page)

    assert (refused.split()[1], taken.split()[1]) == (status, "200")


async def test_a_closed_connection_disturbs_no_other(complaints: list[dict[str, object]]) -> None:
    """Before, or in the middle of a request."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with listening(Secret(STATE), 0) as page:
        for part in (b"", b"GET /callb", b"GET / HTTP/1.1\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", page.port)
            writer.write(part)
            writer.close()
            await writer.wait_closed()
        taken = await ask(page)

    assert (taken.split()[1], complaints) == ("200", [])


@pytest.mark.parametrize("end", ["%0A", "%0D%0A", "%E2%80%A8", "%1b%5b2J", "%C2%9B31m", "%07"])
async def test_words_from_the_browser_are_one_line(end: str) -> None:
    """They are shown in a terminal: what could steer it is written out, and the rest cut."""
    query = f"error=access_denied&error_description=no{end}error:+all+is+lost{'!' * 5000}"
    async with listening(Secret(STATE), 0) as page:
        answer = await send(page, f"GET /callback?state={STATE}&{query} HTTP/1.1".encode())
        with pytest.raises(Denied) as denied:
            await page.code(within=5)

    words = str(denied.value)
    assert answer == "HTTP/1.1 200 OK"
    assert words.startswith("access_denied no\\u") and words.isprintable() and len(words) <= 500
