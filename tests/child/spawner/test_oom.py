"""Whether the kernel kills for want of memory."""

from sandq.child.spawner import oom


def test_kills_for_want_of_memory_are_counted_once(monkeypatch):
    counts = iter([5, 5, 6, 6])
    monkeypatch.setattr(oom, "count_oom_kills", lambda: next(counts))
    one = oom.OomKills()

    assert [one.more() for _ in range(3)] == [False, True, False]


def test_the_kernels_count_of_such_kills_can_be_read():
    assert oom.count_oom_kills() >= 0
    with open("/proc/vmstat") as stream:
        assert "oom_kill " in stream.read()
