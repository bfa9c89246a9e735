"""Our side of a conversation with a process that has children; the test plays the other side."""

import asyncio
import errno
import json
import os
import socket

import anyio
import pytest

from sandq.child.link import Exit, Link, StartFailed
from sandq.model.outcome import LimitHit

pytestmark = pytest.mark.anyio

END = {"exit": 7, "status": 0, "cpu_s": 0.5, "max_rss_kb": 9, "oom": False}


class Peer:
    """The other side, and what our side was told of."""

    def __init__(self):
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.heard = []
        self.others = []
        self.link = Link(ours, "the peer", lambda: self.heard.append("lost"), self.others.append)

    def hear(self):
        return json.loads(self.socket.recv(1 << 20))

    def say(self, fds=(), **message):
        socket.send_fds(self.socket, [json.dumps(message).encode()], list(fds))


@pytest.fixture
async def peer():
    one = Peer()
    yield one
    one.link.close()
    one.socket.close()


async def asked(peer, answers, name, **message):
    answers[name] = await peer.link.ask(message)


async def turns(count=5):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_answers_find_who_has_asked(peer):
    answers = {}
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: asked(peer, answers, "first", op="one"))
        group.start_soon(lambda: asked(peer, answers, "second", op="two"))
        await turns()
        first, second = peer.hear(), peer.hear()
        peer.say(n=second["n"], pid=2)
        peer.say(n=first["n"], pid=1)

    assert (first["op"], second["op"]) == ("one", "two")
    assert answers["first"].message["pid"] == 1
    assert answers["second"].message["pid"] == 2


async def test_an_answer_may_bring_a_descriptor(peer):
    answers = {}
    read, write = os.pipe()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: asked(peer, answers, "it", op="one"))
        await turns()
        peer.say(n=peer.hear()["n"], pid=1, fds=[write])
    os.write(answers["it"].fd, b"x")

    assert os.read(read, 1) == b"x"
    for fd in (read, write, answers["it"].fd):
        os.close(fd)


async def test_an_end_that_comes_early_is_told_later_all_the_same(peer):
    ends = []
    peer.say(**END)
    await turns()
    peer.link.expect_end(7, ends.append)

    assert ends == []
    await turns()
    assert ends == [Exit(0, 0.5, 9)]


async def test_an_end_tells_the_limit_that_caused_it(peer):
    ends = []
    peer.link.expect_end(7, ends.append)
    peer.say(**END, limit={"name": "cpu", "value": 2, "peak": 2.4})
    await turns()

    assert ends[0].limit == LimitHit("cpu", 2, 2)


async def test_what_is_neither_goes_to_who_wants_it(peer):
    peer.say(limit_hit=7)
    await turns()

    assert peer.others == [{"limit_hit": 7}]


@pytest.mark.parametrize("answered", ["after", "just before"])
async def test_a_child_that_nobody_waits_for_any_more_is_killed(peer, answered):
    read, write = os.pipe()
    task = asyncio.ensure_future(peer.link.ask({"op": "one"}))
    await turns()
    number = peer.hear()["n"]
    if answered == "just before":
        peer.say(n=number, pid=7, fds=[write])
        peer.link.read()
        task.cancel()
    else:
        task.cancel()
        await turns()
        peer.say(n=number, pid=7, fds=[write])
    os.close(write)
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()

    assert peer.hear() == {"op": "kill", "pid": 7, "signal": 9}
    # and the descriptor that came with it is closed
    assert os.read(read, 1) == b""
    os.close(read)


async def test_what_the_socket_does_not_take_is_sent_later_in_order(peer):
    text = "x" * 10_000
    for number in range(200):
        peer.link.tell({"op": "one", "number": number, "text": text})
    heard = []
    peer.socket.setblocking(False)
    with anyio.fail_after(20):
        while len(heard) < 200:
            await anyio.lowlevel.checkpoint()
            try:
                heard.append(peer.hear()["number"])
            except BlockingIOError:
                continue

    assert heard == list(range(200))


async def test_a_request_that_is_too_long_is_refused_and_the_next_one_is_not(peer):
    with pytest.raises(StartFailed, match="too long to be passed on"):
        await peer.link.ask({"op": "one", "text": "x" * 5_000_000})
    peer.link.tell({"op": "two"})

    assert peer.hear()["op"] == "two"


async def test_too_many_descriptors_on_their_way_refuse_one_request(peer, monkeypatch):
    def send_fds(*_):
        raise OSError(errno.ETOOMANYREFS, "too many")

    monkeypatch.setattr("sandq.child.link.socket.send_fds", send_fds)
    with pytest.raises(StartFailed, match="too many descriptors"):
        await peer.link.ask({"op": "one"})
    monkeypatch.undo()
    peer.link.tell({"op": "two"})

    assert peer.hear()["op"] == "two"


async def test_when_the_peer_has_gone_everybody_hears_of_it(peer):
    peer.link.expect_end(7, lambda end: peer.heard.append(end))
    task = asyncio.ensure_future(peer.link.ask({"op": "one"}))
    await turns()
    peer.socket.close()
    with pytest.raises(StartFailed, match="the peer has ended"):
        await task

    # first the owner, who can start another one
    assert peer.heard == ["lost", Exit(9, 0.0, 0, spawner_lost=True)]
    assert not peer.link.open
    peer.link.tell({"op": "two"})
    with pytest.raises(StartFailed, match="the peer has ended"):
        await peer.link.ask({"op": "three"})
    with pytest.raises(StartFailed, match="the peer has ended"):
        peer.link.expect_end(8, lambda _: None)
