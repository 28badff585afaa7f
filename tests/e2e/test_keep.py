"""What a person wrote is never destroyed: products that were changed by hand."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from .tool import verb_command

if TYPE_CHECKING:
    from .project import Project


def keep(project: Project, *words: str) -> str:
    command = verb_command("keep", *words)
    done = subprocess.run(
        command, cwd=project.tree, env=project.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept(project: Project) -> list[str]:
    top = project.tree / ".hashmake/kept"
    return sorted(path.read_text() for path in top.rglob("*") if path.is_file())


def test_a_product_changed_by_hand_is_made_again_and_the_persons_is_kept(project: Project) -> None:
    """One line names both places; nothing is kept of what is not replaced."""
    project.write("Makefile", "all: out\nout: made.h in\n\tcat made.h in > out\nmade.h: in\n\tsed s/^/H/ in > made.h\n")
    project.write("in", "1\n")
    project.build()
    project.damage("made.h", "mine\n")
    healed = project.rebuild()
    project.check(healed, runs=2)
    lines = [line for line in healed.err.splitlines() if "made.h" in line and "by hand" in line]
    assert len(lines) == 1
    assert "hashmake keep made.h" in lines[0]
    assert ".hashmake/kept/" in lines[0]
    assert kept(project) == ["mine\n"]
    project.edit("in", "1", "2")
    project.check(project.rebuild(), runs=2)
    assert kept(project) == ["mine\n"]


def test_a_kept_path_is_a_source_until_that_is_taken_back(project: Project) -> None:
    """`keep` brings the person's version back, `status` lists it, `--undo` has it made again."""
    project.write("Makefile", "all: out\nout: made.h in\n\tcat made.h in > out\nmade.h: in\n\tsed s/^/H/ in > made.h\n")
    project.write("in", "1\n")
    project.build()
    project.damage("made.h", "mine\n")
    project.build()
    assert "is back" in keep(project, "made.h")
    assert project.text("made.h") == "mine\n"
    project.build()
    assert project.text("out") == "mine\n1\n"
    assert "nothing changed" in project.rebuild().err
    project.edit("in", "1", "2")
    project.rebuild()
    assert (project.text("made.h"), project.text("out")) == ("mine\n", "mine\n2\n")
    status = subprocess.run(
        verb_command("status"), cwd=project.tree, env=project.environment, capture_output=True, check=True
    )
    assert b"yours" in status.stdout
    project.damage("made.h", "mine, too\n")
    project.rebuild()
    assert project.text("out") == "mine, too\n2\n"
    keep(project, "--undo", "made.h")
    project.check(project.rebuild(), runs=2)
    assert "mine, too\n" in kept(project)


def test_what_is_made_only_where_there_is_none_is_a_persons_once_changed(project: Project) -> None:
    """A rule without prerequisites, and a step that looks first (`[ -f x ] || ...`): as with stock make."""
    project.write(
        "Makefile",
        "all: out\nconfig.h:\n\tcp config.def.h $@\nout: in config.h\n"
        "\t[ -f local.conf ] || cp sample.conf local.conf\n\tcat in config.h local.conf > out\n",
    )
    for name in ("in", "config.def.h", "sample.conf"):
        project.write(name, "first\n")
    project.build()
    project.damage("config.h", "mine\n")
    project.damage("local.conf", "mine, too\n")
    project.edit("in", "first", "second")
    built = project.rebuild()
    assert project.text("out") == "second\nmine\nmine, too\n"
    assert (project.text("config.h"), project.text("local.conf")) == ("mine\n", "mine, too\n")
    assert "yours now" in built.err
    assert kept(project) == []
    assert "nothing changed" in project.rebuild().err
    project.edit("in", "second", "third")
    project.rebuild()
    assert project.text("out") == "third\nmine\nmine, too\n"
    project.damage("config.h", "mine once more\n")
    project.rebuild()
    assert project.text("out") == "third\nmine once more\nmine, too\n"


def test_rows_that_a_person_added_to_a_file_that_the_build_adds_to_stay(project: Project) -> None:
    """A small data base, made once and added to by each build that runs."""
    recipe = "\t[ -f data ] || echo empty > data\n\techo `cat in` >> data\n\tcp in out\n"
    project.write("Makefile", f"all: out\nout: in\n{recipe}")
    project.write("in", "1\n")
    project.build()
    project.damage("data", "empty\n1\nrow\n")
    project.edit("in", "1", "2")
    project.rebuild()
    assert project.text("data") == "empty\n1\nrow\n2\n"
    assert "nothing changed" in project.rebuild().err


def test_of_what_compilers_make_no_copy_is_kept(project: Project) -> None:
    """Nobody writes an object by hand."""
    project.write("Makefile", "a.o: a.c\n\tcc -c a.c\n")
    project.write("a.c", "int a;\n")
    project.build()
    project.write("b.c", "int b;\n")
    subprocess.run(["cc", "-c", "-o", "a.o", "b.c"], cwd=project.tree, check=True)
    project.check(project.rebuild(), runs=1)
    assert kept(project) == []
