"""Reports on a job: a page for a browser, and Markdown for a ticket."""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import tracemalloc
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import define, field

from gong_async import ConfigurationError, GongClient, JournalError, Limits
from gong_async.bulk.reports.overview import ticket
from gong_async.bulk.reports.page import html_page
from gong_async.bulk.reports.purge import purge
from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong, Fault

from .jobs import Jobs, change

pytestmark = pytest.mark.may_block("what is tested is for commands and threads")

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&lt; "
    "[x](javascript:alert(3)) ```` @team **b** https://evil.example \u202e\x1b[2J\n# head"
)
VOID = frozenset({"meta", "input", "rect", "line", "polygon"})
CLOSES_ITSELF = frozenset({"tr", "th", "td"})


@define
class Reader(HTMLParser):
    """Reads a page as a browser does: elements, attributes, texts."""

    elements: list[tuple[str, dict[str, str | None]]] = field(factory=list)
    texts: list[str] = field(factory=list)
    contents: dict[str, str] = field(factory=dict)
    """Contents of the last script and style."""
    open: list[str] = field(factory=list)
    unbalanced: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, page: str) -> Reader:
        """Read a page."""
        reader = cls()
        reader.feed(page)
        reader.close()
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID | CLOSES_ITSELF:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of an element."""
        if tag not in VOID | CLOSES_ITSELF and (not self.open or self.open.pop() != tag):
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        """Note a text, or what is in a script or style."""
        if self.open and self.open[-1] in {"script", "style"}:
            self.contents[self.open[-1]] = data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that a reader sees."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def jobs(fake: FakeGong, tmp_path: Path) -> Jobs:
    """Make jobs in a state directory of their own."""
    return Jobs(fake, tmp_path / "state")


@pytest.fixture
async def job(fake: FakeGong, jobs: Jobs) -> JobFile:
    """Run a job of which each kind of item is one: 2 succeeded, 1 failed, in doubt, skipped."""
    fake.missing_meetings.add(change(1).meeting_id)
    fake.add_user(
        "lee@example.com",
        valid=False,
        user_facing_error="The calendar is gone",
        fix_url="https://app.gong.io/fix",
    )
    fake.script(Fault.drop_after(), on=change(2).meeting_id)
    skipped = change(3, organizer_email="lee@example.com", title="Secret plan")
    return await jobs.run([change(0), change(1), change(2), skipped, change(4)])


def page_of(job: JobFile, *, personal: bool = False) -> str:
    """Return the page as its file has it."""
    return "".join(f"{line}\n" for line in html_page(job, personal=personal))


def ticket_of(job: JobFile, *, personal: bool = False) -> str:
    """Return the ticket."""
    return "\n".join(ticket(job, personal=personal))


async def test_the_page_says_what_happened(job: JobFile) -> None:
    """Counts, the cause in Gong's words, the organizer to fix, the item in doubt, each item."""
    page = Reader.of(page_of(job))

    assert "2 of 5 changes succeeded; 1 failed, 1 in doubt, 1 skipped." in page.text
    assert "1 item: NotFoundError Gong answered 404 Not Found: The given meeting ID" in page.text
    assert "organizer 2 1 The calendar is gone https://app.gong.io/fix" in page.text
    assert f"gong-async bulk resume {job.status().id} sends each again" in page.text
    assert page.text.count(change(4).meeting_id) == 1
    assert page.unbalanced == page.open == []


async def test_the_ticket_says_the_same(job: JobFile) -> None:
    """The same facts as Markdown."""
    text = ticket_of(job)

    assert "| 2 | succeeded | Gong acknowledged the update. |" in text
    assert "`NotFoundError: Gong answered 404 Not Found: The given meeting ID was not" in text
    assert "`organizer 2`, 1 item: `The calendar is gone`, <https://app.gong.io/fix>" in text
    assert f"- item 3: meeting `{change(2).meeting_id}`, last request 20" in text


@pytest.mark.parametrize("report", [page_of, ticket_of])
async def test_the_same_journal_gives_the_same_report(
    job: JobFile, report: Callable[[JobFile], str]
) -> None:
    """Nothing of the moment or the process is in it."""
    assert report(job) == report(job)


@pytest.mark.parametrize("report", [page_of, ticket_of])
async def test_personal_data_is_left_out(job: JobFile, report: Callable[..., str]) -> None:
    """Addresses, organizers and titles are only there when they are asked for."""
    without, with_it = report(job), report(job, personal=True)

    assert "example.com" not in without and "Secret plan" not in without
    assert "lee@example.com" in with_it
    assert ("Secret plan" in with_it) is (report is page_of)


