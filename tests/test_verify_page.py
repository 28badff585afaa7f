"""docs/verify.md says what `hashmake verify` takes and prints."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from hashmake.cli import cli


def test_the_page_shows_what_the_tool_takes() -> None:
    """docs/verify.md names every key of the JSON object and every option."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "verify.md").read_text()
    keys = "mode argv directory sample seed steps failed not_repeatable wrongly_current not_comparable follows altered"
    assert not [key for key in [*keys.split(), "outputs", "wall_s", "exit_code"] if f"`{key}`" not in page]
    shown = CliRunner().invoke(cli, ["verify", "--help"]).output
    options = {word for word in shown.split() if word.startswith("--") and word not in ("--", "--help")}
    assert not [option for option in options if option not in page]
