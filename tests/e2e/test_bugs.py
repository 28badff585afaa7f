"""Every bug met on the way, as a test: what went wrong is in the docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .running import wait_for

if TYPE_CHECKING:
    from .project import Project

DEPFILES = """\
prog: a.o
	cc -o $@ a.o
include deps/a.d
a.o: a.c
	cc -MMD -MP -MF deps/a.tmp -c -o $@ a.c
	mv -f deps/a.tmp deps/a.d
"""
CONFIGURED = """\
all: auto.conf out
ifneq ($(MAKECMDGOALS),config)
include auto.conf
endif
auto.conf: .config
	cp .config auto.conf
out: auto.conf
	cat auto.conf > out
config:
	cp common .config
	cp common auto.conf
.config:
	@echo no configuration; false
"""


def test_a_placeholder_that_a_step_replaces_is_not_hidden_from_make(project: Project) -> None:
    """automake's .deps/*.Po: mv opens its target as a directory (ENOTDIR), which was taken for absence."""
    project.write("Makefile", DEPFILES)
    project.write("deps/a.d", "# dummy\n")
    project.write("a.c", "int main(void) { return 0; }\n")
    project.check_null(project.build())
    project.edit("a.c", "return 0", "return 1")
    project.check(project.rebuild(), runs=2)


def test_a_rewritten_product_of_another_goal_gets_a_new_time(project: Project) -> None:
    """auto.conf was written again with the same bytes: make re-executed itself for ever."""
    project.write("Makefile", CONFIGURED)
    project.write("common", "X = 1\n")
    project.build("config")
    project.touch(".config")
    assert project.build().status == 0
    project.check_null(project.rebuild())


def test_no_step_of_another_goal_runs_to_bring_a_version_back(project: Project) -> None:
    """tinyconfig's conf ran again to restore its auto.conf, and took the edited .config with it."""
    project.write("Makefile", CONFIGURED)
    project.write("common", "X = 1\n")
    project.build("config")
    project.write(".config", "X = 2\n")
    project.build()
    project.write("Makefile", CONFIGURED.replace("cat auto.conf", "cat ./auto.conf"))
    rebuilt = project.rebuild()
    assert rebuilt.status == 0
    assert project.text(".config") == "X = 2\n"
    assert project.text("out") == "X = 2\n"


def test_a_word_that_ends_in_eval_is_not_eval(project: Project) -> None:
    """insn-eval.o in a command made its step depend on the whole environment."""
    project.write("Makefile", "insn-eval.o: insn-eval.c\n\tcc -c -o insn-eval.o insn-eval.c; true\n")
    project.write("insn-eval.c", "int x;\n")
    project.build()
    project.check(project.rebuild(NOBODY_READS_THIS="1"), runs=0)


def test_text_given_to_a_nested_shell_counts(project: Project) -> None:
    """A variable used only in `sh -c` below another shell: its change runs the step."""
    project.write("Makefile", "out: in\n\tsh -c 'sh -c \"echo \\$$FLAVOUR\" | cat in - > out'\n")
    project.write("in", "x\n")
    project.build(FLAVOUR="sweet")
    changed = project.rebuild(FLAVOUR="sour")
    project.check(changed, runs=1)


def test_a_directory_without_makefile_is_left_as_it_was(project: Project) -> None:
    """make's error, and no state directory left behind."""
    project.write("unrelated", "x\n")
    failed = project.attempt()
    assert failed.status == 2
    assert not project.has(".hashmake")


def test_a_variable_named_v_counts_outside_kbuild(project: Project) -> None:
    """V=1 was taken for Kbuild's verbosity in every project."""
    project.write("Makefile", "out: in\n\tcat in > out; echo $(V) >> out\n")
    project.write("in", "x\n")
    project.build("V=1")
    project.check(project.rebuild("V=2"), runs=1)


def test_a_link_that_a_step_reads_is_not_taken_for_changed(project: Project) -> None:
    """The signature of a link was compared with that of the file behind it: /usr/bin/sh "changed" in every build."""
    project.write("Makefile", "all:\n\t$(MAKE) -f look.mk\n\t$(MAKE) -f read.mk\n")
    project.write("look.mk", "look.out: link\n\techo > look.out\n")
    project.write("read.mk", "read.out: link\n\tcat link > read.out\n")
    project.write("real", "x\n")
    project.link("link", "real")
    project.check_null(project.build())


def test_a_step_that_runs_for_its_old_version_does_not_wait_for_itself(project: Project) -> None:
    """conf ran again because a later goal had changed its file, opened that file, and waited for its own end."""
    common = "config:\n\tsh conf.sh\n\tcat table > seen; cat extra >> seen\nall:\n\techo 2 >> table; cat table > out\n"
    project.write("Makefile", common)
    project.write("conf.sh", "test -f table && cat table > /dev/null\necho 1 >> table\n")
    project.write("extra", "x\n")
    project.build("config")
    project.build("all")
    project.write("extra", "y\n")
    again = project.rebuild("config")
    assert again.status == 0
    assert project.text("table") == "1\n"
    assert project.text("seen") == "1\ny\n"


