"""The SDK for handlers in the shell, driven as the supervisor drives it: every shell there is."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import textwrap
import time

import orjson
import pytest

HELLO = (
    b'{"sandq":1,"type":"hello","version":1,"sdk":"sh",'
    b'"caps":["progress","log","heartbeat","emit","call","ping"]}\n'
)

#: Shells and awks that a handler may find; any that is not installed is passed over.
SHELLS = ("dash", "bash", "busybox sh")
AWKS = ("mawk", "gawk", "original-awk", "busybox awk")

ECHO = 'handle() { sandq_ok "$(sandq_json)"; }'


def installed(command):
    program, *words = command.split()
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")

    return [found, *words]


@pytest.fixture(params=SHELLS)
def shell(request, need_program):
    need_program("awk", "mawk")
    return installed(request.param)


@pytest.fixture(params=AWKS)
def awk(request, tmp_path):
    """A folder whose program awk is this one."""
    folder = tmp_path / "awk"
    folder.mkdir()
    command = shlex.join(installed(request.param))
    (folder / "awk").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (folder / "awk").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def write(tmp_path, sdk):
    """Write a program that has read the SDK, with `handle` as its function; its path."""

    def write(source, *, first="", serve="sandq_serve handle"):
        path = tmp_path / "handler.sh"
        lines = (first, f". {sdk / 'sandq.sh'}", textwrap.dedent(source), serve)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


@pytest.fixture
def start(write, spawn, shell):
    def start(source, *, first="", serve="sandq_serve handle", hello=True, **options):
        child = spawn([*shell, write(source, first=first, serve=serve)], **options)
        if hello:
            assert child.read() == HELLO, child.stderr
        return child

    return start


@pytest.fixture
def start_with(write, spawn, awk):
    """The same with every awk, in the shell that Debian's sh is."""

    def start(source):
        child = spawn(["sh", write(source)], **awk)
        assert child.read() == HELLO
        return child

    return start


# --- the conversation ---------------------------------------------------------------------------


def test_an_answer_names_its_job_and_holds_the_json_as_it_was(start):
    child = start(ECHO)

    child.send({"width": 64.5, "tags": ["a", "ä"]}, job_id="größe-1 '\"\\")

    assert (
        child.read()
        == (
            '{"sandq":1,"type":"result","id":"größe-1 \'\\"\\\\","status":"ok",'
            '"result":{"width":64.5,"tags":["a","ä"]}}\n'
        ).encode()
    )


def test_a_job_knows_what_the_line_says(start):
    child = start("""
        handle() {
            sandq_string "$SANDQ_JOB_ID|$SANDQ_JOB_NAME|$SANDQ_QUEUE|$SANDQ_ATTEMPT" >&2
            sandq_ok "$(sandq_string "$(sh -c 'echo "$SANDQ_JOB_ID $SANDQ_ATTEMPT"')")"
        }
    """)

    answer = child.ask(job_id="7\n'é", name='it\'s $(x) `y` "z" \\', attempt=2, trace={"id": "0"})

    assert answer["id"] == "7\n'é"
    assert answer["result"] == "7\n'é 2"
    assert orjson.loads(child.end() and child.stderr) == ("7\n'é|it's $(x) `y` \"z\" \\|images|2")


def test_a_line_without_the_protocol_member_is_a_job(start):
    child = start(ECHO)

    child.write(b' { "id" : "1" , "name" : "greet" , "data" : { "to" : "you" } } \r\n')

    assert child.receive() == {
        "sandq": 1, "type": "result", "id": "1", "status": "ok", "result": {"to": "you"},
    }  # fmt: skip


def test_many_jobs_are_answered_in_order(start):
    child = start(ECHO)

    for number in range(50):
        child.send(number, job_id=str(number))
    answers, code = child.end()

    assert [(answer["id"], answer["result"]) for answer in answers] == [
        (str(number), number) for number in range(50)
    ]
    assert (code, child.stderr) == (0, b"")