@pytest.mark.parametrize("report", [page_of, ticket_of])
@pytest.mark.parametrize(
    ("title", "quoted"),
    [
        ("Secret plan " + "x" * 10_000, "Secret plan " + "x" * 10_000),
        ("Secret plan to buy the company", "Secret plan to buy..."),
        ("Secret <plan> & more", "Secret &lt;plan&gt; &amp; more"),
        ("Secret plan f\u00fcr alle", "Secret plan f\\u00fcr alle"),
        ("Secret plan", "x" * 455 + " Secret plan, and so on " + "x" * 80),
    ],
)
async def test_a_title_that_is_cut_or_escaped_is_left_out(
    fake: FakeGong, jobs: Jobs, report: Callable[..., str], title: str, quoted: str
) -> None:
    """Messages are cut where they are too long, and servers escape what they quote."""
    fake.script(Fault.status(400, errors=(f"no {quoted}",)), on=change(0).meeting_id)
    job = await jobs.run([change(0, title=title)])

    assert "Secret" not in report(job) and "Secret" in report(job, personal=True)


async def test_a_link_with_an_address_is_personal(fake: FakeGong, jobs: Jobs) -> None:
    """A link of Gong's that names a person is left out, too."""
    fix = "https://app.gong.io/fix?user=dana%40example.com"
    fake.add_user("dana@example.com", valid=False, fix_url=fix)
    job = await jobs.run([change(0)])

    assert "app.gong.io" not in page_of(job)
    assert fix in page_of(job, personal=True)


@pytest.mark.parametrize("personal", [False, True])
async def test_hostile_text_stays_text(fake: FakeGong, jobs: Jobs, *, personal: bool) -> None:
    """Titles and errors add no element, attribute, script or control character to the page."""
    fake.add_user("dana@example.com", valid=False, user_facing_error=HOSTILE)
    fake.script(Fault.status(400, errors=(f"no: {HOSTILE[8:]}",)), on=change(1).meeting_id)
    other = change(1, title=HOSTILE, organizer_email="lee@example.com")
    hostile = page_of(await jobs.run([change(0, title=HOSTILE), other]), personal=personal)

    page = Reader.of(hostile)
    names = {name for _, attributes in page.elements for name in attributes}
    scripts = [tag for tag, _ in page.elements if tag in {"script", "style", "img", "iframe"}]
    assert scripts == ["style", "script"]
    assert not [name for name in names if name.startswith("on") or name in {"style", "src"}]
    assert "</script><script>alert(1)</script>" in page.text
    assert hostile.replace("\n", "").isprintable() and hostile.isascii()


async def test_hostile_text_stays_code(fake: FakeGong, jobs: Jobs) -> None:
    """In a ticket, foreign text is inside of a code span on one line; nothing in it can end it."""
    fake.add_user("dana@example.com", valid=False, user_facing_error=HOSTILE)
    text = ticket_of(await jobs.run([change(0)]), personal=True)

    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert text.count("alert(2)") == 2
    assert not [sign for sign in ("alert", "@", "**b**", "evil", "# head") if sign in outside]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://app.gong.io/fix",
        "https://user:word@app.gong.io/",
        'https://app.gong.io/"onclick="alert(1)',
        "https:app.gong.io",
        "https://app.gong.io/ x",
        "https://[app.gong.io/",
    ],
)
async def test_a_link_leads_to_a_web_site(fake: FakeGong, jobs: Jobs, url: str) -> None:
    """What is no plain https link is no link of a report."""
    fake.add_user("dana@example.com", valid=False, fix_url=url)
    job = await jobs.run([change(0)])

    page = Reader.of(page_of(job, personal=True))
    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    assert [link for link in links if not link.startswith("#")] == []
    assert "](" not in ticket_of(job, personal=True) and "<http" not in ticket_of(job)


async def test_the_policy_permits_only_what_is_in_the_page(job: JobFile) -> None:
    """The policy names the hash of the one script and the one style, and forbids the rest."""
    page = Reader.of(page_of(job))
    (policy,) = (
        attributes["content"] or ""
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )

    hashes = {
        kind: base64.b64encode(hashlib.sha256(page.contents[kind].encode()).digest()).decode()
        for kind in ("script", "style")
    }
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


