"""The engine, as ninja's builds are tested: a few steps, an edit, which steps ran."""

from __future__ import annotations

import pytest

from core.world import World
from hashmake.model.result import UNSEEN

pytestmark = pytest.mark.usefixtures("both_ways")

PROG = """
a.o: a.c a.h
b.o: b.c a.h
prog: a.o b.o
"""


def prog() -> World:
    """A program of two files, built once."""
    w = World(PROG, a_c="a", b_c="b", a_h="h")
    assert w.build() == "a.o b.o prog"
    return w


# -- what nobody changed --------------------------------------------------------------------------------------------


def test_nothing_runs_the_second_time() -> None:
    assert prog().build() == ""


def test_a_touched_file_runs_nothing() -> None:
    w = prog()
    w.touch("a.c", "a.h", "a.o", "prog")
    assert w.build() == ""


def test_a_file_written_anew_with_the_same_text_runs_nothing() -> None:
    w = prog()
    w.edit("a.h", "h")
    assert w.build() == ""


def test_an_edit_taken_back_before_the_build_runs_nothing() -> None:
    w = prog()
    w.edit("a.c", "other")
    w.edit("a.c", "a")
    assert w.build() == ""


def test_what_the_person_adds_beside_runs_nothing() -> None:
    w = prog()
    w.edit("notes", "")
    assert w.build() == ""


# -- what reads changed files ---------------------------------------------------------------------------------------


def test_an_edit_runs_its_reader_and_what_reads_that() -> None:
    w = prog()
    w.edit("a.c", "other")
    assert w.build() == "a.o prog"
    assert w.why == {"a.o": "ReadChanged a.c", "prog": "ReadChanged a.o"}


def test_an_edited_header_runs_all_that_read_it() -> None:
    w = prog()
    w.edit("a.h", "other")
    assert w.build() == "a.o b.o prog"
    assert w.build() == ""


def test_an_edit_taken_back_after_a_build_runs_its_readers_again() -> None:
    """What they made is not kept."""
    w = prog()
    w.edit("a.c", "other")
    w.build()
    w.edit("a.c", "a")
    assert w.build() == "a.o prog"


def test_products_put_back_with_their_sources_run_nothing() -> None:
    """`git stash`, or a restored copy: an older record of the steps fits."""
    w = prog()
    old = {name: w.text(name) for name in ("a.o", "prog")}
    w.edit("a.c", "other")
    w.build()
    w.edit("a.c", "a")
    for name, text in old.items():
        w.spoil(name, text)
    assert w.build() == ""


def test_the_mode_of_a_source_counts_where_it_becomes_executable() -> None:
    w = prog()
    w.edit("a.c", "a", executable=True)
    assert w.build() == "a.o"  # and what it makes is as before


def test_a_step_that_makes_what_was_there_runs_nothing_behind_it() -> None:
    """Early cut-off."""
    w = World("b: first(a)\nc: b\nd: c", a="one two")
    w.build()
    w.edit("a", "one three")
    assert w.build() == "b"
    w.edit("a", "two three")
    assert w.build() == "b c d"


def test_what_comes_out_as_it_was_keeps_its_time() -> None:
    w = World("b: first(a)", a="one two")
    w.build()
    before = w.files.nodes[b"/w/b"].mtime
    w.edit("a", "one three")
    w.build()
    assert w.files.nodes[b"/w/b"].mtime == before


def test_a_source_that_is_gone_fails_its_reader() -> None:
    w = prog()
    w.remove("a.c")
    assert w.build() == "a.o"
    assert w.code == 2
    assert w.why["a.o"] == "Vanished a.c"


def test_a_step_of_which_only_the_size_of_a_file_was_asked_runs_for_it() -> None:
    w = World("size: stat(a)", a="abc")
    w.build()
    w.edit("a", "abcd")
    assert w.build() == "size"


def test_a_step_that_asked_only_whether_it_may_be_run_does_not_read() -> None:
    w = World("may: access(a)", a="abc")
    w.build()
    w.edit("a", "other")
    assert w.build() == ""
    w.edit("a", "other", executable=True)
    assert w.build() == "may"


def test_a_link_that_leads_elsewhere_runs_who_went_along_it() -> None:
    w = World("b: link", one="same", two="same", checked=False)
    w.files.symlink("one", b"/w/link")
    w.build()
    w.edit("two", "other")
    assert w.build() == ""
    w.edit("two", "same")
    w.files.symlink("two", b"/w/link")
    assert w.build() == "b"
    assert w.why["b"] == "ReadChanged link"


