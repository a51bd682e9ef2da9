"""`gong-async doctor`: each thing that can be wrong is found, with what to do, and no secret."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from attrs import frozen
from click.testing import Result

from gong_async import (
    AuthenticationError,
    DailyQuotaExceededError,
    FileTokenStore,
    Quota,
    Secret,
    Tokens,
)
from gong_async.cli.doctor.advice import advise_error, advise_quota
from gong_async.cli.doctor.environment import Target, advise_aiohttp
from gong_async.cli.doctor.findings import Diagnosis
from gong_async.cli.doctor.network import advise_certificate
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
Leaks = Callable[[dict[str, str]], Callable[..., list[str]]]

CELL = "us-12345.api.gong.io"
GONG = Target(url=f"https://{CELL}", host=CELL, port=443, reported_by="GONG_BASE_URL")
STATUS = "POST /v2/meetings/integration/status"
FOREIGN = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
           "AIOHTTP_NO_EXTENSIONS")  # fmt: skip

not_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may read and write everything"
)


@frozen
class Report:
    """What the doctor has printed as JSON."""

    exit_code: int
    findings: tuple[Diagnosis, ...]
    text: str

    def of(self, check: str) -> Diagnosis:
        """Return the only finding of a check."""
        (found,) = self.all(check)
        return found

    def all(self, check: str) -> list[Diagnosis]:
        """Return all findings of a check."""
        return [one for one in self.findings if one.check == check]

    @property
    def problems(self) -> list[str]:
        """The checks that have found a problem."""
        return [one.check for one in self.findings if one.level == "problem"]

    def stands(self, check: str) -> tuple[int, str]:
        """Return the exit code, and how bad the only finding of a check is."""
        return self.exit_code, self.of(check).level


Examine = Callable[..., Report]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies and certificates of the user who runs the tests away."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def examine(invoke: Invoke, environment: dict[str, str]) -> Examine:
    """Run the doctor in this process, with other variables if some are given."""

    def examine(*words: object, **variables: str | None) -> Report:
        env = {**environment, **variables}
        done = invoke("doctor", "--json", *words, env=env)
        reported = json.loads(done.stdout)
        assert reported["exit"] == done.exit_code
        findings = tuple(Diagnosis(**one) for one in reported["findings"])
        return Report(done.exit_code, findings, done.output)

    return examine


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Make the state directory."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """Make this machine trust an unknown authority."""
    path = tmp_path / "ca.pem"
    authority = trustme.CA(organization_name="Acme Inspection")
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


def settle(fake: FakeGong) -> None:
    """Wait until a server has taken every connection that was made to it so far.

    One without a request may otherwise be accepted only while the server closes.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    scheme, _, place = fake.url.partition("://")
    last = (
        http.client.HTTPSConnection(place, timeout=10, context=context)
        if scheme == "https"
        else http.client.HTTPConnection(place, timeout=10)
    )
    with closing(last):
        last.request("GET", "/")
        last.getresponse().read()


@pytest.fixture(autouse=True)
def settled(fake: FakeGong, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the fake only after it has seen every connection of the test."""
    yield
    monkeypatch.undo()
    settle(fake)


@contextmanager
def serve(context: ssl.SSLContext) -> Iterator[FakeGong]:
    """Run a fake over TLS in a thread of its own."""
    with FakeGong.serve_in_thread(ssl_context=context) as fake:
        yield fake
        settle(fake)


def serving(authority: trustme.CA, host: str = "127.0.0.1", **options: Any) -> ssl.SSLContext:
    """Return the context of a server with a certificate for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **options).configure_cert(context)
    return context


def advice(finding: Diagnosis) -> str:
    """Return what to do, of a finding that is not just fine."""
    assert finding.level != "ok"
    return finding.do


# All together


def test_nothing_is_wrong(examine: Examine, fake: FakeGong) -> None:
    """With a server that answers, nothing is found but that it is not Gong; one call is made."""
    report = examine()

    (received,) = fake.received
    assert (report.exit_code, report.problems) == (0, [])
    assert [one.check for one in report.findings if one.level == "note"] == ["base URL"]
    assert f"{received.method} {received.path}" == STATUS
    assert received.json == {"emails": ["doctor@example.invalid"]}


