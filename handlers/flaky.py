#!/usr/bin/env python3
"""Misbehave as the job asks: what the members of its data name is done in the order of ACTIONS.
The result is the member "value", or null; data that is no object is the result itself."""

import os
import time

from sandq.handler import serve


def touch(job, path):  # in one write, so that runs can be counted
    with open(path, "ab", buffering=0) as file:
        file.write(f"{job.id} {job.attempt} {os.getpid()}\n".encode())


ACTIONS = {  # an exception that one returns is raised
    "touch": touch,
    "print": lambda job, text: print(text),
    "stderr": lambda job, text: os.write(2, f"{text}\n".encode()),
    "log": lambda job, messages: [job.log(message) for message in messages],
    "progress": lambda job, values: [job.progress(value) for value in values],
    "emit": lambda job, chunks: [job.emit(chunk) for chunk in chunks],
    "sleep_s": lambda job, seconds: time.sleep(seconds),
    "exit": lambda job, code: os._exit(code),
    "signal": lambda job, number: os.kill(os.getpid(), number),
    "fail_until": lambda job, n: RuntimeError(f"fails until {n}") if job.attempt < n else None,
    "fail": lambda job, message: RuntimeError(message),
}


def misbehave(job):
    data = job.data if isinstance(job.data, dict) else {"value": job.data}
    for name, action in ACTIONS.items():
        if name in data and isinstance(error := action(job, data[name]), Exception):
            raise error
    return data.get("value")


serve(misbehave)
