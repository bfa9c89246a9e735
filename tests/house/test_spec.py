"""The pages of spec/ say what the code does: their tables are read and compared with it, their
numbers with its constants; their programs are run and their transcripts replayed."""

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import anyio
import orjson
import pytest

from sandq import settings
from sandq.child import child, children, command, death, pipes
from sandq.child.pool import Pool
from sandq.child.spawner import TAG
from sandq.cli import main as cli
from sandq.cli import run as cli_run
from sandq.errors import InvalidInput, LayoutMismatch
from sandq.flow import claimer, desk, janitor, lane, lease, settler, slot, supervisor
from sandq.model import building, limits, names, options, payload, states, verdict, view
from sandq.model.backoff import Backoff
from sandq.model.duration import to_ms
from sandq.model.events import EventKind
from sandq.model.handler import Handler
from sandq.model.job import Claim
from sandq.model.outcome import Death, Failure, FailureKind, Outcome
from sandq.model.supervision import Supervision
from sandq.protocol import machine, messages, reading
from sandq.store import calls, connect, embedded, embedded_folder, keys, scripts, store

ROOT = Path(__file__).parents[2]
LUA = {path.stem: path.read_text() for path in (ROOT / "sandq/lua").rglob("*.lua")}
PAGES = sorted((ROOT / "spec").glob("*.md"))


def section(page, heading):
    """The text under a heading, up to the next heading of any level."""
    text = (ROOT / "spec" / f"{page}.md").read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)

    assert found, f"{page}.md has no heading {heading!r}"
    return found[1]


def table(page, heading, number=0):
    """A table under a heading: a list of rows, each a dict from column to cell, code marks off."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", section(page, heading), re.M)
    lines = [line.strip("|\n").split("|") for line in blocks[number].splitlines(keepends=True)]
    rows = [[cell.strip() for cell in line] for line in lines]

    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def plain(cell):
    """A cell that is one piece of code, or words."""
    return cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell


def words(cell):
    """The words of a cell that stand in code marks."""
    return re.sub(r"[^`]*`([^`]*)`[^`]*", r"\1 ", cell).split() if "`" in cell else []


def column(page, heading, name, number=0):
    """The cells of a column, in order, none of them twice."""
    cells = [plain(row[name]) for row in table(page, heading, number)]

    assert len(set(cells)) == len(cells), f"{page}.md, {heading}: something is listed twice"
    return cells


def blocks(page, heading, language):
    """The blocks of code of a language under a heading."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(page, heading), re.M | re.S)


def amount(text):
    """A number with its unit, in ms, bytes or pieces."""
    found = re.fullmatch(r"([\d,]+) ?(ms|s|KiB|MiB|bytes|characters|)", text)
    assert found, f"{text!r} is no number with a unit of ours"
    unit = {"s": 1000, "KiB": 1024, "MiB": 1024**2}.get(found[2], 1)

    return int(found[1].replace(",", "")) * unit


def lua_number(file, pattern):
    return int(re.search(pattern, LUA[file])[1])


# --- numbers ------------------------------------------------------------------------------------

DEFAULTS = Supervision()

SHARED = {
    "data of a job": payload.MAX_DATA_BYTES,
    "log rows kept of a job": calls.LOG_ROWS_KEPT,
    "the kill grace": DEFAULTS.kill_grace_ms,
    "times a job may be recovered": DEFAULTS.max_stalls,
}

NUMBERS = {
    "storage": {
        **SHARED,
        "the layout": keys.LAYOUT,
        "a lease": DEFAULTS.lease_ms,
        "between two looks for stalled jobs, at most": DEFAULTS.recover_ms,
        "entries kept of the event stream, about": lua_number("events", r"KEPT = (\d+)"),
        "jobs in one call of `add`": building.JOBS_AT_ONCE,
        "due jobs promoted by one claim, at most": lua_number("due", r"MOST = (\d+)"),
        "stalled jobs recovered by one call, at most": janitor.BATCH,
        "settlements in one call, at most": settler.BATCH,
        "leases renewed by one call, at most": lease.BATCH,
        "nesting of data": payload.MAX_DEPTH,
        "priority": options.MAX_PRIORITY,
        "rank of a job without priority": lua_number("move", r"LAST_RANK = '(\d+)'"),
        "attempts": options.MAX_ATTEMPTS,
        "a job name": names.MAX_NAME_BYTES,
        "a job id": names.MAX_ID_BYTES,
        "a wait for the bell": claimer.IDLE_WAIT_S * 1000,
        "waits in vain before a supervisor asks all the same": claimer.ASK_AFTER_WAITS,
        "work held ahead by a supervisor, as the time its children need for it": DEFAULTS.ahead_ms,
        "claims held ahead, at most": DEFAULTS.ahead_most,
        "a claim held ahead that has not started is given back after": desk.HELD_MOST_S * 1000,
    },
    "protocol": {
        **SHARED,
        "the version": messages.VERSION,
        "a line, unless configured": limits.DEFAULT_LINE_BYTES,
        "nesting of a value": payload.MAX_DEPTH,
        "an error's type": len(reading.read_error({"type": "x" * 999}).type.split("…")[0]),
        "an error's message": reading.MESSAGE_KEPT,
        "an error's stack": reading.STACK_KEPT,
        "an error's data": reading.ERROR_DATA_KEPT,
        "the message of a log row": reading.MESSAGE_KEPT,
        "what is quoted of an offending line": payload.QUOTE_BYTES,
        "lines of error output kept": pipes.TAIL_LINES,
        "each of them": pipes.TAIL_CHARACTERS,
        "output read of a child that has died": pipes.DRAIN_BYTES,
        "a life without hello that makes a child ready": child.MIN_UPTIME_S * 1000,
        "answers under probation": child.PROBATION_JOBS,
        "silence after each of them": child.PROBATION_S * 1000,
        "a life without output": child.EOF_GRACE_S * 1000,
        "progress and log rows reach Redis within about": lane.REPORT_EVERY_S * 1000,
        "log rows kept of what the jobs of a queue say in that time": calls.LOG_ROWS_KEPT,
        "the pause after a failed start, at first": children.FIRST_PAUSE_S * 1000,
        "the same, at most": children.LONGEST_PAUSE_S * 1000,
        "failed starts that make a handler unhealthy": children.UNHEALTHY_AFTER,
    },
    "cli": {
        **SHARED,
        "the pool": DEFAULTS.pool,
        "the lease": DEFAULTS.lease_ms,
        "between two looks for stalled jobs": DEFAULTS.recover_ms,
        "the drain timeout": DEFAULTS.drain_ms,
        "the last outcomes may take to reach Redis when stopping": supervisor.SETTLE_WITHIN_S * 1e3,
        "a second stop signal is the same one within": cli_run.SAME_SIGNAL_S * 1000,
        "a command may take": connect.COMMAND_TIMEOUT_S * 1000,
        "connecting may take": connect.CONNECT_TIMEOUT_S * 1000,
        "the embedded server may take to come up": embedded._START_DEADLINE_S * 1000,
        "a command waits for the folder's lock": embedded_folder._LOCK_DEADLINE_S * 1000,
        "a whole path of a socket": embedded_folder._SOCKET_PATH_LIMIT,
    },
}


