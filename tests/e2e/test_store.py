"""What steps left is kept: going back to an earlier state restores it instead of running steps again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import shutil
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from . import tool
from .snapshot import contents, differences

if TYPE_CHECKING:
    from pathlib import Path

    from .project import Project, Result

pytestmark = pytest.mark.usefixtures("needs_hashmake")

COPIES = """\
all: a.out b.out
%.out: %.in
	cp $< $@; echo "warning: $@" >&2; echo made $@
clean:
	rm -f *.out
"""


def copies(project: Project, makefile: str = COPIES) -> Result:
    """Two products from two sources, built once."""
    project.write("Makefile", makefile)
    project.write("a.in", "a 1\n")
    project.write("b.in", "b 1\n")
    return project.build()


def restored(project: Project) -> int:
    """How many steps the last build restored."""
    count: int = project.log()["steps"]["restored"]
    return count


def objects(project: Project) -> list[Path]:
    """The contents in the store."""
    top = project.root / "home/.cache/hashmake/store/objects"
    return [path for path in top.rglob("*") if path.is_file()]


def test_an_edit_taken_back_runs_nothing_and_says_what_was_said(project: Project) -> None:
    """Echo, output and warnings, each on its stream."""
    first = copies(project)
    project.edit("a.in", "1", "2")
    project.check(project.rebuild(), runs=1)
    project.edit("a.in", "2", "1")
    back = project.rebuild()
    project.check(back, runs=0)
    assert back.out.splitlines() == [line for line in first.out.splitlines() if "b." not in line]
    assert [line for line in back.err.splitlines() if "hashmake" not in line] == ["warning: a.out"]
    assert "0 steps ran, 1 were restored, 1 were current" in back.err


def test_after_clean_everything_is_restored(project: Project) -> None:
    copies(project)
    project.build("clean")
    assert not project.has("a.out")
    again = project.rebuild()
    assert restored(project) == 2
    project.check(again, runs=0)


def test_deleted_and_damaged_products_are_restored(project: Project) -> None:
    copies(project)
    project.lose("a.out")
    project.damage("b.out")
    again = project.rebuild()
    project.check(again, runs=0)
    assert "b.out: changed by hand, made again" in again.err


def test_modes_links_and_directories_are_as_the_step_made_them(project: Project) -> None:
    """Also what it took away."""
    project.write(
        "Makefile",
        "all: in\n\trm -rf d; mkdir -p d/e; cp in d/e/f; chmod 440 d/e/f; ln -s e/f d/l; chmod 750 d\n\ttouch end\n",
    )
    project.write("in", "1\n")
    project.build()
    project.lose("d")
    again = project.rebuild()
    assert restored(project) == 1
    project.check(again, runs=0)


def test_a_chain_in_place_is_restored_at_any_link(project: Project) -> None:
    """As objtool does: a step changes what another one made; only the last link has changed, and has changed back."""
    project.write("Makefile", "all: p\np: a.in b.in\n\tcp a.in p\n\tcat b.in >> p\n\tcat b.in b.in | cat >> p\n")
    project.write("a.in", "a\n")
    project.write("b.in", "b 1\n")
    project.build()
    project.edit("b.in", "1", "2")
    project.check(project.rebuild(), runs=3)  # the copy is brought back, not made again
    assert "cp a.in p" not in [step["command"] for step in project.log()["ran"]]
    project.edit("b.in", "2", "1")
    project.check(project.rebuild(), runs=0)


def test_below_makes_steps_are_restored_as_well(project: Project) -> None:
    project.write("Makefile", "all:\n\t$(MAKE) -C sub\n\tcp sub/a.out top\n")
    project.write("sub/Makefile", "all: a.out\na.out: a.in\n\tcp a.in a.out\n")
    project.write("sub/a.in", "1\n")
    project.build()
    project.edit("sub/a.in", "1", "2")
    project.check(project.rebuild(), runs=2)
    project.edit("sub/a.in", "2", "1")
    project.check(project.rebuild(), runs=0)


def test_lines_that_only_print_are_seen_with_a_restored_line_of_their_recipe(project: Project) -> None:
    copies(project, "all: a.out\na.out: a.in\n\t@echo CP $@\n\t@cp a.in a.out\n")
    project.lose("a.out")
    again = project.rebuild()
    project.check(again, runs=0)
    assert again.out == "CP a.out\n"


@pytest.mark.parametrize("how", ["--no-store", "off"])
def test_it_can_be_switched_off(project: Project, how: str) -> None:
    """Nothing is kept, nothing restored."""
    words = [how] if how != "off" else []
    project.environment |= {"HASHMAKE_STORE": how} if how == "off" else {}
    project.write("Makefile", COPIES)
    project.write("a.in", "a 1\n")
    project.write("b.in", "b 1\n")
    project.build(*words)
    assert not objects(project)
    project.lose("a.out", "b.out")
    assert project.build(*words).count() == 2
    project.environment.pop("HASHMAKE_STORE", None)
    assert project.build("-B").count() == 2
    project.lose("a.out", "b.out")
    assert project.build(*words).count() == (2 if words else 0)


def test_a_damaged_store_costs_time_and_nothing_else(project: Project) -> None:
    """Cut, emptied, bits flipped, gone: the steps run, and what they leave is kept again."""
    copies(project)
    for number, content in enumerate(sorted(objects(project))):
        content.chmod(0o600)
        content.write_bytes(b"x" * 4 if number % 2 else b"")
    project.lose("a.out", "b.out")
    project.check(project.rebuild(), runs=2)
    project.lose("a.out", "b.out")
    project.check(project.rebuild(), runs=0)


def test_a_store_that_can_not_be_written_is_one_line(project: Project) -> None:
    project.write("here", "a file in its place\n")
    project.write("Makefile", COPIES)
    project.write("a.in", "a 1\n")
    project.write("b.in", "b 1\n")
    first = project.build(HASHMAKE_STORE=str(project.tree / "here"))
    assert first.err.count("nothing is kept for other builds") == 1
    project.check(first, runs=2)


def test_a_step_that_prints_much_prints_all_of_it_and_runs_again(project: Project) -> None:
    project.write("Makefile", "all: a.out\na.out: a.in\n\t@cp a.in a.out; seq 20000\n")
    project.write("a.in", "1\n")
    assert project.build().out.splitlines()[-1] == "20000"
    project.lose("a.out")
    again = project.rebuild()
    project.check(again, runs=1)
    assert len(again.out.splitlines()) == 20000


def test_a_make_that_a_script_calls_is_nobodys_output(project: Project) -> None:
    """What hashmake keeps of the script's output does not count as somebody who reads what that make prints."""
    project.write("Makefile", "all: a.out\na.out: build.sh a.in\n\t@sh build.sh\n")
    project.write("build.sh", "$TOOL --no-print-directory -f inner.mk; cp a.in a.out\n")
    project.write("inner.mk", "all: made\n\t@echo done\nmade: b.in\n\t@cp b.in made; echo made\n")
    project.write("a.in", "1\n")
    project.write("b.in", "1\n")
    first = project.build(TOOL="make")
    assert first.out == "made\ndone\n"
    project.check(first, runs=2)
    project.edit("a.in", "1", "2")
    again = project.rebuild(TOOL="make")
    project.check(again, runs=1)
    assert "made" not in again.out
    project.lose("a.out")
    again = project.rebuild(TOOL="make")
    assert restored(project) == 1
    project.check(again, runs=0)
    project.edit("a.in", "2", "1")
    project.edit("b.in", "1", "2")
    project.check(project.rebuild(TOOL="make"), runs=2)
    project.edit("b.in", "2", "1")
    project.check(project.rebuild(TOOL="make"), runs=0)


