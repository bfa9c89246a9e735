"""The filter: what it says to every call, judged by tables, by libseccomp and by programs."""

import errno
import itertools

import pytest

from sandq.errors import InvalidInput
from sandq.isolation.bpf import Choice
from sandq.isolation.seccomp import DENIED, UNCOUNTED, filter_bytes, policy, supported
from sandq.isolation.syscalls import UNKNOWN, number
from tests.isolation import oracle
from tests.isolation.filters import ALLOW, ARCHES, ERRNO, KILL_PROCESS, check, decode, run

OPTIONS = [
    dict(zip(("net", "shared_memory", "threads"), values, strict=True))
    for values in itertools.product((False, True), repeat=3)
]
STRICT, LAX = OPTIONS[0], OPTIONS[-1]

EPERM, ENOSYS = errno.EPERM, errno.ENOSYS
NO_FAMILY, NO_TYPE, NO_PROTOCOL = (
    errno.EAFNOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.EPROTONOSUPPORT,
)

#: What no job may have, whatever is made of the tables.
NEVER = """
    io_uring_setup io_uring_enter io_uring_register clone3 unshare setns mount umount2 pivot_root
    chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr ptrace
    process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd bpf
    userfaultfd perf_event_open keyctl add_key request_key open_by_handle_at name_to_handle_at
    kexec_load kexec_file_load init_module finit_module delete_module swapon swapoff reboot acct
    quotactl quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex sethostname
    setdomainname iopl ioperm modify_ldt lookup_dcookie vhangup nfsservctl uselib ustat sysfs
    _sysctl fanotify_init fanotify_mark lsm_set_self_attr
"""

#: What holds memory that nobody counts.
HIDES = "memfd_create memfd_secret shmget shmat msgget semget mq_open vmsplice"

#: What programs of all kinds cannot do without, by their numbers on x86-64 and aarch64.
NEEDED = {
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "futex": (202, 98),
    "execve": (59, 221),
    "wait4": (61, 260),
    "kill": (62, 129),
    "prctl": (157, 167),
    "getrandom": (318, 278),
    "epoll_pwait": (281, 22),
    "pidfd_open": (434, 434),
    "close_range": (436, 436),
    "openat2": (437, 437),
    "statx": (332, 291),
    "rseq": (334, 293),
    # these only restrict
    "seccomp": (317, 277),
    "landlock_restrict_self": (446, 446),
}

SIGCHLD = 17
HIGH = 1 << 32
DGRAM, CLOEXEC_STREAM, RAW = 2, 1 | 0o2000000, 3

#: call, arguments, what is said to it with a network and without.
ARGUMENTS = [
    # fork, vfork, a thread
    ("clone", [SIGCHLD], 0, 0),
    ("clone", [0x4000 | 0x100 | SIGCHLD], 0, 0),
    *[
        ("clone", [flag | SIGCHLD], EPERM, EPERM)
        for flag in (1 << 17, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30)
    ],
    ("clone", [HIGH | 1 << 28], EPERM, EPERM),
    ("personality", [0], 0, 0),
    ("personality", [0xFFFFFFFF], 0, 0),
    ("personality", [-1], 0, 0),
    ("personality", [0x0040000], EPERM, EPERM),
    ("personality", [0x0400000], EPERM, EPERM),
    ("personality", [8], EPERM, EPERM),
    ("ioctl", [0, 0x5401], 0, 0),
    ("ioctl", [0, 0x5412], EPERM, EPERM),
    ("ioctl", [0, 0x5412 | HIGH], EPERM, EPERM),
    ("ioctl", [0, 0x541C | 0xFFFFFFFF << 32], EPERM, EPERM),
    ("ioctl", [0, 0x5423], EPERM, EPERM),
    ("prlimit64", [0, 7], 0, 0),
    ("prlimit64", [1, 7], EPERM, EPERM),
    ("socketpair", [1, 1, 0], 0, 0),
    ("socketpair", [2, 1, 0], NO_FAMILY, NO_FAMILY),
    ("socketpair", [30, 1, 0], NO_FAMILY, NO_FAMILY),
    ("socket", [1, CLOEXEC_STREAM, 0], 0, 0),
    ("socket", [1 | HIGH, 5, 0], 0, 0),
    ("socket", [2, CLOEXEC_STREAM, 6], 0, NO_FAMILY),
    ("socket", [2, DGRAM, 0], 0, NO_FAMILY),
    ("socket", [10, DGRAM, 17], 0, NO_FAMILY),
    ("socket", [10 | HIGH, DGRAM, 58], 0, NO_FAMILY),
    ("socket", [2, RAW, 1], NO_TYPE, NO_FAMILY),
    ("socket", [2, 10, 0], NO_TYPE, NO_FAMILY),
    ("socket", [2, 5, 0], NO_TYPE, NO_FAMILY),
    ("socket", [2, 1, 132], NO_PROTOCOL, NO_FAMILY),
    ("socket", [10, 1, 262], NO_PROTOCOL, NO_FAMILY),
    ("socket", [16, 3, 0], 0, NO_FAMILY),
    ("socket", [16, 3, 15], NO_PROTOCOL, NO_FAMILY),
    *[
        ("socket", [family, DGRAM, 0], NO_FAMILY, NO_FAMILY)
        # none, packets, TIPC, the crypto API, VSOCK, XDP
        for family in (0, 17, 30, 38, 40, 44, 0xFFFFFFFF)
    ],
]

