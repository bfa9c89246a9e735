"""Every sample handler without an SDK does the echo contract, in each way it can be run.

They are real processes over plain pipes, in the bare environment that a child has.
"""

import json
import os
import re
import select
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = ROOT / "handlers" / "plain"
LANGUAGES = tomllib.loads((PLAIN / "languages.toml").read_text())["language"]
FULL = [language for language in LANGUAGES if language["level"] == "full"]
NAMES = [language["name"] for language in LANGUAGES]

DEADLINE_S = 60.0
#: A sample is to be read in one go; most have far fewer lines.
LONGEST_FILE = 50
#: Their JSON rounds integers beyond 2^53, or 2^64; the protocol wants those sent as strings.
ROUNDING = ("Node", "Deno", "Bun", "PHP", "Perl")

# the text of data, as it stands in the job line
VALUES = [
    # small things
    *("null", "true", "false", "[]", "{}", '""', "0", "7", "-1", "[[]]", "[{}]", '{"":{"":[]}}'),
    # numbers
    *("9007199254740991", "-9007199254740991", "-0", "-0.0", "1.0", "1E5", "1e-7", "0.1"),
    *("1e308", "1.7976931348623157e308", "-1.7976931348623157e+308", "5e-324"),
    *("2.2250738585072014e-308", "0.30000000000000004", "123456789.12345679", "[1e22,1e23]"),
    # characters
    r'"\u0000"',
    r'{"name \u0000":"\u0000\u001f\u007f"}',
    r'"\u0001\u0002\u0003"',
    r'"\b\f\n\r\t\/\\\""',
    '"\u007f\u0080\u009f\u00a0\ufffe\uffff\U0010ffff"',
    '"größe 漢字 \u2028 \u2029 😀 👩\u200d👩\u200d👧"',
    r'"\u2028\u2029\ud83d\ude00\u00e9"',
    '{"größe \u2028":"😀"}',
    # what a scanner trips over
    r'"\\"',
    r'"\\\\\""',
    r'["\\",{"\\":"\"\\"}]',
    r'"ends in \" and \\\\"',
    r'"},\"data\":1,\"fail\":2,{"',
    r'{"a":"}]","b":"[{","c,d:e":"\":,"}',
    r'{"data":{"data":[{"data":"data"}]}}',
    '["data",":","fail"]',
    r'{"\"data\"":1,"data\\":2,"xdata":3,"datax":4}',
    ' { "a" : [ 1 , { "b" : null } ] } ',
    # what is not asked to fail
    *('"fail"', '["fail","no"]', '[{"fail":"no"}]', '{"x":{"fail":"no"}}', '{"x":"fail"}'),
    r'{"fails":1,"Fail":2,"\"fail\":":3," fail":4}',
    # what a language makes something else of
    *('"1"', '"1e5"', '"true"', '"null"', '["1",1,true]', '{"2":"b","1":"a"}', '{"0":[]}'),
    '{"__proto__":{"x":1},"constructor":null}',
    '{"json_class":"String","^o":"Object","__class__":"x"}',
    *('{"status":"error","error":"no"}', '{"sandq":1,"type":"bye"}', '{"status":"ok"}'),
    *('"%s%d%n\\\\n"', '"$(exit) `x` $HOME * ~"', '"- -n -e"', '"a  b\\tc "', "[1,[2,[3]],{}]"),
    "[" * 64 + "]" * 64,
    '{"a":' * 63 + '{"fail":0}' + "}" * 63,
]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build a language's program, once; its path."""
    folder = tmp_path_factory.mktemp("built")

    def build(language, source):
        program = folder / language["name"]
        if not program.exists():
            words = [word.format(file=source, built=program) for word in language["build"]]
            done = subprocess.run(words, capture_output=True, check=False, timeout=DEADLINE_S)
            assert done.returncode == 0, done.stderr.decode()
        return program

    return build


@pytest.fixture
def start(need_program, built):
    """The words that start a language's handler."""

    def command(language):
        if language["package"]:
            need_program(language["needs"], language["package"])
        elif shutil.which(language["needs"]) is None:
            pytest.skip(f"{language['needs']} is not installed, and no package of Debian has it")
        source = PLAIN / language["file"]
        program = built(language, source) if "build" in language else None
        return [word.format(file=source, built=program) for word in language["command"]]

    return command


@pytest.fixture(params=LANGUAGES, ids=NAMES)
def command(request, start):
    return start(request.param)


@pytest.fixture
def name(request):
    return request.node.callspec.params["command"]["name"]


