"""A project with much to interrupt: sub-makes, a makefile that is made, a generated header, archives, in-place changes.

Every step says when it began and when it ended (mark.c), to a log that the tool under test cannot see.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.project import ANCIENT, MODES, Project
from e2e.running import drained, members
from e2e.snapshot import contents, differences, names
from hashmake.errors import Damaged
from hashmake.null.check import Check
from hashmake.null.manifest import GOALS, LISTED, unpack_manifest

if TYPE_CHECKING:
    from random import Random

    from e2e.project import Clean, Result

PARTS = "abcdefgh"
SOURCE = Path(__file__).with_name("mark.c")

# Each recipe line is a step; what stands before its number is the product that the steps of one chain share. The shell
# ends at the first command that fails, or a step one of whose commands was killed would have ended well.
STRICT = ".SHELLFLAGS = -ec\n"
TOP = """\
all: report
include config.mk
config.mk: config.in
	begin config.mk.1; { echo made >> config.log; cat config.in; nap; echo 'WORDS += last'; } > $@; end config.mk.1
gen.h: names.txt gen.sh
	begin gen.h.1; sh gen.sh names.txt > $@.tmp; if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi; end gen.h.1
.PHONY: all lib app
lib: gen.h
	+$(MAKE) --no-print-directory -C lib
app: gen.h lib
	+$(MAKE) --no-print-directory -C app
report: lib app common.txt
	begin report.1; { cat lib/parts.sum; nap; app/prog; } > $@; end report.1
	begin report.2; nap; echo $(WORDS) >> $@; end report.2
	begin report.3; sed -i s/first/First/ $@; nap; cat common.txt >> $@; end report.3
"""
LIB = """\
PARTS = PARTS_HERE
all: parts.sum libparts.a
%.o: %.in ../gen.h
	begin $@.1; { cat $<; nap; tr $* X < ../gen.h; } > $@; end $@.1
	begin $@.2; echo fixing >> $@; nap; sed -i s/fixing/fixed/ $@; end $@.2
libparts.a: $(PARTS:%=%.o)
	begin $@.1; ar rcD $@ $(wordlist 1,4,$^); nap; ar rcD $@ $(wordlist 5,99,$^); end $@.1
parts.sum: $(PARTS:%=%.o)
	begin $@.1; for part in $^; do cat $$part; done > $@; nap; end $@.1
"""
APP = """\
prog: main.o
	begin prog.1; cc -o $@ $^; nap; end prog.1
main.o: main.c ../gen.h
	begin main.o.1; cc -c -o $@ $<; end main.o.1
	begin main.o.2; nap; strip -g $@; end main.o.2