def test_every_finding_that_is_not_fine_says_what_to_do(
    examine: Examine, fake: FakeGong, state: Path
) -> None:
    """No note and no problem is left without advice, and nothing fine has any."""
    fake.access_key = "another"
    state.chmod(0o750)
    (state / "jobs").mkdir()
    (state / "jobs" / "old.sqlite3.lock").touch()
    report = examine(HTTPS_PROXY="http://proxy.example:3128")

    levels = [one.level for one in report.findings if one.do]
    assert levels == [one.level for one in report.findings if one.level != "ok"]
    assert len(levels) == 5


def test_lines_for_people(invoke: Invoke) -> None:
    """Where stdout is no terminal, words stand in place of marks, and advice on its own line."""
    done = invoke("doctor")

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].startswith("ok       python         ")
    assert any(line.startswith("note     base URL       ") for line in lines)
    assert any(line.startswith("                        -> nothing if ") for line in lines)
    assert lines[-1] == "No problems, 1 note"


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "✓  python"), ("ascii", "ok       py")])
def test_a_terminal_that_can_shows_marks(
    environment: dict[str, str], encoding: str, mark: str
) -> None:
    """On a terminal each line begins with a mark, if its encoding has it."""
    ours, theirs = os.openpty()
    env = {**os.environ, **environment, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "gong_async", "doctor", "--offline"]
    done = subprocess.run(command, env=env, stdout=theirs, check=False, timeout=60)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 0
    assert shown.startswith(mark)


def test_the_call_counts(examine: Examine) -> None:
    """The output says that a call was made; the quota is that after it."""
    first, second = examine(), examine()

    assert "1 call made, counted in the day's quota" in first.of("call").seen
    assert first.of("quota").seen.startswith("1 call of the last 24 hours")
    assert second.of("quota").seen.startswith("2 calls of the last 24 hours")
    assert "9,998 left; rate 2.94 of 3 per second" in second.of("quota").seen


def test_offline(examine: Examine, fake: FakeGong, tmp_path: Path) -> None:
    """Nothing is sent, no connection is made, and nothing is written to the disk."""
    report = examine("--offline")

    assert (report.exit_code, fake.connections_total) == (0, 0)
    assert {"dns", "connection", "tls", "call", "clock"}.isdisjoint(
        one.check for one in report.findings
    )
    assert report.of("quota").seen == "no call counted on this machine yet"
    assert not (tmp_path / "state").exists()


def test_help_imports_nothing_heavy() -> None:
    """`doctor --help` needs neither the network nor a database."""
    program = (
        "import atexit, sys\n"
        "heavy = {'aiohttp', 'sqlite3', 'asyncio', 'cattrs', 'rich'}\n"
        "atexit.register(lambda: print(sorted(heavy & sys.modules.keys() - {'asyncio'})))\n"
        "from gong_async.__main__ import main\n"
        "sys.argv[1:] = ['doctor', '--help']\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_no_secret_is_shown(examine: Examine, fake: FakeGong, leaks_of: Leaks) -> None:
    """Neither a credential that is echoed or was pasted wrongly, nor a proxy's password."""
    fake.script(Fault.status(403, errors=(f"refused {fake.access_key_secret}",)))
    report = examine(HTTPS_PROXY="http://me:proxy-password@proxy.example:3128")
    pasted = examine(GONG_BASE_URL=fake.access_key_secret)

    search = leaks_of({"secret": fake.access_key_secret, "proxy": "proxy-password"})
    assert "refused ***" in report.of("call").seen
    assert pasted.stands("base URL") == (2, "problem")
    assert search(report.text, pasted.text) == []
    assert "proxy.example" not in report.text


def test_nothing_steers_the_terminal(invoke: Invoke, fake: FakeGong) -> None:
    """Control characters of an answer are shown as codes."""
    fake.script(Fault.status(403, errors=("\x1b[2Jgone",)))
    done = invoke("doctor")

    assert "\\u001b[2Jgone" in done.stdout
    assert "\x1b" not in done.stdout


# Python and packages


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("3.13.5", "problem"),
        ("3.14.2", "problem"),
        ("3.14.3", "note"),
        ("3.14.4", "ok"),
        ("3.15.0rc1", "ok"),
        ("4.0.0a2.dev0", "note"),
    ],
)
def test_versions_of_aiohttp(version: str, level: str) -> None:
    """Versions that crash are a problem, weak and unknown ones are noted."""
    finding, parser = advise_aiohttp(version, compiled=True)

    assert (finding.level, parser.level) == (level, "ok")
    assert ("pip install" in finding.do) == (level != "ok")


