"""`hashmake status`: what is recorded in a state directory."""

import os

from hashmake.model.recording import Recording
from hashmake.reports.open import load
from hashmake.state import keep


def status(state: str) -> int:
    """Print it."""
    db, recording = load(state)
    try:
        print("\n".join(_lines(state, recording)))
        return 0
    finally:
        db.close()


def _lines(state: str, recording: Recording) -> list[str]:
    tables = recording.tables
    size = os.stat(os.path.join(state, "db", "data.mdb")).st_blocks * 512
    out = [
        f"state      {state} ({size / 1e6:.1f} MB)",
        f"builds     {recording.build}",
        f"paths      {len(tables.paths)}, facts {len(tables.fact_kind) - 1}, results {recording.next_result - 1}",
        f"products   {sum(1 for v, _ in recording.products.values() if v)}, sources {len(recording.sources)}",
    ]
    out += [f"yours      {os.fsdecode(path)}" for path, mine in sorted(keep.load(state).items()) if mine]
    for goal in recording.goals.values():
        roots = [recording.result(rid) for _digest, rid in goal.roots]
        steps = roots[-1].steps if roots and roots[-1] is not None else 0
        made = {p for p, (_pre, post) in goal.complete.items() if post}
        gone = [
            p for p in goal.products - made if recording.products.get(p, (0, 0))[0] and os.path.lexists(tables.paths[p])
        ]
        argv = b" ".join(roots[-1].argv[1:]) if roots and roots[-1] is not None else b"(never completed)"
        out.append(f"goal       {argv.decode('utf-8', 'backslashreplace')}: {steps} steps, {len(made)} products")
        out += [f"  orphan   {os.fsdecode(tables.paths[p])}" for p in sorted(gone)[:50]]
    return out
