"""Fields, indexes and counters that are not as they should be; see `tests.store.broken`."""

from sandq.store import verbs
from tests.store.broken import breaks, change, key, put

# ---- what a job says


def _malformed(field, value, state="waiting"):
    @breaks("malformed")
    def malformed(bench):
        put(bench, state)
        change(bench, **{field: value})

    malformed.__name__ = f"a_{state}_job_has_{field}_{value}"


for _field in ("name", "data", "created", "place"):
    _malformed(_field, None)
_malformed("place", "nowhere")
_malformed("place", None, "active")
_malformed("place", None, "delayed")
_malformed("name", None, "active")
_malformed("name", None, "delayed")
_malformed("priority", "high")
_malformed("expires", "soon")
_malformed("due", "soon", "delayed")
_malformed("finished", "late", "completed")
for _tags in ("blue", "[1]", '"blue"'):
    _malformed("tags", _tags)


@breaks("malformed")
def a_hash_holds_next_to_nothing(bench):
    bench.add("b")
    bench.client.hset(key(bench, "job:a"), "progress", "1")


@breaks("rank_differs")
def a_job_waits_at_another_rank(bench):
    bench.client.zadd(key(bench, "waiting"), {put(bench, "waiting"): 7})


@breaks("due_differs")
def a_job_is_due_at_another_time(bench):
    put(bench, "delayed")
    change(bench, due="5")


@breaks("due_differs")
def a_job_does_not_say_when_it_is_due(bench):
    put(bench, "delayed")
    change(bench, due=None)


@breaks("finished_differs")
def a_job_does_not_say_when_it_ended(bench):
    put(bench, "completed")
    change(bench, finished=None)


@breaks("finished_differs")
def a_job_ended_at_another_time(bench):
    put(bench, "failed")
    change(bench, finished="5")


@breaks("no_kind", "a", "kinds_differ")
def a_job_does_not_say_how_it_failed(bench):
    put(bench, "failed")
    change(bench, kind=None)


@breaks("no_token")
def a_claim_has_no_token(bench):
    put(bench, "active")
    change(bench, token="")


@breaks("no_token")
def a_claim_has_lost_its_token(bench):
    put(bench, "active", group="g")
    change(bench, token=None)


@breaks("unmarked")
def a_job_with_a_group_is_not_marked(bench):
    put(bench, "waiting", group="g")
    change(bench, extra=None)


# ---- the indexes of jobs


@breaks("tag_missing")
def a_job_is_not_found_by_its_tag(bench):
    put(bench, "waiting", tags=["blue", "red"])
    bench.client.srem(key(bench, "tag:blue"), "a")


@breaks("tag_dangling", "tag:blue")
def a_tag_finds_nobody(bench):
    put(bench, "waiting", tags=["blue"])
    bench.client.sadd(key(bench, "tag:blue"), "ghost")


@breaks("tag_dangling", "tag:blue")
def a_tag_finds_a_job_that_does_not_bear_it(bench):
    put(bench, "waiting", tags=["red"])
    bench.client.sadd(key(bench, "tag:blue"), "a")


@breaks("dedup_lost", "dedup:k")
def a_job_has_lost_its_dedup_key(bench):
    put(bench, "waiting", dedup="k")
    bench.client.delete(key(bench, "dedup:k"))


@breaks("dedup_wrong", "dedup:k")
def a_dedup_key_is_of_nobody(bench):
    put(bench, "active", dedup="k")
    bench.client.set(key(bench, "dedup:k"), "ghost")


@breaks("dedup_wrong", "dedup:k")
def a_dedup_key_is_of_a_job_without_one(bench):
    put(bench, "waiting", dedup="k")
    put(bench, "delayed", "b")
    bench.client.set(key(bench, "dedup:k"), "b")


@breaks("dedup_wrong", "dedup:k")
def a_dedup_key_is_of_a_job_that_has_ended(bench):
    put(bench, "completed", dedup="k")
    bench.client.set(key(bench, "dedup:k"), "a")


@breaks("dedup_wrong", "dedup:k")
def a_dedup_key_for_a_time_lasts(bench):
    put(bench, "waiting", dedup="k", dedup_ttl_ms=10**7)
    bench.client.persist(key(bench, "dedup:k"))


@breaks("expiry_missing")
def a_job_would_not_expire(bench):
    put(bench, "waiting", expires_at=10**13)
    bench.client.zrem(key(bench, "expiry"), "xa")


