"""Random edits of Linux 6.1, a few between two builds: after each build every object is that of a clean stock make.

Long, and asked for by HASHMAKE_KERNEL_ALL=1; HASHMAKE_KERNEL_MINUTES bounds each configuration's time (a build already
begun is finished), HASHMAKE_KERNEL_EDITS the edits between two builds, HASHMAKE_SEED chooses the history.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from .random_edits import RandomEdits

if TYPE_CHECKING:
    from .linux import Linux

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.xdist_group("linux"),
    pytest.mark.usefixtures("everything"),
]
# Read once at import: tests/conftest.py clears these names for every test.
MINUTES = float(os.environ.get("HASHMAKE_KERNEL_MINUTES", "20"))
SEED = int(os.environ.get("HASHMAKE_SEED", "1"))
MOST_EDITS = int(os.environ.get("HASHMAKE_KERNEL_EDITS", "4"))


def test_random_edits_end_like_clean_builds(configured: Linux) -> None:
    """A few edits, a build, and the verdict of a clean build; until the time is over."""
    edits = RandomEdits(configured, SEED)
    configured.build()
    end = time.monotonic() + 60 * MINUTES
    total = rounds = 0
    try:
        while time.monotonic() < end:
            edits.said.clear()
            for _ in range(1 + (SEED + rounds) % MOST_EDITS):
                edits.edit()
                total += 1
            story = f"seed {SEED}, round {rounds}: {edits.said}"
            print(story, flush=True)
            config = (configured.out / ".config").read_text()
            built = configured.build()
            print(f"  compiled {len(built.sources())}", flush=True)
            clean = configured.clean_products(config)
            products = configured.products()
            wrong = sorted(path for path in clean if products.get(path) != clean[path])
            assert not wrong, f"{story}\n{len(wrong)} products differ from a clean build's: {wrong[:20]}"
            rounds += 1
    finally:
        edits.undo()
        configured.level()
    print(f"{total} edits in {rounds} builds without a difference (seed {SEED})")
    assert rounds
