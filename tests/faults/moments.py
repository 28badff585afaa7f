"""Random moments: how many, and the seed that gives the same ones again."""

from __future__ import annotations

import os
from random import Random, SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read once at import: tests/conftest.py clears these names for every test.
COUNT = int(os.environ.get("HASHMAKE_FAULTS", "0"))
# The everyday run is the same every day, as far as a kill at a moment can be; a campaign tries others.
SEED = os.environ.get("HASHMAKE_FAULTS_SEED") or (str(SystemRandom().randrange(10**9)) if COUNT else "1")


def moments(kind: str, usual: int) -> Iterator[tuple[str, Random]]:
    """For each moment its story and its dice; `usual` of them, or HASHMAKE_FAULTS where that is given."""
    print(f"HASHMAKE_FAULTS_SEED={SEED}")
    for number in range(COUNT or usual):
        name = f"{kind}, moment {number} of HASHMAKE_FAULTS_SEED={SEED}"
        yield name, Random(f"{SEED}/{kind}/{number}")
