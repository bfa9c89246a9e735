"""Attacks on what there is only so much of: memory, processes, time, files, descriptors.

All are bounded: a machine without any limit lives through them.
"""

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import socket
import tempfile
import threading
import time

MIB = 1024 * 1024
HELD_S = 1.0


def fill(area, size):
    for at in range(0, size, mmap.PAGESIZE):
        area[at] = 1


# ---- memory


def memory_of_one_process(job):
    area = bytearray(job["memory"])
    fill(area, len(area))
    job.hold(HELD_S)
    return len(area)


def memory_of_private_mappings(job):
    areas = []
    for _ in range(job["memory"] // (16 * MIB)):
        areas.append(mmap.mmap(-1, 16 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        fill(areas[-1], 16 * MIB)
    job.hold(HELD_S)
    return len(areas)


def memory_of_shared_mappings(job):
    area = mmap.mmap(-1, job["memory"])
    fill(area, len(area))
    job.hold(HELD_S)
    return len(area)


def memory_of_many_processes(job):
    """Each below the limit of one process."""
    for _ in range(5):
        if os.fork() == 0:
            area = bytearray(job["memory"] // 5)
            fill(area, len(area))
            job.wait(10)
            os._exit(0)
    job.wait(0.3)
    job.hold(HELD_S)
    return "held"


def memory_of_anonymous_files(job):
    """memfd: pages of no process."""
    files = [job.syscall("memfd_create", b"m", 0) for _ in range(8)]
    for fd in files:
        for _ in range(job["memory"] // (8 * MIB)):
            os.write(fd, b"x" * MIB)
    job.hold(HELD_S)
    return len(files)


def shared_memory_that_stays(job):
    """A System V segment, attached, filled, marked to go with its last user."""
    number = job.syscall("shmget", 0, job["memory"], 0o1600)
    address = job.syscall("shmat", number, 0, 0)
    job.libc("shmctl", number, 0, None)
    for at in range(0, job["memory"], mmap.PAGESIZE):
        ctypes.c_char.from_address(address + at).value = b"x"
    job.hold(HELD_S)
    return "held"


def memory_of_page_tables(job):
    """Pages that are only read are all the same one; the tables that say so are not."""
    size = 100 * 1024 * MIB
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000
    area = mmap.mmap(-1, size, flags, mmap.PROT_READ)
    for at in range(0, size, 2 * MIB):
        area[at]
    job.hold(HELD_S)
    return "held"


def memory_of_sockets(job):
    """What was written into sockets and never read belongs to no process."""
    for _ in range(4):
        if os.fork() == 0:
            pairs = [socket.socketpair() for _ in range(200)]
            for sock in (sock for pair in pairs for sock in pair):
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock.send(b"x" * 65536)
            job.wait(10)
            os._exit(0)
    job.wait(1)
    job.hold(HELD_S)
    return "held"


def memory_by_doubling(job):
    text = "x" * MIB
    while len(text) < job["memory"]:
        text += text
    job.hold(HELD_S)
    return len(text)


def memory_of_a_deep_stack(job):
    """Stacks of threads."""
    threading.stack_size(64 * MIB)
    gate = threading.Event()

    def burn():
        area = (ctypes.c_char * (48 * MIB))()
        for at in range(0, 48 * MIB, mmap.PAGESIZE):
            area[at] = b"x"
        gate.wait(10)

    threads = [
        threading.Thread(target=burn, daemon=True) for _ in range(job["memory"] // (48 * MIB))
    ]
    for thread in threads:
        thread.start()
    job.wait(0.5)
    job.hold(HELD_S)
    gate.set()
    return len(threads)


# ---- processes


def fork_bomb(job):
    for _ in range(job["pids"]):
        if os.fork() == 0:
            job.wait(10)
            os._exit(0)
    job.hold(HELD_S)
    return "held"


def fork_bomb_of_sessions(job):
    """Each in a session of its own, with a parent that has gone."""
    for _ in range(job["pids"]):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if os.fork() == 0:
                job.wait(10)
            os._exit(0)
        os.waitpid(pid, 0)
    job.hold(HELD_S)
    return "held"


def fork_bomb_in_depth(job):
    """Each starts the next."""
    for depth in range(job["pids"]):
        if os.fork() != 0:
            if depth == 0:
                job.hold(HELD_S)
                return "held"
            job.wait(10)
            os._exit(0)
    job.wait(10)
    os._exit(0)


def fork_bomb_that_goes_on(job):
    """Who is refused tries again, in every process."""
    end = time.monotonic() + HELD_S + 0.5
    made = 0
    job.say("log", message="holding")
    while time.monotonic() < end and made < job["pids"]:
        try:
            pid = os.fork()
        except OSError:
            continue
        made += 1
        if pid == 0:
            job.wait(10)
            os._exit(0)
    job.wait(HELD_S)
    return "held"


def thread_bomb(job):
    gate = threading.Event()
    threading.stack_size(64 * 1024)
    try:
        for _ in range(job["pids"]):
            threading.Thread(target=gate.wait, args=(10,), daemon=True).start()
    except RuntimeError as error:
        raise BlockingIOError(str(error)) from error
    job.hold(HELD_S)
    gate.set()
    return "held"


def zombies(job):
    """Dead, and never asked for."""
    for _ in range(job["pids"]):
        if os.fork() == 0:
            os._exit(0)
    job.hold(HELD_S)
    return "held"


def zombies_of_orphans(job):
    """They end after their parent: somebody else is to bury them."""
    for _ in range(300):
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                job.wait(0.001)
            os._exit(0)
        os.waitpid(pid, 0)
    return "left behind"


def raise_own_limits(job):
    """First the limits are taken away, then they are passed."""
    try:
        for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:
        raise PermissionError(str(error)) from error
    return fork_bomb(job)


def raise_limits_of_the_init(job):
    pid = 1 if job["walled"] else job["victim"]
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
    return "changed"


def be_spared_when_memory_runs_out(job):
    with open("/proc/self/oom_score_adj", "w") as stream:
        stream.write("-999" if os.getuid() == 0 else "0")
    job.hold()
    return "spared"


# ---- processor time


def spin(job):
    job.say("log", message="holding")
    end = time.process_time() + job["cpu"]
    while time.process_time() < end:
        pass
    return "spun"


def spin_and_ignore_the_warning(job):
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    return spin(job)


def spin_in_many_processes(job):
    """Each below the limit of one process, and each forks a next one."""
    job.say("log", message="holding")
    pids = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            end = time.process_time() + job["cpu"] / 6
            while time.process_time() < end:
                pass
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return "spun"


def spin_in_short_lives(job):
    """No process lives long enough to be seen, and nobody is told of the time of the dead."""
    job.say("log", message="holding")
    end = time.monotonic() + 9
    used = 0.0
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while used < job["cpu"] and time.monotonic() < end:
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                limit = time.process_time() + 0.05
                while time.process_time() < limit:
                    pass
                os._exit(0)
            pids.append(pid)
            used += 0.05
        for pid in pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue
    if used < job["cpu"]:
        raise TimeoutError("the machine is too slow for it")
    return "spun"


# ---- files


def large_file(job):
    with tempfile.TemporaryFile(dir=job.room()) as stream:
        for _ in range(job["disk"] // MIB):
            stream.write(b"x" * MIB)
        stream.flush()
        job.hold(HELD_S)
    return "held"


def many_files(job):
    with tempfile.TemporaryDirectory(dir=job.room()) as folder:
        for number in range(job["disk"] // MIB):
            with open(os.path.join(folder, str(number)), "wb") as stream:
                stream.write(b"x" * MIB)
        job.hold(HELD_S)
    return "held"


def deleted_files(job):
    """Held open, without a name."""
    files = []
    for _ in range(job["disk"] // MIB):
        files.append(tempfile.TemporaryFile(dir=job.room()))  # noqa: SIM115
        files[-1].write(b"x" * MIB)
        files[-1].flush()
    job.hold(HELD_S)
    return "held"


def files_in_shared_memory(job):
    """The room that is for shared memory is no other room."""
    with tempfile.TemporaryFile(dir="/dev/shm") as stream:
        for _ in range(job["disk"] // MIB):
            stream.write(b"x" * MIB)
        stream.flush()
        job.hold(HELD_S)
    return "held"


def files_all_over(job):
    """Every folder that can be written to, one after the other: their sum counts."""
    files, left, problem = [], job["disk"] // MIB, OSError("no room")
    for folder in (job.room(), "/tmp", "/dev/shm", "/var/tmp", "/run", "/dev", "/", "/dev/mqueue"):
        try:
            files.append(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
            while left:
                files[-1].write(b"x" * MIB)
                files[-1].flush()
                left -= 1
        except OSError as error:
            problem = error
    if left:
        raise problem
    job.hold(HELD_S)
    return "held"


def sparse_file(job):
    """Large by name alone, then filled from its end."""
    with tempfile.TemporaryFile(dir=job.room()) as stream:
        stream.truncate(4 * 1024 * MIB)
        for number in range(job["disk"] // MIB):
            stream.seek(number * 2 * MIB)
            stream.write(b"x" * MIB)
        stream.flush()
        job.hold(HELD_S)
    return "held"


def allocated_file(job):
    with tempfile.TemporaryFile(dir=job.room()) as stream:
        os.posix_fallocate(stream.fileno(), 0, job["disk"])
        job.hold(HELD_S)
    return "held"


def empty_files(job):
    with tempfile.TemporaryDirectory(dir=job.room()) as folder:
        for number in range(job["inodes"]):
            os.close(os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY))
        job.hold(HELD_S)
    return "held"


def empty_folders(job):
    with tempfile.TemporaryDirectory(dir=job.room()) as folder:
        for number in range(job["inodes"]):
            os.mkdir(os.path.join(folder, str(number)))
        job.hold(HELD_S)
    return "held"


def hard_links_and_fifos(job):
    with tempfile.TemporaryDirectory(dir=job.room()) as folder:
        for number in range(job["inodes"]):
            os.mkfifo(os.path.join(folder, str(number)))
        job.hold(HELD_S)
    return "held"


def deep_folders(job):
    """Deeper than any path may be long."""
    os.chdir(tempfile.mkdtemp(dir=job.room()))
    for _ in range(600):
        os.mkdir("d" * 8)
        os.chdir("d" * 8)
    return "left behind"


def descriptors(job):
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(job["descriptors"])]
    job.hold(HELD_S)
    return len(held)


def core_dump(job):
    """A crash that writes the memory of the job to a file, or into a program of the host."""
    os.chdir(job.room())
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    job.libc("prctl", 4, 1, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGABRT)
