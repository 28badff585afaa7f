"""A state directory that was cut, zeroed, bit-flipped, exchanged or replaced: it is set aside, or works."""

from __future__ import annotations

import shutil
import struct
import sys
import zlib
from typing import TYPE_CHECKING

import lmdb
import pytest

from .moments import moments
from .workshop import ALL, GENERATOR, Workshop, complaints, our_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


def cut(path: Path, random: Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: random.randrange(len(data) + 1)])


def zeroed(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    at = random.randrange(len(data) + 1)
    length = min(random.choice((1, 100, 4096, 65536)), len(data) - at)
    data[at : at + length] = bytes(length)
    path.write_bytes(data)


def flipped(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 1, 3, 50)) if data else 0):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def noise(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    at = random.randrange(len(data) + 1)
    length = min(random.choice((16, 4096, 20000)), len(data) - at)
    data[at : at + length] = random.randbytes(length)
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path, Random], None]] = {"cut": cut, "zeroed": zeroed, "flipped": flipped, "noise": noise}
SET_ASIDE = "set aside as {}.damaged, starting from nothing"


def quick(workshop: Workshop) -> Path:
    """Built, with steps that take no time; its state directory."""
    workshop.nap(0)
    assert workshop.project.attempt("-j3").status == 0
    workshop.forget_marks()
    workshop.stale = set()
    return workshop.project.tree / ".hashmake"


def rebuilt(workshop: Workshop, story: str) -> list[str]:
    """The build after the damage is right; what hashmake said of it."""
    workshop.forget_marks()
    workshop.stale = set(ALL)
    result = workshop.project.attempt("-j3")
    workshop.check(result, story)
    assert "Traceback" not in result.err, story + result.err
    assert "internal error" not in result.err, story + result.err
    return complaints(result.err)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_database_damaged_at_a_random_place_is_set_aside_and_the_build_is_right(
    workshop: Workshop, damage: str
) -> None:
    """Most of the time with an edit beside it, now and then in the state's smaller files; one line at most."""
    state = quick(workshop)
    for story, random in moments(damage, 10):
        kept = [str(path.relative_to(state)) for path in sorted(state.glob("complete/*"))]
        name = random.choice(("db/data.mdb",) * 6 + ("seal", "null", "lock", "README", *kept))
        if (state / name).exists():
            DAMAGES[damage](state / name, random)
        if random.random() < 0.7:
            workshop.edit_some(random, least=1)
        said = rebuilt(workshop, f"{story}, {name}")
        assert len(said) <= 1, f"{story}: {said}"
        assert not said or said[0].endswith(SET_ASIDE.format(state / "db")), said


def zero_the_free_list(data: Path) -> None:
    """Zero the page that says which pages are free: only writing reads it. Where it is: struct MDB_meta, lmdb 0.9."""
    with data.open("r+b") as file:
        head = file.read(8192)
        newest = max((0, 4096), key=lambda page: struct.unpack_from("<Q", head, page + 144)[0])  # mm_txnid
        (root,) = struct.unpack_from("<Q", head, newest + 16 + 24 + 40)  # mm_dbs[FREE_DBI].md_root
        assert root < 1 << 40, "there is no free list"
        file.seek(root * 4096)
        file.write(bytes(4096))


def test_a_database_whose_free_list_is_damaged_is_set_aside(workshop: Workshop) -> None:
    """Every record can be read; the first write fails, or kills who writes."""
    state = quick(workshop)
    zero_the_free_list(state / "db/data.mdb")
    workshop.edit("names.txt", 1)
    (said,) = rebuilt(workshop, "free list")
    assert said.endswith(SET_ASIDE.format(state / "db")), said


def test_a_database_that_is_damaged_during_the_build_is_set_aside_at_its_end(workshop: Workshop) -> None:
    """What the build makes is right, and so is the next, which starts from nothing."""
    state = quick(workshop)
    data = str(state / "db/data.mdb")
    once = workshop.project.root / "once"
    once.touch()
    script = workshop.project.root / "bin" / "damage"
    path = f"import sys; sys.path[:] = {sys.path!r}\nfrom pathlib import Path\n"
    script.write_text(
        f"#!{sys.executable}\n{path}from faults.test_database import zero_the_free_list as z\n"
        f"if Path({str(once)!r}).exists(): Path({str(once)!r}).unlink(); z(Path({data!r}))\n"
    )
    script.chmod(0o755)
    workshop.project.write("gen.sh", "env -u LD_PRELOAD damage\n" + GENERATOR)
    result = workshop.project.attempt("-j3")
    assert result.status == 0, result.err
    (said,) = complaints(result.err)
    assert said.endswith(SET_ASIDE.format(state / "db")), said
    workshop.check_like_make(result)
    assert rebuilt(workshop, "the build after it") == []


def test_a_database_of_another_version_is_set_aside(workshop: Workshop) -> None:
    """Well formed, but not for this hashmake; without its seal, as after an unclean end, too."""
    state = quick(workshop)
    for sealed in (True, False):
        version = struct.pack("<I", 99)
        with lmdb.open(str(state / "db"), lock=False) as env, env.begin(write=True) as txn:
            txn.put(b"V", version + struct.pack("<I", zlib.crc32(version, zlib.crc32(b"V"))))
        if not sealed:
            (state / "seal").unlink()
        (said,) = rebuilt(workshop, "version")
        assert said.startswith(f"hashmake: {state}/db: it has version 99, this hashmake writes ")
        assert said.endswith(SET_ASIDE.format(state / "db"))


def test_another_trees_database_is_no_harm(workshop: Workshop) -> None:
    """Copied in from an older state of this very tree: what it says is judged by contents, as ever."""
    state = quick(workshop)
    shutil.copytree(state, workshop.project.root / "older")
    workshop.edit("names.txt", 1)
    workshop.edit("lib/c.in", 1)
    assert workshop.project.attempt("-j3").status == 0
    for name in (".hashmake", ".hashmake/db"):
        shutil.rmtree(workshop.project.tree / name)
        shutil.copytree(workshop.project.root / "older" / name.partition("/")[2], workshop.project.tree / name)
        rebuilt(workshop, name)


@pytest.mark.parametrize("name", ["db/data.mdb", "seal", "null", "lock"])
def test_a_directory_in_the_place_of_a_state_file_is_no_obstacle(workshop: Workshop, name: str) -> None:
    """Set aside, removed or built around with one line: never an internal error."""
    state = quick(workshop)
    (state / name).unlink(missing_ok=True)
    (state / name).mkdir()
    (state / name / "file").write_text("")
    workshop.edit("names.txt", 1)
    workshop.stale = set(ALL)
    result = workshop.project.attempt("-j3")
    assert result.status == 0, result.err
    assert "Traceback" not in result.err
    assert "internal error" not in result.err, result.err
    assert len(complaints(result.err)) <= 1, result.err
    workshop.check_like_make(result)


@pytest.mark.parametrize("name", [".hashmake", ".hashmake/db"])
def test_a_file_in_the_place_of_a_state_directory_means_plain_make_and_one_line(workshop: Workshop, name: str) -> None:
    """It may be somebody's: it is not removed."""
    quick(workshop)
    place = workshop.project.tree / name
    shutil.rmtree(place)
    place.write_text("mine\n")
    workshop.edit("names.txt", 1)
    result = workshop.project.attempt("-j3")
    (said,) = our_lines(result.err)
    assert said.endswith("; give another place with --state-dir; going on as plain make")
    assert place.read_text() == "mine\n"
    assert result.status == 0
