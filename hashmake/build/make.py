"""One evaluation by make, from its start to its result."""

import os
import time

from hashmake.build.setting import Setting
from hashmake.judge.engine import Engine
from hashmake.judge.running import Running
from hashmake.model.result import ROOT, Result
from hashmake.run.supervisor import Supervisor
from hashmake.tell import say


def run_make(setting: Setting, engine: Engine, supervisor: Supervisor) -> tuple[int, Running, Result]:
    """Run it; its exit status, and its step with what came of it."""
    request = setting.request
    cwd = os.fsencode(request.where)
    words = request.words
    if request.arguments.always_make and setting.goal.roots:
        # The clean view makes make ask for every step; -B on top would remake what has no real rule (.config).
        words = request.arguments.without_always_make()
    elif engine.forced and not setting.goal.roots and setting.plugin.always_make:
        words = ["-B", *request.arguments.without_always_make()]
    block = b"\0".join(k + b"=" + v for k, v in os.environb.items())
    argv = [os.fsencode(request.make or "make"), b"make", *map(os.fsencode, words)]
    root = engine.starter.start(ROOT, request.key, cwd, argv, engine.environments.of(block), None)
    request.rewind()
    began = time.monotonic()
    code = supervisor.run_make(request.make or "make", ["make", *words], dict(os.environ), root)
    if code > 128 and not supervisor.signals:
        say(f"make: killed by signal {code - 128}; run the same command again")
    if code == 0:
        engine.intake.take_in(root)  # what make took away itself need not be brought back
        supervisor.bring_back_all()
        engine.conclude(root)
    result = engine.ending.done(root, code, int((time.monotonic() - began) * 1e6))
    return code, root, result
