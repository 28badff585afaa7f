"""What the permission bits of a file say of its owner's intent."""

import os


def umask() -> int:
    """The file mode creation mask of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def is_private(mode: int, mask: int) -> bool:
    """Whether only its owner may read a file, though others may read what is made with this mask: a secret, perhaps."""
    return not mode & 0o077 and bool(0o666 & ~mask & 0o077)
