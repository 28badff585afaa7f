"""hmlook beside what Python says of the same paths: it compares a tree with a manifest, and hashes as the rest does."""

from __future__ import annotations

import getpass
import os
import random
import struct
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmake.disk import reading
from hashmake.disk.host import host_fact
from hashmake.errors import StateUnusable
from hashmake.model import digest
from hashmake.null import check as looking
from hashmake.null.check import Check
from hashmake.null.manifest import ABSENT, LISTED, LOOKS, READS, Manifest, pack_manifest
from hashmake.state.complete import Complete

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 16


def manifest(**columns: list[bytes]) -> Manifest:
    """With these columns, others empty: names as in null/manifest.py, in the order of its lists."""
    names = "reads versions looks expected absent listed listings products goals lazy contents signatures".split()
    lists = [columns.get(name, []) for name in names]
    a, b, c, d, e, f, g, h, i, j, k, l_ = lists
    return a, b, c, d, e, f, g, h, i, j, k, l_


def looked(folder: Path, found: Manifest) -> Check:
    """What a look finds; beside the files of a test, in a directory of its own."""
    complete = Complete(str(folder / "state"), KEY, KEY)
    complete.save(b"", KEY, pack_manifest(found), says=False)
    check = Check()
    check.agrees(complete.path(KEY))
    assert check.compared == sum(len(found[column]) for column in (READS, LOOKS, ABSENT, LISTED, 9))
    return check


def versions(paths: list[bytes]) -> list[bytes]:
    return [reading.of_file(path)[0] for path in paths]


def test_files_of_every_length_are_hashed_as_python_does_it(tmp_path: Path) -> None:
    """Short ones have rules of their own, pieces of 1 kB and of the buffer have ends."""
    source = random.Random(1)  # bytes that differ
    text = source.randbytes(3 << 18)
    lengths = [*range(600), *range(1000, 1100), *range(2040, 2060)]
    for edge in (1 << 18, 1 << 19, 3 << 18):
        lengths += [edge - 1025, edge - 1024, edge - 65, edge - 1, edge]
        lengths += [edge + 1, edge + 63, edge + 64, edge + 1024, edge + 1025] if edge < len(text) else []
    paths = [os.fsencode(tmp_path / str(length)) for length in lengths]
    for length, path in zip(lengths, paths, strict=True):
        (tmp_path / os.fsdecode(path)).write_bytes(text[:length])
    found = manifest(reads=paths, versions=versions(paths))
    check = looked(tmp_path, found)
    assert check.changed(found) == set()
    assert check.same(found) == list(zip(paths, found[READS + 1], strict=True))
    changed = {
        path for length, path in zip(lengths, paths, strict=True) if length and (length % 7 == 0 or length > 600)
    }
    for path in changed:
        with open(path, "r+b") as file:
            file.seek(source.randrange(os.path.getsize(path)))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes((byte[0] ^ 1 << source.randrange(8),)))
    check = looked(tmp_path, found)
    assert check.changed(found) == changed
    assert {path for path, _ in check.same(found)} == set(paths) - changed


def test_what_is_no_such_file_any_more_differs(tmp_path: Path) -> None:
    names = "same longer shorter executable gone directory fifo dangling".split()
    paths = [os.fsencode(tmp_path / name) for name in names]
    for path in paths:
        (tmp_path / os.fsdecode(path)).write_text("text\n")
    found = manifest(reads=paths, versions=versions(paths))
    (tmp_path / "longer").write_text("text\n\n")
    (tmp_path / "shorter").write_text("text")
    (tmp_path / "executable").chmod(0o755)
    for name in ("gone", "directory", "fifo", "dangling"):
        (tmp_path / name).unlink()
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert looked(tmp_path, found).changed(found) == set(paths[1:])