def test_what_a_process_left_behind_prints_is_not_lost(project: Project) -> None:
    """And such a step is not restored."""
    project.write("Makefile", "all: a.out\na.out: a.in\n\t@cp a.in a.out; (sleep 0.3; echo late) & echo soon\n")
    project.write("a.in", "1\n")
    out = project.root / "out"
    with out.open("w") as file:
        command = [*tool.build_command()]
        subprocess.run(command, cwd=project.tree, env=project.environment, stdout=file, check=True)
    for _ in range(100):
        if "late" in out.read_text():
            break
        time.sleep(0.1)
    assert out.read_text().split() == ["soon", "late"]


def test_a_private_key_is_made_anew(project: Project) -> None:
    """And with it what comes of it."""
    project.write(
        "Makefile",
        "all: cert\nkey: a.in\n\t@(echo '-----BEGIN PRIVATE KEY-----'; cat a.in) > key\n"
        "cert: key\n\t@grep -v BEGIN key > cert\n",
    )
    project.write("a.in", "1\n")
    project.build()
    project.lose("key", "cert")
    again = project.rebuild()
    assert [step["command"].split()[0] for step in project.log()["ran"]] == ["(echo"]
    assert restored(project) == 1
    project.check(again)


def on_terminal(project: Project, *words: str) -> str:
    """What a build prints on a terminal of its own."""
    command = [*tool.build_command(), *words]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.tree)
        os.execvpe(command[0], command, {**project.environment, "TERM": "dumb"})
    shown = b""
    try:
        while data := os.read(terminal, 65536):
            shown += data
    except OSError:
        pass  # nobody has it open any more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown.decode().replace("\r\n", "\n")


