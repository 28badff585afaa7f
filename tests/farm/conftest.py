"""Servers for the machines of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .fake import Fake
from .machines import Casd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def casd(tmp_path: Path) -> Iterator[Casd]:
    """A real server."""
    server = Casd(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    """A server that does what real ones can't be made to do."""
    server = Fake(tmp_path)
    yield server
    server.stop()
