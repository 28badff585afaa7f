"""The table of needed symbols, and what objects, assembler text and .cmd files offer to it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from hashmake.disk.disk import Disk
from hashmake.kbuild.ksyms import KSyms, fold, misfits
from hashmake.kbuild.symbols import symbols

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = (
    b"/*\n * Automatically generated file; DO NOT EDIT.\n */\n\n#define __KSYM___put_user_2 1\n#define __KSYM_kfree 1\n"
)
OBJECT = """\
static int __ksym_marker_kfree[0] __attribute__((section(".discard.ksym"), used));
static int __ksym_marker_kmalloc[0] __attribute__((section(".discard.ksym"), used));
const int __ksymtab_kfree __attribute__((section("___ksymtab+kfree"))) = 1;
extern int printk(const char *, ...);
int kfree(void) { return printk("x"); }
int kmalloc(void) { return 1; }
"""


def compiled(folder: Path) -> bytes:
    (folder / "a.c").write_text(OBJECT)
    subprocess.run(["gcc", "-c", "-o", folder / "a.o", folder / "a.c"], check=True)
    return (folder / "a.o").read_bytes()


def test_an_object_says_what_it_offers_exports_and_needs(tmp_path: Path) -> None:
    found = symbols(compiled(tmp_path))
    assert {n for n in found if n[:1] in b"ox"} == {b"okfree", b"okmalloc", b"xkfree"}
    assert b"uprintk" in found


def test_what_is_no_object_says_nothing() -> None:
    for data in (b"", b"text", b"\x7fELF", b"\x7fELF" + bytes(100), b"!<thin>\nx"):
        assert symbols(data) == frozenset()


def test_the_table_knows_symbols_and_the_names_of_their_old_stamps() -> None:
    table = KSyms().parse(TABLE)
    assert table == {b"__put_user_2": b"1", b"kfree": b"1", b"/put/user/2": b" __put_user_2", b"/kfree": b" kfree"}
    assert fold(b"_Clear_USER") == b"/clear/user"


class Step:
    """A step that read autoksyms.h, for KSyms.names."""

    block = b""

    def __init__(self, readers: list[list[bytes]], reads: dict[bytes, bytes], writes: dict[bytes, bytes]) -> None:
        self.argv: list[bytes] = []
        self.readers = readers
        self.reads = reads
        self.writes = writes

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        yield from ((path, b"F") for path in self.reads)

    def wrote(self) -> Iterator[tuple[bytes, bytes]]:
        yield from ((path, b"F") for path in self.writes)

    def found_in(self, letter: bytes, path: bytes, _version: bytes) -> frozenset[bytes] | None:
        return KSyms().find(letter, {**self.reads, **self.writes}[path])

    def mentioned(self, letter: bytes) -> set[bytes] | None:
        found = [self.found_in(letter, path, version) for path, version in self.read()]
        return None if None in found else set().union(*[each for each in found if each is not None])


CC1 = [[b"/usr/lib/gcc/x/12/cc1", b"cc1"]]
HEADER = b"#define __cond(sym) __is_defined(__KSYM_##sym)\n"


def test_a_compilation_depends_on_the_exports_that_its_object_offers(tmp_path: Path) -> None:
    """And on what a source names itself; export.h puts the names together."""
    reads = {b"/k/include/linux/export.h": HEADER, b"/k/a.c": b"#ifdef __KSYM_vmalloc\n#endif\n"}
    step = Step(CC1, reads, {b"/o/a.o": compiled(tmp_path)})
    assert KSyms().names(step) == frozenset({b"kfree", b"kmalloc", b"vmalloc"})


def test_assembler_text_and_the_cmd_files_of_old_kernels_tell_as_well(tmp_path: Path) -> None:
    assert KSyms().names(Step(CC1, {}, {b"/o/a.s": b"__ksym_marker_kfree:\n"})) == frozenset({b"kfree"})
    command = b"    $(wildcard include/config/ksym///put/user/2.h) \\\n    $(wildcard include/config/smp.h) \\\n"
    made = {b"/o/a.o": compiled(tmp_path), b"/o/.a.o.cmd": command}
    assert KSyms(folded=True).names(Step(CC1, {}, made)) == frozenset({b"kfree", b"kmalloc", b"/put/user/2"})
    del made[b"/o/.a.o.cmd"]
    assert KSyms(folded=True).names(Step(CC1, {}, made)) is None


def test_who_makes_no_object_depends_on_the_whole_table() -> None:
    assert KSyms().names(Step(CC1, {}, {b"/o/a.i": b"text"})) is None
    assert KSyms().names(Step(CC1, {}, {b"/o/a.o": b"BC\xc0\xde"})) is None
    assert KSyms().names(Step([[b"/usr/bin/sort", b"sort"]], {}, {b"/o/a.o": b""})) is None


def lay(top: Path, table: bytes, command: bytes) -> bytes:
    """A directory with one object and its .cmd file; the object's path."""
    (top / "include/generated").mkdir(parents=True)
    (top / "include/generated/autoksyms.h").write_bytes(table)
    compiled(top)
    (top / ".a.o.cmd").write_bytes(command)
    return os.fsencode(top / "a.o")


@pytest.mark.parametrize(("needed", "fits"), [("kfree", True), ("kfree kmalloc", False), ("", False), ("x", False)])
@pytest.mark.parametrize("folded", [False, True])
def test_an_object_that_exports_something_else_than_is_needed_is_named(
    tmp_path: Path, needed: str, fits: bool, folded: bool
) -> None:
    """It offers kfree and kmalloc, and exports kfree; before Linux 5.0 the .cmd file says what it offers."""
    stamps = [f" $(wildcard include/config/ksym/{name}.h) \\\n" for name in ("kfree", "kmalloc") if folded]
    table = "".join(f"#define __KSYM_{name} 1\n" for name in needed.split())
    path = lay(tmp_path, table.encode(), "".join(stamps).encode())
    assert misfits((os.fsencode(tmp_path),), Disk(), folded) == ([] if fits else [path])


def test_what_is_linked_of_objects_tells_nothing_before_linux_5_0(tmp_path: Path) -> None:
    lay(tmp_path, b"", b"cmd_a.o := ld -r -o a.o b.o\n")
    assert misfits((os.fsencode(tmp_path),), Disk(), folded=True) == []
