"""Attacks on the kernel's edges: namespaces, mounts, /proc and /sys, devices, rare system calls.

What was got is held for a moment, so that it can be seen from outside.
"""

import ctypes
import errno
import os
import platform
import struct
import subprocess

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_REMOUNT, MS_RDONLY = 4096, 16384, 1 << 18, 32, 1


def own_namespaces(job, before):
    """Hold the namespaces of before and of now: two of a kind are seen outside."""
    after = os.open(f"/proc/self/ns/{before[0]}", os.O_RDONLY)
    job.hold()
    os.close(after)
    return "held"


def a_new(kind, flags, job):
    before = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    job.syscall("unshare", flags)
    return own_namespaces(job, (kind, before))


# ---- namespaces and mounts


def new_user_namespace(job):
    return a_new("user", CLONE_NEWUSER, job)


def new_mount_namespace(job):
    return a_new("mnt", CLONE_NEWNS, job)


def new_network_namespace(job):
    return a_new("net", CLONE_NEWNET, job)


def new_user_namespace_by_clone3(job):
    words = struct.pack("8Q", CLONE_NEWUSER, 0, 0, 0, 17, 0, 0, 0)
    buffer = ctypes.create_string_buffer(words)
    before = os.open("/proc/self/ns/user", os.O_RDONLY)
    pid = job.syscall("clone3", buffer, len(words))
    if pid == 0:
        own_namespaces(job, ("user", before))
        os._exit(0)
    os.waitpid(pid, 0)
    return "held"


def new_user_namespace_by_clone(job):
    """The old call: its flags are in a register, where a filter can see them."""
    number = 220 if platform.machine() == "aarch64" else 56
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/user", os.O_RDONLY)
    pid = libc.syscall(number, CLONE_NEWUSER | 17, 0, 0, 0, 0)
    if pid == -1:
        raise OSError(ctypes.get_errno(), "clone")
    if pid == 0:
        own_namespaces(job, ("user", before))
        os._exit(0)
    os.waitpid(pid, 0)
    return "held"


def join_the_namespace_of_pid_1(job):
    fd = os.open(f"/proc/{1 if job['walled'] else job['victim']}/ns/mnt", os.O_RDONLY)
    job.syscall("setns", fd, 0)
    with open(job["secret_file"]) as stream:
        return stream.read()


def privately(job):
    """Under no walls nothing of this may stay on the host: a namespace of its own, if it can."""
    if not job["walled"]:
        job.syscall("unshare", CLONE_NEWNS)
        job.syscall("mount", b"none", b"/", 0, MS_REC | MS_PRIVATE, 0)


def held_mount(job, at):
    """A descriptor of what was mounted is held."""
    fd = os.open(at, os.O_RDONLY)
    job.hold()
    os.close(fd)
    return "mounted"


def mount_a_tmpfs(job):
    privately(job)
    job.syscall("mount", job["token"].encode(), b"/tmp", b"tmpfs", 0, b"size=4096")
    return held_mount(job, "/proc/self/mounts") + mounts(job)


def mount_proc(job):
    """A fresh /proc, without what covers the old one."""
    privately(job)
    job.syscall("mount", job["token"].encode(), b"/tmp", b"proc", 0, 0)
    return mounts(job)


def mounts(job):
    with open("/proc/self/mounts") as stream:
        if job["token"] not in stream.read():
            raise PermissionError("it is not there")
    job.hold()
    return "mounted"


def mount_by_the_new_calls(job):
    privately(job)
    fd = job.syscall("fsopen", b"tmpfs", 0)
    job.hold()
    os.close(fd)
    return "opened"


def clone_a_mount(job):
    """A mount that hangs nowhere: a descriptor of the host's tree."""
    privately(job)
    tree = job.syscall("open_tree", -100, b"/", 1 | os.O_CLOEXEC)
    fd = os.open(job["secret_file"].lstrip("/"), os.O_RDONLY, dir_fd=tree)
    return os.read(fd, 1000).decode()


def make_writable_again(job):
    """Remount read-only places, and write where only a host's program may."""
    privately(job)
    problem = None
    for place in (b"/", b"/usr", b"/proc", b"/dev", b"/etc/passwd"):
        try:
            job.syscall("mount", b"none", place, 0, MS_REMOUNT | MS_BIND, 0)
            return held_mount(job, "/proc/self/ns/mnt")
        except OSError as error:
            problem = error
    raise problem


