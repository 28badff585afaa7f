"""Fixtures of the tests in memory."""

from __future__ import annotations

import pytest

from core.world import World


@pytest.fixture(params=["replay", "make"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds do without make where they can, and never."""
    monkeypatch.setattr(World, "replay", request.param == "replay")
