"""The Protocol that a family of projects implements; the engine imports none of them by name except in build.py."""

from typing import Protocol


class Plugin(Protocol):
    """What a family of make projects knows about its own commands.

    always_make  whether make -B builds such a project (some have rules that are only there to fail)
    """

    always_make: bool

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """The program and its arguments without what only changes what is printed."""

    def meaningless(self, name: bytes, /) -> bool:
        """Whether a variable of this name only changes what is printed."""


class Plain:
    """Any make project: every word counts."""

    always_make = True

    def normal_argv(self, argv: list[bytes]) -> list[bytes]:
        """As given."""
        return argv

    def meaningless(self, _name: bytes, /) -> bool:
        """None is."""
        return False
