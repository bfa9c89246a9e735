"""One wrong handler, or more, for every case: what is replaced, and what the kit says of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A handler of `level` with the functions of `code` replaced fails `case` with these words.

    `answer_s`, `ready_s`: how long the kit waits; short where nothing will come. `within_ms` and
    `for_ms`: in place of those of the case, if given: short where nothing will come, long where
    something will that must not.
    """

    case: str
    code: str
    words: str
    level: str = "simple"
    answer_s: float = 20.0
    ready_s: float = 20.0
    within_ms: int | None = None
    for_ms: int | None = None

    def steps(self, steps):
        """The steps of the case with the times of this one."""
        times = {"within_ms": self.within_ms, "for_ms": self.for_ms}
        times = {name: ms for name, ms in times.items() if ms is not None}
        return tuple(
            {
                **step,
                **{name: ms for name, ms in times.items() if isinstance(step.get(name), int)},
                **({"steps": self.steps(step["steps"])} if "steps" in step else {}),
            }
            for step in steps
        )


SHORT = {"answer_s": 0.5, "ready_s": 0.5}

TWICE = """
def serve(job):
    put((text(answer(job)) + "\\n") * 2)
"""
ASCII = """
def text(value):
    return json.dumps(value, ensure_ascii=False).encode("ascii", "replace").decode()
"""
FLOATS = """
def text(value):
    return json.dumps(json.loads(json.dumps(value), parse_int=float), separators=(",", ":"))
"""
FRAGILE = """
class Strict:
    def __init__(self, sandq, type, id, name, queue, data, timestamp, delay, priority, attempt,
                 max_attempts, stalls, timeout_ms, heartbeat_ms, opts):
        self.data = data
def read(line):
    job = json.loads(line)
    Strict(**job)
    return job
"""
HIDDEN = "def put(text):\n    sys.stdout.buffer.write(text.encode())\n"
ERROR_HIDDEN = """
def serve(job):
    done = answer(job)
    sys.stdout.buffer.write((text(done) + "\\n").encode())
    if done["status"] == "ok":
        sys.stdout.buffer.flush()
"""
CUT = """
def loop():
    while line := os.read(0, 65536):
        try:
            serve(json.loads(line))
        except ValueError:
            put(text({"status": "error", "error": "half a line"}) + "\\n")
"""
WIDE = """
def text(value):
    return json.dumps(value, indent=1)
"""
BARE_BREAKS = """
def text(value):
    return json.dumps(value).replace("\\\\n", "\\n")
"""
DIES = """
def answer(job):
    return {"status": "ok", "result": result(job)}
"""
NOISY = """
def result(job):
    print("working on it", flush=True)
    return job["data"]
"""
NOISY_ERROR = """
def serve(job):
    done = answer(job)
    if done["status"] == "error":
        put("Traceback (most recent call last):\\n")
    put(text(done) + "\\n")
"""
DEBUG = """
def start():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def read(line):
    os.write(2, b"a job has come\\n")
    return json.loads(line)
"""
DEBUG_ERROR = """
def start():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def serve(job):
    done = answer(job)
    if done["status"] == "error":
        os.write(2, b"it failed\\n")
    put(text(done) + "\\n")
"""
LINGERS = """
def start():
    threading.Thread(target=threading.Event().wait, args=({}, )).start()
"""
LEAKS = """
kept = []
def read(line):
    kept.append(b"x" * 65536)
    return json.loads(line)
"""
SLOW = "def start():\n    time.sleep(30)\n"
# a full handler that reads its input only between jobs
DEAF = """
def wait_for_cancel(job):
    threading.Event().wait()
"""
# one write: what comes later comes for sure
LATER = """
def serve(job):
    lines = [{{"type": "result", "id": job["id"], **answer(job)}},
             {{"type": {0!r}, "id": job["id"], {1}}}]
    put("".join(text({{"sandq": 1, **line}}) + "\\n" for line in lines))
"""
FULL = {"level": "full"}