@pytest.mark.parametrize("page", NUMBERS)
def test_numbers_are_those_of_the_code(page):
    told = {row["what"]: amount(row["number"]) for row in table(page, "Numbers")}
    known = NUMBERS[page]

    assert {what: known.get(what) for what in told} == told
    assert set(known) - set(SHARED) <= set(told)


# the same numbers where the text tells them; a change must come by here
PHRASES = {
    "storage": {
        "to about 10,000 entries": 10_000,
        "at most 960 KiB": payload.MAX_DATA_BYTES,
        "45 s by default": DEFAULTS.lease_ms + DEFAULTS.recover_ms,
        "for 5 s at most": claimer.IDLE_WAIT_S * 1000,
        "nesting deeper than 64": payload.MAX_DEPTH,
    },
    "states": {
        "every 15 s": DEFAULTS.recover_ms,
        "for 5 s at most": slot.LONGEST_WAIT_MS,
    },
    "protocol": {
        "lived for 50 ms": child.MIN_UPTIME_S * 1000,
        "The first 3 answers": child.PROBATION_JOBS,
        "followed by 5 ms": child.PROBATION_S * 1000,
        "The last 20 lines": pipes.TAIL_LINES,
        "killed after 500 ms": child.EOF_GRACE_S * 1000,
        "the kill grace (5 s)": DEFAULTS.kill_grace_ms,
        "a pause of 100 ms": children.FIRST_PAUSE_S * 1000,
        "doubles up to 30 s": children.LONGEST_PAUSE_S * 1000,
        "after 3 failures": children.UNHEALTHY_AFTER,
        "at most 1 MiB": limits.DEFAULT_LINE_BYTES,
        "none | 65 |": death.EX_DATAERR,
    },
    "cli": {"again within 2 s": cli_run.SAME_SIGNAL_S * 1000, "at least 100 ms": 100},
}


@pytest.mark.parametrize("page", PHRASES)
def test_numbers_in_the_text_are_those_of_the_code(page):
    text = " ".join((ROOT / "spec" / f"{page}.md").read_text().split())

    for phrase, value in PHRASES[page].items():
        assert phrase in text
        assert value == amount(re.search(r"[\d,]+( (ms|s|KiB|MiB))?\b", phrase)[0])


def test_links_lead_somewhere():
    for page in PAGES:
        for file, anchor in re.findall(r"\]\(([\w.]*)#?([\w-]*)\)", page.read_text()):
            target = page.parent / file if file else page
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}

            assert not anchor or anchor in slugs, f"{page.name}: {file}#{anchor}"


# --- storage.md ---------------------------------------------------------------------------------


def written_fields(lua):
    """Names of hash fields that a script writes: of lists {'name', value, …} and of HSET."""
    found = set(re.findall(r"'HSET(?:NX)?', Keys\.\w+(?:\(\w+(?:\.\w+)?\))?, '(\w+)'", lua))
    for start in (match.start() for match in re.finditer(r"\{\s*'", lua)):
        depth, parts = 0, [""]
        for char in lua[start:]:
            depth += (char in "{(") - (char in "})")
            if depth == 0:
                break
            if char == "," and depth == 1:
                parts.append("")
            else:
                parts[-1] += char
        found |= {part.strip(" {\n'") for part in parts[::2]}
    appended = re.findall(r"fields\[#fields \+ 1\] = (.*)", lua)

    return {name for name in found | {name.strip("'") for name in appended[::2]} if name}


def test_every_key_is_told():
    derived = set(re.findall(r"Keys\.base \.\. '(\w+:)' \.\.", LUA["keys"]))
    told = [name.removeprefix("sandq:{q}:") for name in column("storage", "Keys", "key")]

    assert told == [*keys.ORDER, *sorted(f"{name}<id>" for name in derived)]
    assert f"{keys.DEFAULT_PREFIX}:{{q}}:" == keys.QueueKeys("q").base
    order = re.search(r"in this order: (.*?)\. The", section("storage", "Scripts"), re.S)[1]
    assert tuple(order.replace("\n", " ").split(", ")) == keys.ORDER


