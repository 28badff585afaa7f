"""The store itself: what is kept comes out again, what is damaged does not, what may be secret never gets in."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hashmake.disk import reading
from hashmake.store import local, place
from hashmake.store.local import LocalStore


class Shop:
    """A store, a tree, and what was said."""

    def __init__(self, top: Path, limit: int = 10**9) -> None:
        self.said: list[str] = []
        self.tree = top / "tree"
        self.tree.mkdir()
        self.top = top / "store"
        self.store = LocalStore(str(self.top), str(top / "scratch"), limit, self.said.append)

    def write(self, name: str, text: str, mode: int = 0o644) -> bytes:
        path = self.tree / name
        path.write_text(text)
        path.chmod(mode)
        return os.fsencode(path)

    def keep(self, path: bytes) -> tuple[bytes, bytes, int] | None:
        version = reading.of_path(path)[0]
        mode = self.store.keep(path, version)
        return None if mode is None else (path, version, mode)

    def restore(self, *files: tuple[bytes, bytes, int] | None) -> bool:
        fetched = self.store.fetch([each for each in files if each is not None])
        return fetched is not None and fetched.place()

    def objects(self) -> list[Path]:
        return [path for path in (self.top / "objects").rglob("*") if path.is_file()]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("bits", [0o644, 0o755, 0o444, 0o640])
def test_a_file_comes_back_with_its_mode(shop: Shop, bits: int) -> None:
    path = shop.write("a", "text" * 100000, bits)
    kept = shop.keep(path)
    os.unlink(path)
    assert shop.restore(kept)
    assert Path(os.fsdecode(path)).read_text() == "text" * 100000
    assert stat.S_IMODE(os.stat(path).st_mode) == bits


def test_links_and_directories_come_back_and_what_was_removed_goes(shop: Shop) -> None:
    directory, link, gone = (os.fsencode(shop.tree / name) for name in ("d", "l", "gone"))
    os.mkdir(directory, 0o750)
    os.symlink(b"d/nowhere", link)
    kept = [shop.keep(each) for each in (directory, link, gone)]
    os.rmdir(directory)
    os.unlink(link)
    shop.write("gone", "text")
    assert shop.restore(*kept)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o750
    assert os.readlink(link) == b"d/nowhere"
    assert not os.path.lexists(gone)


def test_a_file_that_is_edited_in_place_does_not_change_the_store(shop: Shop) -> None:
    path = shop.write("a", "one")
    kept = shop.keep(path)
    assert shop.restore(kept)
    with open(path, "r+b") as file:
        file.write(b"two")
    assert shop.restore(kept)
    assert Path(os.fsdecode(path)).read_text() == "one"


@pytest.mark.parametrize("damage", [b"", b"other", b"texT"])
def test_a_damaged_content_is_missing_and_is_kept_anew(shop: Shop, damage: bytes) -> None:
    path = shop.write("a", "text")
    kept = shop.keep(path)
    (stored,) = shop.objects()
    stored.chmod(0o600)
    stored.write_bytes(damage)
    os.unlink(path)
    assert not shop.restore(kept)
    assert not os.path.exists(path)
    assert not stored.exists()
    again = Shop.__new__(Shop)
    again.__dict__.update(shop.__dict__)
    again.store = LocalStore(str(shop.top), str(shop.tree / "s"), 10**9, shop.said.append)
    shop.write("a", "text")
    assert again.restore(again.keep(path))


def test_where_one_content_is_missing_nothing_is_put_anywhere(shop: Shop) -> None:
    a, b = shop.write("a", "one"), shop.write("b", "two")
    kept = shop.keep(a), shop.keep(b)
    shop.objects()[0].unlink()
    os.unlink(a)
    os.unlink(b)
    assert not shop.restore(*kept)
    assert not os.listdir(shop.tree)


KEY = "-----BEGIN RSA PRIVATE KEY-----\nMII"


def test_what_may_be_secret_is_not_kept(shop: Shop) -> None:
    old = os.umask(0o022)
    try:
        assert shop.keep(shop.write("key.pem", "some certificate\n" + KEY)) is None
        assert shop.keep(shop.write("private", "text", 0o600)) is None
        os.umask(0o077)
        assert shop.keep(shop.write("usual", "text", 0o600)) is not None
    finally:
        os.umask(old)


def test_what_a_content_and_a_mode_do_not_tell_is_not_kept(shop: Shop) -> None:
    several = shop.write("a", "text")
    os.link(several, several + b"2")
    assert shop.keep(several) is None
    assert shop.keep(shop.write("setuid", "text", 0o4755)) is None
    os.mkfifo(shop.tree / "fifo")
    assert shop.keep(os.fsencode(shop.tree / "fifo")) is None


def test_a_store_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.top.write_text("a file in its place")
    assert shop.keep(shop.write("a", "one")) is None
    assert shop.keep(shop.write("b", "two")) is None
    assert len(shop.said) == 1
    assert str(shop.top) in shop.said[0]


def test_what_was_not_used_longest_goes_first(tmp_path: Path) -> None:
    shop = Shop(tmp_path, limit=10_000)
    for number in range(20):
        assert shop.keep(shop.write(f"f{number}", str(number % 10) * 999 + str(number))) is not None
    for at, stored in enumerate(sorted(shop.objects(), key=lambda p: int(p.read_text()[999:]))):
        os.utime(stored, (at, at))
    shop.store.close()
    left = sorted(int(path.read_text()[999:]) for path in shop.objects())
    assert left == list(range(20 - len(left), 20))
    assert 6_000 < sum(path.stat().st_size for path in shop.objects()) <= 8_000


def test_a_large_file_is_not_kept(tmp_path: Path) -> None:
    shop = Shop(tmp_path, limit=8_000)
    assert shop.keep(shop.write("a", "x" * 1_001)) is None
    assert shop.keep(shop.write("b", "x" * 999)) is not None


def test_nothing_is_restored_behind_a_link(shop: Shop, tmp_path: Path) -> None:
    """A directory that has become a link to elsewhere since: what lies there is not ours."""
    (shop.tree / "d").mkdir()
    kept = shop.keep(shop.write("d/a", "text"))
    (shop.tree / "d" / "a").unlink()
    (shop.tree / "d").rmdir()
    (tmp_path / "else").mkdir()
    (shop.tree / "d").symlink_to(tmp_path / "else")
    assert not shop.restore(kept)
    assert not os.listdir(tmp_path / "else")


def test_several_stores_of_one_process_do_not_meet(tmp_path: Path) -> None:
    """One for the steps' products, one for what other machines have (store/remote.py), in another thread."""
    said: list[str] = []
    stores = [LocalStore(str(tmp_path / "store"), str(tmp_path / "scratch"), 10**9, said.append) for _ in range(3)]
    texts = [[b"%d %d" % (at, n) for n in range(200)] for at in range(len(stores))]
    versions: list[list[bytes | None]] = [[] for _ in stores]

    def fill(at: int) -> None:
        versions[at] = [stores[at].put(text, executable=False) for text in texts[at]]

    threads = [threading.Thread(target=fill, args=(at,)) for at in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not said
    assert [[stores[0].get(v) if v else None for v in each] for each in versions] == texts


def test_damage_is_found_by_looking_for_it(shop: Shop) -> None:
    shop.keep(shop.write("a", "one"))
    shop.keep(shop.write("b", "two"))
    bad = shop.objects()[0]
    bad.write_text("xxx")
    assert local.damaged(str(shop.top)) == [str(bad)]
    assert local.damaged(str(shop.top)) == []


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HASHMAKE_STORE", raising=False)
    assert place.choose().top == str(tmp_path / "hashmake" / "store")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification has it ignored
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert place.choose().top == ""
    (tmp_path / "nobody").mkdir()
    assert place.choose().top == str(tmp_path / "nobody/.cache/hashmake/store")
    assert place.choose((str(tmp_path),), "/state/store").top == "/state/store"
    monkeypatch.setenv("HASHMAKE_STORE", "off")
    assert place.choose().top == ""
    monkeypatch.setenv("HASHMAKE_STORE", str(tmp_path / "store"))
    assert place.choose().top == str(tmp_path / "store")
    assert "lies in the tree" in place.choose((str(tmp_path),), "/state/store").refused


@pytest.mark.parametrize(("text", "size"), [("", 10**10), ("5", 5), ("20G", 2 * 10**10), ("3 mb", 3 * 10**6)])
def test_how_large_it_may_be(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHMAKE_STORE_SIZE", text)
    if " " in text:
        assert "give a number" in place.choose().refused
    else:
        assert place.choose().limit == size


def test_a_store_of_others_or_open_to_them_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHMAKE_STORE", str(tmp_path))
    tmp_path.chmod(0o777)
    assert "chmod 700" in place.choose().refused
    tmp_path.chmod(0o700)
    assert not place.choose().refused
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "another user" in place.choose().refused
