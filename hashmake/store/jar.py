"""A part of the store as one file, for CI systems that keep a file between jobs: a compressed tar.

What comes in such a file is believed no more than the store itself: names are checked, contents have to have the digest
that is their name.
"""

import os
import re
import tarfile

from hashmake.disk.reading import of_file
from hashmake.errors import UserError
from hashmake.store.local import make, name_of, note_growth

_NAME = re.compile(
    r"(?:objects/[0-9a-f]{2}/[0-9a-f]{46}|results/[0-9a-f]{2}/[0-9a-f]{30}|steps/[0-9a-f]{2}/[0-9a-f]{30}/[0-9a-f]{32})"
)


def pour_out(top: str, sets: list[list[str]], file: str, limit: int) -> tuple[int, int]:
    """Write a file with these sets of names (paths in the store), each whole or not at all; how many sets, bytes.

    `limit`: bytes before they are compressed. Raises UserError.
    """
    aside = f"{file}.{os.getpid()}"
    taken: set[str] = set()
    count = size = 0
    try:
        with tarfile.open(aside, "w:gz", compresslevel=1) as tar:
            for names in sets:
                news = [name for name in names if name not in taken]
                try:
                    here = sum(os.stat(os.path.join(top, name)).st_size for name in news)
                except OSError:
                    continue  # some of it has been collected
                if size + here > limit:
                    continue
                for name in news:
                    tar.add(os.path.join(top, name), arcname=name, recursive=False)
                taken.update(news)
                count += 1
                size += here
        os.replace(aside, file)
    except (OSError, tarfile.TarError) as error:
        if os.path.exists(aside):
            os.unlink(aside)
        raise UserError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    return count, size


def pour_in(top: str, file: str) -> tuple[int, int]:
    """Put what such a file holds into the store; how many files are new there, and how many were refused."""
    new = refused = added = 0
    make(top)
    aside = os.path.join(top, "new", f"import-{os.getpid()}")
    try:
        with tarfile.open(file, "r|*") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() and _NAME.fullmatch(member.name) else None
                if content is None:
                    refused += 1
                    continue
                with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as out:
                    while piece := content.read(1 << 18):
                        out.write(piece)
                path = os.path.join(top, member.name)
                if member.name.startswith("objects/") and not _is_what_it_says(aside, member.name):
                    refused += 1
                elif not os.path.exists(path):
                    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                    os.rename(aside, path)
                    new += 1
                    added += member.size
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UserError(
            f"{file}: {getattr(error, 'strerror', None) or error}; what was read until then is kept"
        ) from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
        note_growth(top, added)
    return new, refused


def _is_what_it_says(path: str, name: str) -> bool:
    return os.fsencode(name.removeprefix("objects")) == name_of(of_file(os.fsencode(path))[0])