TALKS = """\
all: a.out
a.out: a.in
	@cp a.in a.out; [ -t 1 ] && echo yes; [ -t 2 ] && echo yes >&2; {more}echo end
"""


def test_a_terminal_stays_one_and_what_it_showed_is_shown_again(project: Project) -> None:
    project.write("Makefile", TALKS.format(more=""))
    project.write("a.in", "1\n")
    assert on_terminal(project, "-s") == "yes\nyes\nend\n"
    project.lose("a.out")
    assert on_terminal(project, "-s") == "yes\nyes\nend\n"
    assert restored(project) == 1


ASKS = "import sys, termios; modes = termios.tcgetattr({fd}); print(bool(modes[1] & termios.OPOST), flush=True)"


@pytest.mark.parametrize("fd", [1, 2])
def test_who_asks_for_more_of_the_terminal_gets_the_real_one(project: Project, fd: int) -> None:
    """As menuconfig does, which sets its modes; then nobody knows what was shown, and the step is not restored."""
    project.script("asks.py", f"#!/usr/bin/python3\n{ASKS.format(fd=fd)}\n")
    project.write("Makefile", TALKS.format(more="./asks.py; "))
    project.write("a.in", "1\n")
    assert on_terminal(project, "-s") == "yes\nyes\nTrue\nend\n"
    project.lose("a.out")
    assert on_terminal(project, "-s") == "yes\nyes\nTrue\nend\n"
    assert restored(project) == 0


