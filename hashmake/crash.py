"""Our own bug: one line for the user, a log to paste."""

import os
import platform
import sys
import tempfile
import traceback

from hashmake import __version__
from hashmake.errors import EXIT_INTERNAL, UserError


def report(error: Exception, words: list[str]) -> int:
    """Print one line; for a bug also write a log. The exit status."""
    if isinstance(error, UserError):
        print(f"hashmake: {error}", file=sys.stderr)
        return error.exit_code
    text = "".join(traceback.format_exception(error))
    head = f"hashmake {__version__}, Python {platform.python_version()}, {platform.platform()}\nbuild {words!r}\n\n"
    try:
        fd, path = tempfile.mkstemp(prefix="hashmake-bug-", suffix=".log")
        os.write(fd, (head + text).encode("utf-8", "backslashreplace"))
        os.close(fd)
    except OSError:
        path = "(it could not be written)"
    last = str(error).splitlines()[0] if str(error) else ""
    print(f"hashmake: internal error ({type(error).__name__}: {last}); please report {path}", file=sys.stderr)
    return EXIT_INTERNAL
