"""The fast front: `build` and `hmake` go straight to the null check; every other verb is click's (cli.py)."""

import os
import sys

_USAGE = "hashmake: no command given; try `hashmake build` (make's arguments follow), or `hashmake --help`"


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
        sys.stdin = open(os.devnull, encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")


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


def _exit(words: list[str], state_dir: str | None, drop_in: bool) -> None:
    from hashmake import build

    try:
        code = build.run(words, state_dir, drop_in)
        sys.stdout.flush()
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
