"""Which base URL that comes with a token is believed."""

from __future__ import annotations

import pytest

from gong_async._settings.base_url import customer_base_url

GONG = ("gong.io",)

GOOD = {
    "https://api.gong.io": "https://api.gong.io",
    "https://api.gong.io/": "https://api.gong.io",
    "https://api.gong.io/v2": "https://api.gong.io",
    "https://api.gong.io/v2/": "https://api.gong.io",
    "https://api.gong.io:443": "https://api.gong.io",
    "https://api.gong.io.": "https://api.gong.io",
    "HTTPS://API.Gong.IO": "https://api.gong.io",
    "https://us02-16381.api.gong.io": "https://us02-16381.api.gong.io",
    "https://company-17.api.gong.io": "https://company-17.api.gong.io",
    "https://xn--pi-8ja.gong.io": "https://xn--pi-8ja.gong.io",
}
BAD = {
    "": "does not begin",
    "https://": "cannot be one",
    "api.gong.io": "has a path",
    "//api.gong.io": "does not begin",
    "http://api.gong.io": "does not begin",
    "ftp://api.gong.io": "does not begin",
    "file:///etc/passwd": "has a path",
    "javascript:alert(1)": "has a path",
    "https://evil.example": "not on a domain",
    "https://gong.io.evil.example": "not on a domain",
    "https://evilgong.io": "not on a domain",
    "https://api-gong.io": "not on a domain",
    "https://io": "not on a domain",
    "https://gong.io.": None,
    "https://gong.io..": "cannot be one",
    "https://.gong.io": "cannot be one",
    "https://api..gong.io": "cannot be one",
    "https://user@api.gong.io": "hides its host",
    "https://user:pass@api.gong.io": "hides its host",
    "https://@api.gong.io": "hides its host",
    "https://api.gong.io@evil.example": "hides its host",
    "https://evil.example%2f.gong.io": "hides its host",
    "https://evil.example%00.gong.io": "hides its host",
    "https://api.gong.io:444": "names a port",
    "https://api.gong.io:80": "names a port",
    "https://api.gong.io:0": "names a port",
    "https://api.gong.io:": "names a port",
    "https://api.gong.io:443443": "is not a URL",
    "https://api.gong.io:x": "is not a URL",
    "https://[api.gong.io": "is not a URL",
    "https://127.0.0.1": "not on a domain",
    "https://127.1": "not on a domain",
    "https://2130706433": "not on a domain",
    "https://0x7f000001": "not on a domain",
    "https://0177.0.0.1": "not on a domain",
    "https://169.254.169.254": "not on a domain",
    "https://[::1]": "cannot be one",
    "https://[::ffff:127.0.0.1]": "cannot be one",
    "https://localhost": "not on a domain",
    "https://api.gong.io/path": "has a path",
    "https://api.gong.io/v2/../evil": "has a path",
    "https://api.gong.io//": None,
    "https://api.gong.io?a=b": "query",
    "https://api.gong.io?": "query",
    "https://api.gong.io#a": "query",
    "https://api.gong.io#": "query",
    "https://evil.example#.gong.io": "query",
    "https://evil.example\\.gong.io": "characters",
    "https://evil.example .gong.io": "characters",
    " https://api.gong.io": "characters",
    "https://api.gong.io\r\nX-Evil: 1": "is not a URL",
    "https://api.gong.io\x00": "characters",
    "https://api.go\tng.io": "characters",
    "https://аpi.gong.io": "characters",  # noqa: RUF001 - a Cyrillic letter
    "https://ａｐｉ.gong.io": "characters",  # noqa: RUF001 - wide letters
    "https://evil。gong.io": "characters",
    "https://api.gong.io。evil.example": "characters",
    "https://gong\u2024io": "characters",
}


@pytest.mark.parametrize(("value", "known"), GOOD.items(), ids=GOOD)
def test_gongs_own_are_believed(value: str, known: str) -> None:
    """Gong's domain and what lies below it, without port, slash or version."""
    assert customer_base_url(value, domains=GONG) == known


@pytest.mark.parametrize(
    ("value", "why"), [pair for pair in BAD.items() if pair[1]], ids=lambda text: repr(text)[:40]
)
def test_all_others_are_not(value: str, why: str) -> None:
    """The reason is reported, and the value is not."""
    with pytest.raises(ValueError, match=why) as caught:
        customer_base_url(value, domains=GONG)

    assert not value or value not in str(caught.value)


@pytest.mark.parametrize("value", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:2"])
def test_this_machine_is_believed_where_the_login_is_there(value: str) -> None:
    """A token endpoint on this machine is a fake, and may name others; elsewhere it may not."""
    assert customer_base_url(value, domains=GONG, loopback=True) == value
    with pytest.raises(ValueError, match=r"does not begin|cannot be one"):
        customer_base_url(value, domains=GONG)


@pytest.mark.parametrize("value", ["http://169.254.169.254", "http://10.0.0.1", "http://evil"])
def test_other_machines_are_not_believed_there_either(value: str) -> None:
    """A fake may send no client away from this machine."""
    with pytest.raises(ValueError, match="does not begin"):
        customer_base_url(value, domains=GONG, loopback=True)


def test_domains_are_an_option() -> None:
    """Gong documents no closed list."""
    assert customer_base_url("https://a.gong.example", domains=("x.io", "gong.example"))
    with pytest.raises(ValueError, match="domain"):
        customer_base_url("https://api.gong.io", domains=("gong.example",))
