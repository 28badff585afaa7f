"""Scenarios 91, 93, 95 to 97, 101 and 105: kills, damaged state, and others at work in the same tree."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .running import wait_for
from .snapshot import STATE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .project import Project, Result

FAN = """\
PARTS = 1 2 3 4 5 6
out: $(PARTS:%=part.%)
	cat $^ > out
part.%: in.%
	sort $< > $@; sleep 0.02; cat common >> $@
"""
MOMENTS = 7  # in each of three modes
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")


def fan(project: Project) -> None:
    project.write("Makefile", FAN)
    project.write("common", "0\n")
    for part in range(1, 7):
        project.write(f"in.{part}", f"{part}\n")


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_91_after_a_kill_of_hashmake_the_next_build_is_right(project: Project, moment: int) -> None:
    """kill -9 at any moment, first build or later one: nothing wrong is recorded and finished steps are kept."""
    fan(project)
    for number, wait in enumerate((0.05 + 0.06 * moment, 0.02 + 0.05 * moment)):
        project.write("common", f"{number}\n")
        build = project.start("-j2")
        time.sleep(wait)
        build.running.kill()
        build.abandon()
        project.write("in.3", f"after {number}\n")
        project.check(project.rebuild("-j2"), runs=13)


@pytest.mark.parametrize("moment", range(5))
def test_91_after_a_kill_of_everything_the_next_build_is_right(project: Project, moment: int) -> None:
    """As in a power cut: tool, make and steps die at once, in the first build and in a later one."""
    fan(project)
    for number in range(2):
        project.write("common", f"{number}\n")
        build = project.start("-j2")
        assert wait_for(lambda: project.has("part.1"))
        time.sleep(0.03 * moment)
        build.running.kill_all()
        build.abandon()
        project.check(project.rebuild("-j2"), runs=13)


CONFIGURED = """\
config:
	cp common .config
.config:
	@echo no configuration; false
auto.conf: .config
	REWRITE
	cp .config auto.conf
