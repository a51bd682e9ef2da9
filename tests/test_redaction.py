"""Redaction of untrusted text."""

from __future__ import annotations

import base64
import html
import html.entities
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async import BasicAuth, Secret
from gong_async._redact import TEXT_LIMIT, Redactor

AWKWARD = 'p/ss+w&rd "\\<42>=='


@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        quote,
        lambda text: quote(text, safe=""),
        lambda text: quote(text, safe="").lower(),
        quote_plus,
        lambda text: json.dumps(text)[1:-1],
        html.escape,
    ],
)
def test_redacts_every_spelling(spell: Callable[[str], str]) -> None:
    """Every spelling that a server or proxy may use is redacted."""
    shown = Redactor([Secret(AWKWARD)])(f"you sent <{spell(AWKWARD)}>, no?")

    assert shown.rstrip("=") in {
        "you sent <***>, no?",
        "you sent <***==>, no?",
        "you sent <***=>, no?",
    }


NAMES = {character: name for name, character in html.entities.html5.items() if name[-1] == ";"}
ESCAPES: dict[str, Callable[[str], str]] = {
    "json": lambda one: f"\\u{ord(one):04x}",
    "json_upper": lambda one: f"\\u{ord(one):04X}",
    "json_slash": lambda one: one.replace("/", "\\/"),
    "json_in_json": lambda one: f"\\\\u{ord(one):04x}",
    "javascript": lambda one: f"\\x{ord(one):02x}",
    "javascript_braces": lambda one: f"\\u{{{ord(one):x}}}",
    "html_decimal": lambda one: f"&#{ord(one)};",
    "html_zeros": lambda one: f"&#000{ord(one)};",
    "html_hex": lambda one: f"&#x{ord(one):x};",
    "html_hex_upper": lambda one: f"&#X{ord(one):X};",
    "html_named": lambda one: f"&{NAMES[one]}" if one in NAMES else one,
    "html_twice": lambda one: f"&amp;#x{ord(one):x};",
    "url": lambda one: f"%{ord(one):02x}",
    "url_upper": lambda one: f"%{ord(one):02X}",
    "url_twice": lambda one: f"%25{ord(one):02X}",
    "url_thrice": lambda one: f"%2525{ord(one):02X}",
    "url_wide": lambda one: f"%u{ord(one):04X}",
}
ACCESS_KEY, ACCESS_SECRET = "QUNDRVNTL0tFWQ", "T2pJ+Y2FsbA/s=:d"
PAIR = base64.b64encode(f"{ACCESS_KEY}:{ACCESS_SECRET}".encode()).decode()


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("value", [ACCESS_KEY, ACCESS_SECRET, PAIR])
@pytest.mark.parametrize("frame", ['{"errors":["%s"]}', '{"errors":["%s', "<p>%s</p>"])
def test_redacts_escapes_of_any_character(escape: str, value: str, frame: str) -> None:
    """A credential is redacted whatever is escaped in it, in valid JSON or in none."""
    redact = Redactor(BasicAuth(ACCESS_KEY, ACCESS_SECRET).secrets)
    spelled = "".join(map(ESCAPES[escape], value))

    assert redact.excerpt((frame % spelled).encode(), 200) == frame.replace("%s", "***")


@pytest.mark.parametrize("outer", ESCAPES)
def test_redacts_escapes_of_escapes(outer: str) -> None:
    """Every character of an escape may be escaped in turn, be it the end of an entity."""
    secrets = ["T2pJ+a/b=c:d&e%41", "ab&amp;c;<d>", PAIR]
    redact = Redactor(map(Secret, secrets))

    for secret in secrets:
        for inner in ESCAPES.values():
            spelled = "".join(map(ESCAPES[outer], "".join(map(inner, secret))))

            assert redact(f"<{spelled}>", 5_000) == "<***>"


def test_redacts_text_that_was_escaped_many_times() -> None:
    """Each proxy on the way may escape what the one before it wrote."""
    spelled = ACCESS_SECRET
    for _ in range(3):
        for escape in ("html_named", "json", "url"):
            spelled = "".join(map(ESCAPES[escape], spelled)) if len(spelled) < 9_999 else spelled
        spelled = quote(html.escape(spelled), safe="")

    assert Redactor([Secret(ACCESS_SECRET)])(f"<{spelled}>", 5_000) == "<***>"


@given(st.lists(st.sampled_from([str, *ESCAPES.values()]), min_size=16, max_size=16))
@settings(deadline=None)
def test_redacts_mixed_escapes(escapes: list[Callable[[str], str]]) -> None:
    """Each character may be escaped in a way of its own."""
    spelled = "".join(escape(one) for escape, one in zip(escapes, ACCESS_SECRET, strict=True))

    assert Redactor([Secret(ACCESS_SECRET)])(f"<{spelled}>") == "<***>"


def test_redacts_utf_16() -> None:
    """A body in UTF-16 that is read as UTF-8 has a zero byte beside each character."""
    body = f"you sent {ACCESS_SECRET}!".encode("utf-16-le")

    assert "***" in Redactor([Secret(ACCESS_SECRET)]).excerpt(body, 200)


@pytest.mark.parametrize("unit", ["\\", "&", "&amp;", "&#", "%25", "%", "\\u0041", "&#0", "0"])
def test_texts_full_of_escapes_are_cut_and_read(unit: str) -> None:
    """A megabyte of escapes is no more work than what is shown of it needs."""
    shown = Redactor([Secret(ACCESS_SECRET)])(unit * 300_000 + ACCESS_SECRET)

    assert len(shown) == TEXT_LIMIT


