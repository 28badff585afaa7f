"""What is set: files of the system and of the user, variables over them; what makes no sense is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hashmake import settings
from hashmake.cli import cli
from hashmake.settings import Settings
from hashmake.store import place

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Of the system, of the user."""
    monkeypatch.setattr(settings, "SYSTEM", str(tmp_path / "system.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/hashmake").mkdir(parents=True)
    return tmp_path / "system.toml", tmp_path / "config/hashmake/hashmake.toml"


def test_the_user_wins_over_the_system_and_variables_over_both(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, user = files
    system.write_text('[store]\npath = "/sys"\nsize = "1G"\n')
    assert Settings().get("store", "path") == "/sys"
    user.write_text('[store]\npath = "/mine"\n')
    assert (Settings().get("store", "path"), Settings().get("store", "size")) == ("/mine", "1G")
    monkeypatch.setenv("HASHMAKE_STORE", "off")
    assert Settings().values["store", "path"] == ("off", "HASHMAKE_STORE")
    assert not Settings().wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[store\n", "nothing in it counts"),
        ("[store]\nsise = 1\n", "store.sise: no such setting; there are store.path, store.size"),
        ("store = 1\n", "store: no such setting"),
        ("[store]\nsize = 5\n", "store.size: give a text in quotes"),
    ],
)
def test_what_makes_no_sense_is_said(files: tuple[Path, Path], text: str, said: str) -> None:
    files[1].write_text(text)
    (line,) = Settings().wrong
    assert line.startswith(f"{files[1]}: ")
    assert said in line
    assert place.choose().said == [line]


def test_a_store_is_where_the_settings_say(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    files[1].write_text('[store]\npath = "~/kept"\nsize = "2G"\n')
    monkeypatch.setenv("HOME", str(files[0].parent))
    assert (place.choose().top, place.choose().limit) == (str(files[0].parent / "kept"), 2 * 10**9)
    files[1].write_text('[store]\npath = "off"\n')
    assert not place.choose().top
    files[1].write_text('[store]\nsize = "much"\n')
    assert "as 20G" in place.choose().refused


def test_config_shows_each_value_with_its_origin(files: tuple[Path, Path]) -> None:
    files[1].write_text('[store]\nsize = "2G"\n')
    shown = CliRunner().invoke(cli, ["config"])
    assert shown.exit_code == 0
    assert f"store.size = 2G  ({files[1]})" in shown.output
    assert "store.path = $XDG_CACHE_HOME/hashmake/store  (default)" in shown.output
    files[1].write_text("[else]\na = 1\n")
    found = CliRunner().invoke(cli, ["config", "--json"])
    assert found.exit_code == 1
    assert json.loads(found.output)["settings"]["store.size"] == {"value": "10G", "origin": "default"}
