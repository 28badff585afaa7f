"""Every bug met on the way, as a test: what went wrong is in the docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


MADE_TWICE = """\
all: d/x
sub: d/y
d/x: in
	mkdir d
	cp in d/x
d/y: in
	mkdir d
	cp in d/y
"""


def test_a_directory_of_another_goal_is_in_the_way(project: Project) -> None:
    """mkdir was taken for current though its directory was there when the step was asked for."""
    project.write("Makefile", MADE_TWICE)
    project.write("in", "x\n")
    assert project.build("all").status == 0
    assert project.attempt("sub").status == 2


DIRECTORIES = """\
all: d/e/x
sub: d/e/y
$(shell mkdir -p $(if $(filter sub,$(MAKECMDGOALS)),d/e,d d/e))
d/e/x d/e/y: in
	cp in $@
"""


def test_goals_that_share_directories_take_turns(project: Project) -> None:
    """A directory that one goal makes and the other one finds is there for both, in whatever order."""
    project.write("Makefile", DIRECTORIES)
    project.write("in", "x\n")
    for turn, goal in enumerate(("all", "sub", "all", "all", "sub", "sub", "all")):
        project.write("in", f"{turn}\n")
        assert project.build(goal).status == 0
        assert project.text("d/e/x" if goal == "all" else "d/e/y") == f"{turn}\n"
        assert project.build(goal).count() == 0


ONLY_IF_EMPTY = """\
all: d/e/x
sub: d/e/y
ifeq ($(wildcard d/e/x d/e/y),)
$(shell mkdir -p d/e)
endif
d/e/x d/e/y: in
	cp in $@
"""


def test_a_directory_is_there_when_something_in_it_is(project: Project) -> None:
    """Kbuild makes directories only for targets of which none is there: kernel/ left one in a directory of all's."""
    project.write("Makefile", ONLY_IF_EMPTY)
    project.write("in", "1\n")
    project.build("all")
    project.build("sub")
    project.write("in", "2\n")
    assert project.build("all").count() == 1
    assert (project.text("d/e/x"), project.text("d/e/y")) == ("2\n", "1\n")
    project.check_null(project.rebuild("all"))
    project.delete("Makefile")
    project.write("Makefile", ONLY_IF_EMPTY + "ls := $(wildcard d/* *)\n")
    project.build("all")
    project.check_null(project.rebuild("all"))


def test_a_directory_with_a_source_of_the_user_is_there(project: Project) -> None:
    """The same with a file that no goal made; and no rule is said to be missing for the directory."""
    project.write("Makefile", ONLY_IF_EMPTY.replace("d/e/x d/e/y),", "d/e/x d/e/y d/e/mine),"))
    project.write("in", "1\n")
    project.build("all")
    project.write("d/e/mine", "mine\n")
    project.write("in", "2\n")
    rebuilt = project.rebuild("all")
    project.check(rebuilt, runs=1)
    assert "no rule" not in rebuilt.err


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
