"""From what a caller wrote to a program, and from errno to a sentence."""

import errno
import sys

import pytest

from sandq.child.command import command_for_file, explain, find_program
from sandq.errors import HandlerInvalid
from sandq.model.handler import Handler


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text="", mode=0o644):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
        return tmp_path / name

    return write


def test_files_with_a_known_ending_are_given_to_their_interpreter(folder):
    python, shell = folder("a.py"), folder("b.sh")

    assert command_for_file("a.py") == (sys.executable, str(python))
    assert command_for_file(str(shell)) == ("sh", str(shell))


def test_another_file_runs_by_itself_if_it_may(folder):
    program = folder("run-me", "#!/bin/sh\n", 0o755)

    assert command_for_file("run-me") == (str(program),)


def test_programs_are_found_by_path_or_on_the_path_of_the_child(folder, tmp_path):
    program = folder("tool", "#!/bin/sh\n", 0o755)

    assert find_program(Handler(command=("./tool",)), None) == str(program)
    assert find_program(Handler(command=("tool",)), str(tmp_path)) == str(program)
    assert find_program(Handler(command=("./tool",), cwd=str(tmp_path)), "") == str(program)


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(HandlerInvalid, match="folder '/no/where' does not exist"):
        find_program(Handler(command=("sh",), cwd="/no/where"), "/bin")


@pytest.mark.parametrize(
    ("text", "step", "code", "words"),
    [
        ("#!/no/such\n", "exec", errno.ENOENT, "'#!/no/such', does not exist"),
        ("plain\n", "exec", errno.ENOEXEC, "add one such as #!/bin/sh"),
        ("", "exec", errno.EACCES, "permission denied"),
        ("", "exec", errno.ENOMEM, "Cannot allocate memory"),
        ("", "cwd", errno.ENOENT, "folder '/gone'"),
        ("", "fork", errno.EAGAIN, "step 'fork': Resource temporarily unavailable"),
        ("", "limits", errno.EINVAL, "step 'limits': Invalid argument"),
    ],
)
def test_each_failed_step_is_explained(folder, text, step, code, words):
    path = folder("handler", text)

    message = explain(Handler(command=("./handler",), cwd="/gone"), str(path), step, code)

    assert message.startswith("handler ./handler cannot be started: ")
    assert words in message
