"""The Protocols that a family of projects implements; the engine is handed them (build/setting.py)."""

from collections.abc import Iterator
from enum import Enum
from typing import Protocol


class Files(Protocol):
    """What a plug-in may ask of the disk (disk.Disk)."""

    def read(self, path: bytes, most: int = -1) -> bytes | None: ...  # noqa: D102  # described there
    def below(self, path: bytes) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]: ...  # noqa: D102


class StepLike(Protocol):
    """What a projection is told of a step that read one of its tables; see projector.Reading."""

    argv: list[bytes]
    block: bytes
    readers: list[list[bytes]]

    def read(self) -> Iterator[tuple[bytes, bytes]]: ...  # noqa: D102  # described there
    def wrote(self) -> Iterator[tuple[bytes, bytes]]: ...  # noqa: D102
    def found_in(self, letter: bytes, path: bytes, version: bytes) -> frozenset[bytes] | None: ...  # noqa: D102
    def mentioned(self, letter: bytes) -> set[bytes] | None: ...  # noqa: D102


class Projection(Protocol):
    """A family of tables of names, and what their readers depend on.

    seeded  a build approaches such a table step by step, and where it ends does not depend on where it began: the step
            that makes one from nothing may begin with what the last build came to
    """

    seeded: bool

    def parse(self, data: bytes) -> dict[bytes, bytes]:
        """A table's content: name -> text."""

    def stamps(self, path: bytes, before: bytes, after: bytes) -> list[bytes]:
        """Empty files that a build touches when the table at path changes from one content to the other."""

    def names(self, step: StepLike, /) -> frozenset[bytes] | None:
        """The names that this step depends on ("PREFIX*": all that begin so); None: on the whole table."""

    def find(self, letter: bytes, data: bytes) -> frozenset[bytes]:
        """What `names` wants to know of a file's content; `letter` says which of its questions it is. Remembered."""


class Computed(Enum):
    """Which names of variables a text can compute that it does not spell.

    ANY      any at all
    WORDS    words of makefiles of this kind
    A_LITTLE any at all if it is a makefile, but it is most likely none, and then its text says nothing
    NOTHING  it names no variable of the environment
    """

    ANY = 0
    WORDS = 1
    A_LITTLE = 2
    NOTHING = 3


class Plugin(Protocol):
    """What a family of make projects knows about its own commands.

    always_make  whether make -B builds such a project (some have rules that are only there to fail)
    """

    always_make: bool

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """The program and its arguments without what only changes what is printed."""

    def meaningless(self, name: bytes, /) -> bool:
        """Whether a variable of this name only changes what is printed."""

    def computes(self, path: bytes, /) -> Computed:
        """What the text at path, which a make process has read, says of variables where it computes a whole name."""

    def tables(self, directories: tuple[bytes, ...]) -> list[tuple[bytes, Projection]]:
        """The tables of names in a tree with these directories (where make runs, where products go), if any."""

    def compares_times(self, argv: list[bytes], /) -> bool:
        """Whether a step compares times of what it writes, so that it has to see logical ones."""

    def replaces(self, argv: list[bytes], /) -> bool:
        """Whether what a command makes does not depend on whether its products were there before."""

    def only_a_stamp(self, path: bytes, /) -> bool:
        """Whether a product is an empty file whose time was its message: nobody misses it."""

    def lists_places(self, path: bytes, /) -> bool:
        """Whether a product is a text that names files by their places, and but for that is the same elsewhere."""

    def misfits(self, directories: tuple[bytes, ...], /) -> list[bytes]:
        """Products of plain make that can't be what a clean build makes: they are not to be taken as they are."""


class AnyProject:
    """Any make project: every word counts."""

    always_make = True

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """As given."""
        return argv

    def meaningless(self, _name: bytes, /) -> bool:
        """None is."""
        return False

    def computes(self, _path: bytes, /) -> Computed:
        """What is computed can be any name."""
        return Computed.ANY

    def tables(self, _directories: tuple[bytes, ...]) -> list[tuple[bytes, Projection]]:
        """None."""
        return []

    def compares_times(self, _argv: list[bytes], /) -> bool:
        """None is known to."""
        return False

    def replaces(self, _argv: list[bytes], /) -> bool:
        """None is known to."""
        return False

    def only_a_stamp(self, _path: bytes, /) -> bool:
        """None is known to be."""
        return False

    def lists_places(self, _path: bytes, /) -> bool:
        """None is known to."""
        return False

    def misfits(self, _directories: tuple[bytes, ...]) -> list[bytes]:
        """None is known."""
        return []
