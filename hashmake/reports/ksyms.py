"""`hashmake ksyms`: the symbols that modules need, who needs and who offers each, and what the last change did."""

import json
import os
from typing import Any

from hashmake.disk import reading
from hashmake.errors import UserError
from hashmake.kbuild.ksyms import NAME, KSyms, fold, needed_in
from hashmake.kbuild.symbols import NEEDED, named, symbols
from hashmake.model.kinds import NAME as ENTRY
from hashmake.model.recording import Recording, Seed
from hashmake.model.result import COMPOSITE, ResultId
from hashmake.model.tables import PathId
from hashmake.reports.open import decode, load
from hashmake.state.database import Database


def ksyms(state: str, as_json: bool) -> str:
    """The report: text, or one JSON object. Raises UserError where no trimmed kernel was built."""
    db, recording = load(state)
    try:
        tables = [path for path in recording.seeds if path.endswith(b"/" + NAME)]
        if not tables:
            raise UserError(
                f"{state}: no build with a list of needed symbols is recorded here (CONFIG_TRIM_UNUSED_KSYMS of Linux"
                " 4.7 to 6.4)"
            )
        found = _found(db, recording, tables[-1])
    finally:
        db.close()
    return json.dumps(found, indent=1) if as_json else "\n".join(_lines(found))


def _found(db: Database, recording: Recording, table: bytes) -> dict[str, Any]:
    seed = recording.seeds[table]
    top = table[: -len(NAME)]
    needed = needed_in(seed.last)
    offers = _offers(recording, recording.tables.path(table), top)
    needs = _needs(recording, top, needed)
    rows = [
        {
            "symbol": _text(name),
            "needed_by": needs.get(name, []),
            "offered_by": sorted(offers.get(name, set()) | offers.get(fold(name), set())),
        }
        for name in sorted(needed)
    ]
    return {"table": os.fsdecode(table), "needed": rows, "last_change": _change(db, seed, table, top)}


def _offers(recording: Recording, table: PathId, top: bytes) -> dict[bytes, set[str]]:
    """Symbol -> the objects that offer it: those whose step depends on the symbol's entry (folded before Linux 5.0)."""
    tables = recording.tables
    entries = {f for f in tables.facts_on.get(table, ()) if tables.fact_kind[f] == ENTRY}
    found: dict[bytes, set[str]] = {}
    for rid in _last_steps(recording):
        result = recording.result(rid)
        if result is None or result.flags & COMPOSITE or not (mine := entries.intersection(result.facts)):
            continue
        objects = [_below(top, tables.paths[pid]) for pid, _pre, post in result.outputs() if post]
        made = [path for path in objects if path.endswith(".o")]
        for fid in mine:
            name = tables.values[tables.fact_value[fid]].partition(b"=")[0]
            found.setdefault(name, set()).update(made)
    return found


def _last_steps(recording: Recording) -> set[ResultId]:
    """All steps of the last complete build of each goal."""
    todo = [goal.roots[-1][1] for goal in recording.goals.values() if goal.roots]
    seen: set[ResultId] = set()
    while todo:
        rid = todo.pop()
        if rid not in seen:
            seen.add(rid)
            result = recording.result(rid)
            todo.extend(ResultId(kid) for kid in (result.kids if result is not None else ()))
    return seen


def _needs(recording: Recording, top: bytes, needed: set[bytes]) -> dict[bytes, list[str]]:
    """Symbol -> modules that need it; a symbol that none needs is on the whitelist."""
    try:
        with open(top + b"modules.order", "rb") as order:
            modules = [line.strip() for line in order if line.strip()]
    except OSError:
        modules = []
    found: dict[bytes, list[str]] = {}
    for module in modules:
        path = top + module.removeprefix(b"kernel/").rpartition(b".")[0] + b".o"
        for name in needed & named(NEEDED, _symbols(recording, path)):
            found.setdefault(name, []).append(_text(module))
    return found


def _symbols(recording: Recording, path: bytes) -> frozenset[bytes]:
    """An object's symbols, remembered by its digest where a build has looked."""
    version = reading.of_file(path)[0]
    known = recording.finding(KSyms.OBJECT, version) if version else frozenset()
    if known is not None:
        return known
    with open(path, "rb") as file:
        return symbols(file.read())


def _change(db: Database, seed: Seed, table: bytes, top: bytes) -> dict[str, Any] | None:
    if not seed.changed_in:
        return None
    before, after = needed_in(seed.changed_from), needed_in(seed.last)
    ran: list[str] = []
    logs = dict(db.logs())
    for row in decode(seed.changed_in, logs[seed.changed_in])["ran"] if seed.changed_in in logs else ():
        if row["reason"]["kind"] == "NameChanged" and row["reason"].get("what") == os.fsdecode(table):
            ran += [_below(top, os.fsencode(path)) for path in row["outputs"] if path.endswith(".o")]
    return {
        "build": seed.changed_in,
        "added": [_text(name) for name in sorted(after - before)],
        "removed": [_text(name) for name in sorted(before - after)],
        "ran_again": sorted(set(ran)),
    }


def _lines(found: dict[str, Any]) -> list[str]:
    out = [f"{len(found['needed'])} needed symbols in {found['table']}"]
    for row in found["needed"]:
        needs = " ".join(row["needed_by"]) or "(the whitelist)"
        out.append(f"  {row['symbol']}: needed by {needs}; offered by {' '.join(row['offered_by']) or '(nobody)'}")
    change = found["last_change"]
    if change is None:
        return [*out, "not changed since the first build"]
    out.append(f"last changed in build {change['build']}")
    out += [f"  {word}: {' '.join(change[key]) or '-'}" for word, key in (("added", "added"), ("removed", "removed"))]
    return [*out, f"  ran again: {' '.join(change['ran_again']) or '-'}"]


def _below(top: bytes, path: bytes) -> str:
    return _text(path.removeprefix(top))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
