"""The clock is set back and forth, between builds and while one runs; files get any dates."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.snapshot import names

from .moments import moments
from .mounts import mounted, redate
from .workshop import ALL, Workshop

if TYPE_CHECKING:
    from random import Random

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
BACK = (400 * 86400, 3 * 86400, 3600, 0)
FAKE = {
    "LD_PRELOAD": str(FAKETIME),
    "FAKETIME": "%",
    "FAKETIME_FOLLOW_FILE": "",
    "FAKETIME_FOLLOW_ABSOLUTE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "NO_FAKE_STAT": "1",
}
DATES = (0, 1, 1577836800, 2**31 - 1, 2**32)


def set_clock(workshop: Workshop, back: int) -> None:
    """To so many seconds before the real time: the modification time of a file is what the clock shows."""
    stamp = time.time() - back
    os.utime(workshop.project.root / "clock", (stamp, stamp))


@pytest.fixture
def clock(workshop: Workshop) -> Workshop:
    """Whatever is started sees another clock than the kernel, which goes on stamping files with the real one."""
    assert FAKETIME is not None, "apt-get install faketime"
    workshop.project.environment.update(FAKE, FAKETIME_FOLLOW_FILE=str(workshop.project.root / "clock"))
    (workshop.project.root / "clock").write_text("")
    workshop.nap(30)
    return workshop


def test_a_clock_set_between_builds_changes_nothing(tmp_path: Path, shim: Path, marker: Path, python_path: str) -> None:
    """Back by a year (all files are of the future then), and forth: only what was edited runs; null is null."""
    room = tmp_path / "disk"
    with mounted("ext4", room) as disk:
        workshop = Workshop.create(disk, shim, marker, python_path)
        workshop.nap(0)
        workshop.check(workshop.project.attempt("-j3"), "first")
        for story, random in moments("clock between", 6):
            if random.random() < 0.5:
                workshop.edit_some(random, least=1)
            seconds = random.choice(BACK) * random.choice((1, -1))
            made = (workshop.project.tree / "gen.h").stat().st_ctime
            redate(room, seconds)
            assert (workshop.project.tree / "gen.h").stat().st_ctime == pytest.approx(made + seconds, abs=2)
            if random.random() < 0.5:
                workshop.edit_some(random, least=1)
            workshop.forget_marks()
            workshop.check(workshop.project.attempt("-j3"), f"{story}: {seconds} s")


def test_a_clock_set_during_a_build_loses_nothing(clock: Workshop) -> None:
    """It may leave steps to run once more; what it made is right, and so is the next build, and the third is null."""
    own = dict(clock.project.environment)
    for story, random in moments("clock during", 5):
        clock.edit_some(random, least=1)
        set_clock(clock, random.choice(BACK))
        build = clock.project.start("-j3")
        while build.running.process.poll() is None:
            set_clock(clock, random.choice((*BACK, 2)))
            time.sleep(0.05)
        result = build.finish()
        assert result.status == 0, story + result.err
        clock.check_like_make(result)
        clock.project.environment = {name: own[name] for name in own.keys() - FAKE.keys()}
        clock.edit_some(random)
        clock.stale = set(ALL)
        clock.forget_marks()
        clock.check(clock.project.attempt("-j3"), story)
        clock.project.environment = own


def redate_files(workshop: Workshop, random: Random) -> None:
    """Any date for any file."""
    for name in names(workshop.project.tree):
        if random.random() < 0.5:
            date = random.choice(DATES)
            os.utime(workshop.project.tree / name, (date, date), follow_symlinks=False)


def test_dates_of_files_change_nothing(workshop: Workshop) -> None:
    """Sources and products get random dates, of the past, the future, the year 1970, before each build."""
    workshop.nap(0)
    for story, random in moments("dates", 6):
        workshop.edit_some(random, least=1)
        redate_files(workshop, random)
        workshop.forget_marks()
        workshop.check(workshop.project.attempt("-j3"), story)
