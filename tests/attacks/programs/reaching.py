"""Attacks on what listens: the network of the host, sockets of files, abstract ones, odd families.

Whoever listens hears the job's token, and greets with a secret.
"""

import array
import os
import socket
import struct

TIMEOUT_S = 2


def talk(sock, job):
    """Say the token to who is connected; the answer is the greeting."""
    with sock:
        sock.settimeout(TIMEOUT_S)
        sock.sendall(job["token"].encode() + b"\n")
        return sock.recv(100).decode()


def connect(family, address, job):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT_S)
    sock.connect(address)
    return talk(sock, job)


def tcp(job):
    return connect(socket.AF_INET, ("127.0.0.1", job["tcp"]), job)


def tcp_by_name(job):
    return talk(socket.create_connection(("localhost", job["tcp"]), TIMEOUT_S), job)


def tcp_to_nowhere_in_particular(job):
    """0.0.0.0 is this host as well."""
    return connect(socket.AF_INET, ("0.0.0.0", job["tcp"]), job)


def tcp_over_version_6(job):
    return connect(socket.AF_INET6, ("::ffff:127.0.0.1", job["tcp"]), job)


def tcp_fast_open(job):
    """The first words go with the first packet, without connect()."""
    sock = socket.socket()
    sock.sendto(job["token"].encode() + b"\n", 0x20000000, ("127.0.0.1", job["tcp"]))
    return talk(sock, job)


def tcp_multipath(job):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    sock.settimeout(TIMEOUT_S)
    sock.connect(("127.0.0.1", job["tcp"]))
    return talk(sock, job)


def udp(job):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.sendto(job["token"].encode(), ("127.0.0.1", job["udp"]))
        return sock.recv(100).decode()


def name_server(job):
    """A question to a name server: the name in it carries the secret out."""
    name = b"".join(bytes([len(word)]) + word for word in (job["token"].encode(), b"test"))
    query = struct.pack(">6H", 1, 256, 1, 0, 0, 0) + name + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect(("127.0.0.1", job["udp"]))
        sock.send(query)
        return sock.recv(100).decode()


def unix_socket_of_a_file(job):
    return connect(socket.AF_UNIX, job["socket_file"], job)


def unix_socket_through_proc(job):
    return connect(socket.AF_UNIX, f"/proc/self/root{job['socket_file']}", job)


def unix_socket_abstract(job):
    return connect(socket.AF_UNIX, "\0" + job["socket_name"], job)


def unix_datagram_abstract(job):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(job["token"].encode(), "\0" + job["datagram_name"])
        return "sent"


def descriptor_over_an_abstract_socket(job):
    """The greeting comes with a descriptor of the secret file: no path is needed to read it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect("\0" + job["socket_name"])
        sock.sendall(job["token"].encode() + b"\n")
        size = array.array("i").itemsize
        _, ancillary, _, _ = sock.recvmsg(100, socket.CMSG_SPACE(size))
        fd = array.array("i", ancillary[0][2][:size])[0]
        return os.pread(fd, 1000, 0).decode()


def listen_where_the_host_connects(job):
    """Take the port that somebody of the host is about to talk to."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.settimeout(TIMEOUT_S)
        job.say("log", message=f"listening {sock.getsockname()[1]}")
        other, _ = sock.accept()
        with other:
            return other.recv(100).decode()


def sniff(job):
    """Hear what others say on the loopback."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.bind(("lo", 0))
        job.say("log", message="holding")
        for _ in range(1000):
            packet = sock.recv(4096)
            if b"SECRET=" in packet:
                return packet[packet.index(b"SECRET=") :][:60].decode("latin-1")
    raise PermissionError("nothing was heard")


def raw_socket(job):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        job.hold()
    return "open"


def odd_family(job):
    """Families that no namespace shuts in, or that nobody needs."""
    sock = socket.socket(job["family"], job["kind"], job["protocol"])
    job.hold()
    sock.close()
    return "open"


def interfaces(job):
    """The addresses and names of the host's network cards."""
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not names:
        raise PermissionError("there are none")
    return names


def connections(job):
    """Who of the host is connected to whom: the port of the listener is in the table."""
    with open("/proc/net/tcp") as stream:
        text = stream.read()
    if f":{job['tcp']:04X}" not in text:
        raise PermissionError("not in the table")
    return "port " + str(job["tcp"]) + " is in the table"
