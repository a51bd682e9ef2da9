"""`gong-async login`, `logout` and `whoami`. The browser is this test."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import frozen
from click.testing import Result

from gong_async.testing import FakeGong

Leaks = Callable[[dict[str, str]], Callable[..., list[str]]]


@pytest.fixture
def environment(fake: FakeGong, tmp_path: Path) -> dict[str, str]:
    """Return the variables of an application without a key."""
    return {
        "GONG_OAUTH_CLIENT_ID": fake.oauth.client_id,
        "GONG_OAUTH_CLIENT_SECRET": fake.oauth.client_secret,
        "GONG_OAUTH_URL": fake.url,
        "GONG_STATE_DIR": str(tmp_path / "state"),
    }


@frozen
class Command:
    """A `gong-async login` that waits for the browser."""

    process: subprocess.Popen[str]
    url: str

    @property
    def state(self) -> str:
        """What must come back."""
        return parse_qs(urlsplit(self.url).query)["state"][0]

    @property
    def redirect_uri(self) -> str:
        """Where it waits."""
        return parse_qs(urlsplit(self.url).query)["redirect_uri"][0]

    def end(self) -> tuple[int, str]:
        """Wait for its end, and return its exit code and what it said."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def log_in(
    start: Callable[..., subprocess.Popen[str]], unused_tcp_port: int
) -> Callable[..., Command]:
    """Start the command, and read the page that it names."""

    def log_in(*words: str) -> Command:
        process = start("login", "--port", unused_tcp_port, *words)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        url = next(line.strip() for line in lines if "/oauth2/authorize?" in line)
        return Command(process, url)

    return log_in


