"""A filter of system calls for children behind walls, as the kernel and bubblewrap take it.

Everything is allowed but what leads out of the walls, reaches other processes, is no business of
a job, or has been the way into the kernel again and again. What is refused is said in tables; an
outcome is an errno, or a choice by an argument; sandq/isolation/bpf.py makes instructions of it.

What a refused call is told:
- EPERM: this is not allowed here.
- ENOSYS: this kernel does not have it. Programs then turn by themselves to an older call, whose
  arguments can be looked at (a filter cannot look into memory), or to a plain file.
- What the kernel itself says about an address family or a protocol that it was built without.
"""

import errno
from collections.abc import Iterable
from enum import IntEnum

from sandq.errors import InvalidInput
from sandq.isolation.bpf import ALLOW, Choice, Outcome, program
from sandq.isolation.syscalls import ARCHITECTURES

#: Refused whatever the arguments are: the errno, and the calls.
DENIED: tuple[tuple[int, str], ...] = (
    # io_uring does what other calls do, past this filter; clone3 has its flags in memory
    (errno.ENOSYS, "io_uring_setup io_uring_enter io_uring_register clone3"),
    # walls: other namespaces, other roots
    (errno.EPERM, "unshare setns mount umount2 pivot_root chroot"),
    (errno.EPERM, "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick"),
    (errno.EPERM, "mount_setattr lsm_set_self_attr"),
    # files by a handle instead of a path, events of files of others
    (errno.EPERM, "open_by_handle_at name_to_handle_at fanotify_init fanotify_mark"),
    # a job read without being taken from its pipe looks as if it had not been read
    (errno.EPERM, "tee"),
    # other processes: their memory, their descriptors
    (errno.EPERM, "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease"),
    (errno.EPERM, "kcmp pidfd_getfd"),
    # programs inside the kernel, page faults held up at will, keys that outlive who made them
    (errno.EPERM, "bpf userfaultfd perf_event_open add_key request_key keyctl"),
    # the machine: its kernel, clock, names, ports, swap, accounts and log
    (errno.EPERM, "kexec_load kexec_file_load init_module finit_module delete_module"),
    (errno.EPERM, "create_module get_kernel_syms query_module reboot syslog acct"),
    (errno.EPERM, "settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname"),
    (errno.EPERM, "iopl ioperm modify_ldt swapon swapoff quotactl quotactl_fd vhangup"),
    # what hardly anybody calls any more, and so nobody looks after
    (errno.EPERM, "lookup_dcookie nfsservctl uselib ustat sysfs _sysctl"),
)

#: Refused where no control group counts memory: what these hold belongs to no process. A word on
#: vmsplice: what it puts into a pipe stays when the process gives its memory back, and one small
#: piece of a huge page holds the whole: 32 MiB for each pipe.
UNCOUNTED: tuple[tuple[int, str], ...] = (
    (errno.ENOSYS, "memfd_create memfd_secret mq_open mq_unlink vmsplice"),
    # all of System V: where it has no namespace of its own, the ids of others can be guessed
    (errno.ENOSYS, "shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl"),
    (errno.ENOSYS, "semget semop semtimedop semctl"),
)


class Clone(IntEnum):
    """Flags of clone(); CLONE_NEWTIME is not one of them: there its bit is part of the signal."""

    THREAD = 0x00010000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


class Terminal(IntEnum):
    """Requests of ioctl() that reach beyond the descriptor: what is typed, and line disciplines."""

    TIOCSTI = 0x5412
    TIOCLINUX = 0x541C
    TIOCSETD = 0x5423


class Family(IntEnum):
    """Address families of sockets: the ones that a job may have."""

    UNIX = 1
    INET = 2
    INET6 = 10
    NETLINK = 16


class Protocol(IntEnum):
    """Protocols of internet sockets that a job may have: the ones that everybody has."""

    ANY = 0
    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58


def _only(argument: int, values: Iterable[int], otherwise: int) -> Choice:
    return Choice(argument, dict.fromkeys(values, ALLOW), otherwise)


# which type and which protocol matters: kernel modules are loaded by merely asking for theirs.
# The type is in the low four bits, flags are above them; 1 and 2 are streams and datagrams
_PROTOCOLS = _only(2, Protocol, errno.EPROTONOSUPPORT)
_INTERNET = Choice(1, dict.fromkeys((1, 2), _PROTOCOLS), errno.ESOCKTNOSUPPORT, mask=0xF)

#: Sockets with a network. Of netlink only protocol 0, which tells of addresses and routes.
_SOCKETS: dict[int, Outcome] = {
    Family.UNIX: ALLOW,
    Family.INET: _INTERNET,
    Family.INET6: _INTERNET,
    Family.NETLINK: _only(2, [0], errno.EPROTONOSUPPORT),
}

_LOCAL = _only(0, [Family.UNIX], errno.EAFNOSUPPORT)


def supported(arch: str) -> bool:
    """Whether there is a filter for this architecture, as platform.machine() names it."""
    return arch in ARCHITECTURES


def policy(*, net: bool, shared_memory: bool, threads: bool = True) -> dict[str, Outcome]:
    """What happens to each system call that is not simply allowed, by its name."""
    flags = sum(Clone) - (Clone.THREAD if threads else 0)
    denied = DENIED if shared_memory else DENIED + UNCOUNTED

    # shared memory without a file: its pages stay when most of the mapping is given back, where
    # nobody sees them
    unnamed = {0x21: errno.EPERM, 0x23: errno.EPERM}

    return {
        **({} if shared_memory else {"mmap": Choice(3, unnamed, ALLOW, mask=0x2F)}),
        "clone": Choice(0, {0: ALLOW}, errno.EPERM, mask=flags),
        "socket": Choice(0, _SOCKETS, errno.EAFNOSUPPORT) if net else _LOCAL,
        "socketpair": _LOCAL,
        "ioctl": Choice(1, dict.fromkeys(Terminal, errno.EPERM), otherwise=ALLOW),
        # Linux as it is, or the question which one it is; the others are old doors
        "personality": _only(0, [0, 0xFFFFFFFF], errno.EPERM),
        # one's own limits only: another process of the same user, such as the supervisor, could
        # be ended by giving it a limit that it has passed
        "prlimit64": _only(0, [0], errno.EPERM),
        **{name: reason for reason, names in denied for name in names.split()},
    }


def filter_bytes(arch: str, *, net: bool, shared_memory: bool, threads: bool = True) -> bytes:
    """The filter as an array of struct sock_filter, for bwrap's --seccomp and for prctl().

    - `arch`: as platform.machine() names it. Programs for another one, 32-bit ones among them,
      are killed.
    - `net`: False: sockets between processes only (AF_UNIX).
    - `shared_memory`: False: nothing that holds memory which belongs to no process.
    - `threads`: False: no more than one thread in a process.

    Raises InvalidInput for an architecture that is not supported.
    """
    if not supported(arch):
        known = ", ".join(ARCHITECTURES)
        raise InvalidInput(f"there is no seccomp filter for {arch!r}, only for {known}")

    return b"".join(program(arch, policy(net=net, shared_memory=shared_memory, threads=threads)))
