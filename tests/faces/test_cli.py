"""The `sandq` command, as a process: output, exit codes, and errors in one line."""

import json
import os
import signal
import subprocess
import sys

import pytest

from sandq.sync import Queue

DEADLINE_S = 30


@pytest.fixture
def sandq(url, tmp_path):
    """Run `sandq` in an empty folder; the server is that of the test."""

    def run(*words, stdin="", env=None):
        return subprocess.run(
            [sys.executable, "-m", "sandq", *words],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=DEADLINE_S,
            env={**os.environ, "SANDQ_REDIS_URL": url, **(env or {})},
            check=False,
        )

    return run


def test_without_words_the_verbs_are_listed(sandq):
    shown = sandq()

    assert shown.returncode == 0
    for verb in ("run", "add", "show", "ls", "server", "exec"):
        assert f"\n    {verb} " in shown.stdout
    assert sandq("--version").stdout.startswith("sandq 0.")


@pytest.mark.parametrize("verb", ["run", "add", "show", "ls", "server", "exec"])
def test_every_verb_has_help_and_json(sandq, verb):
    shown = sandq(verb, "--help")

    assert shown.returncode == 0
    assert "--json" in shown.stdout


def test_a_job_is_added_listed_and_shown(sandq):
    added = sandq("add", "q", "work", "--data", '{"a": [1 ]}', "--priority", "2", "--attempts", "3")
    as_json = sandq("add", "q", "work", "--id", "own", "--delay", "1h", "--json")
    listed = sandq("ls", "q")
    queues = sandq("ls", "--json")
    shown = sandq("show", "q", "1")
    in_json = sandq("show", "q", "own", "--json", "--logs")

    assert (added.returncode, added.stdout) == (0, "1\n")
    assert json.loads(as_json.stdout) == {"id": "own"}
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == [
        ["ID", "NAME", "STATE"], ["1", "work", "waiting"], ["own", "work", "delayed"],
    ]  # fmt: skip
    assert json.loads(queues.stdout)["queue"] == "q"
    assert json.loads(queues.stdout)["delayed"] == 1
    assert "waiting" in shown.stdout
    assert json.loads(in_json.stdout)["logs"] == []
    assert json.loads(in_json.stdout)["due_at"] > 0


def test_data_comes_from_an_option_a_file_or_the_input_byte_for_byte(sandq, tmp_path, url):
    (tmp_path / "data.json").write_text(' {"from": "file"}')

    sandq("add", "q", "work", "--data-file", "data.json")
    sandq("add", "q", "work", "--data-file", "-", stdin='"input"')
    sandq("add", "q", "work")
    with Queue("q", url) as queue:
        texts = [job.data_text for job in queue.get_jobs(["waiting"], asc=True)]

    assert texts == [b' {"from": "file"}', b'"input"', b"null"]