GENERATED = """\
all: out
tools: conf
%.gen: %.src
	grep -v '#' $< > $@
%.o: %.gen
	cp $< $@
conf: conf.o
	cp $< $@
out: conf
	cat conf > out
"""


def test_what_another_goal_skipped_is_as_new_as_what_it_ran(project: Project) -> None:
    """tinyconfig ran the step that made lexer.lex.c and skipped the others: all saw it newer than its object."""
    project.write("Makefile", GENERATED)
    project.write("conf.src", "x\n")
    project.build("tools")
    project.build("all")
    project.write("conf.src", "x\n# comment\n")
    assert project.build("tools").count("cp") == 0
    assert project.build("all").count() == 0


INTERMEDIATE = """\
all: out other
other: other.src
	cp $< $@
%.out: %.mid
	cp $< $@
%.mid: %.src
	sed s/x/y/ $< > $@
out: in.out
	cp in.out out
"""


def test_a_file_that_make_takes_away_itself_is_not_missing(project: Project) -> None:
    """The step that made an intermediate file ran in every build that evaluated the makefile."""
    project.write("Makefile", INTERMEDIATE)
    project.write("in.src", "x\n")
    project.write("other.src", "x\n")
    project.build()
    project.edit("other.src", "x", "z")
    project.check(project.rebuild(), runs=1)
    project.edit("in.src", "x", "xx")
    project.check(project.rebuild(), runs=3)
    project.lose("in.out")
    project.check(project.rebuild(), runs=2)


LINKED_BY_SCRIPT = """\
all: linked
stamp.o: stamp.c common.h
	cat common.h stamp.c > stamp.o
linked: rest.o FORCE
	+sh link.sh $(MAKE)
rest.o: rest.c
	cp rest.c rest.o
FORCE:
"""


def test_a_script_that_calls_make_has_a_line_in_the_log(project: Project) -> None:
    """link-vmlinux.sh calls make, then links: the link ran and the log did not say so."""
    project.write("Makefile", LINKED_BY_SCRIPT)
    project.write("link.sh", "$1 stamp.o && cat stamp.o rest.o > linked\n")
    for name in ("stamp.c", "rest.c", "common.h"):
        project.write(name, f"{name}\n")
    project.build()
    project.write("common.h", "common.h, edited\n")
    project.check(project.rebuild(), runs=2)
    project.build()
    project.write("rest.c", "rest.c, edited\n")
    project.build()
    log = project.log()
    ran = {step["command"].split()[0]: step["reason"]["kind"] for step in log["ran"]}
    assert ran == {"cp": "ReadChanged", "sh": "ReadChanged"}
    assert log["steps"]["run"] == 2


TWO_GOALS = """\
all: lib prog
lib: a.o count
	cat a.o count > lib
prog: lib
	cat lib > prog
a.o: a.c
	cat a.c hidden.h > a.o
	echo $$FLAVOUR >> a.o
count: a.c
	old=0; [ ! -f count ] || read old < count; echo $$((old + 1)) > count.new; mv count.new count
"""


def two_goals(project: Project) -> None:
    project.write("Makefile", TWO_GOALS)
    project.write("a.c", "a\n")
    project.write("hidden.h", "h\n")
    project.build("all")


def test_a_goal_does_not_believe_what_another_goal_made_of_other_inputs(project: Project) -> None:
    """The object looked newer than its source, and make knows nothing of the header: lib was built of an old object."""
    two_goals(project)
    project.edit("hidden.h", "h", "k")
    project.check(project.rebuild("lib"), runs=2, extra=("prog",))


def test_a_goal_notices_later_what_changed_below_another_goals_products(project: Project) -> None:
    """The second build of lib never asked for the object, which all had made: the null check knew no header."""
    two_goals(project)
    project.check(project.rebuild("lib"), runs=0, extra=("prog",))
    project.edit("hidden.h", "h", "k")
    project.check(project.rebuild("lib"), runs=2, extra=("prog",))


def test_a_goal_does_not_believe_what_another_goal_made_in_another_environment(project: Project) -> None:
    two_goals(project)
    project.check(project.rebuild("lib", FLAVOUR="sweet"), runs=2, extra=("prog",))


def test_a_step_does_not_find_what_it_made_for_another_goal(project: Project) -> None:
    """The counter was at 2 where a clean build has 1."""
    two_goals(project)
    project.edit("a.c", "a", "b")
    project.check(project.rebuild("lib"), runs=2, extra=("prog",))
    assert project.text("count") == "1\n"


