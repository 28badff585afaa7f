"""Settings of the shared cache, and paths of products that others name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hashmake.model import digest, shared
from hashmake.model.shared import Left
from hashmake.settings import KNOWN, Settings
from hashmake.store import endpoint

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {key: variable for (section, key), (variable, _default) in KNOWN.items() if section == "remote"}


def chosen(monkeypatch: pytest.MonkeyPatch, **settings: str) -> tuple[endpoint.Endpoint | None, str]:
    """What these settings come to."""
    for key, value in settings.items():
        monkeypatch.setenv(VARIABLES[key.replace("_", "-")], value)
    return endpoint.choose(Settings())


@pytest.mark.parametrize("name", ["", "off", "no", "0"])
def test_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert chosen(monkeypatch, endpoint=name) == (None, "")


@pytest.mark.parametrize(
    ("name", "target", "secure"),
    [
        ("grpc://host:9092", "host:9092", False),
        ("grpcs://host:9092/", "host:9092", True),
        ("unix:/run/casd.sock", "unix:/run/casd.sock", False),
    ],
)
def test_servers(monkeypatch: pytest.MonkeyPatch, name: str, target: str, secure: bool) -> None:
    """Reading, unless writing is asked for."""
    found, wrong = chosen(monkeypatch, endpoint=name)
    assert not wrong
    assert found is not None
    assert (found.target, found.secure, found.writes) == (target, secure, False)
    found, _wrong = chosen(monkeypatch, endpoint=name, mode="read-write", largest="5M")
    assert found is not None
    assert (found.writes, found.largest) == (True, 5_000_000)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"endpoint": "host:9092"}, "give grpc://HOST:PORT, grpcs://HOST:PORT or unix:/PATH"),
        ({"mode": "write"}, 'give "read" or "read-write"'),
        ({"largest": "much"}, "give a number with k, M or G"),
        ({"ca": "/nowhere/ca.pem"}, "/nowhere/ca.pem: No such file or directory"),
        ({"endpoint": "grpcs://h:1", "key": "FILE"}, "give both, or none"),
        ({"ca": "FILE"}, "certificates are for grpcs://"),
        ({"token_file": "FILE"}, "a token is not sent where others could read it"),
    ],
)
def test_what_can_not_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    """Where, what, what to do."""
    file = tmp_path / "file"
    file.write_text("text")
    given = {key: str(file) if value == "FILE" else value for key, value in settings.items()}
    found, wrong = chosen(monkeypatch, **{"endpoint": "grpc://host:1", **given})
    assert found is None
    assert words in wrong
    assert wrong.endswith("is not used")
    assert "\n" not in wrong


FILE = b"F-" + bytes(24)


def left(path: bytes, version: bytes = FILE) -> bytes:
    """A result with one product."""
    return Left(0, 3, 0, [(path, digest.ABSENT, version, 0)], b"", b"").pack()


@pytest.mark.parametrize("path", [b"\3S\3/a.o", b"\3O\3/kernel/fork.o", b"\3O\3/a..b/..c"])
def test_a_product_lies_in_the_tree(path: bytes) -> None:
    assert shared.refers_to(left(path)) == [(FILE, path.rpartition(b"/")[2])]


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/passwd",
        b"\3S\3/../x",
        b"\3S\3/a/../../x",
        b"\3S\3",
        b"\3S\3/",
        b"\3S\3//etc",
        b"\3O\3/.git/hooks/pre-commit",
        b"\3S\3/.hashmake/database",
        b"\3B\3/home/x\3=\3../x",
        b"a.o",
    ],
)
def test_nothing_else_is_a_product(path: bytes) -> None:
    with pytest.raises(ValueError, match="path"):
        shared.refers_to(left(path))


@pytest.mark.parametrize(
    ("target", "good"),
    [(b"a.o", True), (b"../b/c", True), (b"../../x", False), (b"/etc/passwd", False), (b"x/../../../y", False)],
)
def test_a_link_stays_in_the_tree(target: bytes, good: bool) -> None:
    data = left(b"\3S\3/dir/link", b"L" + target)
    if good:
        assert shared.refers_to(data) == []
    else:
        with pytest.raises(ValueError, match="path"):
            shared.refers_to(data)
