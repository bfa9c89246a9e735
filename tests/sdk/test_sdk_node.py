"""The Node SDK for handlers, driven as the supervisor drives it: a real child, its pipes."""

import hashlib
import json
import signal
import socket
import subprocess
import textwrap
import time

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HELLO = (
    b'{"sandq":1,"type":"hello","version":1,"sdk":"node",'
    b'"caps":["cancel","progress","log","heartbeat","emit","call","ping","welcome"]}\n'
)

ECHO = "serve((job) => job.data);"


@pytest.fixture
def node(need_program):
    return need_program("node", "nodejs")


@pytest.fixture
def write(tmp_path, sdk, node):
    """Write a program that has imported all that the SDK has; the command that runs it."""

    def write(source, *, imports="*"):
        path = tmp_path / "handler.mjs"
        names = "serve, Job, Unrecoverable, RetryLater, InvalidValue, Cancelled, CallRefused"
        first = f"import {{ {names} }} from {json.dumps(str(sdk / 'sandq.mjs'))};\n"
        path.write_text((first if imports else "") + textwrap.dedent(source), "utf-8")
        return [node, path]

    return write


@pytest.fixture
def start(write, spawn):
    def start(source, *, hello=True, **options):
        child = spawn(write(source), **options)
        if hello:
            assert child.read() == HELLO, child.stderr
        return child

    return start


# --- the conversation ---------------------------------------------------------------------------


def test_an_answer_has_its_members_in_the_order_the_supervisor_looks_for(start):
    child = start(ECHO)

    child.send({"width": 64, "tags": ["a", "ä"]}, job_id="größe-1")

    assert (
        child.read()
        == (
            '{"sandq":1,"type":"result","id":"größe-1","status":"ok",'
            '"result":{"width":64,"tags":["a","ä"]}}\n'
        ).encode()
    )


@pytest.mark.parametrize("nothing", ["", "return null;", "return undefined;"])
def test_returning_nothing_is_the_result_null(start, nothing):
    child = start(f"serve(() => {{ {nothing} }});")

    child.send()

    assert child.read() == b'{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n'


def test_a_job_knows_what_the_line_says(start):
    child = start("""
        serve(async (job) => [
          job.id, job.name, job.queue, job.data, job.opts, job.attempt, job.maxAttempts,
          job.timestampMs, job.timeoutMs, job.heartbeatMs, job.signal.aborted,
        ]);
    """)

    answer = child.ask({"a": 1}, attempt=2, timeout_ms=30000, heartbeat_ms=5000, trace="00")

    assert answer["result"] == [
        "7", "resize", "images", {"a": 1}, {"attempts": 3}, 2, 3, 1700000000000, 30000, 5000, False,
    ]  # fmt: skip


def test_a_line_without_the_protocol_member_is_a_job(start):
    child = start("serve((job) => [job.name, job.data, job.opts, job.attempt, job.timeoutMs]);")

    child.write(b'{"id":"1","name":"greet","data":{"to":"you"}}\n')

    assert child.receive()["result"] == ["greet", {"to": "you"}, {}, 1, None]


def test_a_thousand_jobs_are_answered_in_order(start, line):
    child = start("serve(async (job) => { await null; return job.data; });")

    for number in range(1000):
        child.write(line(number, job_id=str(number)))
    answers, code = child.end()

    assert [(answer["id"], answer["result"]) for answer in answers] == [
        (str(number), number) for number in range(1000)
    ]
    assert code == 0


def test_unknown_messages_and_members_and_blank_lines_are_ignored(start):
    child = start(ECHO)

    child.write(
        b'{"sandq":1,"type":"teleport","n":1}\n{"sandq":1,"type":"constructor"}\n'
        b'{"sandq":1,"type":"cancel","id":"6","reason":"timeout","grace_ms":1}\n'
        b'{"sandq":1,"type":"reply","re":1,"ok":true,"value":1}\n'
        b'{"sandq":1}\n\n \r\n'
    )

    assert child.ask("data", headers={"traceparent": "00"})["result"] == "data"


def test_a_line_may_end_in_crlf_and_the_last_one_in_nothing_and_the_first_begin_with_a_bom(start):
    child = start(ECHO)

    child.write(b'\xef\xbb\xbf{"id":"1","data":1}\r\n{"id":"2","data":2}')
    lines, code = child.end()

    assert [message["result"] for message in lines] == [1, 2]
    assert code == 0


def test_a_line_may_come_in_pieces_cut_anywhere(start, line):
    child = start(ECHO)

    for byte in line("ä€😀"):
        child.write(bytes([byte]))

    assert child.receive()["result"] == "ä€😀"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello\n", "the input has a line that is no JSON object: 'hello'"),
        (b"[1]\n", "the input has a line that is no JSON object: '[1]'"),
        (b"null\n", "the input has a line that is no JSON object: 'null'"),
        (b'{"a":"\xff"}\n', 'the input has a line that is no JSON object: \'{"a":"\ufffd"}\''),
        (
            b'{"sandq":1,"type":"teleport","must":true}\n',
            "sandq asks for 'teleport', which version 1 of the protocol does not have",
        ),
    ],
)
def test_what_must_be_understood_and_is_not_is_fatal(start, deadline_s, line, message):
    child = start(ECHO)

    child.write(line)

    assert child.receive() == {
        "sandq": 1,
        "type": "fatal",
        "error": {"type": "ProtocolError", "message": message},
    }
    assert child.process.wait(deadline_s) == 1


