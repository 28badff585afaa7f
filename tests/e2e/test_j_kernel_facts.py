"""What a kernel build does beyond compiling, each in a tree of a few files (research/kbuild.md, "facts").

With the real ar, as, ld and fakeroot, and a real terminal; a script stands for sparse.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from . import tool

if TYPE_CHECKING:
    from .project import Project

KERNEL = """\
all: image
image: built-in.a
	ld -r -o $@ --whole-archive $<
built-in.a: a.o sub/built-in.a
	rm -f $@; printf '%s\\n' $^ | xargs ar cDPrST $@
sub/built-in.a: sub/b.o
	rm -f $@; ar cDPrST $@ $^
%.o: %.c
	cc -c -o $@ $<
"""


def test_a_thin_archive_of_equal_bytes_and_other_members_is_linked_again(project: Project) -> None:
    """An edit that keeps the object's size: the archive's bytes stay, what ld reads through it does not."""
    project.write("Makefile", KERNEL)
    project.write("a.c", "int a(void) { return 1; }\n")
    project.write("sub/b.c", "int b(void) { return 1; }\n")
    project.build()
    archives = [(project.tree / name).read_bytes() for name in ("built-in.a", "sub/built-in.a")]
    image = (project.tree / "image").read_bytes()
    project.edit("sub/b.c", "1", "2")
    project.check(project.rebuild(), runs=4)
    assert [(project.tree / name).read_bytes() for name in ("built-in.a", "sub/built-in.a")] == archives
    assert (project.tree / "image").read_bytes() != image
    project.edit("sub/b.c", "b(void)", "b( void )")
    project.check(project.rebuild(), runs=1)


def test_a_member_of_a_thin_archive_in_a_thin_archive_comes_and_goes(project: Project) -> None:
    """Its path is in the archive; the object that is out is read no more."""
    project.write("Makefile", KERNEL.replace("sub/built-in.a: sub/b.o", "sub/built-in.a: $(addprefix sub/,$(OBJ))"))
    project.write("a.c", "int a(void) { return 1; }\n")
    for name in "bc":
        project.write(f"sub/{name}.c", f"int {name}(void) {{ return 1; }}\n")
    project.build("OBJ=b.o")
    project.check(project.rebuild("OBJ=b.o c.o"), runs=4)
    project.check(project.rebuild("OBJ=b.o"), extra=("sub/c.o",))


def test_a_file_that_the_assembler_includes_is_an_input(project: Project) -> None:
    """`.incbin` names it where no preprocessor and no depfile sees it (usr/initramfs_data.S, certs/*.S)."""
    project.write("Makefile", "all: data.o\ndata.o: data.S\n\tcc -c -Wp,-MMD,.data.d -o $@ $<\n")
    project.write("data.S", '.section .rodata\n.incbin "blob"\n.section .note.GNU-stack,"",@progbits\n')
    project.write("blob", "one\n")
    project.build()
    project.edit("blob", "one", "two")
    project.check(project.rebuild(), runs=1)


@pytest.mark.skipif(not shutil.which("fakeroot"), reason="fakeroot is not installed")
def test_fakeroot_in_a_step_keeps_its_faith_and_is_followed(project: Project) -> None:
    """A second preloaded library: both work (bindeb-pkg builds its packages so)."""
    packed = "tar --sort=name --mtime=@0 -cf $(CURDIR)/out.tar -C root ."
    recipe = f"mkdir -p root; cp in root/in; chown 7:8 root/in; mknod root/dev c 1 3; {packed}"
    project.write("Makefile", f"out.tar: in\n\trm -rf root; fakeroot -- sh -ec '{recipe}'; rm -rf root\n")
    project.write("in", "one\n")
    project.build()
    listed = subprocess.run(
        ["tar", "--numeric-owner", "-tvf", project.tree / "out.tar"], capture_output=True, text=True, check=True
    ).stdout
    assert "7/8" in listed, listed
    assert "1,3" in listed, listed
    project.check(project.rebuild())
    project.edit("in", "one", "two")
    result = project.rebuild()
    project.check(result)
    assert b"two\n" in (project.tree / "out.tar").read_bytes()


def test_a_checker_beside_the_compiler_runs_when_the_source_does(project: Project) -> None:
    """C=1: a second program reads the source and prints; a warning of one comes again with each run, not otherwise."""
    project.script("check", 'grep -n TODO "$1" >&2 || :\n')
    project.write("Makefile", "all: a.o b.o\n%.o: %.c\n\tcc -c -o $@ $<; $(if $(C),./check $<)\n")
    for name in "ab":
        project.write(f"{name}.c", f"/* TODO {name} */ int {name};\n")
    assert "TODO" not in project.build().err
    checked = project.rebuild("C=1")
    project.check(checked, runs=4)
    assert "TODO a" in checked.err
    assert "TODO b" in checked.err
    project.edit("a.c", "int a;", "long a;")
    again = project.rebuild("C=1")
    assert "TODO a" in again.err
    assert "TODO b" not in again.err
    project.check(again, runs=2)


def test_a_step_has_the_terminal(project: Project) -> None:
    """Menuconfig asks there, draws there, and what it writes is a product like any other."""
    ask = "printf 'name? '; read name; echo $$name > .config"
    project.write("Makefile", f"all: .config\n\tcp .config out\nmenuconfig:\n\ttest -t 0 && test -t 1; {ask}\n")
    project.write(".config", "first\n")
    project.build()
    main, terminal = pty.openpty()
    running = subprocess.Popen(
        [*tool.build_command(), "menuconfig"],
        cwd=project.tree,
        env=project.environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    text = b""
    while b"name? " not in text:
        text += os.read(main, 1000)
    os.write(main, b"second\n")
    assert running.wait(30) == 0
    os.close(main)
    project.build()
    assert (project.tree / "out").read_text() == "second\n"


PACK = """\
set -e
rm -rf d
mkdir -p d/DEBIAN
$1 --no-print-directory inst TO=d
mkdir d/usr/include/x86
mv d/usr/include/asm d/usr/include/x86/
cat in > d/DEBIAN/control
strip -g d/usr/lib/*.o
rm -rf d/usr/share
find d -type f | LC_ALL=C sort | xargs cat > pkg
"""
INSTALL = """\
pkg: in pack.sh
	sh pack.sh $(MAKE)
inst:
	mkdir -p $(TO)/usr/include/asm $(TO)/usr/include/linux $(TO)/usr/lib $(TO)/usr/share/doc
	cp $(ASM) $(TO)/usr/include/asm/
	cp b.h $(TO)/usr/include/linux/
	cc -g -c -o $(TO)/usr/lib/c.o c.c
	cp b.h $(TO)/usr/share/doc/
ASM = a.h b.h
.PHONY: inst
"""


def test_a_script_that_calls_make_moves_strips_and_removes_what_make_made(project: Project) -> None:
    """As builddeb does with what headers_install and modules_install put into debian/."""
    project.write("Makefile", INSTALL)
    project.write("pack.sh", PACK)
    for name in ("in", "a.h", "b.h"):
        project.write(name, "1\n")
    project.write("c.c", "int c = 1;\n")
    project.build()
    project.check(project.rebuild(), runs=0)
    for name in ("in", "a.h", "b.h", "c.c"):
        project.edit(name, "1", "2")
        project.check(project.rebuild())
        project.check_null(project.rebuild())
    project.edit("Makefile", "ASM = a.h b.h", "ASM = a.h")
    project.check(project.rebuild())
    project.edit("Makefile", "ASM = a.h", "ASM = b.h a.h")
    project.check(project.rebuild(OTHER="1"))
    project.lose("d/usr/include/x86/asm/a.h")
    project.check(project.rebuild(OTHER="1"))
    project.edit("pack.sh", "mv d/usr/include/asm d/usr/include/x86/", "ln -s ../asm d/usr/include/x86/asm")
    project.check(project.rebuild())
    project.edit("pack.sh", "mkdir d/usr/include/x86\n", "mv d/usr/include/linux d/usr/include/x86\n")
    project.check(project.rebuild())