def job_line(data, number=1):
    """A job line as sandq writes it, with members that look like others."""
    return (
        f'{{"sandq":1,"type":"job","id":"{number}","name":"a \\"data\\":{{\\\\",'
        f'"queue":"data","data":{data},"timestamp":1700000000000,"delay":0,"priority":0,'
        '"attempt":1,"max_attempts":3,"stalls":0,"timeout_ms":null,'
        '"opts":{"attempts":3,"data":"no","fail":"no"}}'
    )


def jobs(texts):
    return [job_line(text, number) for number, text in enumerate(texts, 1)]


def feed(command, lines, locale="C", **environment):
    return subprocess.run(
        command,
        input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": locale, **environment},
        timeout=DEADLINE_S,
        check=False,
    )


def run(command, lines, locale="C", **environment):
    """The messages that came of the lines and the end of input: one for each line of output."""
    done = feed(command, lines, locale, **environment)

    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout == b"" or done.stdout.endswith(b"\n")
    return [read(line) for line in done.stdout.split(b"\n")[:-1]]


def read(line):
    return json.loads(line, parse_constant=pytest.fail)


def answers(messages):
    """Those that end a job; at the full level each follows the other messages of its job."""
    if messages and messages[0].get("type") == "hello":
        ended = messages[3::3]
        assert [(message["type"], message["id"]) for message in messages[1:]] == [
            (kind, str(number))
            for number in range(1, len(ended) + 1)
            for kind in ("progress", "log", "result")
        ]
        return ended

    return messages


def values(messages):
    ended = answers(messages)
    assert [answer["status"] for answer in ended] == ["ok"] * len(ended), ended
    return [answer["result"] for answer in ended]


def exactly(value):
    """The value such that two are equal only if they are the same in JSON, where 1.0 is 1."""
    if isinstance(value, dict):
        return {name: exactly(member) for name, member in value.items()}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", float(value))

    return (type(value), value)


# --- the jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_data_comes_back_as_it_was(command, locale):
    came_back = values(run(command, jobs(VALUES), locale))

    assert len(came_back) == len(VALUES)
    for text, value in zip(VALUES, came_back, strict=True):
        assert exactly(value) == exactly(json.loads(text)), text


def test_large_integers_keep_all_their_digits(command, name):
    if name in ROUNDING:
        pytest.skip("its JSON rounds them")
    texts = [str(2**53 + 1), str(2**64 + 1), str(-(3**600)), f"[{10**30 + 1}]"]

    assert values(run(command, jobs(texts))) == [json.loads(text) for text in texts]


def test_members_may_come_in_any_order_and_more_of_them(command):
    job = '"type":"job","id":"{}","attempt":1'
    lines = [
        '{"data":{"a":1},' + job + "}",
        "{" + job + ',"data":{"a":1}}',
        ' \t{ "data" : { "a" : 1 } , "type" : "job" , "id" : "{}" , "attempt" : 1 } \r',
        '{"new":{"data":2,"x":[{"data":3},"data",":"]},' + job + ',"data":{"a":1},"data2":4}',
        '{"datum":["data",{"data":[]}],"x":"\\"data\\":5",' + job + ',"data":{"a":1},"y":{"z":[]}}',
        '{"x:data":0,"data,x":0,"a\\"":"data","\\\\":"\\\\","DATA":6,"":7,"data":{"a":1},"Data":8,'
        + job
        + "}",
        '{"x":"}","y":"{[","z":"\\"","é😀\u2028":"é😀\u2028","data":{"a":1},' + job + "}",
    ]
    lines = [line.replace("{}", str(number)) for number, line in enumerate(lines, 1)]

    assert values(run(command, lines)) == [{"a": 1}] * len(lines)


def test_data_that_asks_for_it_fails_and_the_next_job_does_not(command):
    messages = [
        '"as asked"',
        '""',
        '"größe 😀 \u2028"',
        r'"\u0000 \"data\":{[ \\ \ud83d\ude00 %s\n"',
    ]
    texts = [
        *(f'{{"fail":{message}}}' for message in messages),
        '{"a":{"fail":[1]},"fail":"among others","z":["}"]}',
        ' { "z" : "fail" , "fail" : "with spaces" } ',
        '{"a":1}',
    ]

    *failed, good = answers(run(command, jobs(texts)))

    assert [(answer["status"], answer["error"]) for answer in failed] == [
        ("error", {"type": "Asked", "message": message})
        for message in [*map(json.loads, messages), "among others", "with spaces"]
    ]
    assert (good["status"], good["result"]) == ("ok", {"a": 1})


def test_a_thousand_jobs_are_answered_in_order(command):
    assert values(run(command, jobs(range(1_000)))) == [*range(1_000)]


