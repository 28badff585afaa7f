"""GNU make 4.4.1, whose jobserver is a fifo: built once from Debian's source package, found through PATH."""

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
)
SOURCE = "http://deb.debian.org/debian/pool/main/m/make-dfsg/make-dfsg_4.4.1.orig.tar.xz"
DIGEST = "3b16b00ea1079af9f8096bbc71ff7cc00c249fc6a862003da3c42308a0adb0fe"


def make() -> Path:
    """The built program; the first caller builds it, others wait."""
    CACHE.mkdir(parents=True, exist_ok=True)
    built = CACHE / "make-4.4.1"
    with (CACHE / "make-4.4.1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            _build(CACHE / "make-4.4.1.build", built)
    return built


def _build(folder: Path, target: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # apt's own downloader knows the machine's proxies, and compares the digest.
    fetch = ["/usr/lib/apt/apt-helper", "download-file", SOURCE, f"{folder}/source.tar.xz", f"SHA256:{DIGEST}"]
    done = subprocess.run(fetch, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout[-1000:], done.stderr[-1000:])
    with tarfile.open(folder / "source.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (source,) = [path for path in folder.iterdir() if path.is_dir()]
    # Debian's archive lacks the manual, which is not free in Debian's sense; configure wants its makefile.
    (source / "doc").mkdir(exist_ok=True)
    (source / "doc" / "Makefile.in").touch()
    for command in (["./configure", "-q", "--without-guile", "--disable-nls"], ["sh", "build.sh"]):
        done = subprocess.run(command, cwd=source, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    os.rename(source / "make", target)
    shutil.rmtree(folder)
