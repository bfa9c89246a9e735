"""Attacks on other processes: signals, tracing, priorities, and on being ended."""

import ctypes
import os
import platform
import resource
import signal
import struct

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206


def kill_a_process(job):
    os.kill(job["victim"], signal.SIGKILL)
    return "killed"


def stop_a_process(job):
    os.kill(job["victim"], signal.SIGSTOP)
    return "stopped"


def signal_everybody(job):
    """A signal that nobody minds, to everybody at once; the victim has it blocked and keeps it."""
    os.kill(-1, signal.SIGURG)
    return "sent"


def kill_the_group(job):
    os.killpg(os.getpgid(job["victim"]), signal.SIGKILL)
    return "killed"


def signal_by_pidfd(job):
    fd = os.pidfd_open(job["victim"])
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    return "killed"


def signal_by_thread(job):
    job.libc("tgkill", job["victim"], job["victim"], signal.SIGKILL)
    return "killed"


def signal_with_a_value(job):
    """A queued signal, in the name of the kernel."""
    job.libc("sigqueue", job["victim"], signal.SIGKILL, ctypes.c_void_p(7))
    return "killed"


def trace_a_process(job):
    job.syscall("ptrace", PTRACE_ATTACH, job["victim"], 0, 0)
    job.hold()
    job.syscall("ptrace", PTRACE_DETACH, job["victim"], 0, 0)
    return "traced"


def seize_a_process(job):
    job.syscall("ptrace", PTRACE_SEIZE, job["victim"], 0, 0)
    job.hold()
    return "traced"


def trace_the_init(job):
    """The first process it can see: of the host, or what built the walls."""
    job.syscall("ptrace", PTRACE_ATTACH, 1 if job["walled"] else job["victim"], 0, 0)
    job.hold()
    job.syscall("ptrace", PTRACE_DETACH, 1 if job["walled"] else job["victim"], 0, 0)
    return "traced"


def write_memory_of_a_process(job):
    """Overwrite its environment, which is seen in /proc."""
    pid = job["victim"]
    with open(f"/proc/{pid}/stat") as stream:
        start = int(stream.read().rpartition(")")[2].split()[47])
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        memory.seek(start)
        memory.write(b"OWNED=1")
    return "written"


def slow_a_process_down(job):
    os.setpriority(os.PRIO_PROCESS, job["victim"], 19)
    return "slowed"


def limit_a_process(job):
    resource.prlimit(job["victim"], resource.RLIMIT_FSIZE, (0, 0))
    return "limited"


def make_a_process_the_first_to_be_killed(job):
    with open(f"/proc/{job['victim']}/oom_score_adj", "w") as stream:
        stream.write("1000")
    return "marked"


def pin_a_process(job):
    os.sched_setaffinity(job["victim"], {min(os.sched_getaffinity(0))})
    return "pinned"


def join_the_namespaces_of_a_process(job):
    """Into the victim's mounts, and read the secret there."""
    for name in ("user", "mnt"):
        fd = os.open(f"/proc/{job['victim']}/ns/{name}", os.O_RDONLY)
        if name == "mnt":
            job.syscall("setns", fd, 0)
    with open(job["secret_file"]) as stream:
        return stream.read()


def type_into_the_terminal(job):
    """TIOCSTI: characters for whoever reads the terminal next. The victim's is told here."""
    import fcntl

    fd = os.open(job["terminal"], os.O_RDWR)
    for character in job["token"]:
        fcntl.ioctl(fd, 0x5412, character.encode())
    return "typed"


def write_to_the_terminal(job):
    fd = os.open(job["terminal"], os.O_WRONLY | os.O_NOCTTY)
    os.write(fd, job["token"].encode())
    return "written"


def kill_the_parent(job):
    """Who started it is not to be ended by it."""
    os.kill(os.getppid() or 1, signal.SIGKILL)
    job.wait(0.3)
    return "killed"


def stop_the_parent(job):
    os.kill(os.getppid() or 1, signal.SIGSTOP)
    job.wait(0.3)
    return "stopped"


# ---- staying alive


def daemon(job):
    job.leave()
    return "left behind"


def daemon_that_ignores_signals(job):
    job.leave("trap '' TERM HUP INT PIPE; sleep 30")
    return "left behind"


def daemon_without_environment(job):
    """What marks a process in its environment is thrown away."""
    job.leave(f"exec env -i /bin/sh -c 'sleep 30; : {job['token']}'")
    return "left behind"


def daemon_that_forks_on(job):
    """Never the same process for long: who kills what it has listed is too late."""
    job.leave("n=0; while [ $n -lt 400 ]; do sleep 0.02 & wait; n=$((n+1)); done")
    return "left behind"


def daemons_of_many_sessions(job):
    for _ in range(8):
        job.leave()
    return "left behind"


def stopped_daemon(job):
    job.leave("kill -STOP $$; sleep 30")
    return "left behind"


def daemon_with_another_parent(job):
    """A thread that outlives nothing: the subreaper of its own is the job."""
    job.libc("prctl", 36, 1, 0, 0, 0)
    job.leave()
    return "left behind"


def daemon_without_death_signal(job):
    job.libc("prctl", 1, 0, 0, 0, 0)
    job.leave()
    return "left behind"


def ignore_the_end(job):
    """No signal but SIGKILL ends it; its time is up after a moment."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)
    job.leave()
    job.wait(20)
    return "too late"


def stop_itself(job):
    job.leave()
    os.kill(os.getpid(), signal.SIGSTOP)
    job.wait(20)
    return "too late"


def leave_children_that_hold_the_pipes(job):
    """The answer's pipe stays open in a process that lives on."""
    if os.fork() == 0:
        os.setsid()
        os.execv("/bin/sh", ["sh", "-c", f"sleep 30; : {job['token']}"])
    job.wait(0.1)
    return "left behind"


def double_fork_from_a_thread(job):
    import threading

    thread = threading.Thread(target=job.leave)
    thread.start()
    thread.join()
    return "left behind"


def cloned_without_a_signal(job):
    """A child that tells nobody of its end, by clone3."""
    words = struct.pack("8Q", 0, 0, 0, 0, 0, 0, 0, 0)
    buffer = ctypes.create_string_buffer(words)
    if job.syscall("clone3", buffer, len(words)) == 0:
        os.setsid()
        os.execv("/bin/sh", ["sh", "-c", f"sleep 30; : {job['token']}"])
    job.wait(0.1)
    return "left behind"


def born_of_the_parent(job):
    """A process whose parent is not the job, but who started the job."""
    number = 220 if platform.machine() == "aarch64" else 56
    if ctypes.CDLL(None).syscall(number, 0x8000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os.setsid()
        os.execv("/bin/sh", ["sh", "-c", f"sleep 30; : {job['token']}"])
    job.wait(0.1)
    return "left behind"
