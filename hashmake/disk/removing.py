"""Removing a directory with all that is in it; links are not followed."""

import os


def remove_tree(path: str) -> None:
    """Raises OSError."""
    for where, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(where, name))
        for name in directories:
            os.rmdir(os.path.join(where, name))
    os.rmdir(path)
