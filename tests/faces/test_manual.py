"""Working jobs by hand: claim one, say what became of it, and only with the right to."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from sandq import Backoff
from sandq.errors import IllegalState, InvalidInput, JobFailed, JobMissing, TokenMismatch

pytestmark = pytest.mark.anyio

DEADLINE_S = 30


@pytest.fixture
async def queue(face):
    return face.queue()


def hash_of(server, job):
    return server.client.hgetall(f"sandq:{{q}}:job:{job.id}")


async def lose(queue, until, **options):
    """A job by a claim that was lost, and by the one that has it now."""
    added = await queue.add("work", {"a": 1}, **options)
    loser = await queue.get_next_job(lease=0.001)

    async def recovered():
        return await queue.reclaim(max_stalls=5) == [added.id]

    await until(recovered, "the lease is over")
    winner = await queue.get_next_job()
    assert (winner.id, winner.token == loser.token) == (loser.id, False)

    return loser, winner


# ---- the way of a job


async def test_the_next_job_is_claimed_and_bears_a_token(queue):
    added = await queue.add("work", {"a": 1})
    job = await queue.get_next_job()

    assert (job.id, job.data, job.state, job.claims) == (added.id, {"a": 1}, "active", 1)
    assert len(job.token) == 16
    assert added.token is None
    assert await queue.get_next_job() is None
    await job.move_to_completed()


async def test_a_job_completes_with_its_value(queue):
    added = await queue.add("work")
    job = await queue.get_next_job()

    assert await job.move_to_completed({"done": []}) is None
    assert await added.finished(DEADLINE_S) == {"done": []}
    assert (added.attempts, added.finished_at is None) == (0, False)


async def test_a_value_that_is_not_json_is_refused_and_the_job_is_still_held(queue):
    await queue.add("work")
    job = await queue.get_next_job()
    with pytest.raises(InvalidInput):
        await job.move_to_completed({1, 2})

    await job.move_to_completed(None)
    assert await job.get_state() == "completed"


async def test_a_job_fails_with_the_error_told(queue):
    added = await queue.add("work")
    job = await queue.get_next_job()

    assert await job.move_to_failed(KeyError("no such")) == ("failed", None)
    with pytest.raises(JobFailed):
        await added.finished(DEADLINE_S)
    await added.refresh()
    assert added.failure == {"kind": "error", "message": "'no such'", "type": "KeyError"}


async def test_where_a_failed_job_goes_is_told(queue):
    await queue.add("work", attempts=4, backoff=Backoff.fixed(60))
    job = await queue.get_next_job()
    assert (await job.move_to_failed("first"))[0] == await job.get_state() == "delayed"
    await job.promote()
    job = await queue.get_next_job()
    await job.update_progress("half")
    assert (await job.move_to_failed("second", retryable=False))[0] == "failed"

    assert [record["message"] for record in await job.failures()] == ["first", "second"]
    assert [record["kind"] for record in await job.failures()] == ["error", "unrecoverable"]


async def test_a_job_tried_again_at_once_waits(queue):
    await queue.add("work", attempts=2)
    job = await queue.get_next_job()

    assert (await job.move_to_failed("no"))[0] == await job.get_state() == "waiting"


@pytest.mark.parametrize("change", ["cancel", "discard"])
async def test_a_job_that_was_cancelled_or_discarded_meanwhile_is_not_tried_again(queue, change):
    added = await queue.add("work", attempts=3)
    job = await queue.get_next_job()
    await getattr(added, change)()
    state, _ = await job.move_to_failed("no")

    assert state == await added.get_state() == {"cancel": "cancelled", "discard": "failed"}[change]


async def test_a_job_that_was_cancelled_but_completes_first_has_completed(queue):
    added = await queue.add("work")
    job = await queue.get_next_job()
    assert await added.cancel() == "active"
    await job.move_to_completed("first")

    assert await added.finished(DEADLINE_S) == "first"


@pytest.mark.parametrize("form", ["seconds", "datetime", "past"])
async def test_a_job_is_given_back_until_a_moment_and_no_attempt_is_spent(queue, until, form):
    await queue.add("work", attempts=1)
    job = await queue.get_next_job()
    moment = {
        "seconds": time.time() + 60,
        "datetime": datetime.now(UTC) + timedelta(seconds=60),
        "past": time.time() - 60,
    }[form]
    await job.move_to_delayed(moment)

    if form == "past":

        async def again():
            return await queue.get_next_job()

        job = await until(again, "the job is due")
        assert (job.claims, job.attempts) == (2, 0)
        await job.move_to_completed()
        return
    assert await job.get_state() == "delayed"
    assert job.due_at == pytest.approx(time.time() + 60, abs=10)
    assert job.attempts == 0


async def test_the_next_job_is_fetched_in_the_same_call(queue, server):
    await queue.add_bulk([("work", n) for n in range(4)])
    first = await queue.get_next_job()
    server.client.config_resetstat()
    second = await first.move_to_completed(0, fetch_next=True)
    state, third = await second.move_to_failed("no", fetch_next=True)
    await third.move_to_delayed(time.time() + 60)
    fourth = await queue.get_next_job()

    assert [second.data, third.data, fourth.data] == [1, 2, 3]
    assert state == "failed"
    assert await fourth.move_to_completed(3, fetch_next=True) is None


# ---- the lease


async def test_a_claim_that_is_prolonged_is_not_recovered(queue, until):
    await queue.add("work")
    job = await queue.get_next_job(lease=0.05)
    await job.extend_lease(60)
    other = await queue.add("work")
    await queue.get_next_job(lease=0.001)

    async def recovered():
        return await queue.reclaim()

    # the other's lease was the shorter one all the time
    assert await until(recovered, "the other is recovered") == [other.id]
    await job.move_to_completed("still mine")
    assert await job.get_state() == "completed"


async def test_a_lost_claim_cannot_be_prolonged(queue, until):
    loser, winner = await lose(queue, until)
    with pytest.raises(TokenMismatch):
        await loser.extend_lease(60)

    await winner.extend_lease(60)
    await winner.move_to_completed()


# ---- the right to


VERBS = {
    "completed": lambda job, **options: job.move_to_completed(1, **options),
    "failed": lambda job, **options: job.move_to_failed("no", **options),
    "delayed": lambda job, **options: job.move_to_delayed(7e9, **options),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_lost_claim_writes_nothing_where_bull_wrote_its_attempt_first(
    queue, server, until, verb
):
    loser, winner = await lose(queue, until, attempts=3)
    before = hash_of(server, loser)
    with pytest.raises(TokenMismatch, match="'1' is not held by this claim"):
        await VERBS[verb](loser)

    assert hash_of(server, loser) == before
    assert await winner.failures() == []
    await winner.move_to_completed("the winner's")
    assert (await queue.get_job(winner.id)).value == "the winner's"


@pytest.mark.parametrize("verb", VERBS)
async def test_who_has_not_claimed_a_job_has_no_right_to_it(queue, server, verb):
    added = await queue.add("work")
    with pytest.raises(TokenMismatch):
        await VERBS[verb](added)
    claimed = await queue.get_next_job()
    with pytest.raises(TokenMismatch):
        await VERBS[verb](added)

    await claimed.move_to_completed()


@pytest.mark.parametrize("verb", VERBS)
async def test_a_job_is_settled_without_its_token_if_that_is_asked_for(queue, verb):
    added = await queue.add("work")
    claimed = await queue.get_next_job()
    await VERBS[verb](added, ignore_token=True)

    assert await added.get_state() == verb
    with pytest.raises(IllegalState):
        await claimed.move_to_completed("too late")
    assert await added.get_state() == verb


@pytest.mark.parametrize("verb", VERBS)
async def test_a_job_that_is_not_active_cannot_be_settled(queue, verb):
    added = await queue.add("work")
    with pytest.raises(IllegalState, match="not active"):
        await VERBS[verb](added, ignore_token=True)
    job = await queue.get_next_job()
    await job.move_to_completed("once")
    with pytest.raises(IllegalState, match="not active"):
        await VERBS[verb](job)

    assert (await queue.get_job(added.id)).value == "once"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("ignore", [False, True])
async def test_a_job_that_is_gone_is_missing(queue, server, verb, ignore):
    await queue.add("work")
    job = await queue.get_next_job()
    await job.remove(force=True)
    with pytest.raises(JobMissing):
        await VERBS[verb](job, ignore_token=ignore)

    assert server.client.exists(f"sandq:{{q}}:job:{job.id}") == 0
    # whoever ran it knows by now, so nobody has to be told to stop
    assert ignore or not server.client.exists("sandq:{q}:cancelling")
