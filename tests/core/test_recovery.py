"""Run directories beside each other: only those whose tree is gone are removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashmake.run import directory
from hashmake.run.view import View
from hashmake.state import recovery
from hashmake.state.archive import Archive
from hashmake.state.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_run_directory_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    """Its file `state` is there before its text is; the one of a tree that is gone goes."""
    gone = str(tmp_path / "gone")
    for name, text in {"making": "", "living": str(tmp_path), "dead": gone, "elsewhere": gone, "begun": gone}.items():
        folder = tmp_path / f"hashmake-{os.geteuid()}-{name}"
        (folder / "t").mkdir(parents=True)
        (folder / "state").write_text(text)
        if name == "dead":
            (folder / "view").touch()
    # A build in another container, whose tree can't be seen from here.
    view = View(os.fsencode(tmp_path / f"hashmake-{os.geteuid()}-elsewhere" / "view"), 0, 0, 0)
    assert left(tmp_path) == ["begun", "elsewhere", "living", "making"]
    view.close()
    assert left(tmp_path) == ["begun", "living", "making"]
    os.utime(tmp_path / f"hashmake-{os.geteuid()}-begun", (0, 0))
    assert left(tmp_path) == ["living", "making"]


def left(base: Path) -> list[str]:
    """What a sweep leaves."""
    directory.sweep(str(base))
    return sorted(path.name.rpartition("-")[2] for path in base.iterdir())


def test_a_run_directory_is_forgotten_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill between the two would look like a crash of the machine, and everything would run."""
    (tmp_path / "db").mkdir()
    db = Database(str(tmp_path / "db"))
    archive = Archive(db)
    run_directory = directory.make(str(tmp_path))
    recovery.begin(db, run_directory, directory.boot_id(), bytes(16))
    removed = []

    def look(path: str) -> None:
        removed.append((path, db.get(b"O")))
        remove(path)

    remove = directory.remove
    monkeypatch.setattr(directory, "remove", look)
    assert not recovery.recover(db, archive, archive.load(), directory, ())
    assert [(path, bool(marker)) for path, marker in removed] == [(run_directory, False)]
    db.close()
