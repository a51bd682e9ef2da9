"""The limits' file by itself: slots, day, restarts of the machine, and files that are no such."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define

from gong_async import ConfigurationError, DailyQuotaExceededError, Limits, RateLimitError
from gong_async._storage.database import Database
from gong_async.limits.load import EVERY, FORGOTTEN, Load, Report
from gong_async.limits.sqlite.state_file import HORIZON, Clocks, Reservation, StateFile
from gong_async.limits.sqlite.tables import LIMITS
from gong_async.limits.types import PermitOutcome

EVEN = Limits(per_second=1, per_day=None, headroom=0, learns=False)
COMPANY = "https://api.gong.io 0123456789ab"
VERSION_2 = Path(__file__).parent / "version_2" / "limits.sql"
"""A dump of a file in which three calls of five were made, and Gong throttled the last."""
DAY = 86_400.0


@define
class Machine:
    """Clocks that stand still until they are moved, and the ledgers that go by them."""

    path: Path
    steady: float = 1000.0
    wall: float = 1_700_000_000.0
    boot: str = "first"

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on."""
        self.steady += seconds
        self.wall += seconds

    def state_file(self) -> StateFile:
        """Open the file as a process would."""
        clocks = Clocks(lambda: self.boot, lambda: self.steady, lambda: self.wall)
        return StateFile(Database(self.path, LIMITS), clocks)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with an empty state directory."""
    return Machine(tmp_path / "limits.sqlite3")


@pytest.fixture
def state_file(machine: Machine) -> Iterator[StateFile]:
    """Open the file as a process would."""
    state_file = machine.state_file()
    yield state_file
    state_file.database.close()


def ask(state_file: StateFile, reservation: Reservation, limits: Limits = EVEN) -> float:
    """Ask for a permit; return the seconds to wait."""
    return state_file.ask(COMPANY, limits, reservation, "interactive", 60.0)[0]


def use_up(state_file: StateFile, machine: Machine, limits: Limits, calls: int) -> None:
    """Take permits, one a second."""
    for _ in range(calls):
        assert not ask(state_file, Reservation(), limits)
        machine.pass_time(1)


def pause(state_file: StateFile, seconds: float) -> None:
    """Let Gong throttle a call."""
    state_file.settle(
        COMPANY,
        EVEN,
        Reservation(),
        PermitOutcome(0.0, probed=False, accepted=False, pause=seconds),
    )


def waits(state_file: StateFile, reservation: Reservation | None = None) -> tuple[int, int, int]:
    """Return the calls that wait, by priority, and those in flight."""
    quota = state_file.quota(COMPANY, EVEN, reservation or Reservation())
    return quota.waiting["interactive"], quota.waiting["bulk"], quota.in_flight


def rows(machine: Machine) -> list[tuple[object, ...]]:
    """Return what stands in the file of those who wait."""
    with sqlite3.connect(machine.path) as file:
        found = file.execute("SELECT * FROM load").fetchall()
    file.close()
    return found


def test_slots_are_reserved_in_the_order_of_asking(state_file: StateFile) -> None:
    """The first goes at once, and each of the others one interval behind the one before."""
    assert [ask(state_file, Reservation()) for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_reserved_slot_is_kept_and_then_granted(machine: Machine, state_file: StateFile) -> None:
    """Asking early reserves nothing anew; at its time, or a little later, the slot is good."""
    reservation = Reservation()
    ask(state_file, Reservation())
    waits = [ask(state_file, reservation)]
    for seconds in (0.5, 0.6):
        machine.pass_time(seconds)
        waits.append(ask(state_file, reservation))

    assert waits == pytest.approx([1, 0.5, 0])


def test_a_missed_slot_is_reserved_anew(machine: Machine, state_file: StateFile) -> None:
    """Used late it would come close upon the next one, which is reserved for another."""
    late, other = Reservation(), Reservation()
    for reservation in (Reservation(), late, other):
        ask(state_file, reservation)
    machine.pass_time(1.5)

    assert ask(state_file, late) == pytest.approx(1.5)


def test_dead_reservations_cost_their_slots_only(machine: Machine, state_file: StateFile) -> None:
    """Five that never come back delay no other for longer than their five slots."""
    for _ in range(6):
        ask(state_file, Reservation())
    survivor = Reservation()
    wait = ask(state_file, survivor)
    machine.pass_time(wait)

    assert (wait, ask(state_file, survivor)) == (6, 0)


def test_no_slot_is_reserved_beyond_the_horizon(state_file: StateFile) -> None:
    """However many die or leave: the next slot is never more than half a minute away."""
    for _ in range(500):
        ask(state_file, Reservation())
    late = Reservation()
    wait = ask(state_file, late)

    assert late.slot is None
    assert 0 < wait <= HORIZON + 1


def test_only_one_probes_after_a_pause(machine: Machine, state_file: StateFile) -> None:
    """The others look again ten times a second, until the probe has come back."""
    ask(state_file, Reservation())
    pause(state_file, 30)
    held = ask(state_file, Reservation())
    machine.pass_time(30)
    probe = state_file.ask(COMPANY, EVEN, Reservation(), "bulk", 60.0)
    machine.pass_time(5)
    others = [ask(state_file, Reservation()) for _ in range(3)]
    state_file.settle(
        COMPANY, EVEN, Reservation(), PermitOutcome(0.0, probed=True, accepted=True, pause=None)
    )

    assert (held, probe, others) == (30, (0, True), [0.1] * 3)
    assert state_file.ask(COMPANY, EVEN, Reservation(), "bulk", 60.0) == (0, False)


def test_a_pause_beyond_max_wait_raises(state_file: StateFile) -> None:
    """Nothing sleeps for hours; the error says until when."""
    pause(state_file, 3600)

    with pytest.raises(RateLimitError) as caught:
        ask(state_file, Reservation())
    assert caught.value.retry_after == pytest.approx(3600)


def test_a_restart_of_the_machine_frees_slots_and_keeps_pause_and_count(
    machine: Machine, state_file: StateFile
) -> None:
    """Steady time begins anew: what is left of the pause is taken from the wall clock."""
    for _ in range(20):
        ask(state_file, Reservation())
    pause(state_file, 50)
    machine.boot, machine.steady = "second", 2000.0
    machine.wall += 20
    after = machine.state_file()
    held = ask(after, Reservation())
    machine.pass_time(30)
    wait = ask(after, Reservation())
    used = after.quota(COMPANY, EVEN, Reservation()).used_today
    after.database.close()

    assert held == pytest.approx(30)
    assert (wait, used) == (0, 2)


def test_a_pause_of_a_wrong_clock_lasts_no_longer_than_a_day(
    machine: Machine, state_file: StateFile
) -> None:
    """What an older version stored for ten years does not outlive its process."""
    ask(state_file, Reservation())
    pause(state_file, 1_795_721_000)
    machine.boot = "second"
    after = machine.state_file()
    quota = after.quota(COMPANY, EVEN, Reservation())
    after.database.close()

    assert quota.paused_until is not None
    assert quota.paused_until.timestamp() - machine.wall <= DAY


def test_a_restart_is_noticed_without_a_boot_id(machine: Machine, state_file: StateFile) -> None:
    """Steady time that ran backwards says enough; the clock set back lengthens no pause."""
    ask(state_file, Reservation())
    pause(state_file, 50)
    machine.steady = 5.0
    machine.wall -= 1_000_000

    assert ask(state_file, Reservation()) == pytest.approx(50)


def test_the_count_of_the_day_outlives_its_process(machine: Machine, state_file: StateFile) -> None:
    """It is over for the next process, too, until a day has passed."""
    limits = Limits(per_second=None, per_day=5)
    use_up(state_file, machine, limits, 5)
    state_file.database.close()

    with pytest.raises(DailyQuotaExceededError):
        ask(state_file, Reservation(), limits)
    machine.pass_time(DAY + 61)
    assert ask(state_file, Reservation(), limits) == 0


def test_a_clock_set_back_frees_no_calls_and_blocks_none(
    machine: Machine, state_file: StateFile
) -> None:
    """Calls counted in what is now the future count as made now: they are gone a day later."""
    limits = Limits(per_second=None, per_day=5)
    use_up(state_file, machine, limits, 5)
    machine.wall -= 365 * DAY

    with pytest.raises(DailyQuotaExceededError) as caught:
        ask(state_file, Reservation(), limits)
    assert caught.value.retry_after <= DAY + 60
    machine.pass_time(DAY + 61)
    assert ask(state_file, Reservation(), limits) == 0


def test_bulk_calls_leave_the_reserve(machine: Machine, state_file: StateFile) -> None:
    """Bulk calls end before interactive ones do."""
    limits = Limits(per_second=None, per_day=10, reserve=4)
    use_up(state_file, machine, limits, 6)

    with pytest.raises(DailyQuotaExceededError):
        state_file.ask(COMPANY, limits, Reservation(), "bulk", 60.0)
    assert ask(state_file, Reservation(), limits) == 0


def test_bulk_calls_leave_their_part_of_each_second(state_file: StateFile) -> None:
    """Between two bulk calls there is room for an interactive one, which need not wait longer."""
    limits = Limits(per_second=1, per_day=None, headroom=0, learns=False, reserved_share=0.5)
    waits = [state_file.ask(COMPANY, limits, Reservation(), "bulk", 60.0)[0] for _ in range(2)]

    assert (waits, ask(state_file, Reservation(), limits)) == ([0, 2], 1)


def test_what_was_learned_outlives_its_process(machine: Machine, state_file: StateFile) -> None:
    """A 429 makes the rate slower, for the next process as well."""
    limits = Limits(per_second=10, per_day=None)
    ask(state_file, Reservation(), limits)
    refusal = PermitOutcome(machine.steady, probed=False, accepted=False, pause=1.0)
    state_file.settle(COMPANY, limits, Reservation(), refusal)
    state_file.database.close()
    rate = state_file.quota(COMPANY, limits, Reservation()).per_second

    assert rate is not None
    assert rate < 1 / limits.interval


def test_accepted_calls_are_learned_from_with_the_next_question(state_file: StateFile) -> None:
    """They cost no transaction of their own."""
    reservation = Reservation(
        settled=[PermitOutcome(1000.0, probed=False, accepted=True, pause=None)] * 3
    )
    ask(state_file, reservation, Limits(per_second=10))

    assert reservation.settled == []
    assert reservation.seen is not None
    assert reservation.seen.rate is not None
    assert reservation.seen.rate.calls == 3


def test_the_quota_has_the_load_of_all_queues(machine: Machine, state_file: StateFile) -> None:
    """The numbers of all queues of the company, one's own included, and each of them once."""
    one, other = (
        Reservation(report=Report(Load(1, 20, 3))),
        Reservation(report=Report(Load(bulk=7))),
    )
    ask(state_file, one)
    ask(state_file, other)
    state_file.ask("other", EVEN, Reservation(report=Report(Load(9, 9, 9))), "bulk", 60.0)

    assert waits(state_file) == waits(state_file, one) == waits(state_file, other) == (1, 27, 3)


