"""`hashmake verify`: what runs again comes out the same, or is named; the tree and its state are not touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hashmake.errors import Damaged
from hashmake.model import digest
from hashmake.null.manifest import pack_manifest, unpack_manifest
from hashmake.state.archive import Archive
from hashmake.state.database import BE, Database
from hashmake.state.directory import StateDirectory

from . import tool
from .project import MODES, Project
from .running import Running

pytestmark = [
    pytest.mark.parametrize("mode", [MODES[0]], indirect=True, ids=["no-pause"]),
    pytest.mark.usefixtures("needs_hashmake"),
]

MAKEFILE = """\
all: prog note
prog: a.o b.o
	cc -o $@ a.o b.o
%.o: %.c common.h stamp.h
	cc -c -o $@ $<
stamp.h:
	echo '#define STAMP "fixed"' > $@
note:
	echo one > $@
	echo two >> $@
"""
PID = "echo '#define STAMP \"'$$$$'\"' > $@"


@dataclass(frozen=True)
class Verified:
    """How it ended, what it printed, and the findings where --json was asked for."""

    status: int
    out: str
    err: str

    @property
    def found(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.out)
        return record

    def commands(self, kind: str) -> list[str]:
        """The commands of one list of findings."""
        return [row["command"] for row in self.found[kind]]


def verify(project: Project, *words: str, prefix: tuple[str, ...] = (), cwd: Path | None = None) -> Verified:
    command = [*prefix, *tool.verb_command("verify", *words)]
    running = Running.start(command, cwd or project.tree, project.environment, project.umask)
    return Verified(*running.finish(60))


def everything(tree: Path) -> dict[str, tuple[int, ...]]:
    """All that a write leaves behind, of every name, the state included."""
    found: dict[str, tuple[int, ...]] = {}
    for where, below, files in os.walk(tree):
        for name in [*below, *files, "."]:
            st = os.lstat(os.path.join(where, name))
            found[os.path.join(where, name)] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def program(project: Project, makefile: str = MAKEFILE) -> None:
    project.write("Makefile", makefile)
    project.write("common.h", "#define COMMON 1\n")
    for name, text in (
        ("a", "int main(void) { return b(COMMON) + sizeof STAMP; }"),
        ("b", "int b(int x) { return x; }"),
    ):
        head = '#include "common.h"\n#include "stamp.h"\nint b(int);\n'
        project.write(f"{name}.c", head + text + "\n")


def test_a_repeatable_project_has_nothing_to_report(project: Project) -> None:
    program(project)
    project.build("-j4")
    done = verify(project, "--json")
    assert done.status == 0, done.out + done.err
    assert done.found["steps"] == {"known": 6, "verified": 6}
    assert done.found["mode"] == "all"
    assert done.found["argv"] == ["-j4"]
    assert "0 not repeatable, 0 wrongly judged current, 0 products altered" in verify(project).out


def test_every_step_really_runs_again(project: Project) -> None:
    program(project)
    project.build()
    before = len((project.root / "runs.log").read_text().splitlines())
    assert verify(project).status == 0
    runs = (project.root / "runs.log").read_text().splitlines()[before:]
    assert sorted(line.split()[0] for line in runs) == ["cc", "cc", "cc"]


def test_a_step_that_embeds_its_process_number_is_named_and_what_follows_is_not(project: Project) -> None:
    program(project, MAKEFILE.replace("echo '#define STAMP \"fixed\"' > $@", PID))
    project.edit("b.c", "int b(int x)", "const char *stamp = STAMP; int b(int x)")
    project.build()
    done = verify(project, "--json")
    assert done.status == 1
    (row,) = done.found["not_repeatable"]
    assert row["outputs"] == [f"{project.tree}/stamp.h"]
    (difference,) = row["differences"]
    assert (difference["kind"], difference["line"]) == ("text", 1)
    assert difference["column"] in range(16, 24)  # the numbers may begin alike
    assert difference["before"] == project.text("stamp.h").rstrip()
    assert difference["before"] != difference["again"]
    assert done.found["follows"] >= 1
    assert not done.found["wrongly_current"]
    text = verify(project).out
    assert "not repeatable: echo '#define STAMP" in text
    assert f"before: {project.text('stamp.h').rstrip()}" in text


def test_a_difference_of_bytes_has_an_offset(project: Project) -> None:
    project.write("Makefile", "all:\n\tprintf 'aa\\0%s' $$(date +%N) > blob\n")
    project.build()
    (row,) = verify(project, "--json").found["not_repeatable"]
    (difference,) = row["differences"]
    assert difference["kind"] == "bytes"
    assert difference["offset"] >= 3
    assert bytes.fromhex(difference["before"]) in (project.tree / "blob").read_bytes()


def test_a_shell_function_that_tells_the_time_is_named_and_its_users_are_not(project: Project) -> None:
    makefile = "NOW := $(shell date +%N)\nall: sub/out copy\nsub/out:\n\tmkdir -p sub; echo $(NOW) > $@\n"
    project.write("Makefile", makefile + "copy: sub/out\n\tcp sub/out copy\n")
    project.build()
    done = verify(project, "--json")
    assert done.status == 1
    assert done.commands("not_repeatable") == ["date +%N"]
    (row,) = done.found["not_repeatable"]
    assert row["shell_function"]
    assert row["differences"][0]["before"] == project.text("copy").strip()
    assert not done.found["wrongly_current"]
    assert done.found["follows"] == 2


def test_a_time_in_the_environment_of_sub_makes_is_told_once(project: Project) -> None:
    project.write("Makefile", "export NOW := $(shell date +%N)\nall:\n\t$(MAKE) -C sub\n")
    project.write("sub/Makefile", "all: one two\none:\n\techo $$NOW > $@\ntwo:\n\techo fixed > $@\n")
    project.build()
    done = verify(project, "--json")
    assert done.commands("not_repeatable") == ["date +%N"]
    assert not done.found["wrongly_current"]
    assert done.found["follows"] == 1


def test_a_name_that_changes_is_not_repeatable(project: Project) -> None:
    project.write("Makefile", "all: list\nfiles:\n\ttouch f.$$$$; touch files\nlist: files\n\tls f.* > $@\n")
    project.build()
    done = verify(project, "--json")
    (row,) = done.found["not_repeatable"]
    assert "touch f." in row["command"]
    assert {each["before"] for each in row["differences"]} | {each["again"] for each in row["differences"]} >= {
        "absent"
    }
    assert not done.found["wrongly_current"]


def test_the_tree_and_its_state_are_not_touched(project: Project) -> None:
    program(project, MAKEFILE.replace("echo '#define STAMP \"fixed\"' > $@", PID) + "\techo x > ../outside\n")
    project.build()
    project.damage("note")
    before = everything(project.root / "tree"), (project.root / "outside").stat().st_mtime_ns
    for words in ((), ("a.o",), ("--sample", "50%"), ("--copy",)):
        assert verify(project, *words).status in (0, 1)
    after = everything(project.root / "tree"), (project.root / "outside").stat().st_mtime_ns
    assert after == before


def test_nothing_is_left_in_the_scratch_place(project: Project) -> None:
    program(project)
    project.write("sub/Makefile", "")
    project.build()
    place = project.root / "scratch"
    place.mkdir()
    assert verify(project, "--scratch", str(place)).status == 0
    assert not list(place.iterdir())


def test_given_paths_run_their_steps_only(project: Project) -> None:
    program(project, MAKEFILE.replace("echo two", "date +%N"))
    project.build()
    done = verify(project, "a.o", str(project.tree / "b.o"), "--json")
    assert done.status == 0, done.out + done.err
    assert done.found["mode"] == "paths"
    assert done.found["steps"] == {"known": 6, "verified": 2}
    named = verify(project, "note", "--json")
    assert named.status == 1
    assert named.found["steps"]["verified"] == 2  # both lines write it
    assert named.commands("not_repeatable") == ["date +%N >> note"]


def test_a_path_that_no_step_makes_is_refused(project: Project) -> None:
    program(project)
    project.build()
    done = verify(project, "a.c")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"hashmake: {project.tree}/a.c: no step of this build makes it;")


def test_a_step_in_the_middle_of_a_chain_runs_on_what_it_had(project: Project) -> None:
    project.write("Makefile", "all:\n\techo one > f\n\techo two >> f\n\tsed -i s/one/three/ f\n")
    project.build()
    done = verify(project, "f", "--json")
    assert done.status == 0, done.out + done.err
    assert done.found["steps"]["verified"] == 3


def test_a_sample_is_chosen_by_its_seed(project: Project) -> None:
    names = [f"f{i}" for i in range(40)]
    project.write("Makefile", "all: " + " ".join(names) + "\nf%:\n\tcat in > $@\n")
    project.write("in", "x\n")
    project.build()

    def ran(*words: str) -> list[str]:
        before = len((project.root / "runs.log").read_text().splitlines())
        done = verify(project, "--json", *words)
        assert done.status == 0, done.out + done.err
        assert done.found["steps"] == {"known": 40, "verified": 4}
        assert len((project.root / "runs.log").read_text().splitlines()) == before + 4
        return [str(done.found["seed"]), *done.found["outputs"]]

    first = ran("--sample", "10%", "--seed", "7")
    assert ran("--sample", "4", "--seed", "7") == first
    assert ran("--sample", "10%", "--seed", "8") != first
    again = ran("--sample", "10%")
    assert ran("--sample", "10%", "--seed", again[0]) == again


def test_an_altered_product_is_found(project: Project) -> None:
    program(project, MAKEFILE.replace("note:\n", "note: common.h\n"))  # without one it would be a person's now
    project.build()
    project.damage("note")
    project.lose("b.o")
    done = verify(project, "--json")
    assert done.status == 1
    assert [row["path"] for row in done.found["altered"]] == [f"{project.tree}/b.o", f"{project.tree}/note"]
    assert done.found["altered"][0]["now"] == "absent"
    assert not done.found["not_repeatable"]
    assert verify(project, "a.o").status == 0
    assert "altered since it was built: " in verify(project, "note").out


def forget(project: Project, path: str) -> None:
    """Doctor the recording: no step ever looked at this path."""
    state = StateDirectory(str(project.tree / ".hashmake"))
    db = Database(state.database)
    recording = Archive(db).load()
    pid = recording.tables.path_ids[os.fsencode(project.tree / path)]
    records = {}
    for key, _ in db.scan(b"r"):
        result = recording.result(BE.unpack(key)[0])
        assert result is not None
        result.facts = type(result.facts)("I", [f for f in result.facts if recording.tables.fact_path[f] != pid])
        records[b"r" + key] = result.pack()
    db.put_all(records)
    db.close()
    shutil.rmtree(project.tree / ".hashmake/complete")
    state.seal()


def overlook(project: Project, path: str) -> None:
    """Doctor the null check: what it compares does not hold this path."""
    name = os.fsencode(project.tree / path)
    for file in (project.tree / ".hashmake/complete").glob("*"):
        try:
            manifest = unpack_manifest(file.read_bytes()[17:])
        except Damaged:
            continue  # the names of a goal
        for columns in (manifest[:2], manifest[2:4], manifest[9:]):  # what it reads, what it looks at
            if name in columns[0]:
                at = columns[0].index(name)
                for column in columns:
                    del column[at]
        data = file.read_bytes()[16:17] + pack_manifest(manifest)
        file.write_bytes(digest.of_bytes(data) + data)


def test_a_change_that_the_null_check_overlooked_is_told(project: Project) -> None:
    program(project)
    project.build()
    overlook(project, "b.c")
    project.edit("b.c", "return x", "return x + 1")
    assert "nothing changed" in project.build().err
    for words in ((), ("a.o",)):
        done = verify(project, "--json", *words)
        assert done.status == 1
        assert {f"{project.tree}/b.o"} in [set(row["outputs"]) for row in done.found["wrongly_current"]]


def test_a_step_that_was_wrongly_judged_current_is_named(project: Project) -> None:
    program(project)
    project.build()
    forget(project, "common.h")
    project.edit("common.h", "1", "2")
    assert not project.build().runs  # that is wrong, and nobody can see it
    done = verify(project, "--json")
    assert done.status == 1
    assert done.commands("wrongly_current") == ["cc -c -o a.o a.c"]
    (row,) = done.found["wrongly_current"]
    assert row["because"] == f"it reads {project.tree}/common.h, of which its record knows nothing"
    assert not done.found["not_repeatable"]
    assert "wrongly judged current: cc -c -o a.o a.c" in verify(project, "a.o").out


def test_an_edit_since_the_last_build_is_no_difference(project: Project) -> None:
    program(project)
    project.build()
    old = (project.tree / "b.o").read_bytes()
    project.edit("b.c", "return x;", "return x + 1;")
    done = verify(project, "--json")
    assert done.status == 0, done.out + done.err
    assert (project.tree / "b.o").read_bytes() == old
    assert project.build().count("cc") == 2


def test_an_output_directory_elsewhere_is_found(project: Project) -> None:
    program(
        project, "ifneq ($(O),)\nall:\n\t$(MAKE) -C $(O) -f $(CURDIR)/Makefile VPATH=$(CURDIR) O=\nelse\n" + MAKEFILE
    )
    project.write("Makefile", (project.sources / "Makefile").read_text().replace("$<", "$< -I.") + "endif\n")
    out = project.root / "out"
    out.mkdir()
    project.build(f"O={out}")
    before = everything(project.root / "out")
    for words, cwd in ((("-C", str(out)), None), ((), out), (("--", f"O={out}"), None)):
        done = verify(project, "--json", *words, cwd=cwd)
        assert done.status == 0, done.out + done.err
        assert done.found["steps"]["verified"] == 6
    assert everything(out) == before


def test_a_clean_build_that_fails_is_a_difference(project: Project) -> None:
    once = f"/dev/hashmake-test-{uuid.uuid4()}"  # nothing below /dev but /dev/shm is recorded
    project.write("Makefile", f"all:\n\ttest ! -e {once} || {{ echo not twice >&2; exit 1; }}\n\ttouch {once} out\n")
    try:
        project.build()
        done = verify(project, "--json")
    finally:
        Path(once).unlink()
    assert (done.status, done.found["failed"]) == (1, 2)
    assert "not twice" in done.err


def test_a_state_that_came_with_the_tree_does_not_choose_what_is_started(project: Project) -> None:
    program(project)
    project.build()
    shutil.copytree(project.tree / ".hashmake", project.root / "copy")
    shutil.rmtree(project.tree / ".hashmake")
    (project.root / "copy").rename(project.tree / ".hashmake")
    before = len((project.root / "runs.log").read_text().splitlines())
    done = verify(project)
    assert done.status == 2
    assert "give make's arguments: hashmake verify -- [MAKE ARGUMENTS]" in done.err
    assert len((project.root / "runs.log").read_text().splitlines()) == before
    assert verify(project, "--").status == 0
    project.build()
    assert verify(project).status == 0


def test_nothing_recorded_is_said_in_one_line(project: Project) -> None:
    program(project)
    done = verify(project)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "nothing recorded here" in done.err
    project.build("note")
    done = verify(project, "--", "prog")
    assert done.status == 2
    assert "no complete build of this goal is recorded" in done.err


def inside(*script: str) -> tuple[str, ...]:
    """A prefix that runs the rest in a user namespace; skips where there are none."""
    command = ("unshare", "-U", "--map-root-user", "sh", "-c", "; ".join([*script, 'exec "$@"']), "sh")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    return command


def test_without_private_mounts_one_line_says_what_to_do(project: Project) -> None:
    program(project)
    project.build()
    limits = ("echo 0 > /proc/sys/user/max_mnt_namespaces", "echo 0 > /proc/sys/user/max_user_namespaces")
    done = verify(project, prefix=inside(*limits))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("hashmake: verify: no private mounts here (")
    assert done.err.count("\n") == 1


def test_a_user_without_rights_can_verify(project: Project) -> None:
    program(project, MAKEFILE.replace("echo '#define STAMP \"fixed\"' > $@", PID))
    user = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
    if subprocess.run([*user, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    project.prefix = user
    project.build()
    before = everything(project.tree)
    done = verify(project, "--json", prefix=user)
    assert done.status == 1, done.err
    assert len(done.found["not_repeatable"]) == 1
    assert done.found["not_repeatable"][0]["differences"][0]["kind"] == "text"
    assert everything(project.tree) == before


def test_a_mount_inside_the_tree_is_covered_too(project: Project) -> None:
    project.write("Makefile", "all:\n\tcat disk/in > disk/out\n")
    project.write("disk/in", "x\n")
    other = project.root / "other"
    other.mkdir()
    (other / "in").write_text("mounted\n")
    mount = ("unshare", "-rm", "sh", "-c", f'mount --bind {other} {project.tree}/disk && exec "$@"', "sh")
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no private mounts here")
    project.prefix = mount
    project.build()
    (other / "out").write_text("altered\n")
    done = verify(project, "--json", prefix=mount)
    assert [row["path"] for row in done.found["altered"]] == [f"{project.tree}/disk/out"]
    assert not done.found["not_repeatable"]
    assert (other / "out").read_text() == "altered\n"


def test_an_interrupt_leaves_nothing_behind(project: Project) -> None:
    program(project, MAKEFILE + "\tdate +%N; sleep 2\n")
    project.build()
    place = project.root / "scratch"
    place.mkdir()
    before = everything(project.tree)
    logged = (project.root / "runs.log").read_text().count("date")
    running = Running.start(
        tool.verb_command("verify", "--scratch", str(place)), project.tree, project.environment, project.umask
    )
    while (project.root / "runs.log").read_text().count("date") == logged:
        assert running.process.poll() is None
    running.interrupt()
    status, out, _err = running.finish(30)
    assert (status, out) == (130, "")
    assert not list(place.iterdir())
    assert everything(project.tree) == before


def test_a_product_above_the_scratch_place_moves_the_scratch_place(project: Project) -> None:
    folder = Path(os.environ.get("TMPDIR") or "/tmp")
    name = folder / f"hashmake-test-{uuid.uuid4()}"
    project.write("Makefile", f"all:\n\techo x > {name}\n")
    try:
        project.build()
        done = verify(project, "--json")
        assert done.status == 0, done.err
        refused = verify(project, "--scratch", str(folder))
        assert refused.status == 2
        assert "give a place outside it with --scratch DIR" in refused.err
    finally:
        name.unlink()


def test_two_threads_of_commands_do_not_confuse_it(project: Project) -> None:
    """Many steps, sub-makes and an archive in parallel: nothing differs, and with one random step only that one."""
    project.write("Makefile", "all:\n\t$(MAKE) -C one\n\t$(MAKE) -C two\nclean:\n")
    for name in ("one", "two"):
        objects = " ".join(f"f{i}.o" for i in range(12))
        project.write(
            f"{name}/Makefile", f"all: lib.a\nlib.a: {objects}\n\tar rcsD $@ $^\n%.o: %.c\n\tcc -c -o $@ $<\n"
        )
        for i in range(12):
            project.write(f"{name}/f{i}.c", f"int {name}{i};\n")
    project.build("-j8")
    done = verify(project, "--json")
    assert done.status == 0, done.out + done.err
    project.edit("two/Makefile", "ar rcsD $@ $^", "ar rcsD $@ $^; date +%N > now")
    project.build("-j8")
    done = verify(project, "--json")
    (row,) = done.found["not_repeatable"]
    assert row["outputs"] == [f"{project.tree}/two/now"]
    assert done.found["follows"] == 0


def test_what_began_with_a_file_that_the_build_overwrote_is_no_difference(project: Project) -> None:
    """As Kconfig's syncconfig, which compares auto.conf with the one that another goal had left."""
    project.write("Makefile", "all:\n\tcat conf > seen; cat in > conf\nconfig:\n\techo first > conf\n")
    project.write("in", "second\n")
    project.build("config")
    project.build("all")
    done = verify(project, "--json")
    assert done.status == 0, done.out + done.err
    (row,) = done.found["not_comparable"]
    assert row["because"] == f"it began with {project.tree}/conf as it was before the build, and that is gone"
    assert "can't be compared: cat conf > seen" in verify(project).out