def test_unknown_messages_and_members_and_blank_lines_are_ignored(start):
    child = start(ECHO)

    child.write(
        b'{"sandq":1,"type":"welcome","version":1,"calls":[]}\n'
        b'{"sandq":1,"type":"cancel","id":"7","reason":"timeout","grace_ms":1}\n'
        b'{"sandq":1,"type":"reply","re":1,"ok":true,"value":1}\n'
        b'{"sandq":1,"type":"teleport"}\n{"sandq":1}\n\n \t\r\n'
    )

    assert child.ask("data", headers={"traceparent": "00"})["result"] == "data"


def test_the_last_line_may_end_in_nothing_and_the_first_begin_with_a_bom(start):
    child = start(ECHO)

    child.write(b'\xef\xbb\xbf{"id":"1","data":1}\n{"id":"2","data":2}')
    lines, code = child.end()

    assert ([message["result"] for message in lines], code) == ([1, 2], 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello\n", "is not JSON: no object at: hello\n"),
        (b"[1]\n", "is not JSON: no object at: [1]\n"),
        (b'{"data":{}\n', "is not JSON: a comma or a bracket is missing"),
        (b'{"a":"\xff"}\n', "is not JSON: a string is not UTF-8 at: }\n"),
        (
            b'{"sandq":1,"type":"tele\'port","must":true}\n',
            "sandq asks for 'tele'port', which version 1 of the protocol does not have",
        ),
    ],
)
def test_what_must_be_understood_and_is_not_is_fatal(start, deadline_s, line, message):
    child = start(ECHO)

    child.write(line)
    fatal = child.receive()

    assert (fatal["type"], fatal["error"]["type"]) == ("fatal", "ProtocolError")
    assert fatal["error"]["message"].removeprefix(
        "the input has a line that is no JSON object: "
    ) == message.rstrip("\n")
    assert child.process.wait(deadline_s) == 1


def test_an_idle_child_answers_a_ping(start):
    child = start(ECHO)

    child.say(type="ping", n=41)

    assert child.read() == b'{"sandq":1,"type":"pong","n":41}\n'


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [0, 1])
def test_the_end_of_input_ends_it_within_two_seconds(start, jobs):
    child = start(ECHO, serve="sandq_serve handle\necho after serve")
    for _ in range(jobs):
        assert child.ask(5)["result"] == 5

    began_s = time.monotonic()
    assert child.end() == ([], 0)
    assert time.monotonic() - began_s < 2
    assert child.stderr == b"after serve\n"


def test_bye_ends_it_with_its_input_still_open(start, deadline_s):
    child = start(ECHO)

    child.say(type="bye", reason="retired")

    assert child.process.wait(deadline_s) == 0


def test_sigterm_to_its_group_ends_it_with_all_it_has_started(start):
    child = start("handle() { echo at work; sleep 600; }")
    child.send()
    child.until_stderr(b"at work")

    os.killpg(child.process.pid, signal.SIGTERM)

    # Its streams end when the last process has ended that had inherited them.
    assert child.end() == ([], -signal.SIGTERM)


def test_a_child_whose_supervisor_is_gone_ends(start, deadline_s):
    child = start(ECHO)

    child.process.stdout.close()
    child.send("x" * 100_000)
    child.process.stdin.close()

    assert child.process.wait(deadline_s) == 0
    assert child.process.stderr.read() == b""


# --- the descriptors belong to the conversation -------------------------------------------------

TALK = """
handle() {
    echo printed
    sh -c 'echo inherited'
    cat
    sandq_ok '"answer"'
}
"""


@pytest.mark.parametrize("sandq", [True, False], ids=["under sandq", "by hand"])
def test_what_a_job_prints_goes_to_the_log(start, sandq):
    child = start(TALK, sandq=sandq)

    # A job that comes while a program of the first reads must not be read by that program.
    child.send()
    child.send(job_id="8")

    assert [child.receive()["result"] for _ in range(2)] == ["answer"] * 2
    assert child.end() == ([], 0)
    assert child.stderr == b"printed\ninherited\n" * 2