def test_the_load_is_written_at_most_once_a_second(machine: Machine, state_file: StateFile) -> None:
    """A call's own transactions take the numbers along, and nearly all have none to take."""
    reservation = Reservation(report=Report(Load(bulk=100)))
    ask(state_file, reservation)
    machine.pass_time(EVERY / 2)
    reservation.report.load = Load(bulk=99)
    ask(state_file, reservation)
    early = waits(state_file)
    machine.pass_time(EVERY / 2)
    ask(state_file, reservation)

    assert (early, waits(state_file)) == ((0, 100, 0), (0, 99, 0))


def test_an_empty_queue_has_no_row(machine: Machine, state_file: StateFile) -> None:
    """An empty queue leaves no row behind."""
    reservation = Reservation(report=Report(Load(bulk=1)))
    state_file.publish(COMPANY, reservation)
    machine.pass_time(EVERY)
    reservation.report.load = Load()
    state_file.publish(COMPANY, reservation)

    assert waits(state_file) == (0, 0, 0)
    assert rows(machine) == []


def test_old_numbers_are_forgotten(machine: Machine, state_file: StateFile) -> None:
    """Those of a process that hangs, or of before a restart; their rows go with them."""
    state_file.publish(COMPANY, Reservation(report=Report(Load(bulk=1))))
    machine.pass_time(FORGOTTEN)
    fresh = waits(state_file)
    machine.pass_time(0.1)
    stale = waits(state_file)
    state_file.publish(COMPANY, Reservation(report=Report(Load(bulk=1))))
    machine.steady = 5.0

    assert (fresh, stale, waits(state_file)) == ((0, 1, 0), (0, 0, 0), (0, 0, 0))
    assert rows(machine) == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_migrated(
    machine: Machine, state_file: StateFile, version: int
) -> None:
    """It keeps the daily count, the pause and the learned rate. Version 1 held no load."""
    limits = Limits(per_second=1, per_day=5)
    with closing(sqlite3.connect(machine.path)) as older:
        older.executescript(VERSION_2.read_text(encoding="utf-8"))
        if version == 1:
            older.executescript("DROP TABLE crowd; PRAGMA user_version = 1;")
    machine.pass_time(10)

    before = state_file.quota(COMPANY, limits, Reservation())
    state_file.publish(COMPANY, Reservation(report=Report(Load(bulk=3))))
    waiting = waits(state_file)
    machine.pass_time(26)
    granted = state_file.ask(COMPANY, limits, Reservation(), "bulk", 60.0)
    after = state_file.quota(COMPANY, limits, Reservation())

    assert (before.used_today, before.left_today, after.used_today) == (3, 2, 4)
    assert before.paused_until == datetime.fromtimestamp(1_700_000_036, UTC)
    assert before.per_second == pytest.approx(1 / 1.0408, rel=1e-3)
    assert (waiting, granted) == ((0, 3, 0), (0, True))
    with closing(sqlite3.connect(machine.path)) as migrated:
        assert migrated.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_migrated_file_has_the_tables_of_a_new_one(machine: Machine) -> None:
    """Column for column."""

    def columns(path: Path) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(path)) as file:
            return file.execute(
                "SELECT m.name, c.name, c.type, c.'notnull', c.pk FROM sqlite_master m, "
                "pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid"
            ).fetchall()

    fresh = machine.path.with_name("fresh.sqlite3")
    with closing(sqlite3.connect(machine.path)) as older:
        older.executescript(VERSION_2.read_text(encoding="utf-8"))
    for path in (machine.path, fresh):
        Database(path, LIMITS).make()

    assert columns(machine.path) == columns(fresh)


