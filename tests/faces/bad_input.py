"""What is wrong, which error says so in which words, and how it is done: see test_bad_input.py."""

import math
import time
from datetime import datetime, timedelta

from sandq import Backoff, JsonText, Keep, QueueSettings, RateLimit, Repeat
from sandq.errors import (
    HandlerInvalid,
    IllegalState,
    InvalidInput,
    JobActive,
    JobMissing,
    QueueBusy,
    QueueFull,
    TokenMismatch,
    UnknownOption,
)


def add(error, words, *given, **options):
    """A row about adding a job."""
    return error, words, lambda s: s.queue.add(*(given or ("work", 1)), **options)


def bulk(error, words, *entries):
    """A row about adding many: the last of them is wrong."""
    return error, words, lambda s: s.queue.add_bulk([("work", 0), *entries])


def series(some, rule, **options):
    return some.queue.upsert_repeatable(None, rule, "work", 1, **options)


async def enter(block):
    async with block:
        raise AssertionError("it was begun")


NOW = time.time()

TABLE = {
    # names and data
    "no name": add(InvalidInput, "job name must be a text", "", 1),
    "a name that is no text": add(InvalidInput, "job name must be a text", 5, 1),
    "a name that is None": add(InvalidInput, "job name must be a text", None, 1),
    "a name of 257 bytes": add(InvalidInput, "257 bytes", "ä" * 128 + "b", 1),
    "a name with a control character": add(InvalidInput, "control", "a\nb", 1),
    "a name with half a character": add(InvalidInput, "surrogate", "\ud800", 1),
    "data that is NaN": add(InvalidInput, "NaN", "work", math.nan),
    "data that is infinite inside": add(InvalidInput, "NaN", "work", {"a": [math.inf]}),
    "data that is no JSON": add(InvalidInput, "JSON", "work", {1, 2}),
    "data with a number too large": add(InvalidInput, "JSON", "work", 2**64),
    "data nested too deep": add(InvalidInput, "64", "work", JsonText("[" * 65 + "]" * 65)),
    "text that is no JSON": add(InvalidInput, "JSON", "work", JsonText("{")),
    "text with a name twice": add(InvalidInput, "twice", "work", JsonText('{"a":1,"a":1}')),
    # options
    "an unknown option": add(UnknownOption, "did you mean 'attempts'", attemps=2),
    "an unknown option of another library": add(UnknownOption, "did you mean", removeOnFail=True),
    "an unknown option with repeat": add(
        UnknownOption, "did you mean 'attempts'", attemps=2, repeat=Repeat.every(60)
    ),
    "no attempts": add(InvalidInput, "attempts", attempts=0),
    "attempts that are True": add(InvalidInput, "attempts", attempts=True),
    "attempts as text": add(InvalidInput, "attempts", attempts="3"),
    "a negative delay": add(InvalidInput, "delay", delay=-1),
    "a delay that is NaN": add(InvalidInput, "delay", delay=math.nan),
    "a delay that is infinite": add(InvalidInput, "delay", delay=math.inf),
    "a negative timedelta": add(InvalidInput, "delay", delay=timedelta(seconds=-1)),
    "a delay of odd words": add(InvalidInput, "delay", delay="soon"),
    "a delay of None": add(InvalidInput, "delay", delay=None),
    "a delay above the queue's": add(InvalidInput, "max_delay", delay="2d"),
    "a moment above the queue's": add(InvalidInput, "max_delay", run_at=NOW + 200_000),
    "a moment without a time zone": add(InvalidInput, "time zone", run_at=datetime(2030, 1, 1)),
    "a moment in milliseconds": add(InvalidInput, "2200", run_at=NOW * 1000),
    "delay and moment at once": add(InvalidInput, "exclude", delay=1, run_at=NOW),
    "an end before the start": add(InvalidInput, "never", run_at=NOW + 9, expires_at=NOW),
    "a negative priority": add(InvalidInput, "priority", priority=-1),
    "a priority above 2^31": add(InvalidInput, "priority", priority=2**31 + 1),
    "a priority of one and a half": add(InvalidInput, "priority", priority=1.5),
    "lifo as a number": add(InvalidInput, "lifo", lifo=1),
    "a timeout of nothing": add(InvalidInput, "timeout", timeout=0),
    "a silence of nothing": add(InvalidInput, "heartbeat_timeout", heartbeat_timeout=0),
    "a pool key of two lines": add(InvalidInput, "pool_key", pool_key="a\nb"),
    "a backoff of odd words": add(InvalidInput, "backoff", backoff="soon"),
    "a backoff that is a mapping": add(InvalidInput, "backoff", backoff={"type": "fixed"}),
    "a list of delays that is empty": (InvalidInput, "1 to", lambda s: Backoff.delays([])),
    "a multiplier that is NaN": (InvalidInput, "mult", lambda s: Backoff.geometric(1, math.nan)),
    "keep a negative number": add(InvalidInput, "remove_on_complete", remove_on_complete=-1),
    "keep as text": add(InvalidInput, "remove_on_fail", remove_on_fail="all"),
    "keep nothing said": (InvalidInput, "Keep needs", lambda s: Keep()),
    "a tag list that is a text": add(InvalidInput, r"write \['red'\]", tags="red"),
    "an empty tag": add(InvalidInput, "tag", tags=[""]),
    "a tag of 257 bytes": add(InvalidInput, "257", tags=["x" * 257]),
    "metadata that is no text": add(InvalidInput, "metadata", metadata={"a": 1}),
    "a dedup key with a space": add(InvalidInput, "dedup", dedup="a b"),
    "a time to live without dedup": add(InvalidInput, "dedup_ttl needs dedup", dedup_ttl=1),
    "a group with a control character": add(InvalidInput, "group", group="a\0b"),
    "an id of digits": add(InvalidInput, "reserved", job_id="12"),
    "an id with a space": add(InvalidInput, "no spaces", job_id="a b"),
    "repeat and an id": add(InvalidInput, "exclude", job_id="a", repeat=Repeat.every(1)),
    "repeat as text": add(InvalidInput, "Repeat", repeat="1h"),
    # many
    "a bulk that is no list": (InvalidInput, "list", lambda s: s.queue.add_bulk(5)),
    "a job that is no tuple": bulk(InvalidInput, "job 1 of the list", "work"),
    "a job of four parts": bulk(InvalidInput, "job 1 of the list", ("work", 1, {}, 2)),
    "options that are no mapping": bulk(InvalidInput, "job 1 of the list", ("work", 1, 5)),
    "an unknown option in a bulk": bulk(UnknownOption, "job 2", ("work", 1), ("work", 1, {"x": 1})),
    "a bulk with repeat": bulk(InvalidInput, "job 1", ("work", 1, {"repeat": Repeat.every(1)})),
    "a full queue": add(QueueFull, "4 jobs wait and the queue takes 4"),
    "a full queue, in a bulk": bulk(QueueFull, "4 jobs wait and the queue takes 4", ("work", 1)),
    # defaults and settings
    "settings as a mapping": (InvalidInput, "QueueSettings", lambda s: s.queue.set_settings({})),
    "a size of none": (InvalidInput, "max_size", lambda s: QueueSettings(max_size=0)),
    "a size as text": (InvalidInput, "max_size", lambda s: QueueSettings(max_size="5")),
    "a rate as a number": (InvalidInput, "RateLimit", lambda s: QueueSettings(rate_limit=5)),
    "a rate of nothing": (InvalidInput, "duration", lambda s: RateLimit(1, 0)),
    "a rate of -1": (InvalidInput, "max", lambda s: RateLimit(-1, 1)),
    "a group key with two dots": (InvalidInput, "dots", lambda s: QueueSettings(group_key="a..b")),
    "an id as a default": (
        InvalidInput, "cannot be a default", lambda s: QueueSettings(defaults={"job_id": "a"}),
    ),
    "an unknown default": (
        UnknownOption, "attempts", lambda s: QueueSettings(defaults={"attemps": 1}),
    ),
    # looking
    "an id that is no text": (InvalidInput, "job id", lambda s: s.queue.get_job(5)),
    "an empty id": (InvalidInput, "job id", lambda s: s.queue.get_job("")),
    "ids that are one text": (InvalidInput, "job ids", lambda s: s.queue.get_results("j1")),
    "ids of numbers": (InvalidInput, "job id", lambda s: s.queue.get_results([1])),
    "a state that is not known": (InvalidInput, "known", lambda s: s.queue.get_jobs(["done"])),
    "states that are no list": (InvalidInput, "states", lambda s: s.queue.get_jobs(5)),
    "a state that is no text": (InvalidInput, "known", lambda s: s.queue.get_jobs([["a"]])),
    "counts of an unknown state": (
        InvalidInput, "known", lambda s: s.queue.get_job_counts(["done"]),
    ),
    "a start that is NaN": (InvalidInput, "start", lambda s: s.queue.get_waiting(math.nan)),
    "an end as text": (InvalidInput, "end", lambda s: s.queue.get_waiting(0, "9")),
    "a range of log rows as text": (
        InvalidInput, "start", lambda s: s.queue.get_job_logs("j1", "0"),
    ),
    "parts from before": (InvalidInput, "start", lambda s: s.queue.get_emitted("j1", -1)),
    "parts of nobody": (InvalidInput, "job id", lambda s: s.queue.get_emitted("")),
    "metrics of waiting jobs": (InvalidInput, "metrics", lambda s: s.queue.get_metrics("waiting")),
    "metrics from before": (InvalidInput, "start", lambda s: s.queue.get_metrics(start=-1)),
    "priorities below zero": (
        InvalidInput, "priority", lambda s: s.queue.get_counts_per_priority([-1]),
    ),
    "priorities that are one": (
        InvalidInput, "priorities", lambda s: s.queue.get_counts_per_priority(5),
    ),
    "a tag that is no text": (InvalidInput, "tag", lambda s: s.queue.jobs_by_tag(5)),
    "events from nowhere": (InvalidInput, "from_id", lambda s: s.queue.subscribe("begin")),
    "a dead limit of -1": (InvalidInput, "limit", lambda s: s.queue.peek_dead(-1)),
    # many jobs at once
    "retry -1": (InvalidInput, "count", lambda s: s.queue.retry_jobs(-1)),
    "retry as text": (InvalidInput, "count", lambda s: s.queue.retry_jobs("all")),
    "retry waiting jobs": (InvalidInput, "ended", lambda s: s.queue.retry_jobs(state="waiting")),
    "replay -1": (InvalidInput, "limit", lambda s: s.queue.replay_dead(-1)),
    "replay of an unknown kind": (
        InvalidInput, "kind 'oops'", lambda s: s.queue.replay_dead(kind="oops"),
    ),
    "clean with a negative grace": (InvalidInput, "grace", lambda s: s.queue.clean(-1)),
    "clean with a limit of -1": (InvalidInput, "limit", lambda s: s.queue.clean(limit=-1)),
    "clean an unknown state": (InvalidInput, "state", lambda s: s.queue.clean(state="paused")),
    "remove all by a glob": (InvalidInput, "matches all", lambda s: s.queue.remove_jobs("*")),
    "remove all by another": (InvalidInput, "matches all", lambda s: s.queue.remove_jobs("?**")),
    "remove by nothing": (InvalidInput, "pattern", lambda s: s.queue.remove_jobs("")),
    "remove by half a character": (InvalidInput, "UTF", lambda s: s.queue.remove_jobs("\ud800*")),
    "clean states": (InvalidInput, "state", lambda s: s.queue.clean(state=["failed"])),
    "replay kinds": (InvalidInput, "kind", lambda s: s.queue.replay_dead(kind=["error"])),
    "reclaim with no number": (InvalidInput, "max_stalls", lambda s: s.queue.reclaim(None)),
    "obliterate by a word": (InvalidInput, "force", lambda s: s.queue.obliterate(force="no")),
    "remove by a word": (InvalidInput, "force", lambda s: s.active.remove(force="no")),
    "remove by a number": (InvalidInput, "pattern", lambda s: s.queue.remove_jobs(5)),
    "reclaim with -1 stalls": (InvalidInput, "max_stalls", lambda s: s.queue.reclaim(-1)),
    "obliterate while a job runs": (QueueBusy, "1 jobs", lambda s: s.queue.obliterate()),
    # single jobs
    "cancel what is not there": (JobMissing, "'nope'", lambda s: s.queue.cancel("nope")),
    "cancel without an id": (InvalidInput, "job id", lambda s: s.queue.cancel(None)),
    "cancel for no reason": (InvalidInput, "reason", lambda s: s.queue.cancel("j1", None)),
    "cancel a completed job": (IllegalState, "completed", lambda s: s.completed.cancel()),
    "promote a waiting job": (IllegalState, "is waiting", lambda s: s.waiting.promote()),
    "promote what is gone": (JobMissing, "does not exist", lambda s: s.gone.promote()),
    "retry a waiting job": (IllegalState, "is waiting", lambda s: s.waiting.retry()),
    "retry an active job": (IllegalState, "is active", lambda s: s.active.retry()),
    "remove an active job": (JobActive, "force=True", lambda s: s.active.remove()),
    "remove what is gone": (JobMissing, "does not exist", lambda s: s.gone.remove()),
    "update with NaN": (InvalidInput, "NaN", lambda s: s.waiting.update(math.nan)),
    "update what is gone": (JobMissing, "does not exist", lambda s: s.gone.update(1)),
    "progress of a set": (InvalidInput, "progress", lambda s: s.active.update_progress({1})),
    "a log row of a number": (InvalidInput, "message", lambda s: s.active.log(5)),
    "a log field that is no JSON": (InvalidInput, "log row", lambda s: s.active.log("a", b={1})),
    "wait for a negative time": (InvalidInput, "timeout", lambda s: s.waiting.finished(-1)),
    # claims
    "complete with a lost claim": (TokenMismatch, "'j2'", lambda s: s.lost.move_to_completed()),
    "fail with a lost claim": (TokenMismatch, "'j2'", lambda s: s.lost.move_to_failed("no")),
    "delay with a lost claim": (
        TokenMismatch, "'j2'", lambda s: s.lost.move_to_delayed(NOW + 60),
    ),
    "extend a lost claim": (TokenMismatch, "'j2'", lambda s: s.lost.extend_lease()),
    "complete without a claim": (
        TokenMismatch, "not held", lambda s: s.waiting.move_to_completed(),
    ),
    "complete it anyhow, though it waits": (
        IllegalState, "not active", lambda s: s.waiting.move_to_completed(ignore_token=True),
    ),
    "complete what is gone": (
        JobMissing, "does not exist", lambda s: s.gone.move_to_completed(ignore_token=True),
    ),
    "complete with no JSON": (InvalidInput, "value", lambda s: s.active.move_to_completed({1})),
    "delay until NaN": (InvalidInput, "until", lambda s: s.active.move_to_delayed(math.nan)),
    "a lease of -1": (InvalidInput, "lease", lambda s: s.active.extend_lease(-1)),
    "a lease of nothing": (InvalidInput, "lease", lambda s: s.queue.get_next_job(lease=0)),
    # series
    "a series by a text": (InvalidInput, "Repeat", lambda s: series(s, "1h")),
    "an interval of nothing": (InvalidInput, "interval", lambda s: Repeat.every(0)),
    "an interval that is NaN": (InvalidInput, "interval", lambda s: Repeat.every(math.nan)),
    "a cron of words": (InvalidInput, "cron", lambda s: Repeat.crontab("every day")),
    "a cron that never comes": (InvalidInput, "cron", lambda s: Repeat.crontab("0 0 30 2 *")),
    "a time zone that is none": (
        InvalidInput, "Mars", lambda s: Repeat.crontab("0 1 * * *", tz="Mars"),
    ),
    "a series that is over": (
        InvalidInput, "no occurrence", lambda s: series(s, Repeat.every(60, end=NOW - 90)),
    ),
    "a series with a delay": (
        InvalidInput, "does not take delay", lambda s: series(s, Repeat.every(60), delay=5),
    ),
    "a series with an unknown option": (
        UnknownOption, "attempts", lambda s: series(s, Repeat.every(60), attemps=5),
    ),
    "a series under a number": (
        InvalidInput, "key", lambda s: s.queue.upsert_repeatable(5, Repeat.every(60), "work"),
    ),
    "the end of a series under a number": (
        InvalidInput, "key", lambda s: s.queue.remove_repeatable_by_key(5),
    ),
    "the end of a series by a text": (
        InvalidInput, "Repeat", lambda s: s.queue.remove_repeatable("work", "1h"),
    ),
    # handlers and runs
    "a handler that is no function": (
        InvalidInput, "function", lambda s: s.queue.set_handler("a", 5),
    ),
    "a name with a handler already": (
        InvalidInput, "already", lambda s: s.queue.set_handler("known", print),
    ),
    "a handler that is not there": (
        HandlerInvalid, "nowhere", lambda s: s.queue.set_handler_file("a", "/nowhere.py"),
    ),
    "a handler that is a number": (
        InvalidInput, "handler", lambda s: s.queue.set_handler_file("a", 5),
    ),
    "limits as a mapping": (
        InvalidInput, "limits", lambda s: s.queue.set_handler_file("a", ["cat"], limits={}),
    ),
    "an environment of numbers": (
        InvalidInput, "env", lambda s: s.queue.set_handler_file("a", ["cat"], env={"A": 1}),
    ),
    "an environment as a list": (
        InvalidInput, "env", lambda s: s.queue.set_handler_file("a", ["cat"], env=["A=1"]),
    ),
    "a flag as a word": (
        InvalidInput, "fresh", lambda s: s.queue.set_handler_file("a", ["cat"], fresh="no"),
    ),
    "a profile that is none": (
        InvalidInput, "profile", lambda s: s.queue.set_handler_file("a", ["cat"], sandbox="safe"),
    ),
    "a sandbox with a key that is none": (
        InvalidInput, "known", lambda s: s.queue.set_handler_file("a", ["cat"], sandbox={"me": 1}),
    ),
    "a function above the ceilings": (
        InvalidInput, "function", lambda s: enter(s.queue.run(ceilings={"wall": 1})),
    ),
    "ceilings as a text": (InvalidInput, "table", lambda s: enter(s.queue.run(ceilings="low"))),
    "no words for a handler": (
        InvalidInput, "list of words", lambda s: s.queue.set_handler_file("a", []),
    ),
    "a backoff that is no function": (
        InvalidInput, "function", lambda s: s.queue.set_backoff("a", 5),
    ),
    "a concurrency of -1": (InvalidInput, "-1", lambda s: enter(s.queue.run(concurrency=-1))),
    "a run under a number": (InvalidInput, "job name", lambda s: enter(s.queue.run(5))),
    "a concurrency as text": (InvalidInput, "two", lambda s: enter(s.queue.run(concurrency="two"))),
    "a lease too short": (InvalidInput, "lease", lambda s: enter(s.queue.run(lease=0.01))),
}  # fmt: skip
