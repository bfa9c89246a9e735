"""Run a program behind the walls of a confinement, without the spawner: bubblewrap by itself."""

import base64
import os
import resource
import subprocess

#: Where the walls are tried: by root as the uid of a slot, else by who runs the tests.
PYTHON = "/usr/bin/python3"


def run(confinement, words, *, program=None, uid=None, data=b"", timeout=30):
    """Run words; those of the environment and the limits of the confinement are applied."""
    walls = confinement.walls
    filter_read, filter_write = os.pipe()
    os.write(filter_write, base64.b64decode(walls["seccomp"]))
    os.close(filter_write)
    variables = [
        w for name, text in confinement.environment.items() for w in ("--setenv", name, text)
    ]
    command = [walls["program"], *walls["options"], *variables, "--seccomp", str(filter_read)]
    if walls["uids"] is not None and uid is None:
        uid = walls["uids"][1]
    user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": ()}

    def limit():
        for name, value in confinement.rlimits.items():
            if name != "RLIMIT_NPROC":
                resource.setrlimit(getattr(resource, name), (value, value))

    try:
        return subprocess.run(
            [*command, "--", program or words[0], *words[1:]],
            env={},
            input=data,
            capture_output=True,
            pass_fds=(filter_read,),
            preexec_fn=limit,
            timeout=timeout,
            check=False,
            **user,
        )
    finally:
        os.close(filter_read)
