"""Two builds in one tree, on one machine and in two containers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from e2e.project import MODES, Project
from e2e.running import wait_for

from .moments import moments
from .workshop import OBJECTS, Workshop, complaints

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from e2e.project import Result

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
WAITING = "hashmake: another build (pid {}) is at work in {}; waiting for it"


def both(workshop: Workshop, delay: float) -> list[Result]:
    workshop.forget_marks()
    first = workshop.project.start("-j2")
    time.sleep(delay)
    second = workshop.project.start("-j2")
    return [first.finish(), second.finish()]


def judged(workshop: Workshop, results: list[Result], story: str) -> None:
    """Both good, one after the other, and no step ran in both."""
    log = (workshop.project.root / "marks.log").read_text()
    begun = [line.split()[1] for line in log.splitlines() if line.startswith("begin")]
    assert len(begun) == len(set(begun)), f"{story}: {sorted(begun)}"
    for result in results:
        assert result.status == 0, story + result.err
        assert len(complaints(result.err)) <= 1, story + result.err
    workshop.check(results[1], story)


def test_the_second_of_two_builds_waits_and_then_finds_everything_done(workshop: Workshop) -> None:
    """In a new tree and in a known one, started together or at a random distance: one line says for whom it waits."""
    waited = False
    for story, random in moments("two builds", 6):
        workshop.edit_some(random, least=1)
        results = both(workshop, random.choice((0, random.uniform(0, 1))))
        said = [line for result in results for line in complaints(result.err)]
        assert all(line.startswith("hashmake: another build (pid ") for line in said), said
        waited = waited or bool(said)
        judged(workshop, results, story)
    assert waited


def test_equal_pids_in_two_pid_namespaces_do_not_mix_two_builds(workshop: Workshop) -> None:
    """As in two containers with one volume: in each of them hashmake is number 1."""
    workshop.project.prefix = NAMESPACE
    for story, random in moments("namespaces", 4):
        workshop.edit_some(random, least=1)
        results = both(workshop, random.choice((0, random.uniform(0, 1))))
        said = {line for result in results for line in complaints(result.err)}
        assert said <= {WAITING.format(1, workshop.project.tree / ".hashmake")}, said
        judged(workshop, results, story)


def test_a_build_that_waits_for_one_that_is_killed_goes_on_and_is_right(workshop: Workshop) -> None:
    """In a namespace of its own too, where the dead one's pid is its own."""
    for story, random in moments("waiting for the dead", 4):
        workshop.project.prefix = random.choice(((), NAMESPACE))
        workshop.edit_some(random, least=1)
        workshop.forget_marks()
        first = workshop.project.start("-j2")
        time.sleep(random.uniform(0.2, 0.6))
        second = workshop.project.start("-j2")
        time.sleep(random.uniform(0, 0.4))
        first.running.kill_all()
        result = second.finish()
        first.abandon()
        assert result.status == 0, story + result.err
        workshop.forget_marks()
        workshop.check(workshop.project.attempt("-j2"), story)


def test_a_second_build_with_interrupts_ends_while_it_waits(workshop: Workshop) -> None:
    """Ctrl-C in the one that waits: status 130 at once, and the first goes on."""
    workshop.nap(200)
    first = workshop.project.start("-j2")
    time.sleep(0.4)
    second = workshop.project.start("-j2")
    time.sleep(0.4)
    began = time.monotonic()
    second.running.interrupt()
    result = second.finish()
    assert result.status == 130
    assert time.monotonic() - began < 2
    assert complaints(result.err) == [WAITING.format(first.running.session, workshop.project.tree / ".hashmake")]
    assert first.running.process.poll() is None
    assert os.path.isdir(workshop.project.tree / ".hashmake")
    workshop.check(first.finish(), "")


def test_a_build_in_another_mount_namespace_leaves_this_one_alone(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, shim: Path, python_path: str
) -> None:
    """It sweeps what dead builds left in /dev/shm, and does not see the tree that is being built here."""
    other = without_sight_of(workshop, Project.create(tmp_path_factory.mktemp("other"), shim, MODES[0], python_path))
    first = workshop.project.start("-j2")
    assert wait_for(lambda: bool(workshop.marks("begin")))
    assert other.attempt().status == 0
    assert first.running.process.poll() is None
    result = first.finish()
    assert not complaints(result.err)
    workshop.check(result, "beside a build in another container")


def test_a_killed_build_is_recovered_after_one_in_another_mount_namespace(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, shim: Path, python_path: str
) -> None:
    """That one does not see the tree, and so can't know whether somebody recovers from what lies in /dev/shm."""
    other = without_sight_of(workshop, Project.create(tmp_path_factory.mktemp("other"), shim, MODES[0], python_path))
    workshop.nap(300)
    first = workshop.project.start("-j2")
    assert wait_for(lambda: bool(workshop.marks("begin").keys() & OBJECTS))
    first.running.kill_all()
    first.abandon()
    workshop.nap(0)
    assert other.attempt().status == 0
    workshop.forget_marks()
    result = workshop.project.attempt("-j2")
    assert not complaints(result.err)  # that the machine went down
    workshop.check(result, "after a build in another container")


def without_sight_of(workshop: Workshop, other: Project) -> Project:
    """The other project, built in a mount namespace where this one's tree can't be seen."""
    other.write("Makefile", "out: in\n\tcp in out\n")
    other.write("in", "1\n")
    hide = f'mount -t tmpfs none {workshop.project.root} && exec "$@"'
    other.prefix = ("unshare", "--mount", "sh", "-c", hide, "sh")
    return other