"""
GENERATOR = 'set -e\nwhile read -r name; do echo "#define $name \\"$name\\""; nap; done < $1\n'
MAIN = '#include <stdio.h>\n#include "../gen.h"\nint main(void) { puts(one); return NUMBER; }\n'

OBJECTS = {f"{part}.o.{line}" for part in PARTS for line in (1, 2)}
REPORT = {"report.1", "report.2", "report.3"}
PROGRAM = {"main.o.1", "main.o.2", "prog.1"} | REPORT
ALL = {"config.mk.1", "gen.h.1", "libparts.a.1", "parts.sum.1"} | OBJECTS | PROGRAM
# What an edit of a source may make run.
AFFECTED = {
    "config.in": {"config.mk.1"} | REPORT,
    "names.txt": ALL - {"config.mk.1"},
    "common.txt": REPORT,
    "app/main.c": PROGRAM,
    **{f"lib/{p}.in": {f"{p}.o.1", f"{p}.o.2", "libparts.a.1", "parts.sum.1"} | REPORT for p in PARTS},
}


TEMPORARY = re.compile(r"(st|sed|cc)\w{6}(\.\w)?")

SAVES = 0.5  # s; it takes less: what was last written to longer ago was not being written to when it was killed


class Workshop:
    """The project, its marks, and what clean builds of its states give (each state is built by stock make once)."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._clean: dict[str, Clean] = {}
        self._state: dict[str, int] = {}
        self.stale: set[str] = set(ALL)  # what the edits since the last good build may make run
        self.fresh = True  # no build was ever completed
        self.expected = 3.0  # seconds that a whole build takes
        self.nap(100)

    @classmethod
    def create(cls, root: Path, shim: Path, marker: Path, python_path: str) -> Workshop:
        """A workshop below `root`, not built yet."""
        project = Project.create(root, shim, MODES[0], python_path)
        for name in ("begin", "end", "nap"):
            shutil.copy(marker, root / "bin" / name)
        (root / "marks.log").touch()
        workshop = cls(project)
        project.write("Makefile", STRICT + TOP)
        project.write("lib/Makefile", STRICT + LIB.replace("PARTS_HERE", " ".join(PARTS)))
        project.write("app/Makefile", STRICT + APP)
        project.write("gen.sh", GENERATOR)
        for source in AFFECTED:
            workshop.edit(source, 0)
        return workshop

    # -- the user's doings ----------------------------------------------------------------------------------------

    def edit(self, source: str, variant: int) -> None:
        """Give a source one of its contents."""
        text = {
            "config.in": f"WORDS = first {variant}\n",
            "names.txt": "\n".join(("one", "two", "three"[: 3 + variant], "")),
            "app/main.c": MAIN.replace("NUMBER", "0" if variant == 0 else f"{variant} - {variant}"),
        }.get(source, f"{source} {variant}\n")
        self.project.write(source, text)
        self._state[source] = variant
        self.stale |= AFFECTED[source]

    def edit_some(self, random: Random, least: int = 0) -> set[str]:
        """A few random edits; the steps that they may make run."""
        chosen = random.sample(sorted(AFFECTED), random.randint(least, 3))
        for source in chosen:
            self.edit(source, 1 - self._state[source])
        return {step for source in chosen for step in AFFECTED[source]}

    def start_afresh(self) -> None:
        """As after `git clean -xdf`."""
        shutil.rmtree(self.project.tree)
        shutil.copytree(self.project.sources, self.project.tree, symlinks=True)
        self.stale = set(ALL)
        self.fresh = True

    def nap(self, milliseconds: int) -> None:
        """How long each step takes, more or less."""
        (self.project.root / "nap").write_text(str(milliseconds))

    # -- what ran -------------------------------------------------------------------------------------------------

    def forget_marks(self) -> None:
        """A new build begins."""
        (self.project.root / "marks.log").write_text("")

    def marks(self, what: str) -> dict[str, float]:
        """The last moment at which each step began, or ended, since forget_marks."""
        found = {}
        for line in (self.project.root / "marks.log").read_text().splitlines():
            kind, name, moment = line.split()
            if kind == what:
                found[name] = int(moment) / 1e9
        return found

    def saved_at(self) -> float:
        """When something was last saved, by the clock of the marks, once hashmake was killed; 0: that is not known."""
        database = self.project.tree / ".hashmake/db/data.mdb"
        ago = time.time() - database.stat().st_mtime if database.exists() else 0.0
        return clock() - ago if ago > SAVES else 0.0

    def ended_before(self, moment: float) -> set[str]:
        """Steps that ended before that moment.

        Of a product that several steps make one after the other: only if all had ended (make removes it otherwise), and
        only in a first build (in a later one it is not known to be the last version: they run again).
        """
        ended = {name for name, at in self.marks("end").items() if at < moment}
        chains = {name.rpartition(".")[0] for name in ALL if not name.endswith(".1")}
        first_build = self.stale == ALL and self.fresh
        missing = {name.rpartition(".")[0] for name in ALL - ended} | (set() if first_build else chains)
        return {name for name in ended if name.rpartition(".")[0] not in missing}

    # -- verdicts -------------------------------------------------------------------------------------------------

    def check(
        self, result: Result, story: str, kept: set[str] | frozenset[str] = frozenset(), made_away: bool = False
    ) -> None:
        """The build is good, as a clean one; it ran nothing that was kept, nor what no edit concerns; then null."""
        told = f"{story}\n{result.arguments}: status {result.status}\n{result.err}"
        assert result.status == 0, told
        told += "".join(f"{ran['command'][:24]}: {ran['reason']['text']}\n" for ran in self.project.log()["ran"])
        built = contents(self.project.tree)
        # What ar, sed and strip had for their own use when they were killed lies about, as after stock make.
        left = tuple(name for name in built if TEMPORARY.fullmatch(os.path.basename(name)))
        wrong = differences(built, self._clean_build(result).contents, left)
        assert not wrong, "\n".join([told, *map(str, wrong)])
        ran = set(self.marks("begin"))
        lost = sorted(ran & kept)
        assert not lost, f"{told}\nrun again although they had ended and were saved: {lost}"
        needless = sorted(ran - self.stale)
        # make removes the target of a launcher that is killed, also if that was only about to say "already done".
        assert made_away or not needless, f"{told}\nrun although nothing that they depend on changed: {needless}"
        self.forget_marks()
        told += f"not as for a null build: {not_null(self.project.tree)} {os.listdir(self.project.tree)}"
        again = self.project.attempt(*result.arguments)
        assert again.status == 0, f"{told}\nthe build after it: {again}"
        why = [ran["reason"]["text"] for ran in self.project.log().get("ran", ())]
        assert not self.marks("begin"), f"{told}\nthe build after it ran {sorted(self.marks('begin'))}: {why}"
        mode = self.project.log()["mode"]
        assert mode == "null", f"{told}\nthe build after it was not null but {mode}"
        self.stale = set()
        self.fresh = False

    def check_like_make(self, result: Result) -> None:
        """As check, for a build of which nothing may have been recorded."""
        wrong = differences(contents(self.project.tree), self._clean_build(result).contents, ())
        assert not wrong, "\n".join([result.err, *map(str, wrong)])

    def _clean_build(self, result: Result) -> Clean:
        key = repr(sorted(self._state.items()))
        if key not in self._clean:
            before = (self.project.root / "nap").read_text()
            marks = (self.project.root / "marks.log").read_text()
            self.nap(0)
            for name in names(self.project.sources):  # stock make goes mad over sources of the future
                os.utime(self.project.sources / name, (ANCIENT, ANCIENT))
            self._clean[key] = self.project.clean_build(result)
            self.nap(int(before))
            (self.project.root / "marks.log").write_text(marks)
        return self._clean[key]


