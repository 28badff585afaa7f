"""Scenarios 43 to 60: products that are deleted, damaged, linked, or oddly named."""

from __future__ import annotations

import os

import pytest

from .project import ANCIENT, Project

PROGRAM = """\
prog: main.o a.o
	cc -o $@ main.o a.o
%.o: %.c
	cc -c -o $@ $<
"""
TWINS = """\
all: both
both: left right
	cat left right > both
left right &: in
	sed 's/^/left /w left' in | tr l r > right
"""


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("main.c", "int a(void);\nint main(void) { return a(); }\n")
    project.write("a.c", "int a(void) { return 1; }\n")


def test_43_a_deleted_program_is_made_again(project: Project) -> None:
    """Only the link runs."""
    program(project)
    project.build()
    project.lose("prog")
    project.check(project.rebuild(), runs=1)


def test_44_a_deleted_intermediate_is_made_again_and_nothing_else(project: Project) -> None:
    """The object comes back as it was, so the link does not run."""
    program(project)
    project.build()
    project.lose("a.o")
    project.check(project.rebuild(), runs=1)


def test_45_a_product_edited_by_hand_is_found_by_its_content(project: Project) -> None:
    """A newer time does not make a damaged object good."""
    program(project)
    project.build()
    project.damage("a.o")
    project.check(project.rebuild(), runs=1)


def test_46_a_truncated_product_is_made_again(project: Project) -> None:
    """As a full disk leaves it: empty."""
    program(project)
    project.build()
    project.damage("a.o", "")
    project.check(project.rebuild(), runs=1)


def test_47_a_product_replaced_by_a_link_is_made_again(project: Project) -> None:
    """What the link points at is left alone."""
    program(project)
    project.write("precious", "precious\n")
    project.build()
    project.lose("a.o")
    (project.tree / "a.o").symlink_to("precious")
    project.check(project.rebuild(), runs=1)


def test_47_a_product_replaced_by_a_directory_is_made_again_or_an_error(project: Project) -> None:
    """Never a success with something else in its place."""
    program(project)
    project.build()
    project.lose("a.o")
    (project.tree / "a.o").mkdir()
    result = project.rebuild()
    if result.status == 0:
        project.check(result, runs=1)
    else:
        assert "a.o" in result.err


def twins(project: Project) -> None:
    project.write("Makefile", TWINS)
    project.write("in", "x\n")


def test_48_one_deleted_product_of_two_comes_back(project: Project) -> None:
    """The step that makes both runs once; both are right."""
    twins(project)
    project.build()
    project.lose("right")
    project.check(project.rebuild(), runs=2)


def test_49_one_damaged_product_of_two_comes_back(project: Project) -> None:
    """A pattern rule with two targets, one of which was edited by hand."""
    project.write("Makefile", "all: p.x p.y\n%.x %.y: %.in\n\tcp $< $*.x; cp $< $*.y\n")
    project.write("p.in", "x\n")
    project.build()
    project.damage("p.y")
    project.check(project.rebuild(), runs=2)


def test_50_a_lost_executable_bit_is_restored(project: Project) -> None:
    """The bytes are right, the mode is not."""
    program(project)
    project.build()
    (project.tree / "prog").chmod(0o644)
    project.check(project.rebuild(), runs=1)


def test_51_an_input_s_executable_bit_is_part_of_it(project: Project) -> None:
    """The step tests it."""
    project.write("Makefile", "out: in yes no\n\tif [ -x in ]; then cp yes out; else cp no out; fi\n")
    for name in ("in", "yes", "no"):
        project.write(name, f"{name}\n")
    project.build()
    project.chmod("in", 0o755)
    project.check(project.rebuild(), runs=1)