def test_every_field_that_lua_writes_is_told():
    written = set().union(*map(written_fields, LUA.values()))
    counters = set(re.findall(r"Move\.numbers\('(\w+)'", "".join(LUA.values())))
    checked = set(re.findall(r"Keys\.meta, '(\w+)'", "".join(LUA.values())))
    of_jobs = set(column("storage", "The fields of a job", "field"))
    of_queue = set(column("storage", "The queue's own fields", "field"))

    assert of_queue == counters | checked
    assert of_jobs == written - checked


def test_every_writer_is_told(server):
    """Scripts are run one by one, and what each changes is compared with the tables."""
    changes = defaultdict(set)
    base = "sandq:{q}:"

    def seen():
        found = {}
        for key in server.client.scan_iter():
            name = re.sub(r"(job|logs):.*", r"\1:<id>", key.decode().removeprefix(base))
            found[name, key] = server.client.dump(key)
            if server.client.type(key) == b"hash":
                for field, value in server.client.hgetall(key).items():
                    found[f"{name}.{field.decode()}", key] = value
        return found

    sync = store.SyncStore("q", server.url)

    def run(call):
        before = seen()
        reply = sync.run(call)
        for name, _ in {n for n, value in {*before.items(), *seen().items()} - known(before)}:
            changes[name].add(call.script)
        return reply

    def known(before):
        after = seen()
        return {item for item in before.items() if after.get(item[0]) == item[1]}

    def new(job_id="", delay_ms=0, priority=0):
        return building.NewJob(job_id, "n", b"1", b'{"attempts":9}', priority, delay_ms, False)

    def end(claim, action, delay_ms=0):
        return calls.Settlement(claim, verdict.Verdict(action, delay_ms, "error", b"{}"))

    def settle(*settlements, n=0, now="1000"):
        return run(calls.settle_and_claim("q", settlements, n, "t2", "w", 500, now))

    action = verdict.Action
    run(calls.open_queue())
    run(calls.add([new(), new("a", 100, 7), new("a"), *[new()] * 5], "1000"))
    # the bell is taken, as a supervisor does, so that it can be rung again
    server.client.delete(f"{base}wake")
    claims = run(calls.claim("q", 4, "t", "w", 500, "2000")).claims
    server.client.delete(f"{base}wake")
    assert run(calls.report([calls.Report(claims[0], "progress", b"1")], "2000")) == 1
    assert run(calls.report([calls.Report(claims[0], "log", b"{}")], "2000")) == 1
    assert run(calls.renew(claims, 900, "2000")) == set()
    settle(end(claims[0], action.RETRY), end(claims[1], action.RELEASE, 50), now="2000")
    server.client.delete(f"{base}wake")
    run(calls.promote(9, "9000"))
    server.client.delete(f"{base}wake")
    assert len(run(calls.recover(1, 1, "9000"))) == 1
    assert len(run(calls.recover(1, 0, "9000"))) == 1
    server.client.delete(f"{base}wake")
    claims = settle(n=2, now="9000")[1].claims
    server.client.delete(f"{base}wake")
    assert len(run(calls.disclaim(["t2"]))) == 2
    server.client.delete(f"{base}wake")
    run(calls.ring())
    claims = settle(n=9, now="9000")[1].claims
    settle(end(claims[0], action.RETRY, 50), *[end(c, action.FAIL) for c in claims[1:3]])
    stalled = run(calls.claim("q", 1, "t3", "w", 1, "9000"))
    settle(*[end(claim, action.COMPLETE) for claim in claims[3:] + stalled.claims])
    settle(now="99000")
    run(calls.add([new(delay_ms=1)], "100000"))
    run(calls.claim("q", 9, "t4", "w", 1, "200000"))
    run(calls.recover(9, 9, "300000"))
    last = settle(n=9, now="300000")[1].claims
    settle(*[end(claim, action.COMPLETE) for claim in last])

    sync.close()
    told = {
        plain(row["key"]).removeprefix(base): row["written by"] for row in table("storage", "Keys")
    }
    for heading, key in (("The fields of a job", "job:<id>"), ("The queue's own fields", "meta")):
        for row in table("storage", heading):
            told[f"{key}.{plain(row['field'])}"] = row["written by"]
    writers = {name: set(words(cell.split(";")[0])) for name, cell in told.items()}
    assert {name: changes.get(name, set()) for name in writers} == writers


def test_the_layout_is_set_once_and_a_strange_one_is_refused(server):
    sync = store.SyncStore("q", server.url)
    sync.run(calls.counts())
    assert server.client.keys("*") == []
    sync.run(calls.add([building.NewJob("", "work", b"1", b"", 0, 0, False)]))
    assert server.client.hget("sandq:{q}:meta", "layout") == b"1"

    server.client.hset("sandq:{q}:meta", "layout", "2")
    with store_closing(sync, server.url) as other, pytest.raises(LayoutMismatch) as refused:
        other.run(calls.counts())
    assert refused.value.code in section("storage", "The layout number")
    server.client.flushall()


def store_closing(first, url):
    from contextlib import closing

    first.close()
    return closing(store.SyncStore("q", url))