def test_the_pure_python_parser(environment: dict[str, str]) -> None:
    """It is noted, with the variable that has chosen it."""
    env = {**os.environ, **environment, "AIOHTTP_NO_EXTENSIONS": "1"}
    command = [sys.executable, "-m", "gong_async", "doctor", "--offline", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)

    findings = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0
    assert findings["parser"]["level"] == "note"
    assert findings["parser"]["do"] == "unset AIOHTTP_NO_EXTENSIONS"


def test_an_aiohttp_that_cannot_be_imported(
    environment: dict[str, str], tmp_path: Path, fake: FakeGong
) -> None:
    """The doctor lives, names the version and the command, and looks at what it still can."""
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("__version__ = '3.8.6'\n")
    described = tmp_path / "aiohttp-3.8.6.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 3.8.6\n")
    env = {**os.environ, **environment, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "gong_async", "doctor"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert "problem  aiohttp        3.8.6, not usable: ImportError" in done.stdout
    assert "-> run `pip install --upgrade 'aiohttp>=3.14.4,<4'`" in done.stdout
    assert "ok       disk" in done.stdout
    assert fake.connections_total == 0


# Variables, credential, base URL, proxies


def test_without_a_credential(examine: Examine, fake: FakeGong) -> None:
    """The code is that of configuration; the way to Gong is looked at, and no call is made."""
    report = examine(GONG_ACCESS_KEY=None, GONG_ACCESS_KEY_SECRET=None)

    assert report.stands("credential") == (2, "problem")
    assert "GONG_ACCESS_KEY and GONG_ACCESS_KEY_SECRET" in advice(report.of("credential"))
    assert report.of("connection").level == "ok"
    assert fake.received_count == 0


def test_half_a_credential(examine: Examine) -> None:
    """The variable that is missing is named."""
    report = examine(GONG_ACCESS_KEY_SECRET="")

    assert report.stands("credential") == (2, "problem")
    assert report.of("credential").seen == "GONG_ACCESS_KEY_SECRET is not set"


def test_two_credentials(examine: Examine, fake: FakeGong) -> None:
    """A key and a token contradict each other; variables are named, their values are not."""
    report = examine(GONG_BEARER_TOKEN=fake.bearer_token)

    assert report.stands("credential") == (2, "problem")
    assert report.of("credential").do == "unset one of them"
    assert report.of("variables").seen == (
        "set: GONG_ACCESS_KEY, GONG_ACCESS_KEY_SECRET, GONG_BASE_URL, GONG_BEARER_TOKEN, "
        "GONG_STATE_DIR"
    )


def test_a_credential_that_was_copied_wrongly(examine: Examine) -> None:
    """A line break at its end is found without asking Gong."""
    report = examine(GONG_ACCESS_KEY_SECRET="a-secret-with-an-end\n")

    assert report.stands("credential") == (2, "problem")
    assert report.of("credential").do == "copy it again"


@pytest.fixture
def application(fake: FakeGong) -> dict[str, str | None]:
    """Return the variables of an application in place of a key."""
    return {
        "GONG_OAUTH_CLIENT_ID": fake.oauth.client_id,
        "GONG_OAUTH_CLIENT_SECRET": fake.oauth.client_secret,
        "GONG_OAUTH_URL": fake.url,
        "GONG_ACCESS_KEY": None,
        "GONG_ACCESS_KEY_SECRET": None,
        "GONG_BASE_URL": None,
    }


def test_not_logged_in(examine: Examine, application: dict[str, str | None]) -> None:
    """An application without a login is no credential yet."""
    report = examine("--offline", **application)

    assert report.stands("credential") == (2, "problem")
    assert report.of("credential").do == "run `gong-async login`"


def test_a_login(
    examine: Examine, application: dict[str, str | None], fake: FakeGong, state: Path
) -> None:
    """The base URL that came with it is looked at, and called."""
    pair = fake.oauth.log_in("api:meetings:integration:status")
    tokens = Tokens(
        access_token=Secret(pair["access_token"]),
        refresh_token=Secret(pair["refresh_token"]),
        base_url=fake.url,
        expires_at=datetime.now(UTC) + timedelta(hours=5),
    )
    asyncio.run(FileTokenStore(state / "login.json").save(tokens))
    report = examine(**application)

    assert report.exit_code == 0
    assert "refreshed automatically" in report.of("credential").seen
    assert f"{fake.url}, from the login" in report.of("base URL").seen
    assert report.of("call").level == "ok"


@pytest.mark.parametrize(
    ("url", "level", "code"),
    [
        (None, "ok", 0),
        ("https://api.gong.io", "ok", 0),
        (f"https://{CELL}/v2/", "ok", 0),
        (f"https://{CELL}/gong", "note", 0),
        ("https://api.gong.io.example", "note", 0),
        ("https://notapi.gong.io", "problem", 2),
        ("https://us-12345.app.gong.io", "problem", 2),
        ("api.gong.io", "problem", 2),
        ("http://api.gong.io", "problem", 2),
        ("https://key:secret@api.gong.io", "problem", 2),
    ],
)
def test_base_urls(examine: Examine, url: str | None, level: str, code: int) -> None:
    """Hosts of Gong's API are fine, strangers are noted, and websites cannot be meant."""
    report = examine("--offline", GONG_BASE_URL=url)

    assert report.stands("base URL") == (code, level)
    assert level == "ok" or "API settings page" in advice(report.of("base URL"))


def test_the_option_goes_before_the_variable(examine: Examine) -> None:
    """`--base-url` is looked at in place of `GONG_BASE_URL`."""
    report = examine("--offline", "--base-url", f"https://{CELL}", GONG_BASE_URL="nonsense")

    assert report.of("base URL").seen == f"https://{CELL}, from --base-url"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_in_the_environment(examine: Examine, name: str) -> None:
    """It is said that the proxy is not used, and how a program uses one."""
    report = examine("--offline", **{name: "http://proxy.example:3128"})

    assert report.stands("proxy") == (0, "note")
    assert f"{name.upper()} is set, but not used" in report.of("proxy").seen
    assert "ClientSession(proxy=" in advice(report.of("proxy"))


# Name, port, certificate


def test_a_name_that_does_not_resolve(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, fake: FakeGong
) -> None:
    """Nothing more is tried."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    report = examine(GONG_BASE_URL="https://us-1.api.gong.io")

    assert report.stands("dns") == (1, "problem")
    assert "Name or service not known" in report.of("dns").seen
    assert report.all("connection") == report.all("call") == []


def test_a_port_without_a_server(examine: Examine) -> None:
    """The way is closed; with a proxy in the environment, that is named as a likely reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        plain = examine(GONG_BASE_URL=url)
        behind = examine(GONG_BASE_URL=url, HTTPS_PROXY="http://proxy.example:3128")

    assert plain.stands("connection") == (1, "problem")
    assert "Connection refused" in plain.of("connection").seen
    assert "firewall" in advice(plain.of("connection"))
    assert "the proxy in the environment is not used" in advice(behind.of("connection"))
    assert plain.all("call") == []


def test_a_trusted_certificate(examine: Examine, authority: trustme.CA) -> None:
    """Protocol, issuer and the days that are left are reported, and the call goes through."""
    until = datetime.now(UTC) + timedelta(days=40, hours=1)
    context = serving(authority, not_after=until)
    with serve(context) as fake:
        report = examine(GONG_BASE_URL=fake.url)

    assert report.stands("tls") == (0, "ok")
    assert report.of("tls").seen == "TLSv1.3, certificate by Acme Inspection, 40 days left"
    assert report.of("call").level == "ok"
    assert report.of("trust").seen.startswith("SSL_CERT_FILE set")


def test_a_certificate_that_ends_soon(examine: Examine, authority: trustme.CA) -> None:
    """A few days before its end it is noted."""
    context = serving(authority, not_after=datetime.now(UTC) + timedelta(days=3, hours=1))
    with serve(context) as fake:
        report = examine(GONG_BASE_URL=fake.url)

    assert report.stands("tls") == (0, "note")
    assert "3 days left" in report.of("tls").seen


@pytest.mark.parametrize(
    ("host", "expired", "known", "words"),
    [
        ("127.0.0.1", False, False, "SSL_CERT_FILE"),
        ("127.0.0.1", True, True, "clock"),
        ("api.example", False, True, "names another server"),
    ],
)
def test_a_certificate_that_is_not_trusted(
    examine: Examine, authority: trustme.CA, *, host: str, expired: bool, known: bool, words: str
) -> None:
    """What to do differs: an unknown issuer, a wrong clock, a wrong host. No call is made."""
    issuer = authority if known else trustme.CA(organization_name="Unknown")
    context = serving(issuer, host, not_after=datetime(2001, 1, 1, tzinfo=UTC) if expired else None)
    with serve(context) as fake:
        report = examine(GONG_BASE_URL=fake.url)

        received = fake.received_count

    assert report.stands("tls") == (1, "problem")
    assert words in advice(report.of("tls"))
    assert received == 0


def test_a_server_without_tls(examine: Examine, fake: FakeGong) -> None:
    """A port that speaks http gives no handshake."""
    report = examine(GONG_BASE_URL=fake.url.replace("http:", "https:"))

    assert report.stands("tls") == (1, "problem")
    assert "no TLS handshake" in report.of("tls").seen
    assert "check host and port" in advice(report.of("tls"))


def test_a_proxy_that_opens_connections(
    examine: Examine, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of Gong's with a private address, and a certificate of an authority of its own."""
    resolve = socket.getaddrinfo

    def to_this_machine(host: str, *given: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == CELL else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", to_this_machine)
    with serve(serving(authority, CELL)) as fake:
        port = fake.url.rpartition(":")[2]
        report = examine(GONG_BASE_URL=f"https://{CELL}:{port}")

    assert report.exit_code == 0
    assert report.of("dns").level == report.of("tls").level == "note"
    assert "by Acme Inspection" in report.of("tls").seen
    assert "proxy that decrypts connections" in advice(report.of("tls"))


def test_a_usual_certificate() -> None:
    """A public authority's is nothing to talk of."""
    ends = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(time.time() + 30.5 * 86_400))
    certificate = {"notAfter": ends, "issuer": ((("organizationName", "Let's Encrypt"),),)}
    finding = advise_certificate(certificate, GONG, "TLSv1.3")

    assert finding.level == "ok"
    assert finding.seen == "TLSv1.3, certificate by Let's Encrypt, 30 days left"


# The call


def test_a_refused_credential(examine: Examine, fake: FakeGong) -> None:
    """A 401 may be the wrong host as well, and it is said where to see the right one."""
    fake.access_key = "another"
    report = examine()

    assert report.stands("call") == (1, "problem")
    assert "401" in report.of("call").seen
    assert "at another company's host, which 127.0.0.1 may be" in advice(report.of("call"))
    assert "API settings page shows yours)" in advice(report.of("call"))
    assert "1 call made, counted" in report.of("call").seen


def test_a_refusal_at_the_default_host(fake: FakeGong) -> None:
    """If no base URL was given, that is said."""
    default = Target(url="https://api.gong.io", host="api.gong.io", port=443, reported_by=None)
    finding = advise_error(AuthenticationError("Gong answered 401"), default, named=False)

    assert "shows yours, and none was given" in finding.do


def test_a_missing_scope(examine: Examine, fake: FakeGong) -> None:
    """The scope that Gong names is named."""
    fake.granted_scopes = set()
    report = examine()

    assert report.stands("call") == (1, "problem")
    assert "the scope api:meetings:integration:status" in advice(report.of("call"))


def test_permission_denied(examine: Examine, fake: FakeGong) -> None:
    """A 403 has four reasons, which Gong does not distinguish."""
    fake.limited_release = True
    report = examine()

    assert report.stands("call") == (1, "problem")
    for reason in ("trusted addresses", "limited release", "permission", "company's host"):
        assert reason in advice(report.of("call"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.status(503), "later"),
        (Fault.html(200), "login page"),
        (Fault.redirect(), "base URL"),
        (Fault.drop_before(), "network"),
    ],
)
def test_other_failures(examine: Examine, fake: FakeGong, fault: Fault, words: str) -> None:
    """Each is reported with its advice, after one call and no more."""
    fake.script(fault)
    report = examine()

    assert report.stands("call") == (1, "problem")
    assert words in advice(report.of("call"))
    assert fake.received_count == 1


def test_no_answer_in_time(examine: Examine, fake: FakeGong) -> None:
    """`--timeout` is for the call."""
    fake.script(Fault.stall())
    report = examine("--timeout", "0.1")

    assert report.stands("call") == (1, "problem")
    assert "--timeout" in advice(report.of("call"))


def test_too_many_calls(examine: Examine, fake: FakeGong) -> None:
    """A 429 is reported with its end; the next doctor makes no call while it holds."""
    fake.script(Fault.rate_limited("600"))
    first, second = examine(), examine()

    assert first.stands("call") == second.stands("call") == (1, "problem")
    assert "wait until 20" in advice(first.of("call"))
    assert "no call was made" in second.of("call").seen
    assert "paused until" in second.of("quota").seen
    assert fake.received_count == 1


def test_a_used_up_day() -> None:
    """What the own count says is a problem of the call, and noted of the quota."""
    reset = datetime(2026, 11, 25, tzinfo=UTC)
    error = DailyQuotaExceededError("used up", per_day=10, reset_at=reset)
    quota = Quota(
        used_today=10,
        left_today=0,
        resets_at=reset,
        per_second=None,
        ceiling=None,
        paused_until=None,
    )

    assert advise_error(error, GONG, named=False).do == "wait until 2026-11-25 00:00:00Z"
    assert advise_quota(quota).do == "continue from 2026-11-25 00:00:00Z"


def test_an_address_that_gong_does_not_take(examine: Examine, fake: FakeGong) -> None:
    """If it refuses the made-up address, it has taken the credential."""
    fake.script(Fault.status(404))
    report = examine()

    assert report.stands("call") == (0, "note")
    assert "--email" in advice(report.of("call"))


def test_a_user_of_ones_own(examine: Examine, fake: FakeGong) -> None:
    """`--email` is asked about, and its status is reported."""
    fake.add_user("ana@example.com", valid=False, fix_url="https://app.gong.io/fix")
    fake.add_user("unknown@example.com", exists=False, valid=False)
    fine = examine("--email", "Dana@example.com")
    stopped = examine("--email", "ana@example.com")
    unknown = examine("--email", "unknown@example.com")

    assert fine.of("call").level == "ok"
    assert advice(stopped.of("call")) == "fix it at https://app.gong.io/fix"
    assert "check the address" in advice(unknown.of("call"))
    assert fake.received[0].json == {"emails": ["Dana@example.com"]}


def test_an_email_that_cannot_be_one(invoke: Invoke, fake: FakeGong) -> None:
    """That is wrong usage, and nothing is looked at."""
    done = invoke("doctor", "--email", "unknown")

    assert (done.exit_code, done.stdout, fake.connections_total) == (2, "", 0)
    assert "--email" in done.stderr


# The clock


@pytest.mark.parametrize(
    ("minutes", "level", "code", "words"),
    [
        (0, "ok", 0, "in sync with Gong's"),
        (3, "note", 0, "ahead of Gong's"),
        (-3, "note", 0, "behind Gong's"),
        (60, "problem", 1, "ahead of Gong's"),
    ],
)
def test_clocks(
    examine: Examine, fake: FakeGong, *, minutes: int, level: str, code: int, words: str
) -> None:
    """This machine's is compared with the date of the answer."""
    date = format_datetime(datetime.now(UTC) - timedelta(minutes=minutes), usegmt=True)
    body = b'{"requestId": "1", "users": []}'
    fake.script(Fault.status(200, headers={"Date": date}, body=body))
    report = examine()

    assert report.stands("clock") == (code, level)
    assert words in report.of("clock").seen


def test_a_date_that_is_none(examine: Examine, fake: FakeGong) -> None:
    """Nothing is said of the clock."""
    body = b'{"requestId": "1", "users": []}'
    fake.script(Fault.status(200, headers={"Date": "soon"}, body=body))
    report = examine()

    assert report.all("clock") == []
    assert report.of("call").level == "ok"


# The state directory


def test_no_time_zones(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a slim container: it says what to install; with them it says nothing."""
    before = examine("--offline").all("time zones")
    monkeypatch.setattr("zoneinfo._tzpath.TZPATH", ())
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    monkeypatch.setitem(sys.modules, "tzdata", None)
    for name in [name for name in sys.modules if name.startswith("tzdata.")]:
        monkeypatch.delitem(sys.modules, name)  # other tests have read zones
    report = examine("--offline")

    assert before == []
    assert report.stands("time zones") == (0, "note")
    assert "pip install tzdata" in advice(report.of("time zones"))


@pytest.mark.parametrize(("mode", "level", "code"), [(0o700, "ok", 0), (0o750, "note", 0),
                                                     (0o770, "problem", 1)])  # fmt: skip
@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_modes_of_the_directory(
    examine: Examine, state: Path, mode: int, level: str, code: int
) -> None:
    """Others may not look into it, and must not write to it. Nothing is changed."""
    (state / "limits.sqlite3").touch(mode=0o600)
    state.chmod(mode)
    report = examine("--offline")

    assert report.stands("state") == (code, level)
    assert level == "ok" or advice(report.of("state")) == f"chmod 700 {state}"
    assert stat.S_IMODE(state.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_volume_that_others_may_write_to(examine: Examine, state: Path) -> None:
    """A private directory is made in it, and is not there yet."""
    state.chmod(0o2775)
    before = examine("--offline")
    made = examine()
    after = examine("--offline")

    private = state / f"gong_async-{os.geteuid()}"
    assert [one.stands("state") for one in (before, made, after)] == [(0, "ok")] * 3
    assert before.of("state").seen == f"{private} does not exist yet, and can be created"
    assert after.of("state").seen == f"{private}, private to this user"


def test_no_home_directory(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to set, and the rest is looked at."""
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    report = examine(GONG_STATE_DIR="")

    assert report.stands("state") == (1, "problem")
    assert advice(report.of("state")).startswith("set GONG_STATE_DIR")
    assert "no call was made" in report.of("call").seen


def test_a_file_in_the_way(examine: Examine, tmp_path: Path) -> None:
    """A directory that cannot be made is a problem, and the call is not made without limits."""
    (tmp_path / "taken").touch()
    report = examine(GONG_STATE_DIR=str(tmp_path / "taken" / "state"))

    assert report.stands("state") == (1, "problem")
    assert "GONG_STATE_DIR" in advice(report.of("state"))
    assert "no call was made" in report.of("call").seen


@pytest.mark.parametrize("kind", ["nfs4", "vboxsf", "newfs"])
def test_a_file_system_that_may_be_on_a_network(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It is named, also before the directory is there."""
    table = tmp_path / "mountinfo"
    rows = f"1 0 8:1 / / rw - ext4 x rw\n2 1 0:1 / {tmp_path} rw - {kind} x rw\n"
    table.write_text(rows)
    monkeypatch.setattr("gong_async.cli.doctor.state.MOUNTS", table)
    report = examine("--offline")

    assert report.stands("state") == (1, "problem")
    assert f"({kind})" in report.of("state").seen
    assert ("GONG_LOCAL_FILE_SYSTEMS=" in advice(report.of("state"))) == (kind == "newfs")


@pytest.mark.parametrize(("free", "level"), [(2**20, "problem"), (2**26, "note"), (2**30, "ok")])
def test_room_on_the_disk(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    """Little room is noted, none is a problem."""
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    report = examine("--offline")

    assert report.stands("disk") == (int(level == "problem"), level)


@pytest.mark.parametrize(
    ("check", "name"), [("limits", "limits.sqlite3"), ("ledger", "ledger.sqlite3")]
)
def test_a_damaged_file(examine: Examine, state: Path, check: str, name: str) -> None:
    """It is named with what is lost by moving it away."""
    (state / name).write_bytes(b"not a database" * 500)
    report = examine("--offline")

    assert report.stands(check) == (1, "problem")
    assert str(state / name) in report.of(check).seen
    assert "move it away" in advice(report.of(check))


@not_root
def test_files_of_another_user(examine: Examine, state: Path) -> None:
    """Files that this user may not use, as a run with sudo leaves them, are a problem."""
    (state / "limits.sqlite3").touch(mode=0o400)
    report = examine("--offline")

    assert report.stands("files") == (1, "problem")
    assert "chown" in advice(report.of("files"))


def test_jobs(
    invoke: Invoke, examine: Examine, meetings: Callable[..., Path], fake: FakeGong, state: Path
) -> None:
    """Stopped jobs are named with how to go on, ended ones are counted."""
    quick = ("--per-second", "2000")
    stopped = invoke("bulk", "run", meetings(5), "--canary", "2", *quick).stdout.strip()
    invoke("bulk", "run", meetings(2, "others.csv"), "--no-skip-unchanged", *quick)
    report = examine("--offline")

    summary, job = report.all("jobs")
    assert report.exit_code == 0
    assert summary.seen == "0 running, 1 stopped, 1 ended"
    assert job.seen.startswith(f"{stopped} is paused, 3 of 5 pending: canary of 2")
    assert job.do.startswith(f"gong-async bulk resume {stopped}")


def test_a_job_that_was_killed(
    start: Callable[..., subprocess.Popen[str]],
    examine: Examine,
    meetings: Callable[..., Path],
    fake: FakeGong,
) -> None:
    """While it runs it is counted as running; after kill -9 it is interrupted."""
    process = start("bulk", "run", meetings(900), "--per-second", "20")
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    until = time.monotonic() + 60
    while not fake.applied_count:
        assert time.monotonic() < until
        time.sleep(0.02)
    (running,) = examine("--offline").all("jobs")
    process.kill()
    process.wait()
    _, job = examine("--offline").all("jobs")

    assert running.seen == "1 running, 0 stopped, 0 ended"
    assert job.seen.startswith(f"{name} is interrupted")
    assert f"gong-async bulk resume {name}" in job.do


def test_a_waiting_job(
    invoke: Invoke, examine: Examine, meetings: Callable[..., Path], state: Path
) -> None:
    """The time from which it can be resumed is reported."""
    invoke("bulk", "run", meetings(5), "--per-second", "2000", "--per-day", "3")
    _, job = examine("--offline").all("jobs")

    assert " is waiting, " in job.seen
    assert job.do.startswith("from 20")
    assert "--wait: gong-async bulk resume" in job.do


def test_a_damaged_journal(examine: Examine, state: Path) -> None:
    """It hides no other finding."""
    (state / "jobs").mkdir()
    (state / "jobs" / "20261124-aaaaaaaa.sqlite3").write_bytes(b"not a database" * 500)
    report = examine("--offline")

    assert (report.exit_code, report.problems) == (1, ["jobs"])
    assert "restore it from a backup" in advice(report.all("jobs")[0])
    assert report.of("locks").level == "ok"


def test_a_lock_that_was_left_over(examine: Examine, state: Path) -> None:
    """A lock without its journal is noted."""
    (state / "jobs").mkdir()
    (state / "jobs" / "20261124-aaaaaaaa.sqlite3.lock").touch()
    report = examine("--offline")

    assert report.stands("locks") == (0, "note")
    assert "1 lock without a journal" in report.of("locks").seen