def test_what_the_store_holds_can_be_looked_after(project: Project) -> None:
    copies(project)

    def verb(*words: str) -> tuple[int, str]:
        command = tool.verb_command("store", *words)
        done = subprocess.run(command, env=project.environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert "results    2, contents 2 (0.0 MB)" in verb()[1]
    objects(project)[0].chmod(0o600)
    objects(project)[0].write_text("bad")
    assert verb("--verify")[0] == 1
    assert "contents 1 " in verb("--stats")[1]
    assert "contents 0 " in verb("--clear")[1]
    assert '"contents": 0' in verb("--json")[1]
    project.check(project.rebuild(), runs=0)


class Second:
    """Another checkout of the same sources at another path, which has never been built."""

    def __init__(self, project: Project, name: str = "another/place") -> None:
        self.project = project
        self.tree = project.root / name

    def build(self, *words: str, **variables: str) -> int:
        """Build as new; equal to a clean stock make there. How many steps ran."""
        self.check_out()
        environment = {**self.project.environment, **variables}
        command = [*tool.build_command(), *words]
        ours = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, check=True)
        log = subprocess.run(tool.verb_command("log", "--json"), cwd=self.tree, env=environment, stdout=-1, check=True)
        here = contents(self.tree)
        again = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, check=True)
        assert "nothing changed" in again.stderr
        self.check_out()
        stock = subprocess.run(["make", *words], cwd=self.tree, env=environment, stdout=-1, text=True, check=True)
        wrong = differences(here, contents(self.tree), ())
        assert not wrong, wrong
        assert sorted(ours.stdout.splitlines()) == sorted(stock.stdout.splitlines())
        count: int = json.loads(log.stdout)["steps"]["run"]
        return count

    def check_out(self) -> None:
        """The sources, and nothing else."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.project.sources, self.tree, symlinks=True)


def test_another_checkout_at_another_path_runs_nothing(project: Project) -> None:
    """Nor does one at another path again, nor the first one when its recording is lost."""
    copies(project)
    assert Second(project).build() == 0
    assert Second(project, "third").build() == 0
    project.lose(".hashmake", "a.out", "b.out")
    project.check(project.rebuild(), runs=0)


def test_only_what_differs_runs_in_another_checkout(project: Project) -> None:
    copies(project)
    (project.sources / "a.in").write_text("other\n")
    assert Second(project).build() == 1


CHECKS = """\
all: a.out b.out
%.out: %.in
	@set -e; trap 'rm -f $@' HUP;
	@cp $< $@
	@set -e; trap 'rm -f $@' HUP;
	@if grep -q bad $@; then exit 1; fi
	@if grep -q worse $@; then exit 1; fi
	@set -e; trap 'rm -f $@' HUP;
