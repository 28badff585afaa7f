"""Random edits of a Linux tree and their traces in it: sources, headers, makefiles, Kconfig, times, products.

Every edit can be taken back from what it says itself; a history is determined by its seed and by what the tree builds.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .linux import Linux


class RandomEdits:
    """What one history does to one tree."""

    def __init__(self, linux: Linux, seed: int) -> None:
        self._linux = linux
        self._chance = random.Random(seed)
        # Also on disk, so that what a killed history leaves behind does not get into the next.
        self._kept = linux.source.with_name("originals")
        self._originals: dict[Path, str] = {
            linux.source / kept.relative_to(self._kept): kept.read_text()
            for kept in sorted(self._kept.rglob("*"))
            if kept.is_file()
        }
        self.undo()
        self._count = 0
        self.said: list[str] = []

    def edit(self) -> None:
        """Do one thing, sources more often than the rest."""
        happenings: list[Callable[[], str]] = [
            self._function,
            self._function,
            self._comment,
            self._header,
            self._header,
            self._flags,
            self._makefile_comment,
            self._kconfig,
            self._scramble,
            self._damage,
            self._lose,
            self._revert,
            self._revert,
        ]
        self._count += 1
        self.said.append(self._chance.choice(happenings)())

    def undo(self) -> None:
        """All sources as they were."""
        for path, text in self._originals.items():
            path.write_text(text)
        self._originals.clear()
        shutil.rmtree(self._kept, ignore_errors=True)

    # -- sources ------------------------------------------------------------------------------------------------

    def _function(self) -> str:
        path = self._source()
        name = f"hashmake_probe_{self._count}"
        self._append(path, f"\nint {name}(int x);\nint {name}(int x)\n{{\n\treturn x + {self._count};\n}}\n")
        return f"a function in {path}"

    def _comment(self) -> str:
        path = self._source()
        self._append(path, f"/* hashmake {self._count} */\n")
        return f"a comment in {path}"

    def _header(self) -> str:
        path = self._chance.choice(self._headers())
        self._append(path, f"\n#define HASHMAKE_PROBE_{self._count} {self._count}\n")
        return f"a macro in {path}"

    def _flags(self) -> str:
        source = self._source()
        makefile = source.with_name("Makefile")
        if not makefile.exists():
            return "nothing"
        self._append(makefile, f"\nCFLAGS_{source.stem}.o += -DHASHMAKE_PROBE_{self._count}\n")
        return f"a flag for {source} in its Makefile"

    def _makefile_comment(self) -> str:
        makefile = self._source().with_name("Makefile")
        if not makefile.exists():
            return "nothing"
        self._append(makefile, f"\n# hashmake {self._count}\n")
        return f"a comment in {makefile}"

    def _kconfig(self) -> str:
        path = self._linux.source / "init/Kconfig"
        answer = self._chance.choice("yn")
        self._append(path, f"\nconfig HASHMAKE_PROBE_{self._count}\n\tdef_bool {answer}\n")
        return f"an option in {path}, {answer}"

    def _revert(self) -> str:
        if not self._originals:
            return "nothing"
        path = self._chance.choice(sorted(self._originals))
        path.write_text(self._originals.pop(path))
        return f"{path} as it was"

    # -- the tree -----------------------------------------------------------------------------------------------

    def _scramble(self) -> str:
        dates = (0, 1_000_000_000, 4_000_000_000, 1_700_000_000.25)
        equal = self._chance.random() < 0.3
        for top in {self._linux.source, self._linux.out}:
            for directory, _, files in os.walk(top):
                for name in files:
                    date = dates[1] if equal else self._chance.choice(dates)
                    os.utime(os.path.join(directory, name), (date, date), follow_symlinks=False)
        return "all times " + ("equal" if equal else "scrambled")

    def _damage(self) -> str:
        path = self._linux.out / self._chance.choice(self._objects())
        with path.open("r+b") as file:
            file.seek(self._chance.randrange(max(1, path.stat().st_size)))
            file.write(b"damaged")
        return f"{path} damaged"

    def _lose(self) -> str:
        path = self._linux.out / self._chance.choice(self._objects())
        path.unlink()
        return f"{path} deleted"

    # -- what there is ------------------------------------------------------------------------------------------

    def _objects(self) -> list[str]:
        return sorted(path for path in self._linux.products() if path.endswith(".o"))

    def _source(self) -> Path:
        """A C source that has been compiled."""
        stems = (self._linux.source / path[:-2] for path in self._objects())
        return self._chance.choice(sorted(c for stem in stems if (c := stem.with_name(stem.name + ".c")).exists()))

    def _headers(self) -> list[Path]:
        """Headers that some compilation wrote down as read: those of a random object."""
        records = sorted(self._linux.out.rglob(".*.o.cmd"))
        text = self._chance.choice(records).read_text(errors="replace")
        top = f"{self._linux.source}/"
        found = {word for word in re.findall(r"\S+\.h\b", text) if word.startswith(top) and os.path.isfile(word)}
        found = {word for word in found if "/linux/atomic/" not in word}  # their checksums are compared: make fails
        return sorted(self._linux.source / word for word in found) or [self._linux.source / "include/linux/kernel.h"]

    def _append(self, path: Path, text: str) -> None:
        before = path.read_text()
        if path not in self._originals:
            self._originals[path] = before
            kept = self._kept / path.relative_to(self._linux.source)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(before)
        path.write_text(_inside_guard(before, text) if path.suffix == ".h" else before + text)


def _inside_guard(header: str, text: str) -> str:
    """Before the last #endif, so that it is seen once."""
    head, endif, tail = header.rpartition("#endif")
    return head + text.lstrip("\n") + endif + tail if endif else header + text
