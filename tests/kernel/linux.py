"""A Linux source tree in a cache directory: unpack, edit, build with the tool under test, compare with stock make.

Everything is built at the same paths, so nothing but the builds themselves can differ. What a clean stock make gives
takes a minute to find out; it is kept on disk under a digest of all that goes into it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e import tool
from e2e.project import ANCIENT

from .edits import ALL, NONE, Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path("/usr/src/linux-source-6.1.tar.xz")
# Read once at import: tests/conftest.py clears these for every test.
CACHE = Path(os.environ.get("HASHMAKE_LINUX", "~/.cache/hashmake-tests/linux-6.1")).expanduser()
EVERYTHING = "HASHMAKE_KERNEL_ALL" in os.environ
PINNED = {
    "KBUILD_BUILD_TIMESTAMP": "Mon Jan 1 00:00:00 UTC 2024",
    "KBUILD_BUILD_USER": "user",
    "KBUILD_BUILD_HOST": "host",
    "KBUILD_BUILD_VERSION": "1",
}
PATIENCE = 1500
PLAIN_PATH = "/usr/bin:/bin"
# Preprocessed text and arguments decide, nothing that is quicker.
CACHED = {"PATH": f"/usr/lib/ccache:{PLAIN_PATH}", "CCACHE_DIR": f"{CACHE}/ccache", "CCACHE_NODIRECT": "1"}
IMAGES = ("vmlinux", "arch/x86/boot/bzImage")
# Made anew whenever vmlinux is: the version, the symbol table, and the compressed image.
IMAGE_PARTS = ("arch/x86/boot/", "init/version", ".tmp_vmlinux", ".vmlinux")
OBJECT = re.compile(r" -c -o (\S+\.o) (?!/dev/null)")
Products = dict[str, str]


@dataclass(frozen=True)
class Built:
    """One build: how it ended, which compilers and linkers ran, and why each step did (reason and command)."""

    status: int
    text: str
    runs: list[str]
    reasons: list[str]

    def objects(self) -> list[str]:
        """The objects that were compiled or assembled, probes for compiler options left out."""
        found = [OBJECT.search(line) for line in self.runs if line.startswith("gcc ")]
        return sorted(match[1] for match in found if match)

    def sources(self) -> list[str]:
        """The objects made from the kernel's own sources, those that belong to the images themselves left out."""
        return [path for path in self.objects() if not path.startswith(IMAGE_PARTS)]

    def links(self) -> list[str]:
        """The runs of ld that made a vmlinux."""
        return [line for line in self.runs if line.startswith("ld ") and f"{line} ".find(" -o vmlinux ") > 0]


