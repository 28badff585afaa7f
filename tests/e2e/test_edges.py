"""Where a build meets its surroundings: closed streams, fifos, few descriptors, odd places; what must not be seen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hashmake

from . import tool

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "LC_ALL": "C", "HASHMAKE_STORE": "off"}
Build = tuple[int, str, str]


class Pair:
    """The same makefile for hashmake and for stock make, each in a directory of its own."""

    def __init__(self, root: Path, makefile: str) -> None:
        self.ours, self.stock = root / "ours", root / "stock"
        for directory in (self.ours, self.stock):
            directory.mkdir()
        self.write("Makefile", makefile)
        self.write("in", "1\n")

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """A source file, in both."""
        for directory in (self.ours, self.stock):
            (directory / name).write_text(text)
            (directory / name).chmod(mode)

    def build(self, line: str = "TOOL", **variables: str) -> tuple[Build, Build]:
        """Run a shell line in both directories, TOOL standing for the command: status, output and errors of each."""
        command = shlex.join(tool.build_command())
        return self._run(self.ours, line, command, variables), self._run(self.stock, line, "make", variables)

    def _run(self, directory: Path, line: str, command: str, variables: dict[str, str]) -> Build:
        done = subprocess.run(
            ["bash", "-c", re.sub(r"\bTOOL\b", lambda _: command, line)],
            cwd=directory,
            env={**ENVIRONMENT, "PYTHONPATH": tool.python_path(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout, re.sub(r"^hashmake: .*\n", "", done.stderr, flags=re.MULTILINE)

    def same(self, name: str) -> None:
        """A product is as stock make's."""
        assert (self.ours / name).read_text() == (self.stock / name).read_text()


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], Pair]:
    """Make a pair of trees with a makefile."""
    return lambda makefile: Pair(tmp_path, makefile)


def null(build: Build) -> bool:
    """Whether nothing ran."""
    return build[0] == 0 and "cat" not in build[1]


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_streams_that_are_closed_or_full_stay_so(pair: Callable[[str], Pair], streams: str) -> None:
    """The launcher's socket was given the number of a closed stream, and the echo was written to it."""
    trees = pair("all: o\no: in\n\tcat in > o; echo hello; echo err >&2\nn = $(shell echo $$x)\n")
    store = str(trees.ours.parent / "store")
    trees.build(HASHMAKE_STORE=store)
    for tree in (trees.ours, trees.stock):
        (tree / "o").unlink()
    for kept in (store, "off"):  # nor is a step restored where it would have failed to print
        ours, stock = trees.build(f"TOOL {streams}", HASHMAKE_STORE=kept)
        assert ours[:2] == stock[:2]
        trees.same("o")
        for tree in (trees.ours, trees.stock):
            (tree / "o").unlink()


def test_a_shell_that_reads_a_fifo_is_not_waited_for(pair: Callable[[str], Pair]) -> None:
    """It was opened to see which variables the script names, and nobody wrote to it any more."""
    trees = pair("out: in\n\trm -f p; mkfifo p; (cat in > p &) ; while read x; do echo got $$x; done < p > out\n")
    for text in ("1\n", "2\n"):
        trees.write("in", text)
        ours, stock = trees.build()
        assert ours[0] == stock[0] == 0
        (trees.stock / "out").exists()
        assert (trees.ours / "out").read_text() == f"got {text}"
    assert null(trees.build()[0])


def test_descriptors_do_not_run_out_while_steps_list_directories(pair: Callable[[str], Pair]) -> None:
    """A look at what other steps have written so far left one open for each of them."""
    trees = pair(
        "all: $(addprefix s,$(shell seq 8)) go\ns%: ; until [ -e go ]; do sleep 0.05; done; touch $@\n"
        "l%: ; ls . > $@\ngo: $(addprefix l,$(shell seq 40)) ; touch $@\n"
    )
    ours, _stock = trees.build("ulimit -n 100; TOOL -j12")
    assert ours[0] == 0, ours[2]


