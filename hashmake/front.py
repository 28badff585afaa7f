"""The fast front: `build` and `hmake` go straight to the null check; every other verb is click's (cli.py)."""

import io
import os
import sys

_USAGE = "hashmake: no command given; try `hashmake build` (make's arguments follow), or `hashmake --help`"


class _Errors(io.TextIOWrapper):
    """Standard error: what can't be said (a full disk) is lost, and nothing else with it."""

    def write(self, text: str, /) -> int:
        """All of it, or nothing."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """As far as that is possible."""
        try:
            super().flush()
        except OSError:
            pass


def _streams() -> None:
    """Where a standard stream is closed, nothing else may get its number: what we print would go there.

    Closed on exec, so that make finds it as we did.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # the lowest that is free: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    errors = sys.stderr.buffer if sys.stderr is not None else os.fdopen(2, "wb", closefd=False)
    sys.stderr = _Errors(errors, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def main() -> None:
    """Entry point of `hashmake`."""
    _streams()
    words = sys.argv[1:]
    state_dir: str | None = None
    at = 0
    while at < len(words) and words[at].startswith("--state-dir"):
        name, equals, value = words[at].partition("=")
        if name != "--state-dir":
            break
        if not equals:
            at += 1
            value = words[at] if at < len(words) else ""
        state_dir = value
        at += 1
    if at < len(words) and words[at] == "build":
        if words[at + 1 :] == ["--help"]:
            print("Usage: hashmake [--state-dir DIR] build [MAKE ARGUMENTS]\n\nmake's own help follows.\n", flush=True)
        _exit(words[at + 1 :], state_dir, drop_in=False)
    if not words:
        print(_USAGE, file=sys.stderr)
        sys.exit(2)
    from hashmake.cli import cli
    from hashmake.errors import UserError

    try:
        cli(prog_name="hashmake")
    except UserError as error:
        print(f"hashmake: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  # a bug of ours in a verb: one line and a log, as for build
        from hashmake.crash import report

        sys.exit(report(error, words))


def hmake() -> None:
    """Entry point of `hmake`, the drop-in for make."""
    _streams()
    _exit(sys.argv[1:], None, drop_in=True)


def _flushed(code: int) -> int:
    """The exit status, once what we printed is out: make's own where it is not."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        print("make: write error: stdout", file=sys.stderr)
        return code or 1
    return code


def _exit(words: list[str], state_dir: str | None, drop_in: bool) -> None:
    from hashmake.build import begin as build

    try:
        code = build.run(words, state_dir, drop_in)
        code = _flushed(code)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    except Exception as error:  # noqa: BLE001  # the one place where a bug of ours ends
        from hashmake.crash import report

        code = report(error, words)
    try:
        sys.stderr.flush()
    finally:
        os._exit(code)  # nothing is left to do; interpreter shutdown costs as much as a null check of 500 files
