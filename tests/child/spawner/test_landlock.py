"""Landlock and a filter of system calls around a child."""

import base64
import os
import socket
import struct

import pytest

from sandq.child.spawner import landlock
from tests.child.spawner.driving import PYTHON, ROOT, UIDS

pytestmark = pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock is too old")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """What may be read and what may be written, reached by everybody."""
    import shutil
    import tempfile

    base = tempfile.mkdtemp()
    os.chmod(base, 0o755)
    for name in ("read", "write", "none"):
        os.mkdir(f"{base}/{name}", 0o777)
        os.chmod(f"{base}/{name}", 0o777)
        with open(f"{base}/{name}/file", "w") as stream:
            stream.write(f"of {name}\n")
        os.chmod(f"{base}/{name}/file", 0o666)
    yield base
    shutil.rmtree(base)


def around(base, **more):
    return {
        "kind": "landlock",
        "read": ["/usr", "/etc", "/dev/null", f"{base}/read", "/no/such/path"],
        "execute": ["/usr", "/bin", "/lib", "/lib64"],
        "write": [f"{base}/write", "/dev/null"],
        "tcp": False, "scope": True, "seccomp": None, **more,
    }  # fmt: skip


def test_files_are_those_that_were_named(spawner, folders):
    steps = [
        f"cat {folders}/read/file",
        f"cat {folders}/none/file",
        f"echo new >{folders}/write/new && cat {folders}/write/new",
        f"echo x >{folders}/read/file",
        f"echo x >{folders}/none/file",
        f"ls {folders}/none",
        f"cp /bin/true {folders}/write/ && {folders}/write/true",
        f"rm {folders}/write/file && echo removed",
        "cat /proc/1/stat",
    ]
    spawner.run(
        "/bin/sh",
        "-c",
        ";".join(f"({step}) 2>/dev/null || echo no" for step in steps),
        walls=around(folders),
    )

    assert spawner.output().splitlines() == [
        "of read",
        "no",
        "new",
        "no",
        "no",
        "no",
        "no",
        "removed",
        "no",
    ]


def test_no_tcp_and_no_signal_out(spawner, folders):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import os, socket
for step in (
    lambda: socket.create_connection(("127.0.0.1", {port})),
    lambda: socket.create_server(("127.0.0.1", 0)),
    lambda: os.kill({spawner.process.pid}, 0),
    lambda: os.kill(os.getppid(), 9),
):
    try:
        step()
        print("done")
    except PermissionError:
        print("no")
"""
        spawner.run(PYTHON, "-I", "-S", "-c", program, walls=around(folders))
        assert spawner.output().split() == ["no"] * 4

        allowed = around(folders, tcp=True)
        spawner.run(PYTHON, "-I", "-S", "-c", program, walls=allowed)
        assert spawner.output().split() == ["done", "done", "no", "no"]


def test_the_filter_is_in_force(spawner, folders):
    number = {"x86_64": 110}.get(os.uname().machine, 173)
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | 99), (6, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    one = around(folders, seccomp=base64.b64encode(program).decode())
    spawner.run(PYTHON, "-c", "import os; print(os.getppid())", walls=one)

    assert spawner.output() == "-99\n"


@pytest.mark.skipif(not ROOT, reason="only root has uids to give")
def test_a_uid_of_its_own(root_spawner, folders):
    root_spawner.run(
        "/bin/sh", "-c", "id -u; echo x >/dev/stdout", walls=around(folders, uids=list(UIDS))
    )
    uid = root_spawner.output().split()[0]

    assert UIDS[0] <= int(uid) <= UIDS[1]


def test_a_filter_that_is_none_is_a_failed_set_up(spawner, folders):
    one = around(folders, seccomp=base64.b64encode(b"12345678").decode())
    answer = spawner.spawn("/bin/true", walls=one)

    assert answer == {"n": 1, "step": "walls", "text": "walls: Invalid argument"}


@pytest.mark.parametrize(("abi", "what"), [(0, {}), (3, {"tcp": False}), (5, {"scope": True})])
def test_what_the_kernel_cannot_give_is_refused(monkeypatch, abi, what):
    monkeypatch.setattr(landlock, "version", lambda: abi)
    with pytest.raises(OSError, match="cannot give it"):
        landlock.restrict({"tcp": True, "scope": False, **what})


def test_all_that_a_version_can_refuse_is_refused():
    assert [landlock.handled_files(abi).bit_length() for abi in range(8)] == [
        0,
        13,
        14,
        15,
        15,
        16,
        16,
        16,
    ]


def test_its_strays_die_with_it(spawner, folders, mark):
    script = f"setsid sleep 60 & exec {PYTHON} -c 'import os; os.setsid' {mark}"
    end = spawner.run("/bin/sh", "-c", script, walls=around(folders))

    assert end["status"] == 0
    with open(f"/proc/{spawner.process.pid}/task/{spawner.process.pid}/children") as stream:
        assert stream.read() == ""