ERRORS = {
    "data that is not JSON": (["add", "q", "n", "--data", "{oops"], "data is not JSON"),
    "data file missing": (["add", "q", "n", "--data-file", "no.json"], "cannot read the data"),
    "unknown verb": (["ad", "q"], "invalid choice: 'ad'"),
    "unknown option": (["add", "q", "n", "--atempts", "3"], "did you mean '--attempts'"),
    "unknown word": (["show", "q", "1", "extra"], "'extra' is not understood"),
    "bad duration": (["add", "q", "n", "--delay", "soon"], "delay is not a duration"),
    "bad backoff": (["add", "q", "n", "--backoff", "wild:3s"], "backoff delay is not a duration"),
    "bad number": (["add", "q", "n", "--attempts", "0"], "attempts must be a whole number"),
    "bad queue name": (["add", "a b", "n"], "queue name 'a b' is not allowed"),
    "no such job": (["show", "q", "99"], "queue 'q' has no job '99'"),
    "unknown state": (["ls", "q", "--state", "done"], "state 'done' is not known"),
    "no queue": (["run", "--", "cat"], "which queue?"),
    "no handler": (["run", "q"], "which handler?"),
    "missing program": (["run", "q", "--", "./nothing"], "does not exist"),
    "not on PATH": (["run", "q", "--", "no-such-program"], "is not on PATH"),
    "bad pool": (["run", "q", "--pool", "0", "--", "cat"], "pool must be"),
    "bad pools": (["run", "q", "--pool", "2:x", "--", "cat"], "--pool takes a number, or two"),
    "pools the wrong way round": (["run", "q", "--pool", "4:2", "--", "cat"], "4 > 2"),
    "no folder to watch": (
        ["run", "q", "--watch", "nowhere", "--", "cat"],
        "--watch takes a folder",
    ),
    "no jobs at all": (["run", "q", "--max-jobs", "0", "--", "cat"], "max_jobs must be"),
    "bad age": (["run", "q", "--max-age", "old", "--", "cat"], "--max-age is not a duration"),
    "bad size": (["run", "q", "--max-rss", "big", "--", "cat"], "--max-rss is not a size"),
    "file of a warm child": (["run", "q", "--channel", "file", "--", "cat"], "one process per job"),
    "bad memory": (["run", "q", "--memory", "lots", "--", "cat"], "--memory is not a size"),
    "bad env": (["run", "q", "--env", "X", "--", "cat"], "--env takes NAME=VALUE"),
    "config missing": (["run", "--config", "none.toml"], "cannot read the configuration none.toml"),
    "config and handler": (
        ["run", "--config", "x.toml", "--max-jobs", "3"],
        "write it in the file",
    ),
    "config and queue": (["run", "q", "--config", "x.toml"], "give no others"),
    "unreachable": (["add", "q", "n", "--url", "redis://127.0.0.1:1"], "is the server running"),
    "bad url": (["ls", "--url", "ftp://x"], "cannot be used"),
    "exec: no handler": (["exec"], "which handler?"),
    "exec: no program": (["exec", "--data", "1", "--", "./nothing"], "does not exist"),
    "exec: not JSON": (["exec", "--data", "x", "--", "cat"], "--data is not JSON"),
    "exec: no object": (["exec", "--", "cat"], "is not JSON"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_one_clear_line_and_exit_code_2(sandq, name):
    words, message = ERRORS[name]

    shown = sandq(*words)

    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.count("\n") == 1
    assert shown.stderr.startswith("sandq")
    assert message in shown.stderr


CONFIGS = {
    "not TOML": ("[", "is not TOML"),
    "unknown key": ("poool = 3", "key 'poool' is not known; did you mean 'pool'?"),
    "unknown handler key": (
        '[queues.q.handlers.a]\ncommand=["cat"]\ntimout="3s"',
        "'queues.q.handlers.a.timout' is not known; did you mean",
    ),
    "no handler": ("[queues.q]", "queues.q has no handlers"),
    "both": ('[queues.q.handlers.a]\ncommand=["cat"]\nfile="x"', "needs either command or file"),
    "no file": ('[queues.q.handlers.a]\nfile="gone.py"', "'gone.py' does not exist"),
    "bad limit": ('[limits]\nmemory="much"', "limits.memory is not a size"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bad_configuration_names_the_file_and_the_key(sandq, tmp_path, name):
    text, message = CONFIGS[name]
    (tmp_path / "sandq.toml").write_text(text)

    shown = sandq("run", "--config", "sandq.toml")

    assert shown.returncode == 2
    assert shown.stderr.count("\n") == 1
    assert message in shown.stderr


def test_a_configuration_runs_several_queues(sandq, tmp_path, url, flaky):
    (tmp_path / "sandq.toml").write_text(
        f'pool = 2\n[queues.a.handlers."*"]\ncommand = {json.dumps(flaky)}\n'
        f"[queues.b.handlers.work]\ncommand = {json.dumps(flaky)}\ntimeout = '30s'\n"
        "env = { MINE = 'x' }\n[queues.b.handlers.work.limits]\nopen_files = 64\n"
    )
    one = subprocess.Popen(
        [sys.executable, "-m", "sandq", "run", "--config", "sandq.toml", "--url", url, "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        started = json.loads(one.stdout.readline())
        done = [
            sandq("add", queue, "work", "--data", '{"value":1}', "--wait-timeout", "20s", "--json")
            for queue in ("a", "b")
        ]
        one.send_signal(signal.SIGTERM)
        rest, _ = one.communicate(timeout=DEADLINE_S)
    finally:
        one.kill()
        one.communicate()

    assert (started["event"], started["pool"], set(started["handlers"])) == (
        "started",
        2,
        {"a", "b"},
    )
    assert [json.loads(d.stdout)["result"] for d in done] == [1, 1]
    assert json.loads(rest)["event"] == "stopped"
    assert one.returncode == 0


def test_waiting_for_a_job_prints_its_value_or_tells_its_failure(sandq, url, flaky):
    with Queue("q", url) as queue:
        queue.set_handler_file("*", flaky)
        with queue.run():
            good = sandq("add", "q", "work", "--data", '{"value":{"a":1}}', "--wait")
            bad = sandq("add", "q", "work", "--data", '{"fail":"no"}', "--wait")
            in_json = sandq("add", "q", "work", "--data", '{"fail":"no"}', "--wait", "--json")
    late = sandq("add", "q", "work", "--wait-timeout", "50ms")

    assert (good.returncode, json.loads(good.stdout)) == (0, {"a": 1})
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "failed: error: no" in bad.stderr
    assert (in_json.returncode, json.loads(in_json.stdout)["error"]["message"]) == (1, "no")
    assert late.returncode == 2
    assert "has not ended" in late.stderr


def test_exec_runs_one_job_without_redis(sandq, flaky):
    job = json.dumps({"id": "x", "data": {"value": [1], "progress": [0.5], "log": ["hi"]}})
    env = {"SANDQ_REDIS_URL": "redis://127.0.0.1:1"}

    good = sandq("exec", "--", *flaky, stdin=job, env=env)
    bad = sandq("exec", "--json", "--data", '{"exit":3}', "--", *flaky, env=env)
    late = sandq("exec", "--timeout", "100ms", "--data", '{"sleep_s":60}', "--", *flaky, env=env)
    fresh = sandq("exec", "--fresh", "--data", "1", "--", "sh", "-c", "cat >/dev/null; echo 7")
    strict = sandq(
        "exec", "--strict", "--data", "1", "--", "sh", "-c", "read -r l; echo oops; read -r l"
    )

    assert (good.returncode, json.loads(good.stdout)) == (0, [1])
    assert good.stderr.splitlines() == ['log: {"level":"info","message":"hi"}', "progress: 0.5"]
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["error"]["death"]["exit_code"] == 3
    assert (late.returncode, late.stderr.split(":")[0]) == (1, "timed_out")
    assert (fresh.returncode, fresh.stdout) == (0, "7\n")
    assert (strict.returncode, strict.stderr.split(":")[0]) == (1, "protocol_error")


def test_the_embedded_server_is_started_on_demand_and_stopped(sandq, tmp_path):
    env = {"SANDQ_REDIS_URL": "", "SANDQ_DIR": str(tmp_path / "own")}
    try:
        before = sandq("server", "status", env=env)
        added = sandq("add", "q", "work", env=env)
        status = sandq("server", "status", "--json", env=env)
    finally:
        stopped = sandq("server", "stop", env=env)
    again = sandq("server", "stop", "--json", env=env)

    assert "no server is running" in before.stdout
    assert added.stdout == "1\n"
    assert json.loads(status.stdout)["running"] is True
    assert "stopped; the data is kept" in stopped.stdout
    assert json.loads(again.stdout) == {"stopped": False}


def test_a_reader_that_has_had_enough_is_no_error(sandq, url, tmp_path):
    with Queue("q", url) as queue:
        queue.add_bulk(("work", "x" * 1000) for _ in range(500))
    piped = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m sandq ls q --limit 500 --json --url {url} | head -n 1"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert piped.stdout.count("\n") == 1
    assert piped.stderr == ""
