"""Both faces where people use them: scripts, web handlers, notebooks, threads."""

import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandq import Queue, sync
from sandq.errors import StoreError

DEADLINE_S = 30


def connections(server):
    # one of them is that of the test itself
    return len(server.client.client_list()) - 1


# ---- scripts


SYNC_SCRIPT = """
from sandq.sync import Queue

queue = Queue("q", {url!r})
queue.set_handler("double", lambda job: job.data * 2)
with queue.run(concurrency=2):
    print([job.finished(30) for job in queue.add_bulk(("double", n) for n in range(3))])
"""

ASYNC_SCRIPT = """
import asyncio
from sandq import Queue

async def main():
    queue = Queue("q", {url!r})
    queue.set_handler("double", lambda job: job.data * 2)
    async with queue.run(concurrency=2):
        jobs = await queue.add_bulk(("double", n) for n in range(3))
        print([await job.finished(30) for job in jobs])

asyncio.run(main())
"""


@pytest.mark.parametrize("script", [SYNC_SCRIPT, ASYNC_SCRIPT], ids=["sync", "async"])
def test_a_script_may_forget_to_close_and_ends_without_a_word(url, script):
    words = [sys.executable, "-c", script.format(url=url)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 2, 4]\n", "")


# ---- web handlers


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE_S) as answer:
        return json.loads(answer.read())


def test_the_synchronous_face_serves_a_threaded_web_server(url, server):
    queue = sync.Queue("q", url)
    queue.set_handler("greet", lambda job: f"hello {job.data}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            value = queue.add("greet", self.path).finished(DEADLINE_S)
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=web.serve_forever)
    serving.start()
    try:
        with queue.run(concurrency=4), ThreadPoolExecutor(20) as clients:
            answers = clients.map(lambda n: fetch(web.server_port, f"/{n}"), range(60))
            assert list(answers) == [f"hello /{n}" for n in range(60)]
    finally:
        web.shutdown()
        serving.join(DEADLINE_S)
        web.server_close()
        queue.close()

    assert connections(server) == 0


@pytest.mark.anyio
async def test_the_async_face_serves_an_asyncio_web_server(url, server):
    async with Queue("q", url) as queue:
        queue.set_handler("greet", lambda job: f"hello {job.data}")

        async def handle(reader, writer):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            job = await queue.add("greet", path)
            body = json.dumps(await job.finished(DEADLINE_S)).encode()
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        web = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = web.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        async with web, queue.run(concurrency=4):
            with ThreadPoolExecutor(20) as clients:
                calls = [loop.run_in_executor(clients, fetch, port, f"/{n}") for n in range(60)]
                assert await asyncio.gather(*calls) == [f"hello /{n}" for n in range(60)]


# ---- notebooks


@pytest.mark.anyio
async def test_the_synchronous_face_works_inside_a_running_event_loop(url):
    queue = sync.Queue("q", url)
    queue.set_handler("double", lambda job: job.data * 2)
    with queue.run() as handle:
        job = queue.add("double", 21)

        assert job.finished(DEADLINE_S) == 42
        assert job.worker == handle.worker
        assert next(queue.subscribe("0")).job_id == job.id
    queue.close()


def test_one_async_queue_is_used_by_run_after_run(url, server):
    queue = Queue("q", url)
    queue.set_handler("double", lambda job: job.data * 2)

    async def cell(number):
        job = await queue.add("double", number)
        async with queue.run():
            value = await job.finished(DEADLINE_S)
        async for event in queue.subscribe("0"):
            assert event.kind == "waiting"
            break
        return value

    for number in range(4):
        assert asyncio.run(cell(number)) == 2 * number
        # what a run has opened ends with it, though nobody has closed the queue
        assert connections(server) == 0
    asyncio.run(queue.close())
    assert asyncio.run(queue.count()) == 0


def test_a_job_outlives_the_run_that_added_it(url):
    queue = Queue("q", url)
    job = asyncio.run(queue.add("work", 1))

    assert asyncio.run(job.get_state()) == "waiting"
    asyncio.run(job.cancel())
    assert asyncio.run(job.get_state()) == "cancelled"


@pytest.mark.anyio
async def test_an_async_queue_in_two_event_loops_at_once_is_told_what_to_do(url):
    async with Queue("q", url) as queue:
        await queue.add("work")

        def elsewhere():
            with pytest.raises(StoreError, match=r"make a Queue for each.*sandq\.sync\.Queue"):
                asyncio.run(queue.count())

        await asyncio.to_thread(elsewhere)
        assert await queue.count() == 1


# ---- closing


@pytest.mark.anyio
async def test_an_async_queue_closes_twice_and_opens_again(url, server):
    queue = Queue("q", url)
    await queue.close()
    await queue.add("work")
    for _ in range(2):
        await queue.close()
    async with queue:
        job = await queue.add("work")
    await queue.close()

    assert connections(server) == 0
    assert await job.get_state() == "waiting"
    assert await queue.count() == 2
    await queue.close()


def test_a_synchronous_queue_closes_twice_and_opens_again(url, server):
    queue = sync.Queue("q", url)
    queue.close()
    queue.add("work")
    for _ in range(2):
        queue.close()
    with queue:
        job = queue.add("work")
    queue.close()

    assert connections(server) == 0
    assert job.get_state() == "waiting"
    assert queue.count() == 2
    queue.close()


# ---- threads


def test_many_threads_share_one_synchronous_queue(url, server):
    queue = sync.Queue("q", url)
    queue.set_handler("double", lambda job: job.data * 2)
    start = threading.Barrier(24)

    def work(number):
        # all make the first call at the same moment
        start.wait(DEADLINE_S)
        jobs = [queue.add("double", number * 100 + n) for n in range(20)]
        assert queue.get_job(jobs[0].id).name == "double"
        return [job.finished(DEADLINE_S) for job in jobs]

    with queue.run(concurrency=4), ThreadPoolExecutor(24) as threads:
        values = list(threads.map(work, range(24)))

    assert values == [[2 * (t * 100 + n) for n in range(20)] for t in range(24)]
    assert queue.get_completed_count() == 24 * 20
    queue.close()
    assert connections(server) == 0


def test_threads_run_and_pause_one_synchronous_queue(url):
    queue = sync.Queue("q", url)
    queue.set_handler("work", lambda job: job.data)
    with queue.run() as one, queue.run() as two, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: queue.pause(local=True), range(4)))
        job = queue.add("work", 1)
        with pytest.raises(TimeoutError):
            job.finished(0.2)
        list(threads.map(lambda _: queue.resume(local=True), range(4)))

        assert job.finished(DEADLINE_S) == 1
        assert job.worker in (one.worker, two.worker)
    queue.close()
