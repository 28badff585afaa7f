"""Linux 6.1 with trimmed exports: the failure that hashmake began with, and what changes of needed symbols run.

HASHMAKE_KERNEL_TRIES says how often the failure is tried in each way. CI makes it happen once; changes of needed
symbols and coarse times take long: they are asked for by `tests/run --long`.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import pytest
from faults.mounts import mounted, refusal

from . import linux as cache
from .edits import NEEDS_ASSEMBLER, NEEDS_MORE, NO_GUARD, NONE, OFFERS_MORE, Edit
from .linux import Linux

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("linux")]
TRIES = int(os.environ.get("HASHMAKE_KERNEL_TRIES", "1"))
# A file server whose clock is behind, and not by a moment only: objects of a slow build are older than that.
TOUCH = """\
#!/bin/sh
case "$*" in
*include/ksym/*) exec /usr/bin/touch -d '1 hour ago' "$@" ;;
esac
exec /usr/bin/touch "$@"
"""
BROKEN = "undefined!"
DISK = cache.CACHE / "disk"  # at one place: objects hold it, and the clean builds need be made once only


@pytest.fixture(scope="module")
def behind(sources: None) -> str:
    """A PATH on which `touch` dates stamps of symbols an hour back."""
    folder = cache.CACHE / "behind"
    folder.mkdir(exist_ok=True)
    (folder / "touch").write_text(TOUCH)
    (folder / "touch").chmod(0o755)
    return f"{folder}:{cache.CACHE}/bin:{cache.PLAIN_PATH}"


@pytest.fixture(scope="module")
def trimmed(sources: None) -> Iterator[Linux]:
    """The tree with an output directory of its own, nothing built."""
    found = Linux(cache.CACHE / "linux", cache.CACHE / "trimmed", fragment=cache.trim_fragment())
    found.restore()
    yield found
    found.restore()
    shutil.rmtree(found.out, ignore_errors=True)


class Stepping(threading.Thread):
    """Dates stamps, objects and command files at random while a build runs, as a clock that steps would."""

    def __init__(self, out: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._out = out
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self.dated = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            for name in itertools.chain(self._out.glob("include/ksym/*"), self._out.glob("[fkl]*/**/*.o*")):
                if self._over.wait(0.002):
                    return
                if self._chance.random() < 0.3:
                    moment = time.time() + self._chance.choice((-86400, -3600, -5, -1, 0, 1, 5, 3600))
                    with suppress(FileNotFoundError):
                        os.utime(name, (moment, moment))
                        self.dated += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


# What is asked of a build in turn, the edit that it is asked with, and which units it compiles for that: of a build "at
# once" all, of one "after clean" those that are compiled twice. Needs change under way in all but the second.
MODULE, OFFERS, IN_ASSEMBLER = "fs/fat/misc.o", "lib/kstrtox.o", "arch/x86/lib/hweight.o"
TURNS: tuple[tuple[str, Edit, list[str]], ...] = (
    ("from nothing", NONE, []),
    ("after clean", NONE, []),
    ("after clean", NEEDS_MORE, [OFFERS]),  # the module needed it from the beginning, who offers it did not know
    ("at once", NONE, [MODULE, OFFERS]),
    ("at once", NEEDS_ASSEMBLER, [IN_ASSEMBLER, MODULE]),
    ("at once", NEEDS_MORE, [IN_ASSEMBLER, MODULE, OFFERS]),
    ("at once", NONE, [MODULE, OFFERS]),
    ("at once", NEEDS_MORE, [MODULE, OFFERS]),
    ("at once", NEEDS_ASSEMBLER, [IN_ASSEMBLER, MODULE, OFFERS]),
    ("at once", NONE, [IN_ASSEMBLER, MODULE]),
)


def turn(linux: Linux, number: int, path: str, beside: Edit = NONE) -> str:
    """One build as the list above has it: right, and no unit compiled but for a reason. What was done, for people."""
    way, edit, expected = TURNS[number % len(TURNS)]
    if way == "from nothing":
        linux.start_over()
    if way == "after clean":
        linux.build("clean")
    linux.apply(edit + beside)
    began = time.monotonic()
    with Stepping(linux.out, number) as clock:
        built = linux.build(PATH=path)
    took = time.monotonic() - began
    compiled = built.sources()
    if way == "at once":
        assert compiled == expected
    if way == "after clean":
        assert repeated(compiled) == expected
    # `clean` takes the objects of Kconfig's programs away, and nothing needs them.
    linux.check(edit, but="scripts/kconfig/")
    return (
        f"{number}: {way}, {edit.name}: {len(compiled)} compiled in {took:.1f} s, {clock.dated} files dated meanwhile"
    )


def repeated(objects: list[str]) -> list[str]:
    """Those that were compiled twice."""
    return sorted(name for name, times in Counter(objects).items() if times > 1)


def find_out(linux: Linux) -> None:
    """What clean stock builds give, before anything is done to the tree or the clock."""
    for edit in (NONE, NEEDS_MORE, NEEDS_ASSEMBLER) if TRIES > 1 else (NONE,):
        linux.apply(edit)
        linux.oracle(edit, (), {})


def test_the_failure_that_it_began_with(trimmed: Linux, behind: str) -> None:
    """Stock make fails and does not heal; hashmake, with the clock behind as well, heals its tree.

    With --long, or with more tries, it also builds it so from nothing.
    """
    trimmed.clear()
    find_out(trimmed)
    trimmed.apply(NO_GUARD)
    trimmed.stock("tinyconfig")
    trimmed.switch()
    trimmed.stock("olddefconfig")
    trimmed.check_fragment()
    cached = {**cache.CACHED, "PATH": f"{cache.CACHE}/behind:{cache.CACHED['PATH']}"} if not cache.EVERYTHING else {}
    for _ in range(2):
        status, text = trimmed.stock_status(**{"PATH": behind, **cached})
        assert (status, BROKEN in text) == (2, True), text[-2000:]
    healed = trimmed.build(PATH=behind)
    assert "made again" in healed.text
    assert 20 < len(healed.objects()) < 300
    trimmed.check(NONE)
    for number in range(1, TRIES + 1) if TRIES > 1 or cache.EVERYTHING else ():
        print(turn(trimmed, number, behind, beside=NO_GUARD), flush=True)
    trimmed.ready = True


@pytest.mark.slow
@pytest.mark.usefixtures("everything")
def test_a_change_of_needed_symbols_runs_who_offers_them(trimmed: Linux) -> None:
    """One more and back: the module and the unit; an export that nobody needs: its unit alone. Each once."""
    trimmed.settle()
    first = trimmed.products()
    trimmed.apply(NEEDS_MORE)
    assert trimmed.build().sources() == ["fs/fat/misc.o", "lib/kstrtox.o"]
    assert trimmed.ksyms()["last_change"]["added"] == ["kstrtoint"]
    trimmed.check(NEEDS_MORE)
    trimmed.apply(NEEDS_ASSEMBLER)
    built = trimmed.build()
    assert built.sources() == ["arch/x86/lib/hweight.o", "fs/fat/misc.o", "lib/kstrtox.o"]
    assert trimmed.ksyms()["last_change"]["added"] == ["__sw_hweight32"]
    trimmed.check(NEEDS_ASSEMBLER)
    trimmed.restore()
    assert trimmed.build().sources() == ["arch/x86/lib/hweight.o", "fs/fat/misc.o"]
    trimmed.apply(OFFERS_MORE)
    assert trimmed.build().sources() == ["kernel/fork.o"]
    trimmed.restore()
    assert trimmed.build().sources() == ["kernel/fork.o"]
    assert trimmed.products() == first


@pytest.mark.usefixtures("everything")
def test_coarse_times_and_the_guard_loop_cost_nothing(trimmed: Linux, behind: str, tmp_path: Path) -> None:
    """On ext4 with 1-second times, with the guard in place, and with the clock behind: right, and no waiting."""
    if DISK.exists():  # a killed test's
        subprocess.run(["umount", "--lazy", DISK / "mnt"], check=False)
        shutil.rmtree(DISK)
    if why := refusal("one-second", tmp_path / "try"):
        pytest.skip(f"no loop mounts here: {why}")
    trimmed.restore()
    with mounted("one-second", DISK, 2000) as disk:
        linux = Linux(trimmed.source, disk / "o", fragment=trimmed.fragment)
        linux.clear()
        find_out(linux)
        for number in range(TRIES):
            print(turn(linux, number, behind), flush=True)
            # The loop would wait until the clock has caught up.
            ran = linux.log()["ran"]
            waits = (step["wall_s"] for step in ran if "scripts/gen_autoksyms.sh" in step["command"])
            assert max(waits, default=0) < 3
