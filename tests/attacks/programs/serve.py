"""Serves attacks: the files of them are its arguments; a job says which it wants, from which file.

It speaks the simple level, and stands alone: it is bound into sandboxes without anything around it.
"""

import ctypes
import json
import os
import platform
import runpy
import select
import sys

PR_SET_NAME = 15

# name -> its number on x86_64, on aarch64
NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone3": (435, 435),
    "fsopen": (430, 430),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "semget": (64, 190),
    "setdomainname": (171, 162),
    "setns": (308, 268),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Job:
    """What an attack is given: `job["name"]` is a member of its data."""

    def __init__(self, line):
        self.line = line
        self.id = line["id"]
        self.data = line["data"]

    def __getitem__(self, name):
        return self.data[name]

    def syscall(self, name, *args):
        """Call the kernel without the C library; raises OSError."""
        number = NUMBERS[name][platform.machine() == "aarch64"]
        words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
        answer = _libc.syscall(ctypes.c_long(number), *words)
        if answer == -1:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")
        return answer

    def libc(self, name, *args):
        """Call the C library; raises OSError."""
        answer = getattr(_libc, name)(*args)
        if answer == -1:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")
        return answer

    def say(self, type, **members):
        """A message of the protocol, past every buffer."""
        os.write(
            1, json.dumps({"sandq": 1, "type": type, "id": self.id, **members}).encode() + b"\n"
        )

    def hold(self, seconds=0.4):
        """Stay as it is until it has been seen from outside."""
        self.say("log", message="holding")
        self.wait(seconds)

    def wait(self, seconds):
        """Let time pass."""
        select.select([], [], [], seconds)

    def room(self):
        """The folder of the host that it may fill, or what it has instead."""
        return self["room"] if os.access(self["room"], os.W_OK) else "/tmp"

    def leave(self, script="sleep 30"):
        """Start a process that is known by the job's token, detached; it ends by itself."""
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if os.fork() == 0:
                null = os.open("/dev/null", os.O_RDWR)
                for fd in range(3):
                    os.dup2(null, fd)
                os.execv("/bin/sh", ["sh", "-c", f"{script}; : {self['token']}"])
            os._exit(0)
        os.waitpid(pid, 0)
        self.wait(0.1)


def serve(files):
    """Until the end of the input: a job, its attack, its answer."""
    themes = {os.path.basename(file): file for file in files}
    while line := sys.stdin.readline():
        job = Job(json.loads(line))
        _libc.prctl(PR_SET_NAME, job["token"][:15].encode(), 0, 0, 0)
        try:
            value = runpy.run_path(themes[job["program"]])[job["attack"]](job)
            answer = {"status": "ok", "result": value}
        except (Exception, SystemExit) as error:
            told = {"type": type(error).__name__, "message": str(error)}
            answer = {"status": "error", "error": told}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if job.data["last"]:
            # what it has become is of no use to the next job
            os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1:])
