"""The handlers of a queue by name, and the numbers of a run."""

import sys
from pathlib import Path

import pytest

from sandq.errors import HandlerInvalid, InvalidInput
from sandq.flow.registry import HandlerRegistry, supervision_of
from sandq.model.ceilings import Ceilings
from sandq.model.handler import Channel, Handler, HandlerFunction
from sandq.model.limits import Limits
from sandq.model.sandbox import Sandbox
from sandq.model.supervision import Supervision

USUAL = {
    "concurrency": 1,
    "least": None,
    "lease": 30,
    "recover_every": 15,
    "max_stalls": 1,
    "drain_timeout": 25,
    "kill_grace": 5,
    "broken_after": None,
}


@pytest.fixture
def registry():
    return HandlerRegistry()


def test_a_function_serves_the_jobs_of_its_name(registry):
    registry.set_handler("greet", print)
    registry.set_handler("*", repr)

    assert registry._handlers == {"greet": HandlerFunction(print), "*": HandlerFunction(repr)}


@pytest.mark.parametrize("function", [None, "print", 5])
def test_what_cannot_be_called_is_no_handler(registry, function):
    with pytest.raises(InvalidInput, match="handler of 'greet' must be a function"):
        registry.set_handler("greet", function)


def test_a_command_is_kept_with_all_that_was_asked_for(registry, tmp_path):
    registry.set_handler_file(
        "resize",
        [sys.executable, "resize.py"],
        timeout="30s",
        cwd=tmp_path,
        env={"B": "2", "A": "1"},
        fresh=True,
        strict=True,
        heartbeat_timeout=5,
        channel="fd3",
        max_jobs=100,
        max_age="1h",
        max_rss="300M",
        idle="2m",
        limits=Limits(cpu=1),
    )

    assert registry._handlers["resize"] == Handler(
        command=(sys.executable, "resize.py"),
        cwd=str(tmp_path),
        env=(("A", "1"), ("B", "2")),
        timeout_ms=30_000,
        fresh=True,
        strict=True,
        heartbeat_timeout_ms=5_000,
        channel=Channel.FD3,
        max_jobs=100,
        max_age_ms=3_600_000,
        max_rss=300 << 20,
        idle_ms=120_000,
        limits=Limits(cpu=1),
    )


def test_what_jobs_may_ask_for_is_kept_with_the_handler(registry):
    registry.set_handler_file("ask", [sys.executable], calls=["get_result", "add_job"])

    assert registry._handlers["ask"].calls == ("add_job", "get_result")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_given_to_its_interpreter(registry, tmp_path, kind):
    file = tmp_path / "resize.py"
    file.touch()
    registry.set_handler_file("resize", kind(file))

    assert registry._handlers["resize"] == Handler(command=(sys.executable, str(file)))


@pytest.mark.parametrize(
    ("name", "handler", "options", "kind", "message"),
    [
        ("a", "missing.py", {}, HandlerInvalid, "does not exist"),
        ("a", ["no-such-program"], {}, HandlerInvalid, "no-such-program"),
        ("a", [], {}, InvalidInput, "must be a list of words"),
        ("a", [sys.executable], {"timeout": 0}, InvalidInput, "timeout"),
        ("a", [sys.executable], {"timeout": "soon"}, InvalidInput, "timeout"),
        ("", [sys.executable], {}, InvalidInput, "job name"),
    ],
    ids=["file", "program", "empty", "no time", "no duration", "no name"],
)
def test_what_cannot_serve_is_refused_at_once(registry, name, handler, options, kind, message):
    with pytest.raises(kind, match=message):
        registry.set_handler_file(name, handler, **options)

    assert registry._handlers == {}


def test_a_name_has_one_handler(registry):
    registry.set_handler("a", print)

    with pytest.raises(InvalidInput, match="name 'a' has a handler already: print"):
        registry.set_handler("a", repr)
    with pytest.raises(InvalidInput, match="name 'a' has a handler already"):
        registry.set_handler_file("a", [sys.executable])

    assert registry._handlers == {"a": HandlerFunction(print)}


def test_the_usual_numbers_of_a_run_are_those_of_a_supervisor():
    assert supervision_of(**USUAL) == Supervision()


def test_every_number_of_a_run_has_its_place():
    numbers = supervision_of(
        concurrency=4,
        least=2,
        lease="1m",
        recover_every=20,
        max_stalls=3,
        drain_timeout=0,
        kill_grace="500ms",
        broken_after="2m",
    )

    assert numbers == Supervision(
        pool=4,
        pool_least=2,
        broken_ms=120_000,
        lease_ms=60_000,
        recover_ms=20_000,
        max_stalls=3,
        drain_ms=0,
        kill_grace_ms=500,
    )


def test_no_concurrency_means_one():
    assert supervision_of(**{**USUAL, "concurrency": 0}).pool == 1


@pytest.mark.parametrize(("name", "value"), [("concurrency", -1), ("lease", -1), ("lease", "soon")])
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(InvalidInput):
        supervision_of(**{**USUAL, name: value})


@pytest.mark.parametrize(
    ("given", "sandbox"),
    [
        (None, Sandbox()),
        ("untrusted", Sandbox.untrusted()),
        ({"memory": "1G"}, Sandbox(memory="1G")),
        (Sandbox.untrusted(pids=5), Sandbox.untrusted(pids=5)),
    ],
)
def test_a_sandbox_is_kept_with_the_handler(registry, given, sandbox):
    registry.set_handler_file("a", [sys.executable], sandbox=given)

    assert registry._handlers["a"].sandbox == sandbox


def test_the_paths_of_a_sandbox_are_taken_from_the_current_folder_on(
    registry, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    registry.set_handler_file("a", [sys.executable], sandbox=Sandbox.untrusted(read=["models"]))

    assert registry._handlers["a"].sandbox.read == (f"{tmp_path}/models",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("trusted", r"sandbox\.profile must be one of"),
        (5, "sandbox must be the name of a profile"),
        ({"memry": 1}, r"sandbox\.memry is not known"),
        (Sandbox.untrusted(read=["missing"]), r"sandbox\.read: .* does not exist"),
    ],
)
def test_a_sandbox_that_cannot_be_is_refused(registry, given, message):
    with pytest.raises(InvalidInput, match=message):
        registry.set_handler_file("a", [sys.executable], sandbox=given)

    assert registry._handlers == {}


@pytest.mark.parametrize("ceilings", [Ceilings(wall=10), {"wall": "10s"}])
def test_handlers_above_the_ceilings_of_a_run_are_refused(registry, ceilings):
    registry.set_handler_file("a", [sys.executable], sandbox={"wall": "5s"})
    registry._check_ceilings(ceilings)
    registry.set_handler_file("b", [sys.executable], sandbox={"wall": "20s"})

    registry._check_ceilings(None)
    with pytest.raises(InvalidInput, match=r"^handler 'b': sandbox\.wall is 20\.0; the queue"):
        registry._check_ceilings(ceilings)


def test_a_function_is_above_any_ceiling(registry):
    registry.set_handler("a", print)

    with pytest.raises(InvalidInput, match=r"^handler 'a': sandbox: a function of this process"):
        registry._check_ceilings({"profile": "limits"})
