"""Handlers that keep to the echo contract, one for each level, in pieces: a wrong handler is a
right one with some of its functions replaced, so that it is wrong in that way and in no other."""

import sys
import textwrap

SIMPLE = """
import json, os, signal, sys, threading, time

def put(text):
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()

def text(value):
    return json.dumps(value)

def result(job):
    data = job["data"]
    if isinstance(data, dict) and "fail" in data:
        raise ValueError(data["fail"])
    return data

def answer(job):
    try:
        return {"status": "ok", "result": result(job)}
    except ValueError as error:
        return {"status": "error", "error": {"message": str(error)}}

def serve(job):
    put(text(answer(job)) + "\\n")

def read(line):
    return json.loads(line)

def start():
    pass

def loop():
    for line in sys.stdin.buffer:
        serve(read(line))

#WRONG
start()
loop()
"""

LOOP = """
    for line in sys.stdin.buffer:
        serve(read(line))
"""
ONESHOT = SIMPLE.replace(LOOP, "\n    once()\n").replace(
    "#WRONG",
    """
def once():
    serve(read(sys.stdin.buffer.readline()))

#WRONG""",
)

FULL = """
import json, os, queue, signal, sys, threading, time

CAPS = ["cancel", "progress", "log", "heartbeat", "emit", "call", "ping", "welcome"]
jobs, replies, cancels = queue.Queue(), queue.Queue(), {}

def put(text):
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()

def text(value):
    return json.dumps(value)

def say(type, **members):
    put(text({"sandq": 1, "type": type, **members}) + "\\n")

class Retry(Exception):
    pass

def progress(job):
    say("progress", id=job["id"], value=0.5)

def log(job):
    say("log", id=job["id"], message="half way", fields={"part": 1})

def emit(job):
    say("emit", id=job["id"], chunk=[1])

def heartbeat(job):
    say("heartbeat", id=job["id"])

def wait_for_cancel(job):
    cancels[job["id"]].wait()

def call(job):
    say("call", id=job["id"], re=7, verb=job["data"]["verb"], args=job["data"]["args"])
    return heed_reply(replies.get())

def heed_reply(reply):
    if reply["ok"]:
        return reply["value"]
    raise ValueError(reply["error"]["message"])

def retry_later(job):
    raise Retry({"message": "later", "retry_after_ms": job["data"]["retry_after_ms"]})

def unrecoverable(job):
    raise Retry({"message": "never", "retryable": False})

WORDS = ("progress", "log", "emit", "heartbeat", "wait_for_cancel", "call", "retry_later",
         "unrecoverable")

def result(job):
    data = job["data"]
    if isinstance(data, dict) and "fail" in data:
        raise ValueError(data["fail"])
    if isinstance(data, dict) and data.get("sandq_test") in WORDS:
        done = globals()[data["sandq_test"]](job)
        return data if done is None else done
    return data

def answer(job):
    try:
        return {"status": "ok", "result": result(job)}
    except ValueError as error:
        return {"status": "error", "error": {"message": str(error)}}
    except Retry as retry:
        return {"status": "error", "error": retry.args[0]}

def serve(job):
    say("result", id=job["id"], **answer(job))
    cancels.pop(job["id"])

def on_job(message):
    cancels[message["id"]] = threading.Event()
    jobs.put(message)

def on_cancel(message):
    if message["id"] in cancels:
        cancels[message["id"]].set()

def on_reply(message):
    replies.put(message)

def on_ping(message):
    say("pong", n=message["n"])

def on_welcome(message):
    pass

def on_bye(message):
    jobs.put(None)

def unknown(message):
    if message.get("must"):
        say("fatal", error="what is this")
        os._exit(1)

def listen():
    for line in sys.stdin.buffer:
        message = json.loads(line)
        globals().get("on_" + message["type"], unknown)(message)
    jobs.put(None)

def start():
    say("hello", version=1, sdk="none", caps=CAPS)

def loop():
    while (job := jobs.get()) is not None:
        serve(job)

#WRONG
start()
threading.Thread(target=listen, daemon=True).start()
loop()
os._exit(0)
"""

SOURCES = {"simple": SIMPLE, "oneshot": ONESHOT, "full": FULL}


def command(folder, level="simple", wrong=""):
    """The command of a handler of this level, with some of its functions replaced."""
    path = folder / "handler.py"
    path.write_text(SOURCES[level].replace("#WRONG", textwrap.dedent(wrong)))

    # without site-packages: it starts in no time
    return (sys.executable, "-I", "-S", str(path))
