"""Identities: of a step, of a goal, and of all that was asked for.

Imports next to nothing, because every null build passes through here.
"""

from hashmake.model import digest
from hashmake.model.names import MEANINGLESS, Names
from hashmake.model.selection import Selection


def key_of(kind: bytes, cwd: bytes, argv: list[bytes]) -> bytes:
    """Identity of a step, 16 bytes. Its environment is no part of it (environment.py)."""
    return digest.of_bytes(b"\0".join([kind, cwd, *argv]))


def goal_key(where: bytes, out: bytes, makefiles: list[bytes], goals: list[bytes]) -> bytes:
    """Identity of a goal, 16 bytes: directory, makefiles, output directory and goals; no variables, no options.

    What earlier builds of this goal made is hidden from the next one (design.md, section 2).

    makefiles  what -f names, but for the one that make takes anyway
    """
    return digest.of_bytes(b"\0".join([where, out, *makefiles, b"", *goals]))


def asked_digest(
    make: bytes, variables: list[bytes], options: list[bytes], makefiles: list[bytes], texts: list[bytes]
) -> bytes:
    """Digest of the rest of the request, less the environment: make, variables, options that matter, how -f is spelt.

    texts  digests of makefiles that are no files
    """
    return digest.of_bytes(b"\0".join([make, *variables, b"", *options, b"", *makefiles, b"", *texts]))


def input_digest(asked: bytes, environ: dict[bytes, bytes], where: bytes, names: Names) -> bytes:
    """Digest of the whole request: what was asked for, and those variables of the environment that count."""
    given = {}
    for name, value in environ.items():
        if name in MEANINGLESS or (name == b"PWD" and value == where) or name.startswith(b"HASHMAKE_"):
            continue
        if name in (b"MAKEFLAGS", b"GNUMAKEFLAGS") and value:
            from hashmake.model.makeflags import never, normal_makeflags

            given[name] = normal_makeflags(value, never)
        else:
            given[name] = value
    chosen = Selection(names).of(given)
    return digest.of_bytes(b"\0".join([asked, *(name + b"=" + chosen[name] for name in sorted(chosen))]))
