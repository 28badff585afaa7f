"""A build without make, where the last one tells what make would ask for (judge/replay.py)."""

import os
import time

from hashmake.build.setting import Setting
from hashmake.judge.engine import Engine
from hashmake.judge.replay import LeftToMake
from hashmake.judge.running import Running
from hashmake.model.course import Course
from hashmake.model.environment import Environment
from hashmake.model.printed import ERR, OUT
from hashmake.model.result import COMPOSITE, PLACED, ROOT, SAYS, Result
from hashmake.run.supervisor import Supervisor


def known_course(setting: Setting, engine: Engine) -> tuple[Result, Course] | None:
    """What make went through in the last build of this goal; None where make has to evaluate in any case."""
    request, recording = setting.request, setting.recording
    asked = request.arguments
    if asked.meaning or asked.evaluate or asked.always_make or asked.in_turn or asked.new_files or asked.old_files:
        return None
    if request.no_replay or request.texts or request.again or recording.seeds or engine.prints or engine.forced:
        return None
    if engine.restoring.prints != OUT | ERR:
        return None  # where printing fails, make fails
    rid = setting.goal.root_for(request.inputs)
    record = recording.result(rid) if rid is not None else None
    course = recording.course(record.id) if record is not None else None
    if record is None or course is None or record.flags & ~(PLACED | SAYS) != COMPOSITE:
        return None
    # Variables that count are as they were, or this would be another record; what others hold is handed on as it is.
    same = _of_make(recording.env_blocks.all[course.block]) == _of_make(_here(engine).block)
    return (record, course) if same and course.words == engine.courses.words else None


def _of_make(block: bytes) -> set[bytes]:
    return {s for s in block.split(b"\0") if s.startswith((b"MAKEFLAGS=", b"MAKELEVEL=", b"GNUMAKEFLAGS="))}


def _here(engine: Engine) -> Environment:
    return engine.environments.of(b"\0".join(k + b"=" + v for k, v in os.environb.items()))


def replay(
    setting: Setting, engine: Engine, supervisor: Supervisor, known: tuple[Result, Course]
) -> tuple[Running, Result]:
    """Build; the goal's step, and what came of it. Raises LeftToMake."""
    request = setting.request
    record, course = known
    argv = [os.fsencode(request.make or "make"), b"make", *map(os.fsencode, request.words)]
    root = engine.starter.start(ROOT, request.key, os.fsencode(request.where), argv, _here(engine), None)
    began = time.monotonic()
    try:
        supervisor.replay(record, course, root, request.arguments.jobs)
    except LeftToMake:
        engine.evaluation.running.pop(root.number, None)
        raise
    engine.ending.log.mode = "replay"
    supervisor.bring_back_all()
    engine.conclude(root)
    return root, engine.ending.done(root, 0, int((time.monotonic() - began) * 1e6))