def test_what_a_link_leads_to_is_read() -> None:
    w = World("b: link", one="1", checked=False)
    w.files.symlink("one", b"/w/link")
    w.build()
    w.edit("one", "2")
    assert w.build() == "b"
    assert w.why["b"] == "ReadChanged one"


# -- what is not there ----------------------------------------------------------------------------------------------


def test_a_new_header_that_shadows_another_runs_who_had_looked_for_it() -> None:
    w = World("a.o: a.c ?near.h far.h", a_c="a", far_h="far")
    w.build()
    w.edit("near.h", "near")
    assert w.build() == "a.o"
    assert w.why["a.o"] == "Appeared near.h"
    w.remove("near.h")
    assert w.build() == "a.o"
    assert w.why["a.o"] == "Vanished near.h"


def test_a_deleted_product_is_made_again() -> None:
    w = prog()
    w.remove("a.o")
    assert w.build() == "a.o"
    assert w.why["a.o"] == "OutputMissing a.o"


def test_a_spoiled_product_is_made_again() -> None:
    w = prog()
    w.spoil("prog")
    assert w.build() == "prog"
    assert w.why["prog"] == "OutputTouched prog"


def test_of_two_products_one_is_enough_to_run_their_step() -> None:
    w = World("x y: a", a="1")
    w.build()
    w.remove("y")
    assert w.build() == "x"
    assert w.there("y")