def test_looks(tmp_path: Path) -> None:
    """What each kind of look must see: letters as in null/check.py's manifest."""
    (tmp_path / "file").write_text("12345")
    (tmp_path / "script").write_text("1")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "away").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    plain, program = b"F-" + (5).to_bytes(8, "little"), b"Fx" + (1).to_bytes(8, "little")
    good = {
        "file": [b"E", b"AF-", b"T" + plain, b"O" + plain],
        "script": [b"E", b"AFx", b"T" + program],
        "folder": [b"E", b"AD", b"TD", b"OD"],
        "link": [b"E", b"AF-", b"T" + plain, b"OLfile"],
        "away": [b"OLnowhere"],
        "fifo": [b"E", b"AO", b"TO", b"OO"],
        "gone": [b"O"],
    }
    bad = {
        "file": [b"AFx", b"AD", b"T" + program, b"TD", b"O" + program, b"OLfile", b"O", b"T", b""],
        "script": [b"AF-", b"T" + plain],
        "folder": [b"AF-", b"TO", b"OO", b"O" + plain],
        "link": [b"O" + plain, b"OLfil", b"OLfile2", b"AFx"],
        "away": [b"E", b"AF-", b"TD", b"OLelsewhere"],
        "fifo": [b"TD", b"OD"],
        "gone": [b"E", b"AF-", b"T" + plain, b"OD"],
    }
    for table, differs in ((good, False), (bad, True)):
        rows = [(os.fsencode(tmp_path / name), look) for name, looks in table.items() for look in looks]
        for path, look in rows:
            one = manifest(looks=[path], expected=[look])
            assert looked(tmp_path, one).changed(one) == ({path} if differs else set()), (path, look)


def test_the_host_is_the_one_python_sees(tmp_path: Path) -> None:
    names = [b"uname", b"user", b"else"]
    found = manifest(looks=names, expected=[b"H" + host_fact(name) for name in names])
    assert looked(tmp_path, found).changed(found) == set()
    assert getpass.getuser().encode() in found[LOOKS + 1][1]
    other = manifest(looks=names, expected=[b"H" + host_fact(name) + b"x" for name in names])
    assert looked(tmp_path, other).changed(other) == set(names)


def test_absent_paths(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    long = b"/" + b"x" * 5000
    gone = [b"gone", b"gone/a", b"gone/b", b"there/a", b"there/file/a", b"there/file/b", b"there/z", b"dangling"]
    paths = sorted([*(os.fsencode(tmp_path) + b"/" + name for name in gone), long])
    found = manifest(absent=paths)
    assert looked(tmp_path, found).changed(found) == set()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "b").write_text("")
    (tmp_path / "nowhere").write_text("")
    names = {os.fsencode(tmp_path / name) for name in ("gone", "gone/b", "dangling")}
    assert looked(tmp_path, found).changed(found) == names


NAMES = st.sets(st.sampled_from([b"a", b"a-b", b"a.b", b"ab", b"b", b"B", b"\xff", b"\xc3\xa9", b"a b", b".x"]))


