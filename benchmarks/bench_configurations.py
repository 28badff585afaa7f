#!/usr/bin/env python3
"""What configurations of one kernel share: ten of them, each built from nothing at one place, with one store.

    benchmarks/bench_configurations.py SOURCE [--count 10] [-j 2] [--work DIR]

SOURCE is a kernel's source directory or tarball (Debian: /usr/src/linux-source-6.1.tar.xz). Each configuration is
tinyconfig and none to three options. Before each build the output directory is removed: only the store stays.

A product could be shared if Kbuild made it, or one like it, in an earlier configuration: by the same command, from
dependencies of the same content, under the same values of the options that it names. That is read from the .cmd files
that the build leaves; of what they do not list (links, archives) the files that the command names count. It was shared
if no step that ran left it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import measure
from measure import HASHMAKE

CONFIGURATIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("PRINTK",),
    ("FUTEX",),
    ("BUG", "PRINTK"),
    ("EPOLL", "EVENTFD", "TIMERFD"),
    ("BINFMT_ELF",),
    ("SHMEM", "AIO"),
    ("POSIX_TIMERS", "FUTEX", "PRINTK"),
    ("SLUB_DEBUG", "PRINTK"),
    ("BINFMT_SCRIPT", "SYSCTL", "PROC_FS"),
)
ASSIGNED = re.compile(r"^(?:saved)?cmd_(\S+) := (.*)$", re.MULTILINE)
SOURCE_OF = re.compile(r"^source_\S+ := (\S+)$", re.MULTILINE)
DEPENDENCIES = re.compile(r"^deps_\S+ := \\\n((?:.*\\\n)*)", re.MULTILINE)
OPTION = re.compile(r"\$\(wildcard include/config/(\w+)\)")
VALUE = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)


@dataclass
class Bench:
    """One copy of the sources, one output directory, one store."""

    work: str
    jobs: int
    digests: dict[tuple[str, float, int], str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Directory of the sources."""
        return os.path.join(self.work, "linux")

    @property
    def output(self) -> str:
        """Directory of the products."""
        return os.path.join(self.work, "out")

    def environment(self) -> dict[str, str]:
        """The store is the benchmark's own."""
        return measure.environment(HASHMAKE_STORE=os.path.join(self.work, "store"), HOME=self.work)

    def build(self, *words: str) -> measure.Usage:
        """Run hashmake's `build`."""
        command = [*HASHMAKE, "build", f"-j{self.jobs}", f"O={self.output}", *words]
        return measure.run(command, self.source, self.environment())

    def configure(self, options: tuple[str, ...]) -> None:
        """An empty output directory with a configuration."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.build("tinyconfig")
        if options:
            words = [word for option in options for word in ("-e", option)]
            script = os.path.join(self.source, "scripts/config")
            subprocess.run([script, "--file", os.path.join(self.output, ".config"), *words], check=True)
            self.build("olddefconfig")
        with open(os.path.join(self.output, ".config"), encoding="utf-8") as file:
            on = {name for name, value in VALUE.findall(file.read()) if value == "y"}
        missing = set(options) - on
        assert not missing, f"not to be had: {missing}"

    def made(self) -> set[str]:
        """Products of the steps that the last build ran."""
        command = [*HASHMAKE, "log", "--json", "-C", self.output]
        told = subprocess.run(command, cwd=self.source, env=self.environment(), stdout=-1, check=True)
        return {path for step in json.loads(told.stdout)["ran"] for path in step["outputs"]}

    def digest(self, path: str) -> str:
        """A file's content, or that it is none."""
        try:
            st = os.stat(path)
            key = path, st.st_mtime, st.st_ino
            if key not in self.digests:
                with open(path, "rb") as file:
                    self.digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return self.digests[key]
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return ""

    def circumstances(self) -> dict[str, str]:
        """Of each product that Kbuild keeps a command of: the name of all that it was made of."""
        with open(os.path.join(self.output, "include/config/auto.conf"), encoding="utf-8") as file:
            values = dict(VALUE.findall(file.read()))
        found = {}
        for folder, _folders, names in os.walk(self.output):
            for name in names:
                if name.startswith(".") and name.endswith(".cmd"):
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                        text = file.read()
                    assigned = ASSIGNED.search(text)
                    product = os.path.join(folder, name[1 : -len(".cmd")])
                    if assigned and os.path.exists(product):
                        found[product] = self.name_of(assigned[1], assigned[2], text, values)
        return found

    def name_of(self, target: str, command: str, text: str, values: dict[str, str]) -> str:
        """One product's."""
        listed = "".join(DEPENDENCIES.findall(text))
        words = [word for word in listed.replace("\\\n", " ").split() if not word.startswith("$(wildcard")]
        words += SOURCE_OF.findall(text)
        if not words:
            words = [word for word in re.split(r"[\s;<>()'\"|]+", command) if "." in word]
        words = [word for word in words if word != target]
        contents = [(word, self.digest(os.path.join(self.output, word))) for word in sorted(set(words))]
        named = [(option, values.get(option, "")) for option in sorted(set(OPTION.findall(listed)))]
        return hashlib.sha256(repr((target, command, contents, named)).encode()).hexdigest()


def prepare(source: str, where: str) -> None:
    """Put the sources there."""
    os.makedirs(where)
    if os.path.isdir(source):
        copy = ["cp", "-a", "--reflink=auto", os.path.join(os.path.abspath(source), "."), where]
    else:
        copy = ["tar", "-xf", os.path.abspath(source), "--strip-components=1", "-C", where]
    subprocess.run(copy, check=True)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", help="directory or tarball of the kernel")
    parser.add_argument("--count", type=int, default=len(CONFIGURATIONS), help="how many configurations")
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--work", help="directory for the sources and products (default: a temporary one)")
    parser.add_argument("--missed", action="store_true", help="name what could have been shared and was not")
    chosen = parser.parse_args()
    print(measure.origin())
    with tempfile.TemporaryDirectory(prefix="hashmake-bench-", dir=chosen.work) as work:
        bench = Bench(os.path.realpath(work), chosen.jobs)
        prepare(chosen.source, bench.source)
        known: set[str] = set()
        rows, could, did = [], 0, 0
        for options in CONFIGURATIONS[: chosen.count]:
            bench.configure(options)
            usage = bench.build()
            now, ran = bench.circumstances(), bench.made()
            sharable = {product for product, name in now.items() if name in known}
            shared = sharable - ran
            if known:
                could, did = could + len(sharable), did + len(shared)
            known.update(now.values())
            ratio = f"{len(shared) / len(sharable):.3f}" if sharable else "-"
            title = "tinyconfig " + " ".join(options)
            cells = [len(now), len(sharable), len(shared)]
            rows.append([title, f"{usage.wall:.1f}", f"{usage.cpu:.1f}", *map(str, cells), ratio])
            if chosen.missed:
                print(title, *sorted(os.path.relpath(p, bench.output) for p in sharable - shared), file=sys.stderr)
        rows.append(["all but the first", "", "", "", str(could), str(did), f"{did / could:.3f}" if could else "-"])
        header = "configuration|wall s|CPU s|products|could be shared|were shared|ratio"
        print(measure.table(header.split("|"), rows))


if __name__ == "__main__":
    main()