def test_an_idle_child_answers_a_ping_and_is_told_what_it_may_call(start):
    child = start("serve((job) => job.calls);")

    child.say(type="ping", n=41)
    assert child.read() == b'{"sandq":1,"type":"pong","n":41}\n'

    assert child.ask()["result"] is None
    child.say(type="welcome", version=1, limits={"line": 1048576}, calls=["add_job"])
    assert child.ask()["result"] == ["add_job"]


def test_a_function_is_served_once(start):
    child = start("""
        serve((job) => { try { serve(() => 1); } catch (error) { return error.message; } });
    """)

    assert child.ask()["result"] == "serve was called before: a process serves one function"


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        ECHO,
        "await serve((job) => job.data);",
        "setInterval(() => {}, 1000); serve((job) => job.data);",
    ],
    ids=["idle", "awaited", "held open"],
)
@pytest.mark.parametrize("jobs", [0, 1])
def test_the_end_of_input_ends_it_within_two_seconds(start, program, jobs):
    child = start(program)
    for _ in range(jobs):
        assert child.ask(5)["result"] == 5

    began_s = time.monotonic()
    assert child.end() == ([], 0)
    assert time.monotonic() - began_s < 2


def test_the_end_of_input_is_told_to_the_program_after_the_last_answer(start):
    child = start("""
        await serve(async (job) => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          return job.data;
        });
        console.log("after serve");
        process.exitCode = 4;
    """)

    child.send(1)
    lines, code = child.end()

    assert [message["result"] for message in lines] == [1]
    assert (child.stderr, code) == (b"after serve\n", 4)


def test_bye_ends_it_with_its_input_still_open(start, deadline_s):
    child = start(ECHO)

    child.say(type="bye", reason="retired")

    assert child.process.wait(deadline_s) == 0
    assert child.read() == b""


def test_sigterm_ends_it_as_it_ends_any_program(start, deadline_s):
    child = start('serve(async () => { console.log("at work"); await new Promise(() => {}); });')
    child.send()
    child.until_stderr(b"at work")

    child.process.terminate()

    assert child.process.wait(deadline_s) == -signal.SIGTERM


def test_a_child_whose_supervisor_is_gone_ends_quietly(start, deadline_s):
    child = start(ECHO)

    child.process.stdout.close()
    child.send("x" * 100_000)

    assert child.process.wait(deadline_s) == 0
    assert child.process.stderr.read() == b""


# --- the descriptors belong to the conversation -------------------------------------------------

TALK = """
import fs from "node:fs";
import { spawnSync } from "node:child_process";

serve(() => {
  console.log("printed");
  process.stdout.write("written\\n");
  fs.writeSync(1, "raw\\n");
  spawnSync("sh", ["-c", "echo inherited"], { stdio: "inherit" });
  return "answer";
});
"""
TALKED = b"printed\nwritten\nraw\ninherited\n"


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_what_a_job_prints_goes_to_the_log(start, sandq):
    child = start(TALK, sandq=sandq)

    assert child.ask()["result"] == "answer"
    assert child.end() == ([], 0)
    assert child.stderr == TALKED


def test_under_sandq_the_streams_are_safe_from_the_import_on(start):
    child = start('console.log("while starting");' + ECHO)

    assert child.ask()["result"] is None
    assert child.end() == ([], 0)
    assert child.stderr == b"while starting\n"


def test_with_a_descriptor_of_its_own_the_conversation_leaves_descriptor_1_alone(start):
    child = start(TALK, channel="fd3")

    assert child.ask()["result"] == "answer"
    assert child.end() == ([], 0)
    assert (child.stdout, child.stderr) == (TALKED, b"")


