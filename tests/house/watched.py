"""What each script changes in a queue with something of every kind in it.

The queue is built once; then every script is run on a fresh copy of it, in all the ways it can be
called, under several settings, and the two contents are compared.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from sandq.model.states import JobState
from sandq.store.store import SyncStore
from tests.audit import snapshot
from tests.house.ways import BASE, SETTINGS, Builder, build, gated, ways


@dataclass
class Watched:
    """What was seen: script -> keys; field (`job.` in front of a job's) -> scripts; move of a job
    from one state to another -> scripts; key of a hash -> its fields."""

    keys: dict = field(default_factory=lambda: defaultdict(set))
    fields: dict = field(default_factory=lambda: defaultdict(set))
    moves: dict = field(default_factory=lambda: defaultdict(set))
    values: dict = field(default_factory=lambda: defaultdict(set))
    scripts: set = field(default_factory=set)


def told_name(key):
    """A key as the page writes it: `job:7` is `job:<id>`."""
    kind, colon, _ = key.partition(":")
    part = {"tag": "<tag>", "dedup": "<key>", "repeat": "<key>", "limiter": "<group>"}
    part |= {"metrics": "<state>", "worker": "<worker>"}

    return f"{kind}:{part.get(kind, '<id>')}" if colon else kind


def content(client):
    """All that is stored, without what passes by itself: the time that a key has to live."""
    found = {}
    for key, value in snapshot(client, BASE).items():
        found[key] = value[0] if isinstance(value, tuple) else value

    return found


def where(found):
    """Job id -> the state its set says."""
    places = {}
    for state in JobState:
        for member, _ in found.get(state.value, ()):
            placed = state in (JobState.WAITING, JobState.DELAYED)
            places[member[14:] if placed else member] = state.value
    for member, _ in found.get("parked", ()):
        places[member.partition("\0")[2][24:]] = "waiting"

    return places


def watch(server):
    """Run every way of every script on a copy of the queue of its own."""
    client = server.client
    store = SyncStore("q", server.url)
    held = build(store)
    copy = [(key, client.dump(key), max(0, client.pttl(key))) for key in client.scan_iter()]
    seen = Watched()
    builder = Builder(store)

    for settings in SETTINGS:
        for way in [*gated(held), *(ways(held) if settings is SETTINGS[0] else ())]:
            pipe = client.pipeline(transaction=False).flushall()
            for key, dumped, left_ms in copy:
                pipe.restore(key, left_ms, dumped)
            pipe.execute()
            builder.configure(settings)
            # the bell is taken, as a supervisor does, so that it can be rung again
            client.delete(f"{BASE}wake")
            for call in way[:-1]:
                store.run(call)
            look(client, store, way[-1], seen)
    # a queue that is made by its first call
    for way in [*gated(held), *ways(held)]:
        if way[-1].script in ("add", "configure", "pause", "upsert_series"):
            client.flushall()
            look(client, store, way[-1], seen)
    client.flushall()
    store.close()

    return seen


def look(client, store, call, seen):
    """Run one call, and note what it changes."""
    before = content(client)
    store.run(call)
    after = content(client)
    script = call.script
    seen.scripts.add(script)
    for key in before.keys() | after.keys():
        if before.get(key) == after.get(key):
            continue
        seen.keys[script].add(told_name(key))
        if re.match(r"job:|meta$", key) and key in after:
            prefix = "" if key == "meta" else "job."
            old, now = before.get(key, {}), after[key]
            for name in old.keys() | now.keys():
                if old.get(name) != now.get(name):
                    seen.fields[prefix + name].add(script)
    for key, value in after.items():
        if key in ("totals", "kinds", "groups") or key.startswith("repeat:"):
            seen.values[told_name(key)] |= set(value)
    # a job that is claimed was waiting first, though one script may have promoted it
    was, now = where(before), where(after)
    for job_id in was.keys() & now.keys():
        if was[job_id] != now[job_id]:
            seen.moves[was[job_id], now[job_id]].add(script)
