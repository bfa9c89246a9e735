"""What must be so of a queue's data at any time, whatever was done to it.

Read in one go, without the project's own readers.
"""

import json
from collections import Counter

#: No priority is the last rank.
NO_PRIORITY = 2**32
#: Digits of a place, and of a rank in the member of a parked job.
PLACE, RANK = 14, 10

STATES = ("waiting", "delayed", "active", "completed", "failed", "cancelled")
UNSTARTED = ("waiting", "delayed")
FINAL = ("completed", "failed", "cancelled")

#: Keys that stand alone, and the first words of those that there are many of.
KNOWN = {*STATES, "parked", "windows", "expiry", "cancelling", "groups", "kinds", "totals", "meta",
         "wake", "events", "repeat", "workers", "limiter"}  # fmt: skip
FAMILIES = {"job", "logs", "emitted", "failures", "tag", "dedup", "repeat", "limiter", "metrics",
            "worker"}  # fmt: skip

# one script, so that nothing changes between two looks
_LOOK = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local kind = redis.call('TYPE', key).ok
  local content
  if kind == 'hash' then
    content = redis.call('HGETALL', key)
  elseif kind == 'zset' then
    content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then
    content = redis.call('SMEMBERS', key)
  elseif kind == 'list' then
    content = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'string' then
    content = { redis.call('GET', key), redis.call('PTTL', key) }
  else
    content = redis.call('XRANGE', key, '-', '+')
  end
  found[#found + 1] = { key, kind, content }
end
for i = 2, #ARGV do
  redis.call('DEL', ARGV[i])
end
return found
"""


def snapshot(client, base, *then_delete):
    """All that is stored of a queue: the rest of a key's name -> its content.

    A hash is a dict, a sorted set a list of (member, score) in its order, a string (text, time to
    live in ms or -1), a stream its entries as dicts. Texts are decoded, but for the values in the
    hashes of jobs. `then_delete` are keys that are deleted after the look.
    """
    found = {}
    for key, kind, content in client.eval(_LOOK, 0, base + "*", *then_delete):
        name = key.decode()[len(base) :]
        if name.startswith("job:"):
            found[name] = {k.decode(): v for k, v in _pairs(content)}
        elif kind == b"hash":
            found[name] = {k.decode(): v.decode() for k, v in _pairs(content)}
        elif kind == b"zset":
            found[name] = [(m.decode(), int(float(score))) for m, score in _pairs(content)]
        elif kind == b"set":
            found[name] = {member.decode() for member in content}
        elif kind == b"list":
            found[name] = list(content)
        elif kind == b"string":
            found[name] = (content[0].decode("utf-8", "backslashreplace"), content[1])
        else:
            found[name] = [
                {k.decode(): v.decode("utf-8", "backslashreplace") for k, v in _pairs(fields)}
                for _, fields in content
            ]

    return found


def audit(client):
    """Every queue of a server is in order."""
    for meta in client.keys("sandq:{*}:meta"):
        check(snapshot(client, meta.decode().removesuffix("meta")))


def check(found):
    """Every job is in exactly one place, the one its state names; every index, counter and key of
    the queue speaks of jobs as they are; and nothing else is there."""
    unknown = {
        name for name in found if name not in KNOWN and name.partition(":")[0] not in FAMILIES
    }
    assert not unknown, f"keys that nobody knows: {unknown}"
    assert len(found.get("wake", [])) <= 1
    jobs = {name.removeprefix("job:"): job for name, job in found.items() if name[:4] == "job:"}
    if jobs:
        assert found["meta"]["layout"] == "1"

    _check_places(found, jobs)
    states = {job_id: job.get("state", b"waiting").decode() for job_id, job in jobs.items()}
    _check_counters(found, jobs, states)
    _check_expiry(found, jobs, states)
    _check_indexes(found, jobs, states)
    _check_cancelling(found, jobs, states)


def _check_places(found, jobs):
    """Each job is in one set, under its place, and with the score that its hash gives."""
    places = {}
    for state in (*STATES, "parked"):
        for member, score in found.get(state, []):
            job_id, said = _read_member(state, member)
            assert job_id not in places, f"job {job_id} is in {places[job_id]} and in {state}"
            places[job_id] = "waiting" if state == "parked" else state
            assert job_id in jobs, f"job {job_id} is in {state} and has no hash"
            job = jobs[job_id]
            rank = int(job.get("priority", NO_PRIORITY))
            if "place" in said:
                assert said["place"] == job["place"].decode(), f"job {job_id} has lost its place"
            if state == "parked":
                assert said["group"] == job["group"].decode(), f"job {job_id} is parked as another"
                assert (score, int(said["rank"])) == (0, rank), f"job {job_id} has lost its rank"
            elif state == "waiting":
                assert score == rank, f"job {job_id} has lost its rank"
            elif state == "delayed":
                assert score == int(job["due"]), f"job {job_id} is due at another time"
            elif state in FINAL:
                assert score == int(job["finished"]), f"job {job_id} ended at another time"
    for job_id, job in jobs.items():
        state = job.get("state", b"waiting").decode()
        assert places.get(job_id) == state, f"job {job_id} says {state}: {places.get(job_id)}"


def _check_counters(found, jobs, states):
    active = Counter(
        job["group"].decode()
        for job_id, job in jobs.items()
        if states[job_id] == "active" and "group" in job
    )
    kinds = Counter(job["kind"].decode() for i, job in jobs.items() if states[i] == "failed")
    assert _numbers(found.get("groups", {})) == active, "active jobs by group"
    assert _numbers(found.get("kinds", {})) == kinds, "failed jobs by kind"


def _check_expiry(found, jobs, states):
    """Jobs that fail if they do not start in time, and values that are kept for a time."""
    starts = {
        ("x" + i, int(job["expires"]))
        for i, job in jobs.items()
        if states[i] in UNSTARTED and "expires" in job
    }
    expiry = set(found.get("expiry", []))
    values = {member for member, _ in expiry - starts}
    assert starts <= expiry, f"nobody looks for these: {starts - expiry}"
    assert values <= {"r" + i for i in jobs if states[i] == "completed"}, "what expires"


def _check_indexes(found, jobs, states):
    tags = {
        (tag, job_id) for job_id, job in jobs.items() for tag in json.loads(job.get("tags", b"[]"))
    }
    tagged = set()
    for name, content in found.items():
        family, _, rest = name.partition(":")
        if family == "tag":
            tagged |= {(rest, job_id) for job_id in content}
        elif family == "dedup" and content[1] == -1:
            job = jobs.get(content[0])
            assert job is not None, f"dedup key {rest} is of job {content[0]}, which is not there"
            assert states[content[0]] not in FINAL, f"dedup key {rest} is of an ended job"
            assert job["dedup"].decode() == rest
            assert "dedup_ttl" not in job
        elif family in ("logs", "emitted", "failures"):
            assert rest in jobs, f"{name} is left of a job that is gone"
            assert family != "emitted" or "emitted" in jobs[rest], f"nobody knows whose {name} is"
    assert tagged == tags, "jobs by tag"

    series = {name.removeprefix("repeat:") for name in found if name.startswith("repeat:")}
    assert {key for key, _ in found.get("repeat", [])} == series, "series and their hashes"


def _check_cancelling(found, jobs, states):
    """Who is to be stopped: active jobs that were cancelled, or jobs removed while they ran."""
    listed = found.get("cancelling", {})
    for job_id in listed:
        assert job_id not in jobs or "cancel" in jobs[job_id], f"job {job_id} is to be stopped"
    for job_id, job in jobs.items():
        running = states[job_id] == "active" and "cancel" in job
        assert (job_id in listed) == running, f"job {job_id}, {states[job_id]}, is to be stopped"
        if states[job_id] in UNSTARTED or states[job_id] == "completed":
            assert "cancel" not in job, f"job {job_id} is {states[job_id]}, and was cancelled"


def _read_member(state, member):
    """The id in a member of a set, and what else the member says."""
    if state == "parked":
        group, _, rest = member.partition("\0")
        said = {"group": group, "rank": rest[:RANK], "place": rest[RANK : RANK + PLACE]}
        return rest[RANK + PLACE :], said
    if state in UNSTARTED:
        return member[PLACE:], {"place": member[:PLACE]}

    return member, {}


def _pairs(flat):
    return zip(flat[::2], flat[1::2], strict=True)


def _numbers(content):
    return {name: int(number) for name, number in content.items()}