def test_descriptor_1_is_safe_from_consoles_where_it_cannot_be_moved(write, deadline_s, line):
    # A socket cannot be opened again: Node programs give such to the programs they start.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            write("""
                serve(() => {
                  console.log("printed");
                  process.stdout.write("written\\n");
                  return "answer";
                });
            """),
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={"SANDQ_PROTOCOL": "1"},
        )
        _, log = child.communicate(line(), deadline_s)
        theirs.close()
        said = ours.makefile("rb").readlines()

    assert said[0] == HELLO
    assert orjson.loads(said[1])["result"] == "answer"
    assert len(said) == 2
    assert log == b"printed\nwritten\n"


def test_by_hand_files_do_for_all_descriptors(write, tmp_path, deadline_s, line):
    (tmp_path / "in").write_bytes(b"skipped\n" + line(1) + line(2))
    (tmp_path / "out").write_bytes(b"before\n")
    with (
        (tmp_path / "in").open("rb", 0) as in_,
        (tmp_path / "out").open("ab", 0) as out,
        (tmp_path / "err").open("wb", 0) as err,
    ):
        in_.read(len("skipped\n"))
        command = write('serve((job) => { console.log("printed"); return job.data; });')
        done = subprocess.run(command, stdin=in_, stdout=out, stderr=err, timeout=deadline_s)
        out.write(b"after\n")
        err.write(b"after\n")

    before, hello, *answers, after = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    assert done.returncode == 0
    assert (before, hello, after) == (b"before\n", HELLO, b"after\n")
    assert [orjson.loads(answer)["result"] for answer in answers] == [1, 2]
    assert (tmp_path / "err").read_bytes() == b"printed\nprinted\nafter\n"


def test_user_code_and_its_programs_find_an_empty_input_and_none_of_our_descriptors(start):
    child = start("""
        import fs from "node:fs";
        import { execSync } from "node:child_process";

        serve(() => [
          fs.readFileSync(0, "utf8"),
          execSync("cat", { stdio: ["inherit", "pipe", "inherit"] }).toString(),
          execSync("env", { stdio: ["inherit", "pipe", "inherit"] }).toString().split("\\n")
            .filter((variable) => variable.startsWith("SANDQ")).sort(),
          execSync("ls -l /proc/self/fd", { stdio: "inherit" }),
        ]);
    """, channel="fd3", SANDQ_CHILD="mark", SANDQ_MAX_LINE=4096)  # fmt: skip

    # A job that comes while a program of the first reads must not be read by that program.
    child.send()
    child.send(job_id="8")

    for job_id in ("7", "8"):
        answer = child.receive()
        assert answer["id"] == job_id
        assert answer["result"] == ["", "", ["SANDQ_CHILD=mark", "SANDQ_MAX_LINE=4096"], None]
    assert child.end() == ([], 0)
    # 0, 1, 2 and the folder that ls reads
    listed = [row.split()[-3:] for row in child.stdout.splitlines() if b"->" in row]
    assert [row[0] for row in listed] == [b"0", b"1", b"2", b"3"] * 2
    assert {row[2] for row in listed[::4]} == {b"/dev/null"}


@pytest.mark.parametrize("number", ["99", "x"])
def test_a_descriptor_that_was_not_given_is_told_at_once(write, spawn, number):
    child = spawn(write(ECHO), SANDQ_FD=number)

    lines, code = child.end()

    assert lines == []
    assert code == 1
    assert b"Error: SANDQ_FD names descriptor" in child.stderr
    assert b"which is no pipe" in child.stderr


def test_a_module_in_a_worker_thread_leaves_the_streams_alone(start, sdk):
    child = start(f"""
        import {{ Worker }} from "node:worker_threads";

        const source = `
          const {{ parentPort }} = require("node:worker_threads");
          import({json.dumps(str(sdk / "sandq.mjs"))}).then(({{ serve }}) => {{
            try {{ serve(() => 1); }} catch (error) {{ parentPort.postMessage(error.message); }}
          }});
        `;
        serve(() => new Promise((resolve) => {{
          new Worker(source, {{ eval: true }}).once("message", resolve);
        }}));
    """)

    assert child.ask()["result"] == "only the main thread can serve jobs"


# --- a file for the answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (ECHO, {"status": "ok", "result": "ä"}),
        ("serve(() => undefined);", {"status": "ok", "result": None}),
        (
            "serve(() => { throw new Unrecoverable('no'); });",
            {
                "status": "error",
                "error": {"type": "Unrecoverable", "message": "no", "retryable": False},
            },
        ),
    ],
    ids=["value", "null", "error"],
)
def test_the_answer_is_what_the_file_holds(start, tmp_path, program, answer):
    file = tmp_path / "result"
    file.write_text("")
    child = start(program, hello=False, SANDQ_RESULT_FILE=file)

    child.send("ä")
    assert child.end() == ([], 0)

    written = orjson.loads(file.read_bytes())
    written.get("error", {}).pop("stack", None)
    assert written == answer


def test_with_a_file_for_the_answer_nothing_else_is_told_but_the_log(spawn, write, tmp_path):
    child = spawn(
        write("""
            serve(async (job) => {
              job.progress(0.5);
              job.emit([1]);
              job.heartbeat();
              job.log("a row", { level: "warning", n: 1 });
              console.log("free text");
              return job.call("add_job", {}).catch((error) => [error.name, error.code]);
            });
        """),
        SANDQ_RESULT_FILE=tmp_path / "result",
    )

    child.send()
    child.process.stdin.close()

    assert child.read() == b"free text\n"
    assert child.end() == ([], 0)
    assert child.stderr == b"warning: a row\n"
    result = orjson.loads((tmp_path / "result").read_bytes())["result"]
    assert result == ["CallRefused", "sandq.failed"]


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("throw new TypeError('wrong')", {"type": "TypeError", "message": "wrong"}),
        (
            "class Mine extends Error {} throw new Mine('own')",
            {"type": "Mine", "message": "own"},
        ),
        ("throw new Error()", {"type": "Error", "message": "Error"}),
        ("throw 'plain words'", {"type": "Error", "message": "plain words"}),
        ("throw undefined", {"type": "Error", "message": "undefined"}),
        ("throw { code: 5 }", {"type": "Error", "message": "{ code: 5 }"}),
        (
            "throw Object.assign(new Error('m'), { code: 'E1', data: { n: [1] } })",
            {"type": "Error", "message": "m", "code": "E1", "data": {"n": [1]}},
        ),
        (
            "throw Object.assign(new Error('m'), { code: 5, retryable: true, retryAfterMs: 1.6 })",
            {"type": "Error", "message": "m", "code": 5, "retryable": True, "retry_after_ms": 2},
        ),
        (
            "throw Object.assign(new Error('m'), { code: 1.5, retryable: 1, retryAfterMs: -1 })",
            {"type": "Error", "message": "m"},
        ),
        (
            "throw Object.assign(new Error('m'), { code: NaN, retryAfterMs: Infinity })",
            {"type": "Error", "message": "m"},
        ),
        (
            "throw Object.assign(new Error('m'), { data: { map: new Map([[1, 2]]) } })",
            {"type": "Error", "message": "m", "data": "{ map: Map(1) { 1 => 2 } }"},
        ),
        (
            "throw new Unrecoverable('no use', { cause: new RangeError('deep', { cause: 'x' }) })",
            {
                "type": "Unrecoverable",
                "message": "no use",
                "retryable": False,
                "cause": {
                    "type": "RangeError",
                    "message": "deep",
                    "cause": {"type": "Error", "message": "x"},
                },
            },
        ),
        (
            "throw new RetryLater(2.5)",
            {"type": "RetryLater", "message": "retry later", "retry_after_ms": 2500},
        ),
        (
            "throw new RetryLater(-1)",
            {
                "type": "RangeError",
                "message": "delayS is a number of seconds from 0 up, not -1",
            },
        ),
        (
            "await Promise.any([Promise.reject(new Error('first'))])",
            {
                "type": "AggregateError",
                "message": "All promises were rejected",
                "cause": {"type": "Error", "message": "first"},
            },
        ),
        (
            "AbortSignal.abort().throwIfAborted()",
            {"type": "AbortError", "message": "This operation was aborted", "code": 20},
        ),
    ],
)
def test_what_a_job_throws_is_its_answer_and_the_next_is_served(start, source, told):
    child = start(f"serve(async (job) => {{ if (job.data) return job.data; {source}; }});")

    answer = child.ask()
    stack = answer["error"].pop("stack", "")

    assert answer == {"sandq": 1, "type": "result", "id": "7", "status": "error", "error": told}
    assert "sandq.mjs" not in stack
    assert "node:" not in stack
    assert child.ask("next")["result"] == "next"


def test_a_system_error_keeps_its_code(start):
    child = start("""
        import { readFile } from "node:fs/promises";

        serve(() => readFile("/nowhere"));
    """)

    error = child.ask()["error"]

    assert (error["type"], error["code"]) == ("Error", "ENOENT")
    assert error["stack"].startswith("Error: ENOENT: no such file or directory, open '/nowhere'")


def test_the_stack_says_where(start):
    child = start("""
        const readIt = () => { throw new Error("lost"); };
        serve(async (job) => readIt());
    """)

    first, second, *_ = child.ask()["error"]["stack"].splitlines()

    assert first == "Error: lost"
    assert "readIt" in second
    assert "handler.mjs:3:" in second


@pytest.mark.parametrize(
    "source",
    [
        "throw Object.defineProperty(new Error('m'), 'code', { get() { throw new Error('no'); } })",
        "throw new Proxy(new Error('m'), { get() { throw new Error('no'); } })",
        "throw Object.assign(new Error('m'), { name: Symbol('x') })",
        "throw Object.assign(new Error('m'), { data: { toJSON() { throw 1; } } })",
        "throw Object.create(null)",
        "throw Object.assign(new Error('m'), { retryAfterMs: 5n })",
        "const a = new Error('m'); a.cause = a; throw a",
        "throw Symbol('x')",
    ],
)
def test_a_hostile_error_is_an_answer_too(start, source):
    child = start(f"serve((job) => {{ if (job.data) return job.data; {source}; }});")

    assert child.ask()["status"] == "error"
    assert child.ask("next")["result"] == "next"


def test_of_causes_the_first_four_are_told(start):
    child = start("""
        serve(() => {
          let error;
          for (const n of [6, 5, 4, 3, 2, 1, 0]) error = new Error(String(n), { cause: error });
          throw error;
        });
    """)

    error, messages = child.ask()["error"], []
    while error := error.get("cause"):
        messages.append(error["message"])

    assert messages == ["1", "2", "3", "4"]


@pytest.mark.parametrize("limit", [1024, 1024 * 1024])
def test_an_error_fits_into_the_shortest_line_there_is(start, limit):
    child = start(
        """
        serve(() => {
          const long = "\\0\\ud800".repeat(3_000_000);
          const cause = new Error(long, { cause: new Error(long) });
          throw Object.assign(new Error(long, { cause }), { code: long, data: long });
        });
        """,
        SANDQ_MAX_LINE=limit,
    )

    child.send()
    line = child.read()

    assert len(line) <= limit + len("\n")
    error = orjson.loads(line)["error"]
    assert error["type"] == "Error"
    assert error["message"].startswith("\0\\ud800\0")
    assert len(error["message"]) <= 6 * 16 * 1024


# --- what nothing catches -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "Promise.reject(new LostError('lost')); return 1;",
        "Promise.reject(new LostError('lost')); await new Promise(() => {});",
        "setTimeout(() => { throw new LostError('lost'); }); await new Promise(() => {});",
        """
            job.signal.addEventListener("abort", () => { throw new LostError("lost"); });
            console.log("listens");
            await new Promise(() => {});
        """,
    ],
    ids=["rejection at the end", "rejection", "exception", "listener"],
)
def test_what_nothing_catches_is_the_answer_and_the_end_of_the_process(start, deadline_s, source):
    child = start(f"""
        class LostError extends Error {{ code = "E1"; }}
        serve(async (job) => {{ {source} }});
    """)

    child.send()
    if "listens" in source:
        child.until_stderr(b"listens")
        child.say(type="cancel", id="7", reason="cancel", grace_ms=1)
    answer = child.receive()

    assert (answer["type"], answer["id"], answer["status"]) == ("result", "7", "error")
    assert answer["error"]["type"] == "LostError"
    assert (answer["error"]["message"], answer["error"]["code"]) == ("lost", "E1")
    assert child.read() == b""
    assert child.process.wait(deadline_s) == 1
    assert b"nothing caught this, so the process ends: LostError: lost" in child.stderr


def test_what_nothing_catches_between_jobs_is_fatal(start, deadline_s):
    child = start("""
        serve((job) => { setTimeout(() => { throw new TypeError("late"); }, 20); });
    """)

    assert child.ask()["status"] == "ok"
    fatal = child.receive()

    assert (fatal["type"], fatal["error"]["type"]) == ("fatal", "TypeError")
    assert child.process.wait(deadline_s) == 1


def test_a_program_may_have_its_own_way_with_what_nothing_catches(start):
    child = start("""
        process.on("unhandledRejection", (error) => console.log("mine:", error.message));
        process.on("uncaughtException", (error) => console.log("mine:", error.message));
        serve(async (job) => {
          Promise.reject(new Error("rejection"));
          setTimeout(() => { throw new Error("exception"); });
          await new Promise((resolve) => setTimeout(resolve, 20));
          return 5;
        });
    """)

    assert child.ask()["result"] == 5
    assert child.end() == ([], 0)
    assert child.stderr == b"mine: rejection\nmine: exception\n"


def test_a_job_that_can_never_end_is_an_error_once_the_input_has_ended(start):
    child = start("await serve(() => new Promise(() => {}));")

    child.send()
    (answer,), code = child.end()

    assert answer["error"]["message"] == (
        "the job waits for a promise that nothing is left to settle"
    )
    assert code == 1


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_the_process_is_a_crash_not_an_answer(start, code):
    child = start(f"serve(() => process.exit({code}));")

    child.send()

    assert child.read() == b""
    assert child.end() == ([], code)


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("NaN", "result is NaN"),
        ("[1, { a: -Infinity }]", "result[1].a is -Infinity"),
        ("{ a: new Map([[1, 2]]) }", "result.a is a Map, which JSON has no form for"),
        ("[new Set([1])]", "result[0] is a Set, which JSON has no form for"),
        (
            "{ a: { b: Promise.resolve(1) } }",
            "result.a.b is a Promise, which JSON has no form for: is an await missing?",
        ),
        ("/x/", "result is a RegExp, which JSON has no form for"),
        ("() => 1", "result is a function"),
        ("Symbol('x')", "result is a symbol"),
        ("'a\\ud800'", "result has half a surrogate pair"),
        ("{ '\\udfff': 1 }", "a key of result has half a surrogate pair"),
        ("circular", "nested deeper than 64, or in a circle"),
        ("deep(65)", "nested deeper than 64, or in a circle"),
        ("{ toJSON() { throw new Error('never'); } }", "never"),
        ("new Proxy({}, { ownKeys() { throw new Error('never'); } })", "never"),
    ],
)
def test_a_value_that_is_not_json_is_an_error_that_says_where(start, value, message):
    child = start(f"""
        const circular = {{ list: [] }};
        circular.list.push(circular);
        const deep = (depth) => (depth === 0 ? 1 : [deep(depth - 1)]);
        serve((job) => job.data ?? ({value}));
    """)

    error = child.ask()["error"]

    assert error["type"] == "InvalidValue"
    assert error["message"].startswith("result is not JSON: ")
    assert error["message"].endswith(message)
    assert child.ask("next")["result"] == "next"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("deep(64)", "[" * 64 + "1" + "]" * 64),
        ("-0", "-0"),
        ("2 ** 53 - 1", "9007199254740991"),
        ("2 ** 53", "9.007199254740992e+15"),
        ("1e308", "1e+308"),
        ("5n", "5"),
        ("2n ** 53n", '"9007199254740992"'),
        ("[undefined, () => 1]", "[null,null]"),
        ("{ a: undefined, b: () => 1, c: 1 }", '{"c":1}'),
        ("{ __proto__: null }", "{}"),
        ("new Date(0)", '"1970-01-01T00:00:00.000Z"'),
        ("[new Number(5), new String('s'), new Boolean(false)]", '[5,"s",false]'),
        ("Buffer.from('a')", '{"type":"Buffer","data":[97]}'),
        ("new (class Size { width = 5; })()", '{"width":5}'),
        ("'\\ud83d\\ude00\\u2028\\0'", '"😀\u2028\\u0000"'),
    ],
)
def test_other_values_are_sent_as_json_has_them(start, value, text):
    child = start(f"""
        const deep = (depth) => (depth === 0 ? 1 : [deep(depth - 1)]);
        serve(() => ({value}));
    """)

    child.send()

    assert child.read().decode().partition('"result":')[2] == text + "}\n"


def test_a_result_longer_than_a_line_may_be_is_an_error_with_its_size(start):
    child = start("serve((job) => 'ä'.repeat(job.data) + '.');", SANDQ_MAX_LINE=4096)
    envelope = len('{"sandq":1,"type":"result","id":"7","status":"ok","result":"."}')
    most = (4096 - envelope) // 2

    assert child.ask(most)["result"] == "ä" * most + "."

    error = child.ask(most + 1)["error"]
    assert error["type"] == "InvalidValue"
    assert error["message"] == (
        f"result is {envelope + 2 * most + 2} bytes as a line, more than the 4096 allowed: "
        "keep it in a file or a database, send where it is"
    )


def test_the_limit_is_one_mebibyte_unless_told(start):
    child = start("serve((job) => 'x'.repeat(job.data));")

    assert len(child.ask(1024 * 1024 - 100)["result"]) == 1024 * 1024 - 100
    assert "more than the 1048576 allowed" in child.ask(1024 * 1024)["error"]["message"]


@pytest.mark.parametrize("channel", ["stdout", "fd3"])
@pytest.mark.parametrize("text", ["x" * 900 * 1024, "ж\u2028" * 180 * 1024])
def test_long_lines_go_both_ways(start, channel, text):
    child = start(ECHO, channel=channel)

    assert child.ask(text)["result"] == text


def test_a_long_answer_is_not_lost_when_the_process_ends_at_once(start):
    child = start(
        "serve(() => { setImmediate(() => process.exit(3)); return 'x'.repeat(900_000); });"
    )

    child.send()
    lines, code = child.end()

    assert code == 3
    assert [len(message["result"]) for message in lines] == [900_000] * len(lines)


def test_a_full_pipe_that_does_not_block_is_waited_for_without_work(write, wait, line):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        child = subprocess.Popen(
            write("serve((job) => 'x'.repeat(900 * 1024));"),
            stdin=subprocess.PIPE,
            stdout=theirs,
            env={"SANDQ_PROTOCOL": "1"},
        )
        child.stdin.write(line())
        child.stdin.close()
        stream = ours.makefile("rb")
        assert stream.readline() == HELLO

        def sleeps():
            with open(f"/proc/{child.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "S"

        # The answer has begun to come and is longer than what a socket holds.
        assert stream.peek(1)
        wait(sleeps, "the child sleeps while nobody reads")
        assert len(orjson.loads(stream.readline())["result"]) == 900 * 1024
        assert child.wait(20) == 0


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=values)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_json_value_comes_back_as_it_was(echo, value):
    back = echo.ask(value)["result"]

    assert back == value


@pytest.fixture
def echo(start):
    """One child for the many examples of a property."""
    return start(ECHO)


# --- what a job tells ---------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["stdout", "fd3"])
def test_what_a_job_tells_comes_before_the_answer_in_its_order(start, channel):
    child = start(
        """
        serve((job) => {
          job.progress(0.5);
          job.log("halfway", { step: 3 });
          job.log("odd", { level: "warning" });
          job.emit({ part: ["ä", null] });
          job.emit();
          job.heartbeat();
          job.progress({ done: true });
        });
        """,
        channel=channel,
    )

    child.send()

    assert [child.read().decode() for _ in range(8)] == [
        '{"sandq":1,"type":"progress","id":"7","value":0.5}\n',
        '{"sandq":1,"type":"log","id":"7","level":"info","message":"halfway","fields":{"step":3}}\n',
        '{"sandq":1,"type":"log","id":"7","level":"warning","message":"odd","fields":{}}\n',
        '{"sandq":1,"type":"emit","id":"7","chunk":{"part":["ä",null]}}\n',
        '{"sandq":1,"type":"emit","id":"7","chunk":null}\n',
        '{"sandq":1,"type":"heartbeat","id":"7"}\n',
        '{"sandq":1,"type":"progress","id":"7","value":{"done":true}}\n',
        '{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n',
    ]


@pytest.mark.parametrize("verb", ["progress", "emit"])
def test_what_is_told_and_is_not_json_is_the_error_of_who_told_it(start, verb):
    child = start(f"""
        serve((job) => {{
          try {{
            job.{verb}(new Map());
          }} catch (error) {{
            job.log(error, {{ known: error instanceof InvalidValue }});
          }}
          job.{verb}(NaN);
        }});
    """)

    row = child.ask()
    assert row["message"].startswith(f"{verb} is not JSON: ")
    assert row["fields"] == {"known": True}
    error = child.receive()["error"]
    assert error["message"].startswith(f"{verb} is not JSON: ")
    assert "handler.mjs" in error["stack"]


@pytest.mark.parametrize(
    ("call", "message", "fields"),
    [
        ("job.log(42)", "42", {}),
        ("job.log({ a: [1] })", "{ a: [ 1 ] }", {}),
        ("job.log('m', { at: new Set([1]) })", "m", {"text": "{ at: Set(1) { 1 } }"}),
        ("job.log('m', { share: NaN })", "m", {"text": "{ share: NaN }"}),
        ("job.log('\\udcff')", "\\udcff", {}),
        ("job.log('x'.repeat(3_000_000))", "x" * 16384, {}),
        ("job.log('m', { level: 5 })", "m", {}),
        ("const a = '\\0'.repeat(99_999); job.log(a, { level: a })", "\0" * 16384, {}),
    ],
)
def test_a_log_row_never_fails_a_job(start, call, message, fields):
    child = start(f"serve((job) => {{ {call}; }});")

    row = child.ask()

    assert (row["message"], row["fields"]) == (message, fields)
    assert child.receive()["status"] == "ok"


def test_what_a_job_tells_after_its_answer_goes_nowhere(start):
    child = start("""
        let old;
        serve(async (job) => {
          old ??= job;
          old.progress(1);
          old.emit(1);
          old.heartbeat();
          old.log("late");
          return job === old || old.call("x").catch((error) => error.message);
        });
    """)

    assert [child.ask(job_id="1")["type"], *(child.receive()["type"] for _ in range(4))] == [
        "progress", "emit", "heartbeat", "log", "result",
    ]  # fmt: skip
    answer = child.ask(job_id="2")
    assert answer["result"] == "x: nobody is there to reply, or the job has ended"


# --- cancel -------------------------------------------------------------------------------------

WORK = """
import { setTimeout as sleep } from "node:timers/promises";