@breaks("expiry_missing")
def a_job_would_expire_at_another_time(bench):
    put(bench, "delayed", expires_at=10**13)
    bench.client.zadd(key(bench, "expiry"), {"xa": 10**13 + 1})


@breaks("expiry_dangling", "ghost")
def nothing_is_to_expire(bench):
    bench.client.zadd(key(bench, "expiry"), {"xghost": 10**13})


@breaks("expiry_dangling")
def a_value_is_to_expire_that_is_not_there(bench):
    put(bench, "waiting")
    bench.client.zadd(key(bench, "expiry"), {"ra": 10**13})


@breaks("expiry_dangling")
def a_job_that_was_started_is_to_be_started_in_time(bench):
    put(bench, "active", expires_at=10**13)
    bench.client.zadd(key(bench, "expiry"), {"xa": 10**13})


@breaks("expiry_dangling")
def something_unknown_is_to_expire(bench):
    put(bench, "waiting")
    bench.client.zadd(key(bench, "expiry"), {"?a": 10**13})


@breaks("cancel_untold")
def a_cancelled_job_runs_on(bench):
    put(bench, "active")
    bench.run(verbs.cancel(["a"], "no more"))
    bench.client.delete(key(bench, "cancelling"))


@breaks("cancelling_stale")
def somebody_is_asked_to_stop_what_nobody_runs(bench):
    put(bench, "waiting")
    bench.client.hset(key(bench, "cancelling"), "a", "1700000000000 no more")


@breaks("cancelling_stale", "ghost")
def somebody_is_asked_to_stop_at_no_time(bench):
    bench.client.hset(key(bench, "cancelling"), "ghost", "no more")


@breaks("left_behind", "emitted:ghost")
def parts_of_nobody(bench):
    bench.client.rpush(key(bench, "emitted:ghost"), "1")


@breaks("left_behind", "logs:ghost")
def logs_of_nobody(bench):
    bench.client.rpush(key(bench, "logs:ghost"), "1 {}")


@breaks("left_behind", "failures:ghost")
def failures_of_nobody(bench):
    bench.client.rpush(key(bench, "failures:ghost"), "{}")


# ---- series


@breaks("series_dangling", "repeat:s")
def a_series_is_of_nothing(bench):
    bench.client.zadd(key(bench, "repeat"), {"s": 10**13})


@breaks("series_stopped", "repeat:s")
def a_series_that_cannot_be_read_is_not_due(bench):
    bench.client.hset(key(bench, "repeat:s"), "name", "work")


# ---- the queue


@breaks("groups_differ", "groups g")
def too_many_jobs_of_a_group_are_said_to_be_active(bench):
    put(bench, "active", group="g")
    bench.client.hset(key(bench, "groups"), "g", 5)


@breaks("groups_differ", "groups g")
def no_job_of_a_group_is_said_to_be_active(bench):
    put(bench, "active", group="g")
    bench.client.delete(key(bench, "groups"))


@breaks("kinds_differ", "kinds timed_out")
def a_job_is_said_to_have_timed_out(bench):
    put(bench, "failed")
    bench.client.hset(key(bench, "kinds"), "timed_out", 1)


@breaks("kinds_differ", "kinds error")
def no_job_is_said_to_have_failed(bench):
    put(bench, "failed")
    bench.client.delete(key(bench, "kinds"))


@breaks("counter_behind", "ids")
def an_id_would_be_given_again(bench):
    assert bench.add(bench.new(), bench.new()) == ["1", "2"]
    bench.client.hset(key(bench, "meta"), "ids", 1)


@breaks("counter_behind", "seq")
def a_place_would_be_given_again(bench):
    put(bench, "waiting")
    bench.client.hdel(key(bench, "meta"), "seq")


@breaks("layout_missing", "meta")
def the_layout_is_not_told(bench):
    put(bench, "completed")
    bench.client.hdel(key(bench, "meta"), "layout")


@breaks("bell_crowded", "wake")
def the_bell_rings_twice(bench):
    put(bench, "waiting")
    bench.client.rpush(key(bench, "wake"), "1", "1")


@breaks("lasting", "limiter")
def the_window_of_the_queue_lasts(bench):
    bench.client.set(key(bench, "limiter"), "1 1 0")


@breaks("lasting", "limiter:g")
def the_window_of_a_group_lasts(bench):
    bench.client.set(key(bench, "limiter:g"), "1 1 0")


@breaks("lasting", "worker:w")
def a_supervisor_is_there_for_ever(bench):
    bench.client.set(key(bench, "worker:w"), "{}")
