"""spec/storage.md says what the scripts take and reply, and how others add jobs by one of them."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sandq.errors import QueueFull, StaleSettings
from sandq.model.building import new_job
from sandq.model.options import DEFAULT_OPTIONS, read_options
from sandq.store import calls, keys, reads, scripts, verbs
from sandq.store.store import SyncStore
from tests.house.pages import ROOT, blocks, column, plain, section, table


def test_scripts_are_told_with_their_headers():
    told = {plain(row["script"]): row["what it does"] for row in table("storage", "Scripts")}
    assert told == {name: scripts.header(name)[name] for name in scripts.names()}

    forms = "\n".join(
        f"{name}\n"
        + "\n".join(f"{f} {scripts.header(name)[f]}" for f in ("ARGV", "REPLY", "EVENTS"))
        for name in scripts.names()
    )
    assert forms.split() == blocks("storage", "Scripts", "")[0].split()


def test_the_errors_of_scripts_are_told():
    replied = {
        code
        for name in scripts.names()
        for code in scripts.header(name)["ERRORS"].replace(",", "").split()
        if code != "none"
    }

    assert {code for code in replied if f"`{code}`" in section("storage", "Scripts")} == replied


def test_scripts_that_write_nothing_run_read_only(server):
    rows = {plain(row["script"]): row["writes"] for row in table("storage", "Scripts")}
    arguments = {
        "page": ["waiting", 0, -1, 0],
        "logs": ["1", 0, -1],
        "follow": ["1", 0, 9, 100],
        "emitted": ["1", 0],
        "look": ["1"],
        "ending": ["1", "+", 9],
        "failures": ["1"],
        "figures": [""],
        "metrics": ["", "failed"],
        "tagged": ["t"],
        "due_series": ["", 9],
        "list_series": [0, -1, 0],
        "audit_set": ["active", "0", 9],
        "audit_failed": ["-inf", "", 9],
    }
    ordered = keys.QueueKeys("q").ordered
    if int(server.client.info()["redis_version"].split(".")[0]) < 7:
        pytest.skip("EVAL_RO came with Redis 7")

    for name, writes in rows.items():
        if writes == "-":
            text = scripts.script(name).text
            server.client.eval_ro(text, len(ordered), *ordered, *arguments.get(name, []))


def test_the_version_of_the_settings_is_compared_as_told(server):
    with closing(SyncStore("q", server.url)) as store:
        job = new_job("n", 1, DEFAULT_OPTIONS)
        store.run(calls.add([job], "0"))
        version = store.run(verbs.configure(b'{"max_size":2}', {"max_size": "2"}))
        with pytest.raises(StaleSettings):
            store.run(calls.add([job], "0"))
        store.run(calls.add([job], version))
        # all or none
        with pytest.raises(QueueFull):
            store.run(calls.add([job, job], ""))
        assert store.run(reads.counts())["waiting"] == 2


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
    with closing(SyncStore("images", server.url)) as store:
        [job] = store.run(reads.look(["1"]))
    assert (job.name, job.data) == ("resize", b'{"src":"cat.jpg","width":64}')
    assert (read_options(job.opts).attempts, job.tags) == (3, ("cats",))
    values = column("storage", "Adding a job without sandq", "value")
    taken = scripts.header("add")["ARGV"]
    assert taken.endswith(f"then for each job: {', '.join(values)}")
    assert taken.startswith("now, version (")
