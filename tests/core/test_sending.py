"""What is sent with a step that another machine may run, and whether what came back is believed."""

from __future__ import annotations

import pytest
from fakes import at, version_of

from core.world import CWD, World
from hashmake.judge.sending import Job, Sending
from hashmake.model.kinds import LIST, LSTAT, NEVER, READ
from hashmake.model.result import COMPOSITE, FAILED, RECIPE, UNSEEN, Result, ResultId


class Bench:
    """A tree in which a.o was made of a.c and a.h, where b.h was looked for in vain."""

    def __init__(self) -> None:
        self.world = World("a.o: a.c a.h ?b.h", a_c="c", a_h="h")
        self.world.build()
        recording = self.world.recording
        results = [recording.result(ResultId(number)) for number in range(1, 9)]
        self.last = next(r for r in results if r is not None and r.outs and not r.kids)
        self.engine = self.world.engine
        self.sending = Sending(self.engine.evaluation)
        self.tree = self.engine.evaluation.tree

    def job(self, *words: bytes, last: Result | None = None) -> Job | None:
        """What is sent."""
        environment = self.engine.environments.of(b"PATH=/bin")
        argv = list(words or self.last.argv)
        running = self.engine.starter.start(RECIPE, self.last.key, CWD, argv, environment, None)
        return self.sending.job(running, last or self.last)

    def knows(self, kind: int, path: bytes, value: bytes = b"E") -> None:
        """One fact more of its last run."""
        tables = self.tree.tables
        self.last.facts.append(tables.fact(kind, tables.path(path), tables.value(value)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_files_are_sent_as_they_are_now(bench: Bench) -> None:
    """Not as they were when the step ran; what was missing is missing there."""
    bench.world.files.write(at("a.h"), "edited")
    bench.tree.wrote(at("a.h"))
    job = bench.job()
    assert job is not None
    sources = {path: version for path, version in job.files.items() if path.startswith(CWD)}
    assert sources == {at("a.c"): version_of("c"), at("a.h"): version_of("edited")}
    assert job.files.keys() - sources.keys() == {b"/bin/sh"}
    assert job.outputs == [at("a.o")]
    assert CWD in job.directories


def test_links_are_links_and_what_they_lead_to_is_sent(bench: Bench) -> None:
    bench.world.files.mkdir(b"/w/real")
    bench.world.files.write(b"/w/real/x.h", "x")
    bench.world.files.symlink("real", b"/w/link")
    bench.knows(READ, b"/w/link/x.h")
    job = bench.job()
    assert job is not None
    assert job.links == {b"/w/link": b"real"}
    assert job.files[b"/w/real/x.h"] == version_of("x")
    bench.knows(LSTAT, b"/w/link")
    assert bench.job() == job


@pytest.mark.parametrize("kind", [LIST, NEVER])
def test_a_step_that_looked_at_more_than_files_stays_here(bench: Bench, kind: int) -> None:
    bench.knows(kind, b"/w")
    assert bench.job() is None


def test_a_step_that_asked_about_the_machine_stays_here(bench: Bench) -> None:
    bench.knows(READ, b"uname")
    assert bench.job() is None


@pytest.mark.parametrize("flag", [UNSEEN, FAILED, COMPOSITE])
def test_a_step_of_which_not_all_is_known_stays_here(bench: Bench, flag: int) -> None:
    bench.last.flags |= flag
    assert bench.job() is None


def test_a_step_that_calls_make_stays_here(bench: Bench) -> None:
    assert bench.job(b"/bin/sh", b"sh", b"-c", b"make -C sub") is None


def test_a_step_that_wrote_elsewhere_stays_here(bench: Bench) -> None:
    bench.last.outs[0] = bench.tree.tables.path(b"/elsewhere/a.o")
    assert bench.job() is None


@pytest.mark.parametrize(
    ("records", "good"),
    [
        ("r/w/a.c n/w/b.h w/w/a.o", True),
        ("n/w/a.o w/w/a.o", True),  # made where nothing was
        ("w/tmp/cc1.s u/tmp/cc1.s w/w/a.o", True),
        ("n/w/a.h w/w/a.o", False),  # it is here
        ("w/w/a.o w/w/a.d", False),  # it has not come
        ("w/w/a.o d/w", False),  # what it listed was not all
        ("w/w/a.o vuser", False),
        ("w/w/a.o v?user", True),
        ("u/w/a.h w/w/a.o", False),  # it would have to go here as well
        ("w/w/a.o c/w/a.o", False),  # a mode does not come
        ("w/w/a.o !static:/bin/x", False),
    ],
)
def test_what_came_back_is_what_it_would_have_done_here(bench: Bench, records: str, good: bool) -> None:
    assert bench.sending.agrees([record.encode() for record in records.split()], {at("a.o")}) is good
