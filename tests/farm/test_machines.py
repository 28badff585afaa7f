"""Two machines and a real server, buildbox-casd: what one has built the other does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .machines import Casd, Machine

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "Makefile": """\
CFLAGS = -O1 -I include
all: prog notes
prog: main.o part.o ; cc -o $@ $^
%.o: %.c ; cc $(CFLAGS) -MD -c -o $@ $<
clean: ; rm -f prog notes *.o *.d
notes: notes.in ; @tr a-z A-Z < $< > $@; echo made $@; echo "watch out" >&2
-include *.d
""",
    "include/part.h": "#define PART 1\nint part(void);\n",
    "include/other.h": "int other;\n",
    "main.c": '#include "part.h"\nint main(void) { return part() - PART; }\n',
    "part.c": '#include "part.h"\n#include "other.h"\nint part(void) { return PART; }\n',
    "notes.in": "all of it\n",
}


def two(top: Path, endpoint: str, **settings: str) -> tuple[Machine, Machine]:
    """Two machines with the same sources."""
    one, other = Machine(top, "one", endpoint), Machine(top, "another", endpoint, "read", **settings)
    one.take(FILES)
    other.take(FILES)
    return one, other


def test_a_second_machine_builds_nothing(tmp_path: Path, casd: Casd) -> None:
    """Another path, another user, neither state nor store: what was printed is printed again, products are equal."""
    one, other = two(tmp_path, casd.endpoint)
    one.build("-j2")
    assert (one.ran, one.restored) == (4, 0)
    other.build("-j2")
    assert (other.ran, other.restored) == (0, 4)
    assert "made notes" in other.text
    assert "watch out" in other.text
    assert one.products() == other.products()
    other.build()
    assert "nothing changed" in other.text


def test_the_directories_that_a_tree_lies_in_do_not_count(tmp_path: Path, casd: Casd) -> None:
    """A compiler looks at each, to find out where it is; on another machine they have other names."""
    one, other = two(tmp_path, casd.endpoint)
    for machine in (one, other):
        machine.write("Makefile", FILES["Makefile"].replace("notes.in ;", "notes.in ; @realpath -e main.c >/dev/null;"))
        machine.write("Makefile", (machine.tree / "Makefile").read_text().replace("all: prog notes", "all: prog"))
    one.build()
    assert one.ran == 3
    built = one.products()
    one.top.rename(tmp_path / "gone")
    other.build()
    assert (other.ran, other.restored) == (0, 3)
    assert other.products() == built


def test_after_an_edit_only_what_reads_it_runs(tmp_path: Path, casd: Casd) -> None:
    """A header's: and the third machine, with the same edit, runs nothing."""
    one, other = two(tmp_path, casd.endpoint)
    one.build()
    other.settings["mode"] = "read-write"
    other.write("include/other.h", "int other, more;\n")
    other.build()
    assert (other.ran, other.restored) == (2, 2)  # part.o and prog
    third = Machine(tmp_path, "third", casd.endpoint, "read")
    third.take({**FILES, "include/other.h": "int other, more;\n"})
    third.build()
    assert (third.ran, third.restored) == (0, 4)
    assert third.products() == other.products()


def test_a_header_that_appears_is_no_hit(tmp_path: Path, casd: Casd) -> None:
    """What was looked for in vain is part of what a result is found by."""
    one, other = two(tmp_path, casd.endpoint)
    for machine in (one, other):
        machine.write("Makefile", FILES["Makefile"].replace("-I include", "-I first -I include"))
    one.build()
    other.write("first/part.h", "#define PART 2\nint part(void);\n")
    other.settings["mode"] = "read-write"
    other.build()
    assert other.ran == 3
    assert other.restored == 1
    for like in (one, other):  # now two sets of things are known of the same step
        third = Machine(tmp_path, f"as-{like.top.name}", casd.endpoint, "read")
        third.take({path.relative_to(like.tree).as_posix(): path.read_text() for path in like.sources()})
        third.build()
        assert (third.ran, third.restored) == (0, 4)
        assert third.products() == like.products()


def test_a_reader_tells_nobody(tmp_path: Path, casd: Casd) -> None:
    one, other = two(tmp_path, casd.endpoint)
    other.build()
    one.build()
    assert (one.ran, one.restored) == (4, 0)


def test_another_salt_is_another_cache(tmp_path: Path, casd: Casd) -> None:
    one, other = two(tmp_path, casd.endpoint, salt="2026")
    one.build()
    other.build()
    assert other.restored == 0


def test_without_the_remote(tmp_path: Path, casd: Casd) -> None:
    """By a flag, by a setting."""
    one, other = two(tmp_path, casd.endpoint)
    one.build()
    assert other.build("--no-remote").restored == 0
    third = Machine(tmp_path, "third", "off")
    third.take(FILES)
    assert third.build().restored == 0


def test_a_server_that_lost_everything_is_told_again(tmp_path: Path, casd: Casd) -> None:
    """Each build is right, with and without what it once held."""
    one, other = two(tmp_path, casd.endpoint)
    one.build()
    casd.empty()
    other.settings["mode"] = "read-write"
    other.build()
    assert (other.ran, other.restored) == (4, 0)
    assert one.products() == other.products()
    third = Machine(tmp_path, "third", casd.endpoint)
    third.take(FILES)
    third.build()
    assert third.restored == 4


def test_a_server_that_is_gone_costs_one_line(tmp_path: Path, casd: Casd) -> None:
    one, other = two(tmp_path, casd.endpoint)
    one.build()
    casd.kill()
    other.build()
    assert other.ran == 4
    assert other.text.count("goes on without the shared cache") == 1
    assert one.products() == other.products()


def test_a_server_that_is_killed_in_the_middle(tmp_path: Path, casd: Casd) -> None:
    """Steps that wait for it run; it comes back, and serves the next build."""
    one, other = two(tmp_path, casd.endpoint)
    slow = FILES["Makefile"].replace("@tr", "@touch begun; while [ ! -e go ]; do sleep 0.01; done; rm go begun; tr")
    for machine in (one, other):
        machine.write("Makefile", slow)
    (one.tree / "go").touch()
    one.build()
    building = other.start()
    (other.tree / "go").touch()
    casd.kill()
    other.end(building)
    assert one.products() == other.products()
    casd.start()
    third = Machine(tmp_path, "third", casd.endpoint)
    third.take({**FILES, "Makefile": slow})
    (third.tree / "go").touch()
    third.build()
    assert third.products() == one.products()


def test_an_edit_that_others_made_before_is_not_built_here(tmp_path: Path, casd: Casd) -> None:
    """A tree that is known already: after a pull that changes many files others' results are asked for, too."""
    names = [f"n{i}" for i in range(12)]
    files = {f"{name}.in": name for name in names}
    files["Makefile"] = f"all: {' '.join(n + '.out' for n in names)}\n%.out: %.in ; tr a-z A-Z < $< > $@\n"
    one, other = Machine(tmp_path, "one", casd.endpoint), Machine(tmp_path, "another", casd.endpoint, "read")
    for machine in (one, other):
        machine.take(files)
        machine.build()
    for machine in (one, other):
        machine.take({f"{name}.in": name * 2 for name in names})
    one.build()
    other.build()
    assert other.ran < 12
    assert other.ran + other.restored == 12
    assert one.products() == other.products()
