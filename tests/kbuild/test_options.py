"""Which options a piece of C, of a makefile, of a command can mention: found, or the whole table counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hashmake.kbuild.config import Config
from hashmake.kbuild.option import option_text

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTOCONF, AUTO, RUSTC = option_text.values()
ALL = b"CONFIG_*"

C = {
    "#ifdef CONFIG_A": {b"CONFIG_A"},
    "#if defined(CONFIG_A) && IS_ENABLED(CONFIG_B)": {b"CONFIG_A", b"CONFIG_B"},
    "#if defined CONFIG_A || !IS_MODULE( CONFIG_B )": {b"CONFIG_A", b"CONFIG_B"},
    "int a = CONFIG_A;": {b"CONFIG_A"},
    "/* without CONFIG_A */": {b"CONFIG_A"},
    "int KCONFIG_A, MY_CONFIG_B;": set(),
    "return PICK(CONFIG_A);": {b"CONFIG_A", b"CONFIG_A*"},
    "return PICK(1, CONFIG_A);": {b"CONFIG_A", b"CONFIG_A*"},
    "#define NUMBER CONFIG_A\n": {b"CONFIG_A", b"CONFIG_A*"},
    "#define NUMBER(x) (CONFIG_A + (x))": {b"CONFIG_A", b"CONFIG_A*"},
    "#define ASK(option) IS_ENABLED(CONFIG_##option)": {ALL},
    "#define ASK(option) IS_ENABLED(CONFIG_NET_ ## option)": {b"CONFIG_NET_", b"CONFIG_NET_*"},
    "#ifdef CONFIG_LO\\\nNG": {b"CONFIG_LO", b"CONFIG_LO*"},
    "ASK(CONFIG_, A)": {ALL},
    "PASTE3(x, CONFIG, _A)": {ALL},
    "/* all CONFIG_* options, see CONFIG */": set(),
    "// CONFIG_": set(),
    'puts("CONFIG_");': set(),
}
MAKE = {
    "obj-$(CONFIG_A) += a.o": {b"CONFIG_A"},
    "obj-${CONFIG_A} += a.o": {b"CONFIG_A"},
    'name := $(CONFIG_A:"%"=%)': {b"CONFIG_A"},
    "ifdef CONFIG_A": {b"CONFIG_A"},
    "else ifndef CONFIG_A": {b"CONFIG_A"},
    "# CONFIG_A is not set": {b"CONFIG_A"},
    "obj-$(CONFIG_$(x)) += a.o": {ALL},
    "obj-$(CONFIG_NET_$(x)) += a.o": {b"CONFIG_NET_*", b"CONFIG_NET_"},
    "x := $(filter CONFIG_NET_%,$(y))": {b"CONFIG_NET_*", b"CONFIG_NET_"},
    "x := $(call value_of,CONFIG_A)": {b"CONFIG_A", b"CONFIG_A*"},
    "x := $(sort $(.VARIABLES))": {ALL},
    "prefix := CONFIG_\n": {ALL},
    "x := $(CONFIG$(y))": {b"CONFIG*"},
    "KCONFIG_CONFIG ?= .config": set(),
}


@pytest.mark.parametrize("text", C)
def test_what_c_can_mention_is_found(text: str) -> None:
    found = Config(AUTOCONF).find(b"c", text.encode())
    assert {n for n in found if n != b"CONFIG_"} >= {n for n in C[text] if n != b"CONFIG_NET_"}
    extra = found - C[text] - {name.rstrip(b"*") for name in C[text]}
    assert not extra


@pytest.mark.parametrize("text", MAKE)
def test_what_a_makefile_can_mention_is_found(text: str) -> None:
    found = Config(AUTO).find(b"m", text.encode())
    assert found - {b"CONFIG_NET_"} == MAKE[text] - {b"CONFIG_NET_"}


def test_programs_and_precompiled_headers() -> None:
    """What the compiler executed is no text; a precompiled header holds what its macros were."""
    assert Config(AUTOCONF).find(b"c", b"\x7fELF CONFIG_A") == frozenset()
    assert Config(AUTOCONF).find(b"c", b"gpch.013") == {ALL}


class Step:
    """A step that read a table, for Config.names."""

    block = b""

    def __init__(self, *readers: str, argv: str = "", files: dict[bytes, bytes] | None = None) -> None:
        self.readers = [[word.encode() for word in reader.split("|")] for reader in readers]
        self.argv = [argv.encode()]
        self.files = files or {}

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        yield from ((path, b"F") for path in self.files)

    def wrote(self) -> Iterator[tuple[bytes, bytes]]:
        yield from ()

    def found_in(self, letter: bytes, path: bytes, _version: bytes) -> frozenset[bytes] | None:
        return Config(AUTOCONF).find(letter, self.files[path])

    def mentioned(self, letter: bytes) -> set[bytes] | None:
        found = [self.found_in(letter, path, version) for path, version in self.read()]
        return None if None in found else set().union(*[each for each in found if each is not None])


def test_a_compiler_depends_on_what_its_files_and_its_words_mention() -> None:
    """An option and its _MODULE, which IS_ENABLED puts together."""
    step = Step("/usr/lib/gcc/x/12/cc1|cc1|-quiet", argv="gcc -DCONFIG_W -c a.c", files={b"/a.c": b"#ifdef CONFIG_A"})
    names = Config(AUTOCONF).names(step)
    assert names == frozenset({b"", b"CONFIG_A", b"CONFIG_A_MODULE", b"CONFIG_W", b"CONFIG_W_MODULE"})


PATTERNS = {
    "/usr/bin/grep|grep|-q|^CONFIG_A=y|include/config/auto.conf": {b"", b"CONFIG_A"},
    "/usr/bin/grep|grep|-q|^CONFIG_A=y$|include/config/auto.conf": {b"", b"CONFIG_A"},
    r"/usr/bin/sed|sed|-n|s/^CONFIG_A=\(.*\)$/\1/p|include/config/auto.conf": {b"", b"CONFIG_A"},
    "/usr/bin/grep|grep|-q|CONFIG_A=y|include/config/auto.conf": None,
    "/usr/bin/grep|grep|-qv|^CONFIG_A=y|include/config/auto.conf": None,
    "/usr/bin/grep|grep|-q|^CONFIG_A|include/config/auto.conf": None,
    r"/usr/bin/grep|grep|-q|^CONFIG_A=y\|^CONFIG_B=y|include/config/auto.conf": None,
    "/usr/bin/grep|grep|-c|^CONFIG_A=y|include/config/auto.conf": None,
    "/usr/bin/sed|sed|-n|s/CONFIG_A=y//p|include/config/auto.conf": None,
    "/usr/bin/sed|sed|s/^CONFIG_A=y/x/p|include/config/auto.conf": None,
    "/usr/bin/grep|grep|-q|^CONFIG_A=y|": None,
    "/usr/bin/cat|cat|include/config/auto.conf": None,
    "/usr/bin/dash|sh|-c|. include/config/auto.conf": None,
}


@pytest.mark.parametrize("reader", PATTERNS)
def test_grep_and_sed_are_believed_where_they_ask_for_one_option(reader: str) -> None:
    """Everybody else depends on the whole table; and so does grep when not all of its words are known."""
    found = Config(AUTO).names(Step(reader))
    assert found == PATTERNS[reader]


def test_one_reader_of_the_whole_table_is_enough() -> None:
    assert Config(AUTOCONF).names(Step("/x/cc1|cc1", "/usr/bin/cat|cat|autoconf.h")) is None


def test_tables_are_read_as_kconfig_writes_them() -> None:
    """Lines of another form concern everybody."""
    header = b'/*\n * made\n */\n#define CONFIG_A 1\n#define CONFIG_S "two words"\n#define CONFIG_M_MODULE 1\n'
    assert AUTOCONF(header) == {b"CONFIG_A": b"1", b"CONFIG_S": b'"two words"', b"CONFIG_M_MODULE": b"1", b"": b""}
    assert AUTOCONF(b"#undef CONFIG_A\n")[b""] == b"#undef CONFIG_A"
    assert AUTO(b'#\n# made\n#\nCONFIG_A=y\nCONFIG_S="a=b"\n') == {b"CONFIG_A": b"y", b"CONFIG_S": b'"a=b"', b"": b""}
    assert RUSTC(b'--cfg=CONFIG_A\n--cfg=CONFIG_A="y"\n')[b"CONFIG_A"] == b'  "y"'
