"""Scenarios 61 to 69: files that come and go, by wildcards, lists and included makefiles."""

from __future__ import annotations

from .project import ANCIENT, Project

PACK = "out: $(sort $(wildcard *.t))\n\tcat $^ > out\n"
PROGRAM = """\
OBJECTS = main.o a.o
prog: $(OBJECTS)
	cc -o $@ $(OBJECTS)
%.o: %.c
	cc -c -o $@ $<
"""
ARCHIVE = """\
MEMBERS = a.o b.o
lib.a: $(MEMBERS)
	ar rcD lib.a $(MEMBERS)
%.o: %.c
	cc -c -o $@ $<
"""


def pack(project: Project) -> None:
    project.write("Makefile", PACK)
    project.write("one.t", "1\n")
    project.write("two.t", "2\n")


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("main.c", "int a(void);\nint main(void) { return a(); }\n")
    project.write("a.c", "int a(void) { return 1; }\n")


def test_61_a_new_file_that_matches_is_taken_in(project: Project) -> None:
    """The wildcard finds it."""
    pack(project)
    project.build()
    project.write("three.t", "3\n")
    project.check(project.rebuild(), runs=1)


def test_62_a_new_file_with_an_old_time_is_taken_in(project: Project) -> None:
    """cp -p brings it."""
    pack(project)
    project.build()
    project.write("three.t", "3\n")
    project.touch("three.t", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


def test_63_a_removed_file_is_left_out(project: Project) -> None:
    """The wildcard no longer finds it."""
    pack(project)
    project.build()
    project.delete("two.t")
    project.check(project.rebuild(), runs=1)


def test_64_a_renamed_source_with_its_rule_gives_a_new_object(project: Project) -> None:
    """The old object is not linked."""
    program(project)
    project.build()
    project.rename("a.c", "b.c")
    project.edit("Makefile", "a.o", "b.o")
    project.check(project.rebuild(), runs=2, extra=("a.o",))


def test_65_an_object_removed_from_the_list_is_not_linked(project: Project) -> None:
    """The link runs without it."""
    program(project)
    project.write("extra.c", "int extra(void) { return 1; }\n")
    project.edit("Makefile", "main.o a.o", "main.o a.o extra.o")
    project.build()
    project.edit("Makefile", " extra.o", "")
    project.check(project.rebuild(), runs=1, extra=("extra.o",))


def test_66_a_product_without_its_rule_is_named_and_never_packed(project: Project) -> None:
    """The old product lies there and matches *, but later steps do not see it."""
    project.write("Makefile", "all: made.t out\nmade.t: in\n\tcp in made.t\nout: one.t\n\tcat *.t > out\n")
    project.write("in", "made\n")
    project.write("one.t", "1\n")
    project.build("all", "-j1")
    project.write("Makefile", "all: out\nout: one.t\n\tcat *.t > out\n")
    result = project.rebuild("all", "-j1")
    assert any("made.t" in line for line in result.err.splitlines() if line.startswith("hashmake: "))
    project.check(result, runs=1, extra=("made.t",))


def archive(project: Project) -> None:
    project.write("Makefile", ARCHIVE)
    project.write("a.c", "int a(void) { return 1; }\n")
    project.write("b.c", "int b(void) { return 1; }\n")


def test_67_a_changed_member_changes_the_archive(project: Project) -> None:
    """One compile, one ar."""
    archive(project)
    project.build()
    project.edit("a.c", "1", "2")
    project.check(project.rebuild(), runs=2)


def test_67_a_removed_member_is_not_in_the_archive(project: Project) -> None:
    """ar r without rm: the archive starts from nothing, as in a clean tree."""
    archive(project)
    project.build()
    project.edit("Makefile", "MEMBERS = a.o b.o", "MEMBERS = a.o")
    project.check(project.rebuild(), runs=1, extra=("b.o",))


def test_68_a_file_that_became_a_directory_is_noticed(project: Project) -> None:
    """The same name, another kind."""
    project.write("Makefile", "out:\n\tif [ -d in ]; then ls in > out; else cat in > out; fi\n")
    project.write("in", "file\n")
    project.build()
    project.delete("in")
    project.write("in/inner", "")
    project.touch("in", "in/inner", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


def optional(project: Project) -> None:
    project.write("Makefile", "VALUE = default\n-include x.mk\nout: in\n\tsed s/VALUE/$(VALUE)/ in > out\n")
    project.write("in", "VALUE\n")


def test_69_an_optional_makefile_that_appears_counts(project: Project) -> None:
    """-include x.mk, which was not there."""
    optional(project)
    project.build()
    project.write("x.mk", "VALUE = given\n")
    project.touch("x.mk", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


def test_69_an_optional_makefile_that_goes_counts(project: Project) -> None:
    """-include x.mk, which is no longer there."""
    optional(project)
    project.write("x.mk", "VALUE = given\n")
    project.build()
    project.delete("x.mk")
    project.check(project.rebuild(), runs=1)


def test_69_a_generated_makefile_is_made_again_before_it_is_read(project: Project) -> None:
    """make restarts as usual; what follows from the new text runs."""
    optional(project)
    project.write("Makefile", (project.sources / "Makefile").read_text() + "x.mk: x.in\n\tcp x.in x.mk\n")
    project.write("x.in", "VALUE = first\n")
    project.build()
    assert project.text("out") == "first\n"
    project.check(project.rebuild(), runs=0)
    project.write("x.in", "VALUE = second\n")
    project.check(project.rebuild(), runs=2)
