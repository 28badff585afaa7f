"""docs/security.md names what is tested, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text()


def names_in(*paths: Path) -> set[str]:
    return {name for path in paths for name in re.findall(r"^def test_(\w+)", path.read_text(), re.MULTILINE)}


def test_every_test_named_on_the_page_exists_and_every_test_here_is_named() -> None:
    here = names_in(*Path(__file__).parent.glob("test_*.py")) - names_in(Path(__file__))
    named = {name for name in re.findall(r"`(\w+)`", PAGE) if name.count("_") > 3}
    assert named <= here | names_in(
        *(
            TESTS / name
            for name in (
                "e2e/test_verify.py",
                "core/test_store.py",
                "farm/test_bad_servers.py",
                "farm/test_execution.py",
            )
        )
    )
    assert here <= named
