"""Attacks on the next job: what one leaves, the next one finds.

Each comes in two parts: `name`, and `name_later`, which another job runs. What is found later is
the token of the first, which is not in the data of the second.
"""

import atexit
import builtins
import ctypes
import glob
import json
import os
import re
import resource
import signal
import socket
import sys
import threading

MARK = re.compile(r"mark[0-9a-f]{16}")


def marks(text):
    """The marks in a text, whoever left them."""
    found = sorted(set(MARK.findall(text)))
    if not found:
        raise FileNotFoundError("nothing was left")
    return found


def look_around(job):
    """An honest job: it says hello, and what it was given."""
    job.wait(0.15)
    return {"hello": job.id}


# ---- files


def leave_files(job):
    for folder in ("/tmp", "/dev/shm", "/var/tmp", ".", os.environ.get("HOME", "/tmp")):
        try:
            with open(os.path.join(folder, job["mark"]), "w") as stream:
                stream.write(job["mark"])
        except OSError:
            continue
    return "left"


def leave_files_later(job):
    found = []
    for folder in ("/tmp", "/dev/shm", "/var/tmp", ".", os.environ.get("HOME", "/tmp")):
        found += glob.glob(f"{folder}/mark*")
    for path in found:
        os.unlink(path)
    return marks(" ".join(found))


def leave_an_open_file(job):
    """Without a name, in a descriptor."""
    fd = (
        os.memfd_create(job["mark"])
        if not job["walled"]
        else os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
    )
    os.write(fd, job["mark"].encode())
    return "left"


def leave_an_open_file_later(job):
    text = ""
    for name in os.listdir("/proc/self/fd"):
        try:
            text += os.pread(int(name), 100, 0).decode("latin-1") if int(name) > 2 else ""
        except OSError:
            continue
    return marks(text)


# ---- the interpreter


def poison_the_encoder(job):
    true_dumps, mark = json.dumps, job["mark"]
    json.dumps = lambda value, **options: true_dumps([mark, value], **options)
    return "poisoned"


poison_the_encoder_later = look_around


def poison_a_builtin(job):
    true_open, mark = builtins.open, job["mark"]

    def opened(*args, **options):
        return true_open(*args, **options)

    opened.seen = mark

    builtins.open = opened
    return "poisoned"


def poison_a_builtin_later(job):
    return marks(str(getattr(open, "seen", "")))


def poison_an_integer(job):
    """Below the language: the number 1 is an object, and objects are memory."""
    ctypes.c_int.from_address(id(173) + 24).value = 174
    return "poisoned"


def poison_an_integer_later(job):
    told = eval("".join(["1", "7", "3"]))
    if told == 173 and str(told) == "173":
        raise FileNotFoundError("173 is 173")
    ctypes.c_int.from_address(id(173) + 24).value = 173
    return "mark" + "0" * 16


def remember(job):
    sys.modules["remembered"] = job["mark"]
    os.environ["REMEMBERED"] = job["mark"]
    return "left"


def remember_later(job):
    return marks(f"{sys.modules.get('remembered')} {os.environ.get('REMEMBERED')}")


def leave_a_thread(job):
    """It listens to the next job."""

    def listen():
        job.wait(0.03)
        os.write(2, f"the thread of {job['mark']} is here\n".encode())

    threading.Thread(target=listen, daemon=True).start()
    return "left"


leave_a_thread_later = look_around


def leave_a_tracer(job):
    """Every call of the next job passes through it."""
    mark = job["mark"]
    sys.setprofile(lambda *_: None)
    sys.settrace(lambda *_: setattr(builtins, "traced", mark))
    return "left"


def leave_a_tracer_later(job):
    return marks(getattr(builtins, "traced", ""))


def leave_an_exit_function(job):
    mark = job["mark"]
    atexit.register(lambda: os.write(2, mark.encode()))
    return "left"


def leave_an_exit_function_later(job):
    if atexit._ncallbacks() == 0:
        raise FileNotFoundError("nothing was left")
    atexit._run_exitfuncs()
    return "mark" + "0" * 16


# ---- the process


def leave_an_alarm(job):
    """The next job is killed by a signal of this one."""
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    return "left"


leave_an_alarm_later = look_around


def leave_a_limit(job):
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    return "left"


def leave_a_limit_later(job):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] != 40:
        raise FileNotFoundError("nothing was left")
    return "mark" + "0" * 16


def leave_a_mask(job):
    """Signals that the next job does not hear."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    os.umask(0)
    os.nice(1)
    return "left"


def leave_a_mask_later(job):
    if signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, []):
        raise FileNotFoundError("nothing was left")
    return "mark" + "0" * 16


def leave_without_errors(job):
    """The next job's error output goes where this one likes."""
    read, write = os.pipe()
    os.dup2(write, 2)
    os.write(2, job["mark"].encode())
    os.dup2(read, 40)
    return "left"


def leave_without_errors_later(job):
    os.write(2, b"a secret of the next job")
    os.set_blocking(40, False)
    return marks(os.read(40, 100).decode())


# ---- the next job's line, and its answer


def steal_the_next_job(job):
    """A process that reads the same input, and answers as if it were the child."""
    if os.fork() == 0:
        line = os.read(0, 65536)
        os.write(2, line)
        told = json.dumps({"status": "ok", "result": job["mark"]}) + "\n"
        os.write(1, told.encode())
        os._exit(0)
    job.wait(0.05)
    return "lurking"


steal_the_next_job_later = look_around