def test_a_goal_makes_again_what_another_goal_made_and_a_person_changed(project: Project) -> None:
    """The damaged object was newest of all, so lib was made of it."""
    two_goals(project)
    project.damage("a.o")
    project.check(project.rebuild("lib"), runs=2, extra=("prog",))


ASKED = """\
V := $(shell sh -c 'test -f calm || kill -9 $$$$; cat version')
out:
	echo '$(V)' > out
"""


def test_the_answer_of_a_killed_shell_function_is_not_believed(project: Project) -> None:
    """make goes on with an empty answer; so did every later build."""
    project.write("Makefile", ASKED)
    project.write("version", "1\n")
    project.build()
    project.write("calm", "")
    project.check(project.rebuild(), runs=2)


APPENDED = """\
all: log
log: a b
	cat a > log
	cat b >> log
"""


def test_versions_that_another_goal_made_lead_on_for_this_one(project: Project) -> None:
    """Every writer of the log ran again: it did not end as the last build of this goal had ended."""
    project.write("Makefile", APPENDED)
    project.write("a", "a\n")
    project.write("b", "b\n")
    project.build()
    project.edit("b", "b", "c")
    project.build("all")
    project.check(project.rebuild(), runs=0)


SPECIAL = """\
all other: out
out: in
	cat in > out; echo $(MODE) >> out
	sed -i s/^/+/ out
"""


def test_what_another_goal_made_with_other_words_is_no_input(project: Project) -> None:
    """The compiler truncated the other goal's object and was taken to have been given it."""
    project.write("Makefile", SPECIAL)
    project.write("in", "a\n")
    project.build("all", "MODE=special")
    project.build("other")
    project.check(project.rebuild("all"), runs=0)


def test_what_is_taken_over_and_not_made_again_stays_hidden(project: Project) -> None:
    """The directory was recorded without the other goal's orphan, found with it, and make was started for ever."""
    project.write("Makefile", "all sub:\n\t$(MAKE) -C d\n\ttouch $@\n")
    project.write("d/Makefile", "all: x $(sort $(wildcard y.in))\nx:\n\tcat x.in > x\n\tcat x.in > orphan\n")
    project.write("d/x.in", "x\n")
    project.build("sub")
    project.edit("d/Makefile", "\tcat x.in > orphan\n", "")
    project.check(project.build("all"), extra=("sub", "d/orphan"), runs=0)


TORN = """\
all: out
lib: a.o
	cat a.o > lib
out: lib
	cat lib > out
a.o: a.c
	echo torn > a.o; [ -f calm ] || { echo > started; sleep 60; }; cat a.c > a.o
"""


def test_a_goal_does_not_believe_what_a_killed_build_of_another_goal_left(project: Project) -> None:
    """The unfinished object passed for a source of lib, newer than everything."""
    project.write("Makefile", TORN)
    project.write("a.c", "a\n")
    build = project.start("all")
    assert wait_for(lambda: project.has("started"))
    build.running.kill_all()
    build.abandon()
    project.write("calm", "")
    project.check(project.rebuild("lib"), runs=2, extra=("started",))


def test_a_step_that_was_given_a_later_version_is_not_believed(project: Project) -> None:
    """What is below a skipped sub-make can't be brought back at once: the step appended to its own last text, and the
    evaluation after that found everything as recorded."""
    project.write("Makefile", "all:\n\t$(MAKE) -C sub\n\tcp in mid\n\tcat mid >> f\n")
    project.write("sub/Makefile", "all:\n\techo one > ../f\n")
    project.write("in", "two\n")
    project.build()
    for text in ("three\n", "four\n"):
        project.write("in", text)
        project.check(project.rebuild(), runs=3)


def test_who_only_looks_at_a_file_sees_the_version_that_is_due(project: Project) -> None:
    """Size and inode were those of the later version: cp said that the file was replaced while it was being copied."""
    project.write(
        "Makefile",
        "sorted: img peek\n\techo more >> img\n\ttouch sorted\n"
        "img: in\n\tcp in img\npeek: img\n\tstat -c %s img > peek\n",
    )
    project.write("in", "12\n")
    project.build()
    project.damage("peek")
    project.check(project.rebuild(), runs=3)


DEPENDENCIES_TAKEN_IN = """\
all: a.o other
a.o: a.c
	cc -MD -MF a.d -c -o a.o a.c
	sed s/:/,/ a.d > a.deps; rm a.d
other: b.h
	cat b.h > other
"""


def test_what_a_later_step_removes_is_not_missing(project: Project) -> None:
    """fixdep takes the compiler's list of headers in and removes it: the compilation ran again in every evaluation."""
    project.write("Makefile", DEPENDENCIES_TAKEN_IN)
    project.write("a.c", "int a;\n")
    project.write("b.h", "1\n")
    project.build()
    project.write("b.h", "2\n")
    project.check(project.rebuild(), runs=1)