def test_events_are_those_that_lua_emits():
    emitted = defaultdict(set)
    for kind, rest in re.findall(
        r"Events\.emit\('([\w-]+)', [\w.]+(.*?)\)\n", "".join(LUA.values())
    ):
        # names and values take turns
        emitted[kind] |= set(re.findall(r"'(\w+)', [^,]+", rest))

    told = {
        plain(row["kind"]): set(words(row["further fields"])) for row in table("storage", "Events")
    }
    assert told == emitted
    assert set(told) == {kind.value for kind in EventKind}


def test_ledgers_are_kept_in_fields_of_jobs():
    kept = [cell for row in table("storage", "Three ledgers") for cell in words(row["kept in"])]

    assert kept == ["attempts", "stalls"]
    assert set(kept) <= set(column("storage", "The fields of a job", "field"))


def test_the_failure_record_has_these_members():
    ends = [Death("exit", 1, None, "itself", 0, 0), Death("signal", None, "SIGKILL", "stop", 0, 0)]
    failure = Failure(
        kind=FailureKind.ERROR, message="", type="", stack="", code=0, data=0, death=ends[0]
    )

    assert column("storage", "The failure record", "member") == list(
        orjson.loads(failure.to_text())
    )
    members = column("storage", "The failure record", "member", 1)
    assert set(members) == {name for end in ends for name in end.to_member()}


def test_stored_options_have_these_members():
    full = options.JobOptions(attempts=2, backoff=1, timeout=1, delay=1, lifo=True)

    assert column("storage", "Stored options", "member") == list(orjson.loads(full.to_text()))


def test_names_are_allowed_as_told():
    told = {row["what"]: row["allowed"] for row in table("storage", "Names", 1)}
    alphabets = {"queue name": names.check_queue_name, "prefix": names.check_prefix}
    for what, check in alphabets.items():
        marks = re.search(r"A-Z a-z 0-9 ([^`]*)`", told[what])[1].split()
        for char in map(chr, range(1, 128)):
            allowed = char in marks or char.isalnum()
            assert allowed == (not _refused(check, char))
        assert not _refused(check, "x" * 128)
        assert _refused(check, "x" * 129)

    assert _refused(names.check_job_id, "7")
    assert _refused(names.check_job_id, "a b")
    assert not _refused(names.check_job_name, "7 b")


def _refused(check, name):
    try:
        check(name)
    except InvalidInput:
        return True
    return False


def test_scripts_are_told_with_their_headers():
    told = {plain(row["script"]): row["what it does"] for row in table("storage", "Scripts")}
    assert told == {name: scripts.header(name)[name] for name in scripts.names()}

    forms = "\n".join(
        f"{name}\n"
        + "\n".join(f"{f} {scripts.header(name)[f]}" for f in ("ARGV", "REPLY", "EVENTS"))
        for name in scripts.names()
    )
    assert forms.split() == blocks("storage", "Scripts", "")[0].split()


def test_scripts_that_write_nothing_run_read_only(server):
    rows = {plain(row["script"]): row["writes"] for row in table("storage", "Scripts")}
    writers = set().union(*(words(cell.split(";")[0]) for cell in column_of_writers()))
    arguments = {"page": ["waiting", 0, -1, 0], "logs": ["1", 0, -1], "look": ["1"]}
    ordered = keys.QueueKeys("q").ordered
    if int(server.client.info()["redis_version"].split(".")[0]) < 7:
        pytest.skip("EVAL_RO came with Redis 7")

    assert {name for name, writes in rows.items() if writes == "yes"} == writers
    for name in set(rows) - writers:
        text = scripts.script(name).text
        server.client.eval_ro(text, len(ordered), *ordered, *arguments.get(name, []))


def column_of_writers():
    return [row["written by"] for row in table("storage", "Keys")]


