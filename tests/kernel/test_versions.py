"""Other versions of Linux: 6.12, and real upgrades from one Debian version of 6.1 to the next."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from . import linux as cache
from .edits import FUNCTION, NONE
from .linux import IMAGES, Linux
from .test_linux import check_null

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.xdist_group("linux"),
    pytest.mark.usefixtures("everything", "sources"),
]


def package(name: str, version: str = "") -> Path:
    """The archive of sources in a Debian package, or the reason why there is none."""
    place = cache.CACHE / "packages" / (version or "newest")
    archive = place / f"usr/src/{name}.tar.xz"
    if not archive.exists():
        place.mkdir(parents=True, exist_ok=True)
        wanted = f"{name}={version}" if version else name
        got = subprocess.run(
            ["apt-get", "download", "-q", wanted], cwd=place, capture_output=True, text=True, check=False
        )
        packages = sorted(place.glob(f"{name}_*.deb"))
        if got.returncode or not packages:
            pytest.skip(f"{wanted} can't be had: {got.stderr.strip()}")
        subprocess.run(["dpkg", "-x", packages[-1], place], check=True)
        packages[-1].unlink()
    return archive


def versions(name: str) -> list[str]:
    """What apt knows of a package, newest first."""
    found = subprocess.run(["apt-cache", "madison", name], capture_output=True, text=True, check=True).stdout
    return [line.split("|")[1].strip() for line in found.splitlines() if "Packages" in line]


def test_linux_6_12_from_nothing_null_an_edit_and_back() -> None:
    """Byte for byte a clean stock build each time."""
    archive = package("linux-source-6.12")
    source = cache.unpack(archive, "linux-6.12")
    linux = Linux(source, cache.CACHE / "out-6.12", archive=archive)
    try:
        linux.cold()
        linux.check()
        check_null(linux)
        linux.apply(FUNCTION)
        assert linux.build().sources() == ["kernel/fork.o"]
        linux.check(FUNCTION)
        check_null(linux)
        linux.restore()
        assert linux.build().sources() == ["kernel/fork.o"]
        linux.check(NONE)
        check_null(linux)
    finally:
        linux.restore()
        shutil.rmtree(linux.out, ignore_errors=True)


def test_an_upgrade_to_the_next_debian_version_and_back() -> None:
    """The next version is copied over the last; what compiles is what changed; the way back ends where it began."""
    known = versions("linux-source-6.1")
    if len(known) < 2:
        pytest.skip(f"apt knows {len(known)} versions of linux-source-6.1")
    archives = [package("linux-source-6.1", version) for version in known[1::-1]]  # the older one first
    work = cache.CACHE / "linux-upgraded"
    shutil.rmtree(work, ignore_errors=True)
    linux = Linux(cache.unpack(archives[0], "linux-upgraded"), cache.CACHE / "out-upgraded", archive=archives[0])
    try:
        linux.cold()
        first = linux.products()
        for archive in (archives[1], archives[0]):
            subprocess.run(["tar", "xf", archive, "-C", linux.source, "--strip-components=1"], check=True)
            linux.archive = archive
            built = linux.build()
            clean = linux.clean_products((linux.out / ".config").read_text())
            ours = linux.products()
            wrong = [path for path in clean if ours.get(path) != clean[path]]
            assert not wrong, wrong[:20]
            print(f"{archive.parts[-4]}: {len(built.sources())} of {len(clean)} compiled", flush=True)
            check_null(linux)
        assert {path: linux.products()[path] for path in IMAGES} == {path: first[path] for path in IMAGES}
    finally:
        shutil.rmtree(linux.out, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)


@pytest.mark.parametrize("goal", ["init/main.o", "kernel/fork.i", "lib/kstrtox.s"])
def test_a_goal_of_one_file_is_what_stock_make_makes(linux: Linux, goal: str) -> None:
    """In a clean tree, after it, and when nothing changed."""
    clean = linux.oracle(NONE, (goal,), {})
    linux.build(goal)
    for path, content in clean.items():
        if path.endswith(goal.removesuffix(".i").removesuffix(".s")):
            assert linux.products().get(path) == content
    assert (linux.out / goal).exists()
    linux.build(goal)
    assert linux.log()["mode"] == "null"
