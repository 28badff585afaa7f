"""Files that a step looks at without reading them count with their content, not with their size."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .project import Project

VERSION = """\
out: in version.h
	cat in version.h > out
version.h: FORCE
	@git --no-optional-locks status -uno --porcelain > $@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:
"""


def git(project: Project, *words: str) -> None:
    for tree in (project.tree, project.sources):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, cwd=tree, env=project.environment, check=True, capture_output=True)


def test_an_edit_of_the_same_size_is_seen_through_git_status(project: Project) -> None:
    """As the kernel's setlocalversion asks; nothing in the build reads the file."""
    project.write("Makefile", VERSION)
    project.write(".gitignore", "out\nversion.h*\n.hashmake/\n")
    project.write("in", "in\n")
    project.write("doc.txt", "doc\n")
    git(project, "init", "-q", ".")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "all")
    project.build()
    project.check_null(project.build())
    project.write("doc.txt", "dox\n")
    assert project.rebuild().status == 0
    assert " M doc.txt" in project.text("out")
    project.write("doc.txt", "doc\n")
    assert project.rebuild().status == 0
    assert project.text("out") == "in\n"


@pytest.mark.parametrize("look", ["stat -c %s note", "ls -l note | cut -d' ' -f5", "find note -printf '%s\\n'"])
def test_a_step_that_only_looked_runs_when_the_content_changes(project: Project, look: str) -> None:
    """What it made of the look is not known; a touch is nothing new."""
    project.write("Makefile", f"out: in\n\t{{ cp in out; {look.replace('$', '$$')} >> out; cat in > copy; }}\n")
    project.write("in", "in\n")
    project.write("note", "one\n")
    project.check(project.build())
    project.touch("note")
    project.check_null(project.build())
    project.write("note", "two\n")
    edited = project.rebuild()
    assert project.log()["ran"]
    project.check(edited, runs=3)
    # The same stat, other content: the times are put back.
    before = os.stat(project.tree / "note")
    project.write("note", "six\n")
    for tree in (project.tree, project.sources):
        os.utime(tree / "note", ns=(before.st_atime_ns, before.st_mtime_ns))
    project.check(project.attempt())
    assert project.log()["ran"]