def test_under_sandq_the_streams_are_safe_once_the_file_is_read(start):
    child = start("echo while starting; cat\n" + ECHO)

    assert child.ask(1)["result"] == 1
    assert child.end() == ([], 0)
    assert child.stderr == b"while starting\n"


def test_with_a_descriptor_of_its_own_the_conversation_leaves_descriptor_1_alone(start):
    child = start(TALK, channel="fd3")

    assert child.ask()["result"] == "answer"
    assert child.end() == ([], 0)
    assert (child.stdout, child.stderr) == (b"printed\ninherited\n", b"")


def test_programs_that_it_starts_are_not_told_that_they_are_handlers(start):
    child = start(
        "handle() { env | grep '^SANDQ' | sort; ls /proc/self/fd >&2; sandq_ok; }",
        channel="fd3",
        SANDQ_CHILD="mark",
    )

    assert child.ask()["result"] is None
    assert child.end() == ([], 0)
    assert child.stdout == (
        b"SANDQ_ATTEMPT=1\nSANDQ_CHILD=mark\nSANDQ_JOB_ID=7\n"
        b"SANDQ_JOB_NAME=resize\nSANDQ_QUEUE=images\n"
    )
    assert b"3\n3" not in child.stderr


# --- a file for the answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        (ECHO, {"status": "ok", "result": "ä"}),
        ("handle() { :; }", {"status": "ok", "result": None}),
        (
            "handle() { sandq_error Bad 'no use' retryable=false; }",
            {"status": "error", "error": {"type": "Bad", "message": "no use", "retryable": False}},
        ),
    ],
    ids=["value", "null", "error"],
)
def test_the_answer_is_what_the_file_holds(start, tmp_path, source, answer):
    file = tmp_path / "result"
    file.write_text("")
    child = start(source, hello=False, SANDQ_RESULT_FILE=file)

    child.send("ä")

    assert child.end() == ([], 0)
    assert orjson.loads(file.read_bytes()) == answer


def test_with_a_file_for_the_answer_nothing_else_is_told_but_the_log(start, tmp_path):
    child = start(
        """
        handle() {
            sandq_progress 0.5
            sandq_emit '[1]'
            sandq_heartbeat
            sandq_log 'a row' warning '{"n":1}'
            echo free text
            sandq_call add_job '{}' || sandq_ok '"refused"'
        }
        """,
        hello=False,
        SANDQ_RESULT_FILE=tmp_path / "result",
    )

    child.send()
    child.process.stdin.close()

    assert child.read() == b"free text\n"
    assert child.end() == ([], 0)
    assert child.stderr == b"warning: a row\nadd_job: nobody is there to reply\n"
    assert orjson.loads((tmp_path / "result").read_bytes())["result"] == "refused"


# --- answers ------------------------------------------------------------------------------------