"""


def test_what_a_recipe_checks_of_its_products_is_checked_once(project: Project) -> None:
    """Lines that leave and print nothing: not in another checkout, and the same one not twice in one build."""
    copies(project, CHECKS)
    assert project.log()["steps"]["run"] == 8
    assert Second(project).build() == 0
    (project.sources / "a.in").write_text("other\n")
    assert Second(project).build() == 3


def test_what_is_done_for_an_effect_is_done_in_each_checkout(project: Project) -> None:
    """A line that leaves and prints nothing may stop a service: where its recipe makes no files, it is not believed."""
    copies(project, "all: a.out stop\na.out: a.in\n\tcp $< $@\nstop:\n\t@sh -c 'kill -0 $$PPID'\n")
    assert Second(project).build() == 1


def test_what_holds_the_path_of_its_tree_is_made_anew_in_another(project: Project) -> None:
    """Never a wrong hit; at the same path it is found."""
    project.write(
        "Makefile",
        "all: where a.out\nwhere: a.in\n\tpwd > where; cat a.in >> where\na.out: where\n\tgrep -v / where > $@\n",
    )
    project.write("a.in", "1\n")
    project.build()
    assert Second(project).build() == 2  # and what reads it
    project.lose(".hashmake", "where", "a.out")
    project.check(project.rebuild(), runs=0)


PLACES = """\
all: 1 2 3 4 5 6 7
1: in
	@echo $${PWD##*/} > $@
2: in
	@basename `pwd` > $@
3: in
	@python3 -c 'import os; print(len(os.getcwd()))' > $@
4: in
	@realpath . | md5sum > $@
5: in
	@basename $(CURDIR) > $@
6: in
	@perl -MCwd -e 'print length(getcwd())' > $@
7: in
	@cp in $@
"""


def test_what_goes_by_where_the_tree_lies_is_made_anew_in_another(project: Project) -> None:
    """A part of the path, its length, its digest: nobody could find the path itself in what was made of it."""
    project.write("Makefile", PLACES)
    project.write("in", "1\n")
    project.build()
    assert Second(project).build() == 6
    project.lose(".hashmake", *"1234567")
    project.check(project.rebuild(), runs=0)


ANSWERS = """\
v := $(shell cat version)
w := $(shell gcc -E -P - < version; mkdir .tmp_$$$$ && touch .tmp_$$$$/t && rm -r .tmp_$$$$)
s := $(shell echo said; exit 3)
status := $(.SHELLSTATUS)
x := $(shell cat missing 2>/dev/null || echo none)
y := $(shell mkdir -p sub)
all: a.out
a.out: a.in
\techo $v $w $s $(status) $x $y > $@; cat $< >> $@
"""


def test_what_shell_functions_answer_is_known_in_another_checkout(project: Project) -> None:
    """Not that of one whose inputs are others."""
    project.write("version", "1.0\n")
    project.write("sub/file", "")
    copies(project, ANSWERS)
    assert Second(project).build() == 0
    (project.sources / "version").write_text("2.0\n")
    assert Second(project).build() == 3
    (project.sources / "missing").write_text("there\n")
    assert Second(project).build() == 2


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        ("basename $(CURDIR)", True),
        ("dirname $(CURDIR)", True),
        ("realpath $(CURDIR)/../..", True),
        ("pwd | wc -c", True),
        ("perl -MCwd -e 'print length(getcwd())'", True),
        ("cd sub && pwd", True),
        ("date +%Y-%m", False),
        ("nproc", False),
        ("echo warning >&2; echo $$((1 + 1))", False),
        ("touch made", False),
        ("kill -0 $$PPID", False),
    ],
)
def test_a_shell_function_is_asked_in_each_checkout_where_its_answer_may_be_another(
    project: Project, answer: str, other: bool
) -> None:
    """Or where it said, or did, more than that."""
    project.write("sub/file", "")
    copies(project, f"x := $(shell {answer})\nall: a.out\na.out: a.in\n\techo '$x' | cat - $< > $@\n")
    assert Second(project, "another/place/further").build() == (2 if other else 1)


@pytest.mark.parametrize(("bits", "runs"), [(0o644, 0), (0o600, 1)])
@pytest.mark.parametrize(
    "makefile", ["x := $(shell cat {})\nall: a.out\na.out: a.in\n\techo $x > $@", "a.out:\n\tcat {} > $@"]
)
def test_what_was_made_of_a_file_of_its_owner_alone_is_told_to_nobody(
    project: Project, makefile: str, bits: int, runs: int
) -> None:
    """A token: it may have found its way into what was made."""
    secret = project.root / "token"
    secret.write_text("s3cret\n")
    secret.chmod(bits)
    copies(project, makefile.format(secret) + "\n")
    assert Second(project, "second").build() == runs


def test_names_of_the_tree_in_commands_and_variables_do_not_matter(project: Project) -> None:
    project.write(
        "Makefile",
        "export TOP := $(CURDIR)\nall: a.out b.out\na.out: $(TOP)/a.in\n\tcp $(TOP)/a.in $(TOP)/$@\n"
        "b.out: b.in\n\tcp $$TOP/b.in $@; echo $$TOP/b.in\n",
    )
    project.write("a.in", "1\n")
    project.write("b.in", "1\n")
    project.build()
    assert Second(project).build() == 0


def test_what_lies_beside_the_tree_is_looked_at_there(project: Project) -> None:
    """`../shared.h`: what the other tree has in that place counts, not what the first one had."""
    project.write("Makefile", "all: a.out\na.out: a.in\n\tcat a.in ../beside > $@ 2>/dev/null || cp a.in $@\n")
    project.write("a.in", "1\n")
    (project.root / "beside").write_text("here\n")
    project.build()
    (project.root / "another").mkdir()
    (project.root / "another/beside").write_text("there\n")
    assert Second(project).build() == 1
    (project.root / "another/beside").write_text("here\n")
    assert Second(project).build() <= 1


def test_other_variables_and_other_tools_run_in_another_checkout(project: Project) -> None:
    project.write("Makefile", "all: a.out\na.out: a.in\n\tcp a.in $@; echo $$FLAVOUR >> $@\n")
    project.write("a.in", "1\n")
    project.build(FLAVOUR="1")
    assert Second(project).build(FLAVOUR="2") == 1
    assert Second(project).build(FLAVOUR="1") == 0
    assert Second(project).build(FLAVOUR="2") == 0


def test_an_output_directory_elsewhere_is_a_root_as_well(project: Project) -> None:
    """As with a kernel's O=."""
    project.write("Makefile", "all:\n\t$(MAKE) -C $(O) -f $(CURDIR)/inner.mk S=$(CURDIR)\n")
    project.write("inner.mk", "all: a.out\na.out: $(S)/a.in\n\tcp $(S)/a.in a.out\n")
    project.write("a.in", "1\n")
    for name in ("out1", "somewhere"):
        (project.root / name).mkdir()
    project.build(f"O={project.root}/out1")
    command = [*tool.build_command(), f"O={project.root}/somewhere"]
    done = subprocess.run(
        command, cwd=project.tree, env=project.environment, capture_output=True, text=True, check=True
    )
    assert "1 were restored" in done.stderr
    assert (project.root / "somewhere/a.out").read_text() == "1\n"


def test_what_names_the_sources_is_found_by_another_output_directory(project: Project) -> None:
    """Kbuild's .cmd files with O=: they hold the place of the sources, which is the same."""
    project.write("Makefile", "all:\n\t$(MAKE) -C $(O) -f $(CURDIR)/inner.mk S=$(CURDIR)\n")
    project.write("inner.mk", "all: a.out b.out\na.out: $(S)/a.in\n\techo $< > a.out\nb.out: $(S)/a.in\n\tpwd > $@\n")
    project.write("a.in", "1\n")
    for name in ("out1", "somewhere"):
        (project.root / name).mkdir()
    project.build(f"O={project.root}/out1")
    command = [*tool.build_command(), f"O={project.root}/somewhere"]
    done = subprocess.run(
        command, cwd=project.tree, env=project.environment, capture_output=True, text=True, check=True
    )
    assert "1 steps ran, 1 were restored" in done.stderr
    assert (project.root / "somewhere/b.out").read_text() == f"{project.root}/somewhere\n"


def test_a_tree_that_make_has_built_is_taken_for_nothing_and_null_then(project: Project) -> None:
    copies(project)
    second = Second(project, "second")
    second.check_out()
    subprocess.run(["make", "-s"], cwd=second.tree, env=project.environment, capture_output=True, check=True)
    (second.tree / "a.out").write_text("by hand\n")
    for _ in range(2):
        command = [*tool.build_command(), "-B"]
        subprocess.run(command, cwd=second.tree, env=project.environment, capture_output=True, check=True)
    assert (second.tree / "a.out").read_text() == "a 1\n"
    done = subprocess.run(
        tool.build_command(), cwd=second.tree, env=project.environment, capture_output=True, check=True
    )
    assert b"nothing changed" in done.stderr


def test_a_store_full_of_nonsense_is_no_harm(project: Project) -> None:
    copies(project)
    top = project.root / "home/.cache/hashmake/store"
    for table in ("steps", "results"):
        for path in (top / table).rglob("*"):
            if path.is_file():
                path.chmod(0o600)
                path.write_bytes(os.urandom(100))
    assert Second(project).build() == 2


MANY = """\
all: $(patsubst %.in,%.out,$(wildcard *.in)) sum
%.out: %.in
	@cat $< $< > $@
sum: $(patsubst %.in,%.out,$(wildcard *.in))
	@cat $^ > sum
"""


@pytest.mark.parametrize("collecting", [False, True], ids=["", "while it is collected"])
def test_twelve_builds_at_once_share_a_store(project: Project, collecting: bool) -> None:
    """Each is right, whoever was first, and though what they are about to take is removed under their hands."""
    project.write("Makefile", MANY)
    for number in range(20):
        project.write(f"f{number}.in", f"{number}\n" * 200)
    trees = [Second(project, f"tree{number}") for number in range(12)]
    for tree in trees:
        tree.check_out()
    command, environment = [*tool.build_command(), "-j2"], {**project.environment, "HASHMAKE_STORE_SIZE": "20k"}
    builds = [
        subprocess.Popen(command, cwd=tree.tree, env=project.environment, stdout=-1, stderr=-1, text=True)
        for tree in trees
    ]
    while collecting and any(build.poll() is None for build in builds):
        subprocess.run(tool.verb_command("store", "--gc"), env=environment, capture_output=True, check=True)
    for build, tree in zip(builds, trees, strict=True):
        out, err = build.communicate(timeout=60)
        assert build.returncode == 0, out + err
        assert (tree.tree / "sum").read_text() == "".join(
            f"{n}\n" * 400 for n in sorted(range(20), key=lambda n: f"f{n}.out")
        )
    assert Second(project, "last").build("-j1") <= (21 if collecting else 0)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_a_build_that_is_killed_while_it_stores_or_restores_leaves_nothing_half_done(
    project: Project, after: float
) -> None:
    """The next build is right: what was put half is put once more."""
    project.write("Makefile", MANY)
    for number in range(20):
        project.write(f"f{number}.in", f"{number}\n" * 200)
    for clean in (False, True):
        if clean:
            project.build()
            project.lose(*(f"f{number}.out" for number in range(20)))
        build = subprocess.Popen(
            tool.build_command(),
            cwd=project.tree,
            env=project.environment,
            stdout=-1,
            stderr=-1,
            start_new_session=True,
        )
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(build.pid, 9)
        build.communicate()
        project.check(project.rebuild())
        project.check_null(project.rebuild())


def store_verb(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """`hashmake store WORDS` in the tree."""
    command = tool.verb_command("store", *words)
    return subprocess.run(
        command, cwd=project.tree, env=project.environment, capture_output=True, text=True, check=False
    )


def test_what_the_last_build_used_is_carried_in_one_file(project: Project) -> None:
    """And nothing else: what an earlier edit made is not in it."""
    copies(project)
    project.edit("a.in", "1", "2")
    project.build()
    file = project.root / "jar"
    assert store_verb(project, "export", str(file)).stdout.startswith(f"{file}: 2 steps, 0.0 MB")
    store_verb(project, "--clear")
    assert Second(project).build() == 2
    store_verb(project, "--clear")
    assert "were refused" in store_verb(project, "import", str(file)).stdout
    assert Second(project).build() == 0
    (project.sources / "a.in").write_text("a 1\n")
    assert Second(project).build() == 1


def test_a_file_that_is_too_small_for_all_holds_some(project: Project) -> None:
    project.write("Makefile", MANY)
    for number in range(5):
        project.write(f"f{number}.in", f"{number}\n" * 2000)
    project.build()
    said = json.loads(store_verb(project, "export", "--limit", "20k", "--json", str(project.root / "jar")).stdout)
    assert 0 < said["steps"] < 6
    assert said["steps"] + said["left_out"] == 6
    assert said["bytes"] <= 20_000


def test_what_others_put_into_such_a_file_is_refused(project: Project) -> None:
    """Names that lead elsewhere, links, contents that are not what they are called."""
    copies(project)
    file = project.root / "jar"
    with tarfile.open(file, "w:gz") as tar:
        for name in ("../../escaped", "objects/../escaped", "/tmp/escaped", "objects/00/" + "0" * 46, "size"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("objects/aa/" + "1" * 46)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    before = sorted(project.root.rglob("*"))
    done = store_verb(project, "import", str(file))
    assert done.returncode == 1
    assert "0 files are new" in done.stdout
    assert "6 were refused" in done.stdout
    assert sorted(project.root.rglob("*")) == before
    file.write_bytes(file.read_bytes()[:50])
    assert store_verb(project, "import", str(file)).returncode == 2