def get(url: str, **headers: str) -> tuple[int, str]:
    """Open a page as a browser does, which follows redirects."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_login_then_use_then_logout(
    log_in: Callable[..., Command],
    invoke: Callable[..., Result],
    fake: FakeGong,
    tmp_path: Path,
) -> None:
    """Once approved, the commands work without a key, and after the logout they do not."""
    command = log_in()
    page = get(command.url)
    ended = command.end()
    used = invoke("meetings", "status", "dana@example.com")
    who = json.loads(invoke("whoami").stdout)
    fake.oauth.expire()
    renewed = invoke("meetings", "status", "dana@example.com")
    out = [invoke("logout"), invoke("logout")]
    unused = invoke("meetings", "status", "dana@example.com")

    assert page == (200, "Login received; see the terminal. You may close this page.\n")
    assert ended == (0, f"Logged in; calls go to {fake.url}\n")
    assert (used.exit_code, renewed.exit_code, fake.oauth.refreshes) == (0, 0, 1)
    assert (who["credential"], who["logged_in"], who["base_url"]) == ("login", True, fake.url)
    assert "api:meetings:user:update" in who["scopes"]
    assert [one.exit_code for one in out] == [0, 0]
    assert "Logged out here" in out[0].stderr and "Not logged in" in out[1].stderr
    assert unused.exit_code == 1 and "Log in again: run `gong-async login`" in unused.stderr
    assert {path.name for path in (tmp_path / "state").iterdir()} >= {"login.json.lock"}
    assert not (tmp_path / "state" / "login.json").exists()


def test_only_the_right_state_is_taken(log_in: Callable[..., Command], fake: FakeGong) -> None:
    """What anybody else sends here is refused, and does not end the login."""
    command = log_in("--scope", "api:users:read")
    there = urlsplit(command.redirect_uri)
    base = f"http://{there.netloc}"
    refused = [
        get(f"{command.redirect_uri}?code=forged&state=guessed")[0],
        get(f"{command.redirect_uri}?code=forged")[0],
        get(f"{command.redirect_uri}?error=access_denied&state=guessed")[0],
        get(f"{command.redirect_uri}?state={command.state}")[0],
        get(f"{base}/")[0],
        get(f"{base}/favicon.ico")[0],
        get(f"{command.redirect_uri}?code=a&state={command.state}", Host="evil.example")[0],
    ]
    posted = http.client.HTTPConnection(there.hostname or "", there.port)
    posted.request("POST", f"{there.path}?code=a&state={command.state}")
    refused.append(posted.getresponse().status)
    posted.close()
    get(command.url)
    ended = command.end()

    assert refused == [400, 400, 400, 400, 404, 404, 421, 400]
    assert ended[0] == 0
    assert fake.received[0].query["scope"] == "api:users:read"


def test_a_refusal_ends_it(log_in: Callable[..., Command], fake: FakeGong, tmp_path: Path) -> None:
    """An administrator who says no is heard, and nothing is stored."""
    fake.oauth.approves = False
    command = log_in()
    page = get(command.url)
    code, said = command.end()

    assert page[1].startswith("Authorization was denied")
    assert (code, "Gong did not approve: access_denied" in said) == (1, True)
    assert not (tmp_path / "state" / "login.json").exists()


def test_no_approval(log_in: Callable[..., Command]) -> None:
    """After the time that was given it gives up."""
    code, said = log_in("--wait", "0.2").end()

    assert (code, "no approval within 0.2 s" in said) == (1, True)


def test_a_signal_stops_it(log_in: Callable[..., Command]) -> None:
    """As every command."""
    command = log_in()
    command.process.terminate()

    assert command.end()[0] == 75


def test_a_port_that_is_taken_is_reported_as_such(
    log_in: Callable[..., Command], invoke: Callable[..., Result]
) -> None:
    """With what to do."""
    first = log_in()
    port = urlsplit(first.redirect_uri).port
    second = invoke("login", "--port", port)

    assert second.exit_code == 2
    assert "set another one with --port" in second.stderr


def test_without_an_application_it_says_which_variables(invoke: Callable[..., Result]) -> None:
    """Nothing is asked of Gong."""
    done = invoke("login", env={"GONG_OAUTH_CLIENT_ID": "id"})

    assert (done.exit_code, "GONG_OAUTH_CLIENT_SECRET is not set" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "option", ["--client-secret=hunter2", "--token=hunter2", "--secret=hunter2"]
)
def test_no_secret_is_an_option(option: str, invoke: Callable[..., Result]) -> None:
    """The error says where credentials come from."""
    done = invoke("login", option)

    assert done.exit_code == 2
    assert "read from the environment only" in done.stderr


def test_whoami_of_a_key_and_without_a_login(invoke: Callable[..., Result], fake: FakeGong) -> None:
    """It prints which credential the commands would use, and no secret of it."""
    key = {"GONG_ACCESS_KEY": fake.access_key, "GONG_ACCESS_KEY_SECRET": fake.access_key_secret}
    of_key = invoke("whoami", env={**key, "GONG_BASE_URL": fake.url})
    without_login = invoke("whoami")
    without = invoke("whoami", env={})

    assert json.loads(of_key.stdout)["credential"] == "access key"
    assert json.loads(of_key.stdout)["base_url"] == fake.url
    assert fake.access_key not in of_key.output
    assert json.loads(without_login.stdout)["logged_in"] is False
    assert without.exit_code == 2
    assert fake.received_count == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_token_is_anywhere_but_in_the_store(
    log_in: Callable[..., Command],
    start: Callable[..., subprocess.Popen[str]],
    leaks_of: Leaks,
    fake: FakeGong,
    tmp_path: Path,
) -> None:
    """Not in output, arguments, environment or any other file, from login to renewal."""
    command = log_in()
    pid = command.process.pid
    seen = [Path(f"/proc/{pid}/cmdline").read_text(), command.url]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    get(command.url)
    seen += [command.end()[1]]
    fake.oauth.expire()
    for words in (["meetings", "status", "dana@example.com"], ["whoami"], ["--json", "whoami"]):
        process = start(*words)
        seen += [Path(f"/proc/{process.pid}/cmdline").read_text()]
        seen += [Path(f"/proc/{process.pid}/environ").read_text()] * ("--json" in words)
        seen += process.communicate(timeout=60)
    files = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*")
             if path.is_file()}  # fmt: skip
    kept = files.pop("login.json")
    tokens = {name: name for name in fake.oauth.issued}
    secret = {"secret": fake.oauth.client_secret}

    assert children == ""
    assert fake.oauth.refreshes == 1
    assert len(leaks_of(tokens)(kept)) == 2
    assert leaks_of(tokens)(*seen, *files.values(), repr(os.environ)) == []
    # The environment is where the application's secret comes from; it is nowhere else.
    texts = [text for text in seen if "GONG_STATE_DIR=" not in text]
    assert leaks_of(secret)(*texts, *files.values(), kept) == []
    assert re.search(r"state=[\w-]{40,}", command.url)