def failed(code):
    return {
        "type": "ExitCode",
        "message": f"the handler ended with exit code {code} and without an answer",
        "code": code,
    }


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        (":", {"result": None}),
        ("sandq_ok", {"result": None}),
        ("sandq_ok 5; sandq_ok 6; sandq_error Late ''; return 3", {"result": 5}),
        ("sandq_ok '\n{\n  \"a\" : [ ]\n}\n'", {"result": {"a": []}}),
        ("echo x | while read -r x; do sandq_ok '\"in a pipe\"'; done", {"result": "in a pipe"}),
        ("return 3", {"error": failed(3)}),
        ("exit 4", {"error": failed(4)}),
        ("no-such-program-here", {"error": failed(127)}),
        ("set -e; false; sandq_ok 5", {"error": failed(1)}),
        ("set -u; echo \"$nothing_here\"; sandq_ok 5; return 0", {"error": failed(...)}),
        ("sh -c 'kill -9 $$'", {"error": failed(137)}),
        ("return 65", {"error": {**failed(65), "retryable": False}}),
        ("sandq_error Bad", {"error": {"type": "Bad", "message": ""}}),
        ("sandq_error", {"error": {"type": "", "message": ""}}),
        (
            """
            sandq_error 'My "type"' 'two\nlines' code=E-1 retryable=false retry_after_ms=5 \\
                data='[1,\n2]' unknown=1
            """,
            {
                "error": {
                    "type": 'My "type"', "message": "two\nlines", "retryable": False,
                    "retry_after_ms": 5, "code": "E-1", "data": [1, 2],
                }
            },
        ),
        ("sandq_error T m code=65; return 1", {"error": {"type": "T", "message": "m", "code": 65}}),
    ],
)  # fmt: skip
def test_a_job_has_one_answer_whatever_its_function_does(start, source, answer):
    child = start(f"""
        handle() {{
            [ "$(sandq_data)" = null ] || {{ sandq_ok '"next"'; return; }}
            {source}
        }}
    """)

    said = child.ask()
    if "error" in answer and answer["error"].get("code") is ...:
        # each shell has its own code for this
        answer = {"error": failed(said["error"]["code"])}

    assert said == {
        "sandq": 1, "type": "result", "id": "7",
        "status": "error" if "error" in answer else "ok", **answer,
    }  # fmt: skip
    assert child.ask(1)["result"] == "next"
    assert child.end() == ([], 0)


def test_errexit_of_the_program_ends_a_job_and_not_the_program(start):
    child = start("handle() { false; sandq_ok 5; }", first="set -eu")

    assert child.ask()["error"] == failed(1)
    assert child.ask()["error"] == failed(1)
    assert child.end() == ([], 0)


def test_what_a_function_sets_and_leaves_running_is_of_no_concern_to_the_next_job(start):
    child = start("""
        count=0
        handle() {
            count=$((count + 1))
            cd /
            sleep 600 >/dev/null 2>&1 &
            sandq_ok $count
        }
    """)

    assert [child.ask()["result"] for _ in range(3)] == [1, 1, 1]
    os.killpg(child.process.pid, signal.SIGKILL)


