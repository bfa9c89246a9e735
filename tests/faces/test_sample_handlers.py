"""Every sample handler does its work on real input, run as a user would run it by hand."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
HANDLERS = ROOT / "handlers"
SAMPLES = HANDLERS / "samples"
DEADLINE_S = 30.0

COMMANDS = {
    "resize": [sys.executable, HANDLERS / "resize.py"],
    "wordcount": ["sh", HANDLERS / "wordcount.sh"],
    "probe": ["node", HANDLERS / "probe.mjs"],
    "flaky": [sys.executable, HANDLERS / "flaky.py"],
}
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}

NAMES = [command[-1].name for command in COMMANDS.values()]


@pytest.fixture
def _node(need_program):
    need_program("node", "nodejs")


needs_node = pytest.mark.usefixtures("_node")


def run(handler, *lines):
    """Feed lines to the handler, then the end of input; what came of it."""
    return subprocess.run(
        COMMANDS[handler],
        input=b"".join(line + b"\n" for line in lines),
        capture_output=True,
        env=ENVIRONMENT,
        timeout=DEADLINE_S,
        check=False,
    )


def messages(handler, *jobs):
    """Every line the handler wrote for these data, read as strictly as the supervisor does."""
    done = run(handler, *(job_line(data) for data in jobs))

    assert done.returncode == 0, done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def answers(handler, *jobs):
    """One answer for each data."""
    return [message for message in messages(handler, *jobs) if "status" in message]


def job_line(data, **members):
    text = data if isinstance(data, bytes) else orjson.dumps(data)
    opts = orjson.dumps({"attempts": 3, "path": "opts are not data"})

    return (
        b'{"sandq":1,"type":"job","id":"7","name":"a \\"data\\":{\\"path\\":\\"name\\"}",'
        b'"queue":"q","data":%b,"timestamp":1700000000000,"delay":0,"priority":0,"attempt":%d,'
        b'"max_attempts":3,"stalls":0,"timeout_ms":null,"opts":%b}'
    ) % (text, members.get("attempt", 1), opts)


# --- all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_short_and_can_be_executed(name):
    sample = HANDLERS / name
    lines = sample.read_text().splitlines()

    assert lines[0].startswith("#!/")
    assert os.access(sample, os.X_OK)
    assert len(lines) < 40


def test_every_sample_and_every_source_is_listed():
    readme = (HANDLERS / "README.md").read_text()
    sources = (SAMPLES / "SOURCES.md").read_text()

    assert re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE) == NAMES
    assert {path.name for path in SAMPLES.iterdir()} == {
        "SOURCES.md",
        *re.findall(r"^\| `([^`]+)` \|", sources, re.MULTILINE),
    }


@needs_node
def test_the_commands_of_the_readme_work_as_they_are_written():
    readme = (HANDLERS / "README.md").read_text()
    commands = re.findall(r"^printf .*", readme, re.MULTILINE)

    assert len(commands) == 4
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command.replace("| python ", f"| {sys.executable} ")],
            cwd=ROOT,
            capture_output=True,
            env=ENVIRONMENT,
            timeout=DEADLINE_S,
            check=True,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["status"] == ("error" if "nowhere" in command else "ok")


# --- resize -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "width", "size"),
    [
        ("astronaut.jpg", 64, (64, 64)),
        ("rocket.jpg", 320, (320, 214)),
        ("hubble_deep_field.jpg", 100, (100, 87)),
        ("rocket.jpg", 5000, (640, 427)),
    ],
)
def test_resize_keeps_the_proportions_and_never_enlarges(tmp_path, name, width, size):
    dst = tmp_path / "thumbnail.jpg"

    half, whole, answer = messages(
        "resize", {"src": str(SAMPLES / name), "width": width, "dst": str(dst)}
    )[1:]
    picture = Image.open(io.BytesIO(dst.read_bytes()))

    assert [half["value"], whole["value"]] == [0.5, 1.0]
    assert answer["result"] == {
        "width": size[0],
        "height": size[1],
        "bytes": dst.stat().st_size,
    }
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", size)
    assert os.listdir(tmp_path) == ["thumbnail.jpg"]


def test_resize_measures_when_it_is_not_told_where_to_write():
    (answer,) = answers("resize", {"src": str(SAMPLES / "astronaut.jpg"), "width": 64})

    assert answer["result"]["width"] == 64
    assert 500 < answer["result"]["bytes"] < 10_000


def test_resize_turns_a_picture_upright_and_takes_other_kinds(tmp_path):
    phone, drawing = tmp_path / "phone.jpg", tmp_path / "drawing.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.new("RGB", (400, 300), "green").save(phone, exif=exif)
    Image.new("LA", (50, 100)).save(drawing)

    upright, converted = answers(
        "resize", {"src": str(phone), "width": 150}, {"src": str(drawing), "width": 25}
    )

    assert (upright["result"]["width"], upright["result"]["height"]) == (150, 200)
    assert (converted["result"]["width"], converted["result"]["height"]) == (25, 50)


def test_resize_says_what_is_wrong_with_its_input(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((SAMPLES / "rocket.jpg").read_bytes()[:20_000])
    notes = SAMPLES / "notes.txt"

    missing, text, cut, no_data, good = answers(
        "resize",
        {"src": "/nowhere.jpg", "width": 64},
        {"src": str(notes), "width": 64},
        {"src": str(broken), "width": 64},
        None,
        {"src": str(SAMPLES / "rocket.jpg"), "width": 64},
    )

    assert missing["error"]["message"].startswith("cannot make a thumbnail of /nowhere.jpg: ")
    assert missing["error"]["retryable"] is False
    assert text["error"]["message"].startswith(f"cannot make a thumbnail of {notes}: ")
    assert cut["error"]["type"] == "OSError"
    assert no_data["error"]["type"] == "TypeError"
    assert good["status"] == "ok"


# --- wordcount ----------------------------------------------------------------------------------


def test_wordcount_counts_as_many_words_as_python_does():
    notes = SAMPLES / "notes.txt"

    assert answers("wordcount", {"path": str(notes)}) == [
        {"status": "ok", "result": {"words": len(notes.read_text().split())}}
    ]


@pytest.mark.parametrize(
    "name",
    ["two words", 'a "quoted" one', "back\\slash\\\\", "$(exit)", "`x`;&|*", "größe", "\\n", "%s"],
)  # fmt: skip
def test_wordcount_takes_any_path(tmp_path, name):
    path = tmp_path / name
    path.write_text("one two\nthree\n")

    assert answers("wordcount", {"path": str(path)}) == [{"status": "ok", "result": {"words": 3}}]


def test_wordcount_counts_words_of_every_script_and_none_in_an_empty_file(tmp_path):
    (tmp_path / "cyrillic").write_text("как дела", "utf-8")
    (tmp_path / "empty").write_text("")

    counts = answers(
        "wordcount", {"path": str(tmp_path / "cyrillic")}, {"path": str(tmp_path / "empty")}
    )

    assert [count["result"]["words"] for count in counts] == [2, 0]


def test_wordcount_finds_the_path_among_other_members(tmp_path):
    path = tmp_path / "text"
    path.write_text("one two")
    text = json.dumps(str(path)).encode()

    assert (
        answers(
            "wordcount",
            b'{"title":"the \\"path\\":\\"x\\"","pages":-1.5e3,"draft":false,"path":%b}' % text,
            b'{ "path" : %b , "more" : [ { "path" : "x" } ] }' % text,
            b'{"path":%b}' % text.replace(b"/", b"\\/"),
            b'{"path":%b,"long":"%b"}' % (text, b"x\\n" * 200_000),
        )
        == [{"status": "ok", "result": {"words": 2}}] * 4
    )


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (None, "BadData", 'data needs a path, as in {"path": "notes.txt"}'),
        ({}, "BadData", 'data needs a path, as in {"path": "notes.txt"}'),
        ({"path": 7}, "BadData", 'data needs a path, as in {"path": "notes.txt"}'),
        ({"path": ""}, "BadData", 'data needs a path, as in {"path": "notes.txt"}'),
        ({"path": "/nowhere"}, "NotFound", "no file /nowhere"),
        ({"path": 'no "such" \\ file'}, "NotFound", 'no file no "such" \\ file'),
        ({"path": "/"}, "NotFound", "no file /"),
        (
            b'{"path":"caf\\u00e9"}',
            "BadPath",
            "cannot read the escapes of café: write its characters as they are",
        ),
        (
            {"path": "two\nlines"},
            "BadPath",
            "cannot read the escapes of two\nlines: write its characters as they are",
        ),
    ],
)
def test_wordcount_answers_bad_input_with_an_error_and_goes_on(data, kind, message):
    error, count = answers("wordcount", data, {"path": str(SAMPLES / "notes.txt")})

    assert error == {
        "status": "error",
        "error": {"type": kind, "message": message, "retryable": False},
    }
    assert count["status"] == "ok"


def test_wordcount_says_so_when_reading_fails(tmp_path, monkeypatch):
    (tmp_path / "wc").write_text("#!/bin/sh\necho 'wc: Input/output error' >&2\nexit 1\n")
    (tmp_path / "wc").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}:{ENVIRONMENT['PATH']}")

    (answer,) = answers("wordcount", {"path": str(SAMPLES / "notes.txt")})

    assert answer["error"]["type"] == "CannotRead"
    assert answer["error"]["message"].endswith("notes.txt: standard error says why")


# --- probe --------------------------------------------------------------------------------------


def a_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")

    return buffer.getvalue()


def a_picture(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)

    return buffer.getvalue()


@needs_node
def test_probe_tells_type_size_and_hash(tmp_path):
    contents = {
        "jpeg": (SAMPLES / "hubble_deep_field.jpg").read_bytes(),
        "png": a_picture("PNG"),
        "gif": a_picture("GIF"),
        "webp": a_picture("WEBP"),
        "pdf": a_picture("PDF"),
        "zip": a_zip(),
        "elf": Path(sys.executable).read_bytes()[:200_000],
        "binary": bytes(range(256)),
        "text": (SAMPLES / "notes.txt").read_bytes(),
    }
    paths = []
    for kind, content in contents.items():
        paths.append(tmp_path / f"{kind} \u2028 'file'")
        paths[-1].write_bytes(content)

    assert answers("probe", *({"path": str(path)} for path in paths)) == [
        {
            "status": "ok",
            "result": {
                "sha256": hashlib.sha256(content).hexdigest(),
                "type": kind,
                "bytes": len(content),
            },
        }
        for kind, content in contents.items()
    ]


@needs_node
def test_probe_takes_an_empty_file_for_a_text(tmp_path):
    (tmp_path / "empty").touch()

    (answer,) = answers("probe", {"path": str(tmp_path / "empty")})

    assert answer["result"]["type"] == "text"
    assert answer["result"]["bytes"] == 0


@needs_node
def test_probe_answers_bad_input_with_an_error_and_goes_on():
    done = run(
        "probe",
        job_line({"path": "/nowhere"}),
        job_line({"path": "/"}),
        job_line(None),
        b"no json",
        job_line({"path": str(SAMPLES / "rocket.jpg")}),
    )
    *errors, good = [orjson.loads(line) for line in done.stdout.splitlines()]

    assert [error["status"] for error in errors] == ["error"] * 4
    assert [error["error"].get("code") for error in errors] == ["ENOENT", "EISDIR", None, None]
    assert errors[0]["error"]["message"].endswith("'/nowhere'")
    assert errors[2]["error"]["message"] == 'data needs a path: {"path": "cat.jpg"}'
    assert errors[3]["error"]["type"] == "SyntaxError"
    assert good["result"]["type"] == "jpeg"


# --- flaky --------------------------------------------------------------------------------------


def test_flaky_gives_back_what_it_is_given():
    data = [{}, None, [1, "two"], 0, {"value": {"a": 1}}, {"unknown": False, "value": 1}]

    given_back = [answer["result"] for answer in answers("flaky", *data)]

    assert given_back == [None, None, [1, "two"], 0, {"a": 1}, 1]


def test_flaky_fails_with_the_message_it_is_given():
    (failed,) = answers("flaky", {"fail": "as asked"})

    assert (failed["error"]["type"], failed["error"]["message"]) == ("RuntimeError", "as asked")


def test_flaky_fails_until_the_attempt_it_is_told():
    lines = [job_line({"fail_until": 3, "value": "done"}, attempt=n) for n in (1, 2, 3, 4)]
    done = run("flaky", *lines)

    assert [orjson.loads(line).get("status") for line in done.stdout.splitlines()[1:]] == [
        "error",
        "error",
        "ok",
        "ok",
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [({"exit": 3}, 3), ({"exit": 0}, 0), ({"signal": signal.SIGKILL}, -signal.SIGKILL)],
)
def test_flaky_dies_without_an_answer_but_not_uncounted(tmp_path, data, code):
    runs = tmp_path / "runs"

    done = run("flaky", job_line(data | {"touch": str(runs), "value": "never seen"}, attempt=2))

    assert done.returncode == code
    assert len(done.stdout.splitlines()) == 1  # the hello
    assert re.fullmatch(r"7 2 \d+\n", runs.read_text())


def test_flaky_talks_on_every_channel(tmp_path):
    runs = tmp_path / "runs"
    data = {
        "value": "last",
        "progress": [0.5, {"step": 2}],
        "log": ["first", "second"],
        "stderr": "to stderr",
        "print": "to stdout",
        "touch": str(runs),
        "sleep_s": 0,
    }

    done = run("flaky", job_line(data), job_line(data))
    said = [
        message.get("message", message.get("value", message.get("result")))
        for message in map(orjson.loads, done.stdout.splitlines()[1:])
    ]

    assert said == ["first", "second", 0.5, {"step": 2}, "last"] * 2
    assert done.stderr == b"to stdout\nto stderr\n" * 2
    assert len(runs.read_text().splitlines()) == 2
