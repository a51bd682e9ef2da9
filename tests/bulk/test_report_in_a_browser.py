"""The page in a headless Chromium: nothing is loaded, blocked or too wide, and search works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gong_async.bulk.reports.export import write_atomically
from gong_async.bulk.reports.page import html_page
from gong_async.testing import FakeGong, Fault

from .chromium import MISSING, PROGRAM, Page, open_page
from .jobs import Jobs, change
from .test_report import HOSTILE

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
    pytest.mark.may_block("the reports are for commands and threads"),
]
SHOWN = (
    "[...document.querySelectorAll('#item-results tbody tr')].map(row => row.cells[1].innerText)"
)


@pytest.fixture
async def file(fake: FakeGong, tmp_path: Path) -> Path:
    """Write the report on a job with hostile texts, more than one table, and personal data."""
    fake.add_user("lee@example.com", valid=False, user_facing_error=HOSTILE)
    fake.script(Fault.status(400, errors=(HOSTILE,)), on=change(7).meeting_id)
    fake.script(Fault.drop_after(), on=change(8).meeting_id)
    jobs = Jobs(fake, tmp_path / "state")
    aside = change(550, organizer_email="lee@example.com", title=HOSTILE)
    job = await jobs.run([*(change(n, title=f"Review {n}") for n in range(550)), aside])
    file = tmp_path / "report.html"
    write_atomically(file, html_page(job, personal=True))
    return file


@pytest.fixture
async def page(tmp_path: Path, file: Path) -> AsyncIterator[Page]:
    """Open the report."""
    async with open_page(tmp_path) as page:
        await page.load(file)
        yield page


async def test_the_page_in_a_browser(page: Page, file: Path) -> None:
    """It makes no request, no complaint, and runs nothing that is foreign."""
    rows = await page.run("document.querySelectorAll('#item-list tbody tr').length")
    background = await page.run("getComputedStyle(document.body).backgroundColor")

    assert rows == 551
    assert background == "rgb(245, 246, 248)"  # the style is applied
    assert page.requests == [file.as_uri()]
    assert page.complaints == []


async def test_search(page: Page) -> None:
    """Rows are found by their words, whatever table they are in; a cleared field shows all."""
    await page.type_into("#item-query", f"review {change(549).meeting_id}")
    await page.wait_for("document.querySelector('#item-count').value === '1 of 551 items'")
    found = await page.run(SHOWN)
    await page.run("document.querySelector('#item-query').value = ''; 0")
    await page.type_into("#item-query", " ")
    await page.wait_for("document.querySelector('#item-results').hidden")

    assert found == [change(549).meeting_id]
    assert page.complaints == []


async def test_states(page: Page) -> None:
    """Rows are found by their state, and many of them in steps."""
    choose = (
        "(state => { const field = document.querySelector('#item-state'); field.value = state;"
        "field.dispatchEvent(new Event('change')); })"
    )
    await page.run(f"{choose}('failed')")
    failed = await page.run(SHOWN)
    await page.run(f"{choose}('succeeded')")
    some = await page.run(f"{SHOWN}.length")
    await page.run("document.querySelector('#item-results button').click()")
    more = await page.run(f"{SHOWN}.length")

    assert failed == [change(7).meeting_id]
    assert (some, more) == (200, 400)


async def test_a_narrow_window(page: Page) -> None:
    """At 380 pixels nothing has to be scrolled sideways."""
    await page.resize(380)
    wide = await page.run("document.documentElement.scrollWidth")

    assert wide <= 380


async def test_without_scripts(page: Page, file: Path) -> None:
    """Without scripts, all items are there, and no field that would do nothing."""
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.call("Page.reload")
    await page.wait_for("document.readyState === 'complete'")
    hidden = await page.run("document.querySelector('#item-controls').hidden")
    rows = await page.run("document.querySelectorAll('#item-list tbody tr').length")

    assert (hidden, rows) == (True, 551)