def test_a_program_can_be_served_as_well(start, tmp_path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$1 $SANDQ_JOB_ID"\nexit 7\n')
    program.chmod(0o755)
    child = start("", serve=f"sandq_serve {program} word")

    assert child.ask()["error"] == failed(7)
    assert child.end() == ([], 0)
    assert child.stderr == b"word 7\n"


BAD_JSON = [
    ("{a:1}", "the name of a member is missing at: a:1}"),
    ('{"a" 1}', "a colon is missing at: 1}"),
    ('{"a":1,}', "the name of a member is missing at: }"),
    ("[1 2]", "a comma or a bracket is missing at: 2]"),
    ("[1,]", "no value at: ]"),
    ("[1", "a comma or a bracket is missing"),
    ("", "no value"),
    ("  ", "no value"),
    ("1 2", "more than one value at: 2"),
    ("nul", "no value at: nul"),
    ("NaN", "no value at: NaN"),
    ("01", "no value at: 01"),
    (".5", "no value at: .5"),
    ("1.", "no value at: 1."),
    ("+1", "no value at: +1"),
    ("-", "no value at: -"),
    ("1e999", "too large a number at: 1e999"),
    ("-1e999", "too large a number at: -1e999"),
    ('"a', "a string is not closed"),
    ('"a\nb"', 'a string may not have this character or escape at: \nb"'),
    ('"a\tb"', 'a string may not have this character or escape at: \tb"'),
    (r'"\x"', r'a string may not have this character or escape at: \x"'),
    (r'"\u12g4"', r'a string may not have this character or escape at: \u12g4"'),
    (r'"\ud800"', r'a string may not have this character or escape at: \ud800"'),
    (r'"\udc00"', r'a string may not have this character or escape at: \udc00"'),
    (r'"\ud800\u0041"', r'a string may not have this character or escape at: \ud800\u0041"'),
    ('{"a":1,"b":2,"a":3}', 'the member a is there twice at: :3}'),
    (r'{"a":1,"\u0061":3}', 'the member a is there twice at: :3}'),
    ("[" * 65 + "]" * 65, "it is nested deeper than 64 at: []"),
    (b'"\xff"', "a string is not UTF-8"),
    (b'"\xed\xa0\x80"', "a string is not UTF-8"),
    (b'"\xc3"', "a string is not UTF-8"),
    (b'"\xe4\xc3\xa4\xb8\x80"', "a string is not UTF-8"),
    (b'"\xf4\x90\x80\x80"', "a string is not UTF-8"),
    ("'", "no value at: '"),
]  # fmt: skip


def test_json_that_is_none_is_an_error_that_says_where(start_with, tmp_path):
    for number, (text, _) in enumerate(BAD_JSON):
        (tmp_path / str(number)).write_bytes(text if isinstance(text, bytes) else text.encode())
    child = start_with(f"""
        handle() {{ sandq_ok "$(cat {tmp_path}/$(sandq_data))"; }}
    """)

    for number, (text, message) in enumerate(BAD_JSON):
        error = child.ask(number)["error"]
        assert error["type"] == "InvalidValue", text
        told = error["message"].removesuffix(" at: [" + "]" * 39)
        assert told.startswith("result is not JSON: " + message.partition(" at: [")[0]), text
        if "[" not in message:
            assert told == "result is not JSON: " + message, text


GOOD_JSON = [
    "null", "true", "false", "0", "-0", "-1.5e-3", "1E+5", "1.7976931348623157e308", "1e-999",
    '""', '"a"', "[]", "{}", "[[],{}]", '{"":{"":""}}', r'"\"\\\/\b\f\n\r\tA\ud83d\ude00"',
    '"\x7fä€\u2028😀"', "[" * 64 + "]" * 64, '{"a":1,"b":[1,{"a":2}]}', '[{"a":1},{"a":1}]',
]  # fmt: skip


def test_json_arrives_as_it_is(start_with, tmp_path):
    child = start_with(f"""
        handle() {{ sandq_ok "$(cat {tmp_path}/$(sandq_data))"; }}
    """)

    for number, text in enumerate(GOOD_JSON):
        (tmp_path / str(number)).write_text(text)
        child.send(number)
        assert child.read().decode().partition('"result":')[2] == text + "}\n"


def test_a_result_longer_than_a_line_may_be_is_an_error_with_its_size(start):
    child = start(
        'handle() { sandq_ok "$(sandq_string "$(printf "%$(sandq_data)s" \'\')")"; }',
        SANDQ_MAX_LINE=4096,
    )
    envelope = len('{"sandq":1,"type":"result","id":"7","status":"ok","result":""}')

    assert child.ask(4096 - envelope)["result"] == " " * (4096 - envelope)

    error = child.ask(4097 - envelope)["error"]
    assert error["type"] == "InvalidValue"
    assert error["message"] == (
        "result is 4097 bytes as a line, more than the 4096 allowed: "
        "keep it in a file or a database, send where it is"
    )


@pytest.mark.parametrize("channel", ["stdout", "fd3"])
@pytest.mark.parametrize(
    "data",
    ["x" * 900 * 1024, "\n\\" * 200 * 1024, "ж" * 400 * 1024, [[n] for n in range(40_000)]],
    ids=["plain", "escapes", "not ASCII", "nested"],
)
def test_long_lines_go_both_ways(start, channel, data):
    child = start(ECHO, channel=channel)

    assert child.ask(data)["result"] == data


def test_an_error_fits_into_the_shortest_line_there_is(start):
    child = start(
        "handle() { sandq_error \"$(printf '%9000s' '')\" \"$(printf '\\001%9000s' '')\"; }",
        SANDQ_MAX_LINE=1024,
    )

    child.send()
    line = child.read()

    assert len(line) <= 1024 + len("\n")
    assert orjson.loads(line)["error"]["message"].startswith("\x01 ")


# --- data ---------------------------------------------------------------------------------------

DATA = {
    "path": "notes.txt",
    "": "no name",
    "a b": {"c'\"": [10, {"deep": "found"}, [True, None]]},
    "ä\n": "name",
    "0": "text zero",
    "decoy": {"path": "wrong", "a b": 1},
    "text": 'a\tb \\ " / é € 😀 \x01\x7f',
    "number": 1.50,
    "lines": "two\nlines\n\n",
    "wide": {},
}


# keys -> what sandq_data prints, and sandq_json; None: nothing is there
FOUND = [
    (["path"], b"notes.txt", b'"notes.txt"'),
    ([""], b"no name", b'"no name"'),
    (["a b", "c'\"", "0"], b"10", b"10"),
    (["a b", "c'\"", "1", "deep"], b"found", b'"found"'),
    (["a b", "c'\"", "2"], b"[true,null]", b"[true,null]"),
    (["a b", "c'\"", "2", "1"], b"null", b"null"),
    (["ä\n"], b"name", b'"name"'),
    (["0"], b"text zero", b'"text zero"'),
    (["number"], b"1.5", b"1.5"),
    (["wide"], b"{}", b"{}"),
    (["text"], DATA["text"].encode(), orjson.dumps(DATA["text"])),
    (["lines"], b"two\nlines\n\n", b'"two\\nlines\\n\\n"'),
    (["deep"], None, None),
    (["path", "0"], None, None),
    (["a b", "c'\"", "3"], None, None),
    (["a b", "c'\"", "00"], None, None),
    (["a b", "c'\"", "-1"], None, None),
    (["decoy", "text"], None, None),
    (["wide", ""], None, None),
    ([], orjson.dumps(DATA), orjson.dumps(DATA)),
]


def test_what_stands_in_the_data_is_found_by_its_keys(start_with, tmp_path):
    child = start_with(f"""
        handle() {{
            case $SANDQ_JOB_NAME in
                {
        " ".join(
            f"{number}) sandq_data {shlex.join(keys)}; echo $? >&2; "
            f"sandq_json {shlex.join(keys)} >{tmp_path}/raw ;;"
            for number, (keys, _, _) in enumerate(FOUND)
        )
    }
            esac >{tmp_path}/text
            sandq_ok $?
        }}
    """)

    for number, (keys, text, raw) in enumerate(FOUND):
        status = child.ask(DATA, name=str(number))["result"]
        printed = [(tmp_path / kind).read_bytes() for kind in ("text", "raw")]
        if text is None:
            assert (status, printed) == (1, [b"", b""]), keys
        else:
            assert (status, printed) == (0, [text + b"\n", raw + b"\n"]), keys

    child.end()
    assert child.stderr.split() == [b"%d" % (text is None) for _, text, _ in FOUND]


def test_all_escapes_are_read(start_with):
    escapes = r'{"\u0061":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83D\uDE00\ufffd\u007f."}'
    child = start_with("""
        handle() { sandq_read text a; sandq_ok "$(sandq_string "$text")"; }
    """)

    child.write(b'{"id":"1","data":%b}\n' % escapes.encode())

    assert child.receive()["result"] == json.loads(escapes)["a"]


def test_a_character_that_no_shell_holds_is_told(start_with):
    child = start_with('handle() { sandq_data || sandq_ok "$(sandq_json)"; }')

    assert child.ask("a\0b")["result"] == "a\0b"
    child.end()
    assert child.stderr == b"a string holds the character 0, which a shell cannot\n"


@pytest.mark.parametrize("text", ["", "x", "\n", "two\nlines\n\n", " x ", "it's", "$(exit)`x`\\"])
def test_a_variable_gets_every_line_break(start, text):
    child = start("""
        set -eu
        handle() {
            sandq_read my_text text
            sandq_ok "$(sandq_string "$my_text")"
        }
    """)

    assert child.ask({"text": text})["result"] == text


def test_a_variable_is_left_alone_when_there_is_nothing(start):
    child = start('handle() { x=old; sandq_read x text || sandq_ok "\\"$x $?\\""; }')

    assert child.ask({})["result"] == "old 1"


def test_any_bytes_make_a_json_string(start_with, tmp_path):
    chance = random.Random(7)
    texts = [
        bytes(range(1, 256)),
        "ä€😀".encode() * 700,
        b"\xf0\x9f\x98",
        b"\xc0\x80 \xed\xa0\x80 \xf5 \xe4\xc3\xa4",
        *(chance.randbytes(3000).replace(b"\0", b"") for _ in range(3)),
    ]
    child = start_with(f"""
        handle() {{ sandq_ok "$(sandq_string "$(cat {tmp_path}/$(sandq_data); echo .)")"; }}
    """)

    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_bytes(text + b"\n")
        said = child.ask(number)["result"]
        expected = text.decode("utf-8", "replace") + "\n."
        # Of a sequence that is cut short Python replaces what is there of it at once.
        assert said.replace("\ufffd", "") == expected.replace("\ufffd", "")
        assert ("\ufffd" in said) == ("\ufffd" in expected)


# --- what a job tells ---------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["stdout", "fd3"])
def test_what_a_job_tells_comes_before_the_answer_in_its_order(start, channel):
    child = start(
        """
        handle() {
            sandq_progress 0.5
            sandq_log '"half' info '{ "step": 3 }'
            sandq_log odd warning
            sandq_log plain
            sandq_emit '{"part":["ä",
                null]}'
            sandq_heartbeat
            (sandq_progress '{"done":true}')
        }
        """,
        channel=channel,
    )

    child.send()

    assert [child.read().decode() for _ in range(8)] == [
        '{"sandq":1,"type":"progress","id":"7","value":0.5}\n',
        '{"sandq":1,"type":"log","id":"7","level":"info","message":"\\"half","fields":{"step":3}}\n',
        '{"sandq":1,"type":"log","id":"7","level":"warning","message":"odd","fields":{}}\n',
        '{"sandq":1,"type":"log","id":"7","level":"info","message":"plain","fields":{}}\n',
        '{"sandq":1,"type":"emit","id":"7","chunk":{"part":["ä",null]}}\n',
        '{"sandq":1,"type":"heartbeat","id":"7"}\n',
        '{"sandq":1,"type":"progress","id":"7","value":{"done":true}}\n',
        '{"sandq":1,"type":"result","id":"7","status":"ok","result":null}\n',
    ]


@pytest.mark.parametrize("verb", ["progress", "emit"])
def test_what_is_told_and_is_not_json_is_told_to_who_told_it(start, verb):
    child = start(f"handle() {{ sandq_{verb} nope; sandq_ok $?; }}")

    assert child.ask()["result"] == 1
    child.end()
    assert child.stderr == f"{verb} is not JSON: no value at: nope\n".encode()


@pytest.mark.parametrize(
    ("words", "message", "fields"),
    [
        ("'m' info nope", "m", {"text": "nope"}),
        ("\"$(printf '%99999s' x)\"", " " * 8000, {}),
        ("\"$(printf 'a\\377b')\"", "a\ufffdb", {}),
    ],
)
def test_a_log_row_never_fails_a_job(start, words, message, fields):
    child = start(f"handle() {{ set -e; sandq_log {words}; }}")

    row = child.ask()

    assert (row["message"], row["fields"]) == (message, fields)
    assert child.receive()["status"] == "ok"
    assert child.end() == ([], 0)
    assert child.stderr == b""


# --- calls --------------------------------------------------------------------------------------


def test_a_call_prints_its_reply(start):
    child = start("""
        handle() {
            id=$(sandq_call add_job '{"name": "mail", "data": null}') || return
            sandq_call extend_timeout '{"ms":5}' && sandq_ok "$id"
        }
    """)

    child.send()
    assert child.read() == (
        b'{"sandq":1,"type":"call","id":"7","re":1,"verb":"add_job",'
        b'"args":{"name":"mail","data":null}}\n'
    )
    child.say(type="x-other")
    child.say(type="reply", id="7", re=1, ok=True, value={"id": "12"})
    assert child.receive()["args"] == {"ms": 5}
    child.say(type="reply", id="7", re=1, ok=True, value={"timeout_ms": 5})

    assert child.receive()["result"] == {"id": "12"}
    assert child.ask(job_id="8")["id"] == "8"
    child.end()
    assert child.stderr.startswith(b'{"timeout_ms":5}\n')


def test_a_refused_call_says_how_it_was_refused(start):
    child = start("handle() { sandq_call update_data; }")

    call = child.ask()
    error = {"type": "sandq.not_allowed", "message": "its calls are: none"}
    child.say(type="reply", id="7", re=call["re"], ok=False, error=error)

    assert call["args"] == {}
    assert child.receive()["error"] == failed(1)
    child.end()
    assert child.stderr == b"update_data: " + orjson.dumps(error) + b"\n"


def test_a_call_whose_reply_cannot_come_is_refused(start):
    child = start("handle() { sandq_call x || sandq_ok 1; }")

    child.send()
    child.read()
    (answer,), code = child.end()

    assert (answer["result"], code) == (1, 0)
    assert child.stderr == b"x: the input has ended: nobody is left to reply\n"


# --- the file itself ----------------------------------------------------------------------------


def test_the_example_in_the_file_works(sdk, spawn, shell, tmp_path):
    comment = [
        line[2:]
        for line in (sdk / "sandq.sh").read_text().splitlines()
        if line.startswith("#     ") or line == "#"
    ]
    example = comment[: comment.index("    sandq_serve count_words") + 1]
    path = tmp_path / "handler.sh"
    path.write_text(textwrap.dedent("\n".join(example)) + "\n")
    (tmp_path / "sdk").symlink_to(sdk)
    (tmp_path / "text").write_text("to be or not")
    child = spawn([*shell, path])
    child.read()

    text = str(tmp_path / "text")
    assert child.ask({"path": text})["result"] == {"path": text, "words": 4}
    assert child.ask({})["error"]["retryable"] is False
    assert child.ask({"path": "/nowhere"})["error"]["type"] == "ExitCode"


def test_reading_the_file_does_nothing_by_hand(sdk, shell, deadline_s):
    done = subprocess.run(
        [*shell, "-c", f"set -eu; . {sdk / 'sandq.sh'}; echo printed; cat; sandq_string 'a\"'"],
        input=b"input\n",
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=deadline_s,
        check=True,
    )

    assert (done.stdout, done.stderr) == (b'printed\ninput\n"a\\""\n', b"")


def test_the_sample_gives_each_line_as_soon_as_it_is_known(sdk, spawn, shell, tmp_path):
    texts = {"one": "a\nlongest of\nit", 'two "\n': "größe\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    paths = [str(tmp_path / name) for name in texts]
    child = spawn([*shell, sdk.parent / "longest.sh"])
    child.read()

    child.send({"paths": paths})

    assert [child.receive()["chunk"] for _ in paths] == [
        {"path": paths[0], "line": "longest of"},
        {"path": paths[1], "line": "größe"},
    ]
    assert child.receive()["result"] == {"files": 2}
    assert child.ask({"paths": ["/nowhere"]})["error"]["message"] == "no file /nowhere"
    assert child.ask(None)["error"]["type"] == "BadData"