def test_a_job_is_added_by_the_commands_shown(server, tmp_path, need_program):
    client = need_program("redis-cli", "redis-tools")
    wrapper = tmp_path / "bin" / "redis-cli"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {client} -s {server.socket} "$@"\n')
    wrapper.chmod(0o755)
    (wrapper.parent / "python").symlink_to(sys.executable)
    [example] = blocks("storage", "Adding a job without sandq", "sh")

    path = f"{wrapper.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"],
        input=example,
        cwd=tmp_path,
        env={"PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )

    # no layout yet, and the id of the job
    assert done.stdout.split() == ["1"], done.stderr
    assert (tmp_path / "add.lua").read_text() == scripts.script("add").text
    sync = store.SyncStore("images", server.url)
    [job] = sync.run(calls.look(["1"]))
    sync.close()
    assert (job.name, job.data) == ("resize", b'{"src":"cat.jpg","width":64}')
    assert options.read_options(job.opts).attempts == 3
    values = column("storage", "Adding a job without sandq", "value")
    assert f"now, then for each job: {', '.join(values)}" == scripts.header("add")["ARGV"]


# --- states.md ----------------------------------------------------------------------------------


def test_changes_of_state_are_the_legal_ones():
    rows = table("states", "States")
    told = {plain(row["state"]): set(words(row["may change to"])) for row in rows}
    used = {plain(row["state"]): set(words(row["of these, in use"])) for row in rows}

    assert told == {a.value: {b.value for b in to} for a, to in states.LEGAL.items()}
    change = r"Move\.change\([^;{}]*?'(\w+)', '(\w+)'"
    in_lua = set(re.findall(change, "".join(LUA.values())))
    assert {(a, b) for a, to in used.items() for b in to} == in_lua
    picture = blocks("states", "States", "")[0]
    assert all(state in picture for state in told)


MAY, MAY_NOT = Failure(kind=FailureKind.ERROR, message=""), reading.read_error({"retryable": False})
OUTCOMES = {
    "a value": (Outcome.returned(b"1"), {}),
    "a failure that may be tried again, attempts left, no wait": (Outcome(failure=MAY), {}),
    "a failure that may be tried again, attempts left, a wait": (
        Outcome(failure=MAY),
        {"backoff": Backoff.fixed(1)},
    ),
    "a failure that may be tried again, no attempt left": (Outcome(failure=MAY), {"attempts": 1}),
    "a failure that may not be tried again": (Outcome(failure=MAY_NOT), {}),
    "given back, no wait": (Outcome.give_back(""), {}),
    "given back, a wait": (Outcome.give_back("", 5), {}),
}


def test_verdicts_are_told(server):
    """Each row is decided, settled on a real server, and looked at."""
    rows = {row["outcome"]: row for row in table("states", "Verdicts")}
    sync = store.SyncStore("q", server.url)

    assert set(rows) == set(OUTCOMES)
    assert {plain(row["verdict"]) for row in rows.values()} == {a.value for a in verdict.Action}
    for what, (outcome, given) in OUTCOMES.items():
        sync.run(calls.add([building.new_job("n", 1, options.DEFAULT_OPTIONS)]))
        [claim] = sync.run(calls.claim("q", 1, "t", "w", 10_000)).claims
        stored = options.StoredOptions(**{"attempts": 2, **given})
        decision = verdict.decide(outcome, stored, 0)
        place = server.client.hget(f"sandq:{{q}}:job:{claim.id}", "place")
        sync.run(calls.settle_and_claim("q", [calls.Settlement(claim, decision)], 0, "", "w", 1))
        [job] = sync.run(calls.look([claim.id]))
        [(_, event)] = server.client.xrevrange("sandq:{q}:events", count=1)
        moved = server.client.hget(f"sandq:{{q}}:job:{claim.id}", "place") != place

        row = rows[what]
        assert plain(row["verdict"]) == decision.action.value
        assert (row["attempt spent"] == "yes") == (job.attempts == 1)
        assert words(row["the job goes"]) == [job.state.value]
        assert ("at a new place" in row["the job goes"]) == moved
        assert words(row["event"]) == [event[b"e"].decode()]
        server.client.flushall()
    sync.close()


def test_waits_between_attempts_are_told():
    for row in table("states", "Verdicts", 1):
        kind, delay = row["backoff"].split(", ")
        backoff = getattr(Backoff, kind)(delay.replace(" ", ""))
        told = [amount(cell) for name, cell in row.items() if name != "backoff"]

        assert told == [backoff.after(n) for n in range(1, len(told) + 1)]


def test_kinds_of_failure_are_told():
    told = {plain(row["kind"]): row["tried again"] for row in table("states", "Kinds of failure")}

    assert list(told) == [kind.value for kind in FailureKind]
    final = {MAY_NOT.kind, slot._oversize(1, Handler(command=("x",))).failure.kind}
    assert {kind for kind, again in told.items() if again == "no"} == {*final, FailureKind.STALLED}
    assert not MAY_NOT.retryable


# --- protocol.md --------------------------------------------------------------------------------


def claim_of(line):
    """The claim that a job line was made of."""
    job = orjson.loads(line)
    return Claim(
        queue=job["queue"],
        id=job["id"],
        token="secret",
        name=job["name"],
        data=orjson.dumps(job["data"]),
        opts=orjson.dumps(job["opts"]) if job["opts"] else b"",
        attempts=job["attempt"] - 1,
        stalls=job["stalls"],
        priority=job["priority"],
        created_ms=job["timestamp"],
    )


def told_as(event):
    """An event in the words of the transcripts."""
    match event:
        case messages.Answer(value=bytes(value)):
            return f"value {value.decode()}"
        case messages.Answer(failure=Failure() as failure):
            return f"error {failure.type}: {failure.message}"
        case messages.Progress():
            return f"progress {event.value.decode()}"
        case messages.Log():
            return f"log {event.text.decode()}"
        case messages.Noise():
            return f"noise {event.line.decode()}"
        case messages.Hello():
            return "hello"
        case machine.Spoiled():
            return f"spoiled {event.kind}: {event.reason}"


TRANSCRIPTS = ("One-shot", "Simple", "Full", "Readings")


@pytest.mark.parametrize("heading", TRANSCRIPTS)
def test_a_transcript_is_what_the_supervisor_says_and_hears(heading):
    [transcript] = blocks("protocol", heading, "transcript")
    conversation = machine.Conversation(limits.DEFAULT_LINE_BYTES)
    heard, expected = [], []

    for mark, line in (entry.split(" ", 1) for entry in transcript.splitlines()):
        match mark:
            case ">>" if '"type":"job"' in line:
                job = orjson.loads(line)
                made = messages.job_line(
                    claim_of(line),
                    delay_ms=job["delay"],
                    max_attempts=job["max_attempts"],
                    timeout_ms=job["timeout_ms"],
                )
                assert made.decode() == line + "\n"
                conversation.lend(job["id"])
            case ">>":
                assert messages.bye_line(orjson.loads(line)["reason"]).decode() == line + "\n"
            case "<<":
                if heading == "Readings":
                    conversation.lend("7")
                heard += map(told_as, conversation.receive(line.encode() + b"\n"))
            case "==":
                expected.append(line)
            case _:
                assert mark == "--"

    assert heard == expected


def lines_of(transcript, mark):
    return [line[3:] for line in transcript.splitlines() if line.startswith(f"{mark} ")]


@pytest.mark.parametrize("heading", TRANSCRIPTS[:3])
def test_a_program_says_what_its_transcript_shows(heading):
    [transcript] = blocks("protocol", heading, "transcript")
    [(language, program)] = re.findall(
        r"^```(sh|python)\n(.*?)^```$", section("protocol", heading), re.M | re.S
    )
    started = ["sh", "-c", program] if language == "sh" else [sys.executable, "-c", program]

    done = subprocess.run(
        started,
        input="".join(f"{line}\n" for line in lines_of(transcript, ">>")),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == lines_of(transcript, "<<")
    assert done.returncode == 0
    assert done.stderr == ""

    jobs = [line.encode() + b"\n" for line in lines_of(transcript, ">>") if '"job"' in line]
    outcomes = outcomes_of(Handler(command=tuple(started), fresh=heading == "One-shot"), *jobs)
    answers = [
        f"value {o.value.decode()}" if o.value else f"error {o.failure.type}: {o.failure.message}"
        for o in outcomes
    ]
    told = [line for line in lines_of(transcript, "==") if line.startswith(("value", "error"))]
    assert answers == told


def outcomes_of(handler, *lines, extra=None):
    """What becomes of jobs that a pool lends to one child after the other."""
    outcomes = []

    async def run():
        async with Pool(1, [handler], kill_grace_ms=200) as pool:
            for line in lines:
                one = await pool.obtain(handler, extra)
                job_id = orjson.loads(line)["id"]
                timeout_ms = handler.timeout_ms
                outcomes.append(await one.run(job_id, line, timeout_ms, lambda _: None))
                pool.give_back(one)

    anyio.run(run)

    return outcomes


LINE = messages.job_line(
    Claim("q", "7", "", "n", b"1", b"", 0, 0, 0, 0), delay_ms=0, max_attempts=1, timeout_ms=None
)


def test_the_three_line_handler_serves_for_ever():
    [program] = blocks("protocol", "The child protocol, version 1", "sh")
    outcomes = outcomes_of(Handler(command=("sh", "-c", program)), *[LINE] * 50)

    assert len(program.splitlines()) == 3
    assert outcomes == [Outcome.returned(b'"done"')] * 50
    done = subprocess.run(["sh", "-c", program], input=LINE * 3, capture_output=True, timeout=30)
    assert done.stdout.splitlines() == [b'{"status":"ok","result":"done"}'] * 3
    assert done.returncode == 0


def test_the_job_line_has_these_members():
    assert column("protocol", "Three levels, one job line", "member", 1) == list(orjson.loads(LINE))


def test_messages_are_those_that_are_known():
    rows = {plain(row["type"]): row for row in table("protocol", "Messages from the child")}
    known = set(re.findall(r'case "(\w+)"', inspect.getsource(reading._protocol_message)))
    assert set(rows) == known
    assert known == {"hello", "result", "progress", "log", "fatal"}

    to_child = {
        plain(row["type"]): words(row["members"])
        for row in table("protocol", "Messages to the child")
    }
    bye = orjson.loads(messages.bye_line(""))
    assert set(to_child) == {orjson.loads(LINE)["type"], bye["type"]}
    assert to_child["bye"] == [name for name in bye if name not in ("sandq", "type")]

    reserved = words(re.search(r"Reserved.*?;.*?;", section("protocol", "Versions"), re.S)[0])
    assert not set(reserved) & set(rows)
    for kind in (*reserved, "x-mine"):
        line = json.dumps({"sandq": 1, "type": kind, "id": "7"}).encode()
        assert reading.read_line(line) == messages.Ignored()


def test_errors_are_read_as_told():
    rows = {plain(row["member"]): row for row in table("protocol", "Errors")}
    assert set(rows) == set(
        re.findall(r'error\.get\("(\w+)"\)', inspect.getsource(reading.read_error))
    )

    long = "x" * 100_000
    failure = reading.read_error({"type": long, "message": long, "stack": long, "data": long})
    for name in ("type", "message", "stack"):
        kept = amount(rows[name]["cut at"])
        text = getattr(failure, name)
        assert text == f"{'x' * kept}… ({len(long) - kept} more characters)"
    limit = amount(rows["data"]["cut at"])
    assert str(limit) in failure.data
    assert reading.read_error({"data": "x" * (limit - 2)}).data == "x" * (limit - 2)
    assert reading.read_error({"type": "sandq.x", "code": True, "retry_after_ms": -1}) == Failure(
        kind=FailureKind.ERROR, message="(no message)", type="user.x"
    )


def test_json_that_is_not_strict_breaks_the_protocol():
    deep = b"[" * (payload.MAX_DEPTH + 1) + b"]" * (payload.MAX_DEPTH + 1)
    for text in (b"NaN", b"1e999", b'{"a":1,"a":2}', rb'"\ud800"', deep):
        assert isinstance(reading.read_line(text), messages.Broken)
    for text in (b"", b"  \r"):
        assert reading.read_line(text) == messages.Ignored()


@pytest.mark.parametrize(
    "row", table("protocol", "What spoils a child"), ids=lambda r: r["what it writes"]
)
def test_what_spoils_a_child(row):
    strict, full = row["level"] == "strict", row["level"] == "full"
    conversation = machine.Conversation(limits.DEFAULT_LINE_BYTES, strict=strict)
    first = b'{"sandq":1,"type":"hello"}\n' if full else b"[]\n"
    conversation.lend("6")
    conversation.receive(first + b'{"sandq":1,"type":"result","id":"6","status":"ok"}\n' * full)
    conversation.lend("7")

    long = b"x" * (limits.DEFAULT_LINE_BYTES + 1)
    line = plain(row["example"]).encode() if "`" in row["example"] else long
    [event] = conversation.receive(line + b"\n")
    assert isinstance(event, machine.Spoiled)
    assert plain(row["the job fails as"]) == event.kind.value


ANSWERS = {
    "a value": "echo 5",
    "an error": 'echo \'{"status":"error"}\'',
    "none": ":",
    "two": "echo 5; echo 6",
}


def test_exit_codes_of_one_shot_children():
    told = [(row["answer"], row["exit code"]) for row in table("protocol", "How a job ends", 1)]
    assert len(told) == 7
    assert {answer for answer, _ in told} == set(ANSWERS)

    for row in table("protocol", "How a job ends", 1):
        for code in {"other": ["1", "75"], "any": ["0", "3"]}.get(
            row["exit code"], [row["exit code"]]
        ):
            program = f"read -r job; {ANSWERS[row['answer']]}; exit {code}"
            [outcome] = outcomes_of(Handler(command=("sh", "-c", program), fresh=True), LINE)
            if outcome.value is not None:
                told = {b"5": "completed with it", b"null": "completed with null"}[outcome.value]
                assert row["the job"] == told
            elif row["answer"] == "an error":
                assert outcome.failure.kind is FailureKind.ERROR
            else:
                assert words(row["the job"])[0] == outcome.failure.kind.value


def test_other_ends_of_a_job():
    def end_of(program, **settings):
        return outcomes_of(Handler(command=("sh", "-c", program), **settings), LINE)[0]

    assert end_of("read -r job; exit 0").failure.kind is FailureKind.CRASHED
    assert end_of("read -r job; kill -XCPU $$").failure.kind is FailureKind.CPU_LIMIT
    # SIGTERM comes first, then SIGKILL; what is answered in between comes too late
    late = end_of("read -r job; trap 'echo 5' TERM; while :; do sleep 0.01; done", timeout_ms=50)
    assert late.failure.kind is FailureKind.TIMED_OUT
    assert late.failure.death.signal == "SIGKILL"
    assert end_of("read -r job; sleep 9", timeout_ms=50).failure.death.signal == "SIGTERM"
    # it never read the job
    assert end_of("sleep 0.1; exit 0").released
    assert end_of("exec 0<&-; sleep 9").released
    # two answers, a closed output, an end after the answer
    twice = end_of("read -r job; echo 5; echo 6; read -r job")
    assert twice.failure.kind is FailureKind.PROTOCOL_ERROR
    assert end_of("read -r job; exec 1>&-; sleep 9").failure.kind is FailureKind.CRASHED
    assert end_of("read -r job; echo 5; exit 3").value == b"5"
    # a one-shot child need not read, and its answer counts though it lives on
    assert end_of("echo 5; sleep 9", fresh=True).value == b"5"
    hello = 'echo \'{"sandq":1,"type":"hello"}\''
    result = 'echo \'{"sandq":1,"type":"result","id":"7","status":"ok","result":5}\''
    assert end_of(f"{hello}; {result}; {result}", fresh=True).value == b"5"


def test_a_child_sees_these_variables_and_no_others(monkeypatch, tmp_path):
    for name in (*settings.PASSED_ON, "HOME", "SANDQ_REDIS_URL"):
        monkeypatch.setenv(name, os.environ["PATH"] if name == "PATH" else str(tmp_path))
    rows = table("protocol", "The environment of a child")
    for_all = {
        plain(row["variable"]): row["value"] for row in rows if row["which children"] == "all"
    }
    one_shot = {plain(row["variable"]) for row in rows if row["which children"] == "one-shot"}
    file = tmp_path / "environment"
    teller = Handler(command=("sh", "-c", f"read -r job; cat /proc/$$/environ > {file}; echo 1"))
    warm = environment_of(teller, file)
    told = messages.job_environment(claim_of(LINE))
    fresh = environment_of(replace(teller, fresh=True), file, told)
    assert set(warm) == set(for_all)
    assert set(fresh) == {*for_all, *one_shot}
    assert {name: warm[name] for name, value in for_all.items() if "`" in value} == {
        name: words(value)[0] for name, value in for_all.items() if "`" in value
    }
    assert warm["SANDQ_MAX_LINE"] == str(limits.DEFAULT_LINE_BYTES)
    assert TAG in for_all


def environment_of(handler, file, extra=None):
    """What a child is born with; the shell in it adds variables of its own later."""
    outcomes_of(handler, LINE, extra=extra)
    text = file.read_text().rstrip("\0")

    return dict(entry.split("=", 1) for entry in text.split("\0"))


# --- cli.md -------------------------------------------------------------------------------------


def test_verbs_are_told():
    told = {plain(row["verb"]): row["what it does"] for row in table("cli", "The command line")}

    assert told == cli.VERBS


@pytest.mark.parametrize("verb", cli.VERBS)
def test_options_are_told(verb):
    parser = argparse.ArgumentParser(add_help=False)
    import_module(f"sandq.cli.{verb}").options(parser)
    rows = {plain(row["option"]).split(" ")[0]: row for row in table("cli", f"sandq {verb}")}
    actions = {name: a for a in parser._actions for name in a.option_strings}

    assert set(rows) == set(actions)
    for name, action in actions.items():
        takes_value = action.nargs != 0
        assert (" " in plain(rows[name]["option"])) == takes_value
        if takes_value and action.default is not None:
            assert rows[name]["default"] == str(action.default)
    usage = blocks("cli", f"sandq {verb}", "")[0]
    for action in parser._actions:
        if not action.option_strings and action.choices:
            assert all(f"sandq {verb} {choice}" in usage for choice in action.choices)
        elif not action.option_strings:
            assert (action.metavar or action.dest).upper() in usage.replace("ID", "JOB")


def test_defaults_of_run_are_those_of_supervision():
    given = {
        plain(row["option"]).split(" ")[0][2:].replace("-", "_"): row["default"]
        for row in table("cli", "sandq run")
    }

    for option, field in cli_run._TIMES.items():
        assert to_ms(given[option], option) == getattr(DEFAULTS, field)
    assert given["pool"] == str(DEFAULTS.pool)


TOML = "The configuration file"


def test_keys_of_the_configuration_are_told():
    top = {"redis", "prefix", "limits", "queues", *settings._SUPERVISION}
    expected = [top, {*settings._HANDLER, "limits", "env"}, set(settings._LIMITS)]

    assert [set(column("cli", TOML, "key", n)) for n in range(3)] == expected
    defaults = {plain(row["key"]): row["default"] for row in table("cli", TOML)}
    for key, (field, read) in settings._SUPERVISION.items():
        text = defaults[key]
        assert (to_ms(text, key) if read is to_ms else int(text)) == getattr(DEFAULTS, field)
    limit_defaults = {plain(row["key"]): row["default"] for row in table("cli", TOML, 2)}
    for field in fields(limits.Limits):
        text = limit_defaults[field.name]
        assert (None if text == "no limit" else limits.to_bytes(text, "")) == field.default
    suffixes = [plain(row["meaning"]) for row in table("cli", TOML, 1) if "`file`" in row["key"]]
    assert set(re.findall(r"`(\.\w+)`", suffixes[0])) == set(command.INTERPRETERS)


def test_the_example_configuration_can_be_run(tmp_path, monkeypatch):
    [example] = blocks("cli", TOML, "toml")
    file = tmp_path / "sandq.toml"
    file.write_text(example)
    monkeypatch.chdir(ROOT)
    config = settings.load_config(file)

    assert config.supervision == replace(DEFAULTS, pool=4)
    for queue, handlers in config.handlers.items():
        for name, handler in handlers.items():
            if (queue, name) in config.files:
                handler = replace(handler, command=command.command_for_file(*handler.command))
            assert command.find_program(handler, os.environ["PATH"])

    # every key of the tables is shown in use
    tree = tomllib.loads(example)
    shown = [h for queue in tree["queues"].values() for h in queue["handlers"].values()]
    used = [
        set(tree),
        set().union(*shown),
        set().union(tree["limits"], *(h.get("limits", {}) for h in shown)),
    ]
    assert used == [set(column("cli", TOML, "key", n)) for n in range(3)]


def test_stop_signals_are_told():
    told = table("cli", "Stopping")[0]["signal"]

    assert told == ", ".join(number.name for number in cli_run.STOP_SIGNALS)


def test_variables_are_those_that_settings_read():
    read = re.findall(r'environ\.get\("(\w+)"\)', inspect.getsource(settings))

    assert column("cli", "Which Redis", "variable") == read


def test_exit_codes_are_told(monkeypatch, capsys):
    codes = [int(row["exit code"]) for row in table("cli", "The command line", 1)]
    handler = ["sh", "-c", 'read -r job; echo \'{"status":"error","error":"no"}\'']
    monkeypatch.setattr("sandq.cli.ls.run", _interrupted)

    assert codes == [
        cli.main(["--version"]),
        cli.main(["exec", "--data", "1", "--", *handler]),
        cli.main(["exec", "--data", "{", "--", *handler]),
        cli.main(["ls"]),
    ]
    assert "error: no\n" in capsys.readouterr().err


def _interrupted(_):
    raise KeyboardInterrupt


def test_output_has_these_members(url, capsys, tmp_path):
    def json_of(*arguments):
        assert cli.main([*arguments, "--json"]) in (0, 1)
        return json.loads(capsys.readouterr().out)

    added, *_ = table("cli", "sandq add", 1)
    assert set(json_of("add", "q", "n", "--url", url)) == set(
        json.loads(plain(added["with `--json`"]))
    )
    shown = json_of("show", "q", "1", "--logs", "--url", url)
    assert list(shown) == column("cli", "sandq show", "member", 1) == [*view.SHOWN, "logs"]
    counts = re.search(r"object for each with (.*?)\.", section("cli", "sandq ls"), re.S)[1]
    assert list(json_of("ls", "--url", url)) == words(counts)
    status = json_of("server", "status", "--dir", str(tmp_path / "none"))
    assert list(status) == column("cli", "sandq server", "member", 1)
    assert status["running"] is False


def test_the_folder_of_the_embedded_server_is_told(tmp_path, redis_binary):
    heading = "The embedded server"
    given = dict(
        zip(embedded_folder.SERVER_OPTIONS[::2], embedded_folder.SERVER_OPTIONS[1::2], strict=True)
    )
    for row in table("cli", heading):
        value = "" if row["value"] == "none" else plain(row["value"])
        assert given[f"--{plain(row['option of the server'])}"] == value

    server = embedded.EmbeddedServer(tmp_path / "d")
    try:
        server.ensure()
        assert sorted(os.listdir(tmp_path / "d")) == sorted(column("cli", heading, "file", 1))
    finally:
        server.stop()


def test_errors_of_the_embedded_server_are_in_its_words():
    source = inspect.getsource(embedded) + inspect.getsource(embedded_folder)

    for error in column("cli", "The embedded server", "error", 2):
        assert error in source


def test_the_pages_speak_of_the_project_alone():
    for page in PAGES:
        text = page.read_text()
        assert "/work/" not in text
        assert not re.search(r"[ \t]+$", text, re.M), page.name
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