def answer_for_the_next_job(job):
    """A line that comes late, in a moment when another job is at work."""
    if os.fork() == 0:
        job.wait(0.03)
        for _ in range(30):
            job.wait(0.005)
            os.write(1, (json.dumps({"status": "ok", "result": job["mark"]}) + "\n").encode())
        os._exit(0)
    return "lurking"


answer_for_the_next_job_later = look_around


def trace_the_next_job(job):
    """A process of this job waits for one of the next that it can kill."""
    if os.fork() == 0:
        os.setsid()
        mine = os.getpid()
        for _ in range(100):
            job.wait(0.005)
            for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
                if pid != mine and is_named(pid, job["next_token"]):
                    os.kill(pid, signal.SIGKILL)
                    os._exit(0)
        os._exit(0)
    return "lurking"


trace_the_next_job_later = look_around


def is_named(pid, token):
    try:
        with open(f"/proc/{pid}/comm") as stream:
            return stream.read().strip() == token[:15]
    except OSError:
        return False


# ---- the kernel's own places


def leave_a_segment(job):
    """System V shared memory has no owner but the kernel."""
    number = job.syscall("shmget", 0x5A9D, 4096, 0o1666)
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(number, None, 0)
    ctypes.memmove(address, job["mark"].encode(), len(job["mark"]))
    return "left"


def leave_a_segment_later(job):
    number = job.syscall("shmget", 0x5A9D, 4096, 0o666)
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    text = ctypes.string_at(libc.shmat(number, None, 0), 100).decode("latin-1")
    job.libc("shmctl", number, 0, None)
    return marks(text)


def leave_a_message(job):
    number = job.syscall("msgget", 0x5A9E, 0o1666)
    text = ctypes.create_string_buffer(b"\1" + bytes(7) + job["mark"].encode())
    job.libc("msgsnd", number, text, len(job["mark"]), 0)
    return "left"


def leave_a_message_later(job):
    number = job.syscall("msgget", 0x5A9E, 0o666)
    buffer = ctypes.create_string_buffer(200)
    job.libc("msgrcv", number, buffer, 100, 0, 0)
    job.libc("msgctl", number, 0, None)
    return marks(buffer.raw.decode("latin-1"))


def leave_a_semaphore(job):
    job.syscall("semget", 0x5A9F, 1, 0o1666)
    return "left"


def leave_a_semaphore_later(job):
    number = job.syscall("semget", 0x5A9F, 1, 0o666)
    job.libc("semctl", number, 0, 0)
    return "mark" + "0" * 16


def leave_a_queue(job):
    """A POSIX message queue: a name in the kernel."""
    libc = ctypes.CDLL("librt.so.1", use_errno=True)
    queue = libc.mq_open(b"/sandq-attack", os.O_CREAT | os.O_RDWR, 0o666, None)
    if queue == -1:
        raise OSError(ctypes.get_errno(), "mq_open")
    libc.mq_send(queue, job["mark"].encode(), len(job["mark"]), 0)
    return "left"


def leave_a_queue_later(job):
    libc = ctypes.CDLL("librt.so.1", use_errno=True)
    queue = libc.mq_open(b"/sandq-attack", os.O_RDWR | os.O_NONBLOCK)
    if queue == -1:
        raise OSError(ctypes.get_errno(), "mq_open")
    buffer = ctypes.create_string_buffer(8192)
    libc.mq_receive(queue, buffer, 8192, None)
    libc.mq_unlink(b"/sandq-attack")
    return marks(buffer.raw.decode("latin-1"))


def leave_a_key(job):
    for keyring in (-3, -4, -5):
        try:
            job.syscall("add_key", b"user", b"sandq-attack", job["mark"].encode(), 20, keyring)
        except OSError as error:
            problem = error
        else:
            return "left"
    raise problem


def leave_a_key_later(job):
    for keyring in (-3, -4, -5):
        try:
            key = job.syscall("keyctl", 10, keyring, b"user", b"sandq-attack", 0)
        except OSError as error:
            problem = error
            continue
        buffer = ctypes.create_string_buffer(100)
        job.syscall("keyctl", 11, key, buffer, 100)
        job.syscall("keyctl", 21, key)
        return marks(buffer.raw.decode("latin-1"))
    raise problem


def leave_a_listener(job):
    """An orphan behind an abstract socket: it tells the next job what it was told."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0sandq-attack")
    server.listen()
    if os.fork() == 0:
        os.setsid()
        server.settimeout(3)
        other, _ = server.accept()
        other.sendall(job["mark"].encode())
        os._exit(0)
    server.close()
    return "left"


def leave_a_listener_later(job):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2)
        sock.connect("\0sandq-attack")
        return marks(sock.recv(100).decode())


def leave_a_port(job):
    """The same over the loopback."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", job["free_port"]))
    server.listen()
    if os.fork() == 0:
        os.setsid()
        server.settimeout(3)
        other, _ = server.accept()
        other.sendall(job["mark"].encode())
        os._exit(0)
    server.close()
    return "left"


def leave_a_port_later(job):
    with socket.create_connection(("127.0.0.1", job["free_port"]), 2) as sock:
        return marks(sock.recv(100).decode())


def leave_a_process(job):
    """Its name is in the next job's /proc."""
    job.leave(f"sleep 5; : {job['mark']}")
    return "left"


def leave_a_process_later(job):
    text = ""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as stream:
                text += stream.read()
        except OSError:
            continue
    return marks(text)