def test_52_a_link_that_points_elsewhere_is_noticed(project: Project) -> None:
    """The new target is older than the product."""
    project.write("Makefile", "out: in\n\tcat in > out\n")
    project.write("v1", "1\n")
    project.write("v2", "2\n")
    project.link("in", "v1")
    project.touch("v2", date=ANCIENT)
    project.build()
    project.link("in", "v2")
    project.touch("in", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


def test_53_a_file_behind_a_link_is_an_input(project: Project) -> None:
    """The link stays, what it leads to is edited."""
    project.write("Makefile", "out: in\n\tcat in > out\n")
    project.write("v1", "1\n")
    project.link("in", "v1")
    project.build()
    project.write("v1", "one\n")
    project.check(project.rebuild(), runs=1)


def test_54_a_swapped_directory_link_is_noticed(project: Project) -> None:
    """current -> v1 becomes current -> v2; all files are old."""
    project.write("Makefile", "out: current/in\n\tcat current/in > out\n")
    project.write("v1/in", "1\n")
    project.write("v2/in", "2\n")
    project.link("current", "v1")
    project.touch("v1/in", "v2/in", date=ANCIENT)
    project.build()
    project.link("current", "v2")
    project.touch("current", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


@pytest.mark.parametrize("target", ["nowhere", "in"])
def test_55_a_dangling_link_or_a_loop_ends_as_in_a_clean_build(project: Project, target: str) -> None:
    """An error, the same one, and no hang."""
    project.write("Makefile", "out:\n\tcat in > out\n")
    project.write("v1", "1\n")
    project.link("in", "v1")
    project.build()
    project.link("in", target)
    failed = project.rebuild()
    assert failed.status == 2
    assert "cat: in: " in failed.err
    project.check(failed, extra=("out",))


def test_56_links_between_products_are_restored(project: Project) -> None:
    """Symbolic and hard links of a product are links of it again."""
    project.write("Makefile", "all: one soft hard\none: in\n\tcp in one\nsoft hard: one\n\tln $(OPTION) one $@\n")
    project.write("Makefile", (project.sources / "Makefile").read_text() + "soft: OPTION = -s\n")
    project.write("in", "1\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    project.lose("one", "soft", "hard")
    project.check(project.rebuild(), runs=3)


def test_57_a_deleted_product_directory_comes_back(project: Project) -> None:
    """rm -rf out: every file and every directory, modes included."""
    project.write(
        "Makefile",
        "all: out/sub/x out/y\nout/sub:\n\tmkdir -p out; mkdir -m 750 out/sub\n"
        "out/sub/x: in | out/sub\n\tcp in $@\nout/y: in | out/sub\n\tcp in $@\n",
    )
    project.write("in", "1\n")
    project.build()
    project.lose("out")
    project.check(project.rebuild(), runs=2)
    assert (project.tree / "out/sub").stat().st_mode & 0o777 == 0o750


def test_58_a_product_that_is_moved_into_place_is_known_by_its_final_name(project: Project) -> None:
    """The temporary name is not expected to be there."""
    project.write("Makefile", "out: in\n\tcat in > out.new && mv out.new out\n")
    project.write("in", "1\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    project.lose("out")
    project.check(project.rebuild(), runs=1)


def test_59_temporary_files_with_random_names_are_no_products(project: Project) -> None:
    """mktemp and sed -i: the next build is null."""
    project.write("Makefile", "out: in\n\tt=$$(mktemp ./tmp.XXXXXX); cp in $$t; sed -i s/a/b/ $$t; mv $$t out\n")
    project.write("in", "a\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    project.write("in", "aa\n")
    project.check(project.rebuild(), runs=2)


ODD_NAMES = [
    "with space",
    "#hash",
    "$dollar",
    "new\nline",
    os.fsdecode(b"\xff\xfe"),
    "x" * 255,
    "-dash",
    "quo'te\"",
    "b\\s",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_60_any_name_that_the_system_allows_works(project: Project, name: str) -> None:
    """As a source, as a product, deleted, and edited."""
    project.write("Makefile", "done: list\n\tcp -r in out; cat out/* > done\n")
    project.write("list", "x\n")
    project.write(f"in/{name}", "1\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    project.lose(f"out/{name}")
    project.check(project.rebuild(), runs=2)
    project.write(f"in/{name}", "2\n")
    project.check(project.rebuild(), runs=2)


CHAIN = """\
all: c
c: in
\trm -f $@ t4 t5
\tcat in > t4
\tsed s/^/x/ t4 > t5
\trm t4
\tmv t5 $@
clean:
\trm -f c
"""


def test_a_chain_of_temporaries_is_made_anew_when_its_end_was_cleaned_away(project: Project) -> None:
    """libpng: t4, of which t5 is made, is removed; t5 is moved to its place; `make clean` takes that away."""
    project.write("Makefile", CHAIN)
    project.write("in", "1\n")
    project.build()
    for _ in range(2):
        assert project.build("clean").status == 0
        again = project.rebuild()
        assert "cannot" not in again.err + again.out
        project.check(again)
        project.check_null(project.build())
    project.write("in", "2\n")
    assert project.build("clean").status == 0
    project.check(project.rebuild())
    project.lose("c")
    project.check(project.rebuild())


def test_a_chain_of_temporaries_goes_back_to_each_text_that_it_was_made_of(project: Project) -> None:
    """Of which step a removal is depends on what was removed; a step that runs for a version starts from nothing."""
    project.write("Makefile", CHAIN)
    for text in (1, 2, 1, 3, 2, 1, 3, 1):
        project.write("in", f"{text}\n")
        built = project.rebuild()
        assert "Error" not in built.err + built.out
        assert project.text("c") == f"x{text}\n"
        project.check_null(project.build())
    project.check(project.build())


@pytest.mark.parametrize("change", ["echo more >> log", "sed -i s/a/b/ log", "cat log > log.new && mv log.new log"])
def test_the_build_after_one_that_changed_a_source_in_place_is_null(project: Project, change: str) -> None:
    """As config.status does with config.log: nobody had read it before, and afterwards it is too late."""
    project.write("Makefile", f"x: in\n\tcat in > x; {change}\n")
    project.write("in", "1\n")
    project.write("log", "a\n")
    project.check(project.build())
    project.check_null(project.build())
    project.write("in", "2\n")
    project.build()
    assert project.text("x") == "2\n"
    project.check_null(project.build())


def test_what_is_written_under_one_name_of_a_file_is_written_under_the_other(project: Project) -> None:
    """Hard links: the step that made the other name is current, and leads to what lies there."""
    project.write(
        "Makefile", "all: c\na: in\n\tcp in a\nb: a\n\tln -f a b\nc: b extra\n\tcat extra >> b; cat a b > c\n"
    )
    project.write("in", "1\n")
    project.write("extra", "x\n")
    project.check(project.build())
    project.check_null(project.build())
    for name, text in (("extra", "y\n"), ("in", "2\n"), ("extra", "x\n"), ("in", "1\n")):
        project.write(name, text)
        project.check(project.rebuild())
        project.check_null(project.build())
        assert os.path.samefile(project.tree / "a", project.tree / "b")


def test_a_link_of_a_whole_program_is_one_step(project: Project) -> None:
    """gcc writes a makefile into /tmp and starts make with it: nothing in there can be known again."""
    project.write(
        "Makefile",
        "p: a.o b.o\n\t+gcc -O2 -flto=auto -o $@ $^\n%.o: %.c\n\tgcc -O2 -flto -frandom-seed=$@ -c -o $@ $<\n",
    )
    project.write("a.c", "int b(int); int main(int c, char **v) { (void)v; return b(c); }\n")
    project.write("b.c", "int b(int x) { return x * 3; }\n")
    project.check(project.build("-j2"))
    project.check_null(project.build("-j2"))
    project.check_null(project.build("-j2", ANYTHING="1"))
    project.write("b.c", "int b(int x) { return x * 5; }\n")
    project.check(project.rebuild("-j2"))
    assert len(project.log()["ran"]) == 2