def test_a_product_does_not_exist_before_its_step_was_asked_for() -> None:
    """A clean build looks for it in vain, too, though an earlier one has left it there."""
    w = World("early: ?late\nlate: a", a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "late"


def test_a_step_that_took_a_file_away_takes_it_away_again() -> None:
    w = World("b: a\nc: b rm(b)", a="1")
    assert w.build() == "b c"
    assert not w.there("b")
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "b c"
    assert not w.there("b")


def test_a_temporary_file_is_nobody_s_affair() -> None:
    w = World("b: a tmp(b.tmp)\nc: ls(.)", a="1")
    w.build()
    assert w.build() == ""
    assert all(w.recording.tables.paths[pid] != b"/w/b.tmp" for pid in w.result("b").outs[0::3])


def test_what_a_step_left_the_last_time_is_gone_before_it_runs_again() -> None:
    w = World("link = () : need ln(a,y)", a="1", need="", checked=False)
    w.build()
    assert w.there("y")
    w.remove("need")
    assert w.build() == "link"
    assert w.code == 2
    assert not w.there("y")


# -- directories ----------------------------------------------------------------------------------------------------


def test_a_new_file_runs_who_lists_its_directory() -> None:
    w = World("list: ls(.)", a="1")
    w.build()
    w.edit("a", "2")
    assert w.build() == ""
    w.edit("b", "")
    assert w.build() == "list"
    w.remove("a")
    assert w.build() == "list"
    assert w.why["list"] == "ListingChanged /w"


def test_a_listing_has_the_products_that_were_made_before_it_and_no_others() -> None:
    w = World("b: a\nlist: ls(.)\nc: a", a="1")
    w.build()
    assert w.text("list") == "list(Makefile.mk a b)"
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "b c"


def test_a_directory_is_made_in_its_turn() -> None:
    w = World("dir = (): mkdir(d)\nd/b: a\nlist: ls(d)".replace("(): ", "() : "), a="1")
    w.build()
    assert w.build() == ""
    w.edit("a", "2")
    assert w.build() == "d/b"


def test_a_directory_that_is_there_because_something_of_the_users_lies_in_it_is_no_reason_to_run() -> None:
    """`mkdir d` finds it missing in a clean tree; here a file of the user keeps it in sight, until it is asked for."""
    w = World("make sub:\n  dir = () : mkdir(d)\n  d/b: a\nlast: d/b", a="1", checked=False)
    w.build()
    w.edit("d/mine", "")
    w.edit("a", "2")
    assert w.build() == "sub d/b last"


def test_nor_is_it_where_nothing_else_changed() -> None:
    w = World("make sub:\n  dir = () : mkdir(d)\n  d/b: a\nlast: d/b", a="1", checked=False)
    w.build()
    w.edit("d/mine", "")
    assert w.build() == ""


def test_such_a_directory_is_hidden_from_its_step_also_after_its_make_was_skipped() -> None:
    w = World("make sub:\n  dir = () : mkdir(d)\n  d/b: a\nlast: d/b", a="1", checked=False)
    w.build()
    w.edit("d/mine", "")
    w.build()
    w.edit("a", "2")
    assert w.build() == "sub d/b last"


# -- variables ------------------------------------------------------------------------------------------------------


def test_a_variable_runs_who_looked_it_up_and_nobody_else() -> None:
    w = World("a: $(FLAVOUR)\nb: x\nc: a b", x="1")
    w.build()
    w.env["COLOUR"] = "red"
    assert w.build() == ""
    w.env["FLAVOUR"] = "sweet"
    assert w.build() == "a c"
    assert w.why["a"] == "VariableChanged FLAVOUR"
    del w.env["FLAVOUR"]
    assert w.build() == "a c"


def test_a_value_that_is_as_it_was_runs_nothing() -> None:
    w = World("a: $(FLAVOUR)")
    w.env["FLAVOUR"] = "sweet"
    w.build()
    w.env = {"FLAVOUR": "sweet", **w.env}
    assert w.build() == ""


def test_another_path_that_leads_to_the_same_programs_runs_nothing() -> None:
    w = World("a: which(cc)", checked=False)
    w.edit("/usr/cc", "gcc", executable=True)
    w.env["PATH"] = "/bin:/usr"
    w.build()
    w.env["PATH"] = "/opt:/bin:/usr"
    assert w.build() == ""
    w.edit("/opt/other", "", executable=True)
    assert w.build() == ""


def test_a_program_that_comes_first_along_path_runs_who_searched_it() -> None:
    w = World("a: which(cc)\nb: x", x="", checked=False)
    w.edit("/usr/cc", "gcc", executable=True)
    w.edit("/opt/cc", "clang", executable=True)
    w.env["PATH"] = "/bin:/usr"
    w.build()
    w.env["PATH"] = "/opt:/bin:/usr"
    assert w.build() == "a"
    assert w.why["a"] == "VariableChanged PATH"
    w.edit("/opt/cc", "clang 2", executable=True)
    assert w.build() == "a"


def test_a_program_that_appears_where_a_search_had_passed_runs_who_searched() -> None:
    w = World("a: which(cc)", checked=False)
    w.edit("/usr/cc", "gcc", executable=True)
    w.env["PATH"] = "/opt:/bin:/usr"
    w.build()
    w.edit("/opt/cc", "clang", executable=True)
    assert w.build() == "a"
    assert w.why["a"] == "Appeared /opt/cc"


def test_skipped_along_another_path_the_places_that_a_search_passed_count_for_the_make_above() -> None:
    w = World("make sub:\n  a: which(cc)", checked=False)
    w.edit("/usr/cc", "gcc", executable=True)
    w.env["PATH"] = "/bin:/usr"
    w.build()
    w.env["PATH"] = "/opt:/bin:/usr"
    assert w.build() == ""
    w.edit("/opt/cc", "clang", executable=True)
    assert w.build() == "sub a"


def test_the_make_above_of_a_step_that_was_skipped_along_another_path_knows_the_places_that_were_passed() -> None:
    w = World("make sub:\n  a: which(cc)\n  b: x", x="1", checked=False)
    w.edit("/usr/cc", "gcc", executable=True)
    w.env["PATH"] = "/bin:/usr"
    w.build()
    w.env["PATH"] = "/opt:/bin:/usr"
    w.edit("x", "2")
    assert w.build() == "sub b"
    w.edit("/opt/cc", "clang", executable=True)
    assert w.build() == "sub a"


# -- commands -------------------------------------------------------------------------------------------------------


def test_a_changed_command_runs() -> None:
    w = prog()
    w.makefile(PROG.replace("a.o: a.c a.h", "a.o: a.c"))
    assert w.build() == "a.o prog"


def test_of_a_changed_command_it_is_told_that_it_changed() -> None:
    w = World("b: a", a="1")
    w.build()
    w.makefile("b: a a")
    w.build()
    assert w.why["b"] == "CommandChanged"


def test_a_new_step_runs_alone() -> None:
    w = prog()
    w.makefile(PROG + "extra: a.c\n")
    assert w.build() == "extra"
    assert w.why["extra"] == "NeverRan"


def test_a_command_of_before_runs_again_where_it_made_another_product_meanwhile() -> None:
    w = World("b: a", a="1")
    w.build()
    w.makefile("b: a a")
    w.build()
    w.makefile("b: a")
    assert w.build() == "b"


def test_a_step_whose_rule_is_gone_leaves_an_orphan_that_is_told_once() -> None:
    w = prog()
    w.makefile("a.o: a.c a.h\nb.o: b.c a.h")
    assert w.build() == ""
    assert w.orphans == ["prog"]
    w.build()
    assert w.orphans == []


def test_an_orphan_is_not_there_for_steps() -> None:
    w = World("b: a\nc: ?b", a="1")
    w.build()
    w.makefile("c: ?b")
    assert w.build() == "c"
    assert w.text("c") == "c()"
    assert w.build() == ""


def test_an_orphan_that_a_person_writes_is_a_source() -> None:
    w = World("b: a\nc: ?b", a="1")
    w.build()
    w.makefile("c: ?b")
    w.build()
    w.edit("b", "a person's")
    assert w.build() == "c"
    assert w.text("c") == "c(a person's)"


def test_an_unchanged_product_that_becomes_a_source_is_found_by_make() -> None:
    """No rule makes it any more, and make says so: it evaluates again, with the file."""
    w = World("b: a\nc: b", a="1", checked=False)
    w.build()
    w.makefile("c: b")
    w.makefile("ask = () : a\nc: b")
    w.during["ask"] = lambda: w.engine.no_rule(b"/w/b")
    w.build()
    assert (w.restarts, w.code) == (1, 0)
    assert w.recording.tables.path_ids[b"/w/b"] in w.recording.sources
    w.makefile("c: b")
    assert w.build() == ""


# -- ends -----------------------------------------------------------------------------------------------------------


def test_a_failed_step_ends_the_build_and_runs_again() -> None:
    w = World("a: x\nb: x fail\nc: x", x="1", checked=False)
    assert w.build() == "a b"
    assert w.code == 2
    assert w.build() == "b"
    assert w.why["b"] == "FailedLastTime 2"


def test_what_ran_before_the_failure_is_kept() -> None:
    w = World("a: x\nb: x missing", x="1")
    assert w.build() == "a b"
    w.edit("missing", "")
    assert w.build() == "b"
    assert w.code == 0
    assert w.build() == ""


def test_a_step_that_was_not_fully_seen_runs_every_time() -> None:
    w = World("a: x unseen(static)\nb: a", x="1")
    w.build()
    assert w.build() == "a"
    assert w.why["a"] == "TraceIncomplete static"


def test_a_lost_trace_makes_a_step_run_again() -> None:
    w = World("a: x\nb: x", x="1")
    w.during["a"] = lambda: setattr(w.engine.evaluation.running[2].trace, "lost", b"trace overflow")
    w.build()
    assert w.build() == "a"
    assert w.why["a"] == "TraceIncomplete trace overflow"


def test_a_step_that_was_interrupted_is_not_believed() -> None:
    w = World("a: x\nb: x", x="1")
    w.during["a"] = lambda: setattr(w.engine.evaluation, "interrupted", lambda: True)
    w.build()
    assert w.build() == "a b"
    assert w.why["a"] == "TraceIncomplete the build was interrupted"


def test_what_a_shell_function_gave_is_given_again() -> None:
    w = World("shell version: a\nb: x", a="1.0", x="")
    assert w.build() == "version b"
    assert w.answers["version"] == b"1.0"
    assert w.build() == ""
    assert w.answers["version"] == b"1.0"
    w.edit("a", "1.1")
    assert w.build() == "version"
    assert w.answers["version"] == b"1.1"


def test_forced_runs_everything() -> None:
    w = prog()
    w.settings = lambda engine: setattr(engine, "forced", True)
    assert w.build() == "a.o b.o prog"
    assert set(w.why.values()) == {"Forced"}


def test_again_runs_only_what_it_names() -> None:
    w = prog()
    keys = frozenset({w.key("b.o")})
    w.settings = lambda engine: setattr(engine, "again", keys)
    assert w.build() == "b.o"
    assert w.why["b.o"] == "Forced"


def test_a_step_that_makes_only_what_is_a_persons_is_not_run() -> None:
    w = prog()
    w.checked = False
    w.edit("a.o", "a person's")
    w.edit("a.c", "other")
    w.settings = lambda engine: setattr(engine, "mine", frozenset({w.recording.tables.path_ids[b"/w/a.o"]}))
    w.recording.becomes_source(w.recording.tables.path_ids[b"/w/a.o"], w.recording.tables.value(b"O"), 0)
    assert w.build() == "prog"
    assert w.text("a.o") == "a person's"


# -- what happens meanwhile -----------------------------------------------------------------------------------------


def test_a_source_that_changes_while_its_reader_runs_makes_it_run_again() -> None:
    w = World("b: a\nc: x", a="1", x="", checked=False)
    w.during["b"] = lambda: w.edit("a", "2")
    w.build()
    assert w.build() == "b"
    assert w.why["b"] == "ChangedWhileRead a"
    assert w.build() == ""


def test_a_source_that_changes_before_results_are_saved_makes_its_readers_run_again() -> None:
    """Also where the edit was taken back at once: nobody can tell what was read."""
    w = World("b: a\nc: x", a="1", x="")

    def edit_and_take_back() -> None:
        w.edit("a", "2")
        w.edit("a", "1")

    w.after["b"] = edit_and_take_back
    w.build()
    assert w.build() == "b"
    assert w.why["b"] == "ChangedWhileRead a"


def test_one_that_is_touched_meanwhile_is_not_believed_either() -> None:
    w = World("b: a", a="1")
    w.after["b"] = lambda: w.touch("a")
    w.build()
    assert w.build() == "b"


def test_facts_that_contradict_each_other_are_never_current() -> None:
    """Seen absent at first, and read later on: what is absent was made by somebody beside the step."""
    w = World("b: ?c a ?c", a="1", checked=False)
    w.during["b"] = lambda: None
    w.build()
    result = w.result("b")
    tables = w.recording.tables
    absent = next(f for f in result.facts if tables.paths[tables.fact_path[f]] == b"/w/c")
    there = tables.fact(2, tables.path(b"/w/c"), tables.value(b"E"))
    result.facts.append(there)
    assert absent != there
    assert w.build() == "b"


# -- steps that look too soon ---------------------------------------------------------------------------------------


def test_a_step_that_failed_for_want_of_what_is_made_later_runs_again_when_it_is_there() -> None:
    """A prerequisite that its rule does not name: with an earlier build's tree, stock make had found the old one."""
    w = World("x: a\ny: gen\ngen: a", a="1", checked=False)
    w.makefile("gen: a\ny: gen")
    w.build()
    w.makefile("y: gen\ngen: a")
    w.edit("a", "2")
    assert w.build() == "y gen y"
    assert w.code == 0
    assert w.why["y"] == "LookedTooSoon gen"
    assert w.text("y") == "y(gen(2))"


def test_that_it_failed_at_first_is_nothing_to_the_make_above() -> None:
    w = World("make sub:\n  gen: a\n  y: gen", a="1", checked=False)
    w.build()
    w.makefile("make sub:\n  y: gen\n  gen: a")
    w.edit("a", "2")
    assert w.build() == "sub y gen y"
    assert not w.result("sub").flags & UNSEEN
    assert w.engine.ending.log.counts.failed == 0


def test_a_step_that_failed_for_want_of_what_no_step_makes_any_more_has_failed() -> None:
    w = World("gen: a\ny: gen", a="1")
    w.build()
    w.makefile("y: gen a")
    assert w.build() == "y"
    assert w.code == 2
    assert w.build() == "y"
    assert w.why["y"] == "FailedLastTime 2"


# -- twice in one build ---------------------------------------------------------------------------------------------


def test_a_step_that_is_asked_for_twice_runs_once() -> None:
    w = World("b: a\nb: a\nc: b", a="1")
    assert w.build() == "b c"
    assert w.build() == ""


def test_a_step_that_makes_nothing_runs_as_often_as_it_is_asked_for() -> None:
    w = World("hello = () : a\nhello = () : a\nb: a", a="1")
    assert w.build() == "hello hello b"
    assert w.build() == ""


def test_a_goal_that_only_prints_is_asked_for_what_it_prints() -> None:
    w = World("hello = () : a\nb: a", a="1")
    w.build()
    w.settings = lambda engine: setattr(engine, "prints", True)
    assert w.build() == "hello"
    assert w.why["hello"] == "Prints"


@pytest.mark.parametrize("name", ["a.o", "b.o", "prog"])
def test_each_product_that_is_gone_comes_back_alone(name: str) -> None:
    w = prog()
    w.remove(name)
    assert w.build() == name
