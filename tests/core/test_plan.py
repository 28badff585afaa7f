"""judge: current or stale, with the reason as a value."""

from __future__ import annotations

from array import array

from fakes import MemoryDisk, version_of

from hashmake.judge import verdict as plan
from hashmake.judge.reason import Reason, describe
from hashmake.judge.tree import Tree
from hashmake.model import kinds, tables
from hashmake.model.recording import Recording
from hashmake.model.result import FAILED, RECIPE, UNSEEN, Result
from hashmake.model.tables import PathId


class World:
    """A recording, a disk and a tree; steps described in a line."""

    def __init__(self, **files: str) -> None:
        self.disk = MemoryDisk.of(**files)
        self.recording = Recording()
        self.new_build()

    def new_build(self) -> None:
        self.tree = Tree(self.recording.tables, self.disk)

    def pid(self, name: str) -> PathId:
        return self.recording.tables.path(b"/w/" + name.encode())

    def step(self, name: str, reads: str = "", absents: str = "", lists: str = "", writes: str = "") -> Result:
        t = self.recording.tables
        result = Result(name.encode().ljust(16), RECIPE, PathId(0), [b"/bin/sh", name.encode()])
        facts = [self.tree.fact_now(kinds.READ, self.pid(n)) for n in reads.split()]
        facts += [t.fact(kinds.ABSENT, self.pid(n), tables.NO_VALUE) for n in absents.split()]
        facts += [self.tree.fact_now(kinds.LIST, t.path(b"/w")) for _ in lists.split()]
        result.facts = array("I", sorted(facts))
        for out in writes.split():
            out_name, _, text = out.partition("=")
            pre = self.tree.state.get(self.pid(out_name), tables.NO_VALUE)
            post = t.value(version_of(text))
            result.outs.extend((self.pid(out_name), pre, post))
            self.disk.write(out_name, text)
            self.tree.put(self.pid(out_name), pre, post, wrote=True)
        return self.recording.accept(result)

    def reason(self, result: Result) -> str:
        found = (
            plan.judge_kind(result)
            or plan.judge_inputs(result, self.tree)
            or plan.judge_outputs(result, self.tree, self.recording.reaches)
        )
        return "current" if found is None else f"{found.kind} {found.what.decode().removeprefix('/w/')}".strip()

    def hide(self, *names: str) -> None:
        self.new_build()
        for name in names:
            self.tree.hide(self.pid(name))


def test_a_step_is_current_when_its_reads_and_outputs_are_as_recorded() -> None:
    """Nothing changed: current."""
    w = World(a="1")
    step = w.step("cc", reads="a", writes="a.o=x")
    w.hide("a.o")
    assert w.reason(step) == "current"


def test_a_changed_source_makes_its_reader_stale_and_is_named() -> None:
    """ReadChanged names the path."""
    w = World(a="1")
    step = w.step("cc", reads="a", writes="a.o=x")
    w.disk.write("a", "2")
    w.hide("a.o")
    assert w.reason(step) == "ReadChanged a"


def test_a_looked_for_file_that_appears_makes_the_step_stale() -> None:
    """Absence is a digest."""
    w = World(a="1")
    step = w.step("cc", reads="a", absents="config.h", writes="a.o=x")
    w.disk.write("config.h", "")
    w.hide("a.o")
    assert w.reason(step) == "Appeared config.h"


def test_a_missing_and_an_altered_output_make_the_step_stale() -> None:
    """OutputMissing, OutputTouched."""
    w = World(a="1")
    step = w.step("cc", reads="a", writes="a.o=x")
    w.disk.remove_file("a.o")
    w.hide("a.o")
    assert w.reason(step) == "OutputMissing a.o"
    w.disk.write("a.o", "garbage")
    w.hide("a.o")
    assert w.reason(step) == "OutputTouched a.o"


def test_a_product_counts_with_the_version_this_build_made_not_the_disk() -> None:
    """A reader of a product that no step of this build has made yet is stale, whatever lies on the disk."""
    w = World(a="1")
    cc = w.step("cc", reads="a", writes="a.o=x")
    ld = w.step("ld", reads="a.o", writes="prog=y")
    w.hide("a.o", "prog")
    assert w.reason(ld) == "Vanished a.o"
    w.tree.put(w.pid("a.o"), tables.NO_VALUE, cc.outputs()[0][2], wrote=False)
    assert w.reason(ld) == "current"


