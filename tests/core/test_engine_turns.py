"""The engine, where several steps write one file in turn, where makes are below makes, and where goals meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.world import World
from hashmake.judge.running import Line, Running
from hashmake.model.result import COMPOSITE, RECIPE

if TYPE_CHECKING:
    from core.makefile import Step

pytestmark = pytest.mark.usefixtures("both_ways")

# -- one file, several steps ----------------------------------------------------------------------------------------


LOG = "one = log+: a\ntwo = log+: b\nthree = log+: c\nlast: log"


def log() -> World:
    """Three steps append to one file, in turn."""
    w = World(LOG, a="1", b="2", c="3")
    assert w.build() == "one two three last"
    assert w.text("log") == "log+(1)log+(2)log+(3)"
    return w


def test_steps_that_append_in_turn_are_current_together() -> None:
    """Though the disk holds only the last version: the others are ahead of their turn."""
    assert log().build() == ""


def test_the_last_of_a_chain_that_is_stale_gets_the_version_before_it_back() -> None:
    w = log()
    w.edit("c", "4")
    w.build()
    assert w.text("log") == "log+(1)log+(2)log+(4)"
    assert w.build() == ""


def test_the_first_of_a_chain_that_is_stale_begins_it_anew() -> None:
    w = log()
    w.edit("a", "4")
    assert w.build() == "one two three last"
    assert w.build() == ""


def test_a_version_that_is_due_is_brought_back_by_the_step_that_made_it_of_nothing() -> None:
    """Nobody saw that the second step is stale before make asked for it."""
    w = World("cc = x: a\nstrip = x: x $(FLAVOUR)", a="1")
    w.build()
    assert w.build() == ""
    w.env["FLAVOUR"] = "sweet"
    assert w.build() == "strip cc"
    assert w.why == {"strip": "VariableChanged FLAVOUR", "cc": "OutputOverwritten x"}
    assert w.build() == ""


def test_a_version_that_two_steps_made_in_turn_can_not_be_brought_back_by_one() -> None:
    """The build is evaluated once more, and those steps are not believed then."""
    w = World("one = x+: a\ntwo = x+: a\nthree = x+: $(FLAVOUR)", a="1")
    w.build()
    w.env["FLAVOUR"] = "sweet"
    w.build()
    assert w.restarts == 1
    assert w.text("x") == "x+(1)x+(1)x+(sweet)"
    assert w.build() == ""


def test_what_leads_further_is_looked_into_before_it_is_believed() -> None:
    """The second step is stale: what it left leads nowhere, and so the first one runs at once."""
    w = World("cc = x: a\nstrip = x: x ?b", a="1")
    w.build()
    w.edit("b", "new")
    assert w.build() == "cc strip"
    assert w.why["cc"] == "OutputTouched x"


def test_a_spoiled_version_leads_nowhere() -> None:
    w = log()
    w.spoil("log")
    assert w.build() == "one two three"
    assert w.text("log") == "log+(1)log+(2)log+(3)"


def test_a_reader_between_two_writers_gets_the_version_that_is_due() -> None:
    w = World("cc = x: a\nbetween: x b\nstrip = x: x c\nlast: x", a="1", b="2", c="3")
    w.build()
    assert w.build() == ""
    w.edit("b", "3")
    ran = w.build()
    assert ran.split()[0] == "between"
    assert w.text("between") == "between(x(1) 3)"
    assert w.build() == ""


def test_a_version_whose_maker_was_not_asked_for_needs_another_evaluation() -> None:
    """It lies in a make that was skipped: only what make asks for is started."""
    w = World("make sub:\n  cc = x: a\nstrip = x: x $(FLAVOUR)", a="1")
    w.build()
    assert w.build() == ""
    w.env["FLAVOUR"] = "sweet"
    assert w.build() == "strip sub cc strip"
    assert w.restarts == 1
    assert w.text("x") == "x(x(1) sweet)"
    assert w.build() == ""


def test_at_the_end_every_product_is_in_the_version_that_is_due() -> None:
    """The step that had taken it further is gone from the makefile."""
    w = World("cc = x: a\nstrip = x: x b", a="1", b="2")
    w.build()
    w.makefile("cc = x: a")
    assert w.build() == "cc"
    assert w.why["cc"] == "OutputOverwritten x"
    assert w.text("x") == "x(1)"


def test_a_step_that_took_away_what_another_made_is_followed_by_neither() -> None:
    w = World("x: a\ny: x\nclean = () : rm(x)", a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "x y clean"


def test_a_file_that_is_moved_is_asked_for_at_both_names() -> None:
    w = World("x.tmp: a\nmove = () : mv(x.tmp,x)\ny: x", a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "x.tmp move y"
    w.remove("x")
    assert w.build() == "x.tmp move"


def test_a_step_that_sets_a_mode_runs_again_where_the_file_was_made_anew() -> None:
    w = World("x: a\nlock = () : chmod(x)\ny: x", a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "x lock y"


def test_also_where_what_was_made_anew_is_what_it_was() -> None:
    """No content tells that the mode is lost."""
    w = World("x: first(a)\nlock = () : chmod(x)\ny: x", a="1 2")
    w.build()
    w.edit("a", "1 3")
    assert w.build() == "x lock"
    assert w.build() == ""


def test_also_where_the_build_ended_between_the_two() -> None:
    w = World("x: first(a)\nbreak = () : ?bad b\nlock = () : chmod(x)", a="1 2", b="")
    w.build()
    w.edit("a", "1 3")
    w.remove("b")
    assert w.build() == "x break"
    assert w.code == 2
    w.edit("b", "")
    assert w.build() == "lock"


def test_a_source_that_a_step_changes_in_place_is_changed_once() -> None:
    w = World("mark = text: a text\ny: text", a="1", text="x", checked=False)
    w.build()
    changed = w.text("text")
    assert w.build() == ""
    assert w.text("text") == changed
    w.edit("text", "y")
    assert w.build() == "mark y"
    assert w.text("text") == "text(1 y)"


def test_what_a_step_wrote_under_one_name_of_a_file_it_wrote_under_both() -> None:
    w = World("x: a\nlink = () : ln(x,y)\nz: y", a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "x link z"


# -- makes below makes ----------------------------------------------------------------------------------------------

SUB = "make sub:\n  x: a\n  y: x b\nlast: y"


def sub() -> World:
    """A make that calls a make."""
    w = World(SUB, a="1", b="2")
    assert w.build() == "sub x y last"
    return w


def test_a_make_is_current_with_all_that_lies_below() -> None:
    w = sub()
    assert w.build() == ""
    assert w.engine.ending.log.counts.skipped == 3


def test_a_make_is_gone_through_where_one_of_its_steps_is_stale() -> None:
    w = sub()
    w.edit("b", "3")
    assert w.build() == "sub y last"
    assert w.why["sub"] == "ReadChanged b"


def test_a_make_whose_makefile_changed_is_gone_through_and_its_steps_are_judged() -> None:
    w = sub()
    w.makefile(SUB.replace("  y: x b", "  y: x b\n  z: x"))
    assert w.build() == "sub z"


def test_a_make_whose_variables_changed_is_gone_through_for_that() -> None:
    w = World("make sub:\n  x: a $(FLAVOUR)\n  y: a\nlast: x", a="1")
    w.build()
    w.env["OTHER"] = "1"
    assert w.build() == ""
    w.env["FLAVOUR"] = "sweet"
    assert w.build() == "sub x last"
    assert w.why["sub"] == "VariableChanged FLAVOUR"


def test_a_step_below_that_makes_what_was_there_stops_the_ripple_above() -> None:
    w = World("make sub:\n  x: first(a)\nlast: x", a="1 2")
    w.build()
    w.edit("a", "1 3")
    assert w.build() == "sub x"
    assert w.build() == ""


def test_a_make_in_a_make_in_a_make_is_one_step_to_each_above() -> None:
    w = World("make one:\n  make two:\n    make three:\n      x: a\n    y: x\n  z: y", a="1", b="")
    w.build()
    assert w.build() == ""
    assert w.result("one").flags & COMPOSITE
    w.edit("a", "2")
    assert w.build() == "one two three x y z"
    assert w.build() == ""


def test_what_a_make_made_itself_is_no_input_of_it() -> None:
    w = sub()
    paths = w.recording.tables.paths
    facts = w.result("sub").facts
    assert b"/w/a" in {paths[w.recording.tables.fact_path[f]] for f in facts}
    kinds = {w.recording.tables.fact_kind[f] for f in facts if paths[w.recording.tables.fact_path[f]] == b"/w/x"}
    assert kinds <= {1}  # that it was not there


def test_a_listing_below_is_as_it_was_before_the_make_began() -> None:
    w = World("make sub:\n  x: a\n  list: ls(.)\nlast: list", a="1")
    w.build()
    assert w.build() == ""
    w.edit("new", "")
    assert w.build() == "sub list last"


def test_a_failure_below_makes_the_make_run_again() -> None:
    w = World("make sub:\n  x: a\n  y: missing", a="1", checked=False)
    assert w.build() == "sub x y"
    assert w.code == 2
    w.edit("missing", "")
    assert w.build() == "sub y"
    assert w.code == 0
    assert w.build() == ""


def test_an_unseen_step_below_makes_the_make_above_run_every_time() -> None:
    w = World("make sub:\n  x: a unseen(static)\n  y: a", a="1")
    w.build()
    assert w.build() == "sub x"
    assert w.why["sub"] == "TraceIncomplete static"


def test_a_change_below_while_the_make_is_at_work_reaches_the_make() -> None:
    w = World("make sub:\n  x: a\n  y: b\nlast: y", a="1", b="2")
    w.after["x"] = lambda: w.touch("a")
    w.build()
    assert w.build() == "sub x"


# -- goals ----------------------------------------------------------------------------------------------------------


def test_two_goals_that_share_a_product_make_it_once() -> None:
    w = World("x: a\ny: x\nz: x", a="1")
    assert w.build("x y", goal="first") == "x y"
    assert w.build("x z", goal="second") == "z"
    assert w.build("x y", goal="first") == ""
    assert w.build("x z", goal="second") == ""


def test_a_product_that_another_goal_made_anew_is_there_for_this_one() -> None:
    w = World("x: a\ny: x\nz: x", a="1")
    w.build("x y", goal="first")
    w.build("x z", goal="second")
    w.edit("a", "2")
    assert w.build("x z", goal="second") == "x z"
    assert w.build("x y", goal="first") == "y"


def test_what_another_goal_made_is_a_product_of_this_one_as_soon_as_it_has_asked_for_it() -> None:
    """At first it is there, as with stock make; from then on no build of this goal sees it too early."""
    w = World("early: a ?x\nx: a", a="1", checked=False)
    w.build("x", goal="first")
    assert w.build(goal="second") == "early"
    assert w.text("early") == "early(1 x(1))"
    assert w.build(goal="second") == "early"
    assert w.text("early") == "early(1)"
    assert w.build(goal="second") == ""


def test_a_goal_that_removes_what_another_made_makes_that_one_run() -> None:
    w = World("x: a\ny: x\nclean = () : rm(x)", a="1", checked=False)
    w.build("x y", goal="all")
    assert w.build("clean", goal="clean") == "clean"
    assert not w.there("x")
    assert w.build("x y", goal="all") == "x"


def test_a_clean_goal_runs_again_when_there_is_something_to_remove_again() -> None:
    w = World("x: a\nclean = () : rm(x)", a="1", checked=False)
    w.build("x", goal="all")
    w.build("clean", goal="clean")
    w.build("x", goal="all")
    assert w.build("clean", goal="clean") == "clean"
    assert not w.there("x")


# -- lines that only print ------------------------------------------------------------------------------------------


SAY = [b"/bin/sh", b"sh", b"-c", b"echo making x"]


class Recipe(World):
    """A recipe of two lines: one that says what is done, and the step that does it."""

    def _make(self, running: Running, steps: list[Step]) -> int:
        for later, argv in ((False, SAY), (True, steps[0].argv)):
            line = Line((running.number, 7), later, b"echo")
            answer = self.engine.ask(RECIPE, running.number, b"/w", argv, self._block(), line)
            if isinstance(answer, Running):
                for each in [*answer.first, answer]:
                    self.ran.append(each.argv[3].decode())
                    if each.argv == SAY:
                        self.engine.ending.done(each, 0, 1)
                    else:
                        self._run(steps[0], each)
        return 0


def test_a_line_that_only_prints_is_seen_where_another_line_of_its_recipe_runs() -> None:
    w = Recipe("x: a", checked=False, a="1")
    assert w.build() == "echo making x x: a x"
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "echo making x x: a x"
    assert w.build() == ""
