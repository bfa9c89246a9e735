"""Calls of the system."""

import errno
import os
import signal

import pytest

from sandq.child.spawner import system

NO_SUCH = 4095


def test_a_refusal_is_an_error_that_says_what_was_refused(tmp_path):
    with pytest.raises(OSError, match="prctl 4095: Invalid argument"):
        system.prctl(NO_SUCH, 0)
    with pytest.raises(OSError, match="mount on ") as caught:
        system.mount(str(tmp_path / "no"), str(tmp_path / "no"), system.MS_BIND)
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)
    with pytest.raises(OSError, match="unshare: Invalid argument"):
        system.unshare(1)


def test_a_call_by_its_number():
    getpid = {"x86_64": 39}.get(os.uname().machine, 172)

    assert system.syscall(getpid) == os.getpid()


def test_a_folder_has_its_mode_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        system.make_folder(str(tmp_path / "one"), 0o711)
        system.make_folder(str(tmp_path / "one"), 0o711)
    finally:
        os.umask(before)

    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o711


def test_a_property_of_the_process():
    pid = os.fork()
    if pid == 0:
        system.prctl(system.PR_SET_PDEATHSIG, signal.SIGTERM)
        os._exit(7)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
