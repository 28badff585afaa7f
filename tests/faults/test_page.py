"""docs/reliability.md has a row for every test here, and a test for every row; what it quotes is what is said."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PAGE = REPOSITORY / "docs" / "reliability.md"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if not set(row[0]) <= set("- ") and row[0] != "fault"]


def names_in(directory: Path) -> set[str]:
    trees = [ast.parse(path.read_text()) for path in directory.glob("test_*.py") if path != Path(__file__)]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_row_names_a_test_and_every_test_has_a_row() -> None:
    named = [name for row in rows() for name in re.findall(r"`(test_\w+)`", row[-1])]
    assert len(rows()) > 20
    assert all(re.search(r"`test_\w+`", row[-1]) for row in rows())
    elsewhere = names_in(HERE.parent / "e2e") | names_in(HERE.parent / "core")
    assert names_in(HERE) <= set(named) <= names_in(HERE) | elsewhere


def test_every_line_that_the_page_quotes_is_in_the_code() -> None:
    """Placeholders are written in capitals; each piece of the words between them must be there, in one string."""
    sources = [*(REPOSITORY / "hashmake").rglob("*.py"), *(REPOSITORY / "hashmake/launcher").glob("*.c")]
    code = re.sub(r'"\s*\n?\s*f?"', "", "\n".join(path.read_text() for path in sources))
    quoted = [line for row in rows() for line in re.findall(r"`hashmake: ([^`]+)`", row[2])]
    assert len(quoted) > 10
    for line in quoted:
        for words in re.split(r"\b[A-Z]{3,}\b|[;:] ", line):
            assert words.strip(" :;(),/") in code, line
