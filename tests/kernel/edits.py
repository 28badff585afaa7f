"""The edits made to the kernel: which files, and what becomes of their text. Knows nothing of builds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edit:
    """A named change of sources: replacements in files that exist, and files that are new."""

    name: str
    replaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    appended: dict[str, str] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> set[str]:
        """The files that exist already."""
        return self.replaced.keys() | self.appended.keys()

    def text(self, path: str, original: str) -> str:
        """A file's text after the edit."""
        old, new = self.replaced.get(path, ("", ""))
        assert old in original, f"{path} of this kernel does not hold {old!r}"
        replaced = original.replace(old, new, 1) if old else original
        return replaced + self.appended.get(path, "")


NONE = Edit("none")
FUNCTION = Edit("function", appended={"kernel/fork.c": "\nint hashmake_probe(int x)\n{\n\treturn x + 1;\n}\n"})
COMMENT = Edit("comment", appended={"kernel/fork.c": "/* hashmake */\n"})
FEW = Edit("header-few", replaced={"kernel/sched/sched.h": ("TASK_ON_RQ_MIGRATING\t2", "TASK_ON_RQ_MIGRATING\t3")})
MANY = Edit("header-many", replaced={"include/linux/poison.h": ("((void *) 0x100 +", "((void *) 0x180 +")})
MANY_COMMENT = Edit("header-comment", appended={"include/linux/slab.h": "/* hashmake */\n"})
MAKEFILE = Edit("makefile", appended={"kernel/Makefile": "CFLAGS_fork.o += -DHASHMAKE_PROBE -fno-tree-ch\n"})
NEW_FILE = Edit(
    "new-file",
    appended={"kernel/Makefile": "obj-y += hashmake_probe.o\n"},
    added={"kernel/hashmake_probe.c": "int hashmake_probe(int x);\nint hashmake_probe(int x)\n{\n\treturn x + 1;\n}\n"},
)
VERSION = Edit("localversion", added={"localversion-hashmake": "-probe\n"})
ALL = (NONE, FUNCTION, COMMENT, FEW, MANY, MANY_COMMENT, MAKEFILE, NEW_FILE, VERSION)
