"""Whether the kernel kills for want of memory, where no control group tells it of one child."""


class OomKills:
    """Its kills so far, and whether there are new ones."""

    def __init__(self) -> None:
        self._seen = count_oom_kills()

    def forget(self) -> None:
        """Those until now are nobody's who is started from now on."""
        self._seen = count_oom_kills()

    def more(self) -> bool:
        """Whether there were some since this was asked last, or since they were forgotten."""
        before, self._seen = self._seen, count_oom_kills()

        return self._seen > before


def count_oom_kills() -> int:
    """How often the kernel has killed a process for want of memory: in our control group if it
    tells, else on the whole machine."""
    try:
        with open("/proc/self/cgroup") as stream:
            path = next(line[3:].strip() for line in stream if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{path}/memory.events") as stream:
            words = stream.read().split()
    except (OSError, StopIteration):
        try:
            with open("/proc/vmstat") as stream:
                words = stream.read().split()
        except OSError:
            return 0

    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0