REREAD = """\
all: out
include conf.mk
X := $(shell echo $(WORD))
conf.mk: in
	echo WORD = $$(cat in) > conf.mk
out: in conf.mk
	echo $(WORD) > out
config:
	echo WORD = first > conf.mk
"""


def test_what_make_asked_for_while_it_read_what_another_goal_had_left_is_not_missed(project: Project) -> None:
    """The first pass of make read what `config` had left, and the build has overwritten it: no step is wrong."""
    project.write("Makefile", REREAD)
    project.write("in", "second\n")
    project.build("config")
    project.write("in", "third\n")
    project.build("all")
    for words in (("out",), ("--sample", "1"), ()):
        done = verify(project, *words)
        assert done.status == 0, done.out + done.err


SHARED = """\
X := $(shell mkdir -p d)
all: d/out
config: d/configured
d/configured: in
	cp in d/configured
d/out: in
	cat in d/configured > d/out
"""


def test_verify_after_the_first_build_of_a_second_goal(project: Project) -> None:
    """A directory that both goals make was there in the second build: the first goal's file lay in it."""
    project.write("Makefile", SHARED)
    project.write("in", "x\n")
    project.build("config")
    project.build("all")
    for words in ((), ("d/out",)):
        done = verify(project, *words)
        assert done.status == 0, done.out + done.err
