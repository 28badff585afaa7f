"""The state directory among builds that start and end at once."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hashmake.state.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

BUILDS = 4
ROUNDS = 25


def build(tree: Path, start: float, fails: bool) -> int:
    """What a build does with its state directory; 0 if it was alone in the tree meanwhile."""
    state = StateDirectory(str(tree / ".hashmake"))
    time.sleep(max(0.0, start - time.monotonic()))
    state.make()
    state.lock()
    alone = tree / "alone"
    os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
    time.sleep(0.0005)
    state.break_seal()
    (tree / ".hashmake/seal").write_text("sealed")
    alone.unlink()
    if fails:
        state.unmake()
    state.release()
    return 0


@pytest.mark.parametrize("fails", [False, True])
def test_builds_that_start_at_once_wait_for_each_other(tmp_path: Path, fails: bool) -> None:
    """None is refused, none works beside another; also when the one that made the directory removes it again."""
    for number in range(ROUNDS):
        tree = tmp_path / str(number)
        tree.mkdir()
        start = time.monotonic() + 0.004
        children = []
        for _ in range(BUILDS):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = build(tree, start, fails)
                finally:
                    os._exit(code)
            children.append(child)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * BUILDS


def test_who_has_only_just_taken_the_lock_is_waited_for_by_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between taking the lock and writing the number into it the file is empty."""
    state = StateDirectory(str(tmp_path / "state"))
    state.make()
    held = os.open(tmp_path / "state/lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    then = threading.Timer(0.1, os.pwrite, (held, b"4711\n", 0))
    end = threading.Timer(0.4, os.close, (held,))
    then.start()
    end.start()
    state.lock()
    state.release()
    said = capsys.readouterr().err
    assert said == f"hashmake: another build (pid 4711) is at work in {state.path}; waiting for it\n"


def test_the_lock_is_taken_where_there_is_no_room_for_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: flock needs no room, and the number is only for people."""
    state = StateDirectory(str(tmp_path / "state"))
    state.make()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    state.lock()
    assert state.locked
    other = os.open(tmp_path / "state/lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    state.release()
