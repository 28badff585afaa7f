"""Linux 6.1, tinyconfig: after each edit every object is that of a clean stock make, and only what changed has run.

The first part takes a few minutes on two cores; the tests that ask for `everything` come after it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from e2e import tool
from e2e.running import drained

from . import linux as cache
from .edits import COMMENT, FEW, FUNCTION, MAKEFILE, MANY, MANY_COMMENT, NEW_FILE, NONE, VERSION, Edit
from .linux import Built, Linux

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.xdist_group("linux")]
OPTION = "CONFIG_EPOLL"
FLAGS = "-fno-tree-ch"


def reasons(linux: Linux) -> dict[str, str]:
    """For each command that ran in the last build, the kind of its reason."""
    if tool.is_stock_make():
        return {}
    return {str(step["command"]): step["reason"]["kind"] for step in linux.log()["ran"]}


def check_reasons(linux: Linux) -> None:
    """Every step that ran has a reason, and the reason is no ignorance about what was there before."""
    unexplained = {command: kind for command, kind in reasons(linux).items() if kind in {"", "Forced"}}
    assert not unexplained


def check_no_link(built: Built) -> None:
    """No vmlinux was linked; else the reasons of what ran beside the compilations."""
    assert not built.links(), [why for why in built.reasons if "-c -o" not in why]


def check_null(linux: Linux) -> None:
    """A build without an edit: make is not started, nothing is compiled, vmlinux is not written."""
    before = os.stat(linux.out / "vmlinux")
    built = linux.build()
    after = os.stat(linux.out / "vmlinux")
    assert not built.runs
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    if not tool.is_stock_make():
        assert linux.log()["mode"] == "null"


def includers(linux: Linux, header: str) -> set[str]:
    """The objects whose compilation read a header, by what the compiler itself wrote down."""
    found = set()
    for record in linux.out.rglob(".*.o.cmd"):
        # Sources by their full path, generated headers from the output directory.
        if re.search(rf"[ /]{re.escape(header)}\b", record.read_text(errors="replace")):
            found.add(str(record.relative_to(linux.out).with_name(record.name[1:-4])))
    return found


def check_edit(linux: Linux, edit: Edit) -> Built:
    """Build with an edit: equal to a clean build, explained, and null when built again."""
    linux.apply(edit)
    built = linux.build()
    linux.check(edit)
    check_reasons(linux)
    check_null(linux)
    return built


def test_a_cold_build_equals_stock_makes(tree: Linux) -> None:
    """From nothing: the same objects, vmlinux and bzImage."""
    tree.cold()
    tree.check()


def test_a_build_without_an_edit_is_null(linux: Linux) -> None:
    """make is not started."""
    check_null(linux)


def test_touching_every_file_is_null(linux: Linux) -> None:
    """80,000 sources and all products get the time of now, in no order."""
    for top in {linux.source, linux.out}:
        for directory, _, files in os.walk(top):
            for name in files:
                os.utime(os.path.join(directory, name), follow_symlinks=False)
    check_null(linux)


def test_one_edited_source_is_one_compile(linux: Linux) -> None:
    """A function added to kernel/fork.c: that object and the images; back again nothing is compiled."""
    built = check_edit(linux, FUNCTION)
    assert built.sources() == ["kernel/fork.o"]
    linux.restore()
    assert linux.build().sources() == []
    linux.check()
    check_null(linux)


def test_a_comment_is_one_compile_and_no_link(linux: Linux) -> None:
    """The object comes out equal, so nothing after it runs."""
    built = check_edit(linux, COMMENT)
    assert built.objects() == ["kernel/fork.o"]
    check_no_link(built)


def test_a_deleted_object_is_restored(linux: Linux) -> None:
    """It comes back as it was."""
    (linux.out / "kernel/fork.o").unlink()
    built = linux.build()
    linux.check()
    assert built.objects() == []
    check_no_link(built)


def test_without_a_store_a_deleted_object_is_one_compile_and_no_link(linux: Linux) -> None:
    """It comes out as it was."""
    (linux.out / "kernel/fork.o").unlink()
    built = linux.build(HASHMAKE_STORE="off")
    linux.check()
    assert built.objects() == ["kernel/fork.o"]
    check_no_link(built)


def test_after_clean_nothing_is_compiled(linux: Linux) -> None:
    """Nor linked: all that a build had made is put back."""
    linux.build("clean")
    assert not (linux.out / "vmlinux").exists()
    built = linux.build()
    linux.check()
    assert built.objects() == []
    check_no_link(built)
    check_null(linux)


def test_another_output_directory_compiles_nothing(linux: Linux) -> None:
    """It has never been built, and has what the first one has.

    But for the boot loader, which Kbuild compiles with -g: there the debugger finds the name of the directory.
    """
    second = dataclasses.replace(linux, out=linux.out.with_name("out2"), ready=False)
    try:
        second.start_over()
        built = second.build()
        place = os.fsencode(second.out)
        assert [name for name in built.objects() if place not in (second.out / name).read_bytes()] == []
        assert len(built.objects()) < 40
        check_null(second)
        for name in ("vmlinux", "System.map", "arch/x86/boot/bzImage", "kernel/fork.o"):
            assert (second.out / name).read_bytes() == (linux.out / name).read_bytes(), name
    finally:
        shutil.rmtree(second.out, ignore_errors=True)


def test_a_damaged_object_is_restored(linux: Linux) -> None:
    """Somebody wrote into it."""
    with (linux.out / "kernel/fork.o").open("r+b") as file:
        file.seek(200)
        file.write(b"damaged")
    built = linux.build()
    linux.check()
    assert built.objects() == []
    check_no_link(built)


def test_a_deleted_command_record_leaves_the_objects_right(linux: Linux) -> None:
    """.fork.o.cmd is a product like any other."""
    (linux.out / "kernel/.fork.o.cmd").unlink()
    built = linux.build()
    linux.check()
    assert (linux.out / "kernel/.fork.o.cmd").exists()
    assert set(built.objects()) <= {"kernel/fork.o"}


def test_a_source_tree_that_is_not_clean_is_refused(linux: Linux) -> None:
    """A .config among the sources stops an O= build, as with stock make; without it all is as before."""
    stray = linux.source / ".config"
    stray.write_text("")
    try:
        assert linux.start().wait(cache.PATIENCE) == 2
    finally:
        stray.unlink()
    assert not linux.build().sources()
    linux.check()


def test_a_header_of_few_compiles_its_includers(linux: Linux) -> None:
    """kernel/sched/sched.h."""
    expected = includers(linux, "kernel/sched/sched.h")
    assert set(check_edit(linux, FEW).sources()) == expected


def test_a_makefile_edit_compiles_what_its_flags_reach(linux: Linux) -> None:
    """CFLAGS_fork.o in kernel/Makefile."""
    assert check_edit(linux, MAKEFILE).sources() == ["kernel/fork.o"]


@pytest.mark.usefixtures("everything")
def test_a_kill_in_the_middle_is_continued(linux: Linux) -> None:
    """kill -9 of the tool half a minute into a first build, and once more: then right, and nothing lost."""
    linux.start_over()
    for seconds in (8, 20):
        kill_after(linux, seconds)
    continued = linux.build()
    linux.check()
    check_null(linux)
    assert len(continued.sources()) < len(cache.objects_of(linux))


def kill_after(linux: Linux, seconds: float) -> None:
    """Start a build and kill the tool, not its children."""
    process = linux.start()
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert drained(process.pid, 120), "children of the killed tool are still there"


def test_goals_switched_back_and_forth_run_nothing_twice(linux: Linux) -> None:
    """tinyconfig, all, kernel/, mm/slob.o, all."""
    linux.build("tinyconfig")
    assert not linux.build().sources()
    linux.build("kernel/")
    linux.build("mm/slob.o")
    assert not linux.build().sources()
    linux.check()
    check_null(linux)


@pytest.mark.usefixtures("everything")
def test_a_header_of_many_compiles_its_includers(linux: Linux) -> None:
    """include/linux/poison.h, which list.h includes."""
    expected = includers(linux, "include/linux/poison.h")
    assert set(check_edit(linux, MANY).sources()) <= expected


@pytest.mark.usefixtures("everything")
def test_a_comment_in_a_header_of_many_links_nothing(linux: Linux) -> None:
    """At the end of include/linux/slab.h, so that no line number moves.

    Not list.h: link-vmlinux.sh has a make compile init/version-timestamp.c, which reads that one.
    """
    expected = includers(linux, "include/linux/slab.h")
    built = check_edit(linux, MANY_COMMENT)
    assert set(built.sources()) <= expected
    check_no_link(built)


@pytest.mark.usefixtures("everything")
def test_a_header_rewritten_with_equal_bytes_is_null(linux: Linux) -> None:
    """As a merge leaves it."""
    header = linux.source / "include/linux/mm.h"
    text = header.read_bytes()
    header.unlink()
    header.write_bytes(text)
    check_null(linux)


@pytest.mark.usefixtures("everything")
def test_a_new_file_in_a_makefile_is_one_compile(linux: Linux) -> None:
    """obj-y gets one more; taken back, the images are the first ones."""
    assert check_edit(linux, NEW_FILE).sources() == ["kernel/hashmake_probe.o"]
    linux.restore()
    assert not linux.build().sources()
    linux.check(orphans=True)
    linux.ready = False


@pytest.mark.usefixtures("everything")
def test_a_local_version_compiles_those_who_print_it(linux: Linux) -> None:
    """Only users of utsrelease.h, and the images."""
    expected = includers(linux, "include/generated/utsrelease.h")
    assert set(check_edit(linux, VERSION).sources()) <= expected


@pytest.mark.usefixtures("everything")
def test_an_option_toggled_and_back_gives_the_first_kernel(linux: Linux) -> None:
    """CONFIG_EPOLL by hand in .config."""
    config = (linux.out / ".config").read_text()
    linux.option = OPTION
    try:
        linux.switch()
        linux.build()
        linux.check()
        check_null(linux)
    finally:
        linux.option = ""
        (linux.out / ".config").write_text(config)
    linux.build()
    linux.check(orphans=True)
    linux.ready = False


@pytest.mark.usefixtures("everything")
def test_flags_of_the_environment_added_and_removed(linux: Linux) -> None:
    """KCFLAGS reaches every compile of the kernel."""
    linux.build(KCFLAGS=FLAGS)
    linux.check(NONE, KCFLAGS=FLAGS)
    linux.build()
    linux.check()
    check_null(linux)


def wrapper(path: Path, flags: str) -> None:
    path.write_text(f'#!/bin/sh\nexec gcc {flags} "$@"\n')
    path.chmod(0o755)


@pytest.mark.usefixtures("everything")
def test_a_replaced_compiler_compiles_everything(linux: Linux) -> None:
    """The same path and the same version, other code."""
    path = cache.CACHE / "wrapper"
    wrapper(path, "")
    linux.compiler = str(path)
    try:
        linux.build()
        linux.check()
        wrapper(path, FLAGS)
        linux.build()
        linux.check()
    finally:
        linux.compiler = "gcc"


@pytest.mark.usefixtures("everything")
def test_a_config_edited_after_plain_make_is_believed(linux: Linux) -> None:
    """make tinyconfig and make prepare by plain make, .config edited, then hashmake: the edit is in the kernel."""
    linux.clear()
    linux.stock("tinyconfig")
    linux.stock("prepare")
    linux.option = OPTION
    try:
        linux.switch()
        linux.build()
        linux.check()
    finally:
        linux.option = ""
        linux.ready = False


@pytest.mark.usefixtures("everything")
def test_ten_kills_in_one_build_are_survived(linux: Linux) -> None:
    """kill -9 at ten moments, each time continued."""
    linux.start_over()
    for moment in range(10):
        kill_after(linux, 3 + moment)
    linux.build()
    linux.check()
    check_null(linux)


@pytest.mark.usefixtures("everything", "sources")
def test_an_in_tree_build_is_the_same_story() -> None:
    """Products among the sources: cold, null, touched, edited, reverted."""
    place = cache.CACHE / "intree"
    if not place.exists():
        subprocess.run(["cp", "-a", cache.CACHE / "linux", place.with_suffix(".new")], check=True)
        place.with_suffix(".new").rename(place)
    linux = Linux(place, place)
    linux.cold()
    linux.check()
    test_touching_every_file_is_null(linux)
    test_one_edited_source_is_one_compile(linux)
    test_a_comment_is_one_compile_and_no_link(linux)
    linux.restore()
    shutil.rmtree(place / ".hashmake", ignore_errors=True)
