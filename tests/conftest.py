"""What every test gets: none of the developer's settings, no home directory, no network."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

# Of make and of hashmake, from a `make check` or a `hashmake build` that may be running the tests.
UNWANTED = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKEFILES", "GNUMAKEFLAGS", "LD_PRELOAD")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the developer's machine gets in, and nothing a test does gets out to their home directory."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name, folder in (
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_STATE_HOME", ".local/state"),
        ("XDG_DATA_HOME", ".local/share"),
    ):
        monkeypatch.setenv(name, str(home / folder))
    for name in list(os.environ):
        if name in UNWANTED or name.startswith(("HASHMAKE_", "KBUILD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anything but local sockets (sources of tests/projects are fetched by apt, a program)."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            message = f"a test tried to reach {address!r}; tests use no network"
            raise RuntimeError(message)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
