"""What is built for users: a wheel with everything in it, and an sdist that installs where there is nothing but gcc."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Read once at import: tests/conftest.py gives every test another home, and pip's cache is what keeps this fast.
PIP_CACHE = subprocess.run(
    [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
).stdout.strip()
BUILT = {"hashmake/interpose/libhashmake.so", "hashmake/interpose/hmstep", "hashmake/interpose/hmlook"}


def tracked() -> set[str]:
    """What git knows of the package and finds in the work tree."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "hashmake"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).exists() and not name.endswith("meson.build")}


def pip(*words: str, env: dict[str, str] | None = None, python: str | Path = sys.executable) -> None:
    done = subprocess.run(
        [python, "-m", "pip", *words],
        env=(env or os.environ) | {"PIP_CACHE_DIR": PIP_CACHE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit of the tracked files as they are now: meson makes an sdist of what is committed."""
    copy = tmp_path_factory.mktemp("checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", *words], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, made by the backend itself as `python -m build` does."""
    into = tmp_path_factory.mktemp("sdist")
    environment = into / "backend"
    venv.create(environment, with_pip=True)
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pip("install", "-q", *requires, "ninja", python=environment / "bin" / "python")
    subprocess.run(
        [environment / "bin" / "python", "-c", f"import mesonpy; mesonpy.build_sdist({str(into)!r})"],
        cwd=checkout,
        env=os.environ | {"PATH": f"{environment}/bin:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    (found,) = into.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A PATH with a compiler and the usual small tools, but neither ninja nor meson nor patchelf nor cmake."""
    folder = tmp_path_factory.mktemp("bin")
    for source in ("/usr/bin", "/bin"):
        for name in os.listdir(source):
            if not re.match(r"(ninja|meson|patchelf|cmake|ccache)", name) and not (folder / name).is_symlink():
                (folder / name).symlink_to(Path(source) / name)
    return os.environ | {"PATH": str(folder)}


@pytest.fixture(scope="module")
def wheel(sdist: Path, bare: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the sdist where there is nothing but a compiler."""
    into = tmp_path_factory.mktemp("wheel")
    pip("wheel", "-q", "--no-deps", "-w", str(into), str(sdist), env=bare)
    (found,) = into.glob("*.whl")
    return found


def test_the_wheel_holds_what_git_knows_and_what_was_compiled(wheel: Path) -> None:
    """No module, header or file of the demo tree is forgotten, and nothing else slips in."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("hashmake/") and not name.endswith("/")}
    assert names == tracked() | BUILT


def test_the_sdist_holds_the_licence_the_readme_and_the_c_sources(sdist: Path) -> None:
    """What a packager needs."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "meson.build", "hashmake/launcher/hmstep.c"} <= names


def exported(library: Path) -> set[str]:
    """Names that a shared library offers."""
    lines = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines}


def test_the_installed_interposer_stands_in_for_the_same_functions(installed: Path, tmp_path: Path) -> None:
    """Flags of the build system that rename functions (_FILE_OFFSET_BITS) would leave some of them out."""
    (built,) = installed.parent.glob("lib/python3*/site-packages/hashmake/interpose/libhashmake.so")
    folder = ROOT / "hashmake" / "interpose"
    plain = tmp_path / "plain.so"
    sources = [str(path) for path in folder.glob("*.c")]
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    subprocess.run(["gcc", *flags, "-o", plain, *sources, "-ldl"], check=True)
    assert exported(built) == exported(plain)
    assert {"open", "open64", "openat", "execve", "stat"} <= exported(built)


def test_versions_agree() -> None:
    """pyproject.toml, meson.build and the package name one version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: '{version}'" in (ROOT / "meson.build").read_text()
    assert f'"{version}"' in (ROOT / "hashmake" / "__init__.py").read_text()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    pip("install", "-q", str(wheel), python=folder / "bin" / "python")
    return folder / "bin"


def test_the_installed_commands_start(installed: Path) -> None:
    """Both entry points, without anything of the checkout."""
    for command in ("hashmake", "hmake"):
        done = subprocess.run([installed / command, "--version"], cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_installed_demo_ends_well(installed: Path) -> None:
    """The first command of the README."""
    done = subprocess.run([installed / "hashmake", "demo"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "byte for byte" in done.stdout


def test_building_does_not_wait_for_slow_imports(installed: Path) -> None:
    """`hashmake build` starts at every build: what it imports is counted (click alone takes 25 ms)."""
    code = "import sys, hashmake.front; print(*sys.modules)"
    done = subprocess.run([installed / "python", "-c", code], cwd="/", capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"click", "rich", "elftools", "asyncio", "tomllib"}