def test_companies_do_not_touch_each_other(machine: Machine, state_file: StateFile) -> None:
    """A paused company does not slow another."""
    pause(state_file, 30)

    assert state_file.ask("other", EVEN, Reservation(), "bulk", 60.0) == (0, False)


def test_a_grant_that_was_given_back_counts_nothing(state_file: StateFile) -> None:
    """No request went out for it."""
    reservation = Reservation()
    ask(state_file, reservation)
    state_file.give_back(COMPANY, EVEN, reservation, probes=False)

    assert state_file.quota(COMPANY, EVEN, reservation).used_today == 0


@pytest.mark.parametrize("content", [b"dear diary, " * 500, b"SQLite format 3\0" + b"\1" * 4096])
def test_a_file_that_is_no_database_is_left_alone(
    machine: Machine, state_file: StateFile, content: bytes
) -> None:
    """The error names the file and says what to do."""
    machine.path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"limits\.sqlite3.*(move it away|GONG_STATE_DIR)"):
        ask(state_file, Reservation())
    assert machine.path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(
    machine: Machine, state_file: StateFile
) -> None:
    """No table is added to it."""
    with sqlite3.connect(machine.path) as foreign:
        foreign.execute("CREATE TABLE recipes (name TEXT)")
    foreign.close()
    before = machine.path.read_bytes()

    with pytest.raises(ConfigurationError, match="another program"):
        ask(state_file, Reservation())
    assert machine.path.read_bytes() == before


def test_a_file_damaged_while_in_use_is_explained(machine: Machine, state_file: StateFile) -> None:
    """Whatever SQLite finds, people read what happened and what to do."""
    ask(state_file, Reservation())
    state_file.database.close()
    machine.path.write_bytes(machine.path.read_bytes()[:1024] + b"\xff" * 20_000)

    with pytest.raises(ConfigurationError, match="damaged or foreign"):
        ask(state_file, Reservation())


def test_a_file_of_a_newer_version_is_left_alone(machine: Machine, state_file: StateFile) -> None:
    """An old program must not guess at a new one's tables."""
    ask(state_file, Reservation())
    state_file.database.close()
    with sqlite3.connect(machine.path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(ConfigurationError, match="newer version"):
        ask(state_file, Reservation())
