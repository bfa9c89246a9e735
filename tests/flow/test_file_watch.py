"""`--watch`: when a file changes, the next job meets the new text."""

import os
import sys

import anyio
import pytest

from sandq.child import HandlerFailed, Pool, handler_file
from sandq.flow import file_watch
from sandq.flow.file_watch import FileWatch, differences, snapshot
from sandq.sync import Queue

HANDLER = """
from sandq.handler import serve
from words import WORD

serve(lambda job: WORD)
"""


def test_a_changed_file_is_met_by_the_next_job(url, supervisor, tmp_path, wait):
    words = tmp_path / "words.py"
    (tmp_path / "handler.py").write_text(HANDLER)
    words.write_text("WORD = 'old'")
    command = [sys.executable, "-B", str(tmp_path / "handler.py")]
    with Queue("q", url) as queue:
        one = supervisor("q", command, "--pool", "2", "--watch", str(tmp_path))
        before = queue.add("work").finished(30)
        words.write_text("WORD = 'new text'")
        wait(lambda: queue.add("work").finished(30) == "new text", "a job meets the new text")
        after = [queue.add("work").finished(30) for _ in range(6)]
    one.process.terminate()
    code, errors = one.wait()

    assert before == "old"
    assert after == ["new text"] * 6
    assert code == 0
    assert errors.count("changed: all children are replaced") == 1
    assert f"{words} changed" in errors


@pytest.mark.anyio
async def test_a_broken_handler_that_is_mended_is_tried_at_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(file_watch, "LOOK_EVERY_S", 0.02)
    script = tmp_path / "handler.sh"
    script.write_text("exit 1")
    one = handler_file(script)
    async with Pool(1, [one]) as pool:
        for _ in range(6):
            with pytest.raises(HandlerFailed):
                await pool.call(one)
        watch = FileWatch([tmp_path], pool)
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            with anyio.fail_after(20):
                while "replaced" not in caplog.text:
                    # again and again: the first look may be yet to come
                    script.write_text("while read -r job; do echo 1; done")
                    await anyio.lowlevel.checkpoint()
                value = await pool.call(one)
            group.cancel_scope.cancel()

    assert value == 1


def test_what_counts_as_a_change(tmp_path):
    for folder in (".git", "__pycache__", "node_modules", "deep/er"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text("1")
    (tmp_path / "a").write_text("1")
    (tmp_path / ".hidden").write_text("1")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round").symlink_to(tmp_path)
    before = snapshot([tmp_path])

    os.utime(tmp_path / "a", ns=(1, 1))
    (tmp_path / "deep/er/new").write_text("1")
    (tmp_path / "deep/er/file").unlink()
    for ignored in (".git/file", "__pycache__/file", "node_modules/file", ".hidden"):
        (tmp_path / ignored).write_text("2")
    after = snapshot([tmp_path])

    assert sorted(before) == [str(tmp_path / "a"), str(tmp_path / "deep/er/file")]
    assert differences(before, after) == [
        str(tmp_path / name) for name in ("a", "deep/er/file", "deep/er/new")
    ]
    assert differences(after, after) == []


def test_a_folder_that_goes_away_is_a_change(tmp_path):
    folder = tmp_path / "handlers"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = snapshot([folder])
    folder.rename(tmp_path / "gone")

    assert differences(before, snapshot([folder])) == [str(folder / "a")]