TWO_PASSES = """\
all: second
first: in
	cp in list
	cat more >> list
second: first
	cp in list
	cat more >> list
	cp in second
"""


def test_versions_that_lead_to_each_other_are_no_later_ones(project: Project) -> None:
    """A file is made twice in one build in the same way; the step that adds to it was believed to have run."""
    project.write("Makefile", TWO_PASSES)
    project.write("in", "1\n")
    project.write("more", "m\n")
    project.build()
    project.damage("list", "1\n")
    project.check(project.rebuild(), runs=5)


def test_what_a_failed_build_made_of_an_unknown_product_is_asked_for_again(project: Project) -> None:
    """It was shown newer than sources that no complete build had recorded yet: a later edit of them was not seen."""
    project.write("Makefile", "all: out bad\nout: in\n\tcp in out\nbad:\n\tfalse\n")
    project.write("in", "1\n")
    assert project.stock("out")[0] == 0
    project.write("in", "2\n")
    assert project.attempt("-k").status == 2
    assert project.text("out") == "2\n"
    project.write("in", "3\n")
    project.write("Makefile", "all: out bad\nout: in\n\tcp in out\nbad:\n\ttouch bad\n")
    project.check(project.attempt(), runs=1)


def test_what_a_failed_step_left_of_an_unknown_product_is_not_taken_for_good(project: Project) -> None:
    """It was newer than its source, as for stock make."""
    project.write("Makefile", "out: in\n\tcp in out; test ! -e fail; cat in >> out\n.SHELLFLAGS = -ec\n")
    project.write("in", "1\n")
    assert project.stock()[0] == 0
    project.write("in", "2\n")
    project.write("fail", "")
    assert project.attempt().status == 2
    assert project.text("out") == "2\n"
    project.delete("fail")
    project.check(project.attempt(), runs=2)


@pytest.mark.parametrize("capture", ["$$($(MAKE) -s name)", "$$($(MAKE) -s -f outer.mk)", "$(shell $(MAKE) -s name)"])
def test_what_a_make_prints_for_somebody_is_printed_again(project: Project, capture: str) -> None:
    """A recipe runs that asks a make for a name (bindeb-pkg does): the step that prints it had not changed."""
    recipe = f"\t{{ cat in; echo {capture}; }} > out\n"
    project.write("Makefile", f"out: in\n{recipe}name:\n\t@echo called $(NAME)\n.PHONY: name\nNAME = so\n")
    project.write("outer.mk", "all:\n\t$(MAKE) -s name\n.PHONY: all\n")
    project.write("in", "1\n")
    project.build()
    assert project.text("out") == "1\ncalled so\n"
    project.write("in", "2\n")
    project.check(project.rebuild())
    assert project.text("out") == "2\ncalled so\n"
    project.edit("Makefile", "= so", "= thus")
    project.check(project.rebuild())


def test_what_a_make_prints_for_nobody_is_not_printed_again(project: Project) -> None:
    """Its output goes to /dev/null."""
    project.write("Makefile", "out: in\n\tcp in out; $(MAKE) -s name > /dev/null\nname:\n\tcat note\n.PHONY: name\n")
    project.write("in", "1\n")
    project.write("note", "n\n")
    project.build()
    project.write("in", "2\n")
    project.check(project.rebuild(), runs=1)


def test_what_a_step_of_this_build_removed_is_made_again_by_the_next_pass(project: Project) -> None:
    """Linux before 5.4 does so with .tmp_versions. That a step removed it is no proof that what made it is current."""
    passes = "".join(f"\t$(MAKE) crmodverdir modules PASS={n}\n\tcat t/* > out{n}\n" for n in (1, 2))
    project.write(
        "Makefile",
        f"all:\n{passes}crmodverdir:\n\tmkdir -p t\n\trm -f t/*\nmodules:\n\tcat in > t/m\n.PHONY: all modules\n",
    )
    project.write("in", "1\n")
    result = project.build()
    assert project.text("out2") == "1\n"
    project.check_null(result)
    project.write("in", "2\n")
    project.check(project.rebuild())
    assert project.text("out1") == project.text("out2") == "2\n"


def test_a_goal_of_another_name_after_clean_makes_everything_again(project: Project) -> None:
    """Its products were the first goal's until now: that `clean` removed them is no further version of them."""
    chain = "a%3: a%2\n\tsed s/^/3/ $< > $@\na%2: a%1\n\tsed s/^/2/ $< > $@\n"
    project.write("Makefile", f"all: a.p3 x\n{chain}x:\n\techo x > x\nclean:\n\trm -f a.p3 x\n.PHONY: all clean\n")
    project.write("a.p1", "a\n")
    project.build()
    project.rebuild("clean")
    project.check(project.rebuild("all"), runs=2)
    assert project.text("a.p3") == "32a\n"