@settings(max_examples=150, deadline=None)
@given(there=NAMES, products=NAMES, expected=NAMES)
def test_listings_less_products(
    tmp_path_factory: pytest.TempPathFactory, there: set[bytes], products: set[bytes], expected: set[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("listing")
    where = os.fsencode(folder / "d")
    os.mkdir(where)
    os.mkdir(where + b"/.hashmake")
    for name in there:
        with open(where + b"/" + name, "w", encoding="ascii"):
            pass
    for names in (expected, there - products):
        found = manifest(listed=[where], listings=[b"\0".join(sorted(names))], products=[b"\0".join(sorted(products))])
        differs = names != there - products
        assert looked(folder, found).changed(found) == ({where} if differs else set())


def test_a_directory_that_is_gone_or_none_differs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    paths = [os.fsencode(tmp_path / "gone"), os.fsencode(tmp_path / "file")]
    found = manifest(listed=paths, listings=[b"", b""], products=[b"", b""])
    assert looked(tmp_path, found).changed(found) == set(paths)


def test_a_manifest_that_is_missing_or_damaged_or_cut_short_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    complete = Complete(str(tmp_path / "state"), KEY, KEY)
    name = complete.path(KEY)
    assert not Check().agrees(name)
    whole = pack_manifest(manifest(reads=[os.fsencode(path)], versions=[reading.of_file(os.fsencode(path))[0]]))
    for cut in (*range(0, len(whole), 5), len(whole) - 1):
        complete.save(b"", KEY, whole[:cut], says=False)  # sealed, and yet no manifest
        check = Check()
        assert not check.agrees(name)
        assert check.compared == 0
    complete.save(b"", KEY, whole, says=False)
    assert Check().agrees(name)
    data = bytearray((tmp_path / "state/complete" / os.path.basename(name)).read_bytes())
    data[-1] ^= 1
    (tmp_path / "state/complete" / os.path.basename(name)).write_bytes(data)
    assert not Check().agrees(name)


def trusting(folder: Path, found: Manifest) -> set[bytes]:
    """What a look finds that trusts ctimes."""
    complete = Complete(str(folder / "state"), KEY, KEY)
    complete.save(b"", KEY, pack_manifest(found), says=False)
    check = Check()
    check.agrees(complete.path(KEY), trust_ctime=True)
    return check.changed(found)


MARK = struct.Struct("=Q6q16s")  # looker.h


def marks(folder: Path) -> list[tuple[int, ...]]:
    """What the last look that trusts ctimes has kept."""
    data = b"".join(file.read_bytes() for file in folder.glob("state/complete/*.times"))
    if not data:
        return []
    assert digest.of_bytes(data[16:]) == data[:16]
    return sorted(MARK.iter_unpack(data[16:]))


def aged(folder: Path, names: str) -> list[bytes]:
    """Files whose ctimes are old enough to be trusted."""
    paths = [os.fsencode(folder / name) for name in names.split()]
    for path in paths:
        (folder / os.fsdecode(path)).write_bytes(os.path.basename(path) * 100)
    time.sleep(1.1 if os.stat(paths[0]).st_ctime_ns % 10**9 == 0 else 0.03)
    return paths


def test_what_has_its_old_ctime_is_not_read_again_where_that_is_trusted(tmp_path: Path) -> None:
    paths = aged(tmp_path, "a b c d")
    found = manifest(reads=paths, versions=versions(paths))
    assert trusting(tmp_path, found) == set()
    assert len(marks(tmp_path)) == 4
    kept = marks(tmp_path)
    for path in paths[1:3]:
        before = os.stat(path)
        with open(path, "r+b") as source:
            source.write(b"x" if path == paths[1] else b"c")  # the other one is what it was
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(paths[3], paths[3] + b"2")
    os.symlink(b"d2", paths[3])  # the same file by another name
    assert trusting(tmp_path, found) == {paths[1]}
    assert len(set(marks(tmp_path)) & set(kept)) == 1
    assert trusting(tmp_path, found) == {paths[1]}
    (file,) = (tmp_path / "state/complete").glob("*.times")
    data = bytearray(file.read_bytes())
    lie = manifest(reads=paths[:1], versions=[found[READS + 1][0][:10] + bytes(16)])
    assert trusting(tmp_path, lie) == {paths[0]}  # what is there is not what was read
    for at in range(16, len(data), MARK.size):
        data[at + MARK.size - 16 : at + MARK.size] = bytes(16)
    file.write_bytes(digest.of_bytes(bytes(data[16:])) + data[16:])
    assert trusting(tmp_path, lie) == set()  # so it is not read
    assert looked(tmp_path, lie).changed(lie) == {paths[0]}  # but where ctimes are not trusted


def test_a_file_that_changed_just_before_it_was_read_is_read_each_time(tmp_path: Path) -> None:
    """Within a step of the clock that ctimes come from, another change may leave the same one."""
    paths = []
    for number in range(200):
        paths.append(os.fsencode(tmp_path / str(number)))
        (tmp_path / str(number)).write_text(str(number))
        if number % 10 == 9:
            found = manifest(reads=paths, versions=versions(paths))
            assert trusting(tmp_path, found) == set()
            for mark in marks(tmp_path):
                ctime, read_at = mark[5:7]
                assert read_at > ctime + (10**7 if ctime % 10**9 else 10**9)


def test_a_clock_that_was_set_back_makes_ctimes_worthless(tmp_path: Path) -> None:
    paths = aged(tmp_path, "a")
    found = manifest(reads=paths, versions=versions(paths))
    trusting(tmp_path, found)
    (file,) = (tmp_path / "state/complete").glob("*.times")
    (mark,) = marks(tmp_path)
    lie = manifest(reads=paths, versions=[found[READS + 1][0][:10] + bytes(16)])
    for later, read in ((0, False), (3600 * 10**9, True)):
        data = MARK.pack(*mark[:6], mark[6] + later, bytes(16))
        file.write_bytes(digest.of_bytes(data) + data)
        assert trusting(tmp_path, lie) == (set(paths) if read else set())


def test_marks_that_are_damaged_are_passed_over(tmp_path: Path) -> None:
    paths = aged(tmp_path, "a b c")
    found = manifest(reads=paths, versions=versions(paths))
    trusting(tmp_path, found)
    (file,) = (tmp_path / "state/complete").glob("*.times")
    whole = file.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], whole[:-72], whole[:20] + b"x" + whole[21:], b"x" * 5000):
        file.write_bytes(damaged)
        assert trusting(tmp_path, found) == set()
        assert file.read_bytes()[16:] != damaged[16:]


def test_a_program_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOKER", "no-such-program")
    with pytest.raises(StateUnusable, match=r"no-such-program: can't be started .*; reinstall hashmake"):
        Check().agrees(str(tmp_path / "manifest"))
