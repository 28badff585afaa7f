"""Scenarios 16 to 27: headers, search paths, and files that were looked for in vain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .project import ANCIENT, Project

PROGRAM = """\
prog: main.o a.o
	cc -o $@ main.o a.o
%.o: %.c
	cc -Iinc1 -Iinc2 -MMD -c -o $@ $<
-include main.d a.d
"""


def program(project: Project) -> None:
    project.write("Makefile", PROGRAM)
    project.write("inc1/other.h", "int a(void);\n")
    project.write("inc2/value.h", "#define VALUE 1\n")
    project.write("main.c", '#include "other.h"\nint main(void) { return a(); }\n')
    project.write("a.c", '#include "value.h"\nint a(void) { return VALUE; }\n')


def test_16_a_header_edit_runs_its_includers(project: Project) -> None:
    """Whoever includes the header is compiled, nobody else."""
    program(project)
    project.build()
    project.edit("inc2/value.h", "1", "2")
    project.check(project.rebuild(), runs=2)


def test_17_a_header_that_shadows_another_is_noticed(project: Project) -> None:
    """A new header earlier on the include path wins, as for the compiler."""
    program(project)
    project.build()
    project.write("inc1/value.h", "#define VALUE 3\n")
    project.check(project.rebuild(), runs=2)


def test_18_a_header_moved_along_the_include_path_does_not_break_the_build(project: Project) -> None:
    """The dependency file that names the old place is no obstacle."""
    program(project)
    project.build()
    project.rename("inc2/value.h", "inc1/value.h")
    project.check(project.rebuild(), runs=3)


def test_19_a_header_deleted_with_its_include_is_not_missed(project: Project) -> None:
    """No "No rule to make target" for a header that nobody includes any more."""
    program(project)
    project.build()
    project.delete("inc2/value.h")
    project.write("a.c", "int a(void) { return 4; }\n")
    project.check(project.rebuild(), runs=2)


def test_20_a_deleted_header_that_is_needed_fails_the_build(project: Project) -> None:
    """The old object is not served in place of the error."""
    program(project)
    project.build()
    project.delete("inc2/value.h")
    failed = project.rebuild()
    assert failed.status != 0
    project.check(failed, extra=("prog", "main.o", "main.d"))


def test_21_a_header_asked_for_by_has_include_is_noticed(project: Project) -> None:
    """__has_include answered no; now the file is there."""
    program(project)
    project.write("a.c", '#if __has_include("extra.h")\n#include "extra.h"\n#else\nint a(void) { return 0; }\n#endif\n')
    project.build()
    project.write("inc2/extra.h", "int a(void) { return 5; }\n")
    project.check(project.rebuild(), runs=2)


def test_22_a_file_tested_for_existence_is_an_input(project: Project) -> None:
    """The step runs when the file appears, and again when it goes."""
    project.write("Makefile", "out: yes no\n\tif [ -e flag ]; then cp yes out; else cp no out; fi\n")
    project.write("yes", "yes\n")
    project.write("no", "no\n")
    project.build()
    project.write("flag", "")
    project.check(project.rebuild(), runs=1)
    project.delete("flag")
    project.check(project.rebuild(), runs=1)


def test_23_a_listed_directory_is_an_input(project: Project) -> None:
    """The step runs when a file is added to the directory that it lists."""
    project.write("Makefile", "out:\n\tls dir > out\n")
    project.write("dir/one", "")
    project.build()
    project.write("dir/two", "")
    project.touch("dir", date=ANCIENT)
    project.check(project.rebuild(), runs=1)


def listing(project: Project) -> None:
    project.write("Makefile", "all: list dir/made\nlist: one\n\tls dir > list\ndir/made: list\n\tcp one dir/made\n")
    project.write("dir/one", "")
    project.write("one", "1\n")


def test_24_a_product_in_a_listed_directory_is_no_endless_rebuild(project: Project) -> None:
    """The build itself adds a file to a directory that an earlier step lists: the next build is null."""
    listing(project)
    project.build()
    project.check(project.rebuild(), runs=0)


def test_24_a_listing_never_shows_what_a_later_step_makes(project: Project) -> None:
    """When the listing step runs again, it finds the directory as in a clean build."""
    listing(project)
    project.build()
    project.write("dir/two", "")
    project.check(project.rebuild(), runs=1)


def test_25_a_tool_that_appears_earlier_on_the_path_is_used(project: Project) -> None:
    """A step runs with the new program of the same name."""
    project.write("Makefile", "out: in\n\tgenerate\n")
    project.write("in", "x\n")
    project.write("early/readme", "")
    project.script("late/generate", "#!/bin/sh\ncat in > out\n")
    project.environment["PATH"] = f"{project.tree}/early:{project.tree}/late:{project.environment['PATH']}"
    project.build()
    project.script("early/generate", "#!/bin/sh\ncat in in > out\n")
    project.check(project.rebuild(), runs=1)


def shared_object(directory: Path, value: int) -> Path:
    """A library whose one function returns `value`."""
    source, library = directory / f"v{value}.c", directory / f"v{value}.so"
    source.write_text(f"int value(void) {{ return {value}; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libv.so", "-o", library, source], check=True)
    return library


def test_26_a_replaced_shared_library_of_a_tool_is_noticed(project: Project) -> None:
    """The tool's own bytes are the same; what it loads is not."""
    first, second = shared_object(project.root, 1), shared_object(project.root, 2)
    (project.root / "tool.c").write_text(
        '#include <stdio.h>\nint value(void);\nint main(void) { printf("%d\\n", value()); return 0; }\n'
    )
    subprocess.run(["cc", "-o", "tool", "tool.c", first], cwd=project.root, check=True)
    project.copy_in("tool", project.root / "tool")
    project.copy_in("lib/libv.so", first)
    project.write("Makefile", "out:\n\tLD_LIBRARY_PATH=lib ./tool | cat > out\n")
    project.build()
    assert project.text("out") == "1\n"
    project.copy_in("lib/libv.so", second)
    project.check(project.rebuild(), runs=1)


def test_27_a_replaced_inner_compiler_is_noticed(project: Project) -> None:
    """The driver's bytes are the same; the cc1 that it finds is not."""
    asked = subprocess.run(["cc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True)
    inner = asked.stdout.strip()
    if not Path(inner).is_absolute():
        pytest.skip("this compiler has no cc1")
    program(project)
    project.edit("Makefile", "cc -Iinc1", "cc -B$(CURDIR)/parts/ -Iinc1")
    project.script("parts/cc1", f'#!/bin/sh\nexec {inner} "$@"\n')
    project.write("a.c", "#ifndef LEVEL\n#define LEVEL 1\n#endif\nint a(void) { return LEVEL; }\n")
    project.build()
    project.script("parts/cc1", f'#!/bin/sh\nexec {inner} -DLEVEL=7 "$@"\n')
    project.check(project.rebuild(), runs=3)
