"""No call for what Gong has already: the ledger of what earlier jobs were acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gong_async import BulkOptions, GongClient, MeetingChange, RetryPolicy
from gong_async.bulk import job as job_module
from gong_async.testing import FakeGong, Fault

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(autouse=True)
def quick_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a meeting settle in a moment instead of 30 s."""
    monkeypatch.setattr(job_module, "SETTLE_SECONDS", 0.05)


async def run(gong: GongClient, changes: list[MeetingChange], state: Path, **options: Any) -> Any:
    """Run a job to its end; return its status."""
    options = {"check_organizers": False, **options}
    job = gong.bulk(changes, state_dir=state, options=BulkOptions(**options))
    async for _ in job.run():
        pass
    return await job.status()


def remove_ledger(state: Path) -> None:
    """Lose the ledger."""
    for path in state.glob("ledger*"):
        path.unlink()


async def test_the_same_changes_again_send_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Not even the check of the organizers: 0 requests."""
    changes = [change(n, f"T {n}") for n in range(100)]
    async with client(fake) as gong:
        await run(gong, changes, state, check_organizers=True)
        sent = fake.received_count
        again = await run(gong, changes, state, check_organizers=True)

    assert fake.received_count == sent == 101
    assert (again.state, again.skipped["unchanged"]) == ("completed", 100)


async def test_only_what_has_changed_is_sent(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """One field is enough."""
    async with client(fake) as gong:
        await run(gong, [change(n) for n in range(10)], state)
        sent = fake.received_count
        again = await run(
            gong, [change(n, "New" if n < 3 else "Renewal") for n in range(12)], state
        )

    assert fake.received_count - sent == 3 + 2
    assert again.skipped["unchanged"] == 7


async def test_what_came_back_is_sent(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The last acknowledged state counts, not any earlier one."""
    async with client(fake) as gong:
        for title in ("a", "b", "a"):
            await run(gong, [change(1, title)], state)

    assert [applied.body["title"] for applied in fake.applied] == ["a", "b", "a"]


async def test_it_can_be_switched_off(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """For meetings that were changed elsewhere meanwhile."""
    async with client(fake) as gong:
        await run(gong, [change(1)], state)
        await run(gong, [change(1)], state, skip_unchanged=False)

    assert fake.applied_count == 2


async def test_another_companys_job_counts_for_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Meeting 1 of another company is another meeting."""
    async with FakeGong(per_second=None, per_day=None) as other:
        async with client(fake) as gong, client(other) as elsewhere:
            await run(gong, [change(1)], state)
            await run(elsewhere, [change(1)], state)

        assert (fake.applied_count, other.applied_count) == (1, 1)


async def test_a_doubt_in_between_prevents_the_skip(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A acknowledged, b in doubt: the state is unknown, so that a is sent again."""
    async with client(fake, retry=ONCE) as gong:
        await run(gong, [change(1, "a")], state)
        fake.script(Fault.drop_after(), on="1")
        doubtful = await run(gong, [change(1, "b")], state)
        last = await run(gong, [change(1, "a")], state)

    assert doubtful.counts["in_doubt"] == 1
    assert last.skipped["unchanged"] == 0
    assert [applied.body["title"] for applied in fake.applied] == ["a", "b", "a"]


async def test_after_an_acknowledgement_a_doubt_is_over(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """a, b in doubt, a again: from then on a is known."""
    async with client(fake, retry=ONCE) as gong:
        await run(gong, [change(1, "a")], state)
        fake.script(Fault.drop_after(), on="1")
        await run(gong, [change(1, "b")], state)
        await run(gong, [change(1, "a")], state)
        last = await run(gong, [change(1, "a")], state)

    assert last.skipped["unchanged"] == 1


async def test_a_failure_in_between_does_not_prevent_the_skip(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """What Gong has refused has changed nothing."""
    async with client(fake) as gong:
        await run(gong, [change(1, "a")], state)
        fake.script(Fault.status(400), on="1")
        failed = await run(gong, [change(1, "b")], state)
        sent = fake.received_count
        last = await run(gong, [change(1, "a")], state)

    assert failed.counts["failed"] == 1
    assert last.skipped["unchanged"] == 1
    assert fake.received_count == sent


async def test_a_failure_does_not_end_another_jobs_doubt(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A acknowledged, b in doubt, c rejected: the state is still unknown."""
    async with client(fake, retry=ONCE) as gong:
        await run(gong, [change(1, "a")], state)
        fake.script(Fault.drop_after(), on="1")
        await run(gong, [change(1, "b")], state)
        fake.script(Fault.status(400), on="1")
        await run(gong, [change(1, "c")], state)
        last = await run(gong, [change(1, "a")], state)

    assert last.skipped["unchanged"] == 0


async def test_an_update_that_a_dead_process_left_open_prevents_the_skip(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """The claim is made with the intent, before the request leaves."""
    async with client(fake) as gong:
        await run(gong, [change(1, "a")], state)
        claims: list[list[tuple[Any, ...]]] = []

        def look() -> float:
            statement = "SELECT unsettled IS NOT NULL FROM meeting"
            claims.append(query(state / "ledger.sqlite3", statement))
            return 0.0

        fake.latency = look
        await run(gong, [change(1, "b")], state)
        after = query(state / "ledger.sqlite3", "SELECT unsettled FROM meeting")

    assert claims == [[(1,)]]
    assert after == [(None,)]


async def test_with_keep_order_a_change_back_is_sent(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Known is a; given are a, b, a: only the first is left out."""
    async with client(fake) as gong:
        await run(gong, [change(1, "a")], state)
        changes = [change(1, title) for title in ("a", "b", "a")]
        status = await run(gong, changes, state, keep_order=True)

    assert [applied.body["title"] for applied in fake.applied] == ["a", "b", "a"]
    assert (status.skipped["unchanged"], status.counts["succeeded"]) == (1, 2)


async def test_what_was_known_before_a_job_is_kept_for_undo(
    fake: FakeGong, client: Client, change: Change, query: Query, state: Path
) -> None:
    """Only of meetings that earlier jobs have set, and as it was before the first change here."""
    async with client(fake) as gong:
        await run(gong, [change(1, "before")], state)
        changes = [change(1, "a"), change(1, "b"), change(2, "c")]
        options = BulkOptions(check_organizers=False, keep_order=True)
        job = gong.bulk(changes, state_dir=state, options=options)
        async for _ in job.run():
            pass
        kept = query(job.path, "SELECT meeting_id, body FROM before")

    first = next(request.body for request in fake.received)
    assert kept == [("1", first)]


async def test_a_lost_ledger_costs_calls_and_nothing_else(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """Without it nothing is known, and everything is sent."""
    async with client(fake) as gong:
        await run(gong, [change(1)], state)
        remove_ledger(state)
        status = await run(gong, [change(1)], state)

    assert (status.state, fake.applied_count) == ("completed", 2)