"""


@pytest.mark.parametrize("rewrite", ["true", "cp .config .config.new; mv .config.new .config", "cp common .config"])
def test_91_what_another_goal_made_survives_a_kill(project: Project, rewrite: str) -> None:
    """`config` wrote .config, the build that needs it was killed: it is still there, and seen, afterwards."""
    fan(project)
    project.write("Makefile", FAN.replace("out: ", "out: auto.conf ") + CONFIGURED.replace("REWRITE", rewrite))
    project.build("config")
    build = project.start("-j2")
    assert wait_for(lambda: project.has("part.2"))
    build.running.kill()
    build.abandon()
    continued = project.rebuild("-j2")
    assert continued.status == 0, continued.out + continued.err
    assert project.text(".config") == "0\n"
    project.check_null(continued)


def cut(at: float) -> Callable[[bytes, bytes], bytes]:
    """The file ends after this part of it, inside a page."""
    return lambda _, new: new[: int(len(new) * at) + 100]


def blank(page: int) -> Callable[[bytes, bytes], bytes]:
    """One page of zeros."""
    return lambda _, new: new[: page * 4096] + bytes(4096) + new[(page + 1) * 4096 :]


def mixed(keep: int) -> Callable[[bytes, bytes], bytes]:
    """Every second page is still the old one, as when the power goes between two writes."""

    def mix(old: bytes, new: bytes) -> bytes:
        pages = range(0, max(len(old), len(new)), 4096)
        return b"".join((old if number % 2 == keep else new)[at : at + 4096] for number, at in enumerate(pages))

    return mix


def foreign(_: bytes, new: bytes) -> bytes:
    """Another program's file of that name."""
    return b"not a database\n" * (len(new) // 15)


DAMAGES = {
    "empty": cut(0),
    "half": cut(0.5),
    "almost-whole": cut(0.9),
    "first-page": blank(0),
    "second-page": blank(1),
    "third-page": blank(2),
    "old-even-pages": mixed(0),
    "old-odd-pages": mixed(1),
    "foreign": foreign,
}


def state_files(project: Project) -> dict[Path, bytes]:
    """Every file of the tool's own state with its bytes."""
    paths = [path for path in (project.tree / STATE_DIRECTORY).rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.usefixtures("needs_hashmake")
def test_93_damaged_state_is_set_aside_and_the_build_is_right(project: Project, damage: str) -> None:
    """A power cut, a truncation, a foreign file: at worst everything runs again."""
    fan(project)
    project.build("-j2")
    old = state_files(project)
    project.write("common", "1\n")
    project.build("-j2")
    for path, new in state_files(project).items():
        path.write_bytes(DAMAGES[damage](old.get(path, b""), new))
    project.write("in.3", "3\n3\n")
    result = project.rebuild("-j2")
    assert "Traceback" not in result.err
    project.check(result, runs=13)


def succeeded_or_gave_way(result: Result, other: int) -> None:
    """A build beside another one waits for it, or ends at once and says whose turn it is."""
    assert result.status == 0 or str(other) in result.err, f"status {result.status}\n{result.err}"


@pytest.mark.parametrize("delay", [0, 0.1])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.usefixtures("needs_hashmake")
def test_95_two_builds_at_once_do_not_mix(project: Project, known: bool, delay: float) -> None:
    """The second waits, or refuses and names the first one's pid; in a new tree as in a known one."""
    fan(project)
    if known:
        project.build("-j2")
        project.write("common", "1\n")
    first = project.start("-j2")
    time.sleep(delay)
    second = project.start("-j2")
    results = [first.finish(), second.finish()]
    assert any(result.status == 0 for result in results)
    succeeded_or_gave_way(results[0], second.running.session)
    succeeded_or_gave_way(results[1], first.running.session)
    project.check(project.rebuild("-j2"), runs=0)


def plain_make(project: Project, *arguments: str) -> None:
    """The user forgets about hashmake for once."""
    subprocess.run(["make", *arguments], cwd=project.tree, env=project.environment, check=True, capture_output=True)


def test_96_plain_make_in_between_is_noticed(project: Project) -> None:
    """It made a product of its own; the next build judges by content."""
    fan(project)
    project.build()
    project.write("in.2", "two\n")
    plain_make(project)
    project.check(project.rebuild(), runs=3)
    project.write("in.2", "three\n")
    plain_make(project, "part.2")
    project.write("in.2", "two\n")
    project.check(project.rebuild(), runs=3)


def test_96_a_tree_that_plain_make_built_is_taken_over(project: Project) -> None:
    """Its products are no sources: an edit after it gives what a clean build gives."""
    fan(project)
    plain_make(project)
    project.write("in.4", "four\n")
    project.touch("in.4", date=time.time() + 10)
    # At first contact times are all there is to know, and -B says that they lie.
    project.check(project.rebuild(*(["-B"] if project.mode.equal_times else [])))
    project.write("in.4", "4\n")
    project.check(project.rebuild(), runs=3)


def cleanable(project: Project) -> None:
    fan(project)
    project.write("Makefile", FAN + "clean:\n\trm -f out part.*\n")


@pytest.mark.parametrize("cleaner", ["plain", "tool"])
def test_97_after_make_clean_everything_is_made_again(project: Project, cleaner: str) -> None:
    """clean, build, clean, build: the second clean cleans too."""
    cleanable(project)
    for _ in range(2):
        project.build()
        if cleaner == "tool":
            project.build("clean")
        else:
            plain_make(project, "clean")
        assert not project.has("out")
        assert not project.has("part.1")
    project.check(project.rebuild(), runs=13)


def test_97_after_git_clean_everything_is_made_again(project: Project) -> None:
    """git clean -xdf takes the tool's own state with it."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    cleanable(project)
    project.write("skip", "")
    environment = project.environment

    def git(*words: str) -> None:
        command = ["git", f"--git-dir={project.root}/repository", f"--work-tree={project.tree}", *words]
        subprocess.run(command, cwd=project.tree, env=environment, check=True, capture_output=True)

    git("init")
    git("add", ".")
    project.build()
    git("clean", "-xdf")
    assert not project.has("out")
    project.check(project.rebuild(), runs=13)


def test_101_a_moved_tree_builds_right(project: Project) -> None:
    """Another path: steps may run again, the result is a clean build's at the new place."""
    fan(project)
    project.edit("Makefile", "\tcat $^ > out", "\tcat $^ > out; echo $(CURDIR) >> out")
    project.build()
    moved = project.root / "moved"
    moved.mkdir()
    for name in ("tree", "sources"):
        (project.root / name).rename(moved / name)
    project.root, before = moved, project.root
    (before / "runs.log").rename(moved / "runs.log")
    (before / "bin").rename(moved / "bin")
    project.environment["PATH"] = project.environment["PATH"].replace(f"{before}/bin", f"{moved}/bin")
    project.write("in.5", "five\n")
    project.check(project.rebuild(), runs=13)


def in_namespaces(project: Project) -> None:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a pid namespace")
    project.prefix = NAMESPACE


@pytest.mark.usefixtures("needs_hashmake")
def test_105_two_containers_with_equal_pids_build_in_one_tree(project: Project) -> None:
    """Both tools have the same pid in their own namespaces: the lock is not fooled."""
    in_namespaces(project)
    fan(project)
    first = project.start("-j2")
    second = project.start("-j2")
    results = [first.finish(), second.finish()]
    assert any(result.status == 0 for result in results)
    assert all("Traceback" not in result.err for result in results)
    project.check(project.rebuild("-j2"), runs=0)


TEMPORARY = """\
out: made
	cat made > out; echo $(sort $(wildcard *.tmp)) >> out
made: in
	cat in > made.tmp; [ -f calm ] || { echo > started; sleep 60; }; mv made.tmp made
"""


def test_91_a_temporary_that_a_killed_step_left_is_no_source(project: Project) -> None:
    """It had come and gone in the build before, in which no rule was known to leave it."""
    project.write("Makefile", TEMPORARY)
    project.write("calm", "")
    project.write("in", "one\n")
    project.build()
    project.write("in", "two\n")
    project.delete("calm")
    build = project.start()
    assert wait_for(lambda: project.has("started"))
    build.running.kill_all()
    build.abandon()
    project.write("calm", "")
    project.check(project.rebuild(), runs=3, extra=("started",))
    project.write("in", "three\n")
    project.check(project.rebuild(), runs=3, extra=("started",))


@pytest.mark.usefixtures("needs_hashmake")
def test_105_what_lives_on_in_another_container_is_waited_for(project: Project) -> None:
    """Hashmake is killed, its make is not, and the next build, in a pid namespace of its own, can't see that."""
    fan(project)
    project.edit("Makefile", "sleep 0.02", "sleep 0.5")
    project.prefix = (*NAMESPACE, "sh", "-c", '"$@" & wait; sleep 20', "sh")  # the namespace does not end with hashmake
    build = project.start("-j2")
    assert wait_for(lambda: project.has("part.1"))
    build.running.kill_tool()
    project.prefix = NAMESPACE
    project.check(project.rebuild("-j2"), runs=13 + 4)  # the last two steps of the killed build end meanwhile
    build.running.kill_all()
    build.abandon()


@pytest.mark.usefixtures("needs_hashmake")
def test_91_a_process_killed_in_the_call_that_makes_a_file(project: Project) -> None:
    """The file is there, and nobody came to say that it was made."""
    project.write("Makefile", "out: part\n\tcp part out\npart: in\n\tsh slow part\n")
    project.write("slow", "read word < in; echo $word > $1; cat in >> $1\n")
    project.write("in", "1\n")
    inject = "strace -f -qq -o /dev/null -P part -e trace=openat -e inject=openat:delay_exit=2000000 sh"
    project.edit("Makefile", "sh slow", f"{inject} slow")
    build = project.start()
    assert wait_for(lambda: project.has("part"))
    build.running.kill_all()
    build.abandon()
    project.edit("Makefile", inject, "sh")
    project.check(project.rebuild(), runs=None)


@pytest.mark.usefixtures("needs_hashmake")
def test_105_the_lock_of_a_killed_container_is_no_obstacle(project: Project) -> None:
    """It died with its holder, although a process of that pid is alive."""
    in_namespaces(project)
    fan(project)
    build = project.start("-j2")
    assert wait_for(lambda: project.has("part.1"))
    build.running.kill_all()
    build.finish()
    project.check(project.rebuild("-j2"), runs=13)
