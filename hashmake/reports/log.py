"""`hashmake log`: what the last build ran and why, for people and as JSON (the keys are promised in docs/design.md)."""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

from hashmake.judge.engine import Engine
from hashmake.judge.log import Ran
from hashmake.judge.reason import Reason, describe
from hashmake.model.packing import U32


def as_json(
    build: int, words: list[str], code: int, engine: Engine, began: float, remote: dict[str, float] | None
) -> Iterator[bytes]:
    """The log of a build in which make ran, in pieces: whole it may be larger than everything else in memory.

    `remote`: what came of asking other machines.
    """
    counts = engine.ending.log.counts
    log = {
        "build": build,
        "argv": words,
        "exit_code": code,
        "wall_s": round(time.monotonic() - began, 3),
        "mode": engine.ending.log.mode,
        "steps": {"run": counts.run, "skipped": counts.current, "restored": counts.restored, "failed": counts.failed},
        "evaluated": counts.evaluated,
        **({"remote": remote} if remote is not None else {}),
    }
    yield json.dumps(log).encode("ascii")[:-1] + b', "ran": ['
    between = b""
    for ran in engine.ending.log.ran:
        yield between + json.dumps(_ran(ran, began), separators=(",", ":")).encode("ascii")
        between = b","
    yield b"]}"


def of_null(build: int, data: bytes) -> dict[str, Any]:
    """The log of a null build, from what Database.save_null kept."""
    (wall_us,) = U32.unpack_from(data)
    words = [_text(w) for w in data[4:].split(b"\0") if w]
    return {
        "build": build,
        "argv": words,
        "exit_code": 0,
        "wall_s": round(wall_us / 1e6, 3),
        "mode": "null",
        "steps": {"run": 0, "skipped": 0, "restored": 0, "failed": 0},
        "evaluated": 0,
        "ran": [],
    }


def _ran(ran: Ran, began: float) -> dict[str, Any]:
    return {
        "cwd": _text(ran.cwd),
        "command": command_text(ran.argv),
        "outputs": [_text(o) for o in ran.outputs],
        "reason": _reason(ran.reason),
        "start_s": (start := round(max(ran.started - began, 0.0), 6)),
        "end_s": round(start + ran.wall_us / 1e6, 6),
        "wall_s": round(ran.wall_us / 1e6, 6),
        "cpu_s": round(ran.cpu_us / 1e6, 6),
        "peak_kb": ran.peak_kb,
        "exit_code": ran.code,
        "shell_function": ran.kind == b"F",
    }


def _reason(reason: Reason) -> dict[str, str]:
    out = {"kind": reason.kind}
    if reason.what:
        out["what"] = _text(reason.what)
    out["text"] = describe(reason)
    return out


def command_text(argv: list[bytes]) -> str:
    """A command as make had it: the text given to `sh -c`, else the words."""
    words = argv[1:]
    if len(words) == 3 and words[1][:1] == b"-" and b"c" in words[1] and os.path.basename(words[0]).endswith(b"sh"):
        return _text(words[2])
    return " ".join(_text(w) for w in words)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def lines(log: dict[str, Any]) -> list[str]:
    """For people."""
    steps = log["steps"]
    out = [
        f"build {log['build']}: make {' '.join(log['argv'])}".rstrip(),
        (
            f"{log['mode']}, exit status {log['exit_code']}, {log['wall_s']:.2f} s; steps: {steps['run']} run,"
            f" {steps['skipped']} skipped, {steps['restored']} restored, {steps['failed']} failed"
        ),
    ]
    for ran in log["ran"]:
        first = ran["command"].strip().splitlines()
        command = first[0] if first else ""
        out.append("")
        out.append(f"  {', '.join(ran['outputs']) or '(no files)'}  [{ran['wall_s']:.3f} s]")
        out.append(f"    why: {ran['reason']['text']}")
        out.append(f"    ran: {command[:160]}{'...' if len(command) > 160 or len(first) > 1 else ''}")
    return out
