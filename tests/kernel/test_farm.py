"""Linux 6.1, tinyconfig, on two machines that share a buildbox-casd: the second one compiles next to nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from e2e.snapshot import contents, differences
from farm.machines import Casd, Machine

from . import linux as cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.xdist_group("linux"),
    pytest.mark.usefixtures("everything", "sources"),
]
# Compiled with -g: they hold the name of the directory in which they were compiled.
NAMES_ITS_PLACE = ("arch/x86/boot/", "arch/x86/realmode/")


@pytest.fixture
def casd(tmp_path: Path) -> Iterator[Casd]:
    server = Casd(tmp_path)
    yield server
    server.kill()


def configured(tree: Path) -> None:
    """A fresh checkout with tinyconfig's .config."""
    tree.rmdir()
    shutil.copytree(cache.CACHE / "linux", tree, symlinks=True)
    subprocess.run(["make", "-s", "tinyconfig"], cwd=tree, env=environment(), check=True)


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **cache.PINNED}


def test_a_second_machine_compiles_only_what_names_its_place(tmp_path: Path, casd: Casd) -> None:
    """Another path, another user, neither state nor store. It is what a clean stock build leaves there."""
    one, other = Machine(tmp_path, "one", casd.endpoint), Machine(tmp_path, "another", casd.endpoint, "read")
    for machine in (one, other):
        machine.variables = dict(cache.PINNED)
        configured(machine.tree)
        machine.build("-j2")
    made = {name for ran in other.log()["ran"] for name in ran["outputs"] if name.endswith(".o")}
    compiled = {os.path.relpath(os.path.join(other.tree, name), other.tree) for name in made}
    assert compiled
    assert not [name for name in compiled if not name.startswith(NAMES_ITS_PLACE)]
    assert other.restored > 500
    built = contents(other.tree)
    shutil.rmtree(other.tree)
    other.tree.mkdir()
    configured(other.tree)
    subprocess.run(["make", "-s", "-j2"], cwd=other.tree, env=environment(), check=True)
    assert not differences(built, contents(other.tree), (".hashmake",))
