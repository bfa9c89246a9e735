"""What users may rely on: the public names, what they say of themselves, and what they load."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import sandq
from sandq import errors, handler, queue, sync, testing

# the public names, and those that public methods give and take
CLASSES = {
    **{name: getattr(sandq, name) for name in sandq._HOMES},
    "QueueHandle": queue.QueueHandle,
    "sync.Queue": sync.Queue,
    "sync.Job": sync.Job,
    "sync.QueueHandle": sync.QueueHandle,
    **{f"handler.{name}": getattr(handler, name) for name in handler.__all__},
    **{f"testing.{name}": getattr(testing, name) for name in testing.__all__},
    **{
        name: member
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, errors.SandqError)
    },
}
TWINS = [(queue.Queue, sync.Queue), (queue.Job, sync.Job), (queue.QueueHandle, sync.QueueHandle)]
TWIN_IDS = ["Queue", "Job", "QueueHandle"]

# what importing sandq must not cost anybody who does not use it
DEAR = {"redis", "hiredis", "anyio", "asyncio", "orjson", "psutil", "uvloop"}


def loaded_by(statement):
    """The modules that a statement loads into a new interpreter."""
    program = f"""
import sys
before = set(sys.modules)
try:
    {statement}
except SystemExit:
    pass
print("\\n", *(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    return set(done.stdout.splitlines()[-1].split())


def public(owner):
    """Public members of a class, whichever of its parents has them."""
    return {name: member for name, member in inspect.getmembers(owner) if not name.startswith("_")}


# ---- names


def test_the_public_names_are_those_that_have_a_home():
    assert sandq.__all__ == [*sorted(sandq._HOMES), "__version__"]
    assert dir(sandq) == sorted(sandq.__all__)


@pytest.mark.parametrize(("name", "home"), sandq._HOMES.items())
def test_a_public_name_is_defined_in_its_home(name, home):
    member = getattr(sandq, name)

    assert member is getattr(importlib.import_module(home), name)
    assert member.__module__ == home


def test_another_name_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="module 'sandq' has no attribute 'queu'"):
        _ = sandq.queu


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_and_function_says_what_it_is(name):
    member = CLASSES[name]
    # a class must not show its parent's words for its own
    docstring = (vars(member)["__doc__"] if inspect.isclass(member) else member.__doc__) or ""

    assert docstring.strip(), name
    # a dataclass without a docstring is given its signature for one
    assert not docstring.startswith(f"{member.__name__}(")


@pytest.mark.parametrize("name", [name for name in CLASSES if inspect.isclass(CLASSES[name])])
def test_every_public_method_and_property_says_what_it_does(name):
    silent = [
        method
        for method, member in public(CLASSES[name]).items()
        if (inspect.isroutine(member) or isinstance(member, property))
        and (getattr(member, "__module__", "sandq") or "").startswith("sandq")
        and not inspect.getdoc(member)
    ]

    assert silent == []


# ---- what they load


def test_importing_sandq_loads_nothing_else():
    assert loaded_by("import sandq") == {"sandq"}


def test_the_sdk_for_handlers_loads_no_other_module_of_sandq_and_nothing_dear():
    loaded = loaded_by("import sandq.handler")

    assert {name for name in loaded if name.startswith("sandq")} == {"sandq", "sandq.handler"}
    assert loaded & {*DEAR, "typing", "dataclasses", "inspect", "re"} <= {"re"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_and_version_load_no_client_and_no_event_loop(words):
    loaded = loaded_by(f"from sandq.cli.main import main; main({words})")

    assert "sandq.cli.main" in loaded
    assert loaded & {*DEAR, "sandq.queue", "sandq.sync", "sandq.store"} == set()


# ---- the two faces


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=TWIN_IDS)
def test_both_faces_have_the_same_names(asynchronous, synchronous):
    assert set(public(asynchronous)) == set(public(synchronous))


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=TWIN_IDS)
def test_both_faces_have_the_same_signatures(asynchronous, synchronous):
    ours, theirs = public(asynchronous), public(synchronous)
    for name, member in ours.items():
        twin = theirs[name]
        if not callable(member):
            assert type(member) is type(twin), name
            continue

        assert shown(inspect.signature(member)) == shown(inspect.signature(twin)), name


def shown(signature):
    """A signature, but for what is async about it and where its classes live."""
    text = str(signature)
    for word in (r"\bAsync", r"\bSync", r"sandq\.flow\.handle\.", r"sandq\.(queue|sync)\."):
        text = re.sub(word, "", text)

    return re.sub(r"sandq\.face\.(sync_)?(base|job)\.(Sync)?", "", text)


@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS, ids=TWIN_IDS)
def test_both_faces_say_the_same_of_each_method(asynchronous, synchronous):
    different = {
        name
        for name, member in public(asynchronous).items()
        if inspect.getdoc(member) != inspect.getdoc(public(synchronous)[name])
    }

    # a supervisor in a thread has more to say
    assert different <= {"run"}


@pytest.mark.parametrize("method", ["__init__", "__repr__"])
@pytest.mark.parametrize(("asynchronous", "synchronous"), TWINS[:2], ids=TWIN_IDS[:2])
def test_both_faces_are_made_and_printed_alike(asynchronous, synchronous, method):
    names = [
        list(inspect.signature(getattr(owner, method)).parameters)
        for owner in (asynchronous, synchronous)
    ]

    assert names[0] == names[1]
    assert repr(queue.Queue("a", "redis://x")) == repr(sync.Queue("a", "redis://x"))


def test_both_faces_can_be_used_as_context_managers():
    assert hasattr(queue.Queue, "__aenter__")
    assert hasattr(queue.Queue, "__aexit__")
    assert hasattr(sync.Queue, "__enter__")
    assert hasattr(sync.Queue, "__exit__")


def test_jobs_can_be_added_where_there_is_no_unix():
    """The supervisor needs Linux; all that only adds and looks is loaded without its modules."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'termios', 'pwd', 'grp'): sys.modules[name] = None\n"
        "import sandq.queue, sandq.sync, sandq.cli.add, sandq.cli.show, sandq.cli.ls\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