def test_connections_wait_where_no_descriptor_is_left(pair: Callable[[str], Pair]) -> None:
    """A refused accept ended the build."""
    trees = pair("all: $(addprefix s,$(shell seq 60))\ns%: ; touch $@\n")
    ours, _stock = trees.build("ulimit -n 24; TOOL -j60")
    assert ours[0] == 0, ours[2]
    assert len(list(trees.ours.glob("s*"))) == 60


def test_steps_keep_the_limit_of_descriptors(pair: Callable[[str], Pair]) -> None:
    """hashmake raises its own."""
    trees = pair("out: in ; ulimit -S -n > out; ulimit -H -n >> out\n")
    trees.build("ulimit -S -n 200; TOOL")
    trees.same("out")


def test_a_program_that_cannot_be_started_ends_as_under_make(pair: Callable[[str], Pair]) -> None:
    """Also in a sub-make, whose messages begin with its level."""
    trees = pair(
        "all: dir none script data\ndir: ; ./d\nnone: ; ./n x\nscript: ; ./s x\ndata: ; ./in x\nsub: ; $(MAKE) -k all\n"
    )
    trees.write("s", "#!/no/such/interpreter\n", 0o755)
    for directory in (trees.ours, trees.stock):
        (directory / "d").mkdir()
    for line in ("TOOL -k", "TOOL -k", "TOOL sub"):
        ours, stock = trees.build(line)
        neutral = ours[2].replace(str(trees.ours), str(trees.stock))
        assert (ours[0], neutral) == (stock[0], stock[2])


DUMPS = {
    "env": "env",
    "printenv": "printenv",
    "export": "bash -c 'export -p'",
    "system": "awk 'BEGIN { system(\"env\") }'",
    "popen": "awk 'BEGIN { while ((\"env\" | getline line) > 0) print line }'",
    "perl": "perl -e 'print \"$$_=$$ENV{$$_}\\n\" for keys %ENV'",
    "block": "cat /proc/self/environ | tr '\\0' '\\n'",
    "open": "perl -e 'open F, qq(/proc/$$$$/environ); local $$/ = qq(\\0); while (<F>) { chop; print qq($$_\\n) }'",
    "bash": 'bash -c \'while read -r -d "" x; do echo "$$x"; done < /proc/self/environ\'',
    "mapfile": 'bash -c \'mapfile -d "" x < /proc/$$$$/environ; printf "%s\\n" "$${x[@]}"\'',
    "redirected": "dash -c 'cat < /proc/self/environ' | tr '\\0' '\\n'",
    "descriptor": "bash -c 'exec 3< /proc/self/environ; cat <&3; :' | tr '\\0' '\\n'",
    "gone": "bash -c 'exec 3< /proc/self/environ; exec cat <&3' | tr '\\0' '\\n'",
    "nested": "env -u HASHMAKE_RUN -u LD_PRELOAD sh -c 'sh -c env'",
}


@pytest.mark.parametrize("name", DUMPS)
def test_what_a_step_prints_of_its_environment_is_not_ours(pair: Callable[[str], Pair], name: str) -> None:
    """HASHMAKE_RUN and LD_PRELOAD were in it, with another value in each build. exec empties an open block."""
    trees = pair(f"env.txt: ; {DUMPS[name]} | grep -v 'OLDPWD\\|PWD=\\| _=\\|^_=' | sort > $@\n")
    trees.build()
    trees.same("env.txt")


def test_the_libraries_that_a_step_lists_are_not_ours(pair: Callable[[str], Pair]) -> None:
    """A packaging step copied libhashmake.so."""
    loader = "$$(ldd /bin/cat | grep -o '/[^ ]*ld-linux[^ ]*')"
    trees = pair(f"libs: in ; (ldd /bin/cat; {loader} --list /bin/cat) | sed 's/ (0x.*//' | sort > $@\n")
    for _ in range(2):
        trees.build()
        trees.same("libs")
    assert null(trees.build()[0])


LISTED = """\
all: list copy
libx.so liby.so: lib%.so: %.c ; gcc -shared -o $@ $< $(if $(filter %x.so,$@),-L. -l:liby.so)
libx.so: liby.so
prog: main.c libx.so ; gcc -o $@ $< -Wl,-rpath,'$$ORIGIN/first:$$ORIGIN' -L. -l:libx.so -Wl,-rpath-link,.
list: prog ; ldd prog | sed 's/ (0x.*//' | sort > $@
copy: prog ; LD_LIBRARY_PATH=$(CURDIR)/third LD_TRACE_LOADED_OBJECTS=1 ./prog | grep -c liby > $@
"""


