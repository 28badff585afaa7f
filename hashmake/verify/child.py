"""The child of verify: everything that runs make or a step happens in it, under the covers."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from hashmake.errors import UserError
from hashmake.judge.running import Running
from hashmake.progress.plain import Silent

_TAIL = 4000


class Shown(Silent):
    """`[steps started] command` on the last line of a terminal, ten times a second at most."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._count = 0
        self._shown = 0.0

    def step(self, running: Running, /) -> None:
        """Show it."""
        self._count += 1
        now = time.monotonic()
        if self._terminal >= 0 and now - self._shown > 0.1:
            self._shown = now
            text = b" ".join(running.argv[-1].split())[:100] if running.argv else b""
            os.write(self._terminal, b"\r\x1b[Kverify [%d] " % self._count + text)

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal >= 0 and self._count:
            os.write(self._terminal, b"\r\x1b[K")


def in_child(scratch: str, run: Callable[[Shown], dict[str, Any]]) -> dict[str, Any]:
    """Call it in a process of its own; what it found. Raises UserError."""
    answer = os.path.join(scratch, "answer")
    output = os.path.join(scratch, "output")
    terminal = os.dup(2) if sys.stderr.isatty() else -1
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            for fd, to in ((null, 0), (log, 1), (log, 2)):
                os.dup2(fd, to)
            with open(answer, "w") as file:
                json.dump(run(Shown(terminal)), file)
            code = 0
        except UserError as error:
            with open(answer, "w") as file:
                json.dump({"error": str(error)}, file)
            code = 0
        except BaseException:  # noqa: BLE001  # nothing may come back from here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGTERM)  # its supervisor hands it on to make
        os.waitpid(child, 0)
        raise
    finally:
        if terminal >= 0:
            os.close(terminal)
    if code or not os.path.exists(answer):
        raise RuntimeError(f"verify ended with {code}: {_tail(output)}")
    with open(answer) as file:
        found: dict[str, Any] = json.load(file)
    if "error" in found or found["failed"]:
        sys.stderr.write(_tail(output))
    if "error" in found:
        raise UserError(found["error"])
    return found


def _tail(path: str) -> str:
    with open(path, "rb") as file:
        text = file.read()[-_TAIL:].decode("utf-8", "backslashreplace")
    return text if text.endswith("\n") or not text else text + "\n"
