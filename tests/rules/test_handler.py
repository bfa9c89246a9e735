"""A handler: a command line and how it is to be run."""

from functools import partial

import pytest

from sandq.errors import InvalidInput
from sandq.model.handler import Handler, HandlerFunction, attempt_timeout_ms
from sandq.model.limits import Limits
from sandq.model.sandbox import Sandbox


def resize(job):
    return job


@pytest.mark.parametrize("command", [(), ("a", 5), ("a", None), (b"a",)])
def test_a_command_is_a_list_of_words(command):
    with pytest.raises(InvalidInput, match="must be a list of words"):
        Handler(command=command)


def test_a_text_is_no_list_of_words():
    with pytest.raises(InvalidInput, match="must be a list of words"):
        Handler(command="node probe.mjs")


@pytest.mark.parametrize("command", [("a\0",), ("a", "b\0c")])
def test_a_command_holds_no_nul_byte(command):
    with pytest.raises(InvalidInput, match="NUL byte"):
        Handler(command=command)


def test_a_timeout_of_nothing_is_refused():
    with pytest.raises(InvalidInput, match="timeout must be more than zero"):
        Handler(command=("a",), timeout_ms=0)


def test_a_handler_is_warm_patient_and_lenient_unless_asked():
    handler = Handler(command=("a",))

    assert (handler.cwd, handler.env, handler.timeout_ms) == (None, (), None)
    assert (handler.fresh, handler.strict, handler.limits) == (False, False, Limits())


@pytest.mark.parametrize(
    "difference",
    [
        {"command": ("b",)},
        {"cwd": "/"},
        {"env": (("A", "1"),)},
        {"timeout_ms": 1},
        {"fresh": True},
        {"strict": True},
        {"limits": Limits(cpu=1)},
        {"sandbox": Sandbox.untrusted()},
    ],
)
def test_equal_handlers_share_their_children_and_others_do_not(difference):
    handler = Handler(command=("a",))
    children = {handler: "children"}

    assert children[Handler(command=("a",), limits=Limits())] == "children"
    assert Handler(**{"command": ("a",), **difference}) not in children


def test_a_handler_is_shown_as_its_command():
    assert str(Handler(command=("node", "probe.mjs"))) == "node probe.mjs"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (resize, "resize"),
        (Handler.__str__, "Handler.__str__"),
        (partial(resize, 1), "functools.partial"),
    ],
)
def test_a_function_is_shown_by_its_name(function, shown):
    assert str(HandlerFunction(function)).startswith(shown)


@pytest.mark.parametrize(
    ("limits", "sandbox", "line"),
    [
        (Limits(), Sandbox(output=2048), 2048),
        (Limits(line=2048), Sandbox(output=2048), 2048),
        (Limits(line=2048), Sandbox(), 2048),
        (Limits(), Sandbox.untrusted(), Limits().line),
    ],
)
def test_the_output_of_a_sandbox_is_the_longest_line(limits, sandbox, line):
    assert Handler(command=("a",), limits=limits, sandbox=sandbox).limits.line == line


def test_two_lengths_for_one_line_are_refused():
    with pytest.raises(InvalidInput, match=r"sandbox\.output is 1024 and limits\.line is 2048"):
        Handler(command=("a",), limits=Limits(line=2048), sandbox=Sandbox(output=1024))


def test_memory_of_each_process_and_of_all_together_are_two_things():
    handler = Handler(command=("a",), limits=Limits(memory=5), sandbox=Sandbox(memory="1G"))

    assert (handler.limits.memory, handler.sandbox.memory) == (5, 1024**3)


@pytest.mark.parametrize(
    ("own", "of_sandbox", "most"), [(None, 5, 5), (3, 5, 3), (7, 5, 5), (7, None, 7)]
)
def test_the_smaller_number_of_jobs_is_taken(own, of_sandbox, most):
    sandbox = Sandbox(max_jobs=of_sandbox)

    assert Handler(command=("a",), max_jobs=own, sandbox=sandbox).max_jobs == most


@pytest.mark.parametrize("fresh", ["key", "never"])
def test_one_process_per_job_shares_no_child(fresh):
    sandbox = Sandbox.untrusted(fresh=fresh)

    assert Handler(command=("a",), sandbox=sandbox).sandbox.fresh == fresh
    with pytest.raises(InvalidInput, match=rf"sandbox\.fresh is '{fresh}'"):
        Handler(command=("a",), fresh=True, sandbox=sandbox)


@pytest.mark.parametrize("settings", [{"start": "fork"}, {"preload": ["json"]}])
def test_one_process_per_job_is_not_forked(settings):
    with pytest.raises(InvalidInput, match="sandbox: a handler with one process per job"):
        Handler(command=("a",), fresh=True, sandbox=Sandbox.untrusted(**settings))


@pytest.mark.parametrize("fresh", ["job", "key", "never"])
@pytest.mark.parametrize("profile", ["none", "limits"])
def test_one_process_per_job_goes_with_what_is_trusted(profile, fresh):
    assert Handler(command=("a",), fresh=True, sandbox=Sandbox(profile=profile, fresh=fresh))


@pytest.mark.parametrize(
    ("own_ms", "handler_ms", "wall", "timeout_ms"),
    [
        (None, None, None, None),
        (None, 5, None, 5),
        (7, 5, None, 7),
        (None, None, 0.01, 10),
        (None, 5, 0.01, 5),
        (None, 20, 0.01, 10),
        (7, 20, 0.01, 7),
        (30, 5, 0.01, 10),
    ],
)
def test_a_job_runs_no_longer_than_the_wall(own_ms, handler_ms, wall, timeout_ms):
    handler = Handler(command=("a",), timeout_ms=handler_ms, sandbox=Sandbox(wall=wall))

    assert attempt_timeout_ms(handler, own_ms) == timeout_ms


@pytest.mark.parametrize(
    ("sandbox", "fresh", "key", "single"),
    [
        (Sandbox(), False, "", False),
        (Sandbox.untrusted(), False, "", True),
        (Sandbox.untrusted(), False, "a", True),
        (Sandbox.untrusted(), True, "", False),
        (Sandbox.untrusted(fresh="key"), False, "", True),
        (Sandbox.untrusted(fresh="key"), False, "a", False),
        (Sandbox.untrusted(fresh="never"), False, "", False),
        (Sandbox(fresh="job"), False, "", True),
    ],
)
def test_who_serves_one_job_only(sandbox, fresh, key, single):
    assert Handler(command=("a",), fresh=fresh, sandbox=sandbox).single_use(key) == single


def test_a_profile_is_a_sandbox():
    assert Handler(command=("a",), sandbox="untrusted").sandbox == Sandbox.untrusted()
    with pytest.raises(InvalidInput, match="sandbox must be the name of a profile"):
        Handler(command=("a",), sandbox=None)
