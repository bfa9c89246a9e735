"""What a job tells while it runs, through the Python SDK: progress, rows, chunks, heartbeats."""

import signal

import pytest

from tests.child.sdk_python import DEADLINE_S, children

sdk_child = pytest.fixture(children)


def test_chunks_and_heartbeats_come_in_their_order(sdk_child):
    child = sdk_child("""
        from sandq.handler import serve

        def work(job):
            job.emit({"page": 1})
            job.heartbeat()
            job.emit("ä")
            job.emit(None)

        serve(work)
    """)

    child.send(job_id="größe-1")

    assert [child.read().decode() for _ in range(5)] == [
        '{"sandq":1,"type":"emit","id":"größe-1","chunk":{"page":1}}\n',
        '{"sandq":1,"type":"heartbeat","id":"größe-1"}\n',
        '{"sandq":1,"type":"emit","id":"größe-1","chunk":"ä"}\n',
        '{"sandq":1,"type":"emit","id":"größe-1","chunk":null}\n',
        '{"sandq":1,"type":"result","id":"größe-1","status":"ok","result":null}\n',
    ]


@pytest.mark.parametrize("tell", ["progress", "emit"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{1}", "is not JSON: "),
        ("float('inf')", "is not JSON: "),
        ("'\\ud800'", "is not JSON: "),
        ("{'\\udfff': 1}", "is not JSON: "),
        ("'x' * 1048576", "bytes as a line, more than the 1048576 allowed: "),
        ("'ä' * 600_000", "bytes as a line, more than the 1048576 allowed: "),
    ],
)
def test_what_cannot_be_sent_is_the_error_of_who_sent_it(sdk_child, tell, value, reason):
    child = sdk_child(f"""
        from sandq.handler import InvalidValue, serve

        def work(job):
            try:
                job.{tell}({value})
            except InvalidValue as error:
                assert isinstance(error, ValueError)
                job.log(error)
            job.{tell}("still there")
            job.{tell}({value})

        serve(work)
    """)

    assert f"{tell} is " in (row := child.ask()["message"])
    assert reason in row
    assert child.receive()["type"] == tell
    error = child.receive()["error"]
    assert error["type"] == "InvalidValue"
    assert reason in error["message"]
    assert "in work\n" in error["stack"]


@pytest.mark.parametrize(
    ("call", "message", "fields"),
    [
        ("job.log(42)", "42", {}),
        ("job.log('m', at={1})", "m", {"text": "{'at': {1}}"}),
        ("job.log('m', share=float('nan'))", "m", {"text": "{'share': nan}"}),
        ("job.log('m', message='\\udcff')", "m", {"text": "{'message': '\\udcff'}"}),
        ("job.log('\\udcff')", "\\udcff", {}),
        ("job.log('x' * 3_000_000)", "x" * 16384, {}),
        ("job.log('m', x='x' * 3_000_000)", "m", {"text": ("{'x': '" + "x" * 16384)[:16384]}),
    ],
)  # fmt: skip
def test_a_log_row_never_fails_a_job(sdk_child, call, message, fields):
    child = sdk_child(f"from sandq.handler import serve\nserve(lambda job: {call})")

    row = child.ask()

    assert (row["message"], row["fields"]) == (message, fields)
    assert child.receive()["status"] == "ok"


@pytest.mark.parametrize(("size", "rows"), [(30_000, 20), (1, 2_000)])
def test_threads_do_not_mix_or_lose_their_lines(sdk_child, size, rows):
    child = sdk_child(f"""
        from threading import Thread
        from sandq.handler import serve

        def work(job):
            threads = [
                Thread(target=lambda n=n: [job.progress(str(n) * {size}) for _ in range({rows})])
                for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        serve(work)
    """)

    child.send()
    seen = [child.receive()["value"] for _ in range(4 * rows)]

    assert sorted(seen) == sorted(str(n) * size for n in range(4) for _ in range(rows))
    assert child.receive()["status"] == "ok"


def test_a_signal_handler_that_sends_does_not_cut_the_line_being_sent(sdk_child):
    child = sdk_child("""
        import signal
        from sandq.handler import serve

        def work(job):
            signal.signal(signal.SIGUSR1, lambda *_: job.log("interrupted"))
            job.progress("x" * 500_000)

        serve(work)
    """)

    child.send()
    # The line has begun to arrive and is longer than the pipe: the child is inside the write.
    begun = child.waiting(DEADLINE_S)
    child.process.send_signal(signal.SIGUSR1)

    assert begun
    assert [child.receive()["type"] for _ in range(3)] == ["progress", "log", "result"]