def uncover(job):
    """Take away what was mounted over something."""
    privately(job)
    job.syscall("umount2", b"/tmp" if job["walled"] else b"/proc", 2)
    return held_mount(job, "/")


def chroot_of_its_own(job):
    before = os.open("/", os.O_RDONLY)
    job.syscall("chroot", job.room().encode())
    job.hold()
    os.close(before)
    return "in another root"


# ---- /proc and /sys


def write_core_pattern(job):
    """The program that the host's kernel starts, as root, for the next crash."""
    with open("/proc/sys/kernel/core_pattern", "r+"):
        job.hold()
    return "open for writing"


def write_setting(job):
    """A harmless one."""
    with open(job["setting"], "w") as stream:
        stream.write(str(job["setting_value"]))
    return "written"


def write_system_request(job):
    """Whoever can write here can crash the host; it is only opened."""
    fd = os.open("/proc/sysrq-trigger", os.O_WRONLY)
    job.hold()
    os.close(fd)
    return "open for writing"


def write_module_loader(job):
    fd = os.open("/proc/sys/kernel/modprobe", os.O_WRONLY)
    job.hold()
    os.close(fd)
    return "open for writing"


def write_uevent_helper(job):
    for path in ("/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if os.path.exists(path):
            fd = os.open(path, os.O_WRONLY)
            job.hold()
            os.close(fd)
            return "open for writing"
    raise FileNotFoundError(errno.ENOENT, "no /sys")


def write_control_groups(job):
    """Leave its control group, or make another."""
    problem = FileNotFoundError(errno.ENOENT, "no /sys/fs/cgroup")
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"):
        try:
            os.close(os.open(f"{folder}/cgroup.procs", os.O_WRONLY))
            fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY)
            job.hold()
            os.close(fd)
            return "open for writing"
        except OSError as error:
            problem = error
    raise problem


def write_kernel_memory(job):
    problem = None
    for path in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            problem = error
            continue
        job.hold()
        os.close(fd)
        return "open"
    raise problem


def read_kernel_addresses(job):
    """Where the kernel is in memory: the first thing an exploit needs."""
    with open("/proc/kallsyms") as stream:
        address, _, name = stream.readline().split()[:3]
    if int(address, 16) == 0:
        raise PermissionError("they are hidden")
    job.hold()
    return f"{name} at {address}"


def own_id_map(job):
    """Root of the namespace it is in."""
    with open("/proc/self/uid_map", "w") as stream:
        stream.write(f"0 {os.getuid()} 1")
    return "mapped"


# ---- devices


def make_a_device(job):
    path = os.path.join(job.room(), job["token"])
    os.mknod(path, 0o60666, os.makedev(*job["disk_device"]))
    fd = os.open(path, os.O_RDONLY)
    job.hold()
    os.close(fd)
    return "made"


def open_the_disk(job):
    """The disk below all file systems."""
    numbers = [name for name in os.listdir("/dev") if name.startswith(("vd", "sd", "nvme", "xvd"))]
    fd = os.open(f"/dev/{sorted(numbers)[0]}" if numbers else "/dev/vda", os.O_RDONLY)
    job.hold()
    os.close(fd)
    return "open"


def open_devices(job):
    """What a job has no business with."""
    problem = None
    for name in ("kvm", "fuse", "net/tun", "kmsg", "loop-control", "vhost-net", "userfaultfd"):
        try:
            fd = os.open(f"/dev/{name}", os.O_RDWR)
        except OSError as error:
            problem = error
            continue
        job.hold()
        os.close(fd)
        return name
    raise problem


# ---- rare calls


def io_uring(job):
    fd = job.syscall("io_uring_setup", 4, ctypes.create_string_buffer(120))
    job.hold()
    os.close(fd)
    return "open"


def bpf_map(job):
    attributes = struct.pack("4I", 2, 4, 8, 1) + bytes(56)
    fd = job.syscall("bpf", 0, ctypes.create_string_buffer(attributes), len(attributes))
    job.hold()
    os.close(fd)
    return "open"


