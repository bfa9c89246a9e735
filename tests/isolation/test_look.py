"""What is seen of the host's files."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from sandq.isolation.look import Look

LOOK = Look()


def test_the_package_and_its_interpreter():
    assert LOOK.interpreter == sys.executable
    assert os.path.isfile(f"{LOOK.package}/isolation/etc/passwd")
    assert LOOK.folder() == os.getcwd()


def test_files_folders_and_links(tmp_path):
    file = tmp_path / "file"
    file.write_text("#!/bin/sh\nexit\n")
    (tmp_path / "link").symlink_to("file")

    assert LOOK.is_file(str(file))
    assert LOOK.is_file(str(tmp_path / "link"))
    assert not LOOK.is_file(str(tmp_path))
    assert LOOK.is_folder(str(tmp_path))
    assert LOOK.link(str(tmp_path / "link")) == "file"
    assert LOOK.link(str(file)) is None
    assert LOOK.first_line(str(file)) == "#!/bin/sh"
    assert LOOK.text(str(file)).endswith("exit\n")


def test_what_is_not_there_is_nothing(tmp_path):
    none = str(tmp_path / "none")

    assert LOOK.text(none) == ""
    assert LOOK.first_line(none) == ""
    assert LOOK.link(none) is None
    assert not LOOK.is_python_prefix(none)
    assert LOOK.open_to_all(none)


def test_a_program_that_is_no_script_has_no_first_line():
    assert LOOK.first_line(os.path.realpath(sys.executable)) == ""


def test_where_a_python_is_installed(tmp_path):
    modules = tmp_path / "lib" / "python3.11"
    modules.mkdir(parents=True)
    assert not LOOK.is_python_prefix(str(tmp_path)), "these are somebody's modules"
    (modules / "os.py").touch()

    assert LOOK.is_python_prefix(str(tmp_path))
    assert LOOK.is_python_prefix(sys.base_prefix)


@pytest.mark.parametrize(("mode", "open_"), [(0o711, True), (0o700, False), (0o750, False)])
def test_a_path_is_open_to_all_when_every_folder_above_it_is(mode, open_):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        inner = Path(folder, "inner")
        inner.mkdir()
        (inner / "file").touch()
        inner.chmod(mode)

        assert LOOK.open_to_all(str(inner / "file")) is open_
        assert LOOK.open_to_all(str(inner))
