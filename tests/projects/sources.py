"""Fetches Debian source packages with apt-get, without touching the machine's own list of sources."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

# Read once at import: tests/conftest.py gives every test another home.
CACHE = (
    Path(os.environ.get("HASHMAKE_TEST_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "hashmake-tests")
    .expanduser()
    .absolute()
    / "sources"
)
LIMIT = 120  # seconds for one call of apt-get


class Unavailable(Exception):
    """The source of a package cannot be had here; the message says why."""


def apt(*words: str, config: Path | None = None) -> str:
    """Run apt-get and return what it printed."""
    env = os.environ | ({"APT_CONFIG": str(config)} if config else {})
    try:
        done = subprocess.run(
            ["apt-get", "-q", *words], env=env, cwd=CACHE, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"apt-get {words[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"apt-get {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def debian_archives() -> list[str]:
    """deb-src lines for the archives of Debian that this machine installs from."""
    wanted = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)"
    found = apt("indextargets", "--format", wanted, "Created-By: Packages", "Component: main").split("\n")
    lines = set()
    for line in found:
        origin, _, rest = line.partition("|")
        uri, _, release = rest.partition("|")
        if origin == "Debian":
            lines.add(f"deb-src {uri} {release} main")
    if not lines:
        raise Unavailable("apt-get knows no archive of Debian here (is this Debian? has apt-get update run?)")
    return sorted(lines)


def configuration() -> Path:
    """A configuration of apt with lists of its own, brought up to date."""
    config = CACHE / "apt.conf"
    if config.exists():
        return config
    lists = CACHE / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    (CACHE / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (CACHE / "sources.list").write_text("\n".join(debian_archives()) + "\n")
    new = CACHE / "apt.conf.new"
    new.write_text(
        f'Dir::State::lists "{lists}";\nDir::Cache "{CACHE}";\nDir::Etc::sourcelist "{CACHE}/sources.list";\n'
        'Dir::Etc::sourceparts "-";\nAPT::Sandbox::User "";\nAcquire::Languages "none";\n'
    )
    apt("update", config=new)
    new.rename(config)
    return config


def upstream(package: str) -> Path:
    """The upstream tarball of a Debian source package, from the cache or from Debian."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # apt's lists are changed by one at a time
        return _upstream(package)


def _upstream(package: str) -> Path:
    have = _tarballs(package)
    if not have:
        try:
            apt("source", "--download-only", package, config=configuration())
        except Unavailable:
            if not _tarballs(package):  # Debian's own changes may be gone from the archive, the tarball lasts longer
                raise
        have = _tarballs(package)
    if not have:
        raise Unavailable(f"{package}: its source package has no upstream tarball")
    return have[-1]


def _tarballs(package: str) -> list[Path]:
    return [path for path in sorted(CACHE.glob(f"{package}_*.orig.tar.[gxb]z*")) if path.suffix != ".asc"]


def unpack(package: str, into: Path) -> None:
    """Lay the upstream sources of a package out in a directory that does not exist yet."""
    tarball = upstream(package)
    scratch = into.with_name(into.name + ".unpacked")
    with tarfile.open(tarball) as archive:
        archive.extractall(scratch, filter="tar")
    (top,) = scratch.iterdir()
    shutil.move(top, into)
    scratch.rmdir()
