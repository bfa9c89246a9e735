"""Jobs that are not where they should be; see `tests.store.broken`."""

from tests.store.broken import breaks, change, key, member, park, put


@breaks("dangling")
def a_waiting_job_is_gone(bench):
    put(bench, "waiting")
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling")
def a_delayed_job_is_gone(bench):
    put(bench, "delayed")
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling")
def an_active_job_is_gone(bench):
    put(bench, "active")
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling")
def a_parked_job_is_gone(bench):
    park(bench)
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling")
def a_completed_job_is_gone(bench):
    put(bench, "completed")
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling", "a", "kinds_differ")
def a_failed_job_is_gone(bench):
    put(bench, "failed")
    bench.client.delete(key(bench, "job:a"))


@breaks("dangling", "nonsense")
def parked_holds_nonsense(bench):
    put(bench, "waiting")
    bench.client.zadd(key(bench, "parked"), {"nonsense": 0})


@breaks("dangling", "nonsense")
def waiting_holds_nonsense(bench):
    put(bench, "completed")
    bench.client.zadd(key(bench, "waiting"), {"nonsense": 0})


def _stuck(state, *also):
    @breaks("stuck", "a", *also)
    def stuck(bench):
        bench.client.zrem(key(bench, state), put(bench, state))

    stuck.__name__ = f"a_{state}_job_is_in_no_set"


for _state in ("waiting", "delayed", "active", "completed", "cancelled"):
    _stuck(_state)
_stuck("failed", "kinds_differ")


@breaks("stuck")
def a_parked_job_is_in_no_set(bench):
    bench.client.zrem(key(bench, "parked"), park(bench))


@breaks("stuck")
def a_stuck_job_says_nonsense(bench):
    bench.client.zrem(key(bench, "waiting"), put(bench, "waiting"))
    change(bench, state="asleep")


@breaks("stuck")
def a_stuck_job_was_run_by_nobody(bench):
    bench.client.zrem(key(bench, "waiting"), put(bench, "waiting"))
    change(bench, state="active")


@breaks("state_differs")
def a_waiting_job_says_active(bench):
    put(bench, "waiting")
    change(bench, state="active")


@breaks("state_differs")
def a_waiting_job_says_nonsense(bench):
    put(bench, "waiting")
    change(bench, state="asleep")


@breaks("state_differs")
def an_active_job_says_waiting(bench):
    put(bench, "active")
    change(bench, state="waiting")


@breaks("state_differs")
def a_completed_job_says_waiting(bench):
    put(bench, "completed")
    change(bench, state="waiting")


@breaks("state_differs")
def a_waiting_job_says_that_it_has_completed(bench):
    put(bench, "completed")
    bench.client.zrem(key(bench, "completed"), "a")
    bench.client.zadd(key(bench, "waiting"), {member(bench): 2**32})


@breaks("in_two_places")
def a_waiting_job_is_active(bench):
    put(bench, "waiting")
    bench.client.zadd(key(bench, "active"), {"a": 10**13})


@breaks("in_two_places")
def an_active_job_is_waiting(bench):
    put(bench, "active")
    bench.client.zadd(key(bench, "waiting"), {member(bench): 2**32})


@breaks("in_two_places")
def a_completed_job_is_failed(bench):
    put(bench, "completed")
    bench.client.zadd(key(bench, "cancelled"), {"a": 5})


@breaks("in_two_places")
def a_job_waits_at_two_places(bench):
    put(bench, "waiting")
    bench.client.zadd(key(bench, "waiting"), {"10000000000000a": 2**32})


@breaks("in_two_places")
def a_parked_job_waits_as_well(bench):
    park(bench)
    bench.client.zadd(key(bench, "waiting"), {member(bench): 2**32})


@breaks("place_differs")
def a_waiting_job_has_another_place(bench):
    put(bench, "waiting")
    change(bench, place="10000000000000")


@breaks("place_differs")
def a_parked_job_has_another_group(bench):
    park(bench)
    change(bench, group="h")


@breaks("parked_without_group")
def a_parked_job_has_no_group(bench):
    park(bench)
    change(bench, group=None)
