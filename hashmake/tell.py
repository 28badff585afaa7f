"""Our lines on standard error; standard output belongs to make and its steps."""

import sys


def say(text: str) -> None:
    """One line of ours."""
    try:
        sys.stdout.flush()
        print("hashmake: " + text, file=sys.stderr, flush=True)
    except OSError:
        pass
