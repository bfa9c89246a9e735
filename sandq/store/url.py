"""Redis URLs: one server, a cluster, or Sentinels; and how a URL is shown without secrets."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

#: Host and port of a server.
Address = tuple[str, int]

#: The port where the URL has none.
REDIS_PORT, SENTINEL_PORT = 6379, 26379

#: Options of a Sentinel URL that are for the Sentinels, and what they are called among them.
SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}

_FORMS = (
    "it must begin with redis://, rediss:// (TLS), unix://, redis+cluster://, rediss+cluster://, "
    "redis+sentinel:// or rediss+sentinel://"
)
_ESCAPES = "in a password write %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"
_SECRET_OPTION = re.compile(r"([?&](?:\w*_)?password=)[^&#]*")


@dataclass(frozen=True, slots=True)
class ManyServers:
    """A URL that names several servers.

    `nodes` are those to ask first: nodes of a cluster, or Sentinels. `service` is what the
    Sentinels call the primary; it is empty for a cluster. The rest is as it stands in the URL:
    `login` is "user:password@" or empty.
    """

    scheme: str
    login: str
    nodes: tuple[Address, ...]
    service: str
    database: str
    options: tuple[tuple[str, str], ...]

    def server(self, address: Address) -> str:
        """The URL of one server that keeps jobs."""
        options = [(name, value) for name, value in self.options if name not in SENTINEL_OPTIONS]

        return self._one(address, self.login, self.database, options)

    def sentinel(self, address: Address) -> str:
        """The URL of one Sentinel. It has a password of its own, or none."""
        options = [
            (SENTINEL_OPTIONS.get(name, name), value)
            for name, value in self.options
            if name not in SENTINEL_OPTIONS.values()
        ]

        return self._one(address, "", "", options)

    def _one(
        self, address: Address, login: str, database: str, options: list[tuple[str, str]]
    ) -> str:
        host = f"[{address[0]}]" if ":" in address[0] else quote(address[0])
        query = f"?{urlencode(options)}" if options else ""

        return f"{self.scheme}://{login}{host}:{address[1]}/{database}{query}"


def read_url(url: str) -> ManyServers | None:
    """What the URL of a cluster or of Sentinels says; None for the URL of one server.

    Raises ValueError saying what is wrong; its text holds nothing that may be a password.
    """
    scheme, _, kind = url.partition("://")[0].lower().partition("+")
    if (scheme, kind) not in _READERS:
        raise ValueError(_FORMS)

    parts = _split(url)
    if scheme != "unix" and "@" in parts.path + parts.fragment + parts.query.partition("=")[0]:
        # a password of digits and one of these characters: the digits look like a port
        raise ValueError(f"an @ stands behind the host; {_ESCAPES}")

    login, at, hosts = parts.netloc.rpartition("@")
    read_path, default_port = _READERS[scheme, kind]
    if read_path is None:
        _port(hosts)
        return None

    nodes = tuple(_address(host, default_port) for host in hosts.split(","))
    service, database = read_path(parts.path)
    options = tuple(parse_qsl(parts.query, keep_blank_values=True))
    if "db" in dict(options):
        raise ValueError("the option db is for a single server")

    return ManyServers(scheme, login + at, nodes, service, database, options)


def safe_url(url: str) -> str:
    """`url` without its passwords, however badly it is written."""
    shown = _SECRET_OPTION.sub(r"\1***", url)
    scheme, separator, rest = shown.partition("://")
    # the last @ wherever it is: a password with a / in it looks like a path
    login, at, place = rest.rpartition("@")
    if not at or ":" not in login:
        return shown

    return f"{scheme}{separator}{login.partition(':')[0]}:***@{place}"


def secrets(url: str) -> set[str]:
    """The passwords in a URL that has been read, as they are written and as they are meant."""
    parts = _split(url)
    options = {value for name, value in parse_qsl(parts.query) if name.endswith("password")}
    password = parts.netloc.rpartition("@")[0].partition(":")[2]

    return (options | {password, unquote(password)}) - {""}


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # urllib's errors quote what they stumble over, which may be a part of the password
        raise ValueError("its host cannot be read; is a bracket missing?") from None


def _cluster_path(path: str) -> tuple[str, str]:
    if path not in ("", "/", "/0"):
        raise ValueError("a cluster has no numbered databases; leave out what follows the hosts")

    return "", "0"


def _sentinel_path(path: str) -> tuple[str, str]:
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError("what the Sentinels call the primary must follow the hosts, as /NAME")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("after /NAME only the number of a database may follow, as in /NAME/0")

    return unquote(service), database or "0"


#: (scheme, kind) -> what reads the path into service and database, and the port if none is given.
#: The redis library reads the paths of single servers.
_READERS = {
    ("redis", ""): (None, REDIS_PORT),
    ("rediss", ""): (None, REDIS_PORT),
    ("unix", ""): (None, REDIS_PORT),
    ("redis", "cluster"): (_cluster_path, REDIS_PORT),
    ("rediss", "cluster"): (_cluster_path, REDIS_PORT),
    ("redis", "sentinel"): (_sentinel_path, SENTINEL_PORT),
    ("rediss", "sentinel"): (_sentinel_path, SENTINEL_PORT),
}


def _address(place: str, default_port: int) -> Address:
    host = _split(f"//{place}").hostname
    if not host:
        raise ValueError("a host is missing; write host:port, and a comma between two of them")

    return unquote(host), _port(place) or default_port


def _port(place: str) -> int | None:
    try:
        return _split(f"//{place}").port
    except ValueError:
        raise ValueError(f"a port must be a number up to 65535; {_ESCAPES}") from None