def test_a_long_line_comes_back_whole(command):
    rows = [[number, {"n": number}] for number in range(1_000)]
    text = 'é😀\u2028 "data":{\\ ' * 40_000
    data = json.dumps({"rows": rows, "text": text, "more": rows}, ensure_ascii=False)
    assert 900 << 10 < len(data.encode()) < 1 << 20

    long, short = values(run(command, jobs([data, "5"])))

    assert long == json.loads(data)
    assert short == 5


def test_it_ends_with_its_input_when_it_had_no_job(command):
    assert answers(run(command, [])) == []


def test_an_answer_does_not_wait_for_more_input(command):
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
        bufsize=0,
    ) as child:
        said = []
        for number in (1, 2):
            child.stdin.write(job_line(number, number).encode() + b"\n")
            while not said or said[-1].get("result") != number:
                assert select.select([child.stdout], [], [], DEADLINE_S)[0], said
                said.append(read(child.stdout.readline()))
        child.stdin.close()

        assert child.wait(DEADLINE_S) == 0
        assert values(said) == [1, 2]


@pytest.mark.parametrize("line", ['{"type":"job","id":"1","data":"cut off', "no JSON", "{"])
def test_a_line_that_is_no_job_is_not_answered_with_a_value(command, line):
    done = feed(command, [line])
    said = [read(line) for line in done.stdout.splitlines() if b"hello" not in line]

    assert [answer["status"] for answer in said] == ["error"] * len(said)
    assert said or done.returncode != 0


def test_ruby_reads_utf_8_whatever_the_locale_is(start):
    command = start(LANGUAGES[NAMES.index("Ruby")])

    assert values(run(command, jobs(['"größe"']), RUBYOPT="-EISO-8859-1")) == ["größe"]


def test_php_says_so_when_a_name_cannot_be_held(start):
    command = start(LANGUAGES[NAMES.index("PHP")])

    error, good = run(command, jobs([r'{"\u0000":1}', '{"a":1}']))

    assert error["error"] == {
        "type": "JsonException",
        "message": "The decoded property name is invalid",
    }
    assert good["result"] == {"a": 1}


# --- the full level -----------------------------------------------------------------------------


@pytest.fixture(params=FULL, ids=[language["name"] for language in FULL])
def full(request, start):
    return start(request.param)


def test_hello_is_first_and_names_what_is_really_done(full):
    hello, progress, log, result, pong = run(
        full, [job_line('"x"', 7), '{"sandq":1,"type":"ping","n":3}']
    )

    assert hello == {
        "sandq": 1,
        "type": "hello",
        "version": 1,
        "caps": ["progress", "log", "ping"],
    }
    assert progress == {"sandq": 1, "type": "progress", "id": "7", "value": 0.5}
    assert log == {"sandq": 1, "type": "log", "id": "7", "message": "attempt 1"}
    assert result == {"sandq": 1, "type": "result", "id": "7", "status": "ok", "result": "x"}
    assert pong == {"sandq": 1, "type": "pong", "n": 3}


def test_what_is_not_known_is_ignored_unless_it_must_be_understood(full):
    hello, *job, fatal = run(
        full,
        [
            '{"sandq":1,"type":"cancel","id":"7","reason":"timeout","grace_ms":4000}',
            '{"sandq":1,"type":"x-new","must":false}',
            job_line("1"),
            '{"sandq":1,"type":"bye","reason":"retired"}',
            '{"sandq":1,"type":"newer","must":true}',
        ],
    )

    assert values([hello, *job]) == [1]
    assert (fatal["type"], fatal["error"]) == ("fatal", "no idea what newer means")


# --- the files ----------------------------------------------------------------------------------


def test_every_file_is_listed_and_described():
    files = {path.name for path in PLAIN.iterdir()} - {"README.md", "languages.toml"}
    described = re.findall(r"^\| `([^`]+)` \|", (PLAIN / "README.md").read_text(), re.MULTILINE)

    assert {language["file"] for language in LANGUAGES} == files
    assert sorted(described) == sorted(files)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("language", LANGUAGES, ids=NAMES)
def test_a_sample_is_short_and_says_how_it_is_run(language):
    path = PLAIN / language["file"]
    lines = path.read_text().splitlines()
    relative = path.relative_to(ROOT)

    assert len(lines) <= LONGEST_FILE
    assert {*language} - {"build"} == {"name", "file", "level", "command", "needs", "package"}
    if "build" in language:
        words = " ".join(language["build"]).format(file=relative, built="echo")
        assert lines[0] == f"// build: {words}"
    else:
        assert lines[0].startswith("#!/")
        assert os.access(path, os.X_OK)
