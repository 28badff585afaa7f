"""What hashmake keeps is its owner's alone, and what is not is refused."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from hashmake.run.directory import sweep

from .conftest import NOBODY, Tree, wait_for

# Programs are not shown it; the kernel keeps what the shell was started with.
RUN = "cat /proc/thread-self/environ | tr '\\0' '\\n' | sed -n s/^HASHMAKE_RUN=//p"
WAITING = f"all:\n\t{RUN} > run.new; mv run.new run; while [ ! -e go ]; do sleep 0.05; done; touch made\n"
CONNECT = """
import socket, sys
try:
    peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[1]); peer.settimeout(5)
except PermissionError:
    print("refused")
else:
    print("closed" if peer.recv(1) == b"" else "answered")
"""


def modes(directory: Path) -> dict[str, int]:
    paths = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in paths}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nothing_is_open_to_others_under_any_umask(tree: Tree, umask: int) -> None:
    """The state, the run directory, the socket and the traces, while a build runs and afterwards."""
    tree.makefile(WAITING)
    build = tree.start("build", umask=umask)
    wait_for(tree.root / "run")
    run = Path((tree.root / "run").read_text().strip())
    found = {**modes(tree.state), **{f"run/{name}": mode for name, mode in modes(run).items()}}
    (tree.root / "go").touch()
    out, err = build.communicate(timeout=30)
    assert build.returncode == 0, out + err
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    for _ in range(2):  # a null build writes its log
        assert tree.run("build", umask=umask)[0] == 0
    found |= modes(tree.state)
    assert {"README", "db", "db/data.mdb", "lock", "seal", "null", "last", "run/sock", "run/view"} <= found.keys()
    assert any(name.startswith("run/t/") for name in found)
    assert not {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert not run.exists()


def test_the_run_directory_cannot_be_guessed(tree: Tree) -> None:
    """Another name each time, 48 random bits, in memory."""
    tree.makefile(f"all:\n\t{RUN} > run\n")
    names = []
    for _ in range(2):
        tree.build("-B")
        names.append((tree.root / "run").read_text().strip())
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"/dev/shm/hashmake-\d+-[0-9a-f]{12}", name) for name in names)


def test_another_user_does_not_reach_the_socket(tree: Tree, root: None) -> None:
    """Nor is served when somebody has opened the directory and the socket to them."""
    tree.makefile(WAITING)
    build = tree.start("build")
    wait_for(tree.root / "run")
    run = Path((tree.root / "run").read_text().strip())

    def attempt() -> str:
        command = ["/usr/bin/python3", "-I", "-c", CONNECT, str(run / "sock")]
        done = subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=True)
        return done.stdout.decode().strip()

    try:
        assert attempt() == "refused"
        run.chmod(0o755)
        (run / "sock").chmod(0o666)
        assert attempt() == "closed"
    finally:
        (tree.root / "go").touch()
        build.communicate(timeout=30)
    assert build.returncode == 0


def refused(tree: Tree, word: str) -> None:
    """A build says why in one line, goes on as plain make, and writes nothing into the state; a report stops."""
    (tree.root / "made").unlink(missing_ok=True)
    before = {path: path.lstat().st_mtime_ns for path in tree.state.rglob("*")}
    err = tree.build()
    assert len(err.splitlines()) == 1, err
    assert word in err
    assert err.rstrip().endswith("going on as plain make")
    assert (tree.root / "made").exists()
    assert {path: path.lstat().st_mtime_ns for path in tree.state.rglob("*")} == before
    status, _out, err = tree.run("verify")
    assert (status, len(err.splitlines())) == (2, 1)
    assert word in err


@pytest.mark.parametrize("path", [".", "db", "db/data.mdb", "last"])
def test_a_state_of_another_user_is_refused(tree: Tree, root: None, path: str) -> None:
    """The directory, or anything in it."""
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    tree.build()
    os.chown(tree.state / path, NOBODY, NOBODY)
    refused(tree, f"belongs to user {NOBODY}")


@pytest.mark.parametrize("path", [".", "db", "db/data.mdb", "seal"])
@pytest.mark.parametrize("bit", [0o020, 0o002], ids=["group", "others"])
def test_a_state_that_others_may_write_is_refused(tree: Tree, path: str, bit: int) -> None:
    """Whoever can write it can say what is current."""
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    tree.build()
    (tree.state / path).chmod(stat.S_IMODE((tree.state / path).stat().st_mode) | bit)
    refused(tree, "others may write to it")


def test_a_link_to_the_state_that_another_user_made_is_refused(tree: Tree, root: None) -> None:
    """In a directory that many may write to, they could lead hashmake into any directory of ours."""
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    tree.build()
    tree.state.rename(tree.outside / "state")
    tree.state.symlink_to(tree.outside / "state")
    tree.build()  # a link of one's own is fine
    os.lchown(tree.state, NOBODY, NOBODY)
    refused(tree, f"belongs to user {NOBODY}")


@pytest.mark.parametrize("path", ["seal", "null", "db/data.mdb", "lock"])
def test_a_link_inside_the_state_is_not_followed(tree: Tree, path: str) -> None:
    """What it leads to is not written, emptied or locked."""
    tree.makefile("all: made\nmade:\n\ttouch made\n")
    tree.build()
    tree.build()
    victim = tree.outside / "victim"
    shutil.move(tree.state / path, victim)
    (tree.state / path).symlink_to(victim)
    before = victim.read_bytes()
    refused(tree, "a link")
    assert victim.read_bytes() == before


def test_a_run_directory_of_another_user_is_left_alone(tmp_path: Path, root: None) -> None:
    """They could put links into it while it is removed."""
    paths = [tmp_path / f"hashmake-{os.geteuid()}-{number:012x}" for number in range(2)]
    for path in paths:
        path.mkdir()
        (path / "state").write_text("/nowhere")
        (path / "view").touch()
        (path / "mounts").write_text(os.readlink("/proc/self/ns/mnt"))
    os.chown(paths[0], NOBODY, NOBODY)
    sweep(str(tmp_path))
    assert [path.exists() for path in paths] == [True, False]
