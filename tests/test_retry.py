"""How calls are repeated: counted at the fake, in virtual time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from gong_async import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BasicAuth,
    Delivery,
    GongClient,
    GongError,
    Limits,
    MeetingUpdate,
    NewMeeting,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    RetryPolicy,
    Secret,
    ServerError,
)
from gong_async.testing import FakeGong, Fault

START = datetime(2026, 11, 24, 15, tzinfo=UTC)
END = datetime(2026, 11, 24, 16, tzinfo=UTC)
DANA = "dana@example.com"
NEW = NewMeeting(start_time=START, end_time=END, organizer_email=DANA, invitees=[])
UNLIMITED = Limits(per_second=None, per_day=None)
Client = Callable[..., GongClient]

pytestmark = pytest.mark.looptime


def gaps(fake: FakeGong) -> list[float]:
    """Return the seconds between one arrival and the next."""
    return [round(later.at - request.at, 3) for request, later in pairwise(fake.received)]


async def test_a_failing_call_is_sent_max_attempts_times(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Four attempts by default; the error says so."""
    fake.script(Fault.status(503), times=None)
    async with client(fake) as gong:
        with pytest.raises(ServerError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 4
    assert caught.value.attempts == 4
    assert caught.value.outcome_unknown


@pytest.mark.parametrize(
    "fault",
    [Fault.status(503), Fault.drop_after(), Fault.stall(), Fault.truncate()],
    ids=["status", "drop_after", "stall", "truncate"],
)
async def test_one_attempt_means_one_request(
    fake: FakeGong, client: Client, update: MeetingUpdate, fault: Fault
) -> None:
    """With `max_attempts=1` nothing that fails is sent a second time."""
    fake.script(fault, times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        with pytest.raises(GongError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 1
    assert caught.value.attempts == 1


async def test_every_attempt_sends_the_same_bytes(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A repetition is the same request, byte for byte."""
    fake.script(Fault.status(503), times=3)
    async with client(fake) as gong:
        await gong.meetings.update("1", update)

    assert fake.received_count == 4
    assert len({request.body for request in fake.received}) == 1


async def test_waits_between_attempts_grow_and_never_vanish(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Each wait lies between the floor and a ceiling that doubles, up to the cap."""
    policy = RetryPolicy(max_attempts=8, backoff_base=1, backoff_cap=6, backoff_floor=0.5)
    fake.script(Fault.status(503), times=None)
    async with client(fake, retry=policy) as gong:
        with pytest.raises(ServerError):
            await gong.meetings.update("1", update)

    waits = gaps(fake)
    assert len(waits) == 7
    assert min(waits) >= 0.5
    assert all(wait <= most + 0.1 for wait, most in zip(waits, (1, 2, 4, 6, 6, 6, 6), strict=True))


async def test_a_wait_named_by_a_failing_gong_is_kept(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """503 with `Retry-After: 7` is not repeated before 7 s, whatever our own wait would be."""
    fake.script(Fault.status(503, headers={"Retry-After": "7"}), times=2)
    async with client(fake) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 3
    assert min(gaps(fake)) >= 7
    assert max(gaps(fake)) <= 8.1


async def test_a_wait_too_long_of_a_failing_gong_is_raised(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """503 with an hour of `Retry-After` raises at once and says how long."""
    fake.script(Fault.status(503, headers={"Retry-After": "3600"}))
    async with client(fake) as gong:
        with pytest.raises(ServerError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 1
    assert caught.value.retry_after == 3600


async def test_refusals_by_the_limit_are_not_attempts(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Five 429s leave all four attempts for what comes after them."""
    for _ in range(5):
        fake.script(Fault.rate_limited("3"))
    for _ in range(3):
        fake.script(Fault.status(503))
    async with client(fake) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 9
    assert all(wait >= 3 for wait in gaps(fake)[:5])


async def test_no_more_refusals_are_sat_out_than_max_refusals(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """With `max_refusals=3`, the fourth 429 is raised."""
    fake.script(Fault.rate_limited("1"), times=None)
    async with client(fake, retry=RetryPolicy(max_refusals=3)) as gong:
        with pytest.raises(RateLimitError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 4
    assert caught.value.retry_after == 1
    assert not caught.value.outcome_unknown


async def test_no_refusal_need_be_sat_out(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """With `max_refusals=0`, the first 429 is raised."""
    fake.script(Fault.rate_limited("1"))
    async with client(fake, retry=RetryPolicy(max_refusals=0)) as gong:
        with pytest.raises(RateLimitError):
            await gong.meetings.update("1", update)

    assert fake.received_count == 1


async def test_a_refusal_without_a_wait_is_waited_for_all_the_same(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """429 without `Retry-After` is repeated after a second at the earliest."""
    fake.script(Fault.rate_limited(None), times=3)
    async with client(fake) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 4
    assert min(gaps(fake)) >= 1


async def test_a_refused_creation_is_repeated(fake: FakeGong, client: Client) -> None:
    """429 says that nothing was created."""
    fake.script(Fault.rate_limited("1"))
    async with client(fake) as gong:
        created = await gong.meetings.create(NEW)

    assert created.meta.attempts == 2
    assert fake.applied_count == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422, 501])
async def test_what_gong_decided_is_not_asked_again(
    fake: FakeGong, client: Client, update: MeetingUpdate, status: int
) -> None:
    """A refusal that repetition cannot change takes one request."""
    fake.script(Fault.status(status), times=None)
    async with client(fake) as gong:
        with pytest.raises(APIStatusError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 1
    assert caught.value.status == status
    assert not caught.value.outcome_unknown


async def test_an_answer_cut_short_is_asked_for_once_more(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Cut off twice is enough: something on the way breaks answers, and more load does not help."""
    fake.script(Fault.truncate(), times=None)
    async with client(fake) as gong:
        with pytest.raises(ProtocolError) as caught:
            await gong.meetings.update("1", update)

    assert fake.received_count == 2
    assert caught.value.outcome_unknown


async def test_a_creation_with_a_lost_answer_is_not_repeated(
    fake: FakeGong, client: Client
) -> None:
    """The error says that it may have happened, and Gong has seen one request."""
    fake.script(Fault.drop_after())
    async with client(fake) as gong:
        with pytest.raises(APIConnectionError) as caught:
            await gong.meetings.create(NEW)

    assert fake.received_count == 1
    assert caught.value.outcome_unknown
    assert caught.value.delivery is Delivery.MAYBE


async def test_a_creation_is_repeated_for_those_who_say_so(fake: FakeGong, client: Client) -> None:
    """With `resend_creates=True` a lost answer costs a second meeting instead of an error."""
    fake.script(Fault.drop_after())
    async with client(fake, retry=RetryPolicy(resend_creates=True)) as gong:
        created = await gong.meetings.create(NEW)

    assert created.meta.attempts == 2
    assert fake.applied_count == 2


async def test_a_read_by_post_is_repeated(fake: FakeGong, client: Client) -> None:
    """Asking for the integration status changes nothing: a lost answer is asked for again."""
    fake.script(Fault.drop_after())
    async with client(fake) as gong:
        status = await gong.meetings.integration_status([DANA])

    assert status.meta.attempts == 2


async def test_what_never_left_is_repeated_whatever_it_does() -> None:
    """A refused connection carried no creation away: four attempts, and the outcome is known."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        async with GongClient(BasicAuth("k", "s"), base_url=url, limits=UNLIMITED) as gong:
            with pytest.raises(APIConnectionError) as caught:
                await gong.meetings.create(NEW)

    assert caught.value.attempts == 4
    assert caught.value.delivery is Delivery.NOT_SENT
    assert not caught.value.outcome_unknown


async def test_a_doubt_stays_until_a_success(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """After a lost answer, a 404 does not prove that the first attempt did nothing."""
    fake.script(Fault.drop_after())
    fake.script(Fault.status(404))
    async with client(fake) as gong:
        with pytest.raises(NotFoundError) as caught:
            await gong.meetings.update("1", update)

    assert caught.value.attempts == 2
    assert caught.value.outcome_unknown


async def test_a_doubt_ends_with_a_success(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A repeated replacement that succeeds leaves no doubt: the state is as asked."""
    fake.script(Fault.drop_after())
    async with client(fake) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 2
    assert len({change.sha256 for change in fake.applied}) == 1


async def test_a_deletion_with_a_lost_answer_is_a_success(fake: FakeGong, client: Client) -> None:
    """The repetition finds nothing, because the first one did it: gone, as asked."""
    fake.script(Fault.drop_after())
    async with client(fake) as gong:
        deleted = await gong.meetings.delete("1", organizer_email=DANA)

    assert deleted.already_gone
    assert deleted.meeting_id == "1"
    assert deleted.meta.attempts == 2
    assert deleted.request_id


async def test_a_deletion_of_nothing_is_an_error(fake: FakeGong, client: Client) -> None:
    """Without a lost answer, 404 means that the meeting was not there."""
    fake.missing_meetings.add("1")
    async with client(fake) as gong:
        with pytest.raises(NotFoundError) as caught:
            await gong.meetings.delete("1", organizer_email=DANA)

    assert not caught.value.outcome_unknown


async def test_when_many_calls_fail_they_are_no_longer_repeated(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """An outage is not multiplied by four: retries end with the budget, and errors say so."""
    fake.script(Fault.status(503), times=None)
    async with client(fake) as gong:
        calls = (gong.meetings.update(str(number), update) for number in range(100))

        errors = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(error, ServerError) for error in errors)
    assert 100 < fake.received_count <= 100 + 10 + 20
    assert sum("not retried" in str(error) for error in errors) >= 60


async def test_a_budget_recovers_with_calls_that_succeed(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """After an outage and some good calls, retries are possible again."""
    fake.script(Fault.status(503), times=200)
    async with client(fake) as gong:
        calls = (gong.meetings.update(str(number), update) for number in range(100))
        await asyncio.gather(*calls, return_exceptions=True)
        fake.clear_script()
        for number in range(10):
            await gong.meetings.update(str(number), update)
        fake.script(Fault.status(503))

        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 2


async def test_clients_with_other_options_share_the_budget(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """`with_options` gives no second budget to multiply an outage with."""
    fake.script(Fault.status(503), times=None)
    async with client(fake) as gong:
        derived = gong.with_options(retry=RetryPolicy(max_attempts=6))
        calls = [
            (gong, derived)[number % 2].meetings.update(str(number), update)
            for number in range(100)
        ]

        await asyncio.gather(*calls, return_exceptions=True)

    assert fake.received_count <= 100 + 10 + 20


class Renewable:
    """A credential that Gong refuses until it has been renewed often enough."""

    fingerprint = "a company of its own"

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[str] = []

    @property
    def secrets(self) -> Iterable[Secret]:
        """The tokens."""
        return tuple(Secret(token) for token in self.tokens)

    async def authorization(self) -> Secret:
        """Return the present token."""
        return Secret(f"Bearer {self.tokens[0]}")

    async def renew(self, refused: Secret) -> bool:
        """Go on to the next token, if there is one."""
        self.refused.append(refused.reveal())
        if len(self.tokens) < 2:
            return False
        del self.tokens[0]
        return True


async def test_a_refused_credential_is_renewed_and_the_call_repeated(
    fake: FakeGong, update: MeetingUpdate
) -> None:
    """401, a new token, success: the caller notices nothing, even with a single attempt."""
    auth = Renewable("stale", fake.bearer_token)
    retry = RetryPolicy(max_attempts=1)
    async with GongClient(auth, base_url=fake.url, limits=UNLIMITED, retry=retry) as gong:
        updated = await gong.meetings.update("1", update)

    assert updated.meta.attempts == 2
    assert auth.refused == ["Bearer stale"]


async def test_a_second_refusal_of_the_credential_is_raised(
    fake: FakeGong, update: MeetingUpdate
) -> None:
    """A call renews once; a token that is refused right after is not renewed again."""
    auth = Renewable("stale", "stale too", fake.bearer_token)
    async with GongClient(auth, base_url=fake.url, limits=UNLIMITED) as gong:
        with pytest.raises(AuthenticationError) as caught:
            await gong.meetings.update("1", update)

    assert fake.counts == {401: 2}
    assert caught.value.attempts == 2
    assert not caught.value.outcome_unknown


async def test_a_credential_that_cannot_be_renewed_is_refused_once(
    fake: FakeGong, update: MeetingUpdate
) -> None:
    """Without a new token the 401 is raised after one request."""
    auth = Renewable("stale")
    async with GongClient(auth, base_url=fake.url, limits=UNLIMITED) as gong:
        with pytest.raises(AuthenticationError):
            await gong.meetings.update("1", update)

    assert fake.counts == {401: 1}