def test_a_version_that_known_steps_took_further_does_not_make_its_maker_stale() -> None:
    """cc then objtool on one path: the disk holds the last version."""
    w = World(a="1")
    cc = w.step("cc", reads="a", writes="a.o=x")
    objtool = w.step("objtool", reads="a.o", writes="a.o=xx")
    w.hide("a.o")
    assert w.reason(cc) == "current"
    w.tree.put(w.pid("a.o"), tables.NO_VALUE, cc.outputs()[0][2], wrote=False)
    assert w.pid("a.o") in w.tree.ahead
    assert w.reason(objtool) == "current"
    w.tree.put(w.pid("a.o"), tables.NO_VALUE, objtool.outputs()[0][2], wrote=False)
    assert not w.tree.ahead


def test_a_listing_leaves_out_products_that_are_not_made_yet() -> None:
    """An old product in a listed directory changes nothing; a new source does."""
    w = World(a="1")
    step = w.step("pack", lists="w", writes="out=x")
    w.hide("out")
    assert w.reason(step) == "current"
    w.disk.write("b", "")
    w.hide("out")
    assert w.reason(step) == "ListingChanged /w"


def test_failed_and_unseen_results_are_never_current() -> None:
    """FailedLastTime and TraceIncomplete say why."""
    w = World(a="1")
    step = w.step("cc", reads="a")
    step.flags = FAILED
    step.code = 2
    assert w.reason(step) == "FailedLastTime 2"
    step.flags = UNSEEN
    step.why = b"static:/bin/x"
    assert w.reason(step) == "TraceIncomplete static:/bin/x"


def test_every_reason_has_a_line_for_people() -> None:
    """describe knows all kinds."""
    kinds = (
        "NeverRan CommandChanged ReadChanged Appeared Vanished ListingChanged OutputMissing OutputTouched"
        " OutputOverwritten VariableChanged FailedLastTime TraceIncomplete ChangedWhileRead Forced Prints"
    )
    for kind in kinds.split():
        assert len(describe(Reason(kind, b"thing", b"Na", b"Nb"))) > 8


def test_an_entry_of_a_table_that_is_not_there_is_no_changed_entry() -> None:
    """Its reader is stale because the table is gone; lines under no name are told as what they are."""
    world = World()
    entry = world.recording.tables.value(b"CONFIG_X=y")
    fid = world.recording.tables.fact(kinds.NAME, world.pid("auto.conf"), entry)
    assert plan.explain(fid, world.tree).kind == "Vanished"
    assert describe(Reason("NameChanged", b"/w/t", b"CONFIG_X=y", b"CONFIG_X")).endswith("y -> not set")
    assert describe(Reason("NameChanged", b"/w/t", b"=a", b"=b")).startswith("lines of /w/t changed")


def test_an_equal_result_is_the_older_one_again() -> None:
    """Running a step twice with equal inputs and outputs keeps one result."""
    w = World(a="1")
    first = w.step("cc", reads="a", writes="a.o=x")
    w.hide("a.o")
    second = w.step("cc", reads="a", writes="a.o=x")
    assert first is second


def test_what_a_step_did_to_a_file_is_gone_when_that_was_made_anew() -> None:
    """`printf > x; chmod a-w x`: x came back writable, for chmod had changed no content."""
    w = World(a="1")
    made = w.step("make", reads="a", writes="x=1")
    touched = w.step("chmod", writes="x=1")
    w.hide("x")
    w.tree.put(w.pid("x"), tables.NO_VALUE, tables.ValueId(made.outs[2]), wrote=False)
    assert w.reason(touched) == "current"
    w.hide("x")
    w.step("make", reads="a", writes="x=1")
    assert w.reason(touched) == "MadeAnew x"


def test_it_is_forgotten_as_soon_as_the_file_was_made_anew() -> None:
    """The build may end before it is asked for."""
    w = World()
    w.step("make", writes="x=1")
    touched = w.step("chmod", writes="x=1")
    assert list(w.recording.candidates(touched.key))
    w.recording.made_anew(w.pid("x"), touched.outs[2])  # type: ignore[arg-type]
    assert not list(w.recording.candidates(touched.key))