@dataclass
class Linux:
    """One source tree with its output directory; `out` is the source tree itself when it is built in-tree."""

    source: Path
    out: Path
    option: str = ""  # one CONFIG_ name that is switched on beyond tinyconfig
    fragment: str = ""  # lines that are put behind tinyconfig's .config
    compiler: str = "gcc"
    archive: Path = ARCHIVE
    ready: bool = False
    store: str = "off"  # HASHMAKE_STORE
    pinned: bool = True  # the time, the user and the host that a kernel would tell of its build are fixed

    @property
    def in_tree(self) -> bool:
        """Whether products lie among the sources."""
        return self.source == self.out

    # -- editing ------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take back every edit of this list, also those that a killed test left behind."""
        for edit in ALL:
            for path in edit.added:
                (self.source / path).unlink(missing_ok=True)
            for path in edit.changed:
                if self._pristine(path).exists():
                    _replace(self.source / path, self._pristine(path).read_text())

    def apply(self, edit: Edit) -> None:
        """Make the sources those of `edit` and no other."""
        self.restore()
        for path in edit.changed:
            kept = self._pristine(path)
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.source / path, kept)
            _replace(self.source / path, edit.text(path, kept.read_text()))
        for path, text in edit.added.items():
            _replace(self.source / path, text)

    @contextmanager
    def edited(self, edit: Edit) -> Iterator[None]:
        """The sources with `edit`, and afterwards without it."""
        self.apply(edit)
        try:
            yield
        finally:
            self.restore()

    def _pristine(self, path: str) -> Path:
        return self.source.with_name("pristine" + self.source.name.removeprefix("linux")) / path

    # -- building -----------------------------------------------------------------------------------------------

    def start(self, *goals: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a build with the tool under test; its output goes to the file build.log."""
        with (CACHE / "build.log").open("wb") as log:
            return self._popen(tool.build_command(), goals, log, f"{CACHE}/bin:{PLAIN_PATH}", variables)

    def build(self, *goals: str, **variables: str) -> Built:
        """Build with the tool under test; it must succeed."""
        before = len(logged())
        status = self.start(*goals, **variables).wait(PATIENCE)
        text = (CACHE / "build.log").read_text(errors="replace")
        assert status == 0, text[-4000:]
        steps = [] if tool.is_stock_make() else self.log()["ran"]
        reasons = [f"{step['reason']['text']}: {step['command']}" for step in steps]
        return Built(status, text, logged()[before:], reasons)

    def stock(self, *goals: str, **variables: str) -> None:
        """Build with stock make, unseen by the tool under test."""
        status, text = self.stock_status(*goals, **variables)
        assert status == 0, text[-4000:]

    def stock_status(self, *goals: str, **variables: str) -> tuple[int, str]:
        """As stock, whatever comes out: the exit status and all that it printed."""
        with (CACHE / "stock.log").open("wb") as log:
            status = self._popen(["make"], goals, log, PLAIN_PATH, variables).wait(PATIENCE)
        return status, (CACHE / "stock.log").read_text(errors="replace")

    def settle(self) -> None:
        """The first state again, built; from nothing where there is none yet."""
        self.restore()
        if self.ready:
            self.build()
        else:
            self.cold()

    def cold(self) -> Built:
        """A first build."""
        self.start_over()
        built = self.build()
        self.ready = True
        return built

    def start_over(self) -> None:
        """Remove all products and write tinyconfig's .config with the tool under test."""
        self.ready = False
        self.restore()
        self.clear()
        self.build("tinyconfig")
        self.switch()
        if self.fragment:
            self.build("olddefconfig")
            self.check_fragment()

    def check_fragment(self) -> None:
        """What was asked for is set; what is not to be set may also not be there."""
        written = (self.out / ".config").read_text()
        wanted = [line for line in self.fragment.splitlines() if line.startswith("CONFIG_")]
        unwanted = [line.split()[1] + "=" for line in self.fragment.splitlines() if line.endswith(" is not set")]
        assert not [line for line in wanted if line not in written]
        assert not [line for line in unwanted if line in written]

    def switch(self) -> None:
        """Edit .config by hand so that it has `option` on, and the fragment."""
        if self.fragment:
            with (self.out / ".config").open("a") as file:
                file.write(self.fragment)
        off, on = f"# {self.option} is not set\n", f"{self.option}=y\n"
        config = self.out / ".config"
        text = config.read_text()
        if self.option and on not in text:
            assert off in text, f"tinyconfig does not offer {self.option}"
            _replace(config, text.replace(off, on))

    def clear(self) -> None:
        """A tree as unpacked."""
        if self.in_tree:
            shutil.rmtree(self.out / ".hashmake", ignore_errors=True)
            self.stock("mrproper")
        else:
            shutil.rmtree(self.out, ignore_errors=True)
            self.out.mkdir(parents=True)

    def log(self) -> dict[str, Any]:
        """`hashmake log --json` of the last build."""
        command = tool.verb_command("log", "--json")
        done = subprocess.run(command, cwd=self.out, env=self._environment(PLAIN_PATH), capture_output=True, check=True)
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def _popen(
        self, command: list[str], goals: tuple[str, ...], log: Any, path: str, variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        where = [] if self.in_tree else [f"O={self.out}"]
        compiler = [] if self.compiler == "gcc" else [f"CC={self.compiler}"]
        words = [*command, f"-j{os.cpu_count()}", *where, *compiler, *goals]
        environment = {**self._environment(path), **variables}
        return subprocess.Popen(
            words,
            cwd=self.source,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _environment(self, path: str) -> dict[str, str]:
        base = {
            "PATH": path,
            "HOME": str(CACHE / "home"),
            "LC_ALL": "C",
            "HASHMAKE_STORE": self.store,
            **(PINNED if self.pinned else {}),
        }
        return {**base, "PYTHONPATH": tool.python_path()} if tool.python_path() else base

    def verify(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and findings of `hashmake verify --json`."""
        command = tool.verb_command("verify", "--json", *words)
        environment = self._environment(f"{CACHE}/bin:{PLAIN_PATH}")
        done = subprocess.run(command, cwd=self.out, env=environment, stdout=subprocess.PIPE, check=False)
        record: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, record

    def ksyms(self) -> dict[str, Any]:
        """Findings of `hashmake ksyms --json`."""
        command = tool.verb_command("ksyms", "--json")
        done = subprocess.run(command, cwd=self.out, env=self._environment(PLAIN_PATH), capture_output=True, check=True)
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    # -- judging ------------------------------------------------------------------------------------------------

    def check(self, edit: Edit = NONE, orphans: bool = False, but: str = "/", **variables: str) -> None:
        """vmlinux, bzImage and every object are those of a clean stock make of the sources as they are now.

        With `orphans`, objects of an earlier configuration may lie about, as they do with stock make. `but` names a
        directory that does not count.
        """
        clean = self.oracle(edit, (), variables)
        built = self.products()
        expected = clean.keys() if orphans else built.keys() | clean.keys()
        wrong = sorted(p for p in expected if built.get(p) != clean.get(p) and not p.startswith(but))
        assert not wrong, f"{len(wrong)} products differ from a clean build's: {wrong[:20]}"

    def oracle(self, edit: Edit, goals: tuple[str, ...], variables: dict[str, str]) -> Products:
        """What stock make makes from nothing, computed once and kept in the cache."""
        kept = CACHE / "oracles" / f"{self._key(edit, goals, variables)}.json"
        if not kept.exists():
            products = self._clean_build(edit, goals, variables)
            kept.parent.mkdir(exist_ok=True)
            kept.with_suffix(".new").write_text(json.dumps(products))
            kept.with_suffix(".new").rename(kept)
        found: Products = json.loads(kept.read_text())
        return found

    def level(self) -> None:
        """Give all sources one date, as whoever uses the tree next expects."""
        for directory, _, files in os.walk(self.source):
            for name in files:
                os.utime(os.path.join(directory, name), (ANCIENT, ANCIENT), follow_symlinks=False)

    def clean_products(self, config: str) -> Products:
        """What stock make makes of the sources as they are, from nothing but .config, at the same path.

        Their dates are made old: with one of the future, make remakes auto.conf and starts over for ever.
        """
        self.level()
        with self._aside():
            self.out.mkdir()
            (self.out / ".config").write_text(config)
            self.stock()
            return self.products()

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """The output directory under another name, given here; afterwards the one that was made is removed for it."""
        kept = self.out.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        self.out.rename(kept)
        try:
            yield kept
        finally:
            shutil.rmtree(self.out)
            kept.rename(self.out)

    def products(self) -> Products:
        """Every object, module and image with its digest."""
        paths = [*self.out.rglob("*.o"), *self.out.rglob("*.ko"), *(self.out / image for image in IMAGES)]
        present = [path for path in paths if path.is_file() and ".hashmake" not in path.parts]
        return {str(path.relative_to(self.out)): sha256(path.read_bytes()).hexdigest() for path in present}

    def _clean_build(self, edit: Edit, goals: tuple[str, ...], variables: dict[str, str]) -> Products:
        """Stock make's; what its compilers are asked a second time, of an equal text, ccache answers.

        Most of a clean build after an edit is like that. With --long every object is compiled.
        """
        cached = {} if EVERYTHING or self.compiler != "gcc" else CACHED
        with self._aside() as kept:
            self._fresh(kept, edit)
            self.stock("tinyconfig")
            self.switch()
            if self.fragment:
                self.stock("olddefconfig")
            self.stock(*goals, **cached, **variables)
            return self.products()

    def _fresh(self, kept: Path, edit: Edit) -> None:
        if not self.in_tree:
            self.out.mkdir()
            return
        subprocess.run(["cp", "-a", kept, self.out], check=True)
        shutil.rmtree(self.out / ".hashmake", ignore_errors=True)
        self.stock("mrproper")
        self.apply(edit)

    def _key(self, edit: Edit, goals: tuple[str, ...], variables: dict[str, str]) -> str:
        compiler = Path(self.compiler).read_text() if "/" in self.compiler else ""
        version = subprocess.run(["gcc", "--version"], capture_output=True, check=True).stdout.decode()
        parts = (edit, goals, sorted(variables.items()), self.compiler, compiler, version, self.option, self.fragment)
        place = (self.source, self.out, self.archive.stat().st_size, PINNED)
        return sha256(repr((parts, place)).encode()).hexdigest()[:32]


def trim_fragment() -> str:
    """The smallest configuration with modules and trimmed exports (benchmarks/trim.config)."""
    return (Path(__file__).resolve().parents[2] / "benchmarks" / "trim.config").read_text()


def unpack(archive: Path = ARCHIVE, name: str = "linux") -> Path:
    """An archive's tree in the cache, once; a directory left by an interrupted unpacking is not taken for it."""
    place = CACHE / name
    if not place.exists():
        new = CACHE / f"{name}.new"
        # What was built from other sources, or from these with somebody's edits in them, says nothing of them.
        if archive == ARCHIVE:
            shutil.rmtree(CACHE / "oracles", ignore_errors=True)
        shutil.rmtree(place.with_name("pristine" + name.removeprefix("linux")), ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        subprocess.run(["tar", "xf", archive, "-C", new, "--strip-components=1"], check=True)
        new.rename(place)
    return place


@contextmanager
def alone() -> Iterator[None]:
    """The cache is used by one session at a time; another one waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare() -> None:
    """The directory of logging compilers and the empty log."""
    (CACHE / "home").mkdir(exist_ok=True)
    (CACHE / "runs.log").write_text("")
    shutil.rmtree(CACHE / "bin", ignore_errors=True)
    (CACHE / "bin").mkdir()
    shim = tool.compile_shim(CACHE)
    for name in ("gcc", "ld"):
        os.link(shim, CACHE / "bin" / name)


def logged() -> list[str]:
    """Every run of a logged tool so far."""
    return (CACHE / "runs.log").read_text(errors="replace").splitlines()


def objects_of(linux: Linux) -> list[str]:
    """The objects made from the kernel's own sources that lie in the output directory."""
    return [path for path in linux.products() if path.endswith(".o") and not path.startswith(IMAGE_PARTS)]


def _replace(path: Path, text: str) -> None:
    """Write a file unless it holds this text already."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
