"""kill -9 at random moments, Ctrl-C, and a machine that goes down."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from e2e.running import members, wait_for

from .moments import moments
from .workshop import ALL, OBJECTS, Workshop, clock, complaints, our_lines, processes, settle

if TYPE_CHECKING:
    from random import Random

    from e2e.project import Project, Result
    from e2e.running import Running

MAKE_KILLED = "hashmake: make: killed by signal 9; run the same command again"
SUPERVISOR_DIED = "hashmake: the supervisor died; this build can't go on; run the same command again"
# A step tells hashmake within this time of its last mark. Where hashmake lives on, all that it was told is saved; else
# what it was told of before the database was last written to.
TOLD_AFTER = 0.4
MOMENTS = 5


def kill_hashmake(running: Running, _random: Random) -> bool:
    running.kill()
    return True


def kill_everything(running: Running, _random: Random) -> bool:
    running.kill_all()
    return True


def kill_all_below(running: Running, _random: Random) -> bool:
    running.kill_below()
    return True


def kill_one(running: Running, random: Random, wanted: str) -> bool:
    """One random process of a kind; whether there was one."""
    found = [
        pid for pid, name in processes(running.session).items() if kind_of(name) == wanted and pid != running.session
    ]
    if not found:
        return False
    try:
        os.kill(random.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kind_of(name: str) -> str:
    return {"make": "make", "hmstep": "launcher"}.get(name, "step")


def kill_make(running: Running, random: Random) -> bool:
    return kill_one(running, random, "make")


def kill_step(running: Running, random: Random) -> bool:
    return kill_one(running, random, "step")


def kill_launcher(running: Running, random: Random) -> bool:
    return kill_one(running, random, "launcher")


def interrupt(running: Running, _random: Random) -> bool:
    running.interrupt()
    return True


def interrupt_twice(running: Running, random: Random) -> bool:
    running.interrupt()
    time.sleep(random.uniform(0, 0.2))
    with suppress(ProcessLookupError):
        running.interrupt()
    return True


KILLS = {
    "hashmake": kill_hashmake,
    "make": kill_make,
    "step": kill_step,
    "launcher": kill_launcher,
    "below": kill_all_below,
    "group": kill_everything,
    "Ctrl-C": interrupt,
    "Ctrl-C-twice": interrupt_twice,
}
# Before that, Python itself is only starting.
EARLIEST = {"Ctrl-C": 0.2, "Ctrl-C-twice": 0.2}


def interrupted_build(workshop: Workshop, random: Random, kill: str) -> tuple[Result, set[str]]:
    """A build that is killed at a random moment: how it ended, and which steps must not run again."""
    action = KILLS[kill]
    workshop.forget_marks()
    arguments = random.choice((("-j1",), ("-j2",), ("-j4",), ("-j3", "-k")))
    began = clock()
    build = workshop.project.start(*arguments)
    time.sleep(random.uniform(EARLIEST.get(kill, 0.03), workshop.expected))
    struck_at = clock()
    struck = False
    while not struck and build.running.process.poll() is None:
        struck_at = clock()
        struck = action(build.running, random)
        time.sleep(0.002)
    if kill in ("hashmake", "group"):
        struck_at = min(struck_at, workshop.saved_at())
    result = build.finish()
    if kill in ("hashmake", "group") and random.random() < 0.7:
        # The next build may find what is left of this one still at work. Of the others nothing is left.
        settle(build.running.session)
    else:
        # The kernel needs a moment to end what was sent SIGKILL.
        assert kill in ("hashmake", "group") or not members(build.running.session), processes(build.running.session)
    if result.status == 0:
        workshop.expected = max(0.3, clock() - began)
    return result, workshop.ended_before(struck_at - TOLD_AFTER)


@pytest.mark.parametrize("kill", KILLS)
def test_after_a_kill_at_a_random_moment_the_next_build_is_right(workshop: Workshop, kill: str) -> None:
    """In a first build or a later one, once or twice in a row: nothing wrong is recorded, what was saved is kept."""
    for story, random in moments(kill, MOMENTS):
        if random.random() < 0.4:
            workshop.start_afresh()
        else:
            workshop.edit_some(random, least=1)
        kept: set[str] = set()
        for _ in range(random.choice((1, 1, 2))):
            result, saved = interrupted_build(workshop, random, kill)
            assert "Traceback" not in result.err, story + result.err
            assert "internal error" not in result.err, story + result.err
            assert len(complaints(result.err)) <= 1, story + result.err
            lost = sorted(set(workshop.marks("begin")) & kept)
            assert not lost, f"{story}: run again although they had ended and were saved: {lost}"
            kept |= saved
        if random.random() < 0.5:
            kept -= workshop.edit_some(random)
        workshop.forget_marks()
        workshop.check(workshop.project.attempt("-j3"), story, kept, made_away=kill not in ("hashmake", "group"))


def test_a_kill_of_hashmake_is_told_in_one_line(workshop: Workshop) -> None:
    """Its launchers notice when their steps end; the first of them says what to do."""
    build = workshop.project.start("-j3")
    assert wait_for(lambda: bool(workshop.marks("begin").keys() & OBJECTS))
    build.running.kill()
    settle(build.running.session)
    assert our_lines(build.finish().err) == [SUPERVISOR_DIED]
    workshop.forget_marks()
    workshop.check(workshop.project.attempt("-j3"), "")


def test_a_kill_of_make_is_told_in_one_line(workshop: Workshop) -> None:
    """And nothing of the build is left at work when hashmake ends."""
    build = workshop.project.start("-j3")
    assert wait_for(lambda: bool(workshop.marks("begin").keys() & OBJECTS))
    makes = [pid for pid, name in processes(build.running.session).items() if name == "make"]
    os.kill(min(makes), signal.SIGKILL)
    result = build.finish()
    assert not members(build.running.session)
    assert result.status == 137
    assert MAKE_KILLED in our_lines(result.err)
    workshop.forget_marks()
    workshop.check(workshop.project.attempt("-j3"), "")


def test_the_next_build_ends_what_a_killed_one_left_at_work(workshop: Workshop) -> None:
    """A step that outlived hashmake would move its product into place beside the new build."""
    project = workshop.project
    project.write(
        "Makefile", "out: in\n\tbegin out; cp in out.new; nap; nap; nap; cp in out.new; mv out.new out; end out\n"
    )
    project.write("in", "old\n")
    workshop.nap(900)
    build = project.start()
    assert wait_for(lambda: project.has("out.new"))
    build.running.kill()
    build.running.process.wait()
    project.write("in", "new\n")
    workshop.nap(0)
    result = project.attempt()
    assert not members(build.running.session)
    build.finish()
    project.check(result)
    time.sleep(0.1)
    assert project.text("out") == "new\n"


MACHINE_DOWN = "the machine went down in the last build; everything is built again"


def test_when_the_machine_went_down_nothing_unrecorded_is_believed(workshop: Workshop) -> None:
    """Another boot, and what lay in memory is gone: everything is built again, and it says so."""
    project = workshop.project
    build = project.start("-j3")
    assert wait_for(lambda: "a.o.2" in workshop.marks("end"))
    build.running.kill_all()
    build.abandon()
    boot = project.root / "boot"
    boot.write_text("another\n")
    reboot = f'mount --bind {boot} /proc/sys/kernel/random/boot_id && mount -t tmpfs tmpfs /dev/shm && exec "$@"'
    project.prefix = ("unshare", "--mount", "sh", "-c", reboot, "sh")
    workshop.forget_marks()
    result = project.attempt("-j3")
    assert our_lines(result.err)[0] == f"hashmake: {project.tree}/.hashmake: {MACHINE_DOWN}"
    assert set(workshop.marks("begin")) == ALL
    workshop.check(result, "")


def test_a_launcher_killed_before_its_command_begins_leaves_nothing_behind(project: Project) -> None:
    """The process that was about to become the command has no environment yet by which it could be found."""
    slow = project.tree / "slow"
    project.script("slow", "#!/bin/sh\necho made > part\n")
    project.write("Makefile", "part:\n\t./slow\n")
    delay = ("-e", "trace=execve", "-e", "inject=execve:delay_enter=1500000")
    project.prefix = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", "./slow", "-P", str(slow), *delay)
    build = project.start()
    pairs: list[int] = []

    def about_to_begin() -> bool:
        launchers = {pid for pid, name in processes(build.running.session).items() if name == "hmstep"}
        pairs[:] = [pid for pid in launchers if parent(pid) in launchers]
        return bool(pairs)

    assert wait_for(about_to_begin)
    os.kill(parent(pairs[0]), signal.SIGKILL)
    assert build.finish().status == 2
    time.sleep(2)
    assert not project.has("part")


def parent(pid: int) -> int:
    """The process that a process was started by."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