#: Values at which something may change, in every argument.
VALUES = sorted(
    {0, 1, 2, 3, 5, 6, 10, 15, 16, 17, 18, 40, 58, 59, 132, 262, 0xFFFFFFFE, 0xFFFFFFFF}
    | {0x5411, 0x5412, 0x5413, 0x541C, 0x5423}
    | {1 << bit for bit in range(32)}
)
FEW = (0, 1, 2, 3, 6, 17, 58, 132, 0x80002, 0xFFFFFFFF)


def made(arch, options):
    return decode(filter_bytes(arch, **options))


def is_unknown(nr, arch):
    return any(first <= nr <= last for first, last in UNKNOWN[arch])


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("options", OPTIONS)
def test_the_kernel_would_take_it(arch, options):
    check(made(arch, options))


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("options", OPTIONS)
def test_calls_are_refused_whatever_their_arguments_are(arch, options):
    code = made(arch, options)
    rows = [(row, True) for row in DENIED]
    rows += [(row, not options["shared_memory"]) for row in UNCOUNTED]
    said = {
        name: {run(code, ARCHES[arch], nr, [value] * 6, ip=value) for value in (0, 1, 2**64 - 1)}
        for (_, names), _ in rows
        for name in names.split()
        if (nr := number(name, arch)) is not None
    }

    assert said == {
        name: {ERRNO | reason if refused else ALLOW}
        for (reason, names), refused in rows
        for name in names.split()
        if name in said
    }


@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_is_missing_in_the_tables(options):
    refused = {name for name, outcome in policy(**options).items() if outcome in (EPERM, ENOSYS)}

    hides = set(HIDES.split())

    assert set(NEVER.split()) <= refused
    assert hides & refused == (set() if options["shared_memory"] else hides)


@pytest.mark.parametrize("options", OPTIONS)
def test_what_programs_need_is_allowed(options):
    for place, arch in enumerate(ARCHES):
        code = made(arch, options)
        said = {name: run(code, ARCHES[arch], nrs[place]) for name, nrs in NEEDED.items()}

        assert said == dict.fromkeys(NEEDED, ALLOW)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("options", OPTIONS)
def test_arguments_decide(arch, options):
    code = made(arch, options)
    for name, args, with_net, without in ARGUMENTS:
        reason = with_net if options["net"] else without
        expected = ERRNO | reason if reason else ALLOW

        assert run(code, ARCHES[arch], number(name, arch), args) == expected, (name, args)


@pytest.mark.parametrize("threads", [False, True])
def test_threads_are_for_those_who_may(threads):
    code = made("x86_64", {**STRICT, "threads": threads})
    # what pthread_create asks for
    said = run(code, ARCHES["x86_64"], 56, [0x3D0F00])

    assert said == (ALLOW if threads else ERRNO | EPERM)


@pytest.mark.parametrize("options", [STRICT, LAX])
def test_another_architecture_is_killed(options):
    foreign = {0x40000003, 0x40000028, 0, 0xFFFFFFFF, *ARCHES.values()}
    for arch, token in ARCHES.items():
        code = made(arch, options)
        said = {run(code, other, nr) for other in foreign - {token} for nr in (0, 39, 2**32 - 1)}

        assert said == {KILL_PROCESS}


@pytest.mark.parametrize("options", [STRICT, LAX])
def test_x32_and_calls_of_the_future_are_not_there(options):
    for arch, token in ARCHES.items():
        code = made(arch, options)
        calls = {0x40000000 | nr for nr in range(600)} | set(range(470, 600)) | {2**32 - 1}

        assert {run(code, token, nr) for nr in calls} == {ERRNO | ENOSYS}


@pytest.mark.parametrize("arch", ["i686", "armv7l", "riscv64", "arm64", ""])
def test_an_architecture_without_a_filter_is_named(arch):
    assert not supported(arch)
    with pytest.raises(InvalidInput, match=f"no seccomp filter for '{arch}', only for x86_64"):
        filter_bytes(arch, net=True, shared_memory=True)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_supported_architecture(arch):
    assert supported(arch)


# ---- libseccomp


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("options", OPTIONS)
def test_libseccomp_makes_the_same_of_the_policy(arch, options):
    library = oracle.load()
    outcomes = policy(**options)
    ours, theirs = made(arch, options), decode(oracle.export(library, arch, outcomes))
    # calls that it has never heard of are tried by the other tests
    unheard = {number(name, arch) for name in outcomes if oracle.number(library, name, arch) == -1}
    chosen = {
        number(name, arch): calls(name)
        for name, outcome in outcomes.items()
        if isinstance(outcome, Choice)
    }

    for nr in sorted({*range(601)} - unheard):
        for args in chosen.get(nr, [(0,), (2**64 - 1,) * 6]):
            said = run(theirs, ARCHES[arch], nr, args)
            if is_unknown(nr, arch):
                assert said == ALLOW
                said = ERRNO | ENOSYS
            assert run(ours, ARCHES[arch], nr, args) == said, (nr, args)
    for other in (0x40000003, 0x40000028, 0):
        assert run(ours, other, 0) == run(theirs, other, 0) == KILL_PROCESS


def calls(name):
    """Arguments for a call: the first two at every value, with and without their high halves."""
    high = (0, HIGH, 0xFFFFFFFF << 32)
    if name == "socket":
        families = [family | upper for family in (0, 1, 2, 9, 10, 16, 17, 40) for upper in high]
        return list(itertools.product(families, FEW, [*FEW, HIGH, HIGH | 6]))
    return [
        args
        for value in VALUES
        for upper in high
        for args in ((value | upper, 0), (0, value | upper), (value, value | upper))
    ]
