"""A farm that tells writers from readers: BuildGrid with certificates of clients, tokens and lists, as cache/ has it.

Needs BuildGrid, which tests/run installs into an environment of its own (it brings fifty packages).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .machines import CACHE, Casd, Machine
from .test_machines import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read at import: tests/conftest.py clears these names for every test.
USERS_CACHE = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
TEST_CACHE = Path(os.environ.get("HASHMAKE_TEST_CACHE") or USERS_CACHE / Path("hashmake-tests"))
BGD = TEST_CACHE / "buildgrid/bin/bgd"
NAME = "localhost"

pytestmark = [
    pytest.mark.skipif(not BGD.exists(), reason=f"{BGD}: BuildGrid could not be installed"),
    pytest.mark.xdist_group("buildgrid"),
]


class BuildGrid:
    """A server, and what its clients need: certificates and tokens."""

    def __init__(self, top: Path, casd: str) -> None:
        self.keys = top / "keys"
        self.log = top / "bgd.log"
        command = [str(CACHE / "buildgrid/make-certificates"), str(self.keys), NAME, "ci-farm", "dev-one"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHON": sys.executable})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"grpcs://{NAME}:{self.port}"
        settings = top / "buildgrid"
        shutil.copytree(CACHE / "buildgrid", settings)
        environment = {**os.environ, "KEYS": str(self.keys), "LISTEN": f"{NAME}:{self.port}", "CASD": casd}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BGD, "server", "start", "server.yml"], cwd=settings, env=environment, stdout=log, stderr=log
            )
        connect = f"import socket; socket.create_connection(({NAME!r}, {self.port}), 1)"
        while subprocess.run([sys.executable, "-c", connect], capture_output=True, check=False).returncode:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)

    def settings(self, name: str) -> dict[str, str]:
        """What the client of this name is set to."""
        files = {"ca": "ca.pem", "certificate": f"{name}.pem", "key": f"{name}.key", "token-file": f"{name}.token"}
        return {"instance": "hashmake", **{key: str(self.keys / file) for key, file in files.items()}}

    def machine(self, top: Path, name: str, who: str, mode: str = "read-write", **settings: str) -> Machine:
        """A machine with the sources, on which this client builds."""
        machine = Machine(top, name, self.endpoint, mode, **{**self.settings(who), **settings})
        machine.take(FILES)
        return machine


@pytest.fixture(scope="module")
def buildgrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildGrid]:
    """One server for all of them: it takes seconds to start."""
    top = tmp_path_factory.mktemp("buildgrid")
    casd = Casd(top)
    server = BuildGrid(top, casd.endpoint)
    yield server
    server.process.kill()
    server.process.wait()
    casd.kill()


def test_ci_writes_and_developers_read(tmp_path: Path, buildgrid: BuildGrid) -> None:
    """What a developer's machine has built goes nowhere, whatever it is set to: the server says so."""
    ci = buildgrid.machine(tmp_path, "ci", "ci-farm", salt="roles").build()
    assert (ci.ran, ci.restored) == (4, 0)
    dev = buildgrid.machine(tmp_path, "dev", "dev-one", "read", salt="roles").build()
    assert (dev.ran, dev.restored) == (0, 4)
    assert dev.products() == ci.products()
    dev.settings["mode"] = "read-write"
    dev.write("notes.in", "of a developer\n")
    dev.build()
    assert dev.ran == 1
    assert dev.text.count("results of this build are not shared") == 1
    other = buildgrid.machine(tmp_path, "other", "ci-farm", "read", salt="roles")
    other.write("notes.in", "of a developer\n")
    other.build()
    assert (other.ran, other.restored) == (1, 3)


def test_who_has_no_certificate_builds_alone(tmp_path: Path, buildgrid: BuildGrid) -> None:
    stranger = buildgrid.machine(tmp_path, "stranger", "dev-one", "read")
    for key in ("certificate", "key"):
        del stranger.settings[key]
    stranger.build()
    assert (stranger.ran, stranger.restored) == (4, 0)
    assert stranger.text.count("the build goes on without the shared cache") == 1


def test_who_has_no_token_of_the_farm_builds_alone(tmp_path: Path, buildgrid: BuildGrid) -> None:
    token = tmp_path / "token"
    token.write_text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaS1mYXJtIn0.c2lnbmF0dXJl\n")
    stranger = buildgrid.machine(tmp_path, "stranger", "ci-farm", **{"token-file": str(token)})
    stranger.build()
    assert (stranger.ran, stranger.restored) == (4, 0)
    assert stranger.text.count("the build goes on without the shared cache") == 1


def test_a_server_of_somebody_else_is_not_believed(tmp_path: Path, buildgrid: BuildGrid) -> None:
    """Its certificate is signed by another authority."""
    command = [str(CACHE / "buildgrid/make-certificates"), str(tmp_path / "others"), NAME]
    subprocess.run(command, check=True, env={**os.environ, "PYTHON": sys.executable})
    mine = buildgrid.machine(tmp_path, "mine", "ci-farm", ca=str(tmp_path / "others/ca.pem"))
    mine.build()
    assert (mine.ran, mine.restored) == (4, 0)
    assert mine.text.count("the build goes on without the shared cache") == 1