async def test_the_page_is_accessible(job: JobFile) -> None:
    """Headings in order, heads of tables with their scope, a label for each field."""
    page = Reader.of(page_of(job, personal=True))

    found = [(tag, attributes) for tag, attributes in page.elements]
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    heads = [attributes.get("scope") for tag, attributes in found if tag == "th"]
    fields = {attributes["id"] for tag, attributes in found if tag in {"input", "select"}}
    labels = {attributes["for"] for tag, attributes in found if tag == "label"}
    tables = sum(tag == "table" for tag, _ in found)
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    assert set(heads) == {"col", "row"}
    assert fields == labels == {"item-query", "item-state"}
    assert tables == sum(tag == "caption" for tag, _ in found)


async def test_requests_are_counted_over_time(fake: FakeGong, jobs: Jobs) -> None:
    """Bars for acknowledged and rejected requests, beside the quota of the run."""
    fake.missing_meetings.add(change(1).meeting_id)
    job = await jobs.run([change(n) for n in range(4)])
    with job.writing() as connection:
        connection.execute("UPDATE attempt SET sent_at = 1795705200.5 + 90000 * item_index")
        connection.execute("UPDATE job SET value = 3 WHERE name = 'per_second'")
        connection.execute("UPDATE job SET value = 10000 WHERE name = 'per_day'")

    page = Reader.of(page_of(job))

    bars = [attributes["class"] for tag, attributes in page.elements if tag == "rect"]
    assert bars == ["accepted", "other", "accepted", "accepted"]
    assert "In the busiest hour: 1 (quota: 10,000); within 24 hours: 1 (quota: 10,000)." in (
        page.text
    )


async def test_the_quota_is_that_of_the_run(
    fake: FakeGong, client: Callable[..., GongClient], tmp_path: Path
) -> None:
    """The journal keeps the limits of the client that ran the job."""
    async with client(fake, limits=Limits(per_second=40, per_day=500)) as gong:
        job = gong.bulk([change(0)], state_dir=tmp_path / "state")
        async for _ in job.run():
            pass

    assert "(quota: 40); within 24 hours: 1 (quota: 500)." in ticket_of(JobFile(job.path))


async def test_a_job_that_has_not_run(jobs: Jobs) -> None:
    """A planned job has a report, too."""
    job = await jobs.plan([change(0)])

    page = Reader.of(page_of(job))

    assert "The job has not run yet." in page.text and "No update was sent." in page.text
    assert f"Continue it with gong-async bulk resume {job.status().id}" in page.text


async def test_a_purged_job(jobs: Jobs, job: JobFile) -> None:
    """After a purge there is nothing personal to include."""
    with job.writing() as connection:
        connection.execute("UPDATE item SET state = 'failed' WHERE state = 'in_doubt'")
    purge(job, jobs.ledger)

    page = page_of(job, personal=True)

    assert "The contents of this job were purged." in page and "organizer 2" in page
    assert "example.com" not in page and "--failed" not in page


async def test_memory_does_not_grow_with_items(jobs: Jobs) -> None:
    """The page is written in pieces; its size is not held in memory."""
    job = await jobs.plan([change(0)])
    with job.writing() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            "INSERT INTO item (item_index, meeting_id, organizer, digest, state, message) "
            "SELECT i, 7782342274025937000 + i, 1, x'', 'failed', 'not found' FROM n"
        )
        connection.execute("UPDATE tally SET items = 20000 WHERE state = 'failed'")
    tracemalloc.start()

    size = sum(map(len, html_page(job)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 1_500_000
    assert most < 1_000_000


@pytest.mark.parametrize("form", ["html", "md"])
async def test_a_program_writes_a_report(
    fake: FakeGong, client: Callable[..., GongClient], tmp_path: Path, form: str
) -> None:
    """`BulkJob.write_report` writes the file, for its owner alone."""
    file = tmp_path / f"report.{form}"
    async with client(fake) as gong:
        job = gong.bulk([change(0)], state_dir=tmp_path / "state")
        async for _ in job.run():
            pass
        await job.write_report(file, format="html" if form == "html" else "md")

    report = page_of if form == "html" else ticket_of
    assert file.read_text("utf-8").rstrip() == report(JobFile(job.path)).rstrip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_reports_that_cannot_be_written(
    fake: FakeGong, client: Callable[..., GongClient], tmp_path: Path
) -> None:
    """An unknown format, and a job without a journal, leave no file."""
    file = tmp_path / "report"
    async with client(fake) as gong:
        job = gong.bulk([change(0)], state_dir=tmp_path / "state")
        with pytest.raises(JournalError, match="there is no journal"):
            await job.write_report(file)
        with pytest.raises(ConfigurationError, match="must be html or md"):
            await job.write_report(file, format="pdf")  # type: ignore[arg-type]

    assert not file.exists()