def compile_marker(directory: Path) -> Path:
    """The program behind `begin`, `end` and `nap`."""
    marker = directory / "mark"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", marker, SOURCE], check=True)
    return marker


def our_lines(text: str) -> list[str]:
    """What hashmake and its launchers said."""
    return [line for line in text.splitlines() if line.startswith("hashmake:")]


def complaints(text: str) -> list[str]:
    """What hashmake said, less how a build that went well is summed up."""
    good = ("steps ran", "nothing changed", "no rule makes it", "first build here")
    return [line for line in our_lines(text) if not any(words in line for words in good)]


def processes(session: int) -> dict[int, str]:
    """Pid and program of each process of a session."""
    found = {}
    for pid in members(session):
        try:
            found[pid] = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        except OSError:
            continue  # it has just ended
    return found


def settle(session: int) -> None:
    """Wait until a build that was killed is really over."""
    assert drained(session, 30), f"processes of the build are still there: {processes(session)}"


def clock() -> float:
    """The clock of the marks."""
    return time.monotonic()


def not_null(tree: Path) -> list[object]:
    """What is not as each complete build left it, and if that is a listing, how it should be."""
    found: list[object] = []
    for file in (tree / ".hashmake/complete").glob("*"):
        try:
            manifest = unpack_manifest(file.read_bytes()[17:])
        except Damaged:
            continue  # the names of a goal
        check = Check()
        if not check.agrees(str(file)):
            listed = {name: names for name, *names in zip(*manifest[LISTED:GOALS], strict=True)}
            found += [(path, listed.get(path)) for path in check.changed(manifest)]
    return found