serve(async (job) => {
  if (job.data) return job.data;
  job.log("at work");
  try {
    await sleep(60_000, null, { signal: job.signal });
  } catch {
    const { name, message, reason, graceMs } = job.signal.reason;
    return [job.signal.reason instanceof Cancelled, name, message, reason, graceMs];
  }
});
"""


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("timeout", "the job is to end: it has run out of time"),
        ("cancel", "the job is to end: it was cancelled"),
        ("shutdown", "the job is to end: shutdown"),
    ],
)
def test_a_job_is_told_to_end_and_why_and_the_next_one_is_not(start, reason, message):
    child = start(WORK)

    assert child.ask()["message"] == "at work"
    child.say(type="cancel", id="6", reason=reason, grace_ms=1)
    child.say(type="cancel", id="7", reason=reason, grace_ms=4000)
    child.say(type="cancel", id="7", reason=reason, grace_ms=1)

    assert child.receive()["result"] == [True, "Cancelled", message, reason, 4000]
    child.say(type="cancel", id="7", reason=reason, grace_ms=1)
    assert child.ask("next")["result"] == "next"


def test_a_job_that_throws_the_reason_says_so(start):
    child = start("""
        import { once } from "node:events";

        serve(async (job) => {
          job.log("at work");
          await once(job.signal, "abort");
          job.signal.throwIfAborted();
        });
    """)

    assert child.ask()["message"] == "at work"
    child.say(type="cancel", id="7", reason="shutdown", grace_ms=800)

    error = child.receive()["error"]
    assert (error["type"], error["message"]) == ("Cancelled", "the job is to end: shutdown")


def test_a_job_that_never_looks_at_its_signal_ends_with_its_process(start):
    child = start("""
        serve(async (job) => {
          job.log("at work");
          await new Promise((resolve) => setTimeout(resolve, 60_000));
        });
    """)

    assert child.ask()["message"] == "at work"
    child.say(type="cancel", id="7", reason="timeout", grace_ms=4000)

    assert child.process.wait(timeout=20) == -signal.SIGTERM


def test_a_program_with_a_way_of_its_own_to_end_has_its_way(start):
    child = start("""
        process.once("SIGTERM", () => process.exit(3));
        serve(async (job) => {
          job.log("at work");
          await new Promise((resolve) => setTimeout(resolve, 60_000));
        });
    """)

    assert child.ask()["message"] == "at work"
    child.say(type="cancel", id="7", reason="cancel", grace_ms=4000)

    assert child.process.wait(timeout=20) == 3


# --- calls --------------------------------------------------------------------------------------


def test_a_call_is_sent_and_its_reply_is_its_value(start):
    child = start(
        "serve(async (job) => [await job.call('x-any', { a: [1] }), await job.call('b')]);"
    )

    child.send()
    assert child.read() == (
        b'{"sandq":1,"type":"call","id":"7","re":1,"verb":"x-any","args":{"a":[1]}}\n'
    )
    child.say(type="reply", id="7", re=9, ok=True, value="not this one")
    child.say(type="reply", id="7", re=1, ok=True, value={"b": None})
    assert child.receive() == {
        "sandq": 1, "type": "call", "id": "7", "re": 2, "verb": "b", "args": {},
    }  # fmt: skip
    child.say(type="reply", id="7", re=2, ok=True, value=None)

    assert child.receive()["result"] == [{"b": None}, None]


@pytest.mark.parametrize(
    ("source", "verb", "args", "value", "result"),
    [
        (
            "[await job.updateData({ n: 2 }) ?? null, job.data]",
            "update_data", {"data": {"n": 2}}, None, [None, {"n": 2}],
        ),
        (
            "await job.addJob('mail', [1], { delayMs: 5, jobId: 'x', timeout_ms: 7 })",
            "add_job",
            {"name": "mail", "data": [1], "opts": {"delay_ms": 5, "job_id": "x", "timeout_ms": 7}},
            {"id": "12"}, "12",
        ),
        (
            "await job.addJob('mail')",
            "add_job", {"name": "mail", "data": None, "opts": {}}, {"id": "12"}, "12",
        ),
        (
            "await job.getResult('5')",
            "get_result", {"id": "5"},
            {"state": "completed", "value": 5}, {"state": "completed", "value": 5},
        ),
        (
            "[await job.extendTimeout(60_000), job.timeoutMs]",
            "extend_timeout", {"ms": 60000}, {"timeout_ms": 61000}, [61000, 61000],
        ),
    ],
)  # fmt: skip
def test_each_verb_has_a_method(start, source, verb, args, value, result):
    child = start(f"serve(async (job) => ({source}));")

    call = child.ask({"n": 1}, timeout_ms=1000)
    assert (call["type"], call["verb"], call["args"]) == ("call", verb, args)
    child.say(type="reply", id="7", re=call["re"], ok=True, value=value)

    assert child.receive()["result"] == result


def test_a_refused_call_says_how_and_by_whom_it_was_refused(start):
    child = start("serve(async (job) => job.addJob('mail'));")

    call = child.ask()
    error = {"type": "sandq.not_allowed", "message": "its calls are: none"}
    child.say(type="reply", id="7", re=call["re"], ok=False, error=error)

    error = child.receive()["error"]
    assert error["type"] == "CallRefused"
    assert error["code"] == "sandq.not_allowed"
    assert error["message"] == "add_job: its calls are: none"


def test_calls_made_at_once_are_sent_one_after_the_other_and_before_the_answer(start):
    child = start("""
        serve((job) => {
          job.updateData(1);
          job.call("second").catch((error) => job.log(error));
          job.updateData(3);
          return "done";
        });
    """)

    calls = [child.ask()]
    child.say(type="reply", id="7", re=calls[-1]["re"], ok=True, value=None)
    calls.append(child.receive())
    child.say(type="reply", id="7", re=calls[-1]["re"], ok=False, error={"message": "no"})
    after = sorted([child.receive(), child.receive()], key=lambda message: message["type"])
    child.say(type="reply", id="7", re=after[0]["re"], ok=True, value=None)

    assert [call["verb"] for call in calls] == ["update_data", "second"]
    assert (after[0]["args"], after[1]["message"]) == ({"data": 3}, "second: no")
    assert child.receive()["result"] == "done"


def test_a_refusal_that_nobody_looks_at_fails_the_job(start, deadline_s):
    child = start("serve((job) => { job.updateData(1); });")

    call = child.ask()
    child.say(type="reply", id="7", re=call["re"], ok=False, error={"message": "no"})

    assert child.receive()["error"]["message"] == "update_data: no"
    assert child.process.wait(deadline_s) == 1


def test_a_call_whose_reply_cannot_come_is_refused(start):
    child = start("serve((job) => job.call('x').catch((error) => [error.code, error.message]));")

    child.send()
    child.read()
    (answer,), code = child.end()

    message = "x: the input has ended, no reply will come"
    assert (answer["result"], code) == (["sandq.failed", message], 0)


def test_a_job_that_is_to_end_does_not_wait_for_a_reply(start):
    child = start("""
        serve(async (job) => {
          if (job.data) return job.call("x");
          return job.call("x").catch((error) => error.reason);
        });
    """)

    first = child.ask()
    child.say(type="cancel", id="7", reason="timeout", grace_ms=10)
    assert child.receive()["result"] == "timeout"

    second = child.ask("next", job_id="8")
    child.say(type="reply", id="7", re=first["re"], ok=True, value="late")
    child.say(type="reply", id="8", re=second["re"], ok=True, value="in time")
    assert child.receive()["result"] == "in time"


# --- without a conversation ---------------------------------------------------------------------


def test_a_function_can_be_tested_without_serving(write, deadline_s):
    done = subprocess.run(
        write("""
            const job = new Job({ id: "1", data: { width: 64 } });
            job.progress(0.5);
            job.emit(1);
            job.log("nobody listens");
            const { code } = await job.call("x").catch((error) => error);
            console.log(job.id, job.data, job.attempt, job.signal.aborted, code);
        """),
        env={},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=True,
    )

    assert done.stdout == "1 { width: 64 } 1 false sandq.failed\n"


# --- the sample ---------------------------------------------------------------------------------


def test_the_sample_gives_each_checksum_as_soon_as_it_is_known(spawn, node, sdk, tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "folder").mkdir()
    child = spawn([node, sdk.parent / "checksums.mjs"])
    child.read()

    child.send({"folder": str(tmp_path)})
    told = [child.receive() for _ in range(5)]

    assert [message.get("chunk", message.get("value")) for message in told[:4]] == [
        {"file": "a", "sha256": hashlib.sha256(b"one").hexdigest()},
        0.5,
        {"file": "b", "sha256": hashlib.sha256(b"two").hexdigest()},
        1,
    ]
    assert told[4]["result"] == {"files": 2, "complete": True}
    assert child.ask({})["error"]["retryable"] is False


def test_the_sample_ends_early_when_it_is_told_to(spawn, node, sdk, tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    # More than it can have read by the time it is told to end.
    with (tmp_path / "b").open("wb") as file:
        file.truncate(1 << 40)
    child = spawn([node, sdk.parent / "checksums.mjs"])
    child.read()

    assert child.ask({"folder": str(tmp_path)})["chunk"]["file"] == "a"
    child.say(type="cancel", id="7", reason="shutdown", grace_ms=4000)

    assert [child.receive()["type"], child.receive()["fields"]] == [
        "progress",
        {"reason": "shutdown"},
    ]
    assert child.receive()["result"] == {"files": 1, "complete": False}