def test_where_the_libraries_of_a_list_were_looked_for_counts(pair: Callable[[str], Pair]) -> None:
    """ld.so is started without us for such a list; where it looks, in vain or not, is known all the same."""
    trees = pair(LISTED)
    trees.write("x.c", "int y(void); int x(void) { return y(); }\n")
    trees.write("y.c", "int y(void) { return 1; }\n")
    trees.write("main.c", "int x(void); int main(void) { return x(); }\n")
    assert trees.build()[0][0] == 0
    trees.same("copy")
    assert null(trees.build()[0])
    before = (trees.ours / "list").read_text()
    for directory in (trees.ours, trees.stock):
        (directory / "first").mkdir()
        shutil.copy(directory / "libx.so", directory / "first/libx.so")
    assert trees.build()[0][0] == 0
    assert (trees.ours / "list").read_text() == before.replace("/libx.so", "/first/libx.so")
    assert null(trees.build()[0])


def test_what_shells_inside_libc_start_is_still_seen(pair: Callable[[str], Pair]) -> None:
    """system and popen pass on environ as it is, and ours is not in there."""
    trees = pair('out: ; awk \'BEGIN { system("cat in"); "cat in" | getline x; print x }\' > out\n')
    for text in ("1\n", "2\n"):
        trees.write("in", text)
        ours, _stock = trees.build()
        assert ours[0] == 0
        assert (trees.ours / "out").read_text() == text + text
    assert null(trees.build()[0])


def test_hashmake_in_a_recipe_is_part_of_the_step(pair: Callable[[str], Pair]) -> None:
    """It is told from its environment, which hides from it that it is inside a build."""
    command = shlex.join(tool.build_command())
    trees = pair(f"out: in ; {command} -f inner -s\n")
    trees.write("inner", "out: in ; cat in > out\n")
    assert trees.build()[0][0] == 0
    assert (trees.ours / "out").read_text() == "1\n"
    assert null(trees.build()[0])


@pytest.mark.parametrize("place", ["with space", "with:colon", "with$ORIGIN", "with;both :"])
def test_it_works_from_any_directory(tmp_path: Path, place: str) -> None:
    """LD_PRELOAD splits at spaces and colons: nothing was traced, and make decided by time without a word."""
    there = tmp_path / place
    shutil.copytree(Path(hashmake.__file__).parent, there / "hashmake", ignore=shutil.ignore_patterns("*.pyc"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "Makefile").write_text("x: in ; cp in x; echo ran\n")
    (work / "in").write_text("1")
    if ":" in place:  # PYTHONPATH splits, too
        (tmp_path / "link").symlink_to(there)
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from hashmake.front import main; main()"
    command = [tool.build_command()[0], "-c", script, str(there), "build"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    outs = []
    for _ in range(2):
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=True)
        assert "ld.so" not in done.stderr
        outs.append(done.stdout)
        os.utime(work / "in")
    assert "ran" in outs[0]
    assert not outs[1]


def test_more_products_than_expected_are_no_end_of_it(tmp_path: Path) -> None:
    """The view can't grow while it is in use: the build is evaluated once more, with a larger one."""
    (tmp_path / "Makefile").write_text(
        "all: $(addprefix c,$(shell seq 40))\na%: ; echo $* > $@\nb%: a% ; cp $< $@\nc%: b% ; cp $< $@\n.SECONDARY:\n"
    )
    script = "import sys, hashmake.run.view as v; v._LEAST = 16; from hashmake.front import main; main()"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": tool.python_path()}
    command = [tool.build_command()[0], "-c", script, "build", "-j4"]
    for end in ("were current", "nothing changed"):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert end in done.stderr
    assert sorted((tmp_path / f"c{n}").read_text() for n in range(1, 41)) == sorted(f"{n}\n" for n in range(1, 41))
