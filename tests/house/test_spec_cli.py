"""spec/cli.md says what the commands do: verbs, options, the configuration, exit codes, output."""

import argparse
import inspect
import json
import os
import re
import tomllib
from dataclasses import fields, replace

import pytest

from sandq import settings
from sandq.child import command
from sandq.cli import main as cli
from sandq.cli import run as cli_run
from sandq.errors import InvalidInput
from sandq.model import limits, view
from sandq.model.ceilings import Ceilings
from sandq.model.duration import to_ms
from sandq.model.sandbox import Profile, Sandbox
from sandq.model.supervision import Supervision
from sandq.store import embedded, embedded_folder
from sandq.store import url as urls
from sandq.store.problems import PROBLEMS
from tests.house.pages import ROOT, blocks, column, plain, section, table, words

DEFAULTS = Supervision()


def test_verbs_are_told():
    told = {plain(row["verb"]): row["what it does"] for row in table("cli", "The command line")}

    assert told == cli.VERBS


@pytest.mark.parametrize("verb", cli.VERBS)
def test_options_are_told(verb):
    parser = argparse.ArgumentParser(add_help=False)
    cli._functions(verb)[0](parser)
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
    top = {"redis", "prefix", "limits", "sandbox", "queues", *settings._SUPERVISION}
    expected = [
        top,
        {*settings._HANDLER, "limits", "env", "sandbox"},
        set(settings._LIMITS),
        {field.name for field in fields(Sandbox)},
        {field.name for field in fields(Ceilings)},
    ]

    assert [set(column("cli", TOML, "key", n)) for n in range(len(expected))] == expected
    defaults = {plain(row["key"]): row["default"] for row in table("cli", TOML)}
    for key, (field, read) in settings._SUPERVISION.items():
        text = defaults[key]
        if getattr(DEFAULTS, field) is None:
            assert text in ("never", "`pool`")
            continue
        assert (to_ms(text, key) if read is to_ms else int(text)) == getattr(DEFAULTS, field)
    limit_defaults = {plain(row["key"]): row["default"] for row in table("cli", TOML, 2)}
    for field in fields(limits.Limits):
        text = limit_defaults[field.name]
        assert (None if text == "no limit" else limits.to_bytes(text, "")) == field.default
    suffixes = [plain(row["meaning"]) for row in table("cli", TOML, 1) if "`file`" in row["key"]]
    assert set(re.findall(r"`(\.\w+)`", suffixes[0])) == set(command.INTERPRETERS)


@pytest.mark.parametrize(
    ("profile", "told"), [("limits", "default"), ("untrusted", "of `untrusted`")]
)
def test_defaults_of_a_sandbox_are_told(profile, told):
    sandbox, plainest = Sandbox(profile=profile), Sandbox(profile="limits")
    read = {"duration": lambda text: to_ms(text, "") / 1000, "integer": int, "text": str}
    read["size"] = lambda text: limits.to_bytes(text, "")

    for row in table("cli", TOML, 3):
        name, text, kind = plain(row["key"]), row[told], row["type"]
        value = getattr(sandbox, name)
        if text in ("no limit", "`limits.line`", "none") and name != "net":
            assert not value
        elif text:
            assert read[kind](text) == value
        elif profile == "limits":
            # the profile has no such thing
            other = {"disk": 2**20, "read": ["/a"], "write": ["/a"], "preload": ["a"]}
            with pytest.raises(InvalidInput, match=f"^{name} needs profile 'untrusted'"):
                replace(plainest, **{name: other.get(name, "bwrap")})


def test_the_profiles_are_told():
    for number in (3, 4):
        [meaning] = [r["meaning"] for r in table("cli", TOML, number) if r["key"] == "`profile`"]

        assert words(meaning) == list(Profile)


def test_the_example_configuration_can_be_run(tmp_path, monkeypatch):
    [example] = blocks("cli", TOML, "toml")
    file = tmp_path / "sandq.toml"
    file.write_text(example)
    monkeypatch.chdir(ROOT)
    config = settings.load_config(file)

    assert config.supervision == replace(DEFAULTS, pool=4, pool_least=2, broken_ms=600_000)
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
        set().union(*(h["sandbox"] for h in shown if isinstance(h.get("sandbox"), dict))),
        set().union(*(queue.get("ceilings", {}) for queue in tree["queues"].values())),
    ]
    assert used == [set(column("cli", TOML, "key", n)) for n in range(len(used))]


def test_stop_signals_are_told():
    told = table("cli", "Stopping")[0]["signal"]

    assert told == ", ".join(number.name for number in cli_run.STOP_SIGNALS)


def test_variables_are_those_that_settings_read():
    read = re.findall(r'environ\.get\("(\w+)"\)', inspect.getsource(settings))

    told = column("cli", "Which Redis", "variable") + column("cli", "Sandboxes", "variable")
    assert told == read
    assert f"`{settings.UIDS[0]}-{settings.UIDS[1]}`" in section("cli", "Sandboxes")


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


def test_the_problems_of_an_audit_are_told():
    told = {
        plain(row["problem"]): (row["meaning"], row["repair"])
        for row in table("cli", "sandq audit", 1)
    }

    assert told == {word: (p.meaning, p.repair) for word, p in PROBLEMS.items()}


@pytest.mark.parametrize("form", column("cli", "Which Redis", "form", 1))
def test_forms_of_urls_are_read(form):
    found = urls.read_url(form.replace("port", "1").replace("NAME/database", "jobs/3"))

    assert (found is None) == ("+" not in form)
    if found is not None:
        assert found.nodes == (("host", 1), ("host", 1))
        assert found.login == "user:password@"
        assert (found.service, found.database) == (("jobs", "3") if "NAME" in form else ("", "0"))
    default = section("cli", "Which Redis")
    assert f"it is {urls.REDIS_PORT}, {urls.SENTINEL_PORT} of a Sentinel" in default
    assert {f"{name}=" in default for name in urls.SENTINEL_OPTIONS} == {True}


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