@pytest.mark.parametrize("before", range(0, 70, 7))
def test_an_escaped_secret_is_never_cut_before_it_is_redacted(before: int) -> None:
    """Nor is one whose characters take six times as much room."""
    secret = "S3CRET" * 5
    spelled = "".join(map(ESCAPES["json"], secret))
    body = b"-" * before + spelled.encode() * 4000

    shown = Redactor([Secret(secret)]).excerpt(body, 5_000)

    assert "u00" not in shown
    assert shown.startswith("-" * before + "***")


def test_redacts_the_pair_as_it_goes_on_the_wire() -> None:
    """An echo of our Authorization header is redacted as one."""
    auth = BasicAuth("access-key", "access-key-secret")
    wire = base64.b64encode(b"access-key:access-key-secret").decode()

    assert Redactor(auth.secrets)(f"Authorization: Basic {wire}") == "Authorization: Basic ***"


def test_redacts_before_it_cuts() -> None:
    """A secret that lies across the limit does not leave its first half."""
    secret = "S3CRET" * 10

    shown = Redactor([Secret(secret)])("x" * (TEXT_LIMIT - 5) + secret)

    assert "S3C" not in shown


@pytest.mark.parametrize("secret", ["S3CRET" * 5, "S3CRET" * 300])
@pytest.mark.parametrize("before", range(0, 40, 3))
def test_an_excerpt_never_ends_in_a_part_of_a_secret(secret: str, before: int) -> None:
    """A body is long: its beginning is taken so that no secret is cut before it is redacted."""
    body = b"-" * before + secret.encode() * 1000

    shown = Redactor([Secret(secret)]).excerpt(body, 200)

    assert shown == ("-" * before + "*" * 3000)[:199] + "…"


def test_an_excerpt_of_a_short_body_is_all_of_it() -> None:
    """What fits is shown, whatever bytes it holds."""
    assert Redactor().excerpt(b"a\xffb\n", 200) == "a\ufffdb\\u000a"


@pytest.mark.parametrize(
    ("character", "escaped"),
    [
        ("\r", r"\u000d"),
        ("\n", r"\u000a"),
        ("\x00", r"\u0000"),
        ("\x1b", r"\u001b"),
        ("\x7f", r"\u007f"),
        ("\x9b", r"\u009b"),
        ("\u202e", r"\u202e"),
        ("\u200b", r"\u200b"),
        ("\u2028", r"\u2028"),
        ("\u2029", r"\u2029"),
        ("\ud800", r"\ud800"),
    ],
)
def test_escapes_control_characters(character: str, escaped: str) -> None:
    """Line breaks, terminal escapes, bidi overrides and lone surrogates are escaped."""
    assert Redactor()(f"a{character}b") == f"a{escaped}b"


def test_leaves_text_of_any_language_alone() -> None:
    """Only control and format characters are escaped."""
    text = "Übergabe \N{EN DASH} 日本語 🎉 עברית"

    assert Redactor()(text) == text


@given(text=st.text(max_size=2000), limit=st.integers(1, 600))
@settings(deadline=None)
def test_is_one_printable_line_within_the_limit(text: str, limit: int) -> None:
    """Any text becomes one printable line within the limit."""
    shown = Redactor([Secret("hunter2")])(text, limit)

    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    assert shown.encode() is not None


@given(
    before=st.text(max_size=50),
    after=st.text(max_size=50),
    secret=st.text("abcXYZ/+=&%", min_size=8),
)
@settings(deadline=None)
def test_no_secret_passes(before: str, after: str, secret: str) -> None:
    """A secret is replaced at every position."""
    assert secret not in Redactor([Secret(secret)])(before + secret + after)


def test_without_secrets_nothing_is_redacted() -> None:
    """A credential that shows nothing to hide changes no text."""
    assert Redactor()("nothing to hide") == "nothing to hide"


def test_a_secret_too_short_to_be_one_does_not_ruin_every_text() -> None:
    """Three letters occur everywhere; redacting them would say more than it hides."""
    assert Redactor([Secret("a")])("a banana") == "a banana"


def test_shows_no_secret_itself() -> None:
    """Printing the redactor does not print what it looks for."""
    redactor = Redactor([Secret("hunter2hunter2")])
    redactor("compile the pattern")

    assert "hunter2" not in repr(redactor)


def test_secrets_that_change_are_asked_for() -> None:
    """Current and earlier secrets are redacted."""
    now = [Secret("first-token")]
    redact = Redactor(lambda: now)
    before = redact("first-token second-token")
    now[:] = [Secret("second-token")]

    assert before == "*** second-token"
    assert redact("first-token second-token") == "*** ***"
    assert redact.excerpt(b"first-token second-token", 100) == "*** ***"


def test_old_secrets_are_forgotten() -> None:
    """A client that lives for years does not keep every token that it ever had."""
    now = [Secret("token-0")]
    redact = Redactor(lambda: now)
    for number in range(200):
        now[:] = [Secret("always-there"), Secret(f"token-{number:03}")]
        redact("")
    shown = redact("always-there token-000 token-150 token-199")

    assert shown == "*** token-000 *** ***"
    assert len(redact._remembered) <= 66