WRONGS = [
    Wrong("one-answer", TWICE, "result.echo is 1; 2 was expected"),
    Wrong("one-answer", TWICE, "it says more than was asked", level="oneshot"),
    Wrong(
        "one-answer",
        'def serve(job):\n    for _ in range(2): say("result", id=job["id"], **answer(job))\n',
        "it says more than was asked",
        **FULL,
    ),
    Wrong("one-answer", "def serve(job):\n    pass\n", "no answer in time", **SHORT),
    Wrong(
        "one-answer-error",
        """
        def answer(job):
            if "fail" in job["data"]:
                put(text({"status": "error", "error": job["data"]["fail"]}) + "\\n")
            return {"status": "ok", "result": job["data"]}
        """,
        "result.echo is missing",
    ),
    Wrong(
        "many-jobs",
        'def result(job):\n    if job["id"] > "700" and len(job["id"]) == 3: sys.exit(0)\n'
        '    return job["data"]\n',
        "turn 701, step 2: no answer came, and its output is over: it ended with exit code 0",
    ),
    Wrong(
        "many-jobs",
        "old = [0]\n"
        'def result(job):\n    old.append(job["data"])\n'
        '    return old[-2] if len(old) == 900 else job["data"]\n',
        "turn 899, step 2: result.echo is 898; 899 was expected",
    ),
    Wrong("ends-idle", "import atexit\natexit.register(os._exit, 3)\n", "exit code 3, and not 0"),
    Wrong("ends-after-job", LINGERS.format("None"), "it has not ended in time", within_ms=300),
    Wrong("ends-soon", LINGERS.format("None"), "it has not ended in time", within_ms=300),
    Wrong(
        "ends-oneshot",
        "def once():\n    serve(read(sys.stdin.buffer.readline()))\n    sys.exit(4)\n",
        "it ended with exit code 4, and not 0",
        level="oneshot",
    ),
    Wrong(
        "ends-on-term",
        "def start():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
        "it has not ended in time",
        within_ms=300,
    ),
    Wrong("flushes", HIDDEN, "flush the output after each line", **SHORT),
    Wrong("flushes-error", ERROR_HIDDEN, "flush the output after each line", **SHORT),
    Wrong("unknown-members", FRAGILE, "it ended with exit code 1"),
    Wrong(
        "unknown-members-first",
        'def read(line):\n    return {"data": list(json.loads(line).values())[5]}\n',
        "result",
    ),
    Wrong(
        "unknown-options",
        "def read(line):\n    job = json.loads(line)\n"
        '    if set(job["opts"]) - {"attempts"}: sys.exit("what is this")\n    return job\n',
        "it ended with exit code 1",
    ),
    Wrong("unknown-members-own-job", FRAGILE, "it ended with exit code 1"),
    Wrong("unicode", ASCII, 'result is "na?ve"; "naïve" was expected'),
    Wrong(
        "unicode", "def read(line):\n    return json.loads(line.decode('latin-1'))\n", "result is"
    ),
    Wrong("unicode-members", ASCII, "result."),
    Wrong(
        "unicode-escapes",
        'def read(line):\n    return json.loads(line.replace(b"\\\\u0000", b""))\n',
        'result is "ab"',
    ),
    Wrong(
        "unicode-id",
        "def serve(job):\n"
        '    line = \'{"sandq":1,"type":"result","id":"%s","status":"ok","result":%s}\'\n'
        '    put(line % (job["id"], text(result(job))) + "\\n")\n',
        "no answer in time",
        **FULL,
        **SHORT,
    ),
    Wrong(
        "nested-64",
        "def read(line):\n    if line.count(b'[') > 60: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return json.loads(line)\n",
        "it was ended by SIGSEGV",
    ),
    Wrong("nested-300", "", "nested deeper than"),
    Wrong(
        "nested-300",
        "def read(line):\n    if line.count(b'[') > 99: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return json.loads(line)\n",
        "it was ended by SIGSEGV",
    ),
    Wrong("half-surrogate", "", "it breaks the protocol: refused JSON"),
    Wrong(
        "values",
        FLOATS.replace("parse_int=float", "parse_int=lambda n: int(n) % 2**53 // 2 * 2"),
        "result is",
    ),
    Wrong("values", 'def result(job):\n    return job["data"] or None\n', "result is null; false"),
    Wrong(
        "values",
        'def serve(job):\n    put(text(answer(job)["result"]) + "\\n")\n',
        'turn 17, step 2: result is null; {"status": "ok"} was expected',
    ),
    Wrong(
        "values",
        "def text(value):\n    return json.dumps(value).replace('1e+308', 'Infinity')\n",
        "it breaks the protocol",
    ),
    Wrong(
        "white-space",
        "import re\ndef read(line):\n"
        '    return {"data": json.loads(re.search(rb\'"data":(\\S+),"timestamp"\', line)[1])}\n',
        "it ended with exit code 1",
    ),
    Wrong("line-100k", CUT, 'status is "error"; "ok" was expected (its error'),
    Wrong(
        "line-900k",
        "def loop():\n    while line := sys.stdin.buffer.readline(500_000): serve(read(line))\n",
        "it ended with exit code 1",
    ),
    Wrong("error", DIES, "no answer came, and its output is over: it ended with exit code 1"),
    Wrong(
        "error",
        'def answer(job):\n    try:\n        return {"status": "ok", "result": result(job)}\n'
        '    except ValueError as error:\n        return {"error": str(error)}\n',
        'status is "ok"; "error" was expected',
    ),
    Wrong(
        "error-text",
        'def serve(job):\n    line = \'{"status":"error","error":"%s"}\\n\'\n'
        '    put(line % job["data"]["fail"])\n',
        "no answer in time",
        **SHORT,
    ),
    Wrong("no-noise", NOISY, "2 lines were neither message nor answer"),
    Wrong("no-noise-error", NOISY_ERROR, "1 lines were neither"),
    Wrong("one-line", WIDE, "no answer in time", **SHORT),
    Wrong("one-line", BARE_BREAKS, "no answer in time", **SHORT),
    Wrong("one-line-error", BARE_BREAKS, "no answer in time", **SHORT),
    Wrong("no-stderr", DEBUG, "it was ended by SIGPIPE"),
    Wrong("no-stderr-error", DEBUG_ERROR, "it was ended by SIGPIPE"),
    Wrong(
        "hello-first",
        'def start():\n    put("Loading…\\n")\n    say("hello")\n',
        "hello is not its first line",
        **FULL,
    ),
    Wrong("hello-first", 'def start():\n    say("hello", caps="all")\n', "caps is", **FULL),
    Wrong("hello-first", 'def start():\n    say("hello", version="1")\n', "version is", **FULL),
    Wrong("hello-first", "def start():\n    pass\n", "its first line is no hello", **FULL, **SHORT),
    Wrong(
        "hello-once",
        'def serve(job):\n    say("result", id=job["id"], **answer(job))\n    start()\n',
        "hello is not its first line",
        **FULL,
    ),
    Wrong(
        "cap-welcome",
        'def on_welcome(message):\n    say("result", id="1", status="ok", result="welcome")\n',
        "",
        **FULL,
    ),
    Wrong(
        "welcome-late",
        'def on_welcome(message):\n    message["x-old"]\n',
        "no answer",
        **FULL,
        **SHORT,
    ),
    Wrong(
        "cap-heartbeat", "def heartbeat(job):\n    pass\n", "answered without a heartbeat", **FULL
    ),
    Wrong(
        "cap-emit", 'def emit(job):\n    say("emit", id=job["id"])\n', "chunk is missing", **FULL
    ),
    Wrong(
        "cap-call",
        'def call(job):\n    say("call", id=job["id"], re=7, verb="get_result", args={"id": "7"})\n'
        "    replies.get()\n    return 5\n",
        "result is 5",
        **FULL,
    ),
    Wrong(
        "cap-call",
        'def call(job):\n    say("call", id=job["id"], verb="get_result", args={"id": "7"})\n',
        "it breaks the protocol: call has no number",
        **FULL,
    ),
    Wrong(
        "call-refused",
        'def heed_reply(reply):\n    return reply["value"]\n',
        "no answer came",
        **FULL,
    ),
    Wrong("cancel", "def on_cancel(message):\n    os._exit(3)\n", "exit code 3", **FULL),
    Wrong("cancel-waiting", DEAF, "no answer in time", **FULL, within_ms=300),
    Wrong(
        "cancel-once",
        'def on_cancel(message):\n    say("result", id=message["id"], status="error", error="no")\n'
        '    cancels[message["id"]].set()\n',
        "it answered a job that was not at work",
        **FULL,
    ),
    Wrong(
        "cancel-late",
        'def on_cancel(message):\n    say("result", id=message["id"], status="ok")\n',
        "it answered a job that was not at work",
        **FULL,
    ),
    Wrong(
        "cancel-unknown",
        "def on_cancel(message):\n    for event in list(cancels.values()): event.set()\n",
        "nothing was to come",
        **FULL,
        for_ms=20_000,
    ),
    Wrong(
        "progress",
        'def progress(job):\n    say("progress", value=1)\n',
        "progress has no id",
        **FULL,
    ),
    Wrong(
        "progress",
        'def progress(job):\n    say("progress", id="another", value=1)\n',
        'in its progress: id is "another"',
        **FULL,
    ),
    Wrong(
        "log",
        'def log(job):\n    say("log", id=job["id"], text="hm")\n',
        "message is nothing",
        **FULL,
    ),
    Wrong(
        "progress-ends",
        LATER.format("progress", '"value": 1'),
        "nothing was to come",
        **FULL,
        for_ms=20_000,
    ),
    Wrong(
        "log-ends",
        LATER.format("log", '"message": "hm"'),
        "nothing was to come",
        **FULL,
        for_ms=20_000,
    ),
    Wrong(
        "retry-later",
        'def retry_later(job):\n    raise Retry({"message": "later", "retry_after": 1.5})\n',
        "error.retry_after_ms is missing",
        **FULL,
    ),
    Wrong(
        "unrecoverable",
        'def unrecoverable(job):\n    raise Retry({"retryable": "no"})\n',
        'error.retryable is "no"; false was expected',
        **FULL,
    ),
    Wrong("ping", 'def on_ping(message):\n    say("pong")\n', "n is missing", **FULL),
    Wrong("ping", "def on_ping(message):\n    pass\n", "no pong in time", **FULL, **SHORT),
    Wrong(
        "unknown-type",
        "def unknown(message):\n    os._exit(3)\n",
        "it ended with exit code 3",
        **FULL,
    ),
    Wrong(
        "unknown-must",
        "def unknown(message):\n    pass\n",
        "none of fatal, exit in time",
        **FULL,
        **SHORT,
    ),
    Wrong("bye", "def on_bye(message):\n    os._exit(3)\n", "it ended with exit code 3", **FULL),
    Wrong(
        "bye-unsupported",
        'def on_bye(message):\n    say("log", id="none", message="bye")\n    jobs.put(None)\n',
        "it says more than was asked",
        **FULL,
    ),
    Wrong("memory", LEAKS, "its memory grew by"),
    Wrong("start-up", SLOW, "no answer in time", answer_s=20.0, ready_s=0.5),
]
