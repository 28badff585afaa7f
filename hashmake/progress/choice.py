"""Which display a build has."""

import os
import sys

from hashmake.progress.live import Live
from hashmake.progress.plain import Plain, Progress, Silent


def for_build(silent: bool, drop_in: bool, known: int) -> Progress:
    """The display that fits standard error."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")
    if silent and not (drop_in and terminal):
        return Silent()
    if terminal:
        return Live(known, closing=not drop_in)
    return Plain()
