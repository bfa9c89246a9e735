"""How much memory a process has in use."""

import os


def rss_of(pid: int) -> int:
    """The resident size of a process, in bytes; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
