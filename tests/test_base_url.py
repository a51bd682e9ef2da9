"""The base URL: what is taken, what is made of it, what is refused."""

from __future__ import annotations

import pytest

from gong_async import BasicAuth, ConfigurationError, GongClient
from gong_async._settings.base_url import base_url
from gong_async.testing import FakeGong


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.gong.io", "https://api.gong.io"),
        ("https://api.gong.io/", "https://api.gong.io"),
        ("https://api.gong.io///", "https://api.gong.io"),
        ("https://us-49467.api.gong.io/v2", "https://us-49467.api.gong.io"),
        ("https://us-49467.api.gong.io/v2/", "https://us-49467.api.gong.io"),
        ("https://gateway.example/gong", "https://gateway.example/gong"),
        ("https://gateway.example/gong/eu/", "https://gateway.example/gong/eu"),
        ("https://gateway.example/gong/v2", "https://gateway.example/gong"),
        ("https://gateway.example/Gong", "https://gateway.example/Gong"),
        ("https://gateway.example/a%20b", "https://gateway.example/a%20b"),
        ("HTTPS://API.Gong.IO", "https://api.gong.io"),
        ("https://api.gong.io.", "https://api.gong.io"),
        ("https://api.gong.io:443", "https://api.gong.io:443"),
        ("https://api.gong.io:", "https://api.gong.io"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://[2001:db8::1]:8443/gong", "https://[2001:db8::1]:8443/gong"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080/x", "http://localhost:8080/x"),
    ],
)
def test_is_made_a_prefix_for_routes(given: str, used: str) -> None:
    """A path is kept; slashes at the end, a pasted /v2 and capitals of the host are not."""
    assert base_url(given) == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.gong.io",
        "//api.gong.io",
        "https://",
        "https:///v2",
        "https://.",
        "https://a..b",
        "https://%61pi.gong.io",
        "https://api.gong.io\\.evil.example",
        "https://api.gong.io\\@evil.example",
        "https://api.gong.io,evil.example",
        "https://api.gong.io:0",
        "https://api.gong.io:65536",
        "https://api.gong.io:https",
        "https://api.gong.io:٣",
        "https://[::1",
        "https://℀.example",
        "https://api.gong.io?x=1",
        "https://api.gong.io/?",
        "https://api.gong.io/#",
        "https://api.gong.io/#top",
        "https://api.gong.io//x",
        "https://api.gong.io/x/../y",
        "https://api.gong.io/./y",
        "https://api.gong.io/x/%2e%2E/y",
        "https://api.gong.io/x%2F%2Fy",
        "https://api.gong.io/%zz",
        "https://api.gong.io/\\y",
        "https://api.gong.io/ü",
        "https://api.gong.io/{x}",
        "https://api.gong.io/a b",
        " https://api.gong.io",
        "https://api.gong.io\n",
        "https://api.gong.io\r\nHost: evil.example",
        "https://api.gong.io\x00",
        "https://api.\u200bgong.io",
        "http://api.gong.io",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.1",
        "http://2130706433",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
    ],
)
def test_refuses_what_is_no_safe_prefix(given: str) -> None:
    """Anything unclear is refused, and so is http to any other machine."""
    with pytest.raises(ConfigurationError, match="base_url"):
        base_url(given)


@pytest.mark.parametrize(
    "given",
    ["https://user:hunter2@api.gong.io", "https://user:hun/ter2@api.gong.io", "https://hunter2@x"],
)
def test_does_not_repeat_a_credential_in_the_url(given: str) -> None:
    """A user name or password is refused, and the message does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        base_url(given)

    assert "hun" not in str(caught.value)


def test_is_checked_when_the_client_is_built() -> None:
    """A bad base URL is found before the first call."""
    with pytest.raises(ConfigurationError, match="https"):
        GongClient(BasicAuth("key", "secret"), base_url="http://api.gong.io")


async def test_keeps_the_path_of_a_gateway() -> None:
    """Requests go below the path of the base URL, with one slash between."""
    async with FakeGong(prefix="/gateway/gong") as fake:
        auth = BasicAuth(fake.access_key, fake.access_key_secret)
        async with GongClient(auth, base_url=fake.url + "/") as gong:
            await gong.request("GET /v2/users")

        (received,) = fake.received
        assert received.path == "/gateway/gong/v2/users"
