"""What a child under Landlock may open beside what its handler names."""

from sandq.isolation.program import SYSTEM

_ETC = (
    *("alternatives", "ld.so.cache", "localtime", "nsswitch.conf"),
    # certificates, but no keys
    *("ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/openssl.cnf"),
)
# without /dev/zero: what is mapped of it is memory that nobody counts
_DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")

#: /proc/self is looked up by the process that becomes the child: it is its own folder.
READ = (
    *SYSTEM,
    *(f"/etc/{name}" for name in _ETC),
    *_DEVICES,
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo"),
)
WRITE = ("/dev/null", "/dev/full")
EXECUTE = SYSTEM
