"""Any project, any history: after every build the tree is as a clean stock make leaves it, and no step ran in vain.

The gate runs a fixed seed, so that it is green or red for everybody; tests/random/run --minutes N tries new ones.

    HASHMAKE_SEED=7 HASHMAKE_SEQUENCES=100 pytest tests/random      one seed again, as long as wanted
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, note, seed, settings

from e2e import tool
from farm.machines import Casd
from model.events import Event, events, happen, projects
from model.workshop import Workshop, compile_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.project import Directory

# Read at import: tests/conftest.py clears these names for every test.
SEED = int(os.environ.get("HASHMAKE_SEED", "1"))
SEQUENCES = int(os.environ.get("HASHMAKE_SEQUENCES", "60"))


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_probe(tmp_path_factory.mktemp("probe"))


def story(sequences: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Any project, any history."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        chosen = settings(
            max_examples=sequences,
            deadline=None,
            database=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.function_scoped_fixture,
                HealthCheck.data_too_large,
            ],
        )
        return seed(SEED)(chosen(given(project=projects(), history=events())(test)))

    return decorate


def tell(probe: Path, project: dict[str, Directory], history: list[Event], endpoint: str = "") -> None:
    """Let it happen."""
    note(f"HASHMAKE_SEED={SEED} HASHMAKE_SEQUENCES={SEQUENCES}")
    # Not tmp_path: an example that Hypothesis tries must not find what an earlier one left.
    root = Path(tempfile.mkdtemp(prefix="hashmake-random-"))
    try:
        shop = Workshop.create(root, probe, tool.python_path(), project, endpoint)
        for event in (Event("build"), *history, Event("build"), Event("build")):
            happen(shop, event)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@story(SEQUENCES)
def test_any_history_ends_like_a_clean_build(probe: Path, project: dict[str, Directory], history: list[Event]) -> None:
    tell(probe, project, history)


@pytest.fixture(scope="module")
def casd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Casd]:
    server = Casd(tmp_path_factory.mktemp("casd"))
    yield server
    server.kill()


@story(max(1, SEQUENCES // 6))
def test_so_it_does_with_a_cache_that_machines_share(
    probe: Path, casd: Casd, project: dict[str, Directory], history: list[Event]
) -> None:
    tell(probe, project, history, casd.endpoint)