def bpf_program(job):
    """The smallest: return 0."""
    code = ctypes.create_string_buffer(
        struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    )
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<2I2Q", 1, 2, ctypes.addressof(code), ctypes.addressof(licence)
    ) + bytes(96)
    fd = job.syscall("bpf", 5, ctypes.create_string_buffer(attributes), len(attributes))
    job.hold()
    os.close(fd)
    return "open"


def user_fault_descriptor(job):
    fd = job.syscall("userfaultfd", 1)
    job.hold()
    os.close(fd)
    return "open"


def performance_counter(job):
    attributes = struct.pack("<2IQ", 1, 128, 1) + bytes(16) + bytes(96)
    fd = job.syscall("perf_event_open", ctypes.create_string_buffer(attributes), 0, -1, -1, 0)
    job.hold()
    os.close(fd)
    return "open"


def key_for_everybody(job):
    """Into the keyring that all processes of this user share."""
    job.syscall("add_key", b"user", job["token"].encode(), b"payload", 7, -4)
    return "added"


def keyring_for_everybody(job):
    """A whole ring of them."""
    job.syscall("add_key", b"keyring", job["token"].encode(), 0, 0, -4)
    return "added"


def compatible_calls(job):
    """The calls of 32-bit programs have other numbers: a filter for 64 bits does not know them.

    `int 0x80` with the 32-bit number of getpid: harmless, and told by its answer.
    """
    if platform.machine() != "x86_64":
        raise PermissionError("only on x86_64")
    import mmap

    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
    code.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    told = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    if told != os.getpid():
        raise PermissionError(f"answered {told}")
    job.hold()
    return f"32-bit getpid is {told}"


def calls_of_another_kind(job):
    """x32: the same numbers with a bit set."""
    if platform.machine() != "x86_64":
        raise PermissionError("only on x86_64")
    libc = ctypes.CDLL(None, use_errno=True)
    told = libc.syscall(ctypes.c_long(0x40000000 + 39))
    if told != os.getpid():
        raise PermissionError(f"answered {told}: {os.strerror(ctypes.get_errno())}")
    return f"x32 getpid is {told}"


def forget_random_addresses(job):
    """personality: the programs it starts are laid out the same each time."""
    job.syscall("personality", 0x0040000)
    told = job.syscall("personality", 0xFFFFFFFF)
    if not told & 0x0040000:
        raise PermissionError("it stays")
    job.hold()
    job.syscall("personality", 0)
    return "changed"


def set_the_clock(job):
    """Only what the kernel believes to be the error of its clock: harmless, and seen by all."""
    size = 208
    buffer = ctypes.create_string_buffer(size)
    struct.pack_into("<I", buffer, 0, 0x0008)
    struct.pack_into("<q", buffer, 32, job["clock_value"])
    job.syscall("adjtimex", buffer)
    return "set"


def set_the_domain_name(job):
    name = job["token"].encode()
    job.syscall("setdomainname", name, len(name))
    return "set"


def gain_privileges(job):
    """Whatever a program with the setuid bit gives: su asks for a password and waits."""
    child = subprocess.Popen(["su", "-c", "true"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    job.wait(0.1)
    job.hold()
    child.kill()
    words = child.communicate()[1]
    if child.returncode != -9:
        raise PermissionError(words.decode())
    return "runs"


def become_root(job):
    os.setresuid(0, 0, 0)
    job.hold()
    return "root"


def keep_capabilities(job):
    """Those it has at its start, in any of the sets that a program could raise again."""
    with open("/proc/self/status") as stream:
        sets = dict(
            line.split(":\t") for line in stream.read().splitlines() if line.startswith("Cap")
        )
    if all(int(sets[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")):
        raise PermissionError("there are none")
    job.hold()
    return sets


def undo_no_new_privileges(job):
    job.libc("prctl", 38, 0, 0, 0, 0)
    return "undone"


def switch_the_filter_off(job):
    """Another system-call filter above the first: it may only take away."""
    job.libc("prctl", 22, 0, 0, 0, 0)
    return "switched off"


def be_first_of_all(job):
    """Real-time priority: nobody else runs on this processor."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    job.hold()
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return "first of all"
