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

    def __add__(self, other: Edit) -> Edit:
        """Both edits; they concern different files."""
        return Edit(
            f"{self.name}+{other.name}",
            {**self.replaced, **other.replaced},
            {**self.appended, **other.appended},
            {**self.added, **other.added},
        )


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
# Linux as it was before "make scripts/adjust_autoksyms.sh robust against timestamp races".
NO_GUARD = Edit(
    "no-guard",
    replaced={
        "scripts/adjust_autoksyms.sh": (
            '\twhile [ ! "$depfile" -nt "$new_ksyms_file" ]; do\n\t\ttouch "$depfile"\n\tdone\n',
            "",
        )
    },
)
NEEDS_MORE = Edit(
    "needs-more",
    appended={
        "fs/fat/misc.c": "\nint hashmake_probe(const char *s, int *r);\n"
        "int hashmake_probe(const char *s, int *r)\n{\n\treturn kstrtoint(s, 10, r);\n}\n"
    },
)
NEEDS_ASSEMBLER = Edit(
    "needs-assembler",
    appended={
        "fs/fat/misc.c": "\nunsigned int __sw_hweight32(unsigned int w);\n"
        "unsigned int hashmake_probe(unsigned int w);\n"
        "unsigned int hashmake_probe(unsigned int w)\n{\n\treturn __sw_hweight32(w);\n}\n"
    },
)
OFFERS_MORE = Edit(
    "offers-more",
    appended={
        "kernel/fork.c": "\nint hashmake_probe(void);\nint hashmake_probe(void)\n{\n\treturn 1;\n}\n"
        "EXPORT_SYMBOL(hashmake_probe);\n"
    },
)
VERSION = Edit("localversion", added={"localversion-hashmake": "-probe\n"})
ALL = (
    NONE,
    FUNCTION,
    COMMENT,
    FEW,
    MANY,
    MANY_COMMENT,
    MAKEFILE,
    NEW_FILE,
    NO_GUARD,
    NEEDS_MORE,
    NEEDS_ASSEMBLER,
    OFFERS_MORE,
    VERSION,
)
