"""Classic BPF as seccomp has it: an interpreter, and the checks the kernel makes beforehand."""

import struct

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: Sizes: of one instruction, of struct seccomp_data, and the most instructions (BPF_MAXINSNS).
INSTRUCTION_BYTES, DATA_BYTES, MOST = 8, 64, 4096

LOAD, AND, RETURN, JUMP = 0x20, 0x54, 0x06, 0x05
TESTS = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: a & k != 0,
}

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def decode(raw):
    """The instructions: code, jump if true, jump if false, value."""
    assert len(raw) % INSTRUCTION_BYTES == 0
    return list(struct.iter_unpack("<HBBI", raw))


def check(program):
    """Refuse what the kernel would refuse, and instructions that nothing leads to."""
    assert 0 < len(program) <= MOST
    reached = {0}
    for at, (code, if_so, if_not, value) in enumerate(program):
        assert at in reached, f"nothing leads to {at}"
        if code == RETURN:
            continue
        if code in TESTS:
            ways = {at + 1 + if_so, at + 1 + if_not}
        else:
            assert (if_so, if_not) == (0, 0)
            ways = {at + 1 + value} if code == JUMP else {at + 1}
        if code == LOAD:
            assert value % 4 == 0
            assert value < DATA_BYTES
        else:
            assert code in (AND, JUMP, *TESTS), hex(code)
        assert max(ways) < len(program), f"{at} leads out of the program"
        reached |= ways
    assert program[-1][0] == RETURN


def run(program, arch, nr, args=(), ip=0):
    """What a filter says to a call; missing arguments are 0."""
    args = [arg & 0xFFFFFFFFFFFFFFFF for arg in (*args, 0, 0, 0, 0, 0, 0)[:6]]
    words = struct.unpack("<16I", struct.pack("<IIQ6Q", nr & 0xFFFFFFFF, arch, ip, *args))
    accumulator, at = 0, 0
    while True:
        code, if_so, if_not, value = program[at]
        at += 1
        if code in TESTS:
            at += if_so if TESTS[code](accumulator, value) else if_not
        elif code == LOAD:
            accumulator = words[value // 4]
        elif code == AND:
            accumulator &= value
        elif code == JUMP:
            at += value
        else:
            assert code == RETURN, hex(code)
            return value
