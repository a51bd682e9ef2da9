"""I. Loops, threads, processes: F115, F117, F118, F120, F121, F123, F131: programs."""

from __future__ import annotations

import pickle
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from faults.program import is_quiet, run, start
from gong_async import APIStatusError, GongError
from gong_async.testing import FakeGong, Fault
from gong_async.testing.server import FAKE_ACCESS_KEY, FAKE_ACCESS_KEY_SECRET

forks = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="not on this system")


@pytest.fixture
def fake() -> Iterator[FakeGong]:
    """Run a fake without limits in a thread of its own."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        yield fake


PLACES = {
    "built outside a loop": """
        gong = client()
        async def main():
            async with gong:
                await use(gong, 1)
                await use(gong, 2)
        asyncio.run(main())
    """,
    "used in a second loop": """
        gong = client()
        asyncio.run(use(gong, 1))
        asyncio.run(use(gong, 2))
        asyncio.run(gong.close())
    """,
    "built in a loop that is gone": """
        async def build():
            return client()
        gong = asyncio.run(build())
        asyncio.run(use(gong, 1))
        asyncio.run(use(gong, 2))
        asyncio.run(gong.close())
    """,
    "built in a thread": """
        built = []
        thread = threading.Thread(target=lambda: built.append(client()))
        thread.start()
        thread.join()
        async def main():
            async with built[0] as gong:
                await use(gong, 1)
                await use(gong, 2)
        asyncio.run(main())
    """,
    "used in a loop that a thread leads": """
        gong = client()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        for number in (1, 2):
            asyncio.run_coroutine_threadsafe(use(gong, number), loop).result()
        asyncio.run_coroutine_threadsafe(gong.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    """,
}


@pytest.mark.parametrize("place", PLACES)
def test_f115_a_client_works_wherever_it_was_built(place: str, fake: FakeGong) -> None:
    """No loop owns a client, so that there is no wrong one to use it in."""
    ended = run(PLACES[place], fake)

    assert ended.stdout.split() == ["1", "2"], ended.stderr
    assert is_quiet(ended), ended.stderr
    assert fake.counts == {200: 2}


NEVER_CLOSED = {
    "asyncio.run": "asyncio.run(use(client()))",
    "a runner": """
        with asyncio.Runner() as runner:
            runner.run(use(client()))
    """,
    "a global at exit": """
        gong = client()
        asyncio.run(use(gong))
    """,
    "calls left behind": """
        gong = client()
        async def main():
            await use(gong)
            left = [asyncio.create_task(use(gong, n)) for n in range(5)]
            await asyncio.sleep(0)
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("how", NEVER_CLOSED)
def test_f117_a_client_that_is_never_closed(how: str, fake: FakeGong) -> None:
    """Its connections are closed with the loop: no warning, and no hanging at the end."""
    ended = run(NEVER_CLOSED[how], fake)

    assert ended.stdout.split()[:1] == ["1"], ended.stderr
    assert is_quiet(ended), ended.stderr


def test_f117_a_loop_that_is_never_finished(fake: FakeGong) -> None:
    """A loop run by hand that leaves everything open gets warnings, and no more than that."""
    text = """
        loop = asyncio.new_event_loop()
        gong = client()
        loop.run_until_complete(use(gong))
        loop.close()
    """
    ended = run(text, fake, "-X", "dev")

    assert ended.returncode == 0
    assert ended.stdout.split() == ["1"]
    assert "Traceback" not in ended.stderr.replace("Object allocated at", "")
    assert FAKE_ACCESS_KEY_SECRET not in ended.stderr


FORKS = {
    "before the first call": """
        gong = client()
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
        asyncio.run(use(gong))
        asyncio.run(gong.close())
    """,
    "between two calls": """
        gong = client()
        async def main():
            await use(gong)
            if not (child := os.fork()):
                asyncio.set_event_loop(None)
                code = 1
                try:
                    thread = threading.Thread(target=lambda: asyncio.run(use(gong)))
                    thread.start()
                    thread.join()
                    code = 0
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            while not (ended := os.waitpid(child, os.WNOHANG))[0]:
                await asyncio.sleep(0.01)
            assert ended[1] == 0
            await use(gong)
            await gong.close()
        asyncio.run(main())
    """,
    "by multiprocessing": """
        import multiprocessing
        gong = client()
        def work(number):
            asyncio.run(use(gong, number))
        if __name__ == "__main__":
            asyncio.run(use(gong))
            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=work, args=(1,)) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
                assert worker.exitcode == 0
            asyncio.run(gong.close())
    """,
}


@forks
@pytest.mark.parametrize("when", FORKS)
def test_f118_no_connection_is_shared_across_a_fork(when: str, fake: FakeGong) -> None:
    """Parent and children each use connections of their own, and all calls arrive."""
    ended = run(FORKS[when], fake)
    calls = 2 if when == "before the first call" else 3 if when == "between two calls" else 4

    assert "".join(ended.stdout.split()) == "1" * calls, ended.stderr
    assert is_quiet(ended), ended.stderr
    assert fake.counts == {200: calls}
    assert fake.connections_total >= 2


ERRORS = {
    "a refusal": Fault.status(409),
    "a lost answer": Fault.reset_after(),
    "no HTTP": Fault.raw(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_f120_errors_cross_processes(name: str, fake: FakeGong, tmp_path: Path) -> None:
    """An error that was raised in another process arrives with its type, text and fields."""
    fake.script(ERRORS[name], times=None)
    text = f"""
        import pickle
        async def main():
            async with client(retry=RetryPolicy(max_attempts=1)) as gong:
                await use(gong)
        try:
            asyncio.run(main())
        except GongError as error:
            with open({str(tmp_path / "error")!r}, "wb") as file:
                pickle.dump((error, str(error), vars(error)), file)
    """
    ended = run(text, fake)
    error, said, fields = pickle.loads((tmp_path / "error").read_bytes())

    assert is_quiet(ended), ended.stderr
    assert isinstance(error, GongError)
    assert isinstance(error, APIStatusError) is (name == "a refusal")
    assert (str(error), vars(error)) == (said, fields)
    assert error.attempts == 1


def test_f121_everything_that_can_be_shown(fake: FakeGong) -> None:
    """DEBUG logs of all libraries, asyncio's debug mode, dumps and tracebacks show no secret."""
    fake.script(Fault.status(401), times=2)
    fake.script(Fault.reset_after(), times=2)
    text = """
        import logging, attrs, traceback, pprint
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        gong = client(retry=RetryPolicy(backoff_base=0, backoff_floor=0))
        def dump(value, depth=0):
            print(repr(value), str(value), format(value))
            if depth < 6:
                if attrs.has(type(value)):
                    pprint.pprint(attrs.asdict(value, recurse=False))
                    for each in attrs.fields(type(value)):
                        dump(getattr(value, each.name, None), depth + 1)
                for each in getattr(value, "__dict__", {}).values():
                    dump(each, depth + 1)
        async def main():
            async with gong:
                for number in range(6):
                    try:
                        await use(gong, number)
                    except Exception as error:
                        shown = traceback.TracebackException.from_exception
                        print("".join(shown(error, capture_locals=True).format()))
                        logging.exception("it failed: %r", error)
                    dump(gong)
                    print([task.get_stack() for task in asyncio.all_tasks()])
        asyncio.run(main(), debug=True)
        dump(AUTH)
    """
    ended = run(text, fake, "-X", "dev")
    shown = ended.stdout + ended.stderr

    assert ended.returncode == 0, ended.stderr
    assert "it failed" in shown
    assert "Secret('***')" in shown
    assert FAKE_ACCESS_KEY_SECRET not in shown
    assert FAKE_ACCESS_KEY not in shown


ASLEEP = """
    gong = client(limits=Limits(per_second=5, per_day=None), timeout=1.5)
    async def main():
        async with gong:
            for number in range(1, 1_000):
                await use(gong, number)
    asyncio.run(main())
"""


def sleep_through(fake: FakeGong, seconds: float) -> list[float]:
    """Stop a program in its work for so long; return when its requests arrived."""
    with start(ASLEEP, fake, "-W", "error") as process:  # asyncio's debug mode logs the pause
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        for _ in range(10):
            assert process.stdout.readline().strip()
        process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    return [request.at for request in fake.received]


def check_pace(times: list[float], seconds: float) -> None:
    """Check that there was a pause, and no more than the pace allows before and after it."""
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert max(gaps) > seconds * 0.9
    # A second by the pace; moments of arrival vary by what the machine is busy with.
    assert all(later - first > 0.5 for first, later in zip(times, times[5:], strict=False))


@pytest.mark.full
@forks
def test_f123_stopped_for_two_seconds() -> None:
    """After a sleep the program goes on at its pace: what it did not send is not made up for."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        times = sleep_through(fake, 2)

    check_pace(times, 2)


@forks
@pytest.mark.full
@pytest.mark.timeout(180)
def test_f123_stopped_for_twenty_seconds() -> None:
    """The same after 20 s, which is longer than an idle connection is kept."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        times = sleep_through(fake, 20)
        connections = fake.connections_total

    check_pace(times, 20)
    assert connections == 2


@forks
def test_f123_stopped_with_a_call_in_flight(fake: FakeGong) -> None:
    """A call whose time ran out while the machine slept is repeated, and succeeds."""
    fake.script(Fault.stall())
    text = """
        async def main():
            print("ready", flush=True)
            async with client(timeout=1.0) as gong:
                await use(gong)
        asyncio.run(main())
    """
    with start(text, fake) as process:
        while not fake.received_count:
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)

    assert out.split() == ["ready", "1"], err
    assert fake.received_count == 2
    assert FAKE_ACCESS_KEY not in err


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on this system")
def test_f131_no_file_descriptor_is_left(fake: FakeGong) -> None:
    """Without one no connection is made: nothing was sent, it is tried again, and heals."""
    text = """
        import resource
        async def main():
            retry = RetryPolicy(max_attempts=3, backoff_base=0, backoff_floor=0)
            gong = client(retry=retry)
            await use(gong, 1)
            await gong.close()
            gong = client(retry=retry)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            taken = []
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            try:
                await gong.meetings.create(NewMeeting(
                    start_time=UPDATE.start_time, end_time=UPDATE.end_time,
                    organizer_email="dana@example.com", invitees=[]))
            except APIConnectionError as error:
                print(error.reason, error.delivery, error.outcome_unknown, error.attempts)
            for each in taken:
                os.close(each)
            before = len(os.listdir("/dev/fd"))
            for number in range(2, 12):
                await use(gong, number)
            print("leaked", len(os.listdir("/dev/fd")) - before - 1)
            await gong.close()
        asyncio.run(main())
    """
    ended = run(text, fake)

    lines = ended.stdout.splitlines()
    assert is_quiet(ended), ended.stderr
    assert lines[1] == "connect not_sent False 3"
    assert lines[-1] == "leaked 0"
    assert fake.counts == {200: 11}
