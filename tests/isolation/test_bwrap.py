"""The options of bubblewrap, in their order."""

import pytest

from sandq.isolation.bwrap import Bind, Layout, options, sift


def layout(**more):
    plain = {"links": {"/bin": "usr/bin"}, "binds": [Bind("/usr", "/usr")], "disk": 65536}

    return Layout(**{**plain, "etc": {"passwd": "/p/passwd", "hosts": "/p/hosts"}, **more})


def pairs(words, option):
    """The two words after each of an option."""
    return [tuple(words[at + 1 : at + 3]) for at, word in enumerate(words) if word == option]


def test_nothing_of_the_host_is_shared_but_what_is_shown():
    words = options(layout())

    assert {"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"} <= set(words)
    assert {"--unshare-net", "--unshare-cgroup-try", "--disable-userns"} <= set(words)
    assert {"--die-with-parent", "--new-session"} <= set(words)
    assert pairs(words, "--cap-drop")[0][0] == "ALL"
    assert ("/usr", "/usr") in pairs(words, "--ro-bind")
    assert "--bind" not in words
    assert "--dev" not in words


@pytest.mark.parametrize(
    ("more", "absent"),
    [
        ({"net": True}, "--unshare-net"),
        ({"no_userns": False}, "--disable-userns"),
        ({"proc": False}, "--proc"),
    ],
)
def test_what_is_not_wanted_is_left_out(more, absent):
    assert absent in options(layout())
    assert absent not in options(layout(**more))


def test_without_a_proc_there_is_an_empty_folder():
    words = options(layout(proc=False))

    assert words[words.index("--dir") + 1] == "/proc"
    assert ("/proc", "--remount-ro") not in pairs(words, "--remount-ro")


def test_all_that_is_mounted_is_bounded_and_all_but_its_room_is_sealed():
    words = options(layout(disk=12345678))

    for at, word in enumerate(words):
        if word == "--tmpfs":
            assert words[at - 2] == "--size"
    assert words[words.index("12345678") + 1 :][:2] == ["--tmpfs", "/tmp"]
    assert words[-6:] == ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
    assert ("/tmp", "/dev/shm") in pairs(words, "--symlink")


def test_with_the_hosts_network_its_names_are_found():
    with_net, without = (pairs(options(layout(net=net)), "--ro-bind-try") for net in (True, False))

    assert ("/etc/resolv.conf", "/etc/resolv.conf") in with_net
    assert ("/etc/resolv.conf", "/etc/resolv.conf") not in without
    # nobody of the host is named in it
    assert ("/p/passwd", "/etc/passwd") in pairs(options(layout(net=True)), "--ro-bind")
    assert ("/p/hosts", "/etc/hosts") not in pairs(options(layout(net=True)), "--ro-bind")


def test_no_keys_are_shown():
    shown = {inside for _, inside in pairs(options(layout(net=True)), "--ro-bind-try")}

    assert not {"/etc", "/etc/ssl", "/etc/pki", "/etc/pki/tls"} & shown


def test_what_may_be_changed_is_named():
    words = options(layout(binds=[Bind("/out", "/srv/out", True)], cwd="/out"))

    assert pairs(words, "--bind") == [("/srv/out", "/out")]
    assert pairs(words, "--chdir")[0][0] == "/out"


def test_a_folder_is_mounted_before_what_is_in_it():
    inner, outer = Bind("/a/b/c", "/other"), Bind("/a/b", "/a/b")

    assert sift([inner, outer, inner]) == [outer, inner]


@pytest.mark.parametrize(
    ("outer", "inner", "kept"),
    [
        (Bind("/a", "/a"), Bind("/a/b", "/a/b"), False),
        (Bind("/a", "/x"), Bind("/a/b", "/x/b"), False),
        (Bind("/a", "/a"), Bind("/a/b", "/c"), True),
        (Bind("/a", "/a"), Bind("/ab", "/ab"), True),
        (Bind("/a", "/a"), Bind("/a/b", "/a/b", True), True),
        (Bind("/a", "/a", True), Bind("/a/b", "/a/b"), True),
        (Bind("/a", "/a", True), Bind("/a/b", "/a/b", True), False),
    ],
)
def test_what_is_there_anyway_is_not_mounted_again(outer, inner, kept):
    assert sift([inner, outer]) == ([outer, inner] if kept else [outer])
