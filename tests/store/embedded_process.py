"""A command that wants the embedded server, for the tests of many commands at once.

    embedded_process.py FOLDER BINARY

Says "ready", waits for a line, has the server run, prints its process id and waits for the end
of its input.
"""

import sys
from pathlib import Path

from sandq.store.embedded import EmbeddedServer


def main(folder: str, binary: str) -> None:
    server = EmbeddedServer(Path(folder), Path(binary))
    print("ready", flush=True)
    sys.stdin.readline()

    server.ensure()
    print(server.status().pid, flush=True)
    sys.stdin.read()


main(*sys.argv[1:])
