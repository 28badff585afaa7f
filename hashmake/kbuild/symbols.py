"""The symbols of an object file, as far as Kbuild's exports go; read with pyelftools."""

from io import BytesIO

_MARKER = b"__ksym_marker_"
_ENTRY = b"__ksymtab_"
OFFERED, EXPORTED, NEEDED = b"o", b"x", b"u"
READ = b"elf"


def named(letter: bytes, found: frozenset[bytes]) -> set[bytes]:
    """Of what `symbols` found: the names behind OFFERED, EXPORTED or NEEDED."""
    return {name[1:] for name in found if name[:1] == letter}


def symbols(data: bytes) -> frozenset[bytes]:
    """Of an ELF object: o + name for each export it offers (5.0 to 6.4), x + name for each it has, u + name needed.

    And READ; empty for what is no ELF file (LLVM's bitcode) or can't be read. A symbol is offered by its marker in
    .discard.ksym, whether it is needed or not (include/linux/export.h); exported by its entry in __ksymtab; needed when
    it is undefined.
    """
    if data[:4] != b"\x7fELF":
        return frozenset()
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    found = {READ}
    try:
        for section in ELFFile(BytesIO(data)).iter_sections():
            if not isinstance(section, SymbolTableSection):
                continue
            for symbol in section.iter_symbols():
                name = symbol.name.encode("utf-8", "surrogateescape")
                if name.startswith(_MARKER):
                    found.add(OFFERED + name[len(_MARKER) :])
                elif name.startswith(_ENTRY) and symbol["st_shndx"] != "SHN_UNDEF":
                    found.add(EXPORTED + name[len(_ENTRY) :])
                elif name and symbol["st_shndx"] == "SHN_UNDEF":
                    found.add(NEEDED + name)
    except (ELFError, KeyError, ValueError):
        return frozenset()
    return frozenset(found)
