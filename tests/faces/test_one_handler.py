"""The options of the one handler given as COMMAND."""

import argparse
import re

import pytest

from sandq.cli import one_handler
from sandq.errors import InvalidInput
from sandq.model.handler import Handler
from sandq.model.limits import Limits
from sandq.model.sandbox import Sandbox


def handler_of(*words):
    parser = argparse.ArgumentParser()
    one_handler.options(parser)
    parser.add_argument("command", nargs="*")

    return one_handler.handler_of(parser.parse_args([*words, "--", "a", "-b"]))


def test_a_command_alone_is_a_handler():
    assert handler_of() == Handler(command=("a", "-b"))


def test_memory_of_a_process_and_of_all_together_are_two_options():
    handler = handler_of("--memory", "64M", "--sandbox", "memory=1G")

    assert handler.limits == Limits(memory=64 << 20)
    assert handler.sandbox == Sandbox(memory="1G")


@pytest.mark.parametrize(
    ("words", "sandbox"),
    [
        ([], Sandbox()),
        (["untrusted"], Sandbox.untrusted()),
        (["pids=5", "none", "profile"], None),
        (["wall=5s", "untrusted"], Sandbox.untrusted(wall=5)),
        (["profile=untrusted", "pids=8", "max_jobs=1"], Sandbox.untrusted(pids=8, max_jobs=1)),
        (["untrusted", "env=A=1", "env=LANG"], Sandbox.untrusted(env=["A=1", "LANG"])),
        (["untrusted", "read=/usr", "read=/bin:/b"], Sandbox.untrusted(read=["/usr", "/bin:/b"])),
        (["untrusted", "without=inodes"], Sandbox.untrusted(without=["inodes"])),
        (["untrusted", "preload=json"], Sandbox.untrusted(preload=["json"])),
    ],
)
def test_a_sandbox_is_a_profile_and_its_keys(words, sandbox):
    options = [part for word in words for part in ("--sandbox", word)]
    if sandbox is None:
        with pytest.raises(InvalidInput, match="--sandbox: profile is given twice"):
            handler_of(*options)
    else:
        assert handler_of(*options).sandbox == sandbox


def test_its_paths_are_taken_from_the_current_folder_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()

    assert one_handler.sandbox_of(["untrusted", "read=models"]).read == (f"{tmp_path}/models",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["untrustd"], "--sandbox.profile must be one of none, limits, untrusted: 'untrustd'"),
        (["memry=1"], "--sandbox.memry is not known; did you mean 'memory'?"),
        (["pids=many"], "--sandbox.pids must be a whole number"),
        (["memory=1G", "memory=2G"], "--sandbox: memory is given twice: '1G' and '2G'"),
        (["read=/usr"], "--sandbox.read needs profile 'untrusted'"),
        (["untrusted", "read=/missing"], "--sandbox.read: '/missing' does not exist"),
    ],
)
def test_what_cannot_be_is_refused(words, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        one_handler.sandbox_of(words)


def test_every_option_of_a_command_is_refused_beside_a_file():
    parser = argparse.ArgumentParser(add_help=False)
    one_handler.options(parser)

    assert {action.dest for action in parser._actions} == set(one_handler.OPTIONS)
